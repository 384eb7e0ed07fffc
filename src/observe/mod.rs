//! What is known about an object and around it, read from caches only: nothing here waits or calls.

pub mod cache;
pub mod index;

use kube::{ResourceExt, runtime::reflector::ObjectRef};

pub use self::{
    cache::Cache,
    index::{Index, account_of},
};
use crate::{
    account::{
        Health,
        registry::{Registry, Standing},
    },
    api::{WhatsAppAccount, WhatsAppSession},
    decide::{AccountSight, Desired, Named, Observed},
    provider::{SessionId, place::spelling},
};

/// Where to look.
pub struct Sources {
    /// Session objects.
    pub sessions: Cache<WhatsAppSession>,
    /// Account objects.
    pub accounts: Cache<WhatsAppAccount>,
    /// Who claims what.
    pub index: Index,
    /// The running accounts.
    pub registry: Registry,
}

impl Sources {
    /// Everything seen around one session.
    #[must_use]
    pub fn observe(&self, session: &WhatsAppSession, desired: &Desired, recorded: Option<&SessionId>) -> Observed {
        let key = account_of(session);
        let Some(account) = self.accounts.get(&key) else { return nothing(AccountSight::NotFound) };
        let base_url = &spelling(&account.spec.base_url);
        let prefix = account.spec.session_name_prefix.clone();
        let full_name = session.remote_name(&prefix);
        let id = recorded.or(desired.session_id.as_ref());
        let sight = self.sight(&key, id, &full_name, desired.deleting.is_some());
        let (named, wanted) = match &sight {
            AccountSight::Running(sight) if recorded.is_none() => {
                let named = sight.named.iter().cloned();
                let claimed = |id: &SessionId| self.is_claimed(id, &desired.uid, base_url);
                let named = named.map(|remote| Named { claimed: claimed(&remote.id), remote }).collect();
                (named, sight.mine.as_ref().map(|seen| seen.remote.clone()))
            }
            _ => (Vec::new(), None),
        };
        Observed {
            account: sight,
            account_deleting: account.metadata.deletion_timestamp.is_some(),
            named,
            name_state: self.registry.name(base_url, &full_name, &desired.uid),
            rival: recorded.is_none().then(|| self.rival(session, desired, &full_name, base_url)).flatten(),
            wanted_id_claimed: id.is_some_and(|id| self.is_claimed(id, &desired.uid, base_url)),
            outclaimed: recorded.is_some_and(|id| self.is_outclaimed(id, desired, base_url)),
            wanted,
            full_name,
            prefix,
        }
    }

    fn sight(
        &self,
        key: &ObjectRef<WhatsAppAccount>,
        id: Option<&SessionId>,
        name: &str,
        deleting: bool,
    ) -> AccountSight {
        let running = self.registry.get(key);
        // Letting go needs nothing but credentials that worked once.
        if deleting && let Some(account) = &running {
            return AccountSight::Running(Box::new(account.sight(id, name)));
        }
        match self.registry.standing(key) {
            Some(Standing::NotReady(why)) => return AccountSight::NotReady(why),
            Some(Standing::Stalled(why)) => return AccountSight::Stalled(why),
            None => {}
        }
        let Some(account) = running else { return AccountSight::Starting };
        let sight = account.sight(id, name);
        match &sight.health {
            Health::Starting => AccountSight::Starting,
            Health::Ready => AccountSight::Running(Box::new(sight)),
            Health::Retrying(why) => AccountSight::NotReady(why.clone()),
            Health::Stalled(_, why) => AccountSight::Stalled(why.clone()),
        }
    }

    fn same_tenant(&self, account: &ObjectRef<WhatsAppAccount>, base_url: &str) -> Option<String> {
        let account = self.accounts.get(account)?;
        (spelling(&account.spec.base_url) == base_url).then(|| account.spec.session_name_prefix.clone())
    }

    /// Objects other than `uid` that have recorded this remote session of that provider, by their uid.
    fn claimants(&self, id: &SessionId, uid: &str, base_url: &str) -> impl Iterator<Item = (String, index::Entry)> {
        let others = self.index.claimants(id.as_str(), uid).into_iter();
        others.filter(move |(_, other)| self.same_tenant(&other.account, base_url).is_some())
    }

    /// Whether an object other than `uid` has recorded this remote session of that provider.
    fn is_claimed(&self, id: &SessionId, uid: &str, base_url: &str) -> bool {
        self.claimants(id, uid, base_url).next().is_some()
    }

    /// Whether another object has recorded the same session, and has the better claim: the older one, then the lower uid.
    fn is_outclaimed(&self, id: &SessionId, desired: &Desired, base_url: &str) -> bool {
        let mine = (desired.created, &desired.uid);
        self.claimants(id, &desired.uid, base_url).any(|(uid, other)| (other.created, &uid) < mine)
    }

    /// An older object without an id that wants the same remote name. Its name is told within its own namespace only.
    fn rival(&self, session: &WhatsAppSession, desired: &Desired, full_name: &str, base_url: &str) -> Option<String> {
        let mine = (desired.created, desired.uid.clone());
        let others = self.index.namesakes(&session.remote_name(""), &desired.uid);
        let (_, elder) = others.into_iter().find(|(uid, other)| {
            let older = (other.created, uid.clone()) < mine;
            let prefix = || self.same_tenant(&other.account, base_url);
            older && other.id.is_none() && prefix().is_some_and(|p| format!("{p}{}", other.own_name) == full_name)
        })?;
        let near = elder.session.namespace == session.namespace();
        Some(if near { elder.session.name } else { String::new() })
    }
}

fn nothing(account: AccountSight) -> Observed {
    Observed {
        account,
        account_deleting: false,
        full_name: String::new(),
        named: Vec::new(),
        name_state: crate::account::registry::NameState::Free(None),
        rival: None,
        wanted_id_claimed: false,
        outclaimed: false,
        wanted: None,
        prefix: String::new(),
    }
}
