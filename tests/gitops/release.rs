//! A release that holds sessions and nothing else, waited for by the real helm.

use std::time::{Duration, Instant};

use devkit::{World, assets, helm};
use whatsapp_operator::api::{WhatsAppAccount, WhatsAppSession};

use crate::OPERATOR;

/// What a pipeline may lose to a bad credential.
const SOON: Duration = Duration::from_secs(15);

/// Installs the chart and waits, for at most five minutes.
async fn install(world: &World, password: &str) -> Result<String, helm::Error> {
    let chart = assets::repository().join("tests/fixtures/sessions");
    let set = format!("baseUrl={},password={password}", world.sim.base_url());
    let namespace = format!("--namespace={}", world.namespace);
    let args = ["install", "sessions", chart.to_str().unwrap(), &namespace, "--set", &set, "--wait", "--timeout=5m"];
    helm::output(Some(&world.plane.kubeconfig_path()), &args).await
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_installed_once_the_phone_has_scanned_and_not_before() {
    let world = World::start(OPERATOR).await;
    let installed = install(&world, "demo-password");
    let scanned = async {
        world.until_qr("sales").await;
        let before = Instant::now();
        world.pair("sales").await;
        before
    };
    let finished = async {
        let said = installed.await;
        (Instant::now(), said)
    };
    let (scan, (end, said)) = tokio::join!(scanned, finished);
    said.unwrap_or_else(|error| panic!("{error}\n{}", world.log_tail()));
    assert!(end > scan, "helm did not wait for the scan");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_fails_at_once_when_a_credential_is_refused() {
    let world = World::start(OPERATOR).await;
    let begun = Instant::now();
    let said = install(&world, "wrong").await.expect_err("the credential is refused").to_string();
    let took = begun.elapsed();
    println!("helm gave up after {took:?}: {said}");
    assert!(took < SOON, "{took:?}");
    for kind in ["WhatsAppAccount", "WhatsAppSession"] {
        assert!(said.contains(kind), "{kind} is not named: {said}");
    }
    let account = world.until_account("default", "Stalled", "True", "CredentialsInvalid").await;
    let session = world.until_condition("sales", "Stalled", "True", "AccountNotReady").await;
    let reconciling = |conditions: &[k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition]| {
        conditions.iter().any(|condition| condition.type_ == "Reconciling")
    };
    let of_account = |account: &WhatsAppAccount| account.status.clone().unwrap().conditions;
    let of_session = |session: &WhatsAppSession| session.status.clone().unwrap().conditions;
    assert!(!reconciling(&of_account(&account)) && !reconciling(&of_session(&session)));
}
