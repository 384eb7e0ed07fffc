//! Keeping a session whose id is recorded as declared.

use std::time::Duration;

use super::{Facts, Plan, SLOW, Scene, Situation, pairing, plan::Action, report, words};
use crate::{
    account::Sight,
    api::{Phase, Reason, session::DesiredState},
    provider::{Liveness, SessionId},
};

/// `WhatsApp` restarts a connection right after a scan: that long a fresh connection may be gone without being news.
const RESTART: Duration = Duration::from_secs(20);

/// How long a connect may take to show before it is sent again: doubling, from 30 s to 10 min.
pub(super) fn patience(connects: u32) -> Duration {
    Duration::from_secs(30).saturating_mul(1 << connects.saturating_sub(1).min(5)).min(SLOW)
}

/// What is said the moment an id is recorded, before the session was looked at: it saves the write that would follow.
pub(super) fn first_words(scene: &Scene<'_>) -> Plan {
    match scene.desired.desired_state {
        DesiredState::Connected => pairing::opened(scene),
        DesiredState::Disconnected => {
            let mut plan = Plan::of(Situation::Ready(Reason::Disconnected, words::disconnected(), Phase::Disconnected));
            plan.facts.connected = Some(false);
            plan
        }
    }
}

pub(super) fn decide(scene: &Scene<'_>, sight: &Sight, id: &SessionId) -> Plan {
    let Scene { desired, recorded, memory, .. } = scene;
    // A 404 is the same suspicion as absence from the list; whatever shows the session takes it back.
    let listed = sight.mine.as_ref().filter(|_| sight.absence.is_none());
    let Some(seen) = listed else { return absent(scene, sight, id) };
    if memory.doubt || memory.fresh_after.is_some_and(|after| seen.at < after) {
        return Plan::of(Situation::Quiet).then(Action::ReadStatus { id: id.clone() });
    }
    let liveness = &seen.remote.liveness;
    let mut facts = Facts { connected: None, phone: seen.remote.phone.as_ref().map(|phone| phone.digits().to_owned()) };
    facts.connected = match liveness {
        Liveness::Connected => Some(true),
        Liveness::Connecting => report::connected(recorded).map(|_| false),
        _ => Some(false),
    };
    let mut plan = match desired.desired_state {
        DesiredState::Disconnected => disconnected(scene, liveness, id),
        DesiredState::Connected => connected(scene, sight, liveness, id),
    };
    if let Situation::Ready(Reason::Connected, _, _) = &plan.situation {
        facts.connected = Some(true);
    }
    plan.facts = facts;
    plan
}

fn disconnected(scene: &Scene<'_>, liveness: &Liveness, id: &SessionId) -> Plan {
    let offline = match liveness {
        Liveness::Disconnected | Liveness::LoggedOut | Liveness::Banned | Liveness::Replaced | Liveness::Failed => true,
        Liveness::Connected | Liveness::Connecting | Liveness::QrPending | Liveness::Other(_) => false,
    };
    if offline {
        let ready = Situation::Ready(Reason::Disconnected, words::disconnected(), Phase::Disconnected);
        return pairing::hidden(scene, Plan::of(ready));
    }
    let phase = if *liveness == Liveness::Connected { Phase::Connected } else { Phase::Connecting };
    let working = Plan::working(Reason::Disconnecting, words::disconnecting(), phase);
    pairing::hidden(scene, working.then(Action::Disconnect { id: id.clone(), deleting: false }))
}

fn connected(scene: &Scene<'_>, sight: &Sight, liveness: &Liveness, id: &SessionId) -> Plan {
    let Scene { recorded, memory, now, .. } = scene;
    let paired = recorded.first_connected_time.is_some();
    let online = || Plan::of(Situation::Ready(Reason::Connected, words::connected(), Phase::Connected));
    match liveness {
        Liveness::Connected => pairing::hidden(scene, online()),
        Liveness::LoggedOut => pairing::unlinked(scene, sight, id, Reason::LoggedOut),
        Liveness::Banned => pairing::unlinked(scene, sight, id, Reason::Banned),
        Liveness::Replaced => pairing::unlinked(scene, sight, id, Reason::Replaced),
        Liveness::QrPending if paired => pairing::unlinked(scene, sight, id, Reason::LoggedOut),
        Liveness::QrPending => pairing::show(scene, sight, id),
        Liveness::Connecting | Liveness::Disconnected | Liveness::Failed | Liveness::Other(_) => {
            if let Some(reason) = report::unlinked(recorded) {
                return pairing::unlinked(scene, sight, id, reason);
            }
            if !paired {
                return pairing::show(scene, sight, id);
            }
            if let Some(left) = restarting(scene) {
                return pairing::hidden(scene, online()).again(left);
            }
            if pairing::begun(scene) {
                return pairing::show(scene, sight, id);
            }
            let working = Plan::working(Reason::Connecting, words::connecting(), Phase::Connecting);
            let patience = patience(memory.connects);
            let waited = memory.connect_at.map(|at| now.mono.saturating_duration_since(at));
            match (waited, liveness) {
                (Some(waited), _) if waited < patience => working.again(patience.saturating_sub(waited)),
                // Somebody else's connect, or one of a process before this: it gets the same time to show.
                (None, Liveness::Connecting) => {
                    let since = memory.first_seen + patience;
                    if now.mono < since {
                        working.again(since - now.mono)
                    } else {
                        working.then(Action::Connect { id: id.clone() })
                    }
                }
                _ => working.then(Action::Connect { id: id.clone() }),
            }
        }
    }
}

/// How long a connection that was just made may still be gone without being news.
fn restarting(scene: &Scene<'_>) -> Option<Duration> {
    let Scene { desired, recorded, now, .. } = scene;
    if !report::ready(recorded, desired.generation) || report::connected(recorded) != Some(true) {
        return None;
    }
    let last = recorded.last_connected_time.as_ref()?.0;
    let gone = Duration::try_from(now.wall.duration_since(last)).unwrap_or_default();
    RESTART.checked_sub(gone).filter(|left| !left.is_zero())
}

/// The id is not in the last complete sweep. Absence from a list is suspicion; two 404s a settle time apart are proof.
fn absent(scene: &Scene<'_>, sight: &Sight, id: &SessionId) -> Plan {
    let Scene { memory, policy, now, .. } = scene;
    let quiet = || Plan::of(Situation::Quiet);
    let Some(swept) = sight.swept else { return quiet().after_sweep(memory.fresh()) };
    let since = memory.id_since.unwrap_or(memory.first_seen) + policy.settle;
    if now.mono < since {
        return quiet().again(since - now.mono).after_sweep(since);
    }
    let look = || quiet().then(Action::ReadStatus { id: id.clone() });
    let Some(absence) = sight.absence else { return look() };
    if absence.last >= absence.first + policy.settle {
        let missing = Plan::stalled(Reason::Missing, words::missing(scene.desired, id), Phase::Missing);
        // The list tells when it comes back.
        return pairing::hidden(scene, missing).after_sweep(swept.max(absence.last) + SLOW);
    }
    let again = absence.first + policy.settle;
    if now.mono >= again { look() } else { quiet().again(again - now.mono) }
}
