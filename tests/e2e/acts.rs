//! What these tests do and look at again and again.

use std::{future::Future, time::Duration};

use actiwapi_sim::{
    Config,
    state::{faults::Route, session::Session, tenant::TenantSettings},
};
use devkit::{
    World,
    release::Scope,
    world::{Options, condition, text},
};
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::{
    api::core::v1::{Namespace, Secret},
    jiff::Timestamp,
};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, WatchEvent, WatchParams},
    runtime::{conditions, wait::await_condition},
};
use serde_json::{Value, json};
use tokio::{sync::mpsc, task::JoinHandle, time::timeout};
use whatsapp_operator::api::{WhatsAppSession, names};

/// Far more than anything here takes on a busy machine; only a fault gets this far.
const PATIENCE: Duration = Duration::from_mins(2);

/// A world whose tenant differs from the plain one.
pub fn tenant(change: impl FnOnce(&mut TenantSettings)) -> Options {
    let mut simulator = Config::default();
    change(&mut simulator.tenant);
    Options { simulator, ..Options::default() }
}

/// Codes that live so long each.
pub fn codes_of(life: Duration) -> impl FnOnce(&mut TenantSettings) {
    move |tenant| {
        tenant.timings.qr_first = life;
        tenant.timings.qr_next = life;
        tenant.timings.qr_count = 100;
    }
}

/// Waits for something, but not for ever.
pub async fn soon<T>(world: &World, what: &str, wait: impl Future<Output = T>) -> T {
    let Ok(value) = timeout(PATIENCE, wait).await else {
        panic!("{what}: not within {PATIENCE:?}\n{:?}\n{}", world.sim.counts(), world.log_tail());
    };
    value
}

/// Waits until a route got so many calls.
pub async fn calls(world: &World, route: Route, count: usize) {
    let what = format!("{count} calls of {}", route.as_str());
    world.until_provider(&what, |provider| provider.journal().count(route) >= count).await;
}

/// Scans whatever code is published, until the phone takes one.
pub async fn scan(world: &World, secret: &str) -> Secret {
    let taken = |secret: &Secret| text(secret, "qr").is_some_and(|code| world.sim.scan_code(&code, None).is_ok());
    world.until(secret, "a code that the phone takes", taken).await
}

/// A session as it is.
pub async fn now(world: &World, session: &str) -> WhatsAppSession {
    world.api().get(session).await.unwrap()
}

/// The recorded id.
pub fn id(session: &WhatsAppSession) -> String {
    session.status.as_ref().and_then(|status| status.session_id.clone()).unwrap_or_default()
}

/// Status and reason of a condition, such as `True/Connected`; empty without it.
pub fn says(session: &WhatsAppSession, kind: &str) -> String {
    condition(session, kind).map(|c| format!("{}/{}", c.status, c.reason)).unwrap_or_default()
}

/// The only session of the provider.
pub fn remote(world: &World) -> Session {
    let mut sessions = world.sim.sessions("demo");
    assert_eq!(sessions.len(), 1, "{sessions:?}");
    sessions.remove(0)
}

/// Sets an annotation, or removes it.
pub async fn annotate(world: &World, session: &str, key: &str, value: Option<&str>) {
    world.patch::<WhatsAppSession>(session, json!({"metadata": {"annotations": {key: value}}})).await;
}

/// Waits until the operator has looked at everything that happened to the object so far.
pub async fn noticed(world: &World, session: &str) -> WhatsAppSession {
    let request = now(world, session).await.resource_version().unwrap();
    annotate(world, session, names::RECONCILE_REQUESTED_AT, Some(&request)).await;
    let answered = |session: &WhatsAppSession| {
        session.status.as_ref().and_then(|status| status.last_handled_reconcile_at.as_ref()) == Some(&request)
    };
    world.until(session, "an answer to a request to look again", answered).await
}

/// Whether a Secret is there.
pub async fn is_published(world: &World, secret: &str) -> bool {
    world.api::<Secret>().get_opt(secret).await.unwrap().is_some()
}

/// Deletes the namespace and waits until it is gone.
pub async fn delete_namespace(world: &World) {
    if world.scope == Scope::Namespaces {
        // Such rights are a part of the namespace and may end before whatever needs them, so that has to go first.
        let kinds = "whatsappsessions,whatsappaccounts";
        let args = ["--namespace", &world.namespace, "delete", kinds, "--all", "--timeout=2m"];
        world.plane.kubectl_ok(&args).await.unwrap_or_else(|error| panic!("{error}\n{}", world.log_tail()));
    }
    let api: Api<Namespace> = Api::all(world.client.clone());
    let uid = api.get(&world.namespace).await.unwrap().uid().unwrap();
    api.delete(&world.namespace, &DeleteParams::default()).await.unwrap();
    let gone = await_condition(api.clone(), &world.namespace, conditions::is_deleted(&uid));
    soon(world, "the namespace goes", gone).await.unwrap();
}

/// A write of the operator.
#[derive(Debug)]
pub struct Write {
    pub verb: String,
    pub resource: String,
    pub sub: String,
    pub name: String,
    pub at: Timestamp,
}

/// Successful writes of the operator, Events left out.
pub fn writes(world: &World) -> Vec<Write> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let events = world.audit();
    let mine = events.iter().filter(|event| {
        let verb = event["verb"].as_str().unwrap_or_default();
        !["get", "list", "watch"].contains(&verb)
            && event["objectRef"]["resource"] != "events"
            && event["responseStatus"]["code"].as_u64().is_some_and(|code| code < 300)
    });
    mine.map(|event| Write {
        verb: text(&event["verb"]),
        resource: text(&event["objectRef"]["resource"]),
        sub: text(&event["objectRef"]["subresource"]),
        name: text(&event["objectRef"]["name"]),
        at: text(&event["stageTimestamp"]).parse().unwrap(),
    })
    .collect()
}

/// Every version of a session from now on.
pub struct History {
    versions: mpsc::UnboundedReceiver<WhatsAppSession>,
    task: JoinHandle<()>,
}

impl History {
    pub async fn of(world: &World, session: &str) -> Self {
        let api: Api<WhatsAppSession> = world.api();
        let from = now(world, session).await.resource_version().unwrap();
        let params = WatchParams::default().fields(&format!("metadata.name={session}")).timeout(280);
        let (sender, versions) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            let mut events = api.watch(&params, &from).await.unwrap().boxed();
            while let Ok(Some(event)) = events.try_next().await {
                if let WatchEvent::Modified(session) = event {
                    let _ = sender.send(session);
                }
            }
        });
        Self { versions, task }
    }

    /// All versions up to this one.
    pub async fn until(&mut self, world: &World, last: &WhatsAppSession) -> Vec<WhatsAppSession> {
        let mut versions = Vec::new();
        while versions.last().is_none_or(|seen: &WhatsAppSession| seen.resource_version() != last.resource_version()) {
            let next = soon(world, "the last version", self.versions.recv()).await;
            versions.push(next.expect("the watch goes on"));
        }
        versions
    }
}

impl Drop for History {
    fn drop(&mut self) {
        self.task.abort();
    }
}
