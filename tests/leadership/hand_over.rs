//! The work changes hands: asked for, by force, and by somebody's hand.

use std::time::{Duration, Instant};

use actiwapi_sim::state::faults::{Fault, FaultAction, Route};
use k8s_openapi::api::coordination::v1::Lease;
use serde_json::json;
use whatsapp_operator::api::WhatsAppSession;

use crate::pair::{LEASE, Pair, turns};

/// What is asserted is far more than what is measured: this machine may be busy.
const SOON: Duration = Duration::from_secs(10);
const BY_ITSELF: Duration = Duration::from_secs(40);

async fn settled() -> Pair {
    let mut pair = Pair::new(|_| {}).await;
    pair.start().await;
    pair.session(0).await;
    pair.all_are_made_once(1).await;
    pair
}

/// Waits for the other's first call, and says how long after `since` that was.
async fn works(pair: &Pair, since: Instant) -> Duration {
    pair.world.until_provider("the login of the other", |p| p.journal().count(Route::Login) == 2).await;
    since.elapsed()
}

async fn goes_on(pair: &Pair) {
    pair.session(1).await;
    pair.all_are_made_once(2).await;
    let (turns, late) = turns(&pair.writes());
    assert!(turns == 2 && late.is_empty(), "{}", pair.logs());
}

#[tokio::test(flavor = "multi_thread")]
async fn on_sigterm_the_other_takes_over_at_once() {
    let mut pair = settled().await;
    let begun = Instant::now();
    let status = pair.a.stop().await;
    let ended = begun.elapsed();
    pair.until_held_by("b").await;
    let held = begun.elapsed();
    let works = works(&pair, begun).await;
    println!("hand-over on SIGTERM: ended after {ended:?}, the other leads after {held:?} and calls after {works:?}");
    assert!(status.success(), "{status}\n{}", pair.logs());
    assert!(held < SOON, "{held:?}\n{}", pair.logs());
    assert_eq!(pair.lease().await.lease_transitions, Some(1));
    goes_on(&pair).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_sigkill_the_other_takes_over_by_itself() {
    let mut pair = settled().await;
    let begun = Instant::now();
    pair.a.kill();
    pair.until_held_by("b").await;
    let held = begun.elapsed();
    let works = works(&pair, begun).await;
    println!("hand-over after SIGKILL: the other leads after {held:?} and calls after {works:?}");
    assert!(held < BY_ITSELF, "{held:?}\n{}", pair.logs());
    goes_on(&pair).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_in_flight_at_sigterm_is_finished_and_recorded_before_the_other_begins() {
    let mut pair = settled().await;
    pair.world.sim.arm(Fault { delay_after: Duration::from_secs(4), ..Fault::on(Route::Create, FaultAction::Pass) });
    pair.session(1).await;
    pair.world
        .until_provider("a create under way", |p| {
            p.journal().entries().iter().any(|call| call.route == Route::Create && call.applied && !call.done)
                || p.journal().count(Route::Create) == 2
        })
        .await;
    let begun = Instant::now();
    let status = pair.a.stop().await;
    println!("a create in flight at SIGTERM: ended after {:?}", begun.elapsed());
    assert!(status.success(), "{status}\n{}", pair.logs());
    let session: WhatsAppSession = pair.world.api().get("s1").await.unwrap();
    let recorded = session.status.as_ref().and_then(|status| status.session_id.clone());
    assert!(recorded.is_some(), "{}", pair.logs());
    assert!(pair.a.log().contains("released the lease"), "{}", pair.logs());
    pair.until_held_by("b").await;
    pair.world.sim.disarm_all();
    pair.all_are_made_once(2).await;
    assert_eq!(pair.world.sim.count(Route::Create), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_stolen_by_hand_ends_the_leader_with_a_sentence() {
    let mut pair = settled().await;
    pair.world.patch::<Lease>(LEASE, json!({"spec": {"holderIdentity": "somebody"}})).await;
    let status = pair.a.ended().await;
    assert_eq!(status.code(), Some(1));
    let sentence = r#"the lease was taken away, its holder is "somebody" now; this replica ends"#;
    assert!(pair.a.log().contains(sentence), "{}", pair.logs());
    let calls = pair.world.sim.requests().len();
    pair.world.session("later", json!({})).await;
    let waited = pair.until_held_by("b").await;
    println!("a stolen lease was waited for {waited:?}");
    let before = pair.world.sim.requests();
    let mine = before.iter().skip(calls).filter(|entry| entry.token == Some(1)).count();
    assert_eq!(mine, 0, "{}", pair.logs());
    let (turns, late) = turns(&pair.writes());
    assert!(turns <= 2 && late.is_empty(), "{}", pair.logs());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stand_by_that_is_stopped_ends_in_good_order() {
    let mut pair = settled().await;
    let status = pair.b.stop().await;
    assert!(status.success(), "{status}\n{}", pair.logs());
    assert!(pair.a.is_alive() && pair.world.sim.count(Route::Login) == 1);
    assert!(pair.lease().await.holder_identity.unwrap().starts_with("a_"));
}

/// The stand-by goes and comes, then the leader.
#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_hands_over_once_and_loses_nothing() {
    let mut pair = settled().await;
    assert!(pair.b.stop().await.success());
    pair.b.start(&pair.world);
    pair.b.says("standing by", 2).await;
    pair.session(1).await;
    assert!(pair.a.stop().await.success());
    pair.until_held_by("b").await;
    pair.a.start(&pair.world);
    pair.a.says("standing by", 1).await;
    pair.all_are_made_once(2).await;
    let (turns, late) = turns(&pair.writes());
    assert!(turns == 2 && late.is_empty(), "{}", pair.logs());
    assert_eq!(pair.lease().await.lease_transitions, Some(1));
}
