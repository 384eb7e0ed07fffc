//! From a situation to the status: conditions by the one table that Flux, Argo CD, Helm and kubectl all understand.
//!
//! `Reconciling` and `Stalled` follow kstatus: never both, absent rather than False. `lastTransitionTime` moves only when
//! a condition's status does.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::{
    Now, Plan, Scene, Situation,
    memory::asked,
    plan::{Action, Notice},
    provision, words,
};
use crate::api::{
    Reason, WhatsAppSessionStatus, names,
    session::{DisconnectStatus, PairingStatus},
};

fn find<'a>(recorded: &'a WhatsAppSessionStatus, kind: &str) -> Option<&'a Condition> {
    recorded.conditions.iter().find(|condition| condition.type_ == kind)
}

/// Whether the status says Ready about this generation.
#[must_use]
pub(super) fn ready(recorded: &WhatsAppSessionStatus, generation: i64) -> bool {
    recorded.observed_generation == Some(generation) && find(recorded, "Ready").is_some_and(|c| c.status == "True")
}

/// Whether the status says about this generation what only a change will alter. An account's troubles are no such thing.
#[must_use]
pub(super) fn settled(recorded: &WhatsAppSessionStatus, generation: i64) -> bool {
    let stalled = find(recorded, "Stalled").is_some_and(|c| c.reason != Reason::AccountNotReady.as_str());
    ready(recorded, generation) || (recorded.observed_generation == Some(generation) && stalled)
}

/// What the status says about the connection.
#[must_use]
pub(super) fn connected(recorded: &WhatsAppSessionStatus) -> Option<bool> {
    find(recorded, "Connected").map(|condition| condition.status == "True")
}

/// The recorded loss of the phone, which stands until a pairing or a connection.
#[must_use]
pub(super) fn unlinked(recorded: &WhatsAppSessionStatus) -> Option<Reason> {
    // Of `Ready`: `Stalled` is not there while the session is suspended.
    let reason = &find(recorded, "Ready")?.reason;
    [Reason::LoggedOut, Reason::Banned, Reason::Replaced].into_iter().find(|r| r.as_str() == reason)
}

/// A condition whose transition time moves only when its status does.
pub(super) fn condition(
    before: &[Condition],
    kind: &str,
    value: &str,
    reason: Reason,
    message: &str,
    generation: i64,
    now: Now,
) -> Condition {
    let same = before.iter().find(|condition| condition.type_ == kind && condition.status == value);
    Condition {
        type_: kind.to_owned(),
        status: value.to_owned(),
        reason: reason.as_str().to_owned(),
        message: message.to_owned(),
        observed_generation: Some(generation),
        last_transition_time: same.map_or_else(|| now.time(), |condition| condition.last_transition_time.clone()),
    }
}

/// Fills in the status to write and the Events to send.
pub(super) fn finish(scene: &Scene<'_>, mut plan: Plan) -> Plan {
    let status = status(scene, &plan);
    let mut notices = notices(scene, &plan, &status);
    notices.append(&mut plan.notices);
    plan.notices = notices;
    plan.status = Some(status);
    plan
}

fn status(scene: &Scene<'_>, plan: &Plan) -> WhatsAppSessionStatus {
    let Scene { desired, recorded, policy, .. } = scene;
    let mut status = (*recorded).clone();
    if let Some(pairing) = &plan.pairing {
        status.pairing = (*pairing != PairingStatus::default()).then(|| pairing.clone());
    }
    if !(desired.publish_in_status && policy.allow_qr_in_status)
        && let Some(pairing) = &mut status.pairing
    {
        pairing.qr = None;
    }
    match &plan.action {
        Some(Action::RecordIntent { attempt }) => provision::intent(scene, *attempt, &mut status),
        Some(Action::RecordId { id, adopted }) => {
            status.session_id = Some(id.as_str().to_owned());
            status.adopted = Some(*adopted);
            status.create = None;
        }
        Some(Action::Create { .. }) => {
            // The id joins when it is known.
            status.adopted = Some(false);
            status.create = None;
        }
        Some(
            Action::AddFinalizer
            | Action::Report
            | Action::Connect { .. }
            | Action::Disconnect { .. }
            | Action::ReadStatus { .. }
            | Action::PublishQr { .. }
            | Action::DeleteQr
            | Action::RemoveFinalizer,
        )
        | None => {}
    }
    if asked(desired, recorded) {
        status.last_handled_reconcile_at.clone_from(&desired.reconcile_request);
    }
    let said = match &plan.situation {
        Situation::Quiet => return status,
        // What a deleted object says is of use only to who waits for it.
        situation => say(situation),
    };
    status.observed_generation = Some(desired.generation);
    status.phase = plan.situation.phase();
    facts(scene, plan, &mut status);
    conditions(scene, plan, &said, &mut status);
    status
}

fn facts(scene: &Scene<'_>, plan: &Plan, status: &mut WhatsAppSessionStatus) {
    let was = connected(scene.recorded) == Some(true);
    if let Some(phone) = &plan.facts.phone {
        status.phone_number = Some(phone.clone());
    }
    match plan.facts.connected {
        Some(true) if !was => {
            let now = scene.now.time();
            status.first_connected_time.get_or_insert_with(|| now.clone());
            status.last_connected_time = Some(now);
        }
        Some(false) if was => {
            let reason = match &plan.situation {
                Situation::Working(reason, ..) | Situation::Stalled(reason, ..) | Situation::Ready(reason, ..) => {
                    *reason
                }
                Situation::Quiet | Situation::Suspended | Situation::Deleting(_) => Reason::Disconnected,
            };
            status.last_disconnect =
                Some(DisconnectStatus { time: scene.now.time(), reason: reason.as_str().to_owned() });
        }
        _ => {}
    }
}

/// Status, reason and message of `Ready`; whether `Reconciling` or `Stalled` goes with it.
struct Words<'a> {
    ready: Option<(&'static str, Reason, &'a str)>,
    beside: Option<&'static str>,
}

fn say(situation: &Situation) -> Words<'_> {
    match situation {
        Situation::Working(reason, message, _) => {
            Words { ready: Some(("False", *reason, message)), beside: Some("Reconciling") }
        }
        Situation::Stalled(reason, message, _) => {
            Words { ready: Some(("False", *reason, message)), beside: Some("Stalled") }
        }
        Situation::Ready(reason, message, _) => Words { ready: Some(("True", *reason, message)), beside: None },
        Situation::Deleting(message) => {
            Words { ready: Some(("False", Reason::Deleting, message)), beside: Some("Reconciling") }
        }
        // The last known truth stands.
        Situation::Suspended | Situation::Quiet => Words { ready: None, beside: None },
    }
}

fn conditions(scene: &Scene<'_>, plan: &Plan, said: &Words<'_>, status: &mut WhatsAppSessionStatus) {
    let mut next: Vec<Condition> = Vec::new();
    let mut put = |kind: &str, value: &str, reason: Reason, message: String| {
        let before = &scene.recorded.conditions;
        next.push(condition(before, kind, value, reason, &message, scene.desired.generation, scene.now));
    };
    if let Some((value, reason, message)) = said.ready {
        put("Ready", value, reason, message.to_owned());
        if let Some(beside) = said.beside {
            put(beside, "True", reason, message.to_owned());
        }
    } else if let Some(before) = find(scene.recorded, "Ready") {
        let reason = Reason::ALL.iter().find(|r| r.as_str() == before.reason).copied().unwrap_or(Reason::AsDeclared);
        put("Ready", &before.status, reason, before.message.clone());
    }
    match &status.session_id {
        Some(id) => {
            let (reason, message) = if status.adopted == Some(true) {
                (Reason::Adopted, words::adopted(id))
            } else {
                (Reason::Created, words::created(id))
            };
            put("Provisioned", "True", reason, message);
        }
        None => put("Provisioned", "False", Reason::NotProvisioned, words::not_provisioned()),
    }
    let online = plan.facts.connected.or(connected(scene.recorded));
    match online {
        Some(true) => put("Connected", "True", Reason::Connected, words::connected()),
        Some(false) => put("Connected", "False", Reason::Disconnected, words::not_connected()),
        None => {}
    }
    if plan.situation == Situation::Suspended {
        put("Suspended", "True", Reason::Suspended, words::suspended());
    }
    status.conditions = next;
}

/// Events on transitions only: of `Ready`'s reason, of `Provisioned`, of `Suspended`.
fn notices(scene: &Scene<'_>, plan: &Plan, next: &WhatsAppSessionStatus) -> Vec<Notice> {
    let mut notices = Vec::new();
    let changed = |kind: &str| {
        let (was, is) = (find(scene.recorded, kind), find(next, kind));
        is.filter(|is| was.is_none_or(|was| was.status != is.status || was.reason != is.reason)).cloned()
    };
    if let Some(is) = changed("Provisioned").filter(|is| is.status == "True") {
        let reason = if next.adopted == Some(true) { Reason::Adopted } else { Reason::Created };
        notices.push(Notice { warning: false, reason, note: is.message });
    }
    if find(scene.recorded, "Suspended").is_some() && find(next, "Suspended").is_none() {
        notices.push(Notice { warning: false, reason: Reason::Resumed, note: words::resumed() });
    }
    if plan.situation == Situation::Suspended {
        if changed("Suspended").is_some() {
            notices.push(Notice { warning: false, reason: Reason::Suspended, note: words::suspended() });
        }
        return notices;
    }
    let Some(is) = changed("Ready") else { return notices };
    let Some(reason) = Reason::ALL.iter().copied().find(|r| r.as_str() == is.reason) else { return notices };
    let told_elsewhere = matches!(reason, Reason::AccountNotReady | Reason::Throttled | Reason::Creating);
    if told_elsewhere {
        return notices;
    }
    let warning = matches!(plan.situation, Situation::Stalled(..)) || reason == Reason::Retrying;
    notices.push(Notice { warning, reason, note: names::printable(&is.message, 900) });
    notices
}
