//! From nothing to a paired session.

use std::process::Stdio;

use devkit::assets;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    process::Command,
};

use crate::stage::{FLAGS, RELEASE, Stage, soon};

#[tokio::test(flavor = "multi_thread")]
async fn a_release_is_ready_under_the_restricted_standard_and_every_example_pairs() {
    let stage = Stage::set("examples").await;
    stage.install().await;
    let pod = stage.pod().await;
    assert_eq!(restarts(&pod), 0);
    every_example_pairs(&stage).await;
    assert_eq!(stage.pod().await.uid(), pod.uid());
    assert_eq!(restarts(&stage.pod().await), 0, "the probes are content");
    assert!(get(&stage, 8081, "/readyz").await.starts_with("HTTP/1.1 200"));
    let metrics = get(&stage, 8080, "/metrics").await;
    assert!(metrics.contains("whatsapp_operator_"), "{metrics}");
    in_cluster_credentials(&stage, &pod);
    stage.clear().await;
}

/// As the head of the file tells, and with what the simulator needs.
fn install_yaml(stage: &Stage) -> String {
    const FLAG: &str = "            - --log-format=json\n";
    let text = std::fs::read_to_string(assets::repository().join("install.yaml")).unwrap();
    assert_eq!((text.matches("\n          image: ").count(), text.matches(FLAG).count()), (1, 1));
    let more = [&FLAGS[..], &["--allow-insecure-urls"]].concat().join("\n            - ");
    let line = |line: &str| match line.split_once("          image: ") {
        Some(("", _)) => format!("          image: {}\n", stage.cluster.image),
        _ => format!("{line}\n"),
    };
    text.lines().map(line).collect::<String>().replace(FLAG, &format!("{FLAG}            - {more}\n"))
}

#[tokio::test(flavor = "multi_thread")]
async fn one_apply_of_install_yaml_is_ready_and_pairs() {
    let stage = Stage::set_with_operator_in("manifest", "whatsapp-operator-system").await;
    let manifest = install_yaml(&stage);
    stage.cluster.kubectl_ok(&["apply", "--server-side", "--filename=-"], &manifest).await;
    let status = ["rollout", "status", "deployment/whatsapp-operator", "--timeout=3m", "--namespace", &stage.system];
    stage.cluster.kubectl_ok(&status, "").await;
    stage.quickstart().await;
    assert_eq!(restarts(&stage.pod().await), 0);
    stage.clear().await;
}

fn restarts(pod: &Pod) -> i32 {
    pod.status
        .iter()
        .flat_map(|status| status.container_statuses.iter().flatten())
        .map(|status| status.restart_count)
        .sum()
}

/// What the Pod answers at one of its ports.
async fn get(stage: &Stage, port: u16, path: &str) -> String {
    let kubectl = &stage.cluster.kubectl;
    let mut forward = Command::new(&kubectl.program)
        .args(["--namespace", &stage.system, "port-forward", "deployment/whatsapp-operator", &format!(":{port}")])
        .env("KUBECONFIG", &kubectl.kubeconfig)
        .env("KUBECACHEDIR", &kubectl.cache)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    // Forwarding from 127.0.0.1:40123 -> 8081
    let mut said = BufReader::new(forward.stdout.take().unwrap()).lines();
    let line = soon("kubectl forwards", said.next_line()).await.unwrap().unwrap();
    let address = line.split_whitespace().nth(2).unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream
        .write_all(format!("GET {path} HTTP/1.1\r\nHost: pod\r\nConnection: close\r\n\r\n").as_bytes())
        .await
        .unwrap();
    let mut answer = String::new();
    soon("the Pod answers", stream.read_to_string(&mut answer)).await.unwrap();
    answer
}

async fn every_example_pairs(stage: &Stage) {
    for (example, paired) in [
        ("quickstart.yaml", &["sales"][..]),
        ("several-sessions.yaml", &["berlin", "madrid", "zurich"]),
        ("publish-in-status.yaml", &["kiosk"]),
    ] {
        stage.apply(&stage.example(example)).await;
        for session in paired {
            stage.pair(session).await;
        }
    }
    stage.apply(&stage.example("on-request-pairing.yaml")).await;
    stage.until_ready_says("support", "False/PairingRequired").await;
    let request = "actiwapi.com/pair-requested-at=2026-01-01T00:00:00Z";
    stage.kubectl(&["annotate", "was", "support", request]).await;
    stage.scan("support-pairing").await;
    stage.until_ready_says("support", "True/Connected").await;
    stage.apply(&stage.example("disconnected-and-suspended.yaml")).await;
    stage.until_ready_says("reserve", "True/Disconnected").await;
    stage.wait(&["was/frozen", "--for=condition=Suspended"]).await;
    assert_eq!(stage.sim.sessions("demo").len(), 7, "one for each, but none for the suspended");
}

/// The audit log is that of a node of this machine.
fn in_cluster_credentials(stage: &Stage, pod: &Pod) {
    let Some(node) = stage.cluster.node() else { return };
    let user = format!("system:serviceaccount:{}:{RELEASE}", stage.system);
    let mut events = node.plane().audit_events_about(&user).unwrap();
    let of_pod = json!([pod.name_any()]);
    events.retain(|event| {
        event["user"]["username"] == user.as_str()
            && event["user"]["extra"]["authentication.kubernetes.io/pod-name"] == of_pod
    });
    assert!(events.len() > 20, "the Pod speaks with its own token: {events:?}");
    events.retain(|event| event["responseStatus"]["code"] == 403);
    assert!(events.is_empty(), "{events:?}");
}
