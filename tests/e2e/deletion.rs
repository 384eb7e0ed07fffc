//! Letting go: always ends, and takes with it what it must.

use std::time::{Duration, Instant};

use actiwapi_sim::state::{
    faults::{Fault, FaultAction, Route},
    session::Status,
};
use devkit::{
    World,
    world::{Options, condition},
};
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use serde_json::{Value, json};
use whatsapp_operator::api::{WhatsAppAccount, WhatsAppSession};

use crate::{OPERATOR, acts};

const DEADLINE: Duration = Duration::from_secs(6);

/// A world whose deletions give up early.
fn hasty() -> Options {
    let args = vec![format!("--deletion-deadline={}s", DEADLINE.as_secs())];
    Options { args, ..Options::default() }
}

/// A connected session called sales of an account called default.
async fn paired(options: Options, spec: Value) -> (World, WhatsAppSession) {
    let world = World::with(OPERATOR, options).await;
    world.account("default", "demo", json!({})).await;
    world.session("sales", spec).await;
    let session = world.pair("sales").await;
    (world, session)
}

async fn delete(world: &World, session: &WhatsAppSession) {
    world.delete::<WhatsAppSession>(&session.name_any()).await;
    world.until_gone::<WhatsAppSession>(&session.name_any(), &session.uid().unwrap()).await;
}

fn unavailable(route: Option<Route>) -> Fault {
    Fault { route, action: FaultAction::status(502), ..Fault::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn by_default_the_remote_session_is_disconnected_and_its_code_hidden() {
    let (world, session) = paired(Options::default(), json!({})).await;
    world.session("pairing", json!({})).await;
    world.until_qr("pairing").await;
    delete(&world, &session).await;
    delete(&world, &acts::now(&world, "pairing").await).await;
    assert!(!acts::is_published(&world, "pairing-qr").await);
    let sessions = world.sim.sessions("demo");
    assert_eq!(sessions.len(), 2);
    assert!(sessions.iter().all(|session| session.status == Status::Disconnected), "{sessions:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn orphan_leaves_the_remote_session_as_it_is() {
    let (world, session) = paired(Options::default(), json!({"deletionPolicy": "Orphan"})).await;
    delete(&world, &session).await;
    assert!(acts::remote(&world).is_connected());
    assert_eq!(world.sim.count(Route::Disconnect), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_provider_is_down_deletion_waits_until_its_deadline() {
    let (world, session) = paired(hasty(), json!({})).await;
    world.sim.arm(unavailable(Some(Route::Disconnect)));
    let begun = Instant::now();
    world.delete::<WhatsAppSession>("sales").await;
    acts::calls(&world, Route::Disconnect, 1).await;
    let waits = |session: &WhatsAppSession| {
        condition(session, "Ready")
            .is_some_and(|c| c.reason == "Deleting" && c.message.contains("cannot be disconnected yet"))
    };
    world.until("sales", "the message tells what deletion waits for", waits).await;
    world.until_gone::<WhatsAppSession>("sales", &session.uid().unwrap()).await;
    // Kubernetes keeps the time of a deletion in whole seconds.
    assert!(begun.elapsed() + Duration::from_secs(1) >= DEADLINE, "{:?}", begun.elapsed());
    let note = world.until_event("sales", "DeletionGaveUp").await;
    assert!(note.contains(&acts::id(&session)), "{note}");
    let events = world.events("sales").await;
    assert!(events.iter().any(|(kind, reason, _)| kind == "Warning" && reason == "DeletionGaveUp"), "{events:?}");
    assert!(acts::remote(&world).is_connected(), "the remote session is left as it was");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_comes_back_before_the_deadline_is_told() {
    let (world, session) = paired(Options::default(), json!({})).await;
    world.sim.arm(unavailable(Some(Route::Disconnect)).times(1));
    delete(&world, &session).await;
    assert_eq!(acts::remote(&world).status, Status::Disconnected);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_credentials_secret_a_running_account_still_disconnects() {
    let (world, session) = paired(Options::default(), json!({})).await;
    world.delete::<Secret>("default-credentials").await;
    world.until_account("default", "Reconciling", "True", "SecretNotFound").await;
    delete(&world, &session).await;
    assert_eq!(acts::remote(&world).status, Status::Disconnected);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_stays_until_its_sessions_are_gone_and_starts_no_new_one() {
    let (world, session) = paired(Options::default(), json!({})).await;
    let account: WhatsAppAccount = world.api().get("default").await.unwrap();
    world.delete::<WhatsAppAccount>("default").await;
    let blocked = world.until_account("default", "Reconciling", "True", "DeletionBlocked").await;
    let conditions = blocked.status.unwrap().conditions;
    assert!(
        conditions.iter().any(|c| c.reason == "DeletionBlocked" && c.message.starts_with("1 session ")),
        "{conditions:?}"
    );
    world.session("late", json!({})).await;
    let late = world.until_condition("late", "Ready", "False", "AccountNotReady").await;
    assert!(late.finalizers().is_empty());
    world.sim.drop_connection("sales").unwrap();
    acts::calls(&world, Route::Connect, 2).await;
    world.until_condition("sales", "Ready", "True", "Connected").await;

    delete(&world, &session).await;
    world.until_gone::<WhatsAppAccount>("default", &account.uid().unwrap()).await;
    assert_eq!(acts::remote(&world).status, Status::Disconnected);
    world.until_condition("late", "Ready", "False", "AccountNotReady").await;
    delete(&world, &late).await;
    assert_eq!(world.sim.count(Route::Create), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_session_is_disconnected_too() {
    let (world, session) = paired(Options::default(), json!({})).await;
    world.patch::<WhatsAppSession>("sales", json!({"spec": {"suspend": true}})).await;
    world.until_condition("sales", "Suspended", "True", "Suspended").await;
    delete(&world, &session).await;
    assert_eq!(acts::remote(&world).status, Status::Disconnected);
}

/// Deletes a session while its create is as `fault` makes it.
async fn during_a_create(fault: Fault) -> World {
    let world = World::start(OPERATOR).await;
    world.sim.arm(Fault { route: Some(Route::Create), ..fault }.times(1));
    world.account("default", "demo", json!({})).await;
    let session = world.session("sales", json!({})).await;
    acts::calls(&world, Route::Create, 1).await;
    delete(&world, &session).await;
    assert_eq!(world.sim.count(Route::Create), 1);
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_under_way_is_waited_for() {
    let world = during_a_create(Fault { delay: Duration::from_secs(3), ..Fault::default() }).await;
    let created = acts::remote(&world);
    let told: Vec<_> = world.sim.requests().into_iter().filter(|call| call.route == Route::Disconnect).collect();
    assert!(told.iter().any(|call| call.session.as_ref() == Some(&created.id)), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_whose_answer_is_lost_is_found_and_disconnected() {
    let world = during_a_create(Fault { action: FaultAction::ResetAfter, ..Fault::default() }).await;
    let created = acts::remote(&world);
    let told: Vec<_> = world.sim.requests().into_iter().filter(|call| call.route == Route::Disconnect).collect();
    assert!(told.iter().any(|call| call.session.as_ref() == Some(&created.id)), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_that_was_lost_leaves_nothing_to_disconnect() {
    let world = during_a_create(Fault { action: FaultAction::ResetBefore, ..Fault::default() }).await;
    assert!(world.sim.sessions("demo").is_empty());
    assert_eq!(world.sim.count(Route::Disconnect), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_was_never_created_goes_at_once() {
    let world = World::start(OPERATOR).await;
    let session = world.session("sales", json!({})).await;
    world.until_condition("sales", "Ready", "False", "AccountNotReady").await;
    delete(&world, &session).await;
    let touched = acts::writes(&world)
        .iter()
        .any(|write| write.verb == "patch" && write.resource == "whatsappsessions" && write.sub.is_empty());
    assert!(!touched, "it never had a finalizer");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_remote_session_that_is_gone_is_let_go() {
    let (world, session) = paired(Options::default(), json!({})).await;
    world.sim.vanish("sales").unwrap();
    delete(&world, &session).await;
    assert!(world.events("sales").await.iter().all(|(_, reason, _)| reason != "DeletionGaveUp"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_ends_even_while_the_provider_is_down() {
    let (world, _) = paired(hasty(), json!({})).await;
    world.sim.arm(unavailable(None));
    acts::delete_namespace(&world).await;
    assert!(acts::remote(&world).is_connected());
}
