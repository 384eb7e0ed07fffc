//! What an account's status says. Pure, like everything here.

use std::time::Duration;

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::SignedDuration};
use kube::ResourceExt;

use super::{
    input::{Now, seconds},
    plan::Notice,
    report::condition,
    words,
};
use crate::{
    account::{Health, Stream, View},
    api::{
        Reason, WhatsAppAccount, WhatsAppAccountStatus,
        account::{SessionCounts, SubscriptionStatus, UsageStatus},
        names,
    },
    provider::{Subscription, Usage},
};

/// Why an account cannot be used, before the provider was asked anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hindrance {
    /// From the closed set.
    pub reason: Reason,
    /// One sentence that says what to do.
    pub message: String,
    /// Waiting alone cannot help.
    pub stalled: bool,
}

/// Everything there is to know about an account at one instant.
#[derive(Clone, Copy)]
pub struct AccountScene<'a> {
    /// The object.
    pub account: &'a WhatsAppAccount,
    /// What keeps it from running.
    pub hindrance: Option<&'a Hindrance>,
    /// What it found out, while it runs.
    pub view: Option<&'a View>,
    /// Its sessions.
    pub sessions: &'a SessionCounts,
    /// Sessions that still hold its deletion up.
    pub blocked_by: Option<usize>,
    /// Both clocks.
    pub now: Now,
}

/// Status and Events; `None` while there is nothing to say yet.
#[must_use]
pub fn decide_account(scene: &AccountScene<'_>) -> Option<(WhatsAppAccountStatus, Vec<Notice>)> {
    let AccountScene { account, view, sessions, now, .. } = scene;
    let recorded = account.status.clone().unwrap_or_default();
    let (ready, beside, reason, mut message) = standing(scene)?;
    if let Some(remedy) = words::credentials_remedy(account, reason) {
        message = format!("{message}; {remedy}");
    }
    let generation = account.metadata.generation.unwrap_or_default();
    let before = &recorded.conditions;
    let mut conditions = Vec::new();
    let mut put = |kind: &str, value: &str, reason: Reason, message: &str| {
        conditions.push(condition(before, kind, value, reason, message, generation, *now));
    };
    put("Ready", ready, reason, &message);
    if let Some(beside) = beside {
        put(beside, "True", reason, &message);
    }
    if let Some(view) = view {
        if view.paused.is_some() {
            put("Throttled", "True", Reason::Throttled, words::ACCOUNT_THROTTLED);
        }
        let (value, reason) = match view.stream {
            Stream::Live => ("True", Reason::Live),
            Stream::NotUnderstood => ("False", Reason::NotUnderstood),
            Stream::Offline => ("False", Reason::Offline),
            Stream::Disabled => ("False", Reason::Disabled),
        };
        put("EventsConnected", value, reason, words::stream(view.stream, beside == Some(STALLED)));
    }
    let status = WhatsAppAccountStatus {
        observed_generation: Some(generation),
        identity: view.and_then(|view| view.identity.clone()).or(recorded.identity),
        usage: view.and_then(|view| view.usage).map(usage).or(recorded.usage),
        subscription: view.and_then(|view| view.subscription.as_ref()).map(subscription).or(recorded.subscription),
        sessions: Some((*sessions).clone()),
        retry_at: view.and_then(|view| view.paused).map(|left| retry_at(left, recorded.retry_at.as_ref(), *now)),
        conditions,
    };
    let changed =
        before.iter().find(|c| c.type_ == "Ready").is_none_or(|c| c.status != ready || c.reason != reason.as_str());
    let warning = reason != Reason::Ready && reason != Reason::Deleting;
    let notices =
        if changed { vec![Notice { warning, reason, note: names::printable(&message, 900) }] } else { Vec::new() };
    Some((status, notices))
}

const STALLED: &str = "Stalled";

type Standing = (&'static str, Option<&'static str>, Reason, String);

fn standing(scene: &AccountScene<'_>) -> Option<Standing> {
    const WORKING: Option<&str> = Some("Reconciling");
    if scene.account.metadata.deletion_timestamp.is_some() {
        return Some(match scene.blocked_by {
            Some(sessions) => {
                ("False", WORKING, Reason::DeletionBlocked, words::deletion_blocked(scene.account, sessions))
            }
            None => ("False", WORKING, Reason::Deleting, words::account_goes(&scene.account.name_any())),
        });
    }
    if let Some(hindrance) = scene.hindrance {
        let beside = if hindrance.stalled { Some(STALLED) } else { WORKING };
        return Some(("False", beside, hindrance.reason, hindrance.message.clone()));
    }
    match &scene.view?.health {
        // A second later there will be something to say; until then the object stays unobserved.
        Health::Starting => None,
        Health::Ready => Some(("True", None, Reason::Ready, words::ACCOUNT_READY.to_owned())),
        Health::Retrying(why) => Some(("False", WORKING, Reason::Retrying, why.clone())),
        Health::Stalled(reason, why) => Some(("False", Some(STALLED), *reason, why.clone())),
    }
}

/// The end of a pause as it stands, unless it moved by more than rounding: it is computed anew at every look.
fn retry_at(left: Duration, recorded: Option<&Time>, now: Now) -> Time {
    let end = seconds(now.wall.checked_add(left).unwrap_or(now.wall));
    match recorded {
        Some(before) if (before.0.duration_since(end.0)).abs() <= SignedDuration::from_secs(2) => before.clone(),
        _ => end,
    }
}

fn usage(usage: Usage) -> UsageStatus {
    let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    // In steps, because a figure that moves with every call would be a write with every look.
    let tenths = |(used, limit): (u64, u64)| (limit > 0).then(|| used.saturating_mul(10) / limit * 10);
    UsageStatus {
        sessions_used: usage.sessions.map(|(used, _)| number(used)),
        sessions_limit: usage.sessions.map(|(_, limit)| number(limit)),
        requests_percent: usage.requests.and_then(tenths).and_then(|percent| i32::try_from(percent).ok()),
        requests_limit: usage.requests.map(|(_, limit)| number(limit)),
    }
}

fn subscription(subscription: &Subscription) -> SubscriptionStatus {
    let text = |text: &str| names::printable(text, 64);
    SubscriptionStatus {
        status: text(&subscription.status),
        plan: subscription.plan.as_deref().map(text),
        period_end: subscription.period_end.as_deref().map(text),
    }
}
