//! Showing QR codes: in a window, in our own Secret, and no longer than needed. A code takes a phone's account over.

use std::time::Duration;

use super::{
    Plan, Scene, Situation,
    connection::patience,
    input::seconds,
    memory::{FOREIGN, SecretSight, wants_code},
    plan::Action,
    report, words,
};
use crate::{
    account::{Sight, board::Offer},
    api::{
        LocalRef, Phase, Reason,
        session::{PairingMode, PairingStatus},
    },
    provider::{Liveness, QrContent, SessionId},
};

/// The first code after a connect is good for this long, each later one for [`LATER`].
const FIRST: Duration = Duration::from_mins(1);
const LATER: Duration = Duration::from_secs(20);
/// The next code may be this late before a new connect is sent.
const LATE: Duration = Duration::from_secs(5);
/// Between two writes of the Secret.
const SPACING: Duration = Duration::from_secs(2);

fn good_for(offer: &Offer) -> Duration {
    if offer.nth == 0 { FIRST } else { LATER }
}

fn kept(scene: &Scene<'_>) -> PairingStatus {
    scene.recorded.pairing.clone().unwrap_or_default()
}

/// How long the window still is open; `None` when it is not.
fn window(scene: &Scene<'_>) -> Option<Duration> {
    let ends = kept(scene).window_ends_at?.0;
    Duration::try_from(ends.duration_since(scene.now.wall)).ok().filter(|left| !left.is_zero())
}

fn requested(scene: &Scene<'_>) -> bool {
    wants_code(scene.desired, scene.recorded)
}

fn secret_may_exist(scene: &Scene<'_>) -> bool {
    match scene.memory.secret {
        SecretSight::Ours => true,
        SecretSight::Absent | SecretSight::Foreign => false,
        // The window is recorded before the Secret is written, so its absence proves the Secret's.
        SecretSight::Unknown => {
            let pairing = kept(scene);
            pairing.secret_ref.is_some() || pairing.window_ends_at.is_some()
        }
    }
}

/// Adds to a plan that no code is on show and no window open: the Secret goes first.
pub(super) fn hidden(scene: &Scene<'_>, mut plan: Plan) -> Plan {
    if secret_may_exist(scene) {
        return plan.then(Action::DeleteQr);
    }
    let pairing = kept(scene);
    plan.pairing = Some(PairingStatus {
        secret_ref: None,
        qr: None,
        window_ends_at: None,
        attempt: pairing.attempt,
        // A request while there is nothing to pair is answered by that.
        last_handled_request: scene.desired.pair_request.clone().or(pairing.last_handled_request),
    });
    plan
}

/// The window is over: no code on show, but its end stays on record, so that it does not open by itself again.
fn closed(scene: &Scene<'_>, reason: Reason) -> Plan {
    let expired = kept(scene).window_ends_at.is_some();
    let message = match reason {
        Reason::PairingRequired => words::pairing_required(scene.desired, expired),
        _ => words::unlinked(reason, scene.desired),
    };
    covered(scene, Plan::stalled(reason, message, Phase::Stalled))
}

/// Adds to a plan that no code is on show, whatever there is of a window or of a request: the Secret goes first.
pub(super) fn covered(scene: &Scene<'_>, mut plan: Plan) -> Plan {
    if secret_may_exist(scene) {
        return plan.then(Action::DeleteQr);
    }
    plan.pairing = Some(PairingStatus { secret_ref: None, qr: None, ..kept(scene) });
    plan
}

/// Opens a window, if one may be opened, and says so before anything is sent.
fn open(scene: &Scene<'_>) -> Plan {
    let before = kept(scene);
    let ends = seconds(scene.now.wall.checked_add(scene.desired.window).unwrap_or(scene.now.wall));
    let mut plan = Plan::working(Reason::Connecting, words::waiting_for_code(), Phase::Connecting);
    plan.pairing = Some(PairingStatus {
        secret_ref: None,
        qr: None,
        attempt: Some(before.attempt.unwrap_or(0).saturating_add(1)),
        window_ends_at: Some(ends),
        last_handled_request: scene.desired.pair_request.clone().or(before.last_handled_request),
    });
    plan.then(Action::Report)
}

fn may_open(scene: &Scene<'_>) -> bool {
    let first = scene.recorded.first_connected_time.is_none() && kept(scene).window_ends_at.is_none();
    requested(scene) || (first && scene.desired.mode == PairingMode::Auto)
}

/// What is said about pairing the moment an id is recorded.
pub(super) fn opened(scene: &Scene<'_>) -> Plan {
    let mut plan = if may_open(scene) {
        open(scene)
    } else if window(scene).is_some() {
        Plan::working(Reason::Connecting, words::waiting_for_code(), Phase::Connecting)
    } else {
        closed(scene, Reason::PairingRequired)
    };
    plan.action = None;
    plan.facts.connected = Some(false);
    plan
}

/// A session that lost its phone: nothing is shown without being asked.
pub(super) fn unlinked(scene: &Scene<'_>, sight: &Sight, id: &SessionId, reason: Reason) -> Plan {
    if requested(scene) || window(scene).is_some() { show(scene, sight, id) } else { closed(scene, reason) }
}

/// A pairing was begun, and no connection has come of it since.
pub(super) fn begun(scene: &Scene<'_>) -> bool {
    kept(scene).window_ends_at.is_some()
}

/// A session that needs a scan.
pub(super) fn show(scene: &Scene<'_>, sight: &Sight, id: &SessionId) -> Plan {
    // Also while a window is open: a request gets a whole one, and at once, not a second one after it.
    if may_open(scene) {
        return open(scene);
    }
    let Some(left) = window(scene) else {
        return closed(scene, report::unlinked(scene.recorded).unwrap_or(Reason::PairingRequired));
    };
    let plan = if sight.events_enabled { by_socket(scene, sight, id) } else { by_dashboard(scene, sight, id) };
    // Also while other waits are longer, the end of the window is kept.
    plan.again(left)
}

/// The list alone tells whether the dashboard shows a code.
fn by_dashboard(scene: &Scene<'_>, sight: &Sight, id: &SessionId) -> Plan {
    let Scene { memory, policy, now, .. } = scene;
    let shown = Plan::working(Reason::AwaitingDashboardScan, words::awaiting_dashboard(), Phase::AwaitingScan);
    if sight.liveness() == Some(&Liveness::QrPending) {
        return shown;
    }
    match memory.connect_at.map(|at| (at, at + patience(memory.connects))) {
        Some((at, until)) if now.mono < until => shown.again(until - now.mono).after_sweep(at + policy.settle),
        _ => Plan::working(Reason::Connecting, words::waiting_for_code(), Phase::Connecting)
            .then(Action::Connect { id: id.clone() }),
    }
}

fn by_socket(scene: &Scene<'_>, sight: &Sight, id: &SessionId) -> Plan {
    let Scene { desired, memory, now, .. } = scene;
    if memory.secret == SecretSight::Foreign {
        let stalled = Plan::stalled(Reason::SecretConflict, words::secret_conflict(desired), Phase::Stalled);
        return stalled.again(FOREIGN);
    }
    // A code that came before the stream broke is shown while it lasts; no new one is asked for.
    if let Some(plan) = on_show(scene, sight) {
        return plan;
    }
    if !sight.socket_up {
        return Plan::working(Reason::Connecting, words::waiting_for_stream(), Phase::Connecting);
    }
    let working = Plan::working(Reason::Connecting, words::waiting_for_code(), Phase::Connecting);
    let patience = patience(memory.connects);
    let connecting = sight.liveness() == Some(&Liveness::Connecting);
    let until = match &sight.offer {
        // No code follows the one that was scanned, and a connect would break that pairing: the phone gets its time.
        _ if connecting && memory.published.is_some() => memory.published.map(|at| at + FIRST + patience),
        Some(offer) => {
            let late = sight.mine.as_ref().is_some_and(|seen| seen.at < offer.at + good_for(offer) + LATE);
            if late {
                return working.then(Action::ReadStatus { id: id.clone() });
            }
            None
        }
        // Before the first code, patience with the connect is the measure.
        None => memory.connect_at.map(|at| at + patience),
    };
    match until {
        Some(until) if now.mono < until => working.again(until - now.mono),
        _ => working.then(Action::Connect { id: id.clone() }),
    }
}

/// What there is to do or say while a code is good; `None` when none is.
fn on_show(scene: &Scene<'_>, sight: &Sight) -> Option<Plan> {
    let Scene { desired, memory, now, .. } = scene;
    let offer = sight.offer.as_ref()?;
    let ends = offer.at + good_for(offer);
    let left = (ends + LATE).checked_duration_since(now.mono).filter(|left| !left.is_zero())?;
    let mut plan = Plan::working(Reason::AwaitingScan, words::awaiting_scan(desired), Phase::AwaitingScan);
    plan.facts.connected = Some(false);
    if memory.published != Some(offer.at) {
        // Said once the Secret holds it.
        if kept(scene).secret_ref.is_none() {
            plan.situation = Situation::Quiet;
        }
        let spaced = memory.secret_written.map(|at| at + SPACING).filter(|at| *at > now.mono);
        let good_for = ends.saturating_duration_since(now.mono);
        return Some(match spaced {
            Some(at) => plan.again(at - now.mono),
            None => plan.then(Action::PublishQr { qr: offer.qr.clone(), at: offer.at, good_for }),
        });
    }
    let raw = match &offer.qr.content {
        QrContent::Raw(raw) if desired.publish_in_status => Some(raw.clone()),
        QrContent::Raw(_) | QrContent::Png(_) => None,
    };
    plan.pairing = Some(PairingStatus {
        secret_ref: Some(LocalRef { name: desired.secret_name.clone() }),
        qr: raw,
        ..kept(scene)
    });
    Some(plan.again(left))
}
