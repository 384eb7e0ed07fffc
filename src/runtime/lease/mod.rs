//! Which of several replicas works: the one that holds a Lease of `coordination.k8s.io`.
//!
//! `election` is the state machine, over three calls that tests can script; `kubernetes` makes these calls; `leadership`
//! is what whoever is about to change something asks; `clock` measures. No wall clock decides anything: the times in the
//! Lease are for people.

mod clock;
mod election;
mod kubernetes;
mod leadership;
#[cfg(test)]
mod tests;

use std::{future::Future, time::Duration};

use k8s_openapi::api::coordination::v1::Lease;

pub use clock::{Clock, boot_clock};
pub use election::{Election, Lost};
pub use kubernetes::{Named, fenced, identity};
pub use leadership::{Leadership, Refused};

/// How long a lease is good after its renewal was sent, and how long it must not have changed before another takes it.
pub const DURATION: Duration = Duration::from_secs(15);
/// From one renewal to the next.
const RENEW: Duration = Duration::from_secs(3);
/// From a renewal that failed to the next.
const RETRY: Duration = Duration::from_secs(1);
/// From one look of a stand-by to the next.
const POLL: Duration = Duration::from_secs(2);
/// No call takes longer.
const CALL: Duration = Duration::from_secs(2);
/// What is left of a lease when its holder gives up: enough to end before another may begin.
const MARGIN: Duration = Duration::from_secs(1);
/// The longest life that is believed of another's lease: a slip of somebody's hand must not stop everything for ever.
const LONGEST: Duration = Duration::from_mins(1);

/// How a call about the lease failed.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// What is stored is not what was read, or there is none any more, or one already.
    #[error("the lease has changed meanwhile")]
    Changed,
    /// No answer in time.
    #[error("no answer in time")]
    Timeout,
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

/// The calls of an election: reads are of the latest version, writes are of the version that was read.
pub trait Leases: Send + Sync + 'static {
    /// Reads the lease.
    fn get(&self) -> impl Future<Output = Result<Option<Lease>, Trouble>> + Send;
    /// Creates it.
    fn create(&self, lease: &Lease) -> impl Future<Output = Result<Lease, Trouble>> + Send;
    /// Replaces the version that `lease` names.
    fn replace(&self, lease: &Lease) -> impl Future<Output = Result<Lease, Trouble>> + Send;
}
