//! What one scenario plays on: a namespace for the operator, one for the objects, and a provider.

use std::{fmt::Debug, future::Future, net::SocketAddr, time::Duration};

use actiwapi_sim::{
    Simulator,
    state::{State, faults::Route},
};
use devkit::{
    assets,
    world::{condition, text},
};
use k8s_openapi::{
    api::core::v1::{Namespace, Pod, Secret},
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
    core::NamespaceResourceScope,
    runtime::{conditions, wait::await_condition},
};
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::{
    sync::{Mutex, MutexGuard},
    time::timeout,
};
use whatsapp_operator::api::{WhatsAppAccount, WhatsAppSession, names};

use crate::cluster::{self, Cluster};

/// The name of the release.
pub const RELEASE: &str = "whatsapp-operator";
/// Far more than anything here takes on a busy machine; only a fault gets this far.
const PATIENCE: Duration = Duration::from_mins(3);
const PATIENCE_OF_TOOLS: &str = "--timeout=3m";
/// The simulator answers at once, and no test should wait longer for an answer that is lost.
pub const FLAGS: [&str; 3] = ["--settle-time=1s", "--deletion-deadline=5s", "--allow-qr-in-status"];
const SELECTOR: &str = "app.kubernetes.io/name=whatsapp-operator";
/// Namespaces that belong to these tests.
const LABEL: &str = "whatsapp-operator-e2e";
/// What the chart defines; sessions need their account to end.
pub const DEFINITIONS: [&str; 2] = ["whatsappsessions.actiwapi.com", "whatsappaccounts.actiwapi.com"];
const BASE_URL: &str = "baseUrl: https://api.actiwapi.com";

/// The definitions belong to the whole cluster, and so to one scenario at a time.
static ALONE: Mutex<()> = Mutex::const_new(());

/// One scenario's part of the cluster.
pub struct Stage {
    pub cluster: &'static Cluster,
    pub client: Client,
    pub sim: Simulator,
    /// Where the operator is.
    pub system: String,
    /// Where the objects are.
    pub namespace: String,
    _alone: MutexGuard<'static, ()>,
}

impl Stage {
    /// An empty cluster with two namespaces, of which that of the operator takes only restricted Pods.
    pub async fn set(name: &str) -> Self {
        Self::set_with_operator_in(name, &format!("{name}-system")).await
    }

    /// The same with a name for the namespace of the operator.
    pub async fn set_with_operator_in(name: &str, system: &str) -> Self {
        let alone = ALONE.lock().await;
        let cluster = cluster::shared().await;
        let (client, namespace, system) = (cluster.client(), name.to_owned(), system.to_owned());
        let listen = SocketAddr::new(cluster.listen(), 0);
        let mut config = actiwapi_sim::Config { listen, ..actiwapi_sim::Config::default() };
        // Every example at once is more than the plan allows otherwise.
        config.tenant.session_limit = 20;
        let sim = Simulator::start(config).await.unwrap();
        let stage = Self { cluster, client, sim, system, namespace, _alone: alone };
        stage.clear().await;
        stage.make_namespace(&stage.namespace, "baseline").await;
        stage.make_namespace(&stage.system, "restricted").await;
        stage
    }

    /// A namespace that enforces this Pod Security standard. Not by kubectl, whose next apply would take the labels away.
    async fn make_namespace(&self, name: &str, standard: &str) {
        let labels = json!({LABEL: "", "pod-security.kubernetes.io/enforce": standard});
        let namespace = serde_json::from_value(json!({"metadata": {"name": name, "labels": labels}})).unwrap();
        Api::<Namespace>::all(self.client.clone()).create(&PostParams::default(), &namespace).await.unwrap();
    }

    /// Removes whatever a scenario has left, by force. Its namespaces have names of their own, and nobody waits for them.
    pub async fn clear(&self) {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let mut ours = namespaces.list(&ListParams::default().labels(LABEL)).await.unwrap().items;
        ours.retain(|namespace| namespace.metadata.deletion_timestamp.is_none());
        for namespace in ours.iter().map(ResourceExt::name_any) {
            for release in self.cluster.helm_ok(&["list", "--short", "--namespace", &namespace]).await.lines() {
                self.cluster.helm_ok(&["uninstall", release, "--namespace", &namespace]).await;
            }
            // What was installed without Helm.
            let deployments = ["delete", "deployment", "--selector", SELECTOR, "--namespace", &namespace];
            self.cluster.kubectl_ok(&deployments, "").await;
            let pods = ["wait", "--for=delete", "pod", "--selector", SELECTOR, "--namespace", &namespace];
            self.cluster.kubectl_ok(&[&pods[..], &[PATIENCE_OF_TOOLS]].concat(), "").await;
        }
        let cluster_wide = "clusterrole,clusterrolebinding,validatingadmissionpolicy,validatingadmissionpolicybinding";
        self.cluster.kubectl_ok(&["delete", cluster_wide, "--selector", SELECTOR], "").await;
        self.release_objects::<WhatsAppSession>().await;
        self.release_objects::<WhatsAppAccount>().await;
        for name in DEFINITIONS {
            remove(Api::<CustomResourceDefinition>::all(self.client.clone()), name).await;
        }
        for namespace in ours {
            let _ = namespaces.delete(&namespace.name_any(), &DeleteParams::default()).await.unwrap();
        }
    }

    /// Nobody looks at the finalizers any more.
    async fn release_objects<K>(&self)
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
    {
        let Ok(objects) = Api::<K>::all(self.client.clone()).list_metadata(&ListParams::default()).await else {
            return;
        };
        for object in objects.items {
            let api: Api<K> = Api::namespaced(self.client.clone(), &object.namespace().unwrap());
            let none = json!({"metadata": {"finalizers": null}});
            let _ = api.patch_metadata(&object.name_any(), &PatchParams::default(), &Patch::Merge(none)).await;
        }
    }

    /// The values that every release here needs, as arguments of helm.
    pub fn values(&self, image: &str) -> Vec<String> {
        let (name, tag) = image.rsplit_once(':').unwrap();
        let host = self.cluster.host;
        let bits = if host.is_ipv4() { 32 } else { 128 };
        [
            &format!("image.repository={name},image.tag={tag}"),
            &format!("provider.allowInsecureUrls=true,provider.allowedCidrs={{{host}/{bits}}}"),
            &format!("extraArgs={{{}}}", FLAGS.join(",")),
            "logging.format=text,logging.level=debug",
        ]
        .map(|value| format!("--set={value}"))
        .to_vec()
    }

    /// The words of helm that bring the chart there under this name, with more of them.
    pub fn words(&self, verb: &str, name: &str, chart: &str, image: &str, more: &[&str]) -> Vec<String> {
        let mut words: Vec<String> =
            [verb, name, chart, "--namespace", &self.system, "--wait", PATIENCE_OF_TOOLS].map(str::to_owned).to_vec();
        words.extend(self.values(image));
        words.extend(more.iter().copied().map(str::to_owned));
        words
    }

    /// Runs helm with such words; it must succeed.
    pub async fn helm(&self, words: &[String]) -> String {
        self.cluster.helm_ok(&words.iter().map(String::as_str).collect::<Vec<_>>()).await
    }

    /// Installs the chart, and returns when its Pod is ready.
    pub async fn install(&self) {
        self.install_with(&[]).await;
    }

    /// The same with more arguments of helm.
    pub async fn install_with(&self, more: &[&str]) {
        self.helm(&self.words("install", RELEASE, &chart(), &self.cluster.image, more)).await;
    }

    /// Uninstalls it, and returns when its Pod is gone.
    pub async fn uninstall(&self) {
        self.cluster.helm_ok(&["uninstall", RELEASE, "--namespace", &self.system, "--wait", PATIENCE_OF_TOOLS]).await;
    }

    /// Runs kubectl in the namespace of the objects; it must succeed.
    pub async fn kubectl(&self, args: &[&str]) -> String {
        self.cluster.kubectl_ok(&[&["--namespace", &self.namespace], args].concat(), "").await
    }

    /// Applies a manifest there.
    pub async fn apply(&self, manifest: &str) -> String {
        let args = ["--namespace", &self.namespace, "apply", "--validate=strict", "--filename=-"];
        self.cluster.kubectl_ok(&args, manifest).await
    }

    /// Runs `kubectl wait` in the namespace of the objects.
    pub async fn wait(&self, args: &[&str]) {
        self.kubectl(&[&["wait", PATIENCE_OF_TOOLS], args].concat()).await;
    }

    /// An example, pointed at the simulator.
    pub fn example(&self, name: &str) -> String {
        let text = std::fs::read_to_string(assets::repository().join("examples").join(name)).unwrap();
        assert!(text.contains(BASE_URL), "{name}");
        text.replace(BASE_URL, &format!("baseUrl: {}", self.base_url()))
    }

    /// Where Pods find the provider.
    pub fn base_url(&self) -> String {
        format!("http://{}", SocketAddr::new(self.cluster.host, self.sim.address().port()))
    }

    /// An API of the namespace of the objects.
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// An API of the namespace of the operator.
    pub fn system_api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), &self.system)
    }

    /// The Pods of the release that are not on their way out.
    pub async fn pods(&self) -> Vec<Pod> {
        let mut pods = self.system_api::<Pod>().list(&ListParams::default().labels(SELECTOR)).await.unwrap().items;
        pods.retain(|pod| pod.metadata.deletion_timestamp.is_none());
        pods
    }

    /// The same when there is one.
    pub async fn pod(&self) -> Pod {
        let mut pods = self.pods().await;
        assert_eq!(pods.len(), 1, "{:?}", pods.iter().map(ResourceExt::name_any).collect::<Vec<_>>());
        pods.remove(0)
    }

    /// Waits until an object is as wished, and returns it.
    pub async fn until<K>(&self, api: Api<K>, name: &str, what: &str, wished: impl Fn(&K) -> bool) -> K
    where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + serde::Serialize + Send + 'static,
    {
        let is_so = |object: Option<&K>| object.is_some_and(&wished);
        if let Ok(object) = timeout(PATIENCE, await_condition(api.clone(), name, is_so)).await {
            return object.unwrap().unwrap();
        }
        let now = serde_json::to_string_pretty(&api.get_opt(name).await.unwrap()).unwrap();
        panic!("{name}: {what}: not within {PATIENCE:?}\n{now}");
    }

    /// Waits for a session that stands like this, such as `True/Connected`.
    pub async fn until_ready_says(&self, session: &str, says: &str) -> WhatsAppSession {
        let stands = |session: &WhatsAppSession| {
            condition(session, "Ready").is_some_and(|c| format!("{}/{}", c.status, c.reason) == says)
        };
        self.until(self.api(), session, &format!("Ready={says}"), stands).await
    }

    /// The phone scans what is published until it takes a code.
    pub async fn scan(&self, secret: &str) {
        let taken = |secret: &Secret| text(secret, "qr").is_some_and(|code| self.sim.scan_code(&code, None).is_ok());
        self.until(self.api(), secret, "a code that the phone takes", taken).await;
    }

    /// The same, and the session is waited for.
    pub async fn pair(&self, session: &str) -> WhatsAppSession {
        self.scan(&format!("{session}-qr")).await;
        self.until_ready_says(session, "True/Connected").await
    }

    /// Applies the first example and pairs its session `sales`.
    pub async fn quickstart(&self) -> WhatsAppSession {
        self.apply(&self.example("quickstart.yaml")).await;
        self.pair("sales").await
    }

    /// Waits until the provider is as wished.
    pub async fn until_provider(&self, what: &str, wished: impl FnMut(&State) -> bool) {
        soon(what, self.sim.wait_until(wished)).await;
    }

    /// Waits until the operator has looked at everything that happened to the object so far.
    pub async fn noticed(&self, session: &str) -> WhatsAppSession {
        let sessions = self.api::<WhatsAppSession>();
        let request = sessions.get_metadata(session).await.unwrap().resource_version().unwrap();
        let annotation = json!({"metadata": {"annotations": {names::RECONCILE_REQUESTED_AT: request}}});
        sessions.patch_metadata(session, &PatchParams::default(), &Patch::Merge(annotation)).await.unwrap();
        let answered = |session: &WhatsAppSession| {
            session.status.as_ref().and_then(|status| status.last_handled_reconcile_at.as_ref()) == Some(&request)
        };
        self.until(sessions, session, "an answer to a request to look again", answered).await
    }

    /// How many sessions the provider was asked for.
    pub fn creates(&self) -> usize {
        self.sim.count(Route::Create)
    }

    /// The same, and how many times one was to be connected.
    pub fn creates_and_connects(&self) -> (usize, usize) {
        (self.creates(), self.sim.count(Route::Connect))
    }

    /// How many times this one was to be connected.
    pub fn connects_of(&self, id: &str) -> usize {
        let calls = self.sim.requests();
        calls.iter().filter(|call| call.route == Route::Connect && call.session.as_deref() == Some(id)).count()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let kubectl = &self.cluster.kubectl;
        let selector = &format!("--selector={SELECTOR}");
        for words in [
            &["get", "pods,whatsapp", "--all-namespaces", "--output=wide"][..],
            &["--namespace", &self.system, "describe", "pods"],
            &["--namespace", &self.system, "logs", selector, "--tail=60", "--prefix"],
        ] {
            let mut command = std::process::Command::new(&kubectl.program);
            command.args(words).env("KUBECONFIG", &kubectl.kubeconfig).env("KUBECACHEDIR", &kubectl.cache);
            let said = command.output().map(|output| [output.stdout, output.stderr].concat()).unwrap_or_default();
            eprintln!("--- kubectl {words:?}\n{}", String::from_utf8_lossy(&said));
        }
        if let Some(node) = self.cluster.node() {
            eprintln!("{}", node.log_tail(20));
        }
    }
}

/// The chart.
pub fn chart() -> String {
    assets::repository().join("charts/whatsapp-operator").to_string_lossy().into_owned()
}

/// Waits for something, but not for ever.
pub async fn soon<T>(what: &str, wait: impl Future<Output = T>) -> T {
    timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("{what}: not within {PATIENCE:?}"))
}

/// Deletes an object and waits until it is gone, if it is there.
pub async fn remove<K>(api: Api<K>, name: &str)
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let Some(object) = api.get_metadata_opt(name).await.unwrap() else { return };
    let _ = api.delete(name, &DeleteParams::default()).await.unwrap();
    until_gone(api, name, &object.uid().unwrap()).await;
}

/// Waits until an object is gone.
pub async fn until_gone<K>(api: Api<K>, name: &str, uid: &str)
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let gone = Box::pin(await_condition(api, name, conditions::is_deleted(uid)));
    soon(&format!("{name} goes"), gone).await.unwrap();
}
