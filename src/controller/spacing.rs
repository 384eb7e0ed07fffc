//! Keeps writes of one object apart.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use kube::runtime::reflector::ObjectRef;
use tokio::time::Instant;

use crate::api::WhatsAppAccount;

/// When each account's status was last written.
#[derive(Default)]
pub struct Spacing {
    last: Mutex<HashMap<ObjectRef<WhatsAppAccount>, Instant>>,
}

impl Spacing {
    /// How long the next write has to wait.
    pub fn left(&self, key: &ObjectRef<WhatsAppAccount>, apart: Duration) -> Option<Duration> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).get(key).copied()?;
        apart.checked_sub(last.elapsed()).filter(|left| !left.is_zero())
    }

    /// A write went through.
    pub fn spend(&self, key: &ObjectRef<WhatsAppAccount>) {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone(), Instant::now());
    }

    /// The object is gone.
    pub fn forget(&self, key: &ObjectRef<WhatsAppAccount>) {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}
