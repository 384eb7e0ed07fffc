//! Letting go: needs only what letting go needs, and always ends.

use std::time::Duration;

use super::{
    AccountSight, Plan, Scene, Situation,
    pairing,
    plan::{Action, Notice},
    provision::{self, Outcome},
    words,
};
use crate::{
    account::{Health, Sight},
    api::{Reason, session::DeletionPolicy},
    provider::{Liveness, SessionId},
};

pub(super) fn decide(scene: &Scene<'_>) -> Plan {
    let Scene { desired, recorded, observed, memory, .. } = scene;
    if !desired.finalizer {
        return Plan::of(Situation::Quiet);
    }
    let hidden = pairing::hidden(scene, Plan::of(Situation::Deleting(words::deleting())));
    if hidden.action.is_some() {
        return hidden;
    }
    let id = desired.recorded_id(recorded);
    let nothing_remote = id.is_none() && recorded.create.is_none();
    if memory.let_go || nothing_remote || desired.deletion_policy == DeletionPolicy::Orphan {
        return hidden.then(Action::RemoveFinalizer);
    }
    let past = past_deadline(scene);
    if past.is_none() && (memory.tried || unreachable(&observed.account).is_some()) {
        let mut plan = hidden.then(Action::RemoveFinalizer);
        let note = words::gave_up(desired, id.as_ref().map(SessionId::as_str));
        plan.notices.push(Notice { warning: true, reason: Reason::DeletionGaveUp, note });
        return plan;
    }
    let deadline = past.unwrap_or(Duration::from_secs(1));
    let waiting = |why: &str| {
        let mut plan = hidden.clone().again(deadline);
        plan.situation = Situation::Deleting(words::deleting_waits(why));
        plan
    };
    let sight = match &observed.account {
        AccountSight::Running(sight) => sight,
        account => return waiting(&unreachable(account).unwrap_or_default()),
    };
    if let Some(why) = unreachable(&observed.account) {
        return waiting(&why);
    }
    match id {
        Some(id) => disconnect(scene, sight, &hidden, id).again(deadline),
        None => match provision::resolve(scene, sight) {
            Outcome::Made(remote) => disconnect(scene, sight, &hidden, remote.id).again(deadline),
            Outcome::Void => hidden.then(Action::RemoveFinalizer),
            Outcome::Ambiguous(_) => waiting("several remote sessions could be the one that was created"),
            Outcome::Unknown(mut plan) => {
                plan.situation = Situation::Deleting(words::deleting_waits("whether it was created is not known yet"));
                plan.again(deadline)
            }
        },
    }
}

/// Time until the deadline; `None` once it has passed.
fn past_deadline(scene: &Scene<'_>) -> Option<Duration> {
    let since = scene.desired.deleting?;
    let gone = Duration::try_from(scene.now.wall.duration_since(since)).unwrap_or_default();
    scene.policy.deletion_deadline.checked_sub(gone).filter(|left| !left.is_zero())
}

/// Why no call can be made at all.
fn unreachable(account: &AccountSight) -> Option<String> {
    match account {
        AccountSight::NotFound => Some("its WhatsAppAccount does not exist".to_owned()),
        AccountSight::Starting => Some("its WhatsAppAccount is being started".to_owned()),
        AccountSight::NotReady(why) | AccountSight::Stalled(why) => Some(why.clone()),
        AccountSight::Running(sight) => match &sight.health {
            Health::Stalled(_, why) => Some(why.clone()),
            Health::Starting | Health::Ready | Health::Retrying(_) => None,
        },
    }
}

fn disconnect(scene: &Scene<'_>, sight: &Sight, hidden: &Plan, id: SessionId) -> Plan {
    if scene.memory.doubt {
        return hidden.clone().then(Action::ReadStatus { id });
    }
    // A conflict was answered by a look, and the look says that there is nothing left to do.
    let offline = scene.memory.tried
        && scene.memory.retry.is_some()
        && matches!(sight.liveness(), Some(Liveness::Disconnected | Liveness::LoggedOut));
    if offline || sight.absence.is_some() {
        return hidden.clone().then(Action::RemoveFinalizer);
    }
    hidden.clone().then(Action::Disconnect { id, deleting: true })
}
