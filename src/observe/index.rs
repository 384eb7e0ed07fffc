//! Which object claims which remote session, and who wants which name: looked up, never searched.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};

use k8s_openapi::jiff::Timestamp;
use kube::{ResourceExt, runtime::reflector::ObjectRef};

use crate::api::{WhatsAppAccount, WhatsAppSession, names};

/// What is kept of one session object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The object.
    pub session: ObjectRef<WhatsAppSession>,
    /// Its account.
    pub account: ObjectRef<WhatsAppAccount>,
    /// Its remote name without the account's prefix.
    pub own_name: String,
    /// The recorded id.
    pub id: Option<String>,
    /// When it was created.
    pub created: Timestamp,
    /// Our finalizer is on it.
    pub finalizer: bool,
    /// Its status says that it is connected.
    pub connected: bool,
}

impl Entry {
    fn of(session: &WhatsAppSession) -> Self {
        let status = session.status.as_ref();
        let connected = |c: &&k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition| c.type_ == "Connected";
        Self {
            session: ObjectRef::from_obj(session),
            account: account_of(session),
            own_name: session.remote_name(""),
            id: status.and_then(|status| status.session_id.clone()),
            created: session.creation_timestamp().map_or(Timestamp::UNIX_EPOCH, |time| time.0),
            finalizer: session.finalizers().iter().any(|f| f == names::SESSION_FINALIZER),
            connected: status.and_then(|s| s.conditions.iter().find(connected)).is_some_and(|c| c.status == "True"),
        }
    }
}

/// The account that a session names.
#[must_use]
pub fn account_of(session: &WhatsAppSession) -> ObjectRef<WhatsAppAccount> {
    ObjectRef::new(&session.spec.account_ref.name).within(&session.namespace().unwrap_or_default())
}

/// The index over all session objects.
#[derive(Default)]
pub struct Index {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    entries: HashMap<String, Entry>,
    by_id: HashMap<String, BTreeSet<String>>,
    by_name: HashMap<String, BTreeSet<String>>,
    by_account: HashMap<ObjectRef<WhatsAppAccount>, BTreeSet<String>>,
}

/// How the sessions of one account are counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// All.
    pub all: usize,
    /// Connected.
    pub connected: usize,
    /// With our finalizer on them.
    pub finalizer: usize,
}

impl Index {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an object in; the account whose counts may have changed by it.
    pub fn put(&self, session: &WhatsAppSession) -> Option<ObjectRef<WhatsAppAccount>> {
        let uid = session.uid()?;
        let next = Entry::of(session);
        let mut inner = self.inner();
        if inner.entries.get(&uid) == Some(&next) {
            return None;
        }
        inner.remove(&uid);
        let account = next.account.clone();
        inner.insert(uid, next);
        Some(account)
    }

    /// The object is gone; the account whose counts changed by it.
    pub fn remove(&self, uid: &str) -> Option<ObjectRef<WhatsAppAccount>> {
        self.inner().remove(uid).map(|entry| entry.account)
    }

    /// Objects other than `uid` that have recorded this id, by their uid.
    #[must_use]
    pub fn claimants(&self, id: &str, uid: &str) -> Vec<(String, Entry)> {
        let inner = self.inner();
        inner.entries_of(inner.by_id.get(id)).filter(|(other, _)| other != uid).collect()
    }

    /// Objects other than `uid` that want this name, prefix aside, by their uid.
    #[must_use]
    pub fn namesakes(&self, own_name: &str, uid: &str) -> Vec<(String, Entry)> {
        let inner = self.inner();
        inner.entries_of(inner.by_name.get(own_name)).filter(|(other, _)| other != uid).collect()
    }

    /// The sessions of an account.
    #[must_use]
    pub fn of_account(&self, account: &ObjectRef<WhatsAppAccount>) -> Vec<ObjectRef<WhatsAppSession>> {
        let inner = self.inner();
        inner.entries_of(inner.by_account.get(account)).map(|(_, entry)| entry.session).collect()
    }

    /// How many sessions an account has.
    #[must_use]
    pub fn count(&self, account: &ObjectRef<WhatsAppAccount>) -> Count {
        let inner = self.inner();
        let mut count = Count::default();
        for (_, entry) in inner.entries_of(inner.by_account.get(account)) {
            count.all += 1;
            count.connected += usize::from(entry.connected);
            count.finalizer += usize::from(entry.finalizer);
        }
        count
    }

    /// All recorded ids of this account's and others' sessions.
    #[must_use]
    pub fn is_recorded(&self, id: &str) -> bool {
        self.inner().by_id.contains_key(id)
    }
}

impl Inner {
    fn entries_of(&self, uids: Option<&BTreeSet<String>>) -> impl Iterator<Item = (String, Entry)> {
        uids.into_iter().flatten().filter_map(|uid| Some((uid.clone(), self.entries.get(uid)?.clone())))
    }

    fn insert(&mut self, uid: String, entry: Entry) {
        if let Some(id) = &entry.id {
            self.by_id.entry(id.clone()).or_default().insert(uid.clone());
        }
        self.by_name.entry(entry.own_name.clone()).or_default().insert(uid.clone());
        self.by_account.entry(entry.account.clone()).or_default().insert(uid.clone());
        self.entries.insert(uid, entry);
    }

    fn remove(&mut self, uid: &str) -> Option<Entry> {
        fn leave<Q: std::hash::Hash + Eq>(map: &mut HashMap<Q, BTreeSet<String>>, key: &Q, uid: &str) {
            if let Some(uids) = map.get_mut(key) {
                uids.remove(uid);
                if uids.is_empty() {
                    map.remove(key);
                }
            }
        }
        let entry = self.entries.remove(uid)?;
        if let Some(id) = &entry.id {
            leave(&mut self.by_id, id, uid);
        }
        leave(&mut self.by_name, &entry.own_name, uid);
        leave(&mut self.by_account, &entry.account, uid);
        Some(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(name: &str, uid: &str, id: Option<&str>) -> WhatsAppSession {
        let mut session: WhatsAppSession = serde_json::from_value(serde_json::json!({
            "apiVersion": "actiwapi.com/v1alpha1", "kind": "WhatsAppSession",
            "metadata": {"name": name, "namespace": "ns", "uid": uid},
            "spec": {"displayName": "Sales"},
        }))
        .unwrap();
        session.status =
            Some(crate::api::WhatsAppSessionStatus { session_id: id.map(str::to_owned), ..Default::default() });
        session
    }

    #[test]
    fn claims_and_names_follow_the_objects() {
        let index = Index::default();
        index.put(&session("a", "1", None));
        index.put(&session("b", "2", Some("x")));
        assert_eq!(index.claimants("x", "1").len(), 1);
        assert_eq!(index.claimants("x", "2").len(), 0);
        assert_eq!(index.namesakes("Sales", "2").first().map(|(uid, _)| uid.as_str()), Some("1"));
        let account = ObjectRef::new("default").within("ns");
        assert_eq!(index.put(&session("a", "1", Some("x"))), Some(account.clone()));
        assert_eq!(index.put(&session("a", "1", Some("x"))), None, "nothing changed");
        assert_eq!(index.claimants("x", "2").len(), 1);
        assert_eq!(index.count(&account).all, 2);
        index.remove("1");
        index.remove("2");
        assert!(index.claimants("x", "").is_empty() && index.of_account(&account).is_empty());
        assert_eq!(index.inner().by_name.len(), 0);
    }
}
