//! One stream of changes of a kind, over one watch or one a namespace.
//!
//! Several watches in one store would erase each other's objects when one of them lists anew, and a failing watch must
//! not hold back the others or the triggers beside it. So a list is turned into the applies and deletes it amounts to,
//! and failures end here.

use std::{collections::HashSet, fmt::Debug};

use futures::{Stream, StreamExt, stream};
use kube::{
    Api, Client, Resource,
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
    let mut told = Told { known: HashSet::new(), listed: HashSet::new(), synced: false };
    let mut failing = false;
    watcher(api, watcher::Config::default()).default_backoff().flat_map(move |event| {
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

/// What one watch has told so far.
struct Told<K: Resource<DynamicType = ()>> {
    known: HashSet<ObjectRef<K>>,
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
            Event::InitApply(mut object) => {
                let key = ObjectRef::from_obj(&object);
                self.listed.insert(key.clone());
                self.known.insert(key);
                prune(&mut object);
                vec![Change::Apply(object)]
            }
            Event::InitDone => {
                let gone = self.known.difference(&self.listed).cloned().collect::<Vec<_>>();
                self.known = std::mem::take(&mut self.listed);
                let mut changes: Vec<_> = gone.into_iter().map(Change::Delete).collect();
                if !std::mem::replace(&mut self.synced, true) {
                    changes.push(Change::Synced);
                }
                changes
            }
            Event::Apply(mut object) => {
                self.known.insert(ObjectRef::from_obj(&object));
                prune(&mut object);
                vec![Change::Apply(object)]
            }
            Event::Delete(object) => {
                let key = ObjectRef::from_obj(&object);
                self.known.remove(&key);
                vec![Change::Delete(key)]
            }
        }
    }
}

/// Managed fields are larger than the rest of an object, and nobody here reads them.
fn prune<K: Resource>(object: &mut K) {
    object.meta_mut().managed_fields = None;
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;

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
        let mut watch = Told { known: HashSet::new(), listed: HashSet::new(), synced: false };
        assert!(told(&mut watch, Event::Init).is_empty());
        assert_eq!(told(&mut watch, Event::InitApply(object("a"))), ["+a"]);
        assert_eq!(told(&mut watch, Event::InitDone), ["synced"]);
        assert_eq!(told(&mut watch, Event::Apply(object("b"))), ["+b"]);
        assert!(told(&mut watch, Event::Init).is_empty());
        assert_eq!(told(&mut watch, Event::InitApply(object("b"))), ["+b"]);
        assert_eq!(told(&mut watch, Event::InitDone), ["-a"], "gone while nobody watched");
        assert_eq!(told(&mut watch, Event::Delete(object("b"))), ["-b"]);
    }
}
