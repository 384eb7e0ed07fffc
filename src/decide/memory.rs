//! What this process remembers of one object between two reconciles. Losing it costs a call, never a session.

use std::time::Duration;

use tokio::time::Instant;

use super::input::{Desired, Now};
use crate::{
    api::WhatsAppSessionStatus,
    provider::{Class, Error},
};

const BACKOFF_BASE: Duration = Duration::from_secs(5);
const BACKOFF_CAP: Duration = Duration::from_mins(10);
/// A list read this shortly before the object was seen counts as fresh, so that objects applied together share one.
const FRESH: Duration = Duration::from_secs(5);
/// Between two looks at a Secret that is somebody else's.
pub(super) const FOREIGN: Duration = Duration::from_mins(1);

/// The backoff of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Failures in a row.
    pub failures: u32,
    /// No call before; `None` until the spec changes.
    pub not_before: Option<Instant>,
    /// What the last one failed with.
    pub class: Class,
    /// What the provider said about a request it called invalid.
    pub detail: String,
}

/// The memory of one object.
#[derive(Clone, Debug)]
pub struct Memory {
    /// When this process first saw the object.
    pub first_seen: Instant,
    /// The generation that `retry` is about.
    pub generation: i64,
    /// The backoff.
    pub retry: Option<Retry>,
    /// The list is wanted afresh, begun after this instant.
    pub fresh_after: Option<Instant>,
    /// The person's request that `fresh_after` answers.
    pub request: Option<String>,
    /// The last request for a code.
    pub pair_request: Option<String>,
    /// The attempt whose POST this process sent without a definite answer, or is sending.
    pub sent_attempt: Option<i32>,
    /// When that became unknown.
    pub unknown_since: Option<Instant>,
    /// When the first sweep began that shows nothing of that name.
    pub clear_since: Option<Instant>,
    /// When a definite failure of a create was told.
    pub refused_at: Option<Instant>,
    /// When our last successful connect was answered.
    pub connect_at: Option<Instant>,
    /// Connects since the session was last connected or showed a code.
    pub connects: u32,
    /// When this process first saw the recorded id.
    pub id_since: Option<Instant>,
    /// When the QR now in the Secret came.
    pub published: Option<Instant>,
    /// When the Secret was last written.
    pub secret_written: Option<Instant>,
    /// What is known about the Secret.
    pub secret: SecretSight,
    /// Since when it is known to be somebody else's.
    pub foreign_since: Option<Instant>,
    /// The status must be read before anything else: an action met a conflict, or a 404.
    pub doubt: bool,
    /// The remote side of a deletion is done.
    pub let_go: bool,
    /// A deletion has tried its call once in this process.
    pub tried: bool,
}

/// What is known about the QR Secret; it is never listed or watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretSight {
    /// Not looked yet in this process.
    Unknown,
    /// Not there.
    Absent,
    /// There, and ours.
    Ours,
    /// There, and somebody else's.
    Foreign,
}

impl Memory {
    /// An object seen for the first time.
    #[must_use]
    pub fn new(now: Now) -> Self {
        Self {
            first_seen: now.mono,
            generation: i64::MIN,
            retry: None,
            fresh_after: None,
            request: None,
            pair_request: None,
            sent_attempt: None,
            unknown_since: None,
            clear_since: None,
            refused_at: None,
            connect_at: None,
            connects: 0,
            id_since: None,
            published: None,
            secret_written: None,
            secret: SecretSight::Unknown,
            foreign_since: None,
            doubt: false,
            let_go: false,
            tried: false,
        }
    }

    /// Looks at the object: a new generation, or a person's request, forgets the backoff.
    pub fn meet(&mut self, desired: &Desired, recorded: &WhatsAppSessionStatus, now: Now) {
        if self.generation != desired.generation {
            // A changed spec may speak of what was made for it a moment ago.
            if self.generation != i64::MIN && recorded.session_id.is_none() {
                self.fresh_after = Some(now.mono);
            }
            self.generation = desired.generation;
            self.retry = None;
        }
        // Once a request: it stays unanswered in the status until the next write.
        if asked(desired, recorded) && self.request != desired.reconcile_request {
            self.request.clone_from(&desired.reconcile_request);
            self.retry = None;
            self.fresh_after = Some(now.mono);
            if self.secret == SecretSight::Foreign {
                self.secret = SecretSight::Unknown;
            }
        }
        // Whoever asks for a code has the phone in hand: what became of an earlier connect is not waited for.
        if wants_code(desired, recorded) && self.pair_request != desired.pair_request {
            self.pair_request.clone_from(&desired.pair_request);
            self.retry = None;
            self.connect_at = None;
            self.connects = 0;
        }
        match (self.secret, self.foreign_since) {
            (SecretSight::Foreign, None) => self.foreign_since = Some(now.mono),
            (SecretSight::Foreign, Some(since)) if now.mono < since + FOREIGN => {}
            (SecretSight::Foreign, Some(_)) => {
                self.secret = SecretSight::Unknown;
                self.foreign_since = None;
            }
            (SecretSight::Unknown | SecretSight::Absent | SecretSight::Ours, _) => self.foreign_since = None,
        }
        if recorded.session_id.is_some() && self.id_since.is_none() {
            self.id_since = Some(now.mono);
        }
        if recorded.create.is_none() {
            self.sent_attempt = None;
            self.unknown_since = None;
            self.clear_since = None;
            self.refused_at = None;
        }
    }

    /// A remote action other than a look went through.
    pub fn succeeded(&mut self) {
        self.retry = None;
    }

    /// A look was answered, also by a 404. The backoff of what made it necessary stays: else a call that always meets a
    /// conflict and the look after it would chase each other.
    pub fn looked(&mut self) {
        self.doubt = false;
    }

    /// A list that began after this is fresh enough for an object that was just seen.
    pub(super) fn fresh(&self) -> Instant {
        self.first_seen.checked_sub(FRESH).unwrap_or(self.first_seen)
    }

    /// A remote action failed. `random` is in `[0, 1)`.
    pub fn failed(&mut self, error: &Error, now: Now, random: f64) {
        let failures = self.retry.as_ref().map_or(0, |retry| retry.failures);
        let not_before = match error.class {
            // The account speaks for these, and holds everybody back.
            Class::RateLimited | Class::Unauthorized | Class::SubscriptionInactive | Class::RequestLimit => return,
            Class::Validation => None,
            Class::Forbidden | Class::SessionLimit | Class::NotFound => Some(super::SLOW),
            Class::Conflict
            | Class::Internal
            | Class::Unavailable
            | Class::Upstream
            | Class::Lost
            | Class::NotSent
            | Class::Garbled
            | Class::Unexpected => Some(backoff(failures, random)),
        };
        self.doubt |= matches!(error.class, Class::Conflict | Class::NotFound);
        let mut detail = error.message.clone();
        for (field, text) in &error.fields {
            detail = format!("{detail}; {field}: {text}");
        }
        self.retry = Some(Retry {
            failures: failures.saturating_add(1),
            not_before: not_before.map(|wait| now.mono + wait),
            class: error.class,
            detail,
        });
    }

    /// A create was answered with an error: definite, or unknown.
    pub fn create_failed(&mut self, attempt: i32, class: Class, now: Now) {
        if class.definite() {
            self.sent_attempt = None;
            self.refused_at = Some(now.mono);
        } else {
            self.sent_attempt = Some(attempt);
            self.unknown_since = Some(now.mono);
            self.clear_since = None;
        }
    }

    /// Our connect was answered.
    pub fn connected(&mut self, now: Now) {
        self.connect_at = Some(now.mono);
        self.connects = self.connects.saturating_add(1);
        self.published = None;
    }

    /// Our disconnect was answered: nothing comes of an earlier connect any more, so nobody waits for it.
    pub fn disconnected(&mut self) {
        self.connect_at = None;
        self.connects = 0;
    }

    /// A code or a connection came of it.
    pub fn rewarded(&mut self) {
        self.connects = 0;
    }

    /// The id a create gave is recorded.
    pub fn provisioned(&mut self, now: Now) {
        self.id_since = Some(now.mono);
        self.sent_attempt = None;
        self.doubt = false;
    }
}

/// Full jitter with a floor: `max(1 s, uniform(0, min(10 min, 5 s · 2ⁿ)))`.
/// Source: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
fn backoff(failures: u32, random: f64) -> Duration {
    let ceiling = BACKOFF_BASE.saturating_mul(1 << failures.min(10)).min(BACKOFF_CAP);
    ceiling.mul_f64(random.clamp(0.0, 1.0)).max(Duration::from_secs(1))
}

/// A person asked for a fresh look, and was not answered yet.
#[must_use]
pub fn asked(desired: &Desired, recorded: &WhatsAppSessionStatus) -> bool {
    desired.reconcile_request.is_some() && desired.reconcile_request != recorded.last_handled_reconcile_at
}

/// A person asked for a code, and was not answered yet.
#[must_use]
pub(super) fn wants_code(desired: &Desired, recorded: &WhatsAppSessionStatus) -> bool {
    let handled = recorded.pairing.as_ref().and_then(|pairing| pairing.last_handled_request.as_ref());
    desired.pair_request.is_some() && desired.pair_request.as_ref() != handled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_grows_to_its_cap_and_never_below_a_second() {
        for (failures, most) in [(0, 5), (1, 10), (2, 20), (3, 40), (7, 600), (60, 600)] {
            assert_eq!(backoff(failures, 1.0), Duration::from_secs(most), "{failures}");
            assert_eq!(backoff(failures, 0.0), Duration::from_secs(1), "{failures}");
        }
    }
}
