//! What is remembered of each account between two looks at it.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use kube::{Resource, ResourceExt, runtime::reflector::ObjectRef};
use tokio::time::Instant;

use crate::{
    api::{WhatsAppAccount, names},
    decide::Hindrance,
};

/// Which account, and which version of what a person declares about it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Version {
    uid: Option<String>,
    generation: Option<i64>,
    deleting: bool,
    request: Option<String>,
}

impl Version {
    fn of(account: &WhatsAppAccount) -> Self {
        Self {
            uid: account.uid(),
            generation: account.meta().generation,
            deleting: account.meta().deletion_timestamp.is_some(),
            request: account.annotations().get(names::RECONCILE_REQUESTED_AT).cloned(),
        }
    }
}

struct Look {
    version: Version,
    at: Instant,
    hindrance: Option<Hindrance>,
}

#[derive(Default)]
struct Remembered {
    look: Option<Look>,
    written: Option<Instant>,
}

/// The memory of all accounts.
#[derive(Default)]
pub struct Looks {
    remembered: Mutex<HashMap<ObjectRef<WhatsAppAccount>, Remembered>>,
}

impl Looks {
    fn lock(&self) -> MutexGuard<'_, HashMap<ObjectRef<WhatsAppAccount>, Remembered>> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the last look at this version of the account found, and how long ago that was.
    pub fn last(&self, account: &WhatsAppAccount) -> Option<(Option<Hindrance>, Duration)> {
        let remembered = self.lock();
        let look = remembered.get(&ObjectRef::from_obj(account))?.look.as_ref()?;
        (look.version == Version::of(account)).then(|| (look.hindrance.clone(), look.at.elapsed()))
    }

    /// A look at the account found this.
    pub fn looked(&self, account: &WhatsAppAccount, hindrance: Option<Hindrance>) {
        let look = Look { version: Version::of(account), at: Instant::now(), hindrance };
        self.lock().entry(ObjectRef::from_obj(account)).or_default().look = Some(look);
    }

    /// How long the next status write has to wait, for two of them to be `apart`.
    pub fn write_in(&self, key: &ObjectRef<WhatsAppAccount>, apart: Duration) -> Option<Duration> {
        let written = self.lock().get(key)?.written?;
        apart.checked_sub(written.elapsed()).filter(|left| !left.is_zero())
    }

    /// The status was written.
    pub fn wrote(&self, key: &ObjectRef<WhatsAppAccount>) {
        self.lock().entry(key.clone()).or_default().written = Some(Instant::now());
    }

    /// The object is gone.
    pub fn forget(&self, key: &ObjectRef<WhatsAppAccount>) {
        self.lock().remove(key);
    }
}
