//! The program itself: how it starts, what it says when it cannot, and how it ends.
#![allow(clippy::unwrap_used)]

use std::{
    path::PathBuf,
    process::{Command, Output},
    time::Duration,
};

use devkit::{
    control_plane::{ControlPlane, Options},
    operator::{Operator, Settings},
};
use kube::{Api, api::PostParams, runtime::wait::await_condition};
use serde_json::json;
use tokio::time::timeout;
use whatsapp_operator::api::WhatsAppSession;

const OPERATOR: &str = env!("CARGO_BIN_EXE_whatsapp-operator");

fn run(args: &[&str], kubeconfig: &str) -> Output {
    let mut command = Command::new(OPERATOR);
    // In-cluster files are looked for by these.
    command.env_remove("KUBERNETES_SERVICE_HOST").env("HOME", "/nonexistent").env("KUBECONFIG", kubeconfig);
    command.args(args).output().unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn it_tells_its_version_and_its_flags() {
    let output = run(&["--version"], "");
    assert!(output.status.success() && said(&output).contains(env!("CARGO_PKG_VERSION")), "{}", said(&output));
    let help = said(&run(&["--help"], ""));
    for flag in [
        "watch-namespace",
        "allow-insecure-urls",
        "allowed-host",
        "allow-qr-in-status",
        "deletion-deadline",
        "settle-time",
        "metrics-address",
        "health-address",
        "leader-elect",
        "lease-namespace",
        "lease-name",
        "log-level",
        "log-format",
    ] {
        assert!(help.contains(&format!("--{flag}")), "{flag}: {help}");
    }
}

#[test]
fn a_bad_flag_ends_it_with_a_sentence() {
    for (args, says) in [
        (&["--settle-tme=1s"][..], "unexpected argument"),
        (&["--settle-time=soon"], "not a duration such as 30s or 10m"),
        (&["--watch-namespace=Sales_1"], "not the name of a namespace"),
        (&["--leader-elect"], "--leader-elect outside of a cluster needs --lease-namespace"),
    ] {
        let output = run(args, "");
        assert!(!output.status.success() && said(&output).contains(says), "{args:?}: {}", said(&output));
    }
}

#[test]
fn a_cluster_that_cannot_be_reached_ends_it_with_a_sentence() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("kubeconfig");
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "x",
        "clusters": [{"name": "x", "cluster": {"server": "https://127.0.0.1:9"}}],
        "users": [{"name": "x", "user": {}}],
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
    });
    std::fs::write(&path, config.to_string()).unwrap();
    let output = run(&[], &path.to_string_lossy());
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("Kubernetes at https://127.0.0.1:9/ does not answer"), "{}", said(&output));
    assert!(said(&output).contains("Connection refused"), "why: {}", said(&output));

    let output = run(&[], "/nonexistent/kubeconfig");
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("no Kubernetes configuration can be read"), "{}", said(&output));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_crds_it_waits_and_works_when_they_come() {
    let plane = ControlPlane::start(Options::default()).await.unwrap();
    let log: PathBuf = plane.directory().join("operator.log");
    let settings = Settings {
        binary: OPERATOR.into(),
        kubeconfig: plane.kubeconfig_path(),
        log: log.clone(),
        args: vec!["--log-format=text".to_owned()],
    };
    let operator = Operator::start(plane.guard(), &settings).unwrap();
    // Its log is the only place where waiting shows.
    let waits = async {
        while !std::fs::read_to_string(&log).unwrap_or_default().contains("are not installed") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_mins(1), waits).await.expect("it says that the CRDs are missing");
    let client = plane.client().unwrap();
    devkit::world::install_crds(&client).await;
    let api: Api<WhatsAppSession> = Api::namespaced(client, "default");
    let session = serde_json::from_value(json!({
        "apiVersion": "actiwapi.com/v1alpha1", "kind": "WhatsAppSession", "metadata": {"name": "a"}, "spec": {},
    }));
    api.create(&PostParams::default(), &session.unwrap()).await.unwrap();
    let told = await_condition(api, "a", |session: Option<&WhatsAppSession>| {
        session.and_then(|s| s.status.as_ref()).is_some_and(|status| status.observed_generation == Some(1))
    });
    timeout(Duration::from_mins(1), told).await.expect("it works").unwrap();
    let said = std::fs::read_to_string(&log).unwrap();
    assert_eq!(said.matches("are not installed").count(), 1, "once is enough: {said}");
    let status = operator.stop(Duration::from_secs(20)).await.unwrap();
    assert!(status.success(), "SIGTERM ends it in good order: {status}");
}
