//! A session's life, on a real API server against a real HTTP and Socket.IO server.

use devkit::World;
use serde_json::json;
use whatsapp_operator::api::WhatsAppSession;

use crate::OPERATOR;

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_created_paired_reconnected_and_deleted() {
    let world = World::start(OPERATOR).await;
    world.account("default", "demo", json!({})).await;
    world.session("sales", json!({})).await;
    let session = world.pair("sales").await;
    assert_eq!(session.status.as_ref().and_then(|s| s.phase), Some(whatsapp_operator::api::Phase::Connected));
    eprintln!("{:#?}\n{:?}", session.status, world.sim.counts());
    for write in world.writes() { eprintln!("{write:?}"); }
    for e in world.events("sales").await { eprintln!("{e:?}"); }
    let _ : Option<WhatsAppSession> = None;
}
