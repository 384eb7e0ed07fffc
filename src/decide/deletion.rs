//! Letting go: needs only what letting go needs, and always ends.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    AccountSight, Plan, Scene, Situation, pairing,
    plan::{Action, Notice},
    provision::{self, Outcome},
    words,
};
use crate::{
    account::{Health, Sight},
    api::{Reason, session::DeletionPolicy},
    provider::{Liveness, SessionId},
};

/// A process that has just begun gives its account this long to come up before it calls it unreachable.
const GRACE: Duration = Duration::from_secs(30);

pub(super) fn decide(scene: &Scene<'_>) -> Plan {
    let Scene { desired, recorded, observed, memory, .. } = scene;
    if !desired.finalizer {
        return Plan::of(Situation::Quiet);
    }
    let deadline = until_deadline(scene);
    let words = if deadline.is_some() { words::deleting() } else { words::deleting_late() };
    let hidden = pairing::hidden(scene, Plan::of(Situation::Deleting(words)));
    // Past the deadline its owner reference has to do.
    if hidden.action.is_some() && deadline.is_some() {
        return hidden;
    }
    let id = desired.recorded_id(recorded);
    // Who lost a claim has nothing there of its own.
    let nothing_remote = observed.outclaimed || (id.is_none() && !provision::unresolved(scene));
    if memory.let_go || nothing_remote || desired.deletion_policy == DeletionPolicy::Orphan {
        return hidden.then(Action::RemoveFinalizer);
    }
    if deadline.is_none() && memory.tried {
        return give_up(scene, hidden, id.as_ref());
    }
    let (plan, left) = match step(scene, &hidden, id.as_ref()) {
        Step::Clear(plan) => (plan, deadline),
        Step::Blocked(plan) => match deadline.max(until_grace(scene)) {
            Some(left) => (plan, Some(left)),
            None => return give_up(scene, hidden, id.as_ref()),
        },
    };
    match left {
        Some(left) => plan.again(left),
        None => plan,
    }
}

/// What can be done about the remote session.
enum Step {
    /// This.
    Clear(Plan),
    /// Nothing yet, and perhaps never.
    Blocked(Plan),
}

fn step(scene: &Scene<'_>, hidden: &Plan, id: Option<&SessionId>) -> Step {
    let blocked = |why: &str, mut plan: Plan| {
        plan.situation = Situation::Deleting(words::deleting_waits(why));
        Step::Blocked(plan)
    };
    let sight = match reachable(&scene.observed.account) {
        Ok(sight) => sight,
        Err(why) => return blocked(why, hidden.clone()),
    };
    if let Some(id) = id {
        return Step::Clear(disconnect(scene, sight, hidden.clone(), id));
    }
    match provision::resolve(scene, sight) {
        // Recorded first, so that it is looked at and disconnected like any other.
        Outcome::Made(remote) => Step::Clear(hidden.clone().then(Action::RecordId { id: remote.id, adopted: false })),
        Outcome::Void => Step::Clear(hidden.clone().then(Action::RemoveFinalizer)),
        Outcome::Ambiguous(plan) => blocked("several remote sessions could be the one that was created", plan),
        Outcome::Unknown(plan) => blocked("whether it was created is not known yet", plan),
    }
}

fn give_up(scene: &Scene<'_>, hidden: Plan, id: Option<&SessionId>) -> Plan {
    let mut plan = hidden.then(Action::RemoveFinalizer);
    let note = words::gave_up(scene.desired, id.map(SessionId::as_str));
    plan.notices.push(Notice { warning: true, reason: Reason::DeletionGaveUp, note });
    plan
}

/// How long ago deletion was asked for.
fn age(scene: &Scene<'_>) -> Duration {
    let since = scene.desired.deleting.unwrap_or(scene.now.wall);
    Duration::try_from(scene.now.wall.duration_since(since)).unwrap_or_default()
}

/// Time until the deadline; `None` once it has passed.
fn until_deadline(scene: &Scene<'_>) -> Option<Duration> {
    scene.policy.deletion_deadline.checked_sub(age(scene)).filter(|left| !left.is_zero())
}

/// Time until this process may call the account unreachable, and an open create unresolvable; `None` once it may.
fn until_grace(scene: &Scene<'_>) -> Option<Duration> {
    let grace = GRACE.max(scene.policy.settle.saturating_mul(3));
    grace.checked_sub(scene.now.mono.saturating_duration_since(scene.memory.first_seen)).filter(|left| !left.is_zero())
}

/// The account, or why no call can be made at all.
fn reachable(account: &AccountSight) -> Result<&Sight, &str> {
    match account {
        AccountSight::NotFound => Err("its WhatsAppAccount does not exist"),
        AccountSight::Starting => Err("its WhatsAppAccount is being started"),
        AccountSight::NotReady(why) | AccountSight::Stalled(why) => Err(why),
        AccountSight::Running(sight) => match &sight.health {
            Health::Stalled(_, why) => Err(why),
            Health::Starting | Health::Ready | Health::Retrying(_) => Ok(sight),
        },
    }
}

fn disconnect(scene: &Scene<'_>, sight: &Sight, hidden: Plan, id: &SessionId) -> Plan {
    let Scene { memory, now, .. } = scene;
    // Looks from before the deletion prove nothing: the session was kept connected until then.
    let recent = |at: Instant| at + age(scene) >= now.mono;
    let gone = sight.absence.is_some_and(|absence| recent(absence.last));
    // A failed call was followed by a look, and the look says that there is nothing left to do.
    let offline = memory.tried
        && sight.mine.as_ref().is_some_and(|seen| {
            recent(seen.at) && matches!(seen.remote.liveness, Liveness::Disconnected | Liveness::LoggedOut)
        });
    if gone || (offline && !memory.doubt) {
        return hidden.then(Action::RemoveFinalizer);
    }
    if memory.doubt {
        return hidden.then(Action::ReadStatus { id: id.clone() });
    }
    hidden.then(Action::Disconnect { id: id.clone(), deleting: true })
}
