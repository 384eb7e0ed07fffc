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

pub use account::{AccountScene, Hindrance, decide_account};
pub use input::{AccountSight, Desired, Facts, Named, Now, Observed, Policy};
pub use memory::Memory;
pub use plan::{Action, Notice, Plan, Situation};

use self::memory::Retry;
use crate::{
    account::Health,
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
    if desired.suspend {
        return pairing::hidden(scene, Plan::of(Situation::Suspended));
    }
    if let Some(problem) = &desired.invalid {
        let why = words::invalid_spec(desired, problem);
        return pairing::covered(scene, Plan::stalled(Reason::InvalidRequest, why, Phase::Stalled));
    }
    if desired.publish_in_status && !policy.allow_qr_in_status {
        return pairing::covered(scene, Plan::stalled(Reason::NotAllowed, words::not_allowed(desired), Phase::Stalled));
    }
    let working = |why| pairing::covered(scene, Plan::working(Reason::AccountNotReady, why, Phase::Pending));
    let not_ready = |why: &str| {
        // An outage is the account's to tell; what was settled is not known to be otherwise.
        if report::settled(recorded, desired.generation) {
            return Plan::of(Situation::Quiet);
        }
        working(words::account_not_ready(desired, why))
    };
    let stalled = |why: &str| {
        let why = words::account_stalled(desired, why);
        pairing::covered(scene, Plan::stalled(Reason::AccountNotReady, why, Phase::Stalled))
    };
    let sight = match &observed.account {
        AccountSight::Starting => return Plan::of(Situation::Quiet),
        AccountSight::NotFound => return working(words::account_not_found(desired)),
        AccountSight::NotReady(why) => return not_ready(why),
        AccountSight::Stalled(why) => return stalled(why),
        AccountSight::Running(sight) => match &sight.health {
            Health::Stalled(_, why) => return stalled(why),
            // Without any list nothing can be said of a session.
            Health::Retrying(why) if sight.swept.is_none() => return not_ready(why),
            Health::Starting | Health::Ready | Health::Retrying(_) => sight,
        },
    };
    match desired.recorded_id(recorded) {
        Some(id) if observed.outclaimed => {
            let stalled = Plan::stalled(Reason::SessionClaimed, words::claimed(desired, &id), Phase::Stalled);
            pairing::covered(scene, stalled).again(SLOW)
        }
        Some(id) => connection::decide(scene, sight, &id),
        None => provision::decide(scene, sight),
    }
}

/// The one place where remote calls are held back: while the account pauses, and while this object's own backoff lasts,
/// which no watch event cuts short. And where the finalizer comes before whatever it has to guard.
fn gate(scene: &Scene<'_>, plan: Plan) -> Plan {
    // What is there already is guarded again, should somebody have taken the finalizer away.
    let Scene { desired, recorded, .. } = scene;
    let owns = recorded.session_id.is_some() || recorded.create.is_some();
    let guards = owns || plan.action.as_ref().is_some_and(Action::needs_finalizer);
    if guards && !desired.finalizer && desired.deleting.is_none() {
        return Plan::of(Situation::Quiet).then(Action::AddFinalizer);
    }
    let Some(action) = &plan.action else { return plan };
    if !action.is_remote() {
        return plan;
    }
    let creating = matches!(action, Action::Create { .. });
    let phase = if creating { Phase::Creating } else { plan.situation.phase().unwrap_or(Phase::Pending) };
    let paused = match &scene.observed.account {
        AccountSight::Running(sight) => sight.paused,
        AccountSight::Starting | AccountSight::NotFound | AccountSight::NotReady(_) | AccountSight::Stalled(_) => None,
    };
    if let Some(left) = paused {
        let throttled = Situation::Working(Reason::Throttled, words::throttled(), phase);
        return hold(scene, plan, throttled, Some(left.max(Duration::from_millis(100))));
    }
    let Some(retry) = &scene.memory.retry else { return plan };
    let failed = match retry.class {
        Class::Validation => Situation::Stalled(
            Reason::InvalidRequest,
            words::invalid_request(scene.desired, &retry.detail),
            Phase::Stalled,
        ),
        Class::Forbidden => Situation::Stalled(Reason::PermissionDenied, words::permission_denied(), Phase::Stalled),
        Class::SessionLimit => Situation::Stalled(Reason::QuotaExceeded, words::quota_exceeded(), Phase::Stalled),
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
    let left = retry.not_before.map(|at| at.saturating_duration_since(scene.now.mono));
    if left == Some(Duration::ZERO) || asks_for(retry, action) {
        // What the id write says is true once it is written; all else is said until the call went through.
        return if creating { plan } else { say(scene, plan, failed) };
    }
    hold(scene, plan, failed, left)
}

/// The failure itself asks for a look at the state. The list's own doubts wait as long as everything else.
fn asks_for(retry: &Retry, action: &Action) -> bool {
    let look = matches!(action, Action::ReadStatus { .. });
    look && match retry.class {
        Class::NotFound => true,
        // Once: this one the look itself may be answered with.
        Class::Conflict => retry.failures == 1,
        Class::Validation
        | Class::Unauthorized
        | Class::Forbidden
        | Class::SubscriptionInactive
        | Class::SessionLimit
        | Class::RequestLimit
        | Class::RateLimited
        | Class::Internal
        | Class::Unavailable
        | Class::Upstream
        | Class::Lost
        | Class::NotSent
        | Class::Garbled
        | Class::Unexpected => false,
    }
}

fn hold(scene: &Scene<'_>, mut plan: Plan, why: Situation, left: Option<Duration>) -> Plan {
    if let Some(Action::Create { .. }) = plan.action.take() {
        // The plan spoke of the time after the id write.
        plan = Plan::working(Reason::Creating, words::creating(), Phase::Creating);
    }
    let plan = say(scene, plan, why);
    match left {
        Some(left) => plan.again(left),
        None => plan,
    }
}

/// A deletion says what it waits for, and a mere look that has to wait is no news.
fn say(scene: &Scene<'_>, mut plan: Plan, why: Situation) -> Plan {
    let look = plan.situation == Situation::Quiet && matches!(why, Situation::Working(..));
    plan.situation = match why {
        Situation::Working(_, why, _) | Situation::Stalled(_, why, _) if scene.desired.deleting.is_some() => {
            Situation::Deleting(words::deleting_waits(&why))
        }
        _ if look => plan.situation,
        why => why,
    };
    plan
}
