//! Faults that make two replicas believe different things: cut off from the API server, stopped and gone on, with a wrong
//! wall clock. Whatever they believe, what they ask of the provider does not interleave.
//!
//! Each fault is tried many times, each time at another instant of the work; `LEADERSHIP_RUNS` changes how often.

use std::{future::Future, sync::Arc, time::Duration};

use actiwapi_sim::state::faults::{Fault, FaultAction, Route};
use devkit::process::Signal;
use futures::future::join_all;
use k8s_openapi::jiff::Timestamp;
use tokio::{
    sync::{Mutex, Semaphore},
    time::{Instant, sleep},
};

use crate::{
    pair::{Pair, turns},
    skew,
};

/// How often without being told.
const RUNS: u64 = 20;
/// Worlds at once: each is three servers.
const AT_ONCE: usize = 10;
/// From one new session to the next.
const PACE: Duration = Duration::from_millis(800);
/// How many are made in each run.
const SESSIONS: usize = 36;

/// One kind of fault at a time.
static TURN: Mutex<()> = Mutex::const_new(());

/// What came of one run.
struct Run {
    taken_over: Duration,
    /// Calls of the first after the other had begun.
    late: usize,
}

/// Runs it as often as wished, each time with a later instant, and tells what came of it.
async fn often<F: Future<Output = Run>>(what: &str, late_allowed: usize, run: impl Fn(u64, Duration) -> F) {
    let _turn = TURN.lock().await;
    let runs = std::env::var("LEADERSHIP_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(RUNS);
    let slots = Arc::new(Semaphore::new(AT_ONCE));
    let runs = (0..runs).map(|number| {
        // Over the three seconds from one renewal to the next, and over what a session takes.
        let at = Duration::from_millis(1500 + number * 3000 / runs + (number % 7) * 31);
        let (slots, run) = (slots.clone(), run(number, at));
        async move {
            let _slot = slots.acquire().await.unwrap();
            run.await
        }
    });
    let outcomes = join_all(runs).await;
    let late: usize = outcomes.iter().map(|outcome| outcome.late).sum();
    let longest = outcomes.iter().map(|outcome| outcome.taken_over).max().unwrap_or_default();
    let shortest = outcomes.iter().map(|outcome| outcome.taken_over).min().unwrap_or_default();
    let count = outcomes.len();
    println!("{what}: {count} runs, taken over after {shortest:?} to {longest:?}, {late} late calls");
    assert!(outcomes.iter().all(|outcome| outcome.late <= late_allowed), "{what}: {late} late calls");
}

/// Two replicas at work: sessions come all the time, and every answer takes a while.
fn at_work(pair: &Pair) -> impl Future<Output = ()> {
    for route in [Route::Create, Route::Connect] {
        let slow = Duration::from_millis(300);
        pair.world.sim.arm(Fault { delay: slow, ..Fault::on(route, FaultAction::Pass) });
    }
    let begun = Instant::now();
    async move {
        for number in 0..SESSIONS {
            pair.session(number).await;
            tokio::time::sleep_until(begun + PACE * u32::try_from(number + 1).unwrap()).await;
        }
    }
}

/// What the provider's log says of it.
async fn judged(pair: &mut Pair, taken_over: Duration) -> Run {
    pair.revive_until_made(SESSIONS).await;
    pair.all_are_made_once(SESSIONS).await;
    let writes = pair.writes();
    let (turns, late) = turns(&writes);
    // More than two where the machine was too busy to renew in time.
    assert!(turns >= 2, "both have worked\n{}", pair.logs());
    let creates = |first: bool| writes.iter().any(|e| e.route == Route::Create && (e.token == Some(1)) == first);
    assert!(creates(true) && creates(false), "the fault came in the middle of the work\n{}", pair.logs());
    if !late.is_empty() {
        println!("late calls: {late:?}");
    }
    Run { taken_over, late: late.len() }
}

#[tokio::test(flavor = "multi_thread")]
async fn cut_off_from_the_api_server() {
    often("cut off", 0, |_, at| async move {
        let mut pair = Pair::new(|_| {}).await;
        pair.start().await;
        let work = at_work(&pair);
        let mut taken_over = Duration::ZERO;
        let fault = async {
            sleep(at).await;
            pair.a.link.cut();
            taken_over = pair.until_held_by("b").await;
        };
        tokio::join!(work, fault);
        let status = pair.a.ended().await;
        assert_eq!(status.code(), Some(1), "{}", pair.logs());
        assert!(pair.a.log().contains("the lease could not be renewed in time"), "{}", pair.logs());
        // What it sent and what was held back arrives now.
        pair.a.link.heal();
        judged(&mut pair, taken_over).await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stopped_and_gone_on() {
    // A process that is stopped between its last look at the lease and the send does not know it.
    often("stopped and gone on", 1, |_, at| async move {
        let mut pair = Pair::new(|_| {}).await;
        pair.start().await;
        let work = at_work(&pair);
        let mut taken_over = Duration::ZERO;
        let fault = async {
            sleep(at).await;
            pair.a.signal(Signal::STOP);
            taken_over = pair.until_held_by("b").await;
            let works = |provider: &actiwapi_sim::state::State| provider.journal().count(Route::Login) == 2;
            pair.world.until_provider("the other at work", works).await;
            sleep(at / 2).await;
            pair.a.signal(Signal::CONT);
        };
        tokio::join!(work, fault);
        let status = pair.a.ended().await;
        assert_eq!(status.code(), Some(1), "{}", pair.logs());
        judged(&mut pair, taken_over).await
    })
    .await;
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn with_wall_clocks_that_are_wrong() {
    const WRONG: i64 = 600;
    often("wrong wall clocks", 0, |number, at| async move {
        let mut pair = Pair::new(|_| {}).await;
        let (of_a, of_b) = [(WRONG, 0), (-WRONG, 0), (0, WRONG), (0, -WRONG)][usize::try_from(number % 4).unwrap()];
        pair.a.environment = skew::environment(pair.world.plane.directory(), of_a);
        pair.b.environment = skew::environment(pair.world.plane.directory(), of_b);
        pair.start().await;
        let ahead = pair.lease().await.renew_time.unwrap().0.duration_since(Timestamp::now()).as_secs();
        assert!((ahead - of_a).abs() < 60, "the clock is wrong by {ahead} s");
        let work = at_work(&pair);
        let (mut taken_over, mut killed) = (Duration::ZERO, None);
        let fault = async {
            // Longer than the lease lasts: nobody takes it early.
            sleep(Duration::from_secs(16) + at).await;
            let holder = pair.lease().await.holder_identity.unwrap();
            assert!(holder.starts_with("a_"), "{}", pair.logs());
            pair.a.signal(Signal::KILL);
            killed = Some(Instant::now());
            taken_over = pair.until_held_by("b").await;
        };
        tokio::join!(work, fault);
        assert!(taken_over >= Duration::from_secs(5), "it was waited for: {taken_over:?}");
        assert!(!pair.a.ended().await.success());
        judged(&mut pair, taken_over).await
    })
    .await;
}
