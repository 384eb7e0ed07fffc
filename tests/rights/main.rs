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

use devkit::{World, kubectl::Kubectl, release::Scope, world::Options};
use kube::Client;
use serde_json::Value;

mod exact;
mod files;
mod people;
mod secrets;

/// The program under test.
const OPERATOR: &str = env!("CARGO_BIN_EXE_whatsapp-operator");
const PATIENCE: Duration = Duration::from_mins(1);
const PAUSE: Duration = Duration::from_millis(100);

fn of(scope: Scope) -> Options {
    Options { scope: Some(scope), ..Options::default() }.with_quick_codes()
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
