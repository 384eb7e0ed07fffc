//! A chart of somebody else that holds nothing but a Secret, an account and a session.

use std::time::{Duration, Instant};

use devkit::assets;

use crate::stage::Stage;

/// Tools that wait for minutes for a wrong password make a pipeline red when everybody has gone.
const FAST: Duration = Duration::from_secs(15);

fn words(stage: &Stage, password: &str) -> Vec<String> {
    let chart = assets::repository().join("tests/fixtures/sessions");
    let values = format!("--set=baseUrl={},password={password}", stage.base_url());
    let chart = chart.to_string_lossy();
    ["install", "sessions", &chart, "--namespace", &stage.namespace, "--wait", "--timeout=3m", &values]
        .map(str::to_owned)
        .to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_of_sessions_is_complete_once_they_are_paired() {
    let stage = Stage::set("declared").await;
    stage.install().await;
    let words = words(&stage, "demo-password");
    let (said, ()) = tokio::join!(stage.helm(&words), stage.scan("sales-qr"));
    assert!(said.contains("STATUS: deployed"), "{said}");
    stage.wait(&["was/sales", "--for=condition=Ready", "--timeout=0"]).await;
    stage.clear().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_with_a_wrong_password_fails_at_once() {
    let stage = Stage::set("wrong").await;
    stage.install().await;
    let words = words(&stage, "wrong");
    let begun = Instant::now();
    let output = stage.cluster.helm(&words.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let took = begun.elapsed();
    assert!(!output.status.success());
    assert!(took < FAST, "{took:?}: {}", String::from_utf8_lossy(&output.stderr));
    println!("helm failed after {took:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    assert_eq!(stage.creates_and_connects(), (0, 0));
    stage.clear().await;
}
