//! From standing by to leading: a watch may lie behind what the leader before wrote, so everything is read once more.

use std::{fmt::Debug, time::Duration};

use kube::{
    Api, Client, Resource, ResourceExt, api::ListParams, core::NamespaceResourceScope, runtime::reflector::ObjectRef,
};
use serde::de::DeserializeOwned;
use tokio::time::sleep;

use crate::{
    api::WhatsAppSession,
    execute::{Trouble, kubernetes::within},
    observe::Sources,
    runtime::Readiness,
};

/// Objects in one answer.
const PAGE: u32 = 500;
/// Between two tries.
const PAUSE: Duration = Duration::from_secs(1);

/// Reads all objects until that has succeeded.
pub async fn catch_up(client: &Client, namespaces: &[String], sources: &Sources, readiness: &Readiness) {
    let mut failing = false;
    while let Err(trouble) = read(client, namespaces, sources).await {
        if !std::mem::replace(&mut failing, true) {
            tracing::warn!(%trouble, "the objects cannot be read after taking over; it is tried again");
            readiness.not_yet("the objects cannot be read after taking over");
        }
        sleep(PAUSE).await;
    }
}

async fn read(client: &Client, namespaces: &[String], sources: &Sources) -> Result<(), Trouble> {
    let (listed, at) = list(client, namespaces).await?;
    sources.accounts.catch_up(listed, at);
    let (listed, at) = list(client, namespaces).await?;
    let (gone, news) = sources.sessions.catch_up(listed, at);
    for uid in gone.iter().filter_map(|session| session.uid()) {
        sources.index.remove(&uid);
    }
    // All of them before anything can fail: the next list would tell none of these anew.
    for session in &news {
        sources.index.put(session);
    }
    // Not told by the watch yet, or told and gone since the list: then nobody would take it out of the index.
    for session in news.iter().filter(|session| sources.sessions.get(&ObjectRef::from_obj(&***session)).is_none()) {
        confirm(client, session, sources).await?;
    }
    Ok(())
}

/// Takes a session out of the index again if there is none any more. A list of one is a list, and there is no right to
/// more than that.
async fn confirm(client: &Client, session: &WhatsAppSession, sources: &Sources) -> Result<(), Trouble> {
    let api: Api<WhatsAppSession> = Api::namespaced(client.clone(), &session.namespace().unwrap_or_default());
    let one = ListParams::default().fields(&format!("metadata.name={}", session.name_any()));
    let there = within(api.list(&one)).await?;
    if let Some(uid) = session.uid().filter(|uid| there.items.iter().all(|other| other.uid().as_ref() != Some(uid))) {
        sources.index.remove(&uid);
    }
    Ok(())
}

/// All objects of a kind, and a version at which there were none besides.
async fn list<K>(client: &Client, namespaces: &[String]) -> Result<(Vec<K>, u64), Trouble>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    let apis: Vec<Api<K>> = if namespaces.is_empty() {
        vec![Api::all(client.clone())]
    } else {
        namespaces.iter().map(|namespace| Api::namespaced(client.clone(), namespace)).collect()
    };
    let (mut objects, mut at) = (Vec::new(), u64::MAX);
    for api in apis {
        let mut params = ListParams::default().limit(PAGE);
        loop {
            let page = within(api.list(&params)).await?;
            objects.extend(page.items);
            let version = page.metadata.resource_version.and_then(|version| version.parse().ok());
            at = at.min(version.unwrap_or_default());
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params.continue_token = Some(token),
                None => break,
            }
        }
    }
    Ok((objects, at))
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    };

    use axum::{http::StatusCode, response::IntoResponse};
    use kube::runtime::{reflector, watcher::Event};
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        account::registry::Registry,
        observe::{Cache, Index},
    };

    fn session(name: &str, version: &str, id: &str) -> Value {
        json!({
            "apiVersion": "actiwapi.com/v1alpha1", "kind": "WhatsAppSession",
            "metadata": {"name": name, "namespace": "ns", "uid": name, "resourceVersion": version},
            "spec": {}, "status": {"sessionId": id},
        })
    }

    /// Lists three sessions, of which one is gone by the time anybody asks for it; whoever asks first gets no answer.
    fn server() -> axum::Router {
        let asked = Arc::new(AtomicBool::new(false));
        axum::Router::new().fallback(async move |uri: axum::http::Uri| {
            let all = [session("fleeting", "10", "d"), session("unseen", "9", "c"), session("changed", "8", "b")];
            let items: &[Value] = match uri.query().unwrap_or_default() {
                _ if uri.path().ends_with("/whatsappaccounts") => &[],
                one if one.contains("fieldSelector") && !asked.swap(true, Ordering::Relaxed) => {
                    return (StatusCode::SERVICE_UNAVAILABLE, "").into_response();
                }
                one if one.contains("metadata.name%3Dunseen") => &all[1..2],
                one if one.contains("metadata.name%3Dfleeting") => &[],
                all_of_them => {
                    assert!(!all_of_them.contains("fieldSelector"), "{all_of_them}");
                    &all
                }
            };
            axum::Json(json!({"metadata": {"resourceVersion": "10"}, "items": items})).into_response()
        })
    }

    #[tokio::test]
    async fn the_index_holds_what_there_is_whatever_the_watch_has_told() {
        let (store, mut writer) = reflector::store();
        let (accounts, _) = reflector::store();
        let sources = Sources {
            sessions: Cache::new(store),
            accounts: Cache::new(accounts),
            index: Index::default(),
            registry: Registry::default(),
        };
        for told in [session("changed", "3", "a"), session("gone", "4", "e"), session("younger", "11", "f")] {
            let told: WhatsAppSession = serde_json::from_value(told).unwrap();
            sources.index.put(&told);
            writer.apply_watcher_event(&Event::Apply(told));
        }
        let (client, namespaces) = (Client::new(server(), "ns"), ["ns".to_owned()]);
        assert!(read(&client, &namespaces, &sources).await.is_err());
        read(&client, &namespaces, &sources).await.unwrap();
        let recorded = ["a", "b", "c", "d", "e", "f"].map(|id| (id, sources.index.is_recorded(id)));
        assert_eq!(recorded, [("a", false), ("b", true), ("c", true), ("d", false), ("e", false), ("f", true)]);
    }
}
