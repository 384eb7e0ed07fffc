//! Stand by, lead, release: the life of a replica.

use std::time::Duration;

use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
    jiff::{SignedDuration, Timestamp},
};
use kube::ResourceExt;
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{CALL, Clock, DURATION, LONGEST, Leadership, Leases, MARGIN, POLL, RENEW, RETRY, Trouble};

/// Why a leader is none any more. The process must end: what it has begun is no longer its own.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// No renewal was answered in time.
    #[error("the lease could not be renewed in time, so another replica may lead now; this one ends")]
    Overdue,
    /// Somebody else is named in it, or nobody.
    #[error("the lease was taken away, its holder is {0:?} now; this replica ends")]
    Taken(String),
    /// It is not there.
    #[error("the lease was deleted, so another replica may lead soon; this one ends")]
    Deleted,
}

/// One replica's part in an election.
pub struct Election<L> {
    leases: L,
    identity: String,
    clock: Clock,
    wall: fn() -> Timestamp,
    until: watch::Sender<Option<Duration>>,
    looked: watch::Sender<bool>,
}

/// A lease that is held, and when it ends.
struct Held {
    lease: Box<Lease>,
    until: Duration,
}

/// The lease of somebody else as it was last seen to change. Its end is judged by our clock alone.
struct Seen {
    version: Option<String>,
    at: Duration,
    lasts: Duration,
}

/// What a look of a stand-by came to.
enum Look {
    Taken(Held),
    Wait(Duration),
}

/// What a try to renew came to.
enum Renewal {
    Done(Held),
    /// Somebody touched it, and it is still ours.
    Touched(Box<Lease>),
    Lost(Lost),
}

impl<L: Leases> Election<L> {
    /// A replica that stands by, and what tells whether it leads.
    #[must_use]
    pub fn new(leases: L, identity: String, clock: Clock, wall: fn() -> Timestamp) -> (Self, Leadership) {
        let (until, looked) = (watch::Sender::new(None), watch::Sender::new(false));
        let leadership = Leadership::of(until.subscribe(), looked.subscribe(), clock.clone());
        (Self { leases, identity, clock, wall, until, looked }, leadership)
    }

    /// Stands by until `stop`, or leads from some time on: then until `drained`, when the lease is released.
    ///
    /// # Errors
    /// When the lease is lost. It is not released then: it is not ours.
    pub async fn run(self, stop: CancellationToken, drained: CancellationToken) -> Result<(), Lost> {
        let Some(held) = self.stand_by(&stop).await else { return Ok(()) };
        let lost = self.lead(held, &drained).await;
        self.until.send_replace(None);
        lost
    }

    async fn stand_by(&self, stop: &CancellationToken) -> Option<Held> {
        let (mut seen, mut failing, mut told) = (None, false, String::new());
        loop {
            // Not broken off: what was sent may be stored.
            let look = self.look(&mut seen, &mut told).await;
            if look.is_ok() {
                self.looked.send_replace(true);
            }
            let wait = match look {
                Ok(Look::Taken(held)) => return Some(held),
                Ok(Look::Wait(wait)) => {
                    failing = false;
                    wait
                }
                Err(trouble) => {
                    if !std::mem::replace(&mut failing, true) {
                        tracing::warn!(%trouble, "the lease cannot be looked at; it is tried again");
                    }
                    POLL
                }
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => return None,
                () = sleep(wait) => {}
            }
        }
    }

    /// Looks at the lease and takes it if nobody holds it; how long to wait otherwise.
    async fn look(&self, seen: &mut Option<Seen>, told: &mut String) -> Result<Look, Trouble> {
        let found = self.call(CALL, self.leases.get()).await?;
        let now = (self.clock)();
        let holder = found.as_ref().map(holder).unwrap_or_default();
        let version = found.as_ref().and_then(ResourceExt::resource_version);
        let changed = seen.as_ref().is_none_or(|seen| seen.version != version);
        match &found {
            Some(lease) if changed => {
                // One that nobody holds, or that an unanswered write of ours took, is waited for by nobody.
                let free = holder.is_empty() || holder == self.identity;
                let lasts = if free { Duration::ZERO } else { life(lease) };
                *seen = Some(Seen { version, at: now, lasts });
            }
            // One that was deleted may have been taken or renewed right before.
            None if changed => {
                if let Some(seen) = seen {
                    *seen = Seen { version, at: now, lasts: seen.lasts.max(DURATION) };
                }
            }
            Some(_) | None => {}
        }
        let end = seen.as_ref().map_or(now, |seen| seen.at + seen.lasts);
        let left = end.saturating_sub(now);
        if !left.is_zero() {
            if holder != *told && !holder.is_empty() {
                tracing::info!(holder, "standing by");
                *told = holder;
            }
            return Ok(Look::Wait(left.min(POLL)));
        }
        let sent = (self.clock)();
        let wanted = self.taken(found.unwrap_or_default());
        let written = if wanted.resource_version().is_some() {
            self.call(CALL, self.leases.replace(&wanted)).await
        } else {
            self.call(CALL, self.leases.create(&wanted)).await
        };
        match written {
            Ok(lease) => Ok(Look::Taken(Held { lease: Box::new(lease), until: sent + DURATION })),
            Err(Trouble::Changed) => Ok(Look::Wait(POLL)),
            Err(trouble) => Err(trouble),
        }
    }

    async fn lead(&self, mut held: Held, drained: &CancellationToken) -> Result<(), Lost> {
        tracing::info!(identity = self.identity, transitions = transitions(&held.lease), "leading");
        let mut pause = RENEW;
        loop {
            self.until.send_replace(Some(held.until));
            let left = held.until.saturating_sub(MARGIN).saturating_sub((self.clock)());
            tokio::select! {
                biased;
                () = drained.cancelled() => {
                    self.until.send_replace(None);
                    self.release(*held.lease).await;
                    return Ok(());
                }
                () = sleep(pause.min(left)) => {}
            }
            let left = held.until.saturating_sub(MARGIN).saturating_sub((self.clock)());
            if left.is_zero() {
                return Err(Lost::Overdue);
            }
            let begun = (self.clock)();
            pause = match self.renew(&held.lease, left.min(CALL)).await {
                Ok(Renewal::Done(renewed)) => {
                    held = renewed;
                    RENEW.saturating_sub((self.clock)().saturating_sub(begun))
                }
                Ok(Renewal::Touched(lease)) => {
                    held.lease = lease;
                    Duration::ZERO
                }
                Ok(Renewal::Lost(lost)) => return Err(lost),
                Err(trouble) => {
                    tracing::warn!(%trouble, ?left, "the lease was not renewed; it is tried again");
                    RETRY
                }
            };
        }
    }

    /// The end is counted from before the renewal was sent: others may have seen it at once.
    async fn renew(&self, lease: &Lease, patience: Duration) -> Result<Renewal, Trouble> {
        let sent = (self.clock)();
        match self.call(patience, self.leases.replace(&self.renewed(lease.clone()))).await {
            Ok(lease) => Ok(Renewal::Done(Held { lease: Box::new(lease), until: sent + DURATION })),
            Err(Trouble::Changed) => {
                let now = self.call(patience, self.leases.get()).await?;
                Ok(match now {
                    Some(lease) if holder(&lease) == self.identity => Renewal::Touched(Box::new(lease)),
                    Some(lease) => Renewal::Lost(Lost::Taken(holder(&lease))),
                    None => Renewal::Lost(Lost::Deleted),
                })
            }
            Err(trouble) => Err(trouble),
        }
    }

    /// As client-go does it: nobody holds it, and whoever looks may take it at once.
    async fn release(&self, lease: Lease) {
        let released = |mut lease: Lease| {
            let now = self.now(&lease);
            let spec = lease.spec.get_or_insert_default();
            spec.holder_identity = Some(String::new());
            spec.lease_duration_seconds = Some(1);
            (spec.acquire_time, spec.renew_time) = (Some(MicroTime(now)), Some(MicroTime(now)));
            lease
        };
        let mut outcome = self.call(CALL, self.leases.replace(&released(lease))).await;
        if matches!(outcome, Err(Trouble::Changed | Trouble::Timeout))
            && let Ok(Some(lease)) = self.call(CALL, self.leases.get()).await
            && holder(&lease) == self.identity
        {
            outcome = self.call(CALL, self.leases.replace(&released(lease))).await;
        }
        match outcome {
            Ok(_) => tracing::info!("released the lease"),
            Err(trouble) => tracing::warn!(%trouble, "the lease was not released; it ends by itself"),
        }
    }

    async fn call<T>(&self, patience: Duration, call: impl Future<Output = Result<T, Trouble>>) -> Result<T, Trouble> {
        timeout(patience, call).await.unwrap_or(Err(Trouble::Timeout))
    }

    /// The lease as its new holder writes it.
    fn taken(&self, mut lease: Lease) -> Lease {
        let now = self.now(&lease);
        let before = lease.spec.take();
        let transitions = match &before {
            Some(spec) if spec.holder_identity.as_ref() == Some(&self.identity) => spec.lease_transitions,
            Some(spec) => Some(spec.lease_transitions.unwrap_or_default().saturating_add(1)),
            None => Some(0),
        };
        lease.spec = Some(LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
            acquire_time: Some(MicroTime(now)),
            renew_time: Some(MicroTime(now)),
            lease_transitions: transitions,
            ..before.unwrap_or_default()
        });
        lease
    }

    fn renewed(&self, mut lease: Lease) -> Lease {
        let now = self.now(&lease);
        lease.spec.get_or_insert_default().renew_time = Some(MicroTime(now));
        lease
    }

    /// The wall clock's time, but never that of the last renewal again: a write that changes nothing is stored as none,
    /// and others would take the lease for one that is not renewed.
    fn now(&self, lease: &Lease) -> Timestamp {
        let now = to_micros((self.wall)());
        match lease.spec.as_ref().and_then(|spec| spec.renew_time.as_ref()) {
            Some(last) if to_micros(last.0) == now => now.checked_add(SignedDuration::from_micros(1)).unwrap_or(now),
            _ => now,
        }
    }
}

/// As precise as a Lease can tell.
fn to_micros(time: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(time.as_microsecond()).unwrap_or(time)
}

fn holder(lease: &Lease) -> String {
    lease.spec.as_ref().and_then(|spec| spec.holder_identity.clone()).unwrap_or_default()
}

fn transitions(lease: &Lease) -> i32 {
    lease.spec.as_ref().and_then(|spec| spec.lease_transitions).unwrap_or_default()
}

/// How long a lease that does not change is another's.
fn life(lease: &Lease) -> Duration {
    let told = lease.spec.as_ref().and_then(|spec| spec.lease_duration_seconds).unwrap_or_default();
    Duration::from_secs(u64::try_from(told).unwrap_or_default()).clamp(DURATION, LONGEST)
}
