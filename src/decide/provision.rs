//! Getting a remote session and its id: adopt what is ours by name or by id, else create, exactly once.
//!
//! The intent is recorded before the POST; when an answer is lost, the list decides, by two complete sweeps a settle
//! time apart. A second POST is never sent blindly.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    Plan, SLOW, Scene, Situation, connection,
    plan::Action,
    words,
};
use crate::{
    account::{Sight, registry::NameState},
    api::{Phase, Reason, WhatsAppSessionStatus, names, session::CreateStatus},
    provider::{RemoteSession, SessionId},
};

/// A list read this shortly before the object was seen counts as fresh, so that objects applied together share one.
const FRESH: Duration = Duration::from_secs(5);

pub(super) fn decide(scene: &Scene<'_>, sight: &Sight) -> Plan {
    let Scene { desired, recorded, observed, memory, .. } = scene;
    if observed.account_deleting && recorded.create.is_none() {
        let why = words::account_deleting(&desired.account);
        return Plan::working(Reason::AccountNotReady, why, Phase::Pending);
    }
    if observed.full_name.chars().count() > names::REMOTE_NAME_MAX {
        let why = words::name_too_long(&observed.full_name);
        return Plan::stalled(Reason::InvalidRequest, why, Phase::Stalled);
    }
    if let Some(wanted) = &desired.session_id {
        return by_id(scene, sight, wanted);
    }
    let Some(create) = &recorded.create else { return by_name(scene, sight, 1) };
    let mine = create.holder == scene.policy.holder;
    let sent = memory.sent_attempt == Some(create.attempt);
    if mine && !sent {
        // Nothing of this attempt has left, or it was refused for certain: it may be sent, if the name is still free.
        return by_name(scene, sight, create.attempt);
    }
    match resolve(scene, sight) {
        Outcome::Made(remote) => record(scene, remote.id, false),
        Outcome::Void => by_name(scene, sight, create.attempt.saturating_add(1)),
        Outcome::Ambiguous(plan) | Outcome::Unknown(plan) => plan,
    }
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
    let since = memory.unknown_since.unwrap_or(memory.first_seen);
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
    Plan::stalled(Reason::AmbiguousCreate, words::ambiguous(&scene.observed.full_name, &ids), Phase::Stalled)
}

fn by_id(scene: &Scene<'_>, sight: &Sight, wanted: &SessionId) -> Plan {
    let Scene { observed, memory, .. } = scene;
    let since = fresh_enough(scene, None);
    let Some(remote) = &observed.wanted else {
        return match sight.swept {
            Some(swept) if swept >= since => {
                let stalled = Plan::stalled(Reason::Missing, words::wanted_missing(wanted), Phase::Missing);
                stalled.after_sweep(memory.first_seen.max(swept) + SLOW)
            }
            _ => Plan::working(Reason::Creating, words::creating(), Phase::Creating).after_sweep(since),
        };
    };
    if observed.wanted_id_claimed {
        return Plan::stalled(Reason::SessionClaimed, words::claimed(wanted), Phase::Stalled).again(SLOW);
    }
    if !remote.name.starts_with(&observed.prefix) {
        let why = words::outside_prefix(remote, &observed.prefix);
        return Plan::stalled(Reason::NotAllowed, why, Phase::Stalled).again(SLOW);
    }
    record(scene, wanted.clone(), true)
}

/// A sweep must have begun after this to prove that a name is free.
fn fresh_enough(scene: &Scene<'_>, last_attempt_end: Option<Instant>) -> Instant {
    let seen = scene.memory.first_seen.checked_sub(FRESH).unwrap_or(scene.memory.first_seen);
    let after_attempt = last_attempt_end.map(|end| end + scene.policy.settle);
    [after_attempt, scene.memory.refused_at, scene.memory.fresh_after].into_iter().flatten().fold(seen, Instant::max)
}

fn by_name(scene: &Scene<'_>, sight: &Sight, attempt: i32) -> Plan {
    let Scene { recorded, observed, policy, .. } = scene;
    let creating = || Plan::working(Reason::Creating, words::creating(), Phase::Creating);
    let name = &observed.full_name;
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
    let mut free = observed.named.iter().filter(|named| !named.claimed);
    match (free.next(), free.next(), observed.named.is_empty()) {
        (Some(one), None, _) => return record(scene, one.remote.id.clone(), true),
        (Some(_), Some(_), _) => return ambiguous(scene),
        (None, _, false) => {
            return Plan::stalled(Reason::NameConflict, words::name_claimed(name), Phase::Stalled).again(SLOW);
        }
        (None, _, true) => {}
    }
    if let Some(rival) = &observed.rival {
        return Plan::stalled(Reason::NameConflict, words::name_wanted(name, rival), Phase::Stalled)
            .again(Duration::from_mins(1));
    }
    let intended = recorded.create.as_ref().is_some_and(|c| c.holder == policy.holder && c.attempt == attempt);
    if intended {
        // What the id write will say beside the id: where the session stands once it is known.
        let mut plan = recorded_as(scene, None);
        plan.action = Some(Action::Create { name: name.clone(), attempt });
        return plan;
    }
    creating().then(Action::RecordIntent { attempt })
}

fn record(scene: &Scene<'_>, id: SessionId, adopted: bool) -> Plan {
    let mut plan = recorded_as(scene, Some(&id));
    plan.action = Some(Action::RecordId { id, adopted });
    plan
}

/// Where the session will stand once an id is recorded; it saves the status write that would follow the id write.
fn recorded_as(scene: &Scene<'_>, id: Option<&SessionId>) -> Plan {
    let unborn: SessionId = match id {
        Some(id) => id.clone(),
        None => match "unborn".parse() {
            Ok(id) => id,
            Err(_) => return Plan::of(Situation::Quiet),
        },
    };
    connection::first_words(scene, &unborn)
}

/// The status with an open intent.
pub(super) fn intent(scene: &Scene<'_>, attempt: i32, status: &mut WhatsAppSessionStatus) {
    status.create = Some(CreateStatus { attempt, started_at: scene.now.time(), holder: scene.policy.holder.clone() });
}
