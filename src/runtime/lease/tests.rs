//! Elections in virtual time, against an API that does as it is told.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use k8s_openapi::{api::coordination::v1::LeaseSpec, apimachinery::pkg::apis::meta::v1::MicroTime, jiff::Timestamp};
use kube::ResourceExt;
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::*;

/// What becomes of one call.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Fail,
    Silence,
    /// Stored, but never answered.
    Mute,
    /// Done, and answered so much later.
    Late(Duration),
}

/// An API server: one lease, versions, and fates for the calls to come.
#[derive(Default)]
struct Server {
    lease: Option<Lease>,
    version: u64,
    fates: VecDeque<Fate>,
    /// From then on nothing is answered.
    away: bool,
    writes: Vec<(Instant, String)>,
    gets: usize,
}

#[derive(Clone, Default)]
struct Api(Arc<Mutex<Server>>);

impl Api {
    fn server<R>(&self, with: impl FnOnce(&mut Server) -> R) -> R {
        with(&mut self.0.lock().unwrap())
    }

    fn fates(&self, fates: impl IntoIterator<Item = Fate>) {
        self.server(|server| server.fates.extend(fates));
    }

    fn away(&self, away: bool) {
        self.server(|server| server.away = away);
    }

    fn spec(&self) -> LeaseSpec {
        self.server(|server| server.lease.clone()).and_then(|lease| lease.spec).unwrap_or_default()
    }

    fn holder(&self) -> String {
        self.spec().holder_identity.unwrap_or_default()
    }

    /// Somebody edits the lease.
    fn edit(&self, edit: impl FnOnce(&mut LeaseSpec)) {
        self.server(|server| {
            let mut lease = server.lease.clone().unwrap_or_default();
            edit(lease.spec.get_or_insert_default());
            server.store(lease);
        });
    }

    async fn call<T>(&self, call: impl FnOnce(&mut Server) -> Result<T, Trouble>) -> Result<T, Trouble> {
        let fate = self.server(|server| if server.away { Some(Fate::Silence) } else { server.fates.pop_front() });
        match fate {
            Some(Fate::Fail) => Err(Trouble::Other("503".to_owned())),
            Some(Fate::Silence) => std::future::pending().await,
            Some(Fate::Mute) => {
                let _ = self.server(call);
                std::future::pending().await
            }
            Some(Fate::Late(by)) => {
                let answer = self.server(call);
                sleep(by).await;
                answer
            }
            None => self.server(call),
        }
    }
}

impl Server {
    fn store(&mut self, mut lease: Lease) -> Lease {
        let same = self.lease.as_ref().is_some_and(|now| now.spec == lease.spec);
        if !same {
            self.version += 1;
        }
        lease.metadata.resource_version = Some(self.version.to_string());
        self.writes.push((Instant::now(), lease.spec.clone().and_then(|s| s.holder_identity).unwrap_or_default()));
        self.lease = Some(lease.clone());
        lease
    }
}

impl Leases for Api {
    async fn get(&self) -> Result<Option<Lease>, Trouble> {
        self.call(|server| {
            server.gets += 1;
            Ok(server.lease.clone())
        })
        .await
    }

    async fn create(&self, lease: &Lease) -> Result<Lease, Trouble> {
        let lease = lease.clone();
        self.call(|server| if server.lease.is_some() { Err(Trouble::Changed) } else { Ok(server.store(lease)) }).await
    }

    async fn replace(&self, lease: &Lease) -> Result<Lease, Trouble> {
        let lease = lease.clone();
        self.call(|server| {
            let now = server.lease.as_ref().and_then(ResourceExt::resource_version);
            if now.is_none() || now != lease.resource_version() {
                return Err(Trouble::Changed);
            }
            Ok(server.store(lease))
        })
        .await
    }
}

/// A replica, its clock, and the ways to end it.
struct Replica {
    leadership: Leadership,
    run: JoinHandle<Result<(), Lost>>,
    stop: CancellationToken,
    drained: CancellationToken,
    /// Milliseconds that its machine was suspended: its clock counts them, its timers do not.
    suspended: Arc<AtomicU64>,
}

fn real() -> Timestamp {
    // Virtual, but going on.
    static BEGUN: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    let passed = BEGUN.get_or_init(Instant::now).elapsed();
    Timestamp::UNIX_EPOCH + k8s_openapi::jiff::SignedDuration::try_from(passed).unwrap()
}

fn replica(api: &Api, name: &str) -> Replica {
    with_wall(api, name, real)
}

fn with_wall(api: &Api, name: &str, wall: fn() -> Timestamp) -> Replica {
    let (begun, suspended) = (Instant::now(), Arc::new(AtomicU64::new(0)));
    let jumps = suspended.clone();
    let clock: Clock = Arc::new(move || begun.elapsed() + Duration::from_millis(1000 + jumps.load(Ordering::Relaxed)));
    let (election, leadership) = Election::new(api.clone(), name.to_owned(), clock, wall);
    let (stop, drained) = (CancellationToken::new(), CancellationToken::new());
    let run = tokio::spawn(election.run(stop.clone(), drained.clone()));
    Replica { leadership, run, stop, drained, suspended }
}

impl Replica {
    async fn leads(&self) {
        timeout(Duration::from_mins(5), self.leadership.acquired()).await.expect("it leads");
    }

    async fn lost(self) -> Lost {
        let ended = timeout(Duration::from_mins(5), self.run).await.expect("it ends");
        assert!(!self.leadership.is_held());
        ended.unwrap().expect_err("it lost the lease")
    }

    fn crash(self) {
        self.run.abort();
    }
}

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn the_first_takes_the_lease_and_renews_it_every_three_seconds() {
    let api = Api::default();
    let a = replica(&api, "a");
    a.leads().await;
    let spec = api.spec();
    assert_eq!((spec.lease_transitions, spec.lease_duration_seconds), (Some(0), Some(15)));
    assert_eq!((api.holder().as_str(), spec.acquire_time.clone()), ("a", spec.renew_time));
    sleep(Duration::from_mins(1)).await;
    let writes = api.server(|server| server.writes.len());
    assert!((20..=21).contains(&writes), "{writes}");
    assert_eq!(api.spec().acquire_time, spec.acquire_time);
    assert!(a.leadership.left() > 11 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_stand_by_takes_over_once_it_has_seen_no_change_for_the_whole_duration() {
    let api = Api::default();
    let a = replica(&api, "a");
    a.leads().await;
    let b = replica(&api, "b");
    sleep(Duration::from_mins(10)).await;
    assert!(a.leadership.is_held() && !b.leadership.is_held());
    let last = api.server(|server| server.writes.last().unwrap().0);
    let clock = a.leadership.clone();
    a.crash();
    b.leads().await;
    let waited = last.elapsed();
    assert!((15 * SECOND..=18 * SECOND).contains(&waited), "{waited:?}");
    assert!(clock.left().is_zero(), "what the dead one held has ended before");
    let spec = api.spec();
    assert_eq!((spec.holder_identity.as_deref(), spec.lease_transitions), (Some("b"), Some(1)));
}

#[tokio::test(start_paused = true)]
async fn a_lease_of_unknown_age_is_waited_for_whatever_its_times_say() {
    for renewed in [Timestamp::MIN, Timestamp::UNIX_EPOCH, Timestamp::MAX] {
        let api = Api::default();
        api.edit(|spec| {
            spec.holder_identity = Some("old".to_owned());
            spec.renew_time = Some(MicroTime(renewed));
        });
        let begun = Instant::now();
        let b = replica(&api, "b");
        b.leads().await;
        assert_eq!(begun.elapsed().as_secs(), 15);
    }
}

#[tokio::test(start_paused = true)]
async fn another_duration_is_believed_within_reason() {
    for (told, waited) in [(Some(1), 15), (Some(-5), 15), (None, 15), (Some(40), 40), (Some(i32::MAX), 60)] {
        let api = Api::default();
        api.edit(|spec| {
            spec.holder_identity = Some("old".to_owned());
            spec.lease_duration_seconds = told;
        });
        let begun = Instant::now();
        replica(&api, "b").leads().await;
        assert_eq!(begun.elapsed().as_secs(), waited, "{told:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_wall_clock_that_stands_still_does_not_hide_renewals() {
    let api = Api::default();
    let a = with_wall(&api, "a", || Timestamp::UNIX_EPOCH);
    a.leads().await;
    let b = replica(&api, "b");
    sleep(Duration::from_mins(2)).await;
    assert!(a.leadership.is_held() && !b.leadership.is_held());
}

#[tokio::test(start_paused = true)]
async fn of_two_that_want_it_at_once_one_gets_it() {
    let api = Api::default();
    // Both read that there is none before either writes.
    api.fates([Fate::Late(SECOND), Fate::Late(SECOND)]);
    let (a, b) = (replica(&api, "a"), replica(&api, "b"));
    sleep(10 * SECOND).await;
    assert!(a.leadership.is_held() != b.leadership.is_held());
    // And at once when one is left.
    let (gone, left) = if a.leadership.is_held() { (a, b) } else { (b, a) };
    let c = replica(&api, "c");
    sleep(SECOND).await;
    gone.crash();
    sleep(Duration::from_mins(1)).await;
    assert!(left.leadership.is_held() != c.leadership.is_held());
}

#[tokio::test(start_paused = true)]
async fn an_end_is_counted_from_before_the_renewal_was_sent() {
    let api = Api::default();
    let a = replica(&api, "a");
    a.leads().await;
    api.fates([Fate::Late(Duration::from_millis(1900))]);
    sleep(Duration::from_millis(2999)).await;
    let before = a.leadership.left();
    sleep(Duration::from_millis(1902)).await;
    // Sent after 3 s, answered after 4.9 s.
    let gained = (a.leadership.left() + Duration::from_millis(1902)).saturating_sub(before);
    assert!(gained > SECOND && gained <= 3 * SECOND, "{gained:?}");
    assert!(a.leadership.left() <= Duration::from_millis(13_100));
}

#[tokio::test(start_paused = true)]
async fn troubles_are_lived_through_until_the_renew_deadline() {
    let api = Api::default();
    let a = replica(&api, "a");
    a.leads().await;
    api.fates([Fate::Fail, Fate::Silence, Fate::Fail, Fate::Silence]);
    sleep(Duration::from_mins(1)).await;
    assert!(a.leadership.is_held());
    let begun = Instant::now();
    api.away(true);
    assert_eq!(a.lost().await, Lost::Overdue);
    let took = begun.elapsed();
    assert!((11 * SECOND..=14 * SECOND).contains(&took), "{took:?}");
    assert_eq!(api.holder(), "a", "what is lost is not released");
}

#[tokio::test(start_paused = true)]
async fn a_renewal_without_an_answer_counts_for_others_and_not_for_us() {
    let api = Api::default();
    let a = replica(&api, "a");
    a.leads().await;
    let b = replica(&api, "b");
    sleep(2 * SECOND).await;
    api.fates([Fate::Mute]);
    // It is stored under a version that the leader does not know; it reads it and goes on.
    sleep(Duration::from_mins(1)).await;
    assert!(a.leadership.is_held() && !b.leadership.is_held());
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_was_cut_off_is_none_any_more_before_the_next_one_is() {
    for at in 0..30 {
        let api = Api::default();
        let a = replica(&api, "a");
        a.leads().await;
        let b = replica(&api, "b");
        sleep(Duration::from_millis(20_000 + at * 100)).await;
        let held = a.leadership.clone();
        // For the other it is all the same whether its renewals do not arrive or are not made.
        a.crash();
        b.leads().await;
        assert!(held.left().is_zero(), "{at}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_slept_leads_no_more() {
    let api = Api::default();
    let a = replica(&api, "a");
    a.leads().await;
    a.suspended.store(20_000, Ordering::Relaxed);
    assert!(!a.leadership.is_held(), "at once, before any timer has noticed");
    let leadership = a.leadership.clone();
    let mut waits = std::pin::pin!(leadership.within(9 * SECOND, 8 * SECOND, async { panic!("sent") }));
    assert!(futures::poll!(waits.as_mut()).is_pending(), "not refused, and not sent");
    assert_eq!(a.lost().await, Lost::Overdue);
    assert_eq!(waits.await, Err::<Option<()>, _>(Refused));
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_another_is_named_in_is_lost() {
    for (holder, lost) in [("thief", "thief"), ("", "")] {
        let api = Api::default();
        let a = replica(&api, "a");
        a.leads().await;
        sleep(10 * SECOND).await;
        api.edit(|spec| spec.holder_identity = Some(holder.to_owned()));
        let begun = Instant::now();
        assert_eq!(a.lost().await, Lost::Taken(lost.to_owned()));
        assert!(begun.elapsed() <= 3 * SECOND);
        assert_eq!(api.holder(), holder);
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_somebody_touched_stays_ours() {
    let api = Api::default();
    let a = replica(&api, "a");
    a.leads().await;
    sleep(10 * SECOND).await;
    api.edit(|spec| spec.strategy = Some("whatever".to_owned()));
    sleep(20 * SECOND).await;
    assert!(a.leadership.left() > 11 * SECOND);
    assert_eq!(api.spec().strategy.as_deref(), Some("whatever"), "and keeps what we know nothing of");
}

#[tokio::test(start_paused = true)]
async fn a_deleted_lease_is_lost_and_taken_no_sooner_than_one_that_is_not_renewed() {
    let api = Api::default();
    let a = replica(&api, "a");
    a.leads().await;
    let b = replica(&api, "b");
    sleep(10 * SECOND).await;
    let held = a.leadership.clone();
    // Cut off, so that it does not notice.
    a.run.abort();
    api.server(|server| server.lease = None);
    b.leads().await;
    assert!(held.left().is_zero());

    api.server(|server| server.lease = None);
    assert_eq!(b.lost().await, Lost::Deleted);
}

#[tokio::test(start_paused = true)]
async fn it_is_released_after_the_drain_and_renewed_until_then() {
    let api = Api::default();
    let a = replica(&api, "a");
    a.leads().await;
    let b = replica(&api, "b");
    sleep(10 * SECOND).await;
    a.stop.cancel();
    // A drain that takes longer than a lease lasts.
    sleep(40 * SECOND).await;
    assert!(a.leadership.is_held() && !b.leadership.is_held());
    a.drained.cancel();
    let begun = Instant::now();
    b.leads().await;
    assert!(begun.elapsed() <= POLL, "{:?}", begun.elapsed());
    a.run.await.unwrap().unwrap();
    assert!(!a.leadership.is_held());
    let writes = api.server(|server| server.writes.clone());
    let released = writes.iter().position(|(_, holder)| holder.is_empty()).expect("a release");
    assert!(writes[released..].iter().all(|(_, holder)| holder != "a"));
    assert_eq!(api.spec().lease_transitions, Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_release_is_told_as_client_go_does() {
    let api = Api::default();
    let a = replica(&api, "a");
    a.leads().await;
    a.drained.cancel();
    a.run.await.unwrap().unwrap();
    let spec = api.spec();
    assert_eq!(spec.holder_identity.as_deref(), Some(""));
    assert_eq!((spec.lease_duration_seconds, spec.lease_transitions), (Some(1), Some(0)));
    assert_eq!(spec.acquire_time, spec.renew_time);
}

#[tokio::test(start_paused = true)]
async fn a_stand_by_that_is_stopped_has_written_nothing() {
    let api = Api::default();
    let a = replica(&api, "a");
    a.leads().await;
    let b = replica(&api, "b");
    sleep(10 * SECOND).await;
    b.stop.cancel();
    b.run.await.unwrap().unwrap();
    assert!(api.server(|server| server.writes.iter().all(|(_, holder)| holder == "a")));
}

#[tokio::test(start_paused = true)]
async fn a_call_waits_for_a_late_renewal_and_is_refused_without_one() {
    let api = Api::default();
    let a = replica(&api, "a");
    let refused = a.leadership.within(9 * SECOND, 8 * SECOND, async {}).await;
    assert_eq!(refused, Err(Refused), "before it leads");
    a.leads().await;
    assert_eq!(a.leadership.within(9 * SECOND, 8 * SECOND, async { 7 }).await, Ok(Some(7)));
    api.fates([Fate::Silence, Fate::Silence]);
    sleep(Duration::from_millis(6500)).await;
    assert!(a.leadership.is_held() && a.leadership.left() < 9 * SECOND);
    let at = async {
        assert!(a.leadership.left() >= 9 * SECOND, "it begins with enough left");
        Instant::now()
    };
    let begun = Instant::now();
    let sent = a.leadership.within(9 * SECOND, 8 * SECOND, at).await.unwrap().unwrap();
    assert!(sent > begun, "it waited");
    api.away(true);
    sleep(10 * SECOND).await;
    assert_eq!(a.leadership.within(9 * SECOND, 8 * SECOND, async {}).await, Err(Refused), "in the end");
    assert_eq!(a.lost().await, Lost::Overdue);
}

#[tokio::test(start_paused = true)]
async fn a_call_ends_in_time_and_is_not_sent_by_a_process_that_was_stopped() {
    let api = Api::default();
    let a = replica(&api, "a");
    a.leads().await;
    let begun = Instant::now();
    assert_eq!(a.leadership.within(9 * SECOND, 8 * SECOND, std::future::pending::<()>()).await, Ok(None));
    assert_eq!(begun.elapsed().as_secs(), 8);
    // A second of connecting, in which the machine sleeps.
    let suspended = a.suspended.clone();
    let call = async {
        tokio::spawn(async move { suspended.store(60_000, Ordering::Relaxed) });
        sleep(SECOND).await;
        panic!("this is where it would be sent");
    };
    assert_eq!(a.leadership.within(9 * SECOND, 8 * SECOND, call).await, Ok(None::<()>));
}

#[tokio::test(start_paused = true)]
async fn who_could_look_stands_by_and_waits_for_a_lease_that_went_while_it_was_free() {
    let api = Api::default();
    api.edit(|spec| spec.holder_identity = Some(String::new()));
    api.fates([Fate::Fail, Fate::Late(SECOND)]);
    let b = replica(&api, "b");
    sleep(SECOND).await;
    assert!(futures::poll!(std::pin::pin!(b.leadership.looked())).is_pending(), "it could not look yet");
    sleep(Duration::from_millis(1500)).await;
    // It has read that nobody holds it. Another may have taken it before it went.
    api.server(|server| server.lease = None);
    let begun = Instant::now();
    b.leadership.looked().await;
    b.leads().await;
    assert!(begun.elapsed() >= 15 * SECOND, "{:?}", begun.elapsed());
}
