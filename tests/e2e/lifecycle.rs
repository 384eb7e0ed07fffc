//! A session's life, on a real API server against a real HTTP and Socket.IO server.

use std::time::Duration;

use actiwapi_sim::state::{faults::Route, session::Status};
use devkit::{
    World,
    world::{Options, text},
};
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use serde_json::json;
use whatsapp_operator::api::{Phase, WhatsAppAccount, WhatsAppSession, names};

use crate::{OPERATOR, acts, acts::says};

const WRITES_OF_A_LIFE: usize = 5;

fn status_of(session: &WhatsAppSession) -> &whatsapp_operator::api::WhatsAppSessionStatus {
    session.status.as_ref().unwrap()
}

/// A connected session called sales of an account called default.
async fn paired(options: Options) -> (World, WhatsAppSession) {
    let world = World::with(OPERATOR, options).await;
    world.account("default", "demo", json!({"settledPollInterval": "10s"})).await;
    world.session("sales", json!({})).await;
    let session = world.pair("sales").await;
    (world, session)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_goes_from_its_first_code_through_a_dropped_connection_to_its_deletion() {
    let world = World::with(OPERATOR, acts::tenant(acts::codes_of(Duration::from_secs(3)))).await;
    world.account("default", "demo", json!({})).await;
    world.session("sales", json!({})).await;

    let first = world.until_qr("sales").await;
    let other = |secret: &Secret| text(secret, "qr") != text(&first, "qr");
    let second = world.until("sales-qr", "the next code", other).await;
    assert_eq!(first.uid(), second.uid(), "it is the same Secret");
    let id = acts::id(&acts::now(&world, "sales").await);
    assert_eq!(id, acts::remote(&world).id);

    acts::scan(&world, "sales-qr").await;
    let session = world.until_condition("sales", "Ready", "True", "Connected").await;
    assert_eq!((acts::id(&session), status_of(&session).phase), (id.clone(), Some(Phase::Connected)));
    assert_eq!(status_of(&session).phone_number, acts::remote(&world).phone_number);
    assert!(!acts::is_published(&world, "sales-qr").await);

    world.sim.drop_connection("sales").unwrap();
    acts::calls(&world, Route::Connect, 2).await;
    let session = world.until_condition("sales", "Ready", "True", "Connected").await;
    assert!(acts::remote(&world).is_connected());
    assert_eq!(acts::id(&session), id);
    assert_eq!(status_of(&session).last_disconnect.as_ref().map(|last| last.reason.as_str()), Some("Connecting"));
    let secrets: Vec<_> = acts::writes(&world).into_iter().filter(|write| write.resource == "secrets").collect();
    assert_eq!(secrets.iter().filter(|write| write.verb == "create").count(), 1, "{secrets:?}");
    assert_eq!(secrets.last().map(|write| write.verb.as_str()), Some("delete"), "{secrets:?}");

    world.delete::<WhatsAppSession>("sales").await;
    world.until_gone::<WhatsAppSession>("sales", &session.uid().unwrap()).await;
    assert_eq!(acts::remote(&world).status, Status::Disconnected);
    assert_eq!((world.sim.count(Route::Create), world.sim.count(Route::Disconnect)), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_with_everything_in_it_can_be_deleted_at_any_time() {
    let world = World::start(OPERATOR).await;
    world.account("default", "demo", json!({})).await;
    world.session("connected", json!({})).await;
    world.pair("connected").await;
    world.session("pairing", json!({})).await;
    world.session("offline", json!({"desiredState": "Disconnected"})).await;
    world.session("frozen", json!({"suspend": true})).await;
    world.until_qr("pairing").await;
    world.until_condition("offline", "Ready", "True", "Disconnected").await;
    world.until_condition("frozen", "Suspended", "True", "Suspended").await;

    acts::delete_namespace(&world).await;
    let sessions = world.sim.sessions("demo");
    assert_eq!(sessions.len(), 3);
    assert!(sessions.iter().all(|session| session.status == Status::Disconnected), "{sessions:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_desired_state_is_followed_both_ways() {
    let world = World::start(OPERATOR).await;
    world.account("default", "demo", json!({})).await;
    world.session("sales", json!({"desiredState": "Disconnected"})).await;
    let session = world.until_condition("sales", "Ready", "True", "Disconnected").await;
    assert_eq!(
        (says(&session, "Provisioned"), says(&session, "Connected")),
        ("True/Created".into(), "False/Disconnected".into())
    );
    assert_eq!(world.sim.count(Route::Connect), 0);

    world.patch::<WhatsAppSession>("sales", json!({"spec": {"desiredState": "Connected"}})).await;
    let paired = world.pair("sales").await;
    world.patch::<WhatsAppSession>("sales", json!({"spec": {"desiredState": "Disconnected"}})).await;
    let offline = world.until_condition("sales", "Ready", "True", "Disconnected").await;
    assert_eq!(acts::remote(&world).status, Status::Disconnected);
    assert_eq!(status_of(&offline).observed_generation, offline.metadata.generation);
    assert_eq!(status_of(&offline).phase, Some(Phase::Disconnected));

    world.patch::<WhatsAppSession>("sales", json!({"spec": {"desiredState": "Connected"}})).await;
    let online = world.until_condition("sales", "Ready", "True", "Connected").await;
    assert!(acts::remote(&world).is_connected());
    assert!(!acts::is_published(&world, "sales-qr").await);
    assert_eq!((acts::id(&paired), acts::id(&offline)), (acts::id(&session), acts::id(&online)));
    assert_eq!((world.sim.count(Route::Connect), world.sim.count(Route::Disconnect)), (2, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn suspend_freezes_and_resume_goes_on() {
    let (world, _) = paired(Options::default()).await;
    world.patch::<WhatsAppSession>("sales", json!({"spec": {"suspend": true}})).await;
    let frozen = world.until_condition("sales", "Suspended", "True", "Suspended").await;
    assert_eq!(
        (says(&frozen, "Ready"), says(&frozen, "Reconciling"), says(&frozen, "Stalled")),
        ("True/Connected".into(), String::new(), String::new())
    );
    assert_eq!((status_of(&frozen).phase, status_of(&frozen).observed_generation), (Some(Phase::Suspended), Some(2)));

    world.session("later", json!({"suspend": true})).await;
    let later = world.until_condition("later", "Suspended", "True", "Suspended").await;
    assert_eq!(
        (says(&later, "Ready"), later.finalizers().len()),
        (String::new(), 0),
        "nothing is known and nothing is held"
    );

    world.sim.reset_requests();
    world.sim.drop_connection("sales").unwrap();
    // Two intervals, in which it would have been connected again.
    acts::calls(&world, Route::List, 3).await;
    let frozen = acts::now(&world, "sales").await;
    assert_eq!(says(&frozen, "Ready"), "True/Connected", "the last known truth stands");
    for route in [Route::Create, Route::Connect, Route::Disconnect] {
        assert_eq!(world.sim.count(route), 0, "{route:?}");
    }

    world.patch::<WhatsAppSession>("sales", json!({"spec": {"suspend": false}})).await;
    acts::calls(&world, Route::Connect, 1).await;
    let session = world.until_condition("sales", "Ready", "True", "Connected").await;
    assert_eq!((says(&session, "Suspended"), acts::id(&session)), (String::new(), acts::id(&frozen)));
    assert!(world.sim.session("sales").is_some_and(|session| session.is_connected()));

    world.patch::<WhatsAppSession>("later", json!({"spec": {"suspend": false}})).await;
    world.pair("later").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn applied_again_after_its_deletion_a_session_finds_its_remote_session() {
    let (world, first) = paired(Options::default()).await;
    world.delete::<WhatsAppSession>("sales").await;
    world.until_gone::<WhatsAppSession>("sales", &first.uid().unwrap()).await;
    assert_eq!(acts::remote(&world).status, Status::Disconnected);

    world.session("sales", json!({})).await;
    let second = world.until_condition("sales", "Ready", "True", "Connected").await;
    assert_eq!((acts::id(&second), status_of(&second).adopted), (acts::id(&first), Some(true)));
    assert_eq!(says(&second, "Provisioned"), "True/Adopted");
    assert_eq!(world.sim.count(Route::Create), 1);
    assert!(acts::remote(&world).is_connected(), "without another scan");
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_shows_what_a_person_needs() {
    let (world, session) = paired(Options::default()).await;
    world.session("waiting", json!({"pairing": {"mode": "OnRequest"}})).await;
    world.until_condition("waiting", "Ready", "False", "PairingRequired").await;
    let kubectl = async |args: &[&str]| {
        let args = [&["--namespace", &world.namespace][..], args].concat();
        let printed = world.plane.kubectl_ok(&args).await.unwrap();
        let rows = printed.lines().map(|line| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
        rows.collect::<Vec<_>>()
    };
    let phone = status_of(&session).phone_number.clone().unwrap();
    let rows = kubectl(&["get", "was"]).await;
    assert_eq!(rows[0], ["NAME", "READY", "PHASE", "REASON", "PHONE", "ACCOUNT", "AGE"]);
    assert_eq!(rows[1][..6], ["sales", "True", "Connected", "Connected", &phone, "default"]);
    assert_eq!(rows[2][..5], ["waiting", "False", "Stalled", "PairingRequired", "default"]);
    let rows = kubectl(&["get", "was", "sales", "--output=wide"]).await;
    assert_eq!(rows[1][6], acts::id(&session));

    let counted = |account: &WhatsAppAccount| {
        account
            .status
            .as_ref()
            .and_then(|status| status.sessions.as_ref())
            .is_some_and(|s| (s.managed, s.connected) == (2, 1))
    };
    world.until("default", "two sessions, one connected", counted).await;
    let rows = kubectl(&["get", "waa"]).await;
    assert_eq!(rows[1][..6], ["default", "True", "Ready", "True", "2", "1"]);
    kubectl(&["wait", "was/sales", "--for=condition=Ready", "--timeout=5s"]).await;
    kubectl(&["wait", "was/waiting", "--for=condition=Provisioned", "--timeout=5s"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_life_takes_few_writes_and_a_settled_session_none() {
    let (world, session) = paired(Options::default()).await;
    let counted = |account: &WhatsAppAccount| {
        account
            .status
            .as_ref()
            .and_then(|status| status.sessions.as_ref())
            .is_some_and(|sessions| sessions.connected == 1)
    };
    let account = world.until("default", "one connected session", counted).await;
    let patches = |resource: &str| acts::writes(&world).iter().filter(|write| write.resource == resource).count();
    assert!(patches("whatsappsessions") <= WRITES_OF_A_LIFE, "{:?}", acts::writes(&world));
    let told: Vec<_> = world.events("sales").await.into_iter().map(|(kind, reason, _)| (kind, reason)).collect();
    let expected =
        ["Created", "Connecting", "AwaitingScan", "Connected"].map(|reason| ("Normal".to_owned(), reason.to_owned()));
    assert_eq!(told, expected, "one Event a transition");

    let before = acts::writes(&world).len();
    world.sim.reset_requests();
    acts::calls(&world, Route::List, 3).await;
    assert_eq!(world.sim.counts().keys().collect::<Vec<_>>(), [&"list"], "{:?}", world.sim.counts());
    assert_eq!(acts::writes(&world).len(), before, "{:?}", acts::writes(&world));
    assert_eq!(world.events("sales").await.len(), expected.len());
    assert_eq!(acts::now(&world, "sales").await.resource_version(), session.resource_version());
    let now: WhatsAppAccount = world.api().get("default").await.unwrap();
    assert_eq!(now.resource_version(), account.resource_version());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_restart_after_a_scan_is_no_news() {
    let options = acts::tenant(|tenant| tenant.restart_after_scan = true);
    let (world, session) = paired(options).await;
    let mut history = acts::History::of(&world, "sales").await;
    world.sim.reset_requests();
    world
        .until_provider("the restart", |state| state.tenant("demo").is_some_and(|t| !t.sessions[0].is_connected()))
        .await;
    world.until_provider("its end", |state| state.tenant("demo").is_some_and(|t| t.sessions[0].is_connected())).await;
    // Both were announced, and each is looked into.
    acts::calls(&world, Route::Status, 2).await;
    let last = acts::noticed(&world, "sales").await;
    let versions = history.until(&world, &last).await;
    assert!(versions.iter().all(|version| says(version, "Ready") == "True/Connected"), "{versions:#?}");
    assert_eq!(world.sim.count(Route::Connect), 0);
    assert_eq!(status_of(&last).last_connected_time, status_of(&session).last_connected_time);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_that_logs_out_is_paired_again_on_request_only() {
    let (world, first) = paired(Options::default()).await;
    let logged_out = async || {
        world.sim.log_out("sales").unwrap();
        let session = world.until_condition("sales", "Stalled", "True", "LoggedOut").await;
        assert_eq!((says(&session, "Ready"), says(&session, "Reconciling")), ("False/LoggedOut".into(), String::new()));
        let ready = devkit::world::condition(&session, "Ready").unwrap();
        assert!(ready.message.contains(names::PAIR_REQUESTED_AT), "{}", ready.message);
    };
    logged_out().await;
    acts::noticed(&world, "sales").await;
    assert!(!acts::is_published(&world, "sales-qr").await);
    assert_eq!(world.sim.count(Route::Connect), 1);

    acts::annotate(&world, "sales", names::PAIR_REQUESTED_AT, Some("once")).await;
    world.until_qr("sales").await;
    acts::annotate(&world, "sales", names::PAIR_REQUESTED_AT, None).await;
    let session = acts::noticed(&world, "sales").await;
    assert_eq!(says(&session, "Ready"), "False/AwaitingScan", "the window stays open");
    let session = world.pair("sales").await;
    assert_eq!(acts::id(&session), acts::id(&first));

    logged_out().await;
    acts::annotate(&world, "sales", names::PAIR_REQUESTED_AT, Some("once")).await;
    let session = acts::noticed(&world, "sales").await;
    assert_eq!(says(&session, "Stalled"), "True/LoggedOut", "the same value is no new request");
    assert_eq!(world.sim.count(Route::Connect), 2);
    acts::annotate(&world, "sales", names::PAIR_REQUESTED_AT, Some("twice")).await;
    world.pair("sales").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_to_look_again_is_answered_with_one_look() {
    let (world, session) = paired(Options::default()).await;
    let looks = |sim: &devkit::World| sim.sim.count(Route::Status) + sim.sim.count(Route::List);
    // The look that the scan's hint asked for is over once the session is connected.
    let before = looks(&world);
    acts::annotate(&world, "sales", names::RECONCILE_REQUESTED_AT, Some("now")).await;
    let handled = |session: &WhatsAppSession| status_of(session).last_handled_reconcile_at.as_deref() == Some("now");
    let after = world.until("sales", "an answer", handled).await;
    assert!((1..=2).contains(&(looks(&world) - before)), "{:?}", world.sim.counts());
    assert_eq!(says(&after, "Ready"), "True/Connected");
    assert_eq!(after.finalizers(), session.finalizers());
}
