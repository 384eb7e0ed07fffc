//! Every example is applied as it stands and reaches its state.

use std::{collections::BTreeSet, fs, path::PathBuf};

use actiwapi_sim::state::{faults::Route, session::Status};
use devkit::{
    World, assets,
    world::{Options, text},
};
use k8s_openapi::api::core::v1::Secret;
use whatsapp_operator::api::WhatsAppSession;

use crate::{OPERATOR, acts, acts::says};

const BASE_URL: &str = "baseUrl: https://api.actiwapi.com";

fn directory() -> PathBuf {
    assets::repository().join("examples")
}

/// Runs kubectl in the world's namespace and returns what it printed.
async fn kubectl(world: &World, args: &[&str]) -> String {
    let args = [&["--namespace", &world.namespace][..], args].concat();
    world.plane.kubectl_ok(&args).await.unwrap_or_else(|error| panic!("{error}\n{}", world.log_tail()))
}

/// Applies an example, pointed at the simulator.
async fn apply(world: &World, example: &str) {
    let text = fs::read_to_string(directory().join(example)).unwrap();
    assert!(text.contains(BASE_URL), "{example}");
    let text = text.replace(BASE_URL, &format!("baseUrl: {}", world.sim.base_url()));
    let args = ["--namespace", &world.namespace, "apply", "--validate=strict", "--filename=-"];
    let applied = world.plane.kubectl_with_stdin(&args, &text).await.unwrap();
    assert!(applied.status.success(), "{example}: {}", String::from_utf8_lossy(&applied.stderr));
}

async fn applied(example: &str) -> World {
    let world = World::start(OPERATOR).await;
    apply(&world, example).await;
    world
}

async fn wait(world: &World, args: &[&str]) {
    kubectl(world, &[&["wait", "--timeout=2m"][..], args].concat()).await;
}

/// The command that the comments tell to draw a code in a terminal.
async fn drawn(world: &World, secret: &str) -> String {
    kubectl(world, &["get", "secret", secret, "-o", r#"go-template={{index .data "qr.txt" | base64decode}}"#]).await
}

#[test]
fn each_has_a_test() {
    let paths = fs::read_dir(directory()).unwrap().map(|entry| entry.unwrap().path());
    let examples = paths.filter(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    let source = include_str!("examples.rs");
    for example in examples {
        assert!(source.contains(&format!("{:?}", example.file_name().unwrap())), "{}", example.display());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn quickstart() {
    let world = applied("quickstart.yaml").await;
    let secret = world.until_qr("sales").await;
    assert_eq!(Some(drawn(&world, "sales-qr").await), text(&secret, "qr.txt"));
    acts::scan(&world, "sales-qr").await;
    wait(&world, &["was/sales", "--for=condition=Ready"]).await;
    assert_eq!(acts::remote(&world).name, "sales");
}

#[tokio::test(flavor = "multi_thread")]
async fn on_request_pairing() {
    let world = applied("on-request-pairing.yaml").await;
    wait(&world, &["was/support", "--for=condition=Provisioned"]).await;
    world.until_condition("support", "Ready", "False", "PairingRequired").await;
    assert_eq!(acts::remote(&world).name, "Support team");
    assert!(!acts::is_published(&world, "support-pairing").await);
    let request = r#"actiwapi.com/pair-requested-at="2026-01-01T00:00:00Z""#;
    kubectl(&world, &["annotate", "--overwrite", "was", "support", request]).await;
    world.until_condition("support", "Ready", "False", "AwaitingScan").await;
    assert!(!drawn(&world, "support-pairing").await.is_empty());
    acts::scan(&world, "support-pairing").await;
    wait(&world, &["was/support", "--for=condition=Ready"]).await;
    assert!(!acts::is_published(&world, "support-pairing").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_sessions() {
    let world = applied("several-sessions.yaml").await;
    for session in ["berlin", "madrid", "zurich"] {
        world.until_qr(session).await;
        acts::scan(&world, &format!("{session}-qr")).await;
    }
    wait(&world, &["was", "berlin", "madrid", "zurich", "--for=condition=Ready"]).await;
    let names: BTreeSet<String> = world.sim.sessions("demo").into_iter().map(|session| session.name).collect();
    assert_eq!(names, BTreeSet::from(["shop berlin", "shop madrid", "shop Zürich"].map(str::to_owned)));
    wait(&world, &["waa/shops", "--for=jsonpath={.status.sessions.connected}=3"]).await;
    let printed = kubectl(&world, &["get", "waa", "shops"]).await;
    let row: Vec<&str> = printed.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(row[..6], ["shops", "True", "Ready", "True", "3", "3"]);
    let calls = world.sim.counts();
    assert_eq!((calls["login"], calls["socket"]), (1, 1), "they share one login and one event stream");
    let printed = kubectl(&world, &["get", "whatsapp", "--output=name"]).await;
    assert_eq!(printed.lines().count(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn disconnected_and_suspended() {
    let world = applied("disconnected-and-suspended.yaml").await;
    world.until_condition("reserve", "Ready", "True", "Disconnected").await;
    world.until_condition("frozen", "Suspended", "True", "Suspended").await;
    let reserve = acts::remote(&world);
    assert_eq!((reserve.name.as_str(), reserve.status), ("reserve", Status::Disconnected));
    assert_eq!(world.sim.count(Route::Connect), 0);

    kubectl(&world, &["patch", "was", "reserve", "--type=merge", "-p", r#"{"spec":{"desiredState":"Connected"}}"#])
        .await;
    world.pair("reserve").await;
    kubectl(&world, &["patch", "was", "frozen", "--type=merge", "-p", r#"{"spec":{"suspend":false}}"#]).await;
    world.pair("frozen").await;
    kubectl(&world, &["delete", "was", "frozen", "reserve", "--timeout=1m"]).await;
    let connected = |name: &str| world.sim.session(name).is_some_and(|session| session.is_connected());
    assert_eq!((connected("frozen"), connected("reserve")), (true, false), "frozen is left as it is");
}

#[tokio::test(flavor = "multi_thread")]
async fn publish_in_status_where_it_is_allowed() {
    let options = Options { args: vec!["--allow-qr-in-status".to_owned()], ..Options::default() };
    let world = World::with(OPERATOR, options).await;
    apply(&world, "publish-in-status.yaml").await;
    wait(&world, &["was/kiosk", "--for=jsonpath={.status.pairing.qr}"]).await;
    let code = kubectl(&world, &["get", "was", "kiosk", "-o", "jsonpath={.status.pairing.qr}"]).await;
    let secret: Secret = world.api().get("kiosk-qr").await.unwrap();
    assert_eq!(text(&secret, "qr"), Some(code));
    world.pair("kiosk").await;
    assert_eq!(kubectl(&world, &["get", "was", "kiosk", "-o", "jsonpath={.status.pairing.qr}"]).await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn publish_in_status_where_it_is_not_allowed() {
    let world = applied("publish-in-status.yaml").await;
    let session = world.until_condition("kiosk", "Stalled", "True", "NotAllowed").await;
    assert_eq!(says(&session, "Ready"), "False/NotAllowed");
    let printed = kubectl(&world, &["get", "was", "kiosk"]).await;
    assert!(printed.contains("NotAllowed"), "{printed}");
    world.until_account("default", "Ready", "True", "Ready").await;
    let session: WhatsAppSession = acts::noticed(&world, "kiosk").await;
    assert_eq!(says(&session, "Provisioned"), "False/NotProvisioned", "it is not even created");
    assert!(world.sim.sessions("demo").is_empty() && !acts::is_published(&world, "kiosk-qr").await);
}
