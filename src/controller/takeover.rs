//! From standing by to leading: a watch may lie behind what the leader before wrote, so everything is read once more.

use std::{fmt::Debug, time::Duration};

use kube::{Api, Client, Resource, api::ListParams, core::NamespaceResourceScope};
use serde::de::DeserializeOwned;
use tokio::time::sleep;

use super::Context;
use crate::execute::{Trouble, kubernetes::within};

/// Objects in one answer.
const PAGE: u32 = 500;
/// Between two tries.
const PAUSE: Duration = Duration::from_secs(1);

/// Reads all objects until that has succeeded.
pub async fn catch_up(client: &Client, namespaces: &[String], context: &Context) {
    while let Err(trouble) = read(client, namespaces, context).await {
        tracing::warn!(%trouble, "the objects cannot be read after taking over; it is tried again");
        sleep(PAUSE).await;
    }
}

async fn read(client: &Client, namespaces: &[String], context: &Context) -> Result<(), Trouble> {
    let sources = &context.sources;
    let (listed, at) = list(client, namespaces).await?;
    sources.accounts.catch_up(listed, at);
    let (listed, at) = list(client, namespaces).await?;
    for session in sources.sessions.catch_up(listed, at) {
        sources.index.put(&session);
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
