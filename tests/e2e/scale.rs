//! Many sessions cost one sweep and, once settled, nothing.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use actiwapi_sim::state::faults::Route;
use devkit::{
    World,
    world::{Options, text},
};
use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::Secret;
use kube::api::ListParams;
use serde_json::json;
use whatsapp_operator::api::{WhatsAppAccount, WhatsAppSession};

use crate::{OPERATOR, acts, acts::says};

const SESSIONS: usize = 200;
const WRITES_OF_A_LIFE: usize = 5;

fn name(number: usize) -> String {
    format!("shop-{number:03}")
}

/// How often each kind of write was made.
fn writes(world: &World) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for write in acts::writes(world) {
        *counts.entry(format!("{} {}", write.verb, write.resource)).or_default() += 1;
    }
    counts
}

fn resident_mib(world: &World) -> u64 {
    world.operator().and_then(devkit::operator::Operator::resident_kib).unwrap_or_default() / 1024
}

async fn all_say(world: &World, ready: &str) {
    let (status, reason) = ready.split_once('/').unwrap();
    for number in 0..SESSIONS {
        world.until_condition(&name(number), "Ready", status, reason).await;
    }
}

/// Two hundred sessions at once: one login, few lists, one create and one connect each, and nothing while they rest.
#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_sessions_share_their_looks_and_rest_for_nothing() {
    let options = acts::tenant(|tenant| {
        tenant.session_limit = 1000;
        acts::codes_of(Duration::from_mins(10))(tenant);
    });
    let mut world = World::with(OPERATOR, Options { without_operator: true, ..options }).await;
    world.account("default", "demo", json!({"pollInterval": "1h"})).await;
    let creates = stream::iter(0..SESSIONS).map(|number| {
        let world = &world;
        async move { world.session(&name(number), json!({})).await }
    });
    creates.buffer_unordered(16).for_each(|_| std::future::ready(())).await;
    let begun = Instant::now();
    world.start_operator();
    all_say(&world, "False/AwaitingScan").await;
    eprintln!("{SESSIONS} codes on show after {:?}, {} MiB", begun.elapsed(), resident_mib(&world));

    let calls = world.sim.counts();
    eprintln!("provider: {calls:?}\nKubernetes: {:?}", writes(&world));
    assert_eq!((calls["login"], calls["socket"]), (1, 1));
    assert_eq!((calls["create"], calls["connect"]), (SESSIONS as u64, SESSIONS as u64));
    assert!(calls["list"] <= 9, "three sweeps of at most three pages");
    assert_eq!(calls.get("status"), None, "nobody polls one session");
    assert_eq!(world.sim.sessions("demo").len(), SESSIONS);

    let begun = Instant::now();
    let secrets = world.api::<Secret>().list(&ListParams::default()).await.unwrap();
    let codes: Vec<String> = secrets.items.iter().filter_map(|secret| text(secret, "qr")).collect();
    assert_eq!(codes.len(), SESSIONS);
    for code in codes {
        world.sim.scan_code(&code, None).unwrap();
    }
    all_say(&world, "True/Connected").await;
    eprintln!("{SESSIONS} connected after {:?}, {} MiB", begun.elapsed(), resident_mib(&world));
    let calls = world.sim.counts();
    let told = writes(&world);
    eprintln!("provider: {calls:?}\nKubernetes: {told:?}");
    assert!(calls.get("status").is_none_or(|reads| *reads <= SESSIONS as u64), "one look a scan at most");
    assert_eq!((calls["create"], calls["connect"], calls["login"]), (SESSIONS as u64, SESSIONS as u64, 1));
    assert_eq!((told["create secrets"], told["delete secrets"]), (SESSIONS, SESSIONS));
    assert_eq!(told.get("update secrets"), None);
    assert!(told["patch whatsappsessions"] <= SESSIONS * WRITES_OF_A_LIFE, "{told:?}");

    world
        .patch::<WhatsAppAccount>("default", json!({"spec": {"pollInterval": "10s", "settledPollInterval": "10s"}}))
        .await;
    let counted = |account: &WhatsAppAccount| {
        let sessions = account.status.as_ref().and_then(|status| status.sessions.as_ref());
        sessions.is_some_and(|sessions| usize::try_from(sessions.connected) == Ok(SESSIONS))
            && account.status.as_ref().and_then(|status| status.observed_generation) == account.metadata.generation
    };
    world.until("default", "all are counted", counted).await;
    let before = writes(&world);
    world.sim.reset_requests();
    // Three sweeps of two pages, so two whole intervals.
    acts::calls(&world, Route::List, 6).await;
    eprintln!("at rest: {:?}, {} MiB", world.sim.counts(), resident_mib(&world));
    assert_eq!(world.sim.counts().keys().collect::<Vec<_>>(), [&"list"]);
    assert_eq!(writes(&world), before);
    let sessions = world.api::<WhatsAppSession>().list(&ListParams::default()).await.unwrap();
    assert!(sessions.items.iter().all(|session| says(session, "Ready") == "True/Connected"));
}
