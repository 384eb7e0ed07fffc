//! When to look at the provider: by interval, by hint, by wish; slower after failures.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::{Account, Call, Health, Stream, board::Read, limiter::Priority};
use crate::{
    api::{Reason, names},
    provider::{Class, Error},
};

/// Reads that fail in a row before the account says so: one lost answer is not news.
const QUIET_FAILURES: u32 = 3;
/// Between two looks at an account that waiting alone cannot help.
const SLOW_PROBE: Duration = Duration::from_mins(10);
/// Between two looks at usage and subscription.
const BILLING: Duration = Duration::from_hours(24);

impl Account {
    pub(super) async fn observe(&self) {
        let mut failures: u32 = 0;
        let mut not_before = Instant::now();
        loop {
            let health = self.state().health.clone();
            if let Health::Stalled(reason, _) = &health {
                let slow = (*reason != Reason::CredentialsInvalid).then(|| Instant::now() + SLOW_PROBE);
                if slow.is_some() {
                    self.look_at_billing().await;
                }
                tokio::select! {
                    biased;
                    () = self.credentials_changed() => { failures = 0; not_before = Instant::now(); }
                    () = at(slow) => { not_before = Instant::now(); self.read(Read::Sweep, &mut failures, &mut not_before).await; }
                }
                continue;
            }
            let now = Instant::now();
            let interval = self.interval();
            let next = self.board().next_read(now, interval);
            let due = match &next {
                Ok(_) => now,
                Err(later) => *later,
            }
            .max(not_before);
            if let (Ok(read), true) = (next, due <= now) {
                self.read(read, &mut failures, &mut not_before).await;
                continue;
            }
            tokio::select! {
                biased;
                () = self.nudge.notified() => {}
                () = sleep_until(due) => {}
            }
        }
    }

    async fn credentials_changed(&self) {
        while matches!(self.state().health, Health::Stalled(..)) {
            self.nudge.notified().await;
        }
    }

    fn interval(&self) -> Duration {
        let calm = self.board().settled();
        let state = self.state();
        if calm && state.stream == Stream::Live { state.settings.settled_poll } else { state.settings.poll }
    }

    async fn read(&self, read: Read, failures: &mut u32, not_before: &mut Instant) {
        let outcome = match &read {
            Read::Status(id) => self.status(id).await,
            Read::Sweep => self.read_list().await,
        };
        match outcome {
            Ok(()) => {
                *failures = 0;
                self.works().await;
            }
            // One session that cannot be read is no news about the account: the next sweep tells which of them it is.
            Err(error) if matches!(read, Read::Status(_)) && error.class != Class::RateLimited => {
                self.board().read_failed(&read, Instant::now());
            }
            Err(error) => {
                *failures += 1;
                let poll = self.state().settings.poll;
                let own = Duration::from_secs(5).saturating_mul(1 << (*failures - 1).min(7)).min(poll.max(SLOW_PROBE));
                let jitter = rand::random_range(0.5..=1.0);
                let wait = error.retry_after.unwrap_or_else(|| own.mul_f64(jitter));
                *not_before = Instant::now() + wait.max(Duration::from_secs(1));
                self.board().read_failed(&read, Instant::now());
                self.read_failed(&error, *failures);
            }
        }
    }

    async fn read_list(&self) -> Result<(), Error> {
        let begun = Instant::now();
        let Some(sessions) = self.sweep().await? else {
            tracing::info!(account = %self.key, "the list changed while it was read; it proves nothing and is read again");
            return Err(Error::of(Class::Garbled));
        };
        let heard_since = self.state().up_since;
        let (wakes, understood) = self.board().swept(sessions, begun, heard_since);
        if !understood {
            self.set_understood(false);
        }
        self.wake(wakes);
        Ok(())
    }

    /// A call went through: the account is ready, and billing is looked at when it is time.
    async fn works(&self) {
        let identity = match self.tokens.identity().await {
            Some(identity) => Some(names::printable(&identity, 64)),
            None => self.tokens.email().await.map(|email| format!("email-{:016x}", fnv1a(&email.to_lowercase()))),
        };
        let before = std::mem::replace(&mut self.state().identity, identity.clone());
        if before != identity {
            self.changed();
        }
        let health = self.state().health.clone();
        if matches!(health, Health::Stalled(..)) {
            // The plan that stood in the way is another one now.
            self.state().billing_due = Some(Instant::now());
        }
        self.set_health(Health::Ready);
        self.look_at_billing().await;
    }

    async fn look_at_billing(&self) {
        let due = self.state().billing_due.is_none_or(|at| at <= Instant::now());
        if due {
            self.read_billing().await;
        }
    }

    async fn read_billing(&self) {
        self.state().billing_due = Some(Instant::now() + BILLING);
        let usage = self.aside(|p, t, ()| p.usage(t)).await;
        let subscription = self.aside(|p, t, ()| p.subscription(t)).await;
        {
            let mut state = self.state();
            state.usage = usage.or(state.usage);
            if subscription.is_some() {
                state.subscription = subscription;
            }
        }
        self.changed();
    }

    /// A call whose answer is for people only: a provider that refuses it is no worse an account, but may ask for a
    /// pause.
    async fn aside<T>(&self, call: Call<(), T>) -> Option<T> {
        let token = self.tokens.current(&*self.provider, &self.limiter).await.ok()?;
        self.limiter.acquire(Priority::Poll).await.ok()?;
        match call(&*self.provider, &token, &()).await {
            Ok(answer) => Some(answer),
            Err(error) => {
                if error.class == Class::RateLimited {
                    self.note(&error).await;
                }
                None
            }
        }
    }

    fn read_failed(&self, error: &Error, failures: u32) {
        let health = self.state().health.clone();
        tracing::debug!(account = %self.key, class = ?error.class, status = error.status, failures, "reading failed");
        let paused = error.class == Class::RateLimited;
        match health {
            // `note` has said what there is to say.
            Health::Stalled(..) => {}
            Health::Ready if failures < QUIET_FAILURES || paused => {}
            Health::Starting | Health::Ready | Health::Retrying(_) => {
                // Our own words: the provider had no say in it.
                let more = if error.class == Class::NotSent { error.message.as_str() } else { "" };
                let why = if more.is_empty() { error.to_string() } else { format!("{error}: {more}") };
                self.set_health(Health::Retrying(format!("{why}; it is tried again")));
            }
        }
    }

    pub(super) fn set_understood(&self, understood: bool) {
        self.state().understood = understood;
        self.show_stream();
    }

    /// Derives the stream's state and tells when it changed.
    pub(super) fn show_stream(&self) {
        let changed = {
            let mut state = self.state();
            let stream = match (&state.settings.events, state.socket_up, state.understood) {
                (None, _, _) => Stream::Disabled,
                (Some(_), false, _) => Stream::Offline,
                (Some(_), true, false) => Stream::NotUnderstood,
                (Some(_), true, true) => Stream::Live,
            };
            std::mem::replace(&mut state.stream, stream) != stream
        };
        if changed {
            self.changed();
            self.nudge.notify_one();
        }
    }
}

async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

/// A hash that stays the same whatever compiler builds it: a changed identity means another tenant.
fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
