//! Two replicas with nothing to do, and what a stand-by does, which is nothing.

use std::{path::PathBuf, time::Duration};

use actiwapi_sim::state::faults::Route;
use devkit::{
    control_plane::{ControlPlane, Options},
    operator::{Operator, Settings},
    world::install_crds,
};
use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, api::PostParams, runtime::wait::await_condition};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};
use whatsapp_operator::api::WhatsAppSession;

use crate::{
    OPERATOR,
    pair::{LEASE, PATIENCE, Pair, until},
};

/// Verb and resource of everything a user asked of the API server.
fn requests(pair: &Pair, user: &str) -> Vec<(String, String)> {
    let events = pair.world.plane.audit_events_about(user).unwrap();
    let mine = events.iter().filter(|event| event["impersonatedUser"]["username"] == user);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    mine.map(|event| (text(&event["verb"]), text(&event["objectRef"]["resource"]))).collect()
}

/// The body of a page of a replica, by what its log says of where that is.
async fn page(log: impl Fn() -> String, task: &str, path: &str) -> String {
    let address = until(task, async || {
        let log = log();
        let (_, rest) = log.rsplit_once(&format!("serving {task} address="))?;
        rest.split_once('\n').map(|(address, _)| address.trim().to_owned())
    })
    .await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    format!("{} {body}", head.split(' ').nth(1).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stand_by_is_ready_reads_and_changes_nothing() {
    let mut pair = Pair::new(|_| {}).await;
    pair.start().await;
    for number in 0..3 {
        pair.session(number).await;
    }
    pair.all_are_made_once(3).await;
    pair.world.until_qr("s0").await;

    for (replica, ready, leader) in [(&pair.a, "200 ready\n", "1"), (&pair.b, "200 ready, standing by\n", "0")] {
        until("ready", async || (page(|| replica.log(), "probes", "/readyz").await == ready).then_some(())).await;
        let metrics = page(|| replica.log(), "metrics", "/metrics").await;
        assert!(metrics.contains(&format!("\nwhatsapp_operator_leader {leader}\n")), "{metrics}");
        assert_eq!(metrics.contains("whatsapp_operator_sessions{"), leader == "1", "told once: {metrics}");
    }

    // Three intervals: each has a sweep, not two.
    pair.world.sim.reset_requests();
    sleep(Duration::from_secs(30)).await;
    let sweeps = pair.world.sim.count(Route::List);
    println!("{sweeps} sweeps of two replicas at rest in three intervals");
    assert!((1..=4).contains(&sweeps), "{}", pair.logs());
    assert!(pair.world.sim.requests().iter().all(|call| call.token == Some(1)), "{}", pair.logs());

    let (leading, standing) = (requests(&pair, &pair.a.user), requests(&pair, &pair.b.user));
    let count =
        |of: &[(String, String)], verb, resource| of.iter().filter(|r| (&*r.0, &*r.1) == (verb, resource)).count();
    assert!(count(&standing, "list", "whatsappsessions") > 0, "{standing:?}");
    let reads = |r: &&(String, String)| ["get", "list", "watch"].contains(&r.0.as_str());
    assert!(standing.iter().all(|r| reads(&r)), "a stand-by wrote: {standing:?}");
    assert!(!standing.iter().any(|r| r.1 == "secrets"), "{standing:?}");
    for verb in leading.iter().chain(&standing).filter(|r| r.1 == "leases").map(|r| r.0.as_str()) {
        assert!(["get", "create", "update"].contains(&verb), "{verb} of leases is granted by nobody");
    }
    assert_eq!(count(&leading, "create", "leases"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lease_is_taken_without_crds_and_the_work_begins_when_they_come() {
    let plane = ControlPlane::start(Options::default()).await.unwrap();
    let log: PathBuf = plane.directory().join("operator.log");
    let args = ["--leader-elect", "--lease-namespace=default", "--lease-name=mine", "--log-format=text"];
    let settings = Settings {
        binary: OPERATOR.into(),
        kubeconfig: plane.kubeconfig_path(),
        log: log.clone(),
        args: args.map(str::to_owned).to_vec(),
    };
    let operator = Operator::start(plane.guard(), &settings).unwrap();
    let client = plane.client().unwrap();
    let leases: Api<Lease> = Api::namespaced(client.clone(), "default");
    let held = |lease: Option<&Lease>| lease.and_then(|l| l.spec.as_ref()).is_some_and(|s| s.holder_identity.is_some());
    timeout(PATIENCE, await_condition(leases.clone(), "mine", held)).await.unwrap().unwrap();
    assert!(leases.get_opt(LEASE).await.unwrap().is_none(), "two of other names do not share one");
    let said = || std::fs::read_to_string(&log).unwrap_or_default();
    until("what is missing", async || said().contains("are not installed").then_some(())).await;
    install_crds(&client).await;
    let api: Api<WhatsAppSession> = Api::namespaced(client, "default");
    let session = json!({
        "apiVersion": "actiwapi.com/v1alpha1", "kind": "WhatsAppSession", "metadata": {"name": "a"}, "spec": {},
    });
    api.create(&PostParams::default(), &serde_json::from_value(session).unwrap()).await.unwrap();
    let told = |s: Option<&WhatsAppSession>| {
        s.and_then(|s| s.status.as_ref()).is_some_and(|status| status.observed_generation == Some(1))
    };
    timeout(PATIENCE, await_condition(api, "a", told)).await.unwrap().unwrap();
    assert_eq!(said().matches("are not installed").count(), 1, "{}", said());
    let status = operator.stop(Duration::from_secs(20)).await.unwrap();
    assert!(status.success(), "{status}\n{}", said());
    let released = leases.get("mine").await.unwrap().spec.unwrap();
    assert_eq!(released.holder_identity.unwrap_or_default(), "");
}
