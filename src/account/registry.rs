//! The running accounts, by the object that declares them, and the names being created in each tenant.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use kube::runtime::reflector::ObjectRef;
use tokio::time::Instant;

use super::Account;
use crate::api::WhatsAppAccount;

/// All running accounts of this process.
#[derive(Default)]
pub struct Registry {
    accounts: Mutex<HashMap<ObjectRef<WhatsAppAccount>, Arc<Account>>>,
    standings: Mutex<HashMap<ObjectRef<WhatsAppAccount>, Standing>>,
    names: Mutex<HashMap<(String, String), NameLock>>,
}

/// Why the sessions of an account must not use it, whether it runs or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Waiting may help.
    NotReady(String),
    /// Waiting alone cannot help.
    Stalled(String),
}

#[derive(Clone, Debug)]
struct NameLock {
    holder: Option<String>,
    /// A create of this name is under way, also when its object is gone by now.
    sending: bool,
    last_attempt_end: Option<Instant>,
}

impl NameLock {
    fn is_open_to(&self, uid: &str) -> bool {
        match &self.holder {
            Some(holder) => holder == uid,
            None => !self.sending,
        }
    }
}

/// What stands in the way of creating a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameState {
    /// Nobody creates it; the last attempt of this process ended then.
    Free(Option<Instant>),
    /// Another object is creating it.
    Busy,
}

impl Registry {
    fn accounts(&self) -> MutexGuard<'_, HashMap<ObjectRef<WhatsAppAccount>, Arc<Account>>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn names(&self) -> MutexGuard<'_, HashMap<(String, String), NameLock>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The running account of this object.
    pub fn get(&self, key: &ObjectRef<WhatsAppAccount>) -> Option<Arc<Account>> {
        self.accounts().get(key).cloned()
    }

    /// Puts a running account in its place; who waited for it is woken by the account itself.
    pub fn put(&self, key: ObjectRef<WhatsAppAccount>, account: Arc<Account>) {
        if let Some(before) = self.accounts().insert(key, account) {
            before.stop();
        }
    }

    /// What keeps the account's sessions from using it.
    pub fn standing(&self, key: &ObjectRef<WhatsAppAccount>) -> Option<Standing> {
        self.standings.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    /// Says what keeps the account's sessions from using it. True when that is news.
    pub fn stand(&self, key: &ObjectRef<WhatsAppAccount>, standing: Option<Standing>) -> bool {
        let mut standings = self.standings.lock().unwrap_or_else(PoisonError::into_inner);
        match standing {
            Some(standing) => standings.insert(key.clone(), standing.clone()) != Some(standing),
            None => standings.remove(key).is_some(),
        }
    }

    /// Stops the account of this object.
    pub fn remove(&self, key: &ObjectRef<WhatsAppAccount>) {
        self.stand(key, None);
        if let Some(account) = self.accounts().remove(key) {
            account.stop();
        }
    }

    /// Stops all.
    pub fn clear(&self) {
        for (_, account) in self.accounts().drain() {
            account.stop();
        }
    }

    /// Whether object `uid` could create `name` at the tenant behind `base_url`.
    pub fn name(&self, base_url: &str, name: &str, uid: &str) -> NameState {
        match self.names().get(&(base_url.to_owned(), name.to_owned())) {
            Some(lock) if !lock.is_open_to(uid) => NameState::Busy,
            Some(lock) => NameState::Free(lock.last_attempt_end),
            None => NameState::Free(None),
        }
    }

    /// Reserves a name for object `uid`, from before its intent until its outcome is known. False when another has it.
    pub fn reserve(&self, base_url: &str, name: &str, uid: &str) -> bool {
        let mut names = self.names();
        let lock = names.entry((base_url.to_owned(), name.to_owned())).or_insert(NameLock {
            holder: None,
            sending: false,
            last_attempt_end: None,
        });
        let open = lock.is_open_to(uid);
        if open {
            lock.holder = Some(uid.to_owned());
        }
        open
    }

    /// Reserves a name for a create that is sent now, until [`Registry::attempted`]. False when another has it.
    pub fn attempt(&self, base_url: &str, name: &str, uid: &str) -> bool {
        let reserved = self.reserve(base_url, name, uid);
        if reserved && let Some(lock) = self.names().get_mut(&(base_url.to_owned(), name.to_owned())) {
            lock.sending = true;
        }
        reserved
    }

    /// The attempt was answered, or not. What it may have made is there, whatever became of its object.
    pub fn attempted(&self, base_url: &str, name: &str) {
        if let Some(lock) = self.names().get_mut(&(base_url.to_owned(), name.to_owned())) {
            lock.sending = false;
            lock.last_attempt_end = Some(Instant::now());
        }
    }

    /// Gives all names of object `uid` back.
    pub fn release(&self, uid: &str) {
        self.names().retain(|_, lock| {
            if lock.holder.as_deref() == Some(uid) {
                lock.holder = None;
            }
            // An hour is far more than any settle time.
            lock.holder.is_some()
                || lock.sending
                || lock.last_attempt_end.is_some_and(|end| end.elapsed().as_secs() < 3600)
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_under_way_stays_busy_when_its_object_goes() {
        let registry = Registry::default();
        assert!(registry.attempt("url", "name", "1"));
        registry.release("1");
        assert_eq!(registry.name("url", "name", "2"), NameState::Busy);
        assert!(!registry.reserve("url", "name", "2"));
        registry.attempted("url", "name");
        assert!(
            matches!(registry.name("url", "name", "2"), NameState::Free(Some(_))),
            "a list proves nothing before the attempt has settled"
        );
        assert!(registry.reserve("url", "name", "2"));
        registry.release("2");
        assert_eq!(registry.names().len(), 1);
    }
}
