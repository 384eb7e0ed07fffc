//! Whether this process may change anything now.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
    time::Duration,
};

use tokio::{sync::watch, time::sleep};

use super::clock::{Clock, boot_clock};

/// This replica does not lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this replica does not lead")]
pub struct Refused;

/// Asked right before each effect. What it says is by this process's own clock, so it needs no answer from anybody.
#[derive(Clone)]
pub struct Leadership {
    /// When the lease ends on `clock`; `None` before it is held and after it is lost.
    until: watch::Receiver<Option<Duration>>,
    /// Whether the lease was ever looked at.
    looked: watch::Receiver<bool>,
    clock: Clock,
}

impl Leadership {
    /// By a lease whose end on `clock` is told in `until`.
    #[must_use]
    pub fn new(until: watch::Receiver<Option<Duration>>, clock: Clock) -> Self {
        Self::of(until, watch::Sender::new(true).subscribe(), clock)
    }

    /// By a lease of which `looked` tells that it could be looked at.
    pub(super) fn of(until: watch::Receiver<Option<Duration>>, looked: watch::Receiver<bool>, clock: Clock) -> Self {
        Self { until, looked, clock }
    }

    /// Of the only replica.
    #[must_use]
    pub fn always() -> Self {
        Self::new(watch::Sender::new(Some(Duration::MAX)).subscribe(), boot_clock())
    }

    /// Whether nobody else can ever lead.
    #[must_use]
    pub fn is_unshared(&self) -> bool {
        *self.until.borrow() == Some(Duration::MAX)
    }

    /// How much of the lease is left; zero for who does not lead.
    #[must_use]
    pub fn left(&self) -> Duration {
        self.until.borrow().unwrap_or_default().saturating_sub((self.clock)())
    }

    /// Whether this replica leads now.
    #[must_use]
    pub fn is_held(&self) -> bool {
        !self.left().is_zero()
    }

    /// Waits until this replica could look at the lease, without which it will never lead: for ever if it never can.
    pub async fn looked(&self) {
        let mut looked = self.looked.clone();
        if looked.wait_for(|looked| *looked).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Waits until this replica leads for the first time, for ever if it never does.
    pub async fn acquired(&self) {
        let mut until = self.until.clone();
        if until.wait_for(Option::is_some).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Makes a call that has `lasting` in all, begun only once `need` of the lease is left, which a renewal that is late
    /// is waited for. `None` when it did not end in time.
    ///
    /// The clock is read before the call is polled, each time. So a call that waited for its connection is not sent
    /// after its time, nor is one of a process that was stopped in between: what remains is a stop between that look and
    /// the send.
    ///
    /// # Errors
    /// [`Refused`], with nothing sent, when this replica does not lead.
    pub async fn within<T>(
        &self,
        need: Duration,
        lasting: Duration,
        call: impl Future<Output = T>,
    ) -> Result<Option<T>, Refused> {
        let mut until = self.until.clone();
        while self.left() < need {
            if until.borrow_and_update().is_none() {
                return Err(Refused);
            }
            if self.left() >= need {
                break;
            }
            until.changed().await.map_err(|_| Refused)?;
        }
        let end = (self.clock)() + lasting;
        let (mut call, mut alarm) = (pin!(call), pin!(sleep(lasting)));
        let outcome = poll_fn(|context| {
            if (self.clock)() >= end || alarm.as_mut().poll(context).is_ready() {
                return Poll::Ready(None);
            }
            call.as_mut().poll(context).map(Some)
        });
        Ok(outcome.await)
    }
}
