//! Wires caches, accounts and reconciles together and runs them.
//!
//! `watch` follows objects, `session` and `account` are the two reconciles, `memories` and `looks` are what is remembered
//! between two of them, `context` is what both share; `fenced` and `takeover` are about replicas of which one leads.

mod account;
pub mod context;
mod fenced;
mod looks;
mod memories;
mod session;
mod takeover;
pub mod watch;

use std::{
    convert::Infallible,
    future::ready,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use futures::{Stream, StreamExt, stream};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::ListParams,
    runtime::{
        Controller, WatchStreamExt,
        controller::Action,
        reflector::{self, ObjectRef, store::Writer},
        watcher::Event,
    },
};
use tokio::{
    sync::{mpsc, watch as channel},
    task::JoinSet,
    time::sleep,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use context::{Context, Open};
pub use fenced::Fenced;

use self::{looks::Looks, watch::Change};
use crate::{
    account::{Account, Bells, registry::Registry},
    api::{WhatsAppAccount, WhatsAppSession, names},
    decide::Policy,
    execute::{Effects, WallClock, kubernetes::within, notices},
    metrics::Metrics,
    observe::{Cache, Index, Sources, account_of},
    provider::place::Places,
    runtime::{Leadership, Readiness, Supervisor, supervisor::Ended},
};

/// For calls in flight when the process is asked to stop: longer than one call to the provider may take.
const GRACE: Duration = Duration::from_secs(40);
/// For the writes after such a call, where Kubernetes does not take them at once. Both together fit into the grace period
/// of the chart's Pod.
const RECORDING: Duration = Duration::from_secs(10);
/// Between two looks for the CRDs.
const CRD_PAUSE: Duration = Duration::from_secs(2);

/// What an operator is made of.
pub struct Parts {
    /// Kubernetes.
    pub client: Client,
    /// Namespaces to watch; all when empty.
    pub namespaces: Vec<String>,
    /// What decisions depend on.
    pub policy: Policy,
    /// Which base URLs may be called.
    pub places: Places,
    /// Opens a provider.
    pub open: Open,
    /// Wall time.
    pub wall: WallClock,
    /// Is told when the operator can work.
    pub readiness: Arc<Readiness>,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// Whether this replica works, or stands by.
    pub leadership: Leadership,
}

/// Runs the operator until `stop`; whether everything that was begun has ended then.
///
/// # Errors
/// When a part of it ended unasked.
pub async fn run(parts: Parts, mut supervisor: Supervisor, stop: CancellationToken) -> Result<bool, Ended> {
    let Parts { client, namespaces, policy, places, open, wall, readiness, metrics, leadership } = parts;
    readiness.not_yet("the CustomResourceDefinitions of actiwapi.com have not been found yet");
    tokio::select! {
        biased;
        () = stop.cancelled() => return Ok(true),
        ended = supervisor.fault() => return Err(ended),
        () = wait_for_crds(&client, &namespaces) => {}
    }
    readiness.not_yet("the objects have not all been read");
    let (session_store, session_writer) = reflector::store();
    let (account_store, account_writer) = reflector::store();
    let sources = Arc::new(Sources {
        sessions: Cache::new(session_store.clone()),
        accounts: Cache::new(account_store.clone()),
        index: Index::default(),
        registry: Registry::default(),
    });
    let (announcer, sender) = notices::announcer(client.clone());
    let tasks = TaskTracker::new();
    let (session_bell, session_rings) = mpsc::unbounded_channel();
    let (account_bell, account_rings) = mpsc::unbounded_channel();
    let bells = Bells { sessions: session_bell, accounts: account_bell };
    let effects =
        Effects { client: client.clone(), sources: sources.clone(), bells, announcer, tasks: tasks.clone(), wall };
    let (births, born) = mpsc::unbounded_channel();
    let (synced_tx, synced) = channel::channel(false);
    let (at_work_tx, at_work) = channel::channel(false);
    let (sessions_synced, accounts_synced) = both(move || {
        synced_tx.send_replace(true);
    });
    let context = Arc::new(Context {
        effects,
        sources,
        policy,
        places,
        open,
        memories: memories::Memories::default(),
        looks: Looks::default(),
        births,
        at_work,
        metrics,
    });

    let tap = context.clone();
    let sessions = watch::follow::<WhatsAppSession>(&client, &namespaces).inspect(move |c| note_session(c, &tap));
    let sessions = reflect(sessions, session_writer, sessions_synced)
        .predicate_filter(trigger_of, kube::runtime::PredicateConfig::default());
    let tap = context.clone();
    let accounts = watch::follow::<WhatsAppAccount>(&client, &namespaces).inspect(move |c| note_account(c, &tap));
    let accounts = reflect(accounts, account_writer, accounts_synced)
        .predicate_filter(trigger_of, kube::runtime::PredicateConfig::default());

    let controller = Controller::for_stream(sessions, session_store)
        .reconcile_on(rings(session_rings))
        .graceful_shutdown_on(stop.clone().cancelled_owned())
        .run(session::reconcile, never, context.clone());
    supervisor.spawn("sessions", until(controller, stop.clone()));
    let controller = Controller::for_stream(accounts, account_store)
        .reconcile_on(rings(account_rings))
        .graceful_shutdown_on(stop.clone().cancelled_owned())
        .run(account::reconcile, never, context.clone());
    supervisor.spawn("accounts", until(controller, stop.clone()));
    supervisor.spawn("births", raise(born, context.clone(), stop.clone()));
    supervisor.spawn("events", send(sender, stop.clone()));
    let start = begin(client, namespaces.clone(), context, leadership, readiness, synced, at_work_tx);
    supervisor.spawn("leadership", async move {
        let start = tokio::select! {
            biased;
            () = stop.cancelled() => None,
            start = start => Some(start),
        };
        stop.cancelled().await;
        drop(start);
    });
    tracing::info!(namespaces = ?namespaces, "watching");
    let ended = supervisor.run(GRACE).await;
    // Whatever was sent is recorded before the process goes.
    tasks.close();
    let recorded = tokio::time::timeout(RECORDING, tasks.wait()).await.is_ok();
    if !recorded {
        tracing::warn!("a create is still under way; its outcome is found again after the next start");
    }
    ended.map(|ended| ended && recorded)
}

/// Sets the reconciles to work once the caches are complete and this replica leads. The caches of a stand-by are kept
/// up by its watches, and it is ready with them; its reconciles end at once, because one that waited would stay for each
/// object that ever was.
async fn begin(
    client: Client,
    namespaces: Vec<String>,
    context: Arc<Context>,
    leadership: Leadership,
    readiness: Arc<Readiness>,
    mut synced: channel::Receiver<bool>,
    at_work: channel::Sender<bool>,
) -> channel::Sender<bool> {
    // Its sender lives in the watches, which go on until the end.
    let _ = synced.wait_for(|synced| *synced).await;
    if !leadership.is_unshared() {
        // An upgrade must not exchange a Pod that leads for one that never can.
        readiness.not_yet("the Lease has not been looked at yet");
        leadership.looked().await;
        readiness.ready("ready, standing by");
        leadership.acquired().await;
        takeover::catch_up(&client, &namespaces, &context.sources, &readiness).await;
    }
    // Not before: a stand-by knows what there is, but not how it is, and would be counted beside the leader.
    context.metrics.follow(context.sources.clone());
    readiness.ready("ready");
    at_work.send_replace(true);
    context.ring_all();
    at_work
}

async fn wait_for_crds(client: &Client, namespaces: &[String]) {
    let mut told = false;
    loop {
        let one = ListParams::default().limit(1);
        let (sessions, accounts): (Api<WhatsAppSession>, Api<WhatsAppAccount>) = match namespaces.first() {
            Some(namespace) => (Api::namespaced(client.clone(), namespace), Api::namespaced(client.clone(), namespace)),
            None => (Api::all(client.clone()), Api::all(client.clone())),
        };
        let missing = |answer: Result<(), crate::execute::Trouble>| answer.is_err_and(|trouble| trouble.is_not_found());
        let missing = missing(within(sessions.list(&one)).await.map(drop))
            || missing(within(accounts.list(&one)).await.map(drop));
        if !missing {
            return;
        }
        if !std::mem::replace(&mut told, true) {
            tracing::warn!(
                "the CustomResourceDefinitions of actiwapi.com are not installed (kubectl apply -f crds/); waiting for them"
            );
        }
        sleep(CRD_PAUSE).await;
    }
}

/// Two halves, of which the one that is told last does `then`.
fn both<F: Fn() + Send + Sync>(then: F) -> (impl FnOnce() + Send, impl FnOnce() + Send) {
    let halves = Arc::new((std::sync::atomic::AtomicUsize::new(2), then));
    let half = |halves: Arc<(std::sync::atomic::AtomicUsize, F)>| {
        move || {
            if halves.0.fetch_sub(1, std::sync::atomic::Ordering::AcqRel) == 1 {
                (halves.1)();
            }
        }
    };
    (half(halves.clone()), half(halves))
}

/// Puts changes into the store and hands the objects on. The store is ready from the start, because it is a `Synced`
/// that says when it is complete.
fn reflect<K>(
    changes: impl Stream<Item = Change<K>> + Send,
    mut writer: Writer<K>,
    synced: impl FnOnce() + Send,
) -> impl Stream<Item = Result<K, kube::runtime::watcher::Error>> + Send
where
    K: Resource<DynamicType = ()> + Clone + Send + Sync + 'static,
{
    writer.apply_watcher_event(&Event::Init);
    writer.apply_watcher_event(&Event::InitDone);
    let store = writer.as_reader();
    let mut synced = Some(synced);
    changes.filter_map(move |change| {
        ready(match change {
            Change::Apply(object) => {
                writer.apply_watcher_event(&Event::Apply(object.clone()));
                Some(Ok(object))
            }
            Change::Delete(key) => {
                if let Some(object) = store.get(&key) {
                    writer.apply_watcher_event(&Event::Delete((*object).clone()));
                }
                None
            }
            Change::Synced => {
                if let Some(synced) = synced.take() {
                    synced();
                }
                None
            }
        })
    })
}

/// Keeps the index in step, before anybody is woken by the change.
fn note_session(change: &Change<WhatsAppSession>, context: &Context) {
    match change {
        Change::Apply(session) => {
            if let Some(account) = context.sources.index.put(session) {
                context.ring_account(account);
            }
        }
        Change::Delete(key) => {
            if let Some(session) = context.sources.sessions.gone(key)
                && let Some(uid) = session.uid()
            {
                context.gone(&uid, &account_of(&session));
            }
        }
        Change::Synced => {}
    }
}

fn note_account(change: &Change<WhatsAppAccount>, context: &Context) {
    if let Change::Delete(key) = change {
        context.sources.accounts.gone(key);
        account::vanished(key, context);
    }
}

/// What of an object makes it worth a look: everything but its status, which is our own doing.
#[expect(clippy::unnecessary_wraps, reason = "the shape of a predicate")]
fn trigger_of<K: Resource>(object: &K) -> Option<u64> {
    let mut hasher = DefaultHasher::new();
    object.meta().generation.hash(&mut hasher);
    object.finalizers().hash(&mut hasher);
    object.meta().deletion_timestamp.is_some().hash(&mut hasher);
    for annotation in [names::PAIR_REQUESTED_AT, names::RECONCILE_REQUESTED_AT] {
        object.annotations().get(annotation).hash(&mut hasher);
    }
    Some(hasher.finish())
}

fn rings<K: Resource<DynamicType = ()> + Send + 'static>(
    mut bell: mpsc::UnboundedReceiver<ObjectRef<K>>,
) -> impl Stream<Item = ObjectRef<K>> + Send {
    stream::poll_fn(move |context| bell.poll_recv(context))
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the shape of an error policy")]
fn never<K>(_: Arc<K>, error: &Infallible, _: Arc<Context>) -> Action {
    match *error {}
}

/// Drives a controller. Its graceful end never comes while its first list has not succeeded, so it is not waited for
/// longer than a call may take.
async fn until<T, E: std::fmt::Display>(controller: impl Stream<Item = Result<T, E>>, stop: CancellationToken) {
    let drive = controller.for_each(|outcome| {
        if let Err(error) = outcome {
            // Mostly an object that went while its reconcile was queued.
            tracing::debug!(%error, "not reconciled");
        }
        ready(())
    });
    let overdue = async {
        stop.cancelled().await;
        sleep(GRACE.saturating_sub(Duration::from_secs(1))).await;
    };
    tokio::select! {
        biased;
        () = drive => {}
        () = overdue => {}
    }
}

/// Runs accounts. One that ends unasked ends this task, and with it the process.
async fn raise(mut born: mpsc::UnboundedReceiver<Arc<Account>>, context: Arc<Context>, stop: CancellationToken) {
    let mut running = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            Some(account) = born.recv() => {
                running.spawn(async move {
                    account.run().await;
                    account.is_stopped()
                });
            }
            Some(ended) = running.join_next() => {
                if !matches!(ended, Ok(true)) {
                    tracing::error!("the task of an account ended unexpectedly");
                    return;
                }
            }
            // Calls under way are finished; who waits for leave is turned away.
            () = stop.cancelled() => {
                context.sources.registry.clear();
                return;
            }
        }
    }
}

async fn send(sender: notices::Sender, stop: CancellationToken) {
    tokio::select! {
        () = sender.run() => {}
        () = stop.cancelled() => {}
    }
}
