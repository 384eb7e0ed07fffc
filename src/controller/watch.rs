//! One stream of changes of a kind, over one watch or one a namespace.
//!
//! Several watches in one store would erase each other's objects when one of them lists anew, and a failing watch must
//! not hold back the others or the triggers beside it. So a list is turned into the applies and deletes it amounts to,
//! and failures end here.

use std::{
    collections::{HashMap, HashSet},
    fmt::Debug,
};

use futures::{
    Stream, StreamExt,
    stream::{self, BoxStream},
};
use kube::{
    Api, Client, Resource, ResourceExt,
    core::NamespaceResourceScope,
    runtime::{
        WatchStreamExt,
        reflector::ObjectRef,
        watcher::{self, Event, watcher},
    },
};
use serde::de::DeserializeOwned;

/// What happened to one object.
#[derive(Debug)]
pub enum Change<K: Resource<DynamicType = ()>> {
    /// It is new or other.
    Apply(K),
    /// It is gone.
    Delete(ObjectRef<K>),
    /// Everything that existed at the start has been told.
    Synced,
}

/// Follows all objects of a kind in `namespaces`, or everywhere. Ends never.
pub fn follow<K>(client: &Client, namespaces: &[String]) -> impl Stream<Item = Change<K>> + Send + use<K>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + Debug
        + DeserializeOwned
        + Send
        + Sync
        + 'static,
{
    let apis: Vec<Api<K>> = if namespaces.is_empty() {
        vec![Api::all(client.clone())]
    } else {
        namespaces.iter().map(|namespace| Api::namespaced(client.clone(), namespace)).collect()
    };
    let mut unsynced = apis.len();
    stream::select_all(apis.into_iter().map(|api| one(api).boxed())).filter_map(move |change| {
        let told = match change {
            Change::Synced => {
                unsynced = unsynced.saturating_sub(1);
                (unsynced == 0).then_some(Change::Synced)
            }
            change => Some(change),
        };
        std::future::ready(told)
    })
}

fn one<K>(api: Api<K>) -> impl Stream<Item = Change<K>> + Send
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    let mut told = Told { known: HashMap::new(), listed: HashSet::new(), synced: false };
    let mut failing = false;
    relisting(api).default_backoff().flat_map(move |event| {
        let kind = K::kind(&());
        let changes = match event {
            Ok(event) => {
                if std::mem::replace(&mut failing, false) {
                    tracing::info!(%kind, "watching again");
                }
                told.tell(event)
            }
            Err(error) => {
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(%kind, %error, "watching fails; it is tried again");
                }
                Vec::new()
            }
        };
        stream::iter(changes)
    })
}

/// A watch that begins anew, with a list, when the API server no longer knows where it left off: the watcher by itself
/// would ask for ever to go on from there.
fn relisting<K>(api: Api<K>) -> impl Stream<Item = Result<Event<K>, watcher::Error>> + Send
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
{
    stream::unfold(None, move |held| {
        let held = held.unwrap_or_else(|| watcher(api.clone(), watcher::Config::default()).boxed());
        go_on(held)
    })
}

type Watch<K> = BoxStream<'static, Result<Event<K>, watcher::Error>>;

async fn go_on<K>(mut watch: Watch<K>) -> Option<(Result<Event<K>, watcher::Error>, Option<Watch<K>>)> {
    let event = watch.next().await?;
    let expired = matches!(&event, Err(watcher::Error::WatchStartFailed(kube::Error::Api(s))) if s.code == 410);
    Some((event, (!expired).then_some(watch)))
}

/// What one watch has told so far.
struct Told<K: Resource<DynamicType = ()>> {
    /// By their uids: a name may be another object's before anybody hears that it was given up.
    known: HashMap<ObjectRef<K>, Option<String>>,
    listed: HashSet<ObjectRef<K>>,
    synced: bool,
}

impl<K: Resource<DynamicType = ()>> Told<K> {
    fn tell(&mut self, event: Event<K>) -> Vec<Change<K>> {
        match event {
            Event::Init => {
                self.listed.clear();
                Vec::new()
            }
            Event::InitApply(object) => {
                self.listed.insert(ObjectRef::from_obj(&object));
                self.applied(object)
            }
            Event::InitDone => {
                let listed = std::mem::take(&mut self.listed);
                let gone = self.known.extract_if(|key, _| !listed.contains(key));
                let mut changes: Vec<_> = gone.map(|(key, _)| Change::Delete(key)).collect();
                if !std::mem::replace(&mut self.synced, true) {
                    changes.push(Change::Synced);
                }
                changes
            }
            Event::Apply(object) => self.applied(object),
            Event::Delete(object) => {
                let key = ObjectRef::from_obj(&object);
                self.known.remove(&key);
                vec![Change::Delete(key)]
            }
        }
    }

    fn applied(&mut self, mut object: K) -> Vec<Change<K>> {
        let (key, uid) = (ObjectRef::from_obj(&object), object.uid());
        let before = self.known.insert(key.clone(), uid.clone());
        prune(&mut object);
        let replaced = before.is_some_and(|before| before != uid);
        replaced.then_some(Change::Delete(key)).into_iter().chain([Change::Apply(object)]).collect()
    }
}

/// Managed fields are larger than the rest of an object, and nobody here reads them.
fn prune<K: Resource>(object: &mut K) {
    object.meta_mut().managed_fields = None;
}

#[cfg(test)]
mod tests {
    use std::{
        future::ready,
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
    };

    use axum::http::StatusCode;
    use k8s_openapi::api::core::v1::ConfigMap;
    use serde_json::json;

    use super::*;

    fn object(name: &str) -> ConfigMap {
        let mut object = ConfigMap::default();
        object.metadata.name = Some(name.to_owned());
        object.metadata.namespace = Some("ns".to_owned());
        object
    }

    fn told(told: &mut Told<ConfigMap>, event: Event<ConfigMap>) -> Vec<String> {
        let changes = told.tell(event).into_iter();
        changes
            .map(|change| match change {
                Change::Apply(object) => format!("+{}", object.metadata.name.unwrap()),
                Change::Delete(key) => format!("-{}", key.name),
                Change::Synced => "synced".to_owned(),
            })
            .collect()
    }

    #[test]
    fn a_new_list_is_told_as_what_it_changes() {
        let mut watch = Told { known: HashMap::new(), listed: HashSet::new(), synced: false };
        assert!(told(&mut watch, Event::Init).is_empty());
        assert_eq!(told(&mut watch, Event::InitApply(object("a"))), ["+a"]);
        assert_eq!(told(&mut watch, Event::InitDone), ["synced"]);
        assert_eq!(told(&mut watch, Event::Apply(object("b"))), ["+b"]);
        assert!(told(&mut watch, Event::Init).is_empty());
        assert_eq!(told(&mut watch, Event::InitApply(object("b"))), ["+b"]);
        assert_eq!(told(&mut watch, Event::InitDone), ["-a"], "gone while nobody watched");
        assert_eq!(told(&mut watch, Event::Delete(object("b"))), ["-b"]);
    }

    #[test]
    fn an_object_that_took_the_name_of_another_unseen_is_told_as_two_changes() {
        let mut watch = Told { known: HashMap::new(), listed: HashSet::new(), synced: true };
        let of = |uid: &str| {
            let mut object = object("a");
            object.metadata.uid = Some(uid.to_owned());
            object
        };
        assert_eq!(told(&mut watch, Event::Apply(of("1"))), ["+a"]);
        assert_eq!(told(&mut watch, Event::Apply(of("1"))), ["+a"]);
        assert_eq!(told(&mut watch, Event::Init), [""; 0]);
        assert_eq!(told(&mut watch, Event::InitApply(of("2"))), ["-a", "+a"]);
        assert_eq!(told(&mut watch, Event::InitDone), [""; 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_that_cannot_go_on_from_where_it_was_lists_anew() {
        let lists = Arc::new(AtomicUsize::new(0));
        let server = axum::Router::new().fallback(move |uri: axum::http::Uri| {
            let watching = uri.query().is_some_and(|query| query.contains("watch="));
            let answer = if watching {
                let gone = json!({"kind": "Status", "status": "Failure", "reason": "Expired", "code": 410});
                (StatusCode::GONE, axum::Json(gone))
            } else {
                let items = [object(&format!("list-{}", lists.fetch_add(1, Ordering::Relaxed)))];
                (StatusCode::OK, axum::Json(json!({"metadata": {"resourceVersion": "5"}, "items": items})))
            };
            ready(answer)
        });
        let changes = follow::<ConfigMap>(&Client::new(server, "ns"), &["ns".to_owned()]);
        let names = changes.filter_map(|change| {
            ready(match change {
                Change::Apply(object) => object.metadata.name,
                Change::Delete(_) | Change::Synced => None,
            })
        });
        let seen = tokio::time::timeout(std::time::Duration::from_mins(10), names.take(2).collect::<Vec<_>>()).await;
        assert_eq!(seen.unwrap(), ["list-0", "list-1"]);
    }
}
