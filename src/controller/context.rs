//! What both controllers share.

use std::{sync::Arc, time::Duration};

use kube::runtime::reflector::ObjectRef;
use tokio::sync::{mpsc, watch};
use url::Url;

use super::{looks::Looks, memories::Memories};
use crate::{
    account::Account,
    api::{WhatsAppAccount, WhatsAppSession},
    decide::Policy,
    execute::Effects,
    metrics::Metrics,
    observe::Sources,
    provider::{Provider, place::Places},
};

/// Opens the provider at a base URL; the real one speaks HTTPS.
pub type Open = Arc<dyn Fn(&Url) -> Result<Arc<dyn Provider>, String> + Send + Sync>;

/// Shared by both controllers.
pub struct Context {
    /// Whatever changes something.
    pub effects: Effects,
    /// The caches and the running accounts.
    pub sources: Arc<Sources>,
    /// The operator's settings.
    pub policy: Policy,
    /// Which base URLs may be called.
    pub places: Places,
    /// Opens a provider.
    pub open: Open,
    /// What is remembered of each session.
    pub memories: Memories,
    /// What is remembered of each account.
    pub looks: Looks,
    /// Brings accounts to life.
    pub births: mpsc::UnboundedSender<Arc<Account>>,
    /// True once both kinds were listed, before which nobody knows who claims what, and once this replica leads. All
    /// are woken then, so until then a reconcile has nothing to wait for.
    pub at_work: watch::Receiver<bool>,
    /// Counts.
    pub metrics: Arc<Metrics>,
}

impl Context {
    /// Whether the caches are complete and this replica leads.
    #[must_use]
    pub fn at_work(&self) -> bool {
        *self.at_work.borrow()
    }

    /// Wakes everything there is.
    pub fn ring_all(&self) {
        for account in self.sources.accounts.all() {
            self.ring_account(ObjectRef::from_obj(&*account));
        }
        for session in self.sources.sessions.all() {
            self.ring_session(ObjectRef::from_obj(&*session));
        }
    }

    /// A session object is gone: everything kept about it goes too, and its account counts anew.
    pub fn gone(&self, uid: &str, account: &ObjectRef<WhatsAppAccount>) {
        self.memories.forget(uid);
        self.sources.registry.release(uid);
        if let Some(account) = self.sources.registry.get(account) {
            account.forget(uid);
        }
        if self.sources.index.remove(uid).is_some() {
            self.ring_account(account.clone());
        }
    }

    /// Wakes one session.
    pub fn ring_session(&self, session: ObjectRef<WhatsAppSession>) {
        let _ = self.effects.bells.sessions.send(session);
    }

    /// Wakes one account.
    pub fn ring_account(&self, account: ObjectRef<WhatsAppAccount>) {
        let _ = self.effects.bells.accounts.send(account);
    }

    /// Wakes all sessions of an account.
    pub fn ring_sessions_of(&self, account: &ObjectRef<WhatsAppAccount>) {
        for session in self.sources.index.of_account(account) {
            self.ring_session(session);
        }
    }
}

/// The pause after Kubernetes refused something so many times in a row: doubling from 1 s to 1 min, with full jitter
/// above a floor of 1 s.
#[must_use]
pub fn pause(troubles: u32) -> Duration {
    let ceiling = Duration::from_secs(1).saturating_mul(1 << troubles.min(6)).min(Duration::from_mins(1));
    ceiling.mul_f64(rand::random::<f64>()).max(Duration::from_secs(1))
}
