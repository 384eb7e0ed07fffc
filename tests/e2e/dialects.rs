//! Every way in which a provider may send a code ends in the same Secret.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::time::Duration;

use actiwapi_sim::{
    Config,
    config::DEFAULT_TENANT as DEMO,
    state::{
        codes,
        faults::{Fault, FaultAction, Route},
        session::Status,
        tenant::{Dialect, QrFormat, TenantSettings},
    },
};
use devkit::{
    World,
    world::{Options, text},
};
use futures::future::join_all;
use k8s_openapi::{api::core::v1::Secret, jiff::Timestamp};
use kube::ResourceExt;
use serde::Serialize;
use serde_json::json;
use whatsapp_operator::{api::WhatsAppSession, pairing};

use crate::OPERATOR;

/// The provider's word for one of its kinds.
fn word(kind: impl Serialize) -> String {
    serde_json::to_value(kind).unwrap().as_str().unwrap().to_owned()
}

/// A tenant and an account of that name, whose provider speaks so.
async fn account(world: &World, name: &str, dialect: Dialect, qr_format: QrFormat) {
    let settings = TenantSettings { dialect, qr_format, ..TenantSettings::named(name) };
    world.sim.put_tenant(name, settings).unwrap();
    world.account(name, name, json!({})).await;
}

async fn session(world: &World, name: &str, account: &str) -> WhatsAppSession {
    world.session(name, json!({"accountRef": {"name": account}})).await
}

/// What the Secret must be for the code that the provider shows.
fn check(world: &World, session: &WhatsAppSession, secret: &Secret) {
    let name = session.name_any();
    let shown = world.sim.current_code(&name).unwrap().code;
    assert!(text(secret, "qr").as_ref() == Some(&shown), "{name}: another code than the provider's");
    let png = &secret.data.as_ref().unwrap()["qr.png"].0;
    assert!(pairing::recover(png).unwrap().as_ref() == Some(&shown), "{name}: another picture than the provider's");
    let svg = text(secret, "qr.svg").unwrap();
    assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"), "{name}");
    let drawn = pairing::terminal(&shown, pairing::Style::Plain).unwrap();
    assert!(text(secret, "qr.txt") == Some(drawn), "{name}: another text than the provider's");
    let typed = name.starts_with(&word(Dialect::Wrapped)).then(|| codes::pairing_code(&shown));
    assert!(text(secret, "pairingCode") == typed, "{name}: another pairing code than the provider's");

    assert_eq!(secret.type_.as_deref(), Some("actiwapi.com/qr"), "{name}");
    let [owner] = secret.owner_references() else { panic!("{name}: {:?}", secret.owner_references()) };
    assert_eq!(
        (&*owner.kind, &owner.name, Some(&owner.uid)),
        ("WhatsAppSession", &name, session.metadata.uid.as_ref())
    );
    assert_eq!((owner.controller, owner.block_owner_deletion.unwrap_or(false)), (Some(true), false), "{name}");

    let expires: Timestamp = text(secret, "expiresAt").unwrap().parse().unwrap();
    let left = expires.duration_since(Timestamp::now()).as_secs();
    assert!((1..=60).contains(&left), "{name}: the first code lives a minute, and this one {left} s");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_dialect_and_format_ends_in_the_same_secret_and_its_code_pairs() {
    let world = World::start(OPERATOR).await;
    let formats = [QrFormat::Plain, QrFormat::WaMe];
    let cases = Dialect::ALL.into_iter().flat_map(|dialect| formats.map(|format| (dialect, format)));
    let lives = cases.map(async |(dialect, format)| {
        let name = format!("{}-{}", word(dialect), word(format));
        account(&world, &name, dialect, format).await;
        let session = session(&world, &name, &name).await;
        let secret = world.until_qr(&name).await;
        check(&world, &session, &secret);
        let scanned = world.sim.scan_code(&text(&secret, "qr").unwrap(), None).unwrap();
        assert_eq!(scanned.tenant, name);
        world.until_condition(&name, "Ready", "True", "Connected").await;
        world.until_gone::<Secret>(&secret.name_any(), &secret.uid().unwrap()).await;
    });
    join_all(lives).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_two_sessions_that_pair_at_once_gets_its_own_code_only() {
    let world = World::start(OPERATOR).await;
    let named = Dialect::ALL.into_iter().filter(|dialect| *dialect != Dialect::Bare);
    let lives = named.map(async |dialect| {
        let name = word(dialect);
        account(&world, &name, dialect, QrFormat::Plain).await;
        let pair = [format!("{name}-one"), format!("{name}-two")];
        let mut sessions = Vec::new();
        for one in &pair {
            sessions.push(session(&world, one, &name).await);
        }
        // Both show codes before either is looked at.
        for one in &pair {
            world.until_qr(one).await;
        }
        for one in &sessions {
            let secret = world.until_qr(&one.name_any()).await;
            check(&world, one, &secret);
            let scanned = world.sim.scan_code(&text(&secret, "qr").unwrap(), None).unwrap();
            assert_eq!(scanned.id, world.sim.session(&one.name_any()).unwrap().id);
        }
        for one in &pair {
            world.until_condition(one, "Ready", "True", "Connected").await;
        }
    });
    join_all(lives).await;
}

/// Waits until so many sessions await a scan.
async fn until_pending(world: &World, sessions: usize) {
    world
        .until_provider("sessions awaiting a scan", |provider| {
            let all = &provider.tenant(DEMO).unwrap().sessions;
            all.iter().filter(|session| session.status == Status::QrPending).count() == sessions
        })
        .await;
}

/// Waits for a sweep that began after now, and for its answer to be taken in by the sessions.
async fn until_swept(world: &World, times: usize) {
    let before = world.sim.count(Route::List);
    world
        .until_provider("sweeps", |provider| {
            let lists = provider.journal().entries().iter().filter(|call| call.route == Route::List && call.done);
            lists.count() >= before + times
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_names_no_session_is_not_shown_while_two_of_ours_await_one() {
    let tenant = TenantSettings { dialect: Dialect::Bare, ..TenantSettings::default() };
    let simulator = Config { tenant, ..Config::default() };
    let world = World::with(OPERATOR, Options { simulator, ..Options::default() }).await;
    // Every list is read a second after it was asked for: by then both of what begins together have begun.
    let slow = Fault { delay: Duration::from_secs(1), ..Fault::on(Route::List, FaultAction::Pass) };
    world.sim.arm(slow);
    world.account("default", DEMO, json!({})).await;
    let names = ["one", "two"];
    for name in names {
        world.session(name, json!({})).await;
    }
    until_pending(&world, 2).await;
    until_swept(&world, 2).await;
    for name in names {
        world.until_condition(name, "Reconciling", "True", "Connecting").await;
        assert!(world.api::<Secret>().get_opt(&format!("{name}-qr")).await.unwrap().is_none(), "{name}");
    }
    assert!(!world.requests().iter().any(|(verb, what, _)| verb == "create" && what == "secrets"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_names_no_session_is_not_shown_while_somebody_elses_session_awaits_one() {
    let mut tenant = TenantSettings { dialect: Dialect::Bare, ..TenantSettings::default() };
    tenant.timings.qr_first = Duration::from_secs(4);
    tenant.timings.qr_next = Duration::from_secs(5);
    let simulator = Config { tenant, ..Config::default() };
    let world = World::with(OPERATOR, Options { simulator, ..Options::default() }).await;
    // A person at the dashboard is about to scan it.
    world.sim.create_out_of_band(DEMO, "theirs").unwrap();
    world.sim.set_status("theirs", "qr_pending").unwrap();
    world.account("default", DEMO, json!({})).await;
    world.session("ours", json!({})).await;
    until_pending(&world, 2).await;
    let first = world.sim.current_code("ours").unwrap();
    until_swept(&world, 1).await;
    // Once they are done, the next code can only be ours.
    world.sim.set_status("theirs", "disconnected").unwrap();
    let published = text(&world.until_qr("ours").await, "qr").unwrap();
    assert!(published != first.code, "a code was shown that could have been theirs");
    let writes = world.writes().into_iter().filter(|(_, what)| what == "secrets").collect::<Vec<_>>();
    assert_eq!(writes, [("create".to_owned(), "secrets".to_owned())]);
    world.pair("ours").await;
    assert_eq!(world.sim.count(Route::Connect), 1);
}
