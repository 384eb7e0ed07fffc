//! Killed at any point and started again: one remote session, Ready in the end.

use std::time::Duration;

use actiwapi_sim::state::{
    faults::{Fault, FaultAction, Route},
    session::Status,
};
use devkit::{World, world::text};
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use serde_json::json;
use whatsapp_operator::api::{WhatsAppSession, names};

use crate::{OPERATOR, acts, acts::says};

/// Far longer than anything lasts here: what is held that long is still under way when the operator is killed.
const HELD: Duration = Duration::from_mins(10);
/// Shorter than the settle time, after which a call that was not seen is taken to have had no effect.
const SHORT: Duration = Duration::from_millis(700);

/// A session called sales, whose codes change often: after a restart the next one comes soon.
async fn life(faults: impl IntoIterator<Item = Fault>) -> World {
    let world = World::with(OPERATOR, acts::tenant(acts::codes_of(Duration::from_secs(4)))).await;
    for fault in faults {
        world.sim.arm(fault);
    }
    world.account("default", "demo", json!({"settledPollInterval": "10s"})).await;
    world.session("sales", json!({})).await;
    world
}

fn held_before(route: Route) -> Fault {
    Fault { delay: HELD, ..Fault::on(route, FaultAction::Pass) }
}

fn held_after(route: Route) -> Fault {
    Fault { delay_after: HELD, ..Fault::on(route, FaultAction::Pass) }
}

/// Waits until a call is under way.
async fn under_way(world: &World, route: Route) {
    world
        .until_provider("a call under way", |provider| {
            provider.journal().entries().iter().any(|call| call.route == route && !call.done)
        })
        .await;
}

/// Waits until a call has had its effect.
async fn applied(world: &World, route: Route) {
    world
        .until_provider("a call that had its effect", |provider| {
            provider.journal().entries().iter().any(|call| call.route == route && call.applied)
        })
        .await;
}

fn kill(world: &mut World) {
    world.take_operator().kill().unwrap();
    world.sim.disarm_all();
}

fn restart(world: &mut World) {
    kill(world);
    world.start_operator();
}

/// The published code is scanned; there is one remote session, it is the recorded one, and all is well.
async fn ends_connected(world: &World) -> WhatsAppSession {
    acts::scan(world, "sales-qr").await;
    ends_without_a_scan(world).await
}

async fn ends_without_a_scan(world: &World) -> WhatsAppSession {
    world.until_condition("sales", "Ready", "True", "Connected").await;
    let session = acts::noticed(world, "sales").await;
    let remote = acts::remote(world);
    assert!(remote.is_connected());
    assert_eq!(acts::id(&session), remote.id);
    assert_eq!(says(&session, "Ready"), "True/Connected");
    assert!(session.status.as_ref().is_some_and(|status| status.create.is_none()));
    assert!(!acts::is_published(world, "sales-qr").await);
    session
}

/// The object goes, and the remote session is offline.
async fn ends_deleted(world: &World, session: &WhatsAppSession) {
    world.until_gone::<WhatsAppSession>("sales", &session.uid().unwrap()).await;
    assert_eq!(acts::remote(world).status, Status::Disconnected);
    assert!(world.events("sales").await.iter().all(|(_, reason, _)| reason != "DeletionGaveUp"));
}

#[tokio::test(flavor = "multi_thread")]
async fn during_the_login() {
    let mut world = life([held_before(Route::Login)]).await;
    under_way(&world, Route::Login).await;
    restart(&mut world);
    ends_connected(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_finalizer() {
    let mut world = life([]).await;
    let held = |session: &WhatsAppSession| session.finalizers().iter().any(|f| f == names::SESSION_FINALIZER);
    world.until("sales", "the finalizer", held).await;
    restart(&mut world);
    ends_connected(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_intent() {
    let mut world = life([held_before(Route::Create)]).await;
    let intended = |session: &WhatsAppSession| session.status.as_ref().is_some_and(|status| status.create.is_some());
    world.until("sales", "the intent", intended).await;
    // Whatever of the create has left by then takes ten minutes to arrive, and its caller is gone.
    restart(&mut world);
    ends_connected(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_create_under_way_that_arrives_after_the_crash() {
    let late = Fault { delay: SHORT, ..Fault::on(Route::Create, FaultAction::Pass) };
    let mut world = life([late]).await;
    under_way(&world, Route::Create).await;
    restart(&mut world);
    ends_connected(&world).await;
    assert_eq!(world.sim.count(Route::Create), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_create_that_was_made_and_not_yet_answered() {
    let mut world = life([held_after(Route::Create)]).await;
    applied(&world, Route::Create).await;
    restart(&mut world);
    ends_connected(&world).await;
    assert_eq!(world.sim.count(Route::Create), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_create_whose_answer_was_lost() {
    let mut world = life([Fault::on(Route::Create, FaultAction::ResetAfter)]).await;
    world.until_condition("sales", "Reconciling", "True", "Retrying").await;
    restart(&mut world);
    ends_connected(&world).await;
    assert_eq!(world.sim.count(Route::Create), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_create_that_failed_with_500_and_was_made_all_the_same() {
    let made = FaultAction::Status { status: 500, code: None, message: None, retry_after: None, apply: true };
    let mut world = life([Fault::on(Route::Create, made)]).await;
    applied(&world, Route::Create).await;
    restart(&mut world);
    ends_connected(&world).await;
    assert_eq!(world.sim.count(Route::Create), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_id() {
    let mut world = life([]).await;
    world.until_condition("sales", "Provisioned", "True", "Created").await;
    restart(&mut world);
    ends_connected(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_connect_under_way() {
    let late = Fault { delay: SHORT, ..Fault::on(Route::Connect, FaultAction::Pass) };
    let mut world = life([late]).await;
    under_way(&world, Route::Connect).await;
    restart(&mut world);
    ends_connected(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_connect_that_was_made_and_not_yet_answered() {
    let mut world = life([held_after(Route::Connect)]).await;
    applied(&world, Route::Connect).await;
    restart(&mut world);
    ends_connected(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_code_on_show() {
    let mut world = life([]).await;
    let before = world.until_qr("sales").await;
    restart(&mut world);
    let newer = |secret: &Secret| text(secret, "qr") != text(&before, "qr");
    let after = world.until("sales-qr", "a newer code", newer).await;
    assert_eq!(before.uid(), after.uid(), "in the same Secret");
    ends_connected(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_code_on_show_that_is_scanned_while_nobody_looks() {
    let mut world = life([]).await;
    world.until_qr("sales").await;
    kill(&mut world);
    world.sim.scan("sales", None).unwrap();
    world.start_operator();
    ends_without_a_scan(&world).await;
    assert_eq!(world.sim.count(Route::Connect), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn between_the_scan_and_the_look_that_shows_it() {
    let mut world = life([held_before(Route::Status)]).await;
    acts::scan(&world, "sales-qr").await;
    under_way(&world, Route::Status).await;
    restart(&mut world);
    ends_without_a_scan(&world).await;
    assert_eq!(world.sim.count(Route::Connect), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_all_is_well() {
    let mut world = life([]).await;
    let before = ends_connected(&world).await;
    let writes = acts::writes(&world).len();
    world.sim.reset_requests();
    restart(&mut world);
    world.until_account("default", "EventsConnected", "True", "Live").await;
    acts::calls(&world, Route::Socket, 1).await;
    acts::calls(&world, Route::List, 2).await;
    assert_eq!(acts::now(&world, "sales").await.resource_version(), before.resource_version());
    assert_eq!(acts::writes(&world).iter().skip(writes).filter(|w| w.resource == "whatsappsessions").count(), 0);
    for route in [Route::Create, Route::Connect, Route::Disconnect, Route::Status] {
        assert_eq!(world.sim.count(route), 0, "{route:?}");
    }
    let after = ends_without_a_scan(&world).await;
    assert_eq!(acts::id(&after), acts::id(&before));
}

#[tokio::test(flavor = "multi_thread")]
async fn while_all_is_well_and_the_connection_drops_meanwhile() {
    let mut world = life([]).await;
    let before = ends_connected(&world).await;
    kill(&mut world);
    world.sim.drop_connection("sales").unwrap();
    world.start_operator();
    acts::calls(&world, Route::Connect, 2).await;
    let after = ends_without_a_scan(&world).await;
    assert_eq!(acts::id(&after), acts::id(&before));
}

#[tokio::test(flavor = "multi_thread")]
async fn during_a_deletion_with_a_disconnect_under_way() {
    let mut world = life([]).await;
    let session = ends_connected(&world).await;
    world.sim.arm(Fault { delay: SHORT, ..Fault::on(Route::Disconnect, FaultAction::Pass) });
    world.delete::<WhatsAppSession>("sales").await;
    under_way(&world, Route::Disconnect).await;
    restart(&mut world);
    ends_deleted(&world, &session).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn during_a_deletion_with_a_disconnect_that_was_made_and_not_yet_answered() {
    let mut world = life([]).await;
    let session = ends_connected(&world).await;
    world.sim.arm(held_after(Route::Disconnect));
    world.delete::<WhatsAppSession>("sales").await;
    applied(&world, Route::Disconnect).await;
    restart(&mut world);
    ends_deleted(&world, &session).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn before_a_deletion_that_comes_meanwhile() {
    let mut world = life([]).await;
    let session = ends_connected(&world).await;
    kill(&mut world);
    world.delete::<WhatsAppSession>("sales").await;
    world.start_operator();
    ends_deleted(&world, &session).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_create_under_way_and_a_deletion_that_comes_meanwhile() {
    let mut world = life([held_after(Route::Create)]).await;
    applied(&world, Route::Create).await;
    kill(&mut world);
    let session = acts::now(&world, "sales").await;
    world.delete::<WhatsAppSession>("sales").await;
    world.start_operator();
    ends_deleted(&world, &session).await;
    assert_eq!(world.sim.count(Route::Create), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn again_and_again() {
    let mut world = life([]).await;
    for route in [Route::Login, Route::List, Route::Create, Route::Connect] {
        acts::calls(&world, route, 1).await;
        restart(&mut world);
    }
    ends_connected(&world).await;
}
