//! The cluster of the demo: one of its own, or the one that `DEMO_KUBECONFIG` names.

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use devkit::{
    control_plane::{ControlPlane, Options},
    kubectl::Kubectl,
    process::{Guard, TempDir},
};
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::json;

use crate::Outcome;

/// Where everything happens.
pub struct Cluster {
    client: Client,
    kubectl: Kubectl,
    address: String,
    guard: Guard,
    directory: TempDir,
    /// The user's cluster has none.
    plane: Option<ControlPlane>,
    took: std::time::Duration,
}

impl Cluster {
    /// Starts one, or connects to the named one.
    pub async fn open() -> Outcome<Self> {
        let begun = Instant::now();
        let guard = Guard::new().map_err(|error| format!("processes cannot be guarded: {error}"))?;
        let directory = guard
            .temp_dir("whatsapp-operator-demo-")
            .map_err(|error| format!("no temporary directory can be made: {error}"))?;
        if let Some(named) = std::env::var_os("DEMO_KUBECONFIG").filter(|named| !named.is_empty()) {
            return Self::named(PathBuf::from(named), guard, directory).await;
        }
        let plane = ControlPlane::start(Options::default()).await.map_err(|error| error.to_string())?;
        Ok(Self {
            client: plane.client().map_err(|error| error.to_string())?,
            kubectl: plane.admin().clone(),
            address: plane.url().to_owned(),
            guard,
            directory,
            plane: Some(plane),
            took: begun.elapsed(),
        })
    }

    async fn named(kubeconfig: PathBuf, guard: Guard, directory: TempDir) -> Outcome<Self> {
        // An error means that there is one already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let name = kubeconfig.display().to_string();
        let read = Kubeconfig::read_from(&kubeconfig).map_err(|error| format!("{name}: {error}"))?;
        let config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default())
            .await
            .map_err(|error| format!("{name}: {error}"))?;
        let address = config.cluster_url.to_string();
        let client = Client::try_from(config).map_err(|error| format!("{name}: {error}"))?;
        client.apiserver_version().await.map_err(|error| format!("{address} does not answer: {error}"))?;
        let cache = directory.path().join("kubectl-cache");
        let kubectl = Kubectl { program: PathBuf::from("kubectl"), kubeconfig, cache };
        let took = std::time::Duration::ZERO;
        Ok(Self { client, kubectl, address, guard, directory, plane: None, took })
    }

    /// Whether it is the user's own.
    pub fn is_named(&self) -> bool {
        self.plane.is_none()
    }

    /// One line for people.
    pub fn describe(&self) -> String {
        if self.is_named() {
            format!("Kubernetes: your cluster at {} (DEMO_KUBECONFIG)", self.address)
        } else {
            format!(
                "Kubernetes: kube-apiserver and etcd at {}, ready after {:.1} s",
                self.address,
                self.took.as_secs_f64()
            )
        }
    }

    pub fn client(&self) -> Client {
        self.client.clone()
    }

    pub fn kubeconfig(&self) -> &Path {
        &self.kubectl.kubeconfig
    }

    pub fn program(&self) -> &Path {
        &self.kubectl.program
    }

    pub fn guard(&self) -> &Guard {
        &self.guard
    }

    /// The operator's log.
    pub fn log(&self) -> PathBuf {
        self.directory.path().join("operator.log")
    }

    /// Runs kubectl and returns what it printed.
    pub async fn kubectl(&self, args: &[&str]) -> Outcome<String> {
        self.kubectl_with(args, "").await
    }

    async fn kubectl_with(&self, args: &[&str], input: &str) -> Outcome<String> {
        let told = format!("kubectl {}", args.join(" "));
        let output = self.kubectl.run(args, input).await;
        let output = output.map_err(|error| format!("kubectl cannot be run ({error}); is it installed?"))?;
        Kubectl::said(&output).map_err(|stderr| format!("{told}: {stderr}"))
    }

    /// Makes sure that a namespace exists.
    pub async fn namespace(&self, name: &str) -> Outcome<()> {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        self.kubectl_with(&["apply", "--server-side", "-f", "-"], &namespace.to_string()).await.map(drop)
    }

    /// Applies a manifest.
    pub async fn apply(&self, namespace: &str, manifest: &str) -> Outcome<String> {
        self.kubectl_with(&["-n", namespace, "apply", "-f", "-"], manifest).await
    }

    /// Takes away from the user's cluster what the demo put there, the CRDs excepted.
    pub async fn clean(&self) -> Outcome<()> {
        crate::say(&format!("removing the namespace {} from your cluster; the CRDs stay", crate::NAMESPACE));
        self.kubectl(&["delete", "namespace", crate::NAMESPACE, "--ignore-not-found", "--timeout=60s"]).await.map(drop)
    }
}
