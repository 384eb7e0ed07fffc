//! The pure core: what is wanted, what is recorded, what was seen, and now → what to do, what to say, when to look again.
//!
//! [`decide`] is total: no client, no clock, no randomness, no waiting. `provision` gets a remote session and its id,
//! `connection` keeps it as declared, `pairing` shows codes, `deletion` lets go; `report` turns a [`Situation`] into
//! conditions and `words` holds every sentence a person reads.

pub mod account;
mod connection;
mod deletion;
pub mod input;
pub mod memory;
mod pairing;
mod plan;
mod provision;
mod report;
#[cfg(test)]
mod tests;
pub mod words;

use std::time::Duration;

pub use input::{AccountSight, Desired, Facts, Named, Now, Observed, Policy};
pub use memory::Memory;
pub use account::{AccountScene, Hindrance, decide_account};
pub use plan::{Action, Notice, Plan, Situation};
pub use report::born;

use crate::{
    api::{Phase, Reason},
    provider::Class,
};

/// Between two looks at something that waiting alone is unlikely to help.
pub(crate) const SLOW: Duration = Duration::from_mins(10);

/// Everything there is to know about one object at one instant.
#[derive(Clone, Copy)]
pub struct Scene<'a> {
    /// What the object declares.
    pub desired: &'a Desired,
    /// What its status records.
    pub recorded: &'a crate::api::WhatsAppSessionStatus,
    /// What was seen around it.
    pub observed: &'a Observed,
    /// What this process remembers of it.
    pub memory: &'a Memory,
    /// The operator's settings.
    pub policy: &'a Policy,
    /// Both clocks.
    pub now: Now,
}

/// The decision.
#[must_use]
pub fn decide(scene: &Scene<'_>) -> Plan {
    let plan = if scene.desired.deleting.is_some() { deletion::decide(scene) } else { alive(scene) };
    let plan = gate(scene, plan);
    report::finish(scene, plan)
}

fn alive(scene: &Scene<'_>) -> Plan {
    let Scene { desired, recorded, observed, policy, .. } = scene;
    if let Some(problem) = &desired.invalid {
        return pairing::hidden(scene, Plan::stalled(Reason::InvalidRequest, problem.clone(), Phase::Stalled));
    }
    if desired.suspend {
        return pairing::hidden(scene, Plan::of(Situation::Suspended));
    }
    if desired.publish_in_status && !policy.allow_qr_in_status {
        return pairing::hidden(scene, Plan::stalled(Reason::NotAllowed, words::not_allowed(), Phase::Stalled));
    }
    let sight = match &observed.account {
        AccountSight::Starting => return Plan::of(Situation::Quiet),
        AccountSight::NotFound => {
            return Plan::working(Reason::AccountNotReady, words::account_not_found(&desired.account), Phase::Pending);
        }
        AccountSight::NotReady(why) => {
            // An outage is the account's to tell; what was as declared is not known to be otherwise.
            if report::ready(recorded, desired.generation) {
                return Plan::of(Situation::Quiet);
            }
            return Plan::working(Reason::AccountNotReady, words::account_not_ready(&desired.account, why), Phase::Pending);
        }
        AccountSight::Stalled(why) => {
            return Plan::stalled(Reason::AccountNotReady, words::account_stalled(&desired.account, why), Phase::Stalled);
        }
        AccountSight::Running(sight) => sight,
    };
    match desired.recorded_id(recorded) {
        Some(id) => connection::decide(scene, sight, &id),
        None => provision::decide(scene, sight),
    }
}

/// The one place where remote calls are held back: while the account pauses, and while this object's own backoff lasts,
/// which no watch event cuts short. And where the finalizer comes before whatever it has to guard.
fn gate(scene: &Scene<'_>, mut plan: Plan) -> Plan {
    let Some(action) = &plan.action else { return plan };
    if action.needs_finalizer() && !scene.desired.finalizer {
        plan.action = Some(Action::AddFinalizer);
        return plan;
    }
    if !action.is_remote() {
        return plan;
    }
    // The look that a conflict asks for does not wait for the backoff that the conflict began.
    let looks = matches!(action, Action::ReadStatus { .. }) && scene.memory.doubt;
    let paused = match &scene.observed.account {
        AccountSight::Running(sight) => sight.paused,
        AccountSight::Starting | AccountSight::NotFound | AccountSight::NotReady(_) | AccountSight::Stalled(_) => None,
    };
    let phase = plan.situation.phase().unwrap_or(Phase::Pending);
    let deleting = scene.desired.deleting.is_some();
    if let Some(left) = paused {
        plan.action = None;
        plan.again = Some(left.max(Duration::from_millis(100)));
        if !deleting {
            plan.situation = Situation::Working(Reason::Throttled, words::throttled(), phase);
        }
        return plan;
    }
    let Some(retry) = &scene.memory.retry else { return plan };
    if looks && matches!(retry.class, Class::Conflict | Class::NotFound) {
        return plan;
    }
    let left = match retry.not_before {
        Some(at) if at <= scene.now.mono => return plan,
        Some(at) => Some(at - scene.now.mono),
        None => None,
    };
    plan.action = None;
    plan.again = left;
    if !deleting {
        plan.situation = match retry.class {
            Class::Validation => Situation::Stalled(Reason::InvalidRequest, words::invalid_request(&retry.detail), phase),
            Class::Forbidden => Situation::Stalled(Reason::PermissionDenied, words::permission_denied(), phase),
            Class::SessionLimit => Situation::Stalled(Reason::QuotaExceeded, words::quota_exceeded(), phase),
            Class::Unauthorized
            | Class::SubscriptionInactive
            | Class::RequestLimit
            | Class::NotFound
            | Class::Conflict
            | Class::RateLimited
            | Class::Internal
            | Class::Unavailable
            | Class::Upstream
            | Class::Lost
            | Class::NotSent
            | Class::Garbled
            | Class::Unexpected => Situation::Working(Reason::Retrying, words::retrying(retry.class), phase),
        };
    }
    plan
}
