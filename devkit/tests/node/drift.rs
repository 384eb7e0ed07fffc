//! What is declared is what stands there, after all that was done to it.

use kube::ResourceExt;

use crate::stage::{RELEASE, Stage};

/// The lines in which a manifest differs from what stands, as kubectl sees it.
async fn differences(stage: &Stage, namespace: &str, flags: &[&str], manifest: &str) -> Vec<String> {
    let args = [&["--namespace", namespace, "diff", "--server-side", "--filename=-"], flags].concat();
    let output = stage.cluster.kubectl.run(&args, manifest).await.unwrap();
    assert!(matches!(output.status.code(), Some(0 | 1)), "{}", String::from_utf8_lossy(&output.stderr));
    let changed = |line: &&str| line.starts_with(['+', '-']) && !line.starts_with("+++") && !line.starts_with("---");
    // What an apply without --server-side remembers in an annotation, kubectl writes in two ways.
    let remembered = |line: &&str| line[1..].trim_start().starts_with(r#"{"apiVersion":"#);
    let printed = String::from_utf8_lossy(&output.stdout);
    printed.lines().filter(changed).filter(|line| !remembered(line)).map(str::to_owned).collect()
}

const NONE: Vec<String> = Vec::new();

#[tokio::test(flavor = "multi_thread")]
async fn nothing_has_drifted_after_a_lifecycle() {
    let stage = Stage::set("drift").await;
    stage.install().await;
    stage.quickstart().await;
    let declared = stage.example("quickstart.yaml");
    let offline = declared.replace("spec: {}", "spec: {desiredState: Disconnected}");
    assert_ne!(offline, declared);
    let seen = differences(&stage, &stage.namespace, &["--force-conflicts"], &offline).await;
    assert!(seen.iter().any(|line| line.ends_with("desiredState: Disconnected")), "{seen:?}");
    stage.apply(&offline).await;
    stage.until_ready_says("sales", "True/Disconnected").await;
    stage.apply(&declared).await;
    let session = stage.until_ready_says("sales", "True/Connected").await;

    let said = stage.apply(&declared).await;
    // Of a Secret with stringData kubectl always says that it has changed, because the API server keeps it as data.
    let mut ours = said.lines().filter(|line| !line.starts_with("secret/"));
    assert!(ours.all(|line| line.ends_with(" unchanged")), "{said}");
    assert_eq!(differences(&stage, &stage.namespace, &[], &declared).await, NONE);

    let pipeline = "--field-manager=pipeline";
    let args = ["--namespace", &stage.namespace, "apply", "--server-side", pipeline, "--filename=-"];
    for _ in 0..2 {
        // No conflict: the operator owns nothing of what a person declares.
        stage.cluster.kubectl_ok(&args, &declared).await;
        assert_eq!(differences(&stage, &stage.namespace, &[pipeline], &declared).await, NONE);
    }
    let after = stage.noticed("sales").await;
    assert_eq!(after.metadata.generation, session.metadata.generation);
    assert_eq!(after.uid(), session.uid());

    let release = stage.cluster.helm_ok(&["get", "manifest", RELEASE, "--namespace", &stage.system]).await;
    // As somebody else, because Helm also owns annotations that are no part of the manifest.
    assert_eq!(differences(&stage, &stage.system, &[pipeline, "--force-conflicts"], &release).await, NONE);
    stage.clear().await;
}
