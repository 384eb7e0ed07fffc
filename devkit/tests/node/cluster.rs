//! The cluster that these tests run on: a node of this machine, or one that the user names.

use std::{
    env,
    net::{IpAddr, Ipv4Addr},
    path::Path,
    process::Output,
};

use devkit::{assets, helm, kubectl::Kubectl, node::Node};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, Client, Config,
    api::ListParams,
    config::{KubeConfigOptions, Kubeconfig},
};
use tokio::sync::OnceCell;

/// The image in the archive of `E2E_ARCHIVE`, or one that the named cluster can pull.
const IMAGE: &str = "E2E_IMAGE";
/// The same image under a second name, on a named cluster.
const NEXT_IMAGE: &str = "E2E_NEXT_IMAGE";
/// The archive that is loaded into the node of this machine.
const ARCHIVE: &str = "E2E_ARCHIVE";
/// The cluster that is used instead of a node of this machine.
const KUBECONFIG: &str = "E2E_KUBECONFIG";
/// The address of this machine at which Pods of that cluster reach it.
const HOST: &str = "E2E_HOST";

/// A cluster with the operator's image.
pub struct Cluster {
    pub kubectl: Kubectl,
    /// Where Pods reach this machine.
    pub host: IpAddr,
    /// The image, as `NAME:TAG`.
    pub image: String,
    /// The same image under another tag.
    pub next_image: String,
    config: Config,
    node: Option<Node>,
}

/// The cluster of this process.
pub async fn shared() -> &'static Cluster {
    static SHARED: OnceCell<Cluster> = OnceCell::const_new();
    SHARED.get_or_init(Cluster::start).await
}

/// Whether the user has named a cluster.
pub fn is_named() -> bool {
    setting(KUBECONFIG).is_some()
}

fn setting(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn needed(name: &str) -> String {
    setting(name).unwrap_or_else(|| panic!("{name} is not set: run `make e2e`, which sets it"))
}

impl Cluster {
    async fn start() -> Self {
        let image = needed(IMAGE);
        let Some(kubeconfig) = setting(KUBECONFIG) else { return Self::of_this_machine(image).await };
        let _ = rustls::crypto::ring::default_provider().install_default();
        let read = Kubeconfig::read_from(&kubeconfig).unwrap_or_else(|error| panic!("{kubeconfig}: {error}"));
        let config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await.unwrap();
        let program = assets::find(assets::Set::Demo).await.unwrap_or_else(|error| panic!("{error}")).join("kubectl");
        let kubectl = Kubectl { program, kubeconfig: kubeconfig.into(), cache: env::temp_dir().join("kubectl-cache") };
        let host = needed(HOST).parse().unwrap_or_else(|error| panic!("{HOST}: {error}"));
        let cluster = Self { kubectl, host, image, next_image: needed(NEXT_IMAGE), config, node: None };
        // The tests remove all of them, and everybody's sessions with them.
        let definitions: Api<CustomResourceDefinition> = Api::all(cluster.client());
        let definitions = definitions.list_metadata(&ListParams::default()).await.unwrap().items;
        let ours =
            definitions.iter().find(|crd| crd.metadata.name.as_deref().is_some_and(|n| n.ends_with(".actiwapi.com")));
        assert!(ours.is_none(), "the cluster of {KUBECONFIG} has sessions already, which these tests would remove");
        cluster
    }

    async fn of_this_machine(image: String) -> Self {
        let archive = needed(ARCHIVE);
        let node = Node::start().await.unwrap_or_else(|error| panic!("{error}"));
        node.import(Path::new(&archive)).await.unwrap_or_else(|error| panic!("{error}"));
        let next_image = format!("{image}-next");
        node.tag(&image, &next_image).await.unwrap_or_else(|error| panic!("{error}"));
        let plane = node.plane();
        let (kubectl, config) = (plane.admin().clone(), plane.config().clone());
        Self { kubectl, host: node.host().into(), image, next_image, config, node: Some(node) }
    }

    /// A new administrator's client; each test needs its own.
    pub fn client(&self) -> Client {
        Client::try_from(self.config.clone()).unwrap()
    }

    /// The node, when it is one of this machine.
    pub fn node(&self) -> Option<&Node> {
        self.node.as_ref()
    }

    /// Where the simulator listens: seen by Pods, and on a machine with a node by nobody else.
    pub fn listen(&self) -> IpAddr {
        if self.node.is_some() { self.host } else { Ipv4Addr::UNSPECIFIED.into() }
    }

    /// Runs helm.
    pub async fn helm(&self, args: &[&str]) -> Output {
        helm::run(Some(&self.kubectl.kubeconfig), args).await.unwrap_or_else(|error| panic!("{error}"))
    }

    /// The same, and it must succeed.
    pub async fn helm_ok(&self, args: &[&str]) -> String {
        helm::output(Some(&self.kubectl.kubeconfig), args).await.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Runs kubectl, which must succeed.
    pub async fn kubectl_ok(&self, args: &[&str], input: &str) -> String {
        let output = self.kubectl.run(args, input).await.unwrap();
        Kubectl::said(&output).unwrap_or_else(|said| panic!("kubectl {args:?}: {said}"))
    }
}
