//! Getting a remote session and its id: adopt what is ours by name or by id, else create, exactly once.
//!
//! The intent is recorded before the POST; when an answer is lost, the list decides, by two complete sweeps a settle
//! time apart. A second POST is never sent blindly.

use std::time::Duration;

use tokio::time::Instant;

use super::{Plan, SLOW, Scene, Situation, connection, plan::Action, words};
use crate::{
    account::{Sight, registry::NameState},
    api::{Phase, Reason, WhatsAppSessionStatus, names, session::CreateStatus},
    provider::{RemoteSession, SessionId},
};

pub(super) fn decide(scene: &Scene<'_>, sight: &Sight) -> Plan {
    let Scene { desired, recorded, .. } = scene;
    if let Some(wanted) = &desired.session_id {
        return by_id(scene, sight, wanted);
    }
    let Some(create) = &recorded.create else { return by_name(scene, sight, 1) };
    if !unresolved(scene) {
        // Nothing of this attempt has left, or it was refused for certain: it may be sent, if the name is still free.
        return by_name(scene, sight, create.attempt);
    }
    match resolve(scene, sight) {
        Outcome::Made(remote) => record(scene, remote.id, false),
        Outcome::Void => by_name(scene, sight, create.attempt.saturating_add(1)),
        Outcome::Ambiguous(plan) | Outcome::Unknown(plan) => plan,
    }
}

/// Whether a create may have been sent whose outcome is not known. Another process's always may.
pub(super) fn unresolved(scene: &Scene<'_>) -> bool {
    scene
        .recorded
        .create
        .as_ref()
        .is_some_and(|create| create.holder != scene.policy.holder || scene.memory.sent_attempt == Some(create.attempt))
}

/// Whether a create whose answer was lost was made.
pub(super) enum Outcome {
    /// It was: this is it.
    Made(RemoteSession),
    /// It was not.
    Void,
    /// Several sessions could be it.
    Ambiguous(Plan),
    /// Not known yet.
    Unknown(Plan),
}

pub(super) fn resolve(scene: &Scene<'_>, sight: &Sight) -> Outcome {
    let Scene { observed, memory, policy, .. } = scene;
    let waiting = || Plan::working(Reason::Retrying, words::resolving(), Phase::Creating);
    let since = match (memory.unknown_since, memory.sent_attempt) {
        (Some(since), _) => since,
        // It is on its way: no list can tell before it was answered.
        (None, Some(_)) => return Outcome::Unknown(waiting().again(policy.settle.max(Duration::from_secs(1)))),
        (None, None) => memory.first_seen,
    };
    let Some(swept) = sight.swept.filter(|swept| *swept >= since) else {
        return Outcome::Unknown(waiting().after_sweep(since));
    };
    let mut free = observed.named.iter().filter(|named| !named.claimed);
    match (free.next(), free.next()) {
        (Some(one), None) => Outcome::Made(one.remote.clone()),
        (Some(_), Some(_)) => Outcome::Ambiguous(ambiguous(scene)),
        (None, _) => {
            let clear = memory.clear_since.filter(|clear| *clear >= since);
            let settled = clear.unwrap_or(swept) + policy.settle;
            if clear.is_some() && swept >= settled {
                return Outcome::Void;
            }
            let mut plan = waiting().after_sweep(settled);
            plan.clear_since = clear.is_none().then_some(swept);
            Outcome::Unknown(plan)
        }
    }
}

fn ambiguous(scene: &Scene<'_>) -> Plan {
    let ids: Vec<SessionId> =
        scene.observed.named.iter().filter(|named| !named.claimed).map(|named| named.remote.id.clone()).collect();
    let why = words::ambiguous(scene.desired, &scene.observed.full_name, &ids);
    Plan::stalled(Reason::AmbiguousCreate, why, Phase::Stalled).again(SLOW)
}

/// What is said while the account starts nothing new.
fn account_goes(scene: &Scene<'_>) -> Option<Plan> {
    let why = words::account_deleting(&scene.desired.account);
    scene.observed.account_deleting.then(|| Plan::working(Reason::AccountNotReady, why, Phase::Pending))
}

fn by_id(scene: &Scene<'_>, sight: &Sight, wanted: &SessionId) -> Plan {
    let Scene { desired, observed, memory, .. } = scene;
    if let Some(plan) = account_goes(scene) {
        return plan;
    }
    let since = fresh_enough(scene, None);
    let Some(remote) = &observed.wanted else {
        return match sight.swept {
            Some(swept) if swept >= since => {
                let stalled = Plan::stalled(Reason::Missing, words::wanted_missing(desired, wanted), Phase::Missing);
                stalled.after_sweep(memory.first_seen.max(swept) + SLOW)
            }
            _ => Plan::working(Reason::Creating, words::creating(), Phase::Creating).after_sweep(since),
        };
    };
    if observed.wanted_id_claimed {
        return Plan::stalled(Reason::SessionClaimed, words::claimed(desired, wanted), Phase::Stalled).again(SLOW);
    }
    if !remote.name.starts_with(&observed.prefix) {
        let why = words::outside_prefix(desired, remote, &observed.prefix);
        return Plan::stalled(Reason::NotAllowed, why, Phase::Stalled).again(SLOW);
    }
    record(scene, wanted.clone(), true)
}

/// A sweep must have begun after this to prove that a name is free.
fn fresh_enough(scene: &Scene<'_>, last_attempt_end: Option<Instant>) -> Instant {
    let seen = scene.memory.fresh();
    let after_attempt = last_attempt_end.map(|end| end + scene.policy.settle);
    [after_attempt, scene.memory.refused_at, scene.memory.fresh_after].into_iter().flatten().fold(seen, Instant::max)
}

fn by_name(scene: &Scene<'_>, sight: &Sight, attempt: i32) -> Plan {
    let Scene { desired, recorded, observed, policy, .. } = scene;
    let creating = || Plan::working(Reason::Creating, words::creating(), Phase::Creating);
    let name = &observed.full_name;
    if let Some(plan) = account_goes(scene) {
        return plan;
    }
    if name.chars().count() > names::REMOTE_NAME_MAX {
        return Plan::stalled(Reason::InvalidRequest, words::name_too_long(desired, name), Phase::Stalled);
    }
    let last_attempt_end = match observed.name_state {
        NameState::Busy => {
            let waiting = Plan::working(Reason::Creating, words::waiting_for_name(), Phase::Pending);
            return waiting.again(policy.settle.max(Duration::from_secs(1)));
        }
        NameState::Free(end) => end,
    };
    let since = fresh_enough(scene, last_attempt_end);
    let Some(_) = sight.swept.filter(|swept| *swept >= since) else {
        // Said only once there is something to say: an unrecorded wait of a second is not worth a write.
        let mut plan = creating().after_sweep(since);
        if recorded.conditions.is_empty() {
            plan.situation = Situation::Quiet;
        }
        return plan;
    };
    // Before adoption too: of two objects that want one name only the older may take what there is of it.
    if let Some(rival) = &observed.rival {
        return Plan::stalled(Reason::NameConflict, words::name_wanted(desired, name, rival), Phase::Stalled)
            .again(Duration::from_mins(1));
    }
    let mut free = observed.named.iter().filter(|named| !named.claimed);
    match (free.next(), free.next(), observed.named.is_empty()) {
        (Some(one), None, _) => return record(scene, one.remote.id.clone(), true),
        (Some(_), Some(_), _) => return ambiguous(scene),
        (None, _, false) => {
            let why = words::name_claimed(desired, name);
            return Plan::stalled(Reason::NameConflict, why, Phase::Stalled).again(SLOW);
        }
        (None, _, true) => {}
    }
    let intended = recorded.create.as_ref().is_some_and(|c| c.holder == policy.holder && c.attempt == attempt);
    if intended {
        // What the id write will say beside the id: where the session stands once it is known.
        return connection::first_words(scene).then(Action::Create { name: name.clone(), attempt });
    }
    creating().then(Action::RecordIntent { attempt })
}

fn record(scene: &Scene<'_>, id: SessionId, adopted: bool) -> Plan {
    connection::first_words(scene).then(Action::RecordId { id, adopted })
}

/// The status with an open intent.
pub(super) fn intent(scene: &Scene<'_>, attempt: i32, status: &mut WhatsAppSessionStatus) {
    status.create = Some(CreateStatus { attempt, started_at: scene.now.time(), holder: scene.policy.holder.clone() });
}
