//! The reconcile of an account: may it run, with which credentials, and what has it found out.

use std::{collections::BTreeMap, convert::Infallible, sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Resource, ResourceExt,
    core::NamespaceResourceScope,
    runtime::{controller::Action, reflector::ObjectRef},
};

use super::context::{Context, pause};
use crate::{
    account::{
        Account, Health, Settings,
        credentials::{self, Credentials},
        registry::Standing,
    },
    api::{Reason, WhatsAppAccount, account::SessionCounts, names},
    decide::{AccountScene, Hindrance, account::decide_account, words},
    execute::{
        kubernetes::{Problem, Trouble, within},
        object::{patch_finalizers, patch_status, status_patch, with_finalizer, without_finalizer},
    },
    metrics::Kind,
    provider::{EventsConfig, place::Refused},
};

/// Between two status writes of one account.
const SPACING: Duration = Duration::from_secs(5);
/// Between two tries to read what Kubernetes did not give.
const SOON: Duration = Duration::from_secs(5);

/// Brings one account to life, keeps it supplied, and tells how it is.
pub async fn reconcile(trigger: Arc<WhatsAppAccount>, context: Arc<Context>) -> Result<Action, Infallible> {
    if !context.at_work() {
        return Ok(Action::await_change());
    }
    let mut counted = context.metrics.reconcile(Kind::Account);
    let key = ObjectRef::from_obj(&*trigger);
    let Some(account) = context.sources.accounts.get(&key) else {
        vanished(&key, &context);
        return Ok(Action::await_change());
    };
    let wait = match pass(&key, &account, &context).await {
        Ok(wait) => wait,
        Err(Problem::Conflict) => Some(pause(0)),
        Err(problem) => {
            counted.failed();
            tracing::warn!(account = %key, %problem, "Kubernetes did not take a write");
            Some(pause(3))
        }
    };
    // It may have gone while it was looked at: then what was started for it must not run on, and nobody else will see.
    if context.sources.accounts.get(&key).is_none_or(|now| now.uid() != account.uid()) {
        vanished(&key, &context);
    }
    Ok(wait.map_or_else(Action::await_change, Action::requeue))
}

/// The object is gone: nothing of it may run on, and its sessions learn that.
pub fn vanished(key: &ObjectRef<WhatsAppAccount>, context: &Context) {
    context.sources.registry.remove(key);
    context.looks.forget(key);
    context.ring_sessions_of(key);
}

async fn pass(
    key: &ObjectRef<WhatsAppAccount>,
    account: &WhatsAppAccount,
    context: &Context,
) -> Result<Option<Duration>, Problem> {
    let deleting = account.metadata.deletion_timestamp.is_some();
    let held = account.finalizers().iter().any(|f| f == names::ACCOUNT_FINALIZER);
    let needed_by = context.sources.index.count(key).finalizer;
    if deleting && (!held || needed_by == 0) {
        vanished(key, context);
        if held {
            let left = without_finalizer(account, names::ACCOUNT_FINALIZER);
            write_finalizers(account, context, &left, "removing the finalizer of the account").await?;
        }
        return Ok(None);
    }
    let (hindrance, fresh_for) = look(key, account, context, deleting).await?;
    let standing = hindrance.as_ref().map(|hindrance| {
        let why = hindrance.message.clone();
        if hindrance.stalled { Standing::Stalled(why) } else { Standing::NotReady(why) }
    });
    if context.sources.registry.stand(key, standing) {
        context.ring_sessions_of(key);
    }
    let blocked_by = deleting.then_some(needed_by);
    let wait = report(key, account, context, hindrance.as_ref(), blocked_by).await?;
    Ok(Some(wait.map_or(fresh_for, |wait| wait.min(fresh_for))))
}

/// What keeps the account from running, and how long that answer is good. The Secret is read again by name once an
/// interval in every state, because nothing else tells that it changed; its sessions' changes are no reason to.
async fn look(
    key: &ObjectRef<WhatsAppAccount>,
    account: &WhatsAppAccount,
    context: &Context,
    deleting: bool,
) -> Result<(Option<Hindrance>, Duration), Problem> {
    let good_for = |hindrance: &Option<Hindrance>| match hindrance {
        Some(Hindrance { reason: Reason::Retrying, .. }) => SOON,
        _ => account.spec.poll_every(),
    };
    if let Some((hindrance, age)) = context.looks.last(account)
        && let Some(left) = good_for(&hindrance).checked_sub(age).filter(|left| !left.is_zero())
        && (hindrance.is_some() || context.sources.registry.get(key).is_some())
    {
        return Ok((hindrance, left));
    }
    let hindrance = supply(key, account, context, deleting).await?;
    tracing::trace!(account = %key, hindrance = ?hindrance.as_ref().map(|h| h.reason), "looked");
    context.looks.looked(account, hindrance.clone());
    let left = good_for(&hindrance);
    Ok((hindrance, left))
}

/// Sees to it that the account runs with the credentials its Secret holds now; what keeps it from that otherwise.
async fn supply(
    key: &ObjectRef<WhatsAppAccount>,
    account: &WhatsAppAccount,
    context: &Context,
    deleting: bool,
) -> Result<Option<Hindrance>, Problem> {
    let url = match context.places.admit(&account.spec.base_url) {
        Ok(url) => url,
        Err(refused) => {
            context.sources.registry.remove(key);
            let reason = match refused {
                Refused::Insecure => Reason::InsecureUrl,
                Refused::Host(_) | Refused::Address(_) => Reason::HostNotAllowed,
                Refused::NotAUrl => Reason::InvalidRequest,
            };
            return Ok(Some(Hindrance { reason, message: words::refused(&refused), stalled: true }));
        }
    };
    let credentials = match read_credentials(account, context).await {
        Ok(credentials) => credentials,
        // A running account keeps the credentials it has, for the disconnects of deletions and nothing else.
        Err(hindrance) => return Ok(Some(hindrance)),
    };
    if !deleting && !account.finalizers().iter().any(|f| f == names::ACCOUNT_FINALIZER) {
        let finalizers = with_finalizer(account, names::ACCOUNT_FINALIZER);
        write_finalizers(account, context, &finalizers, "adding the finalizer of the account").await?;
    }
    let settings = settings(account);
    let uid = account.uid().unwrap_or_default();
    if let Some(running) = context.sources.registry.get(key).filter(|running| running.is_of(&uid)) {
        running.configure(settings);
        running.credentials(credentials).await;
        return Ok(None);
    }
    let provider = match (context.open)(&url) {
        Ok(provider) => provider,
        Err(message) => return Ok(Some(Hindrance { reason: Reason::Retrying, message, stalled: false })),
    };
    let running = Account::new(key.clone(), uid, provider, settings, credentials, context.effects.bells.clone());
    context.sources.registry.put(key.clone(), running.clone());
    // A closed channel is a process on its way out.
    let _ = context.births.send(running);
    context.ring_sessions_of(key);
    Ok(None)
}

/// The API of a kind in the account's namespace.
fn beside<K>(account: &WhatsAppAccount, context: &Context) -> Api<K>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
{
    Api::namespaced(context.effects.client.clone(), &account.namespace().unwrap_or_default())
}

fn settings(account: &WhatsAppAccount) -> Settings {
    let spec = &account.spec;
    let events = &spec.events;
    Settings {
        poll: spec.poll_every(),
        settled_poll: spec.settled_poll_every(),
        rate: spec.rate_limit.requests_per_second.unsigned_abs(),
        burst: spec.rate_limit.burst.unsigned_abs(),
        events: events.enabled.then(|| EventsConfig {
            path: events.path.clone(),
            namespace: events.namespace.clone(),
            subscribe: events.subscribe.clone(),
            qr_events: events.qr_events.clone(),
            status_events: events.status_events.clone(),
        }),
    }
}

async fn read_credentials(account: &WhatsAppAccount, context: &Context) -> Result<Credentials, Hindrance> {
    let name = &account.spec.credentials_secret_ref.name;
    let api: Api<Secret> = beside(account, context);
    let secret = match within(api.get_opt(name)).await {
        Ok(Some(secret)) => secret,
        Ok(None) => {
            let message = words::secret_not_found(name);
            return Err(Hindrance { reason: Reason::SecretNotFound, message, stalled: false });
        }
        Err(trouble) => {
            tracing::warn!(account = %account.name_any(), secret = name, %trouble, "the credentials Secret cannot be read");
            let message = words::secret_unreadable(name);
            return Err(Hindrance { reason: Reason::Retrying, message, stalled: false });
        }
    };
    let version = format!("{}/{}", secret.uid().unwrap_or_default(), secret.resource_version().unwrap_or_default());
    let data: BTreeMap<String, Vec<u8>> = secret.data.unwrap_or_default().into_iter().map(|(k, v)| (k, v.0)).collect();
    credentials::read(name, secret.type_.as_deref(), &data, version).map_err(|unusable| Hindrance {
        reason: unusable.reason,
        message: unusable.message,
        stalled: true,
    })
}

/// Writes the status if it differs, at most once in [`SPACING`]; when to look again.
async fn report(
    key: &ObjectRef<WhatsAppAccount>,
    account: &WhatsAppAccount,
    context: &Context,
    hindrance: Option<&Hindrance>,
    blocked_by: Option<usize>,
) -> Result<Option<Duration>, Problem> {
    let running = context.sources.registry.get(key);
    let view = running.as_ref().map(|running| running.view());
    let sessions = counts(key, account, context, running.as_deref());
    let now = context.effects.now();
    let scene = AccountScene { account, hindrance, view: view.as_ref(), sessions: &sessions, blocked_by, now };
    let paused = view.as_ref().and_then(|view| view.paused);
    let Some((status, notices)) = decide_account(&scene) else { return Ok(paused) };
    // The latest version: the finalizer may just have been written.
    let latest = context.sources.accounts.get(key);
    let latest = latest.as_deref().unwrap_or(account);
    let Some(patch) = status_patch(&latest.status.clone().unwrap_or_default(), &status, &[]) else { return Ok(paused) };
    if let Some(left) = context.looks.write_in(key, SPACING) {
        return Ok(Some(left));
    }
    let written = patch_status(&beside(account, context), latest, &patch).await;
    if learn(context, key, written, "writing the status of the account")? {
        context.looks.wrote(key);
        context.effects.announcer.announce(account, &notices);
    }
    Ok(paused)
}

fn counts(
    key: &ObjectRef<WhatsAppAccount>,
    account: &WhatsAppAccount,
    context: &Context,
    running: Option<&Account>,
) -> SessionCounts {
    let number = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
    let count = context.sources.index.count(key);
    let foreign = |(id, name): &(crate::provider::SessionId, String)| {
        name.starts_with(&account.spec.session_name_prefix) && !context.sources.index.is_recorded(id.as_str())
    };
    let listed = running.filter(|running| !matches!(running.view().health, Health::Starting)).map(Account::listed);
    let unmanaged = listed.unwrap_or_default().iter().filter(|session| foreign(session)).count();
    SessionCounts { managed: number(count.all), connected: number(count.connected), unmanaged: number(unmanaged) }
}

async fn write_finalizers(
    account: &WhatsAppAccount,
    context: &Context,
    finalizers: &[String],
    what: &'static str,
) -> Result<(), Problem> {
    let key = ObjectRef::from_obj(account);
    let written = patch_finalizers(&beside(account, context), account, finalizers).await;
    learn(context, &key, written, what).map(drop)
}

/// Takes in what a write returned; false when the object is gone.
fn learn(
    context: &Context,
    key: &ObjectRef<WhatsAppAccount>,
    written: Result<WhatsAppAccount, Trouble>,
    what: &'static str,
) -> Result<bool, Problem> {
    match written {
        Ok(current) => {
            context.sources.accounts.learn(current);
            Ok(true)
        }
        Err(trouble) if trouble.is_not_found() => {
            context.sources.accounts.forget(key);
            Ok(false)
        }
        Err(trouble) if trouble.is_conflict() => Err(Problem::Conflict),
        Err(trouble) => Err(trouble.during(what)),
    }
}
