//! Objects as last seen: the watch, overlaid by what our own writes returned until the watch has caught up.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use kube::{
    Resource, ResourceExt,
    runtime::reflector::{ObjectRef, Store},
};

/// The cache of one kind.
pub struct Cache<K: Resource<DynamicType = ()> + Clone + 'static> {
    store: Store<K>,
    overlay: Mutex<HashMap<ObjectRef<K>, Known<K>>>,
}

/// What is known of an object beyond the watch.
enum Known<K> {
    /// It was written, or read, like this.
    As(Arc<K>),
    /// The one with this uid is gone, also while the watch still shows it.
    Gone(Option<String>),
}

impl<K: Resource<DynamicType = ()> + Clone + 'static> Cache<K> {
    /// Over what a watch puts into `store`.
    #[must_use]
    pub fn new(store: Store<K>) -> Self {
        Self { store, overlay: Mutex::default() }
    }

    fn overlay(&self) -> MutexGuard<'_, HashMap<ObjectRef<K>, Known<K>>> {
        self.overlay.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The object as it is now, as far as is known here.
    #[must_use]
    pub fn get(&self, key: &ObjectRef<K>) -> Option<Arc<K>> {
        let watched = self.store.get(key);
        let mut overlay = self.overlay();
        match (overlay.get(key), &watched) {
            (None, _) => return watched,
            (Some(Known::As(written)), Some(watched)) if version(&**watched) < version(&**written) => {
                return Some(written.clone());
            }
            (Some(Known::Gone(uid)), Some(watched)) if watched.uid() == *uid => return None,
            // Caught up, or gone.
            (Some(_), _) => {}
        }
        overlay.remove(key);
        watched
    }

    /// What a write of ours, or a read of one object, returned.
    pub fn learn(&self, object: K) -> Arc<K> {
        let object = Arc::new(object);
        self.overlay().insert(ObjectRef::from_obj(&*object), Known::As(object.clone()));
        object
    }

    /// A write of ours, or a read, said that this very object is gone: it is not seen again.
    pub fn bury(&self, object: &K) {
        self.overlay().insert(ObjectRef::from_obj(object), Known::Gone(object.uid()));
    }

    /// The watch said that the object is gone.
    pub fn forget(&self, key: &ObjectRef<K>) {
        self.overlay().remove(key);
    }

    /// Takes in a complete list of what there was at one version, which the watch may lie behind; returns what was gone
    /// by then, and what it told anew. What the watch knows beyond that version stays.
    pub fn catch_up(&self, listed: Vec<K>, at: u64) -> (Vec<Arc<K>>, Vec<Arc<K>>) {
        let uids: HashSet<Option<String>> = listed.iter().map(ResourceExt::uid).collect();
        let mut gone = self.all();
        gone.retain(|known| version(&**known) <= at && !uids.contains(&known.uid()));
        for known in &gone {
            self.bury(known);
        }
        let newer =
            |object: &K| self.get(&ObjectRef::from_obj(object)).is_none_or(|known| version(&*known) < version(object));
        let news: Vec<K> = listed.into_iter().filter(newer).collect();
        (gone, news.into_iter().map(|object| self.learn(object)).collect())
    }

    /// All objects, each as it is now.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<K>> {
        self.store.state().iter().filter_map(|object| self.get(&ObjectRef::from_obj(&**object))).collect()
    }

    /// The watch says that an object is gone, and this is which one. What is known of a later one of the same name
    /// stays.
    pub fn gone(&self, key: &ObjectRef<K>) -> Option<Arc<K>> {
        let gone = self.store.get(key)?;
        let mut overlay = self.overlay();
        let of_it = overlay.get(key).is_some_and(|known| match known {
            Known::As(written) => written.uid() == gone.uid(),
            Known::Gone(uid) => *uid == gone.uid(),
        });
        if of_it {
            overlay.remove(key);
        }
        drop(overlay);
        Some(gone)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.store.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.store.is_empty()
    }
}

/// Resource versions of one kind compare as numbers. Source: KEP-5504.
fn version<K: Resource>(object: &K) -> u64 {
    object.resource_version().and_then(|version| version.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::runtime::{reflector, watcher::Event};

    use super::*;

    fn object(version: &str) -> ConfigMap {
        let mut object = ConfigMap::default();
        object.metadata.name = Some("a".to_owned());
        object.metadata.namespace = Some("ns".to_owned());
        object.metadata.resource_version = Some(version.to_owned());
        object
    }

    fn of(uid: &str, version: &str) -> ConfigMap {
        let mut object = object(version);
        object.metadata.uid = Some(uid.to_owned());
        object
    }

    #[test]
    fn a_write_of_ours_is_seen_until_the_watch_has_caught_up() {
        let (store, mut writer) = reflector::store();
        let cache = Cache::new(store);
        let key = ObjectRef::from_obj(&object("9"));
        writer.apply_watcher_event(&Event::Apply(object("9")));
        cache.learn(object("10"));
        let seen = || cache.get(&key).and_then(|seen| seen.resource_version());
        assert_eq!(seen().as_deref(), Some("10"));
        writer.apply_watcher_event(&Event::Apply(object("11")));
        assert_eq!(seen().as_deref(), Some("11"));
        cache.learn(object("12"));
        writer.apply_watcher_event(&Event::Delete(object("13")));
        assert_eq!(seen(), None);
    }

    #[test]
    fn what_is_gone_is_not_seen_again_and_its_successor_is() {
        let (store, mut writer) = reflector::store();
        let cache = Cache::new(store);
        let key = ObjectRef::from_obj(&object("9"));
        let seen = || cache.get(&key).and_then(|seen| seen.resource_version());
        writer.apply_watcher_event(&Event::Apply(of("first", "9")));
        cache.bury(&of("first", "9"));
        assert_eq!(seen(), None, "the watch has not caught up yet");
        writer.apply_watcher_event(&Event::Apply(of("first", "10")));
        assert_eq!(seen(), None);
        writer.apply_watcher_event(&Event::Delete(of("first", "11")));
        writer.apply_watcher_event(&Event::Apply(of("second", "12")));
        assert_eq!(seen().as_deref(), Some("12"));
    }

    #[test]
    fn a_list_tells_what_a_slow_watch_does_not_and_takes_back_nothing() {
        let (store, mut writer) = reflector::store();
        let cache = Cache::new(store);
        let named = |name: &str, version: &str| {
            let mut object = of(name, version);
            object.metadata.name = Some(name.to_owned());
            object
        };
        for object in [named("changed", "3"), named("ahead", "12"), named("gone", "4"), named("younger", "11")] {
            writer.apply_watcher_event(&Event::Apply(object));
        }
        let (gone, news) = cache.catch_up(vec![named("changed", "9"), named("ahead", "5")], 10);
        let told = |of: &[Arc<ConfigMap>]| of.iter().map(|object| object.name_any()).collect::<Vec<_>>();
        assert_eq!((told(&gone), told(&news)), (vec!["gone".to_owned()], vec!["changed".to_owned()]));
        let seen = |name: &str| cache.get(&ObjectRef::from_obj(&named(name, "1"))).and_then(|o| o.resource_version());
        assert_eq!(seen("changed").as_deref(), Some("9"));
        assert_eq!(seen("ahead").as_deref(), Some("12"));
        assert_eq!(seen("gone"), None);
        assert_eq!(seen("younger").as_deref(), Some("11"), "it was made after the list");
    }

    #[test]
    fn the_object_that_went_is_not_the_one_that_took_its_name() {
        let (store, mut writer) = reflector::store();
        let cache = Cache::new(store);
        let key = ObjectRef::from_obj(&object("9"));
        writer.apply_watcher_event(&Event::Apply(of("1", "9")));
        cache.learn(of("2", "11"));
        assert_eq!(cache.gone(&key).and_then(|gone| gone.uid()).as_deref(), Some("1"));
        assert_eq!(cache.get(&key).and_then(|seen| seen.uid()).as_deref(), Some("2"));
    }
}
