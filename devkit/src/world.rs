//! One test's world: a namespace on a control plane, a simulator, and an operator process with the rights that the chart
//! gives it, which are those of the namespace or of the cluster.
#![expect(
    clippy::panic,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "this is test code, and a panic is how a test fails"
)]

mod life;
mod plane;
mod requests;

use std::{
    fmt::Debug,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use actiwapi_sim::{
    Config, Simulator,
    state::{State, journal::Entry},
};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, Client, Resource,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
    core::NamespaceResourceScope,
    runtime::{conditions, wait::await_condition},
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::timeout;
use whatsapp_operator::api::{WhatsAppAccount, WhatsAppSession, crd};

use self::plane::Plane;
use crate::{
    control_plane::ControlPlane,
    operator::{Operator, Settings},
    release::{Release, Scope},
};

/// Far more than anything here takes on a busy machine; only a fault gets this far.
const PATIENCE: Duration = Duration::from_mins(2);
const LOG_LINES: usize = 60;

/// How a world differs from the plain one.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The simulator.
    pub simulator: Config,
    /// More flags for the operator.
    pub args: Vec<String>,
    /// Do not start the operator yet.
    pub without_operator: bool,
    /// Run the operator without `--allow-insecure-urls`: it then calls no simulator.
    pub secure: bool,
    /// Run the operator with the chart's election of a leader. Whoever is killed then keeps the others waiting.
    pub leader_elect: bool,
    /// Whose rights the operator has; as the environment says without it.
    pub scope: Option<Scope>,
    /// Changes the objects of the release before they are installed.
    pub change_release: Option<fn(&mut Vec<Value>)>,
}

/// One test's world. Everything in it ends when it is dropped.
pub struct World {
    /// The control plane, shared with other tests unless the operator watches everything.
    pub plane: &'static ControlPlane,
    /// An administrator's client.
    pub client: Client,
    /// The provider.
    pub sim: Simulator,
    /// The namespace.
    pub namespace: String,
    /// Whose rights the operator has.
    pub scope: Scope,
    /// Where it has them from.
    pub release: Release,
    settings: Settings,
    operator: Option<Operator>,
    // Given back when the operator has ended.
    _plane: Plane,
}

static NAMESPACES: AtomicUsize = AtomicUsize::new(0);

impl World {
    /// A world with the operator `binary` running in it.
    pub async fn start(binary: &str) -> Self {
        Self::with(binary, Options::default()).await
    }

    /// A world of a special kind.
    ///
    /// # Panics
    /// When any of it cannot be started.
    pub async fn with(binary: &str, options: Options) -> Self {
        let scope = options.scope.map_or_else(Scope::from_environment, Ok).unwrap_or_else(|error| panic!("{error}"));
        let held = match scope {
            Scope::Namespaces => Plane::shared().await,
            Scope::Cluster => Plane::alone().await,
        };
        let held = held.unwrap_or_else(|error| panic!("{error}"));
        let plane = held.plane;
        let client = plane.client().unwrap_or_else(|error| panic!("{error}"));
        let number = NAMESPACES.fetch_add(1, Ordering::Relaxed);
        let namespace = format!("test-{}-{number}", std::process::id());
        create_namespace(&client, &namespace).await;
        let sim = Simulator::start(options.simulator).await.unwrap_or_else(|error| panic!("{error}"));
        let mut release = Release::of(scope, &namespace).await.unwrap_or_else(|error| panic!("{error}"));
        if let Some(change) = options.change_release {
            change(&mut release.objects);
        }
        let token = release.install(&client).await.unwrap_or_else(|error| panic!("{error}"));
        let kubeconfig = plane.write_kubeconfig(&release.name, &token).unwrap_or_else(|error| panic!("{error}"));
        let mut args = vec![
            "--log-format=text".to_owned(),
            "--log-level=trace".to_owned(),
            // A lost answer shows at once here, and no test should wait longer for it.
            "--settle-time=1s".to_owned(),
        ];
        if scope == Scope::Namespaces {
            args.push(format!("--watch-namespace={namespace}"));
        }
        if !options.secure {
            args.push("--allow-insecure-urls".to_owned());
        }
        if options.leader_elect {
            args.extend(release.election());
        }
        args.extend(options.args);
        let log = plane.directory().join(format!("operator-{namespace}.log"));
        let settings = Settings { binary: Path::new(binary).to_path_buf(), kubeconfig, log, args };
        let mut world = Self { plane, client, sim, namespace, scope, release, settings, operator: None, _plane: held };
        if !options.without_operator {
            world.start_operator();
        }
        world
    }

    /// Starts the operator, which must not be running.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start_operator(&mut self) {
        let operator = Operator::start(self.plane.guard(), &self.settings);
        self.operator = Some(operator.unwrap_or_else(|error| panic!("{error}")));
    }

    /// Takes the operator out of the world, to be stopped or killed.
    ///
    /// # Panics
    /// When it is not running.
    pub fn take_operator(&mut self) -> Operator {
        self.operator.take().expect("the operator is running")
    }

    /// The running operator.
    #[must_use]
    pub fn operator(&self) -> Option<&Operator> {
        self.operator.as_ref()
    }

    /// The kubeconfig of the operator's account.
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        &self.settings.kubeconfig
    }

    /// Everything the operator has logged, over all its starts.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.settings.log).unwrap_or_default()
    }

    /// An API of this namespace.
    #[must_use]
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Creates an object from its JSON, kind and version left out.
    ///
    /// # Panics
    /// When the API server refuses it.
    pub async fn create<K>(&self, object: Value) -> K
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + Debug
            + DeserializeOwned
            + serde::Serialize,
    {
        let mut object = object;
        object["apiVersion"] = json!(K::api_version(&()));
        object["kind"] = json!(K::kind(&()));
        let object: K = serde_json::from_value(object).unwrap_or_else(|error| panic!("{error}"));
        self.api().create(&PostParams::default(), &object).await.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Merge-patches an object.
    ///
    /// # Panics
    /// When the API server refuses it.
    pub async fn patch<K>(&self, name: &str, patch: Value) -> K
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned,
    {
        let patched = self.api::<K>().patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await;
        patched.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Deletes an object and returns at once.
    ///
    /// # Panics
    /// When the API server refuses it.
    pub async fn delete<K>(&self, name: &str)
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned,
    {
        let deleted = self.api::<K>().delete(name, &DeleteParams::default()).await;
        deleted.map_or_else(|error| panic!("{error}"), drop);
    }

    /// Credentials for a tenant of the simulator.
    pub async fn credentials(&self, name: &str, keys: Value) -> Secret {
        self.create(json!({"metadata": {"name": name}, "type": "actiwapi.com/credentials", "stringData": keys})).await
    }

    /// An account with the credentials of the simulator's tenant, both of that name; `spec` is merged into its spec.
    pub async fn account(&self, name: &str, tenant: &str, spec: Value) -> WhatsAppAccount {
        let keys = json!({"email": format!("{tenant}@example.com"), "password": format!("{tenant}-password")});
        self.credentials(&format!("{name}-credentials"), keys).await;
        self.bare_account(name, spec).await
    }

    /// An account without its Secret.
    pub async fn bare_account(&self, name: &str, spec: Value) -> WhatsAppAccount {
        let mut full = json!({
            "baseUrl": self.sim.base_url(),
            "credentialsSecretRef": {"name": format!("{name}-credentials")},
            "pollInterval": "10s",
            "rateLimit": {"requestsPerSecond": 100, "burst": 100},
        });
        merge(&mut full, spec);
        self.create(json!({"metadata": {"name": name}, "spec": full})).await
    }

    /// A session.
    pub async fn session(&self, name: &str, spec: Value) -> WhatsAppSession {
        self.create(json!({"metadata": {"name": name}, "spec": spec})).await
    }

    /// Waits until an object is as wished, and returns it.
    ///
    /// # Panics
    /// When it is not in time, with the object and the operator's log.
    pub async fn until<K>(&self, name: &str, what: &str, wished: impl Fn(&K) -> bool) -> K
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + Debug
            + DeserializeOwned
            + serde::Serialize
            + Send
            + 'static,
    {
        let condition = |object: Option<&K>| object.is_some_and(&wished);
        match timeout(PATIENCE, await_condition(self.api::<K>(), name, condition)).await {
            Ok(Ok(Some(object))) => object,
            Ok(Ok(None)) => panic!("{what}: there is no {name}"),
            Ok(Err(error)) => panic!("{what}: {error}"),
            Err(_) => {
                let now = self.api::<K>().get_opt(name).await;
                let now = now.map(|object| serde_json::to_string_pretty(&object).unwrap_or_default());
                panic!("{what}: not within {PATIENCE:?}\n{}\n{}", now.unwrap_or_default(), self.log_tail());
            }
        }
    }

    /// The last lines of the operator's log.
    #[must_use]
    pub fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines.get(lines.len().saturating_sub(LOG_LINES)..).unwrap_or_default().join("\n")
    }

    /// Waits until an object is gone.
    ///
    /// # Panics
    /// When it is not in time.
    pub async fn until_gone<K>(&self, name: &str, uid: &str)
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + Debug
            + DeserializeOwned
            + Send
            + 'static,
    {
        let gone = await_condition(self.api::<K>(), name, conditions::is_deleted(uid));
        assert!(
            timeout(PATIENCE, gone).await.is_ok_and(|gone| gone.is_ok()),
            "{name} is not gone\n{}",
            self.log_tail()
        );
    }

    /// Waits for a session whose condition of that type has that status and reason.
    pub async fn until_condition(&self, session: &str, kind: &str, status: &str, reason: &str) -> WhatsAppSession {
        let what = format!("{session}: {kind}={status}/{reason}");
        self.until(session, &what, |s: &WhatsAppSession| {
            condition(s, kind).is_some_and(|c| c.status == status && c.reason == reason)
        })
        .await
    }

    /// Waits for an account whose condition of that type has that status and reason.
    pub async fn until_account(&self, account: &str, kind: &str, status: &str, reason: &str) -> WhatsAppAccount {
        let what = format!("{account}: {kind}={status}/{reason}");
        self.until(account, &what, |a: &WhatsAppAccount| {
            let conditions = a.status.iter().flat_map(|s| &s.conditions);
            conditions.into_iter().any(|c| c.type_ == kind && c.status == status && c.reason == reason)
        })
        .await
    }

    /// Waits until the session's code is in its Secret, which is returned.
    pub async fn until_qr(&self, session: &str) -> Secret {
        self.until_condition(session, "Ready", "False", "AwaitingScan").await;
        self.until(&format!("{session}-qr"), "the QR Secret", |secret: &Secret| text(secret, "qr.png").is_some()).await
    }

    /// The QR that is published for a session is scanned, and the session waited for.
    ///
    /// # Panics
    /// When what is published is not what the provider shows.
    pub async fn pair(&self, session: &str) -> WhatsAppSession {
        let secret = self.until_qr(session).await;
        let code = text(&secret, "qr").expect("a QR as text");
        self.sim.scan_code(&code, None).unwrap_or_else(|error| panic!("{session}: {error}"));
        self.until_condition(session, "Ready", "True", "Connected").await
    }

    /// The Events about an object, oldest first: type, reason, note.
    ///
    /// # Panics
    /// When they cannot be listed.
    pub async fn events(&self, name: &str) -> Vec<(String, String, String)> {
        let events = self.api::<Event>().list(&ListParams::default()).await.unwrap_or_else(|error| panic!("{error}"));
        let mut events: Vec<_> = events
            .items
            .into_iter()
            .filter(|event| event.regarding.as_ref().and_then(|r| r.name.as_deref()) == Some(name))
            .collect();
        events.sort_by_key(|event| event.event_time.clone().map(|time| time.0));
        let text = |text: Option<String>| text.unwrap_or_default();
        events.into_iter().map(|event| (text(event.type_), text(event.reason), text(event.note))).collect()
    }

    /// Waits for an Event with this reason about an object.
    ///
    /// # Panics
    /// When there is none in time.
    pub async fn until_event(&self, name: &str, reason: &str) -> String {
        let sent = |event: &Event| {
            event.reason.as_deref() == Some(reason)
                && event.regarding.as_ref().and_then(|r| r.name.as_deref()) == Some(name)
        };
        let wait = async {
            use futures::{StreamExt, TryStreamExt};
            use kube::runtime::{WatchStreamExt, watcher};
            let events = watcher(self.api::<Event>(), watcher::Config::default()).default_backoff().applied_objects();
            let mut events = std::pin::pin!(events.try_filter(|event| std::future::ready(sent(event))));
            loop {
                if let Some(Ok(event)) = events.next().await {
                    return event.note.unwrap_or_default();
                }
            }
        };
        if let Ok(note) = timeout(PATIENCE, wait).await {
            return note;
        }
        panic!("no Event {reason} about {name}: {:?}\n{}", self.events(name).await, self.log_tail());
    }

    /// Waits until the provider is as wished.
    ///
    /// # Panics
    /// When it is not in time, with the calls it got and the operator's log.
    pub async fn until_provider(&self, what: &str, wished: impl FnMut(&State) -> bool) {
        let reached = timeout(PATIENCE, self.sim.wait_until(wished)).await.is_ok();
        assert!(reached, "{what}: not within {PATIENCE:?}\n{:?}\n{}", self.sim.counts(), self.log_tail());
    }

    /// Makes sure that the provider gets no such call for as long as `window`.
    ///
    /// # Panics
    /// At once when it gets one.
    pub async fn no_call(&self, what: &str, window: Duration, such: impl Fn(&Entry) -> bool) {
        let count = |provider: &State| provider.journal().entries().iter().filter(|call| such(call)).count();
        let before = self.sim.read(count);
        let quiet = timeout(window, self.sim.wait_until(|provider| count(provider) > before)).await.is_err();
        assert!(quiet, "{what} is called after all\n{}", self.log_tail());
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the operator's log\n{}", self.log_tail());
        }
    }
}

/// A condition of a session.
#[must_use]
pub fn condition<'a>(
    session: &'a WhatsAppSession,
    kind: &str,
) -> Option<&'a k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition> {
    session.status.as_ref()?.conditions.iter().find(|condition| condition.type_ == kind)
}

/// A key of a Secret, as text; pictures come out damaged but there.
#[must_use]
pub fn text(secret: &Secret, key: &str) -> Option<String> {
    secret.data.as_ref()?.get(key).map(|value| String::from_utf8_lossy(&value.0).into_owned())
}

fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}

async fn create_namespace(client: &Client, name: &str) {
    let namespace: Namespace =
        serde_json::from_value(json!({"metadata": {"name": name}})).unwrap_or_else(|error| panic!("{error}"));
    let created = Api::<Namespace>::all(client.clone()).create(&PostParams::default(), &namespace).await;
    created.map_or_else(|error| panic!("{error}"), drop);
}

/// Installs the CRDs and waits until they are served.
///
/// # Panics
/// When the API server refuses them.
pub async fn install_crds(client: &Client) {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    for (_, crd) in crd::all() {
        let name = crd["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let params = PatchParams::apply("devkit").force();
        let applied = api.patch(&name, &params, &Patch::Apply(&crd)).await;
        applied.map_or_else(|error| panic!("{error}"), drop);
        let established = await_condition(api.clone(), &name, conditions::is_crd_established());
        let established = timeout(PATIENCE, established).await;
        assert!(established.is_ok_and(|e| e.is_ok()), "{name} is not established");
    }
}
