//! One budget for all calls of an account: a token bucket with four queues, and a pause that stops them all.
//!
//! By hand, because the known crates bring a clock of their own, know no priorities and cannot change their rate
//! (docs/decisions/0002-hand-written.md).

use std::{
    collections::VecDeque,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, oneshot},
    time::{Instant, sleep_until},
};

/// Who goes first when calls have to queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    /// Getting rid of what nobody wants any more.
    Delete,
    /// A person is waiting with a phone in their hand.
    Pair,
    /// New sessions.
    Create,
    /// Looking.
    Poll,
}

const QUEUES: usize = 4;
/// No pause is longer, whatever the provider asks for.
const LONGEST_PAUSE: Duration = Duration::from_hours(1);
/// The slowest that pauses make the bucket: this part of the configured rate.
const SLOWEST: f64 = 1.0 / 16.0;
/// What each call that goes through gives back: this part of the configured rate.
const RECOVERY: f64 = 1.0 / 100.0;
/// A token, give or take what fractions lose: waiting for the last billionth of one would be spinning.
const TOKEN: f64 = 1.0 - 1e-9;

/// Calls are paused for this long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paused(pub Duration);

/// The bucket. [`Limiter::run`] must run for calls that have to wait ever to go.
pub struct Limiter {
    inner: Mutex<Inner>,
    changed: Notify,
    /// Nanoseconds that callers have spent in the queues.
    waited: AtomicU64,
}

/// A place in a queue; the time until it is left counts, however it is left.
struct Waiting<'a>(&'a AtomicU64, Instant);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let nanos = u64::try_from(self.1.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.0.fetch_add(nanos, Ordering::Relaxed);
    }
}

struct Inner {
    configured: f64,
    /// Halved by each pause, given back bit by bit.
    rate: f64,
    burst: f64,
    tokens: f64,
    at: Instant,
    paused_until: Option<Instant>,
    pauses: u32,
    closed: bool,
    queues: [VecDeque<oneshot::Sender<()>>; QUEUES],
}

impl Limiter {
    /// A full bucket of `burst` that refills with `rate` a second.
    #[must_use]
    pub fn new(rate: u32, burst: u32) -> Self {
        let (rate, burst) = (f64::from(rate.max(1)), f64::from(burst.max(1)));
        Self {
            inner: Mutex::new(Inner {
                configured: rate,
                rate,
                burst,
                tokens: burst,
                at: Instant::now(),
                paused_until: None,
                pauses: 0,
                closed: false,
                queues: Default::default(),
            }),
            changed: Notify::new(),
            waited: AtomicU64::new(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes rate and burst; what is queued stays queued.
    pub fn configure(&self, rate: u32, burst: u32) {
        let mut inner = self.lock();
        inner.refill();
        inner.configured = f64::from(rate.max(1));
        inner.rate = inner.configured;
        inner.burst = f64::from(burst.max(1));
        inner.tokens = inner.tokens.min(inner.burst);
        drop(inner);
        self.changed.notify_one();
    }

    /// Waits for leave to make one call. Dropping the future gives the place in the queue up.
    ///
    /// # Errors
    /// [`Paused`] at once when calls are paused, also for those already queued when a pause begins: a caller decides
    /// anew afterwards instead of acting on what it knew an hour ago.
    pub async fn acquire(&self, priority: Priority) -> Result<(), Paused> {
        let granted = {
            let mut inner = self.lock();
            if let Some(left) = inner.pause_left() {
                return Err(Paused(left));
            }
            inner.refill();
            if inner.tokens >= TOKEN && inner.queues.iter().all(VecDeque::is_empty) {
                inner.tokens -= 1.0;
                return Ok(());
            }
            let (grant, granted) = oneshot::channel();
            if let Some(queue) = inner.queues.get_mut(priority as usize) {
                queue.push_back(grant);
            }
            granted
        };
        self.changed.notify_one();
        let _waiting = Waiting(&self.waited, Instant::now());
        granted.await.map_err(|_| Paused(self.pause_left().unwrap_or_default()))
    }

    /// Stops all calls for `asked`, or for a time that doubles with each pause in a row; then they go on at half the
    /// rate and without a burst.
    pub fn pause(&self, asked: Option<Duration>) {
        let mut inner = self.lock();
        // Calls that were under way together are refused together: that is one pause.
        if inner.pause_left().is_none() {
            inner.pauses = inner.pauses.saturating_add(1);
            inner.rate = (inner.rate / 2.0).max(inner.configured * SLOWEST);
        }
        let own = Duration::from_secs(5).saturating_mul(1 << inner.pauses.saturating_sub(1).min(8));
        let until = Instant::now() + asked.unwrap_or(own).clamp(Duration::from_secs(1), LONGEST_PAUSE);
        let until = inner.paused_until.map_or(until, |before| before.max(until));
        inner.paused_until = Some(until);
        inner.tokens = 1.0;
        inner.at = until;
        // Dropping the grants tells everybody who waits.
        inner.queues.iter_mut().for_each(VecDeque::clear);
    }

    /// A call went through: the rate recovers a little, the next pause without `Retry-After` starts small again.
    pub fn calm(&self) {
        let mut inner = self.lock();
        if inner.pause_left().is_some() {
            return;
        }
        inner.pauses = 0;
        if inner.rate < inner.configured {
            inner.refill();
            inner.rate = inner.configured.mul_add(RECOVERY, inner.rate).min(inner.configured);
        }
    }

    /// Turns everybody away from now on: nobody will grant what is queued any more.
    pub fn close(&self) {
        let mut inner = self.lock();
        inner.closed = true;
        inner.queues.iter_mut().for_each(VecDeque::clear);
    }

    /// How long calls are still paused.
    pub fn pause_left(&self) -> Option<Duration> {
        self.lock().pause_left()
    }

    /// How long callers have waited for leave, all together.
    pub fn waited(&self) -> Duration {
        Duration::from_nanos(self.waited.load(Ordering::Relaxed))
    }

    /// Grants what is queued, in order of priority. Runs until dropped.
    pub async fn run(&self) {
        loop {
            let next = self.lock().grant();
            match next {
                Some(at) => tokio::select! {
                    biased;
                    () = self.changed.notified() => {}
                    () = sleep_until(at) => {}
                },
                None => self.changed.notified().await,
            }
        }
    }
}

impl Inner {
    fn refill(&mut self) {
        // Until a pause is over, `at` lies ahead and nothing is gained.
        let now = Instant::now().max(self.at);
        self.tokens = (now - self.at).as_secs_f64().mul_add(self.rate, self.tokens).min(self.burst);
        self.at = now;
    }

    fn pause_left(&self) -> Option<Duration> {
        if self.closed {
            return Some(LONGEST_PAUSE);
        }
        self.paused_until.map(|until| until.saturating_duration_since(Instant::now())).filter(|left| !left.is_zero())
    }

    /// Grants what the bucket holds; returns when the next token is there, if somebody waits for it.
    fn grant(&mut self) -> Option<Instant> {
        self.refill();
        while self.tokens >= TOKEN {
            let grant = self.queues.iter_mut().find_map(VecDeque::pop_front)?;
            // Who stopped waiting costs no token.
            if grant.send(()).is_ok() {
                self.tokens -= 1.0;
            }
        }
        let waits = self.queues.iter().any(|queue| !queue.is_empty());
        waits.then(|| self.at + Duration::from_secs_f64((1.0 - self.tokens) / self.rate))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn running(rate: u32, burst: u32) -> Arc<Limiter> {
        let limiter = Arc::new(Limiter::new(rate, burst));
        let runs = limiter.clone();
        tokio::spawn(async move { runs.run().await });
        limiter
    }

    #[tokio::test(start_paused = true)]
    async fn the_rate_is_kept_after_the_burst() {
        let limiter = running(5, 10);
        let start = Instant::now();
        for _ in 0..20 {
            limiter.acquire(Priority::Poll).await.unwrap();
        }
        let took = start.elapsed();
        assert!(took >= Duration::from_millis(1990) && took < Duration::from_millis(2100), "{took:?}");
        assert_eq!(limiter.waited(), took, "one caller waited all the time");
    }

    #[tokio::test(start_paused = true)]
    async fn a_deletion_overtakes_what_waits() {
        let limiter = running(1, 1);
        limiter.acquire(Priority::Poll).await.unwrap();
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = Vec::new();
        for priority in [Priority::Poll, Priority::Create, Priority::Pair, Priority::Delete] {
            let (limiter, order) = (limiter.clone(), order.clone());
            tasks.push(tokio::spawn(async move {
                limiter.acquire(priority).await.unwrap();
                order.lock().unwrap().push(priority);
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
        let order = order.lock().unwrap().clone();
        assert_eq!(order, [Priority::Delete, Priority::Pair, Priority::Create, Priority::Poll]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_turns_everybody_away_until_it_is_over() {
        let limiter = running(1, 1);
        limiter.acquire(Priority::Poll).await.unwrap();
        let waiting = tokio::spawn({
            let limiter = limiter.clone();
            async move { limiter.acquire(Priority::Create).await }
        });
        tokio::task::yield_now().await;
        limiter.pause(Some(Duration::from_secs(30)));
        assert_eq!(waiting.await.unwrap(), Err(Paused(Duration::from_secs(30))));
        assert_eq!(limiter.acquire(Priority::Delete).await, Err(Paused(Duration::from_secs(30))));
        tokio::time::advance(Duration::from_secs(31)).await;
        assert_eq!(limiter.acquire(Priority::Delete).await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_without_a_time_grow_until_a_call_goes_through() {
        let limiter = Limiter::new(1, 1);
        for _ in 0..3 {
            limiter.pause(None);
            assert_eq!(limiter.pause_left(), Some(Duration::from_secs(5)), "one storm is one pause");
        }
        limiter.calm();
        tokio::time::advance(Duration::from_secs(6)).await;
        limiter.pause(None);
        assert_eq!(
            limiter.pause_left(),
            Some(Duration::from_secs(10)),
            "an answer from before the pause ended nothing"
        );
        tokio::time::advance(Duration::from_secs(11)).await;
        limiter.calm();
        limiter.pause(None);
        assert_eq!(limiter.pause_left(), Some(Duration::from_secs(5)));
        limiter.pause(Some(Duration::from_hours(24)));
        assert_eq!(limiter.pause_left(), Some(Duration::from_hours(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_closed_bucket_keeps_nobody_waiting() {
        let limiter = running(1, 1);
        limiter.acquire(Priority::Poll).await.unwrap();
        let waiting = tokio::spawn({
            let limiter = limiter.clone();
            async move { limiter.acquire(Priority::Create).await }
        });
        tokio::task::yield_now().await;
        limiter.close();
        assert!(waiting.await.unwrap().is_err());
        assert!(limiter.acquire(Priority::Delete).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_pause_calls_trickle_and_the_rate_recovers_slowly() {
        let limiter = running(10, 10);
        limiter.pause(Some(Duration::from_secs(30)));
        tokio::time::advance(Duration::from_secs(30)).await;
        let start = Instant::now();
        for _ in 0..6 {
            limiter.acquire(Priority::Poll).await.unwrap();
        }
        let took = start.elapsed().as_millis();
        assert!((1000..1020).contains(&took), "one at once, five at half the rate: {took} ms");
        for _ in 0..50 {
            limiter.calm();
        }
        let start = Instant::now();
        for _ in 0..10 {
            limiter.acquire(Priority::Poll).await.unwrap();
        }
        let took = start.elapsed().as_millis();
        assert!((980..1020).contains(&took), "the configured rate again: {took} ms");
    }
}
