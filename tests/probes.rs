//! Probes and metrics, asked of the program on a real API server against a real provider.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::float_cmp,
    reason = "a test that panics has failed"
)]

use std::{
    collections::BTreeMap,
    path::Path,
    process::{Command, Output},
    time::Duration,
};

use actiwapi_sim::state::faults::{Fault, FaultAction, RetryAfter, Route};
use devkit::{
    World,
    control_plane::{ControlPlane, Options as PlaneOptions},
    operator::{Operator, Settings},
    world::Options,
};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};
use whatsapp_operator::api::{WhatsAppAccount, WhatsAppSession};

const OPERATOR: &str = env!("CARGO_BIN_EXE_whatsapp-operator");
/// Far more than anything here takes; only a fault gets this far.
const PATIENCE: Duration = Duration::from_mins(1);
const OPEN_METRICS: &str = "content-type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n";

fn served() -> Vec<String> {
    vec!["--health-address=127.0.0.1:0".to_owned(), "--metrics-address=127.0.0.1:0".to_owned()]
}

/// Asks again until the answer is as wished.
async fn until<T>(what: &str, mut wished: impl AsyncFnMut() -> Option<T>) -> T {
    let asked = async {
        loop {
            if let Some(found) = wished().await {
                return found;
            }
            // Nobody is woken by a log, nor by a metric.
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, asked).await.unwrap_or_else(|_| panic!("{what}: not within {PATIENCE:?}"))
}

/// Where the log says that `what` is served.
async fn address(log: impl Fn() -> String, what: &str) -> String {
    until(what, async || {
        let log = log();
        let (_, rest) = log.split_once(&format!("serving {what} address="))?;
        Some(rest.lines().next()?.trim().to_owned())
    })
    .await
}

/// Head and body of an answer.
async fn get(address: &str, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: test\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (format!("{head}\r\n"), body.to_owned())
}

fn alone(args: &[&str]) -> Output {
    let mut command = Command::new(OPERATOR);
    // In-cluster files are looked for by these.
    command.env_remove("KUBERNETES_SERVICE_HOST").env("HOME", "/nonexistent").env("KUBECONFIG", "/nonexistent");
    command.args(args).output().unwrap()
}

#[test]
fn an_address_that_is_taken_or_unknown_ends_it_with_a_sentence() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    for flag in ["--metrics-address", "--health-address"] {
        for (address, says) in [
            (taken.as_str(), format!("{flag} {taken}: Address already in use")),
            ("192.0.2.1:80", format!("{flag} 192.0.2.1:80: ")),
            ("host.invalid:80", format!("{flag} host.invalid:80: ")),
        ] {
            let output = alone(&[flag, address]);
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.code() == Some(1) && said.contains(&says), "{flag} {address}: {said}");
        }
    }
    let output = alone(&["--metrics-address", "8080"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(2) && said.contains("not HOST:PORT such as"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_alive_at_once_and_ready_once_the_crds_are_there() {
    let plane = ControlPlane::start(PlaneOptions::default()).await.unwrap();
    let log = plane.directory().join("operator.log");
    let settings = Settings {
        binary: OPERATOR.into(),
        kubeconfig: plane.kubeconfig_path(),
        log: log.clone(),
        args: [served(), vec!["--log-format=text".to_owned()]].concat(),
    };
    let operator = Operator::start(plane.guard(), &settings).unwrap();
    let read = || std::fs::read_to_string(&log).unwrap_or_default();
    let (health, metrics) = (address(read, "probes").await, address(read, "metrics").await);
    until("what is missing", async || {
        let (head, body) = get(&health, "/readyz").await;
        assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
        (body == "the CustomResourceDefinitions of actiwapi.com have not been found yet\n").then_some(())
    })
    .await;
    let (head, body) = get(&health, "/livez").await;
    assert!(head.starts_with("HTTP/1.1 200 ") && body == "alive\n", "{head}{body}");
    let (head, body) = get(&metrics, "/metrics").await;
    assert!(head.contains(OPEN_METRICS) && body.contains("whatsapp_operator_build_info{"), "{head}{body}");
    assert!(!body.contains("whatsapp_operator_sessions"), "nothing is known of sessions: {body}");

    devkit::world::install_crds(&plane.client().unwrap()).await;
    until("ready", async || {
        let (head, body) = get(&health, "/readyz").await;
        (head.starts_with("HTTP/1.1 200 ") && body == "ready\n").then_some(())
    })
    .await;
    for (address, path) in [(&health, "/metrics"), (&metrics, "/readyz"), (&health, "/")] {
        let (head, _) = get(address, path).await;
        assert!(head.starts_with("HTTP/1.1 404 "), "{path}: {head}");
    }
    let status = operator.stop(Duration::from_secs(20)).await.unwrap();
    assert!(status.success(), "SIGTERM ends it in good order: {status}");
    assert!(TcpStream::connect(&health).await.is_err());
}

/// Series and their values.
fn series(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| line.rsplit_once(' ').unwrap())
        .map(|(name, value)| (name.to_owned(), value.parse().unwrap()))
        .collect()
}

/// Calls of each route that the metrics tell, whatever came of them.
fn calls(series: &BTreeMap<String, f64>) -> BTreeMap<String, u64> {
    let mut calls = BTreeMap::new();
    for (name, value) in series {
        let Some(labels) = name.strip_prefix("whatsapp_operator_provider_requests_total{route=\"") else { continue };
        let route = labels.split('"').next().unwrap().to_owned();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small count")]
        let value = *value as u64;
        // A socket's end is counted here, its beginning there.
        if value > 0 && route != "socket" {
            *calls.entry(route).or_default() += value;
        }
    }
    calls
}

/// How many sockets a process listens at.
#[cfg(target_os = "linux")]
fn listeners(pid: u32) -> usize {
    let proc = Path::new("/proc").join(pid.to_string());
    let held: Vec<String> = std::fs::read_dir(proc.join("fd"))
        .unwrap()
        .filter_map(|entry| Some(std::fs::read_link(entry.ok()?.path()).ok()?.to_string_lossy().into_owned()))
        .collect();
    let tables = ["tcp", "tcp6"].map(|table| std::fs::read_to_string(proc.join("net").join(table)).unwrap_or_default());
    let listening = tables.iter().flat_map(|table| table.lines().skip(1)).filter_map(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        (columns.get(3) == Some(&"0A")).then(|| format!("socket:[{}]", columns[9]))
    });
    listening.filter(|socket| held.contains(socket)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metrics_tell_what_is_the_case_and_nothing_secret() {
    let world = World::with(OPERATOR, Options { args: served(), ..Options::default() }).await;
    let metrics = address(|| world.log(), "metrics").await;
    // One failure, so that there is an error to count.
    let failure = FaultAction::Status {
        status: 500,
        code: Some("INTERNAL_ERROR".to_owned()),
        message: None,
        retry_after: None,
        apply: false,
    };
    world.sim.arm(Fault::on(Route::Connect, failure).times(1));
    world.account("default", "demo", json!({})).await;
    world.session("sales", json!({})).await;
    let session = world.pair("sales").await;

    let namespace = &world.namespace;
    let of = |name: &str| format!("whatsapp_operator_{name}{{namespace=\"{namespace}\",account=\"default\"}}");
    let in_phase = |phase: &str| {
        format!("whatsapp_operator_sessions{{namespace=\"{namespace}\",account=\"default\",phase=\"{phase}\"}}")
    };
    let told = until("the same calls here and there", async || {
        let before = world.sim.counts();
        let (head, body) = get(&metrics, "/metrics").await;
        assert!(head.starts_with("HTTP/1.1 200 ") && head.contains(OPEN_METRICS), "{head}");
        let told = series(&body);
        let mut made: BTreeMap<String, u64> = before.iter().map(|(route, n)| ((*route).to_owned(), *n)).collect();
        made.remove("socket");
        let same = before == world.sim.counts() && calls(&told) == made;
        (same && told.get(&in_phase("Connected")) == Some(&1.0) && told.get(&of("account_ready")) == Some(&1.0))
            .then_some(body)
    })
    .await;
    let found = series(&told);
    assert_eq!(found[&in_phase("AwaitingScan")], 0.0);
    assert_eq!(found[&of("account_events_connected")], 1.0);
    assert_eq!(found[&of("account_paused_seconds")], 0.0);
    assert!(found.contains_key(&of("throttled_seconds_total")), "{told}");
    assert_eq!(found["whatsapp_operator_provider_requests_total{route=\"create\",outcome=\"ok\"}"], 1.0);
    assert_eq!(found["whatsapp_operator_provider_requests_total{route=\"connect\",outcome=\"internal\"}"], 1.0);
    assert_eq!(found["whatsapp_operator_provider_request_seconds_count{route=\"create\"}"], 1.0);
    assert!(found["whatsapp_operator_reconciles_total{kind=\"WhatsAppSession\",outcome=\"ok\"}"] >= 1.0, "{told}");
    assert_eq!(told.lines().last(), Some("# EOF"));

    let status = session.status.unwrap();
    let canaries = [
        status.session_id.expect("an id"),
        status.phone_number.expect("a phone number"),
        world.sim.base_url(),
        "demo-password".to_owned(),
        "demo@example.com".to_owned(),
        // Every token here is a JWT.
        "eyJ".to_owned(),
    ];
    for canary in &canaries {
        assert!(!told.contains(canary.as_str()), "the metrics hold {canary}");
    }

    world.delete::<WhatsAppSession>("sales").await;
    until("no session", async || {
        let found = series(&get(&metrics, "/metrics").await.1);
        found
            .iter()
            .filter(|(name, _)| name.starts_with("whatsapp_operator_sessions{"))
            .all(|(_, n)| *n == 0.0)
            .then_some(())
    })
    .await;
    world.delete::<WhatsAppAccount>("default").await;
    until("no account", async || {
        let (_, body) = get(&metrics, "/metrics").await;
        (!body.contains("account=\"")).then_some(())
    })
    .await;
    #[cfg(target_os = "linux")]
    assert_eq!(listeners(world.operator().unwrap().pid()), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn pauses_and_waits_for_the_budget_show() {
    let world = World::with(OPERATOR, Options { args: served(), ..Options::default() }).await;
    let metrics = address(|| world.log(), "metrics").await;
    let slow = json!({"rateLimit": {"requestsPerSecond": 1, "burst": 1}});
    world.account("slow", "demo", slow).await;
    world.until_account("slow", "Ready", "True", "Ready").await;
    let too_many = FaultAction::Status {
        status: 429,
        code: Some("RATE_LIMITED".to_owned()),
        message: None,
        retry_after: Some(RetryAfter::Seconds(600)),
        apply: false,
    };
    world.sim.arm(Fault::on(Route::Create, too_many));
    world.session("sales", json!({"accountRef": {"name": "slow"}})).await;
    let of = |name: &str| format!("whatsapp_operator_{name}{{namespace=\"{}\",account=\"slow\"}}", world.namespace);
    until("a pause", async || {
        let (_, body) = get(&metrics, "/metrics").await;
        (series(&body)[&of("account_paused_seconds")] > 0.0).then_some(())
    })
    .await;
    // Again, because what counts is written before what is read from the caches.
    let (_, told) = get(&metrics, "/metrics").await;
    let found = series(&told);
    assert!((1.0..=600.0).contains(&found[&of("account_paused_seconds")]), "{told}");
    assert!(found[&of("throttled_seconds_total")] > 0.5, "the login took the only token: {told}");
    let refused = "whatsapp_operator_provider_requests_total{route=\"create\",outcome=\"rate_limited\"}";
    assert_eq!(found[refused], 1.0, "{told}");
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn without_the_flags_nothing_listens() {
    let world =
        World::with(OPERATOR, Options { args: vec!["--metrics-address=".to_owned()], ..Options::default() }).await;
    world.account("default", "demo", json!({})).await;
    world.until_account("default", "Ready", "True", "Ready").await;
    assert_eq!(listeners(world.operator().unwrap().pid()), 0);
}
