//! Codes are shown in a window, in our own Secret, and no longer than needed.

use std::{collections::BTreeSet, time::Duration};

use actiwapi_sim::state::{
    State,
    faults::{Fault, FaultAction, Route},
};
use devkit::{
    World,
    world::{Options, condition, text},
};
use k8s_openapi::{
    api::core::v1::Secret,
    jiff::{SignedDuration, Timestamp},
};
use kube::{Resource, ResourceExt};
use serde_json::{Value, json};
use whatsapp_operator::{
    api::{Phase, WhatsAppSession, names},
    pairing,
};

use crate::{OPERATOR, acts, acts::says};

/// A session called sales of an account called default.
async fn unpaired(options: Options, spec: Value) -> World {
    let world = World::with(OPERATOR, options).await;
    world.account("default", "demo", json!({})).await;
    world.session("sales", spec).await;
    world
}

fn shown(state: &State) -> Option<String> {
    let session = state.tenant("demo")?.sessions.first()?;
    session.shown.as_ref().map(|shown| shown.code.clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_socket_is_up_before_connect_is_sent() {
    let world = unpaired(Options::default(), json!({})).await;
    acts::calls(&world, Route::Connect, 1).await;
    let calls = world.sim.requests();
    let first = |route: Route| calls.iter().position(|call| call.route == route).unwrap();
    assert!(first(Route::Socket) < first(Route::Connect), "{calls:#?}");
    assert!(calls[first(Route::Socket)].applied);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_event_stream_is_down_no_connect_is_sent() {
    let options = Options { without_operator: true, ..Options::default() };
    let mut world = World::with(OPERATOR, options).await;
    world.sim.arm(Fault::on(Route::Socket, FaultAction::ResetBefore));
    world.start_operator();
    world.account("default", "demo", json!({})).await;
    world.session("sales", json!({})).await;
    world.until_condition("sales", "Provisioned", "True", "Created").await;
    world.until_account("default", "EventsConnected", "False", "Offline").await;
    acts::calls(&world, Route::Socket, 2).await;
    let session = acts::now(&world, "sales").await;
    assert_eq!(
        (says(&session, "Ready"), says(&session, "Reconciling")),
        ("False/Connecting".into(), "True/Connecting".into())
    );
    assert_eq!(world.sim.count(Route::Connect), 0);
    world.sim.disarm_all();
    world.pair("sales").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_secret_is_ours_and_holds_the_code_in_every_form() {
    let world = unpaired(Options::default(), json!({})).await;
    let secret = world.until_qr("sales").await;
    let session = acts::now(&world, "sales").await;
    assert_eq!(secret.type_.as_deref(), Some(names::QR_TYPE));
    let owners = secret.owner_references();
    assert_eq!(owners.len(), 1);
    assert_eq!(
        (owners[0].kind.as_str(), owners[0].name.as_str(), &owners[0].uid),
        ("WhatsAppSession", "sales", session.meta().uid.as_ref().unwrap())
    );
    assert_eq!((owners[0].controller, owners[0].block_owner_deletion), (Some(true), None));
    let keys: BTreeSet<&str> = secret.data.iter().flatten().map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys, BTreeSet::from(["expiresAt", "qr", "qr.png", "qr.svg", "qr.txt"]));

    let code = world.sim.current_code("sales").unwrap().code;
    assert_eq!(text(&secret, "qr").as_ref(), Some(&code));
    let png = &secret.data.as_ref().unwrap()["qr.png"].0;
    assert_eq!(pairing::recover(png).unwrap(), Some(code));
    let expires: Timestamp = text(&secret, "expiresAt").unwrap().parse().unwrap();
    let left = expires.duration_since(Timestamp::now());
    assert!(left > SignedDuration::ZERO && left <= SignedDuration::from_mins(1), "{left:?}");
    let status = session.status.unwrap();
    assert_eq!(status.pairing.as_ref().and_then(|p| p.secret_ref.as_ref()).map(|r| r.name.as_str()), Some("sales-qr"));
    assert_eq!((status.pairing.and_then(|p| p.qr), status.phase), (None, Some(Phase::AwaitingScan)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_that_ends_hides_the_code_and_says_how_to_ask_for_another() {
    let options = acts::tenant(|tenant| {
        tenant.timings.qr_first = Duration::from_secs(8);
        tenant.timings.qr_next = Duration::from_secs(4);
        tenant.timings.qr_count = 3;
    });
    let world = unpaired(options, json!({"pairing": {"window": "10s"}})).await;
    let secret = world.until_qr("sales").await;
    let session = world.until_condition("sales", "Stalled", "True", "PairingRequired").await;
    assert_eq!(
        (says(&session, "Ready"), says(&session, "Reconciling")),
        ("False/PairingRequired".into(), String::new())
    );
    let message = &condition(&session, "Stalled").unwrap().message;
    assert!(
        message.contains("kubectl annotate --overwrite was sales") && message.contains(names::PAIR_REQUESTED_AT),
        "{message}"
    );
    assert!(!acts::is_published(&world, "sales-qr").await);
    // The provider's own codes run out a little later, and that is no reason to begin again either.
    world.until_provider("the codes run out", |state| shown(state).is_none()).await;
    acts::noticed(&world, "sales").await;
    assert_eq!(world.sim.count(Route::Connect), 1);
    assert!(!acts::is_published(&world, "sales-qr").await);

    acts::annotate(&world, "sales", names::PAIR_REQUESTED_AT, Some("now")).await;
    let next = world.until_qr("sales").await;
    assert_ne!(secret.uid(), next.uid());
    world.pair("sales").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn codes_that_run_out_within_the_window_are_asked_for_again() {
    let options = acts::tenant(|tenant| {
        tenant.timings.qr_first = Duration::from_secs(3);
        tenant.timings.qr_count = 1;
    });
    let world = unpaired(options, json!({})).await;
    world.until_qr("sales").await;
    acts::calls(&world, Route::Connect, 2).await;
    acts::scan(&world, "sales-qr").await;
    world.until_condition("sales", "Ready", "True", "Connected").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_request_nothing_is_shown_until_somebody_asks() {
    let world = unpaired(Options::default(), json!({"pairing": {"mode": "OnRequest", "secretName": "code"}})).await;
    let session = world.until_condition("sales", "Stalled", "True", "PairingRequired").await;
    assert_eq!(says(&session, "Provisioned"), "True/Created");
    acts::noticed(&world, "sales").await;
    assert_eq!(world.sim.count(Route::Connect), 0);
    assert!(!acts::is_published(&world, "code").await);

    acts::annotate(&world, "sales", names::PAIR_REQUESTED_AT, Some("2026-01-01T00:00:00Z")).await;
    acts::scan(&world, "code").await;
    let session = world.until_condition("sales", "Ready", "True", "Connected").await;
    let handled = session.status.unwrap().pairing.and_then(|pairing| pairing.last_handled_request);
    assert_eq!(handled.as_deref(), Some("2026-01-01T00:00:00Z"));
}

/// A Secret that has the name of our own keeps us from showing a code, and nothing else comes of it.
async fn foreign(secret: impl AsyncFnOnce(&World) -> Secret, ask: bool) {
    let world = World::start(OPERATOR).await;
    world.session("other", json!({"suspend": true})).await;
    let before = secret(&world).await;
    world.account("default", "demo", json!({})).await;
    world.session("sales", json!({})).await;
    let session = world.until_condition("sales", "Stalled", "True", "SecretConflict").await;
    assert!(condition(&session, "Stalled").unwrap().message.contains("sales-qr"));
    acts::noticed(&world, "sales").await;
    let same: Secret = world.api().get("sales-qr").await.unwrap();
    assert_eq!((same.resource_version(), same.data.clone()), (before.resource_version(), before.data.clone()));

    world.delete::<Secret>("sales-qr").await;
    if ask {
        acts::noticed(&world, "sales").await;
    }
    world.pair("sales").await;
    world.create::<Secret>(json!({"metadata": {"name": "sales-qr"}, "stringData": {"mine": "too"}})).await;
    world.delete::<WhatsAppSession>("sales").await;
    world.until_gone::<WhatsAppSession>("sales", &session.uid().unwrap()).await;
    assert!(acts::is_published(&world, "sales-qr").await, "deletion touches no foreign Secret either");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_of_another_type_is_never_touched() {
    let opaque = async |world: &World| {
        world.create(json!({"metadata": {"name": "sales-qr"}, "type": "Opaque", "stringData": {"mine": "x"}})).await
    };
    foreign(opaque, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_of_another_owner_is_never_touched() {
    let owned = async |world: &World| {
        let owner = acts::now(world, "other").await.controller_owner_ref(&()).unwrap();
        let metadata = json!({"name": "sales-qr", "ownerReferences": [owner]});
        world.create(json!({"metadata": metadata, "type": names::QR_TYPE, "stringData": {"qr": "x"}})).await
    };
    foreign(owned, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_in_the_status_only_when_asked_for_and_only_until_the_scan() {
    let options = acts::tenant(acts::codes_of(Duration::from_secs(4)));
    let options = Options { args: vec!["--allow-qr-in-status".to_owned()], ..options };
    let world = unpaired(options, json!({"pairing": {"publishInStatus": true}})).await;
    let code = |session: &WhatsAppSession| session.status.as_ref()?.pairing.as_ref()?.qr.clone();
    let first = world.until("sales", "a code", |session| code(session).is_some()).await;
    let first = code(&first);
    let taken = |session: &WhatsAppSession| {
        code(session).filter(|_| code(session) != first).is_some_and(|code| world.sim.scan_code(&code, None).is_ok())
    };
    world.until("sales", "the next code, which the phone takes", taken).await;
    let session = world.until_condition("sales", "Ready", "True", "Connected").await;
    assert_eq!(code(&session), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_codes_the_newest_is_written_every_two_seconds() {
    let options = acts::tenant(acts::codes_of(Duration::from_millis(400)));
    let world = unpaired(options, json!({})).await;
    let mut codes: Vec<String> = Vec::new();
    let many = |state: &State| {
        let new = shown(state).filter(|code| codes.last() != Some(code));
        codes.extend(new);
        codes.len() >= 25
    };
    world.until_provider("25 codes", many).await;
    acts::scan(&world, "sales-qr").await;
    world.until_condition("sales", "Ready", "True", "Connected").await;

    let writes: Vec<_> = acts::writes(&world).into_iter().filter(|write| write.name == "sales-qr").collect();
    let puts: Vec<Timestamp> = writes.iter().filter(|write| write.verb != "delete").map(|write| write.at).collect();
    assert!(puts.len() >= 4, "{writes:?}");
    // A request takes a moment, and not always the same one.
    let least = SignedDuration::from_millis(1900);
    assert!(puts.windows(2).all(|pair| pair[1].duration_since(pair[0]) >= least), "{writes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn suspending_hides_the_code() {
    let world = unpaired(Options::default(), json!({})).await;
    world.until_qr("sales").await;
    world.patch::<WhatsAppSession>("sales", json!({"spec": {"suspend": true}})).await;
    let session = world.until_condition("sales", "Suspended", "True", "Suspended").await;
    assert!(!acts::is_published(&world, "sales-qr").await);
    assert_eq!(says(&session, "Ready"), "False/AwaitingScan", "the last known truth");
    assert!(session.status.unwrap().pairing.is_none_or(|pairing| pairing.secret_ref.is_none()));
    world.patch::<WhatsAppSession>("sales", json!({"spec": {"suspend": false}})).await;
    acts::scan(&world, "sales-qr").await;
    world.until_condition("sales", "Ready", "True", "Connected").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_events_the_code_is_scanned_in_the_dashboard() {
    let world = World::start(OPERATOR).await;
    world.account("default", "demo", json!({"events": {"enabled": false}})).await;
    world.session("sales", json!({})).await;
    let session = world.until_condition("sales", "Ready", "False", "AwaitingDashboardScan").await;
    assert_eq!(says(&session, "Reconciling"), "True/AwaitingDashboardScan");
    acts::calls(&world, Route::Connect, 1).await;
    world.sim.scan("sales", None).unwrap();
    world.until_condition("sales", "Ready", "True", "Connected").await;
    assert_eq!((world.sim.count(Route::Socket), world.sim.count(Route::Connect)), (0, 1));
    assert!(acts::writes(&world).iter().all(|write| write.resource != "secrets"));
}
