//! From nothing to a paired session.

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use serde_json::json;

use crate::stage::{RELEASE, Stage};

#[tokio::test(flavor = "multi_thread")]
async fn a_release_is_ready_under_the_restricted_standard_and_every_example_pairs() {
    let stage = Stage::set("examples").await;
    stage.install().await;
    let pod = stage.pod().await;
    assert_eq!(restarts(&pod), 0);
    every_example_pairs(&stage).await;
    assert_eq!(stage.pod().await.uid(), pod.uid());
    assert_eq!(restarts(&stage.pod().await), 0, "the probes are content");
    in_cluster_credentials(&stage, &pod);
    stage.clear().await;
}

fn restarts(pod: &Pod) -> i32 {
    pod.status
        .iter()
        .flat_map(|status| status.container_statuses.iter().flatten())
        .map(|status| status.restart_count)
        .sum()
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
