//! What is declared is what stands there, after all that was done to it.

use kube::ResourceExt;

use crate::stage::{RELEASE, Stage};

/// Whether kubectl sees a difference to what stands; anything but yes and no is a failure.
async fn differs(stage: &Stage, namespace: &str, manager: &str, manifest: &str) -> Option<String> {
    let manager = format!("--field-manager={manager}");
    let args = ["--namespace", namespace, "diff", "--server-side", &manager, "--filename=-"];
    let output = stage.cluster.kubectl.run(&args, manifest).await.unwrap();
    match output.status.code() {
        Some(0) => None,
        Some(1) => Some(String::from_utf8_lossy(&output.stdout).into_owned()),
        _ => panic!("{}", String::from_utf8_lossy(&output.stderr)),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_has_drifted_after_a_lifecycle() {
    let stage = Stage::set("drift").await;
    stage.install().await;
    stage.quickstart().await;
    let declared = stage.example("quickstart.yaml");
    let offline = declared.replace("spec: {}", "spec: {desiredState: Disconnected}");
    assert_ne!(offline, declared);
    assert!(differs(&stage, &stage.namespace, "kubectl", &offline).await.is_some(), "a difference is seen");
    stage.apply(&offline).await;
    stage.until_ready_says("sales", "True/Disconnected").await;
    stage.apply(&declared).await;
    let session = stage.until_ready_says("sales", "True/Connected").await;

    let said = stage.apply(&declared).await;
    assert!(said.lines().all(|line| line.ends_with(" unchanged")), "{said}");
    assert_eq!(differs(&stage, &stage.namespace, "kubectl", &declared).await, None);

    let pipeline = "--field-manager=pipeline";
    let args = ["--namespace", &stage.namespace, "apply", "--server-side", pipeline, "--filename=-"];
    for _ in 0..2 {
        // No conflict: the operator owns nothing of what a person declares.
        stage.cluster.kubectl_ok(&args, &declared).await;
        assert_eq!(differs(&stage, &stage.namespace, "pipeline", &declared).await, None);
    }
    let after = stage.noticed("sales").await;
    assert_eq!(after.metadata.generation, session.metadata.generation);
    assert_eq!(after.uid(), session.uid());

    let release = stage.cluster.helm_ok(&["get", "manifest", RELEASE, "--namespace", &stage.system]).await;
    assert_eq!(differs(&stage, &stage.system, "helm", &release).await, None);
    stage.clear().await;
}
