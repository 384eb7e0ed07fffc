//! Who may do what: the operator with the rights that the chart gives it, and people with Kubernetes' own roles. Everything is
//! asked of a real API server.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics has failed"
)]

use std::{process::Output, time::Duration};

use devkit::{
    World,
    kubectl::Kubectl,
    release::Scope,
    world::{Options, text},
};
use k8s_openapi::api::core::v1::Secret;
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use whatsapp_operator::api::WhatsAppSession;

mod exact;
mod files;
mod people;
mod secrets;

/// The program under test.
const OPERATOR: &str = env!("CARGO_BIN_EXE_whatsapp-operator");
const PATIENCE: Duration = Duration::from_mins(1);
const PAUSE: Duration = Duration::from_millis(100);

fn of(scope: Scope) -> Options {
    let mut options = Options { scope: Some(scope), ..Options::default() };
    options.simulator.tenant.timings.qr_first = Duration::from_secs(3);
    options.simulator.tenant.timings.qr_next = Duration::from_secs(3);
    options.simulator.tenant.timings.qr_count = 100;
    options
}

/// Create, two codes, scan, Ready, disconnect, connect, delete.
async fn whole_life(world: &World) {
    world.account("default", "demo", json!({})).await;
    world.session("sales", json!({})).await;
    let first = world.until_qr("sales").await;
    let other = |secret: &Secret| text(secret, "qr").is_some_and(|code| Some(code) != text(&first, "qr"));
    world.until("sales-qr", "the next code", other).await;
    world.pair("sales").await;
    for (desired, reason) in [("Disconnected", "Disconnected"), ("Connected", "Connected")] {
        world.patch::<WhatsAppSession>("sales", json!({"spec": {"desiredState": desired}})).await;
        world.until_condition("sales", "Ready", "True", reason).await;
    }
    let session = world.api::<WhatsAppSession>().get("sales").await.unwrap();
    world.delete::<WhatsAppSession>("sales").await;
    world.until_gone::<WhatsAppSession>("sales", &session.uid().unwrap()).await;
}

/// A client of somebody else's.
fn client_of(world: &World, user: &str) -> Client {
    let mut config = world.plane.config().clone();
    config.auth_info.impersonate = Some(user.to_owned());
    Client::try_from(config).unwrap()
}

/// Asks until the answer is the wished one: what is written takes effect a moment later.
async fn until<T: std::fmt::Debug>(ask: impl AsyncFn() -> T, wished: impl Fn(&T) -> bool) -> T {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let answer = ask().await;
        if wished(&answer) {
            return answer;
        }
        assert!(tokio::time::Instant::now() < deadline, "not within {PATIENCE:?}: {answer:?}");
        tokio::time::sleep(PAUSE).await;
    }
}

/// kubectl in the world's namespace, as an administrator unless the arguments say otherwise.
async fn kubectl(world: &World, args: &[&str], input: &Value) -> Output {
    let input = if input.is_null() { String::new() } else { input.to_string() };
    let args = [&["--namespace", &world.namespace][..], args].concat();
    world.plane.kubectl_with_stdin(&args, &input).await.unwrap()
}

/// What it printed, or why it failed.
async fn said(world: &World, args: &[&str], input: &Value) -> Result<String, String> {
    Kubectl::said(&kubectl(world, args, input).await)
}
