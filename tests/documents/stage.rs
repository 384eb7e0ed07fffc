//! A cluster, a provider with a phone, and a reader's desk.

use std::{fs, time::Duration};

use actiwapi_sim::{Config, Simulator};
use devkit::{
    control_plane::{ControlPlane, Options},
    documents::{self, Desk, Suite},
    operator::{Operator, Settings},
    world::text,
};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, runtime::wait::await_condition};
use serde_json::Value;
use tokio::{
    sync::{Mutex, MutexGuard},
    time::timeout,
};

/// Far more than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_mins(2);
const PROVIDER: &str = "https://api.actiwapi.com";
const SIMULATOR: &str = "http://localhost:8080";
pub const SYSTEM: &str = "whatsapp-operator-system";

/// A control plane takes half a gigabyte.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

pub struct Stage {
    operator: Option<Operator>,
    pub sim: Simulator,
    pub desk: Desk,
    pub plane: ControlPlane,
    starts: usize,
    _alone: MutexGuard<'static, ()>,
}

impl Stage {
    pub async fn new() -> Self {
        let alone = ONE_AT_A_TIME.lock().await;
        let plane = ControlPlane::start(Options { with_controller_manager: true, ..Options::default() }).await.unwrap();
        let sim = Simulator::start(Config::default()).await.unwrap();
        // The reader's provider is the simulator. Their image is never pulled: no Pod runs here.
        let desk = Desk::new(&plane.kubeconfig_path(), &[(PROVIDER, &sim.base_url()), (SIMULATOR, &sim.base_url())])
            .await
            .unwrap();
        Self { operator: None, sim, desk, plane, starts: 0, _alone: alone }
    }

    /// Runs the blocks of a chapter and returns what they printed.
    pub async fn run(&self, document: &str, chapter: &str) -> Vec<String> {
        let mut printed = Vec::new();
        for block in documents::chapter(document, &Suite::ControlPlane, chapter).unwrap() {
            printed.push(self.desk.run(&block).await.unwrap_or_else(|said| panic!("{said}\n{}", self.log())));
        }
        printed
    }

    /// Runs one block of a chapter.
    pub async fn run_one(&self, document: &str, chapter: &str, number: usize) -> String {
        let block = documents::chapter(document, &Suite::ControlPlane, chapter).unwrap().swap_remove(number);
        self.desk.run(&block).await.unwrap_or_else(|said| panic!("{said}\n{}", self.log()))
    }

    /// Runs kubectl, which must succeed.
    pub async fn kubectl(&self, args: &[&str]) -> String {
        self.plane.kubectl_ok(args).await.unwrap_or_else(|error| panic!("{error}\n{}", self.log()))
    }

    /// Runs the operator as the Pod of this Deployment would: with its flags and the token of its account.
    pub async fn start_operator(&mut self, deployment: &str) {
        let found = self.kubectl(&["-n", SYSTEM, "get", "deployment", deployment, "-o", "json"]).await;
        let found: Value = serde_json::from_str(&found).unwrap();
        let pod = &found["spec"]["template"]["spec"];
        let account = pod["serviceAccountName"].as_str().unwrap();
        let token = self.kubectl(&["-n", SYSTEM, "create", "token", account]).await;
        let flags = pod["containers"][0]["args"].as_array().unwrap().iter().map(|flag| flag.as_str().unwrap());
        // What depends on the machine is left to it, the reader's files are on the desk instead of in a volume, and the
        // simulator is neither encrypted nor public.
        let flags = flags
            .filter(|flag| !flag.contains("-address="))
            .map(|flag| flag.replace("/etc/provider-ca", &self.desk.directory().display().to_string()));
        let more = ["--allow-insecure-urls", "--health-address=127.0.0.1:0"].map(str::to_owned);
        self.starts += 1;
        let settings = Settings {
            binary: env!("CARGO_BIN_EXE_whatsapp-operator").into(),
            kubeconfig: self.plane.write_kubeconfig(&format!("operator-{}", self.starts), token.trim()).unwrap(),
            log: self.plane.directory().join("operator.log"),
            args: flags.chain(more).collect(),
        };
        self.operator = Some(Operator::start(self.plane.guard(), &settings).unwrap());
    }

    /// Stops the operator as the removal of its Deployment does.
    pub async fn stop_operator(&mut self) {
        let operator = self.operator.take().expect("the operator runs");
        assert!(operator.stop(PATIENCE).await.unwrap().success());
    }

    /// Scans the code that is published for the session called sales.
    pub async fn scan(&self, namespace: &str) {
        let secrets: Api<Secret> = Api::namespaced(self.plane.client().unwrap(), namespace);
        let shown = |secret: Option<&Secret>| secret.is_some_and(|secret| text(secret, "qr").is_some());
        let secret = timeout(PATIENCE, await_condition(secrets, "sales-qr", shown)).await;
        let secret = secret.unwrap_or_else(|_| panic!("no code is shown\n{}", self.log())).unwrap().unwrap();
        self.sim.scan_code(&text(&secret, "qr").unwrap(), None).unwrap();
    }

    fn log(&self) -> String {
        let log = fs::read_to_string(self.plane.directory().join("operator.log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    /// Ends everything.
    pub async fn end(mut self) {
        if self.operator.is_some() {
            self.stop_operator().await;
        }
        self.plane.stop().await.unwrap();
    }
}
