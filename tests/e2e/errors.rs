//! Each error of the provider: what is said, and what happens next.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::time::Duration;

use actiwapi_sim::{
    Config,
    config::DEFAULT_TENANT as DEMO,
    state::{
        faults::{Fault, FaultAction, RetryAfter, Route},
        options::ApiOptions,
        tenant::TenantSettings,
    },
};
use devkit::{
    World,
    world::{Options, condition},
};
use serde_json::json;
use whatsapp_operator::api::{WhatsAppAccount, WhatsAppSession};

use crate::OPERATOR;

/// Longer than the first pause after a failure that is tried again by itself.
const FIRST_BACKOFF: Duration = Duration::from_secs(6);
/// Longer than the worlds' `pollInterval`.
const POLL: Duration = Duration::from_secs(12);

fn error(status: u16, code: Option<&str>) -> FaultAction {
    FaultAction::Status { status, code: code.map(str::to_owned), message: None, retry_after: None, apply: false }
}

/// The session is made although the answer says otherwise.
fn error_after_the_effect(status: u16) -> FaultAction {
    FaultAction::Status { status, code: None, message: None, retry_after: None, apply: true }
}

/// A new generation that changes nothing else.
async fn touch(world: &World, session: &str) {
    world.patch::<WhatsAppSession>(session, json!({"spec": {"pairing": {"window": "9m"}}})).await;
}

async fn disconnect(world: &World, session: &str) {
    world.patch::<WhatsAppSession>(session, json!({"spec": {"desiredState": "Disconnected"}})).await;
}

fn remote_sessions(world: &World, name: &str) -> usize {
    world.sim.sessions(DEMO).iter().filter(|session| session.name == name).count()
}

/// The one Warning of that reason about an object.
async fn warned(world: &World, name: &str, reason: &str) -> String {
    world.until_event(name, reason).await;
    let mut notes: Vec<_> = world.events(name).await.into_iter().filter(|(_, r, _)| r == reason).collect();
    assert_eq!(notes.len(), 1, "{name}: {notes:?}");
    let (kind, _, note) = notes.remove(0);
    assert_eq!(kind, "Warning", "{name}: {note}");
    note
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_that_was_refused_for_certain_is_told_and_sent_again_only_for_a_new_generation() {
    let world = World::start(OPERATOR).await;
    world.account("default", DEMO, json!({})).await;
    let cases = [
        ("invalid", 400, None, "Stalled", "InvalidRequest"),
        ("forbidden", 403, Some("FORBIDDEN"), "Stalled", "PermissionDenied"),
        ("full", 403, Some("LIMIT_EXCEEDED"), "Stalled", "QuotaExceeded"),
        ("astray", 404, None, "Reconciling", "Retrying"),
    ];
    for (name, status, code, beside, reason) in cases {
        world.sim.arm(Fault::on(Route::Create, error(status, code)).times(1));
        world.session(name, json!({})).await;
        let session = world.until_condition(name, beside, "True", reason).await;
        let ready = condition(&session, "Ready").unwrap();
        assert_eq!((&*ready.status, &*ready.reason), ("False", reason), "{name}");
        assert_eq!(condition(&session, "Provisioned").unwrap().status, "False", "{name}");
        assert_eq!(warned(&world, name, reason).await, ready.message, "{name}");
    }
    assert_eq!(world.sim.count(Route::Create), cases.len());
    world.no_call("create", FIRST_BACKOFF, |call| call.route == Route::Create).await;
    for (name, ..) in cases {
        touch(&world, name).await;
        world.until_condition(name, "Provisioned", "True", "Created").await;
        assert_eq!(remote_sessions(&world, name), 1, "{name}");
    }
    assert_eq!(world.sim.count(Route::Create), 2 * cases.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_the_provider_refuses_is_told_in_the_providers_words() {
    let world = World::start(OPERATOR).await;
    world.account("default", DEMO, json!({})).await;
    world.sim.configure_api(|api| api.max_name_length = 3);
    world.session("sales", json!({})).await;
    let session = world.until_condition("sales", "Stalled", "True", "InvalidRequest").await;
    let message = &condition(&session, "Ready").unwrap().message;
    assert!(message.contains("name: Name must be at most 3 characters"), "{message}");
    assert_eq!(world.sim.sessions(DEMO).len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_plan_creates_when_a_slot_is_there_and_somebody_says_so() {
    let tenant = TenantSettings { session_limit: 1, ..TenantSettings::default() };
    let simulator = Config { tenant, ..Config::default() };
    let world = World::with(OPERATOR, Options { simulator, ..Options::default() }).await;
    world.account("default", DEMO, json!({})).await;
    world.session("first", json!({})).await;
    world.until_condition("first", "Provisioned", "True", "Created").await;
    world.session("second", json!({})).await;
    world.until_condition("second", "Stalled", "True", "QuotaExceeded").await;
    world.sim.configure_tenant(DEMO, |tenant| tenant.session_limit = 2).unwrap();
    let asked = json!({"metadata": {"annotations": {"actiwapi.com/reconcile-requested-at": "now"}}});
    world.patch::<WhatsAppSession>("second", asked).await;
    let session = world.until_condition("second", "Provisioned", "True", "Created").await;
    assert_eq!(session.status.unwrap().last_handled_reconcile_at.as_deref(), Some("now"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_401_is_cured_by_a_new_token_and_nobody_is_told() {
    let world = World::start(OPERATOR).await;
    world.account("default", DEMO, json!({})).await;
    world.sim.arm(Fault::on(Route::Create, error(401, None)).times(1));
    world.session("sales", json!({})).await;
    world.until_qr("sales").await;
    assert_eq!(remote_sessions(&world, "sales"), 1);
    assert_eq!((world.sim.count(Route::Login), world.sim.count(Route::Refresh)), (1, 1));
    for name in ["default", "sales"] {
        let events = world.events(name).await;
        assert!(events.iter().all(|(kind, ..)| kind == "Normal"), "{events:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_401_that_a_new_token_does_not_cure_stops_the_account_until_its_secret_changes() {
    let world = World::start(OPERATOR).await;
    world.account("default", DEMO, json!({})).await;
    world.until_account("default", "Ready", "True", "Ready").await;
    let fault = world.sim.arm(Fault::on(Route::Create, error(401, None)));
    world.session("sales", json!({})).await;
    world.until_account("default", "Stalled", "True", "CredentialsInvalid").await;
    warned(&world, "default", "CredentialsInvalid").await;
    world.until_condition("sales", "Stalled", "True", "AccountNotReady").await;
    assert!(!world.events("sales").await.iter().any(|(_, reason, _)| reason == "AccountNotReady"));
    assert_eq!(world.sim.count(Route::Create), 2, "once with each token");
    world.sim.disarm(fault);
    let touched = json!({"metadata": {"labels": {"touched": "yes"}}});
    world.patch::<k8s_openapi::api::core::v1::Secret>("default-credentials", touched).await;
    world.until_qr("sales").await;
    world.until_account("default", "Ready", "True", "Ready").await;
    assert_eq!(remote_sessions(&world, "sales"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inactive_subscription_and_used_up_requests_stop_every_call_and_are_told_once() {
    let mut world = World::start(OPERATOR).await;
    let cases = [("lapsed", "SubscriptionInactive"), ("spent", "RequestQuotaExceeded")];
    for (tenant, _) in cases {
        world.sim.put_tenant(tenant, TenantSettings::named(tenant)).unwrap();
        world.account(tenant, tenant, json!({})).await;
        world.session(&format!("{tenant}-paired"), json!({"accountRef": {"name": tenant}})).await;
    }
    for (tenant, _) in cases {
        world.pair(&format!("{tenant}-paired")).await;
    }
    world.sim.configure_tenant("lapsed", |tenant| "past_due".clone_into(&mut tenant.subscription)).unwrap();
    world.sim.configure_tenant("spent", |tenant| tenant.request_limit = 0).unwrap();
    for (tenant, reason) in cases {
        world.session(&format!("{tenant}-new"), json!({"accountRef": {"name": tenant}})).await;
        world.until_account(tenant, "Stalled", "True", reason).await;
        for session in ["paired", "new"] {
            world.until_condition(&format!("{tenant}-{session}"), "Stalled", "True", "AccountNotReady").await;
        }
    }
    let lapsed = |account: &WhatsAppAccount| {
        account.status.as_ref().and_then(|s| s.subscription.as_ref()).is_some_and(|s| s.status == "past_due")
    };
    world.until("lapsed", "the subscription as the provider tells it", lapsed).await;
    let spent = |account: &WhatsAppAccount| {
        account.status.as_ref().and_then(|s| s.usage.as_ref()).is_some_and(|usage| usage.requests_limit == Some(0))
    };
    world.until("spent", "the usage as the provider tells it", spent).await;
    world.no_call("the provider", POLL, |_| true).await;
    for (tenant, reason) in cases {
        warned(&world, tenant, reason).await;
        for session in ["paired", "new"] {
            let events = world.events(&format!("{tenant}-{session}")).await;
            assert!(!events.iter().any(|(_, reason, _)| reason == "AccountNotReady"), "{events:?}");
        }
    }
    // The slow look comes after minutes; a new process looks at once.
    world.take_operator().stop(Duration::from_secs(10)).await.unwrap();
    world.sim.configure_tenant("lapsed", |tenant| "active".clone_into(&mut tenant.subscription)).unwrap();
    world.sim.configure_tenant("spent", |tenant| tenant.request_limit = 1000).unwrap();
    world.start_operator();
    for (tenant, _) in cases {
        world.until_account(tenant, "Ready", "True", "Ready").await;
        world.until_condition(&format!("{tenant}-paired"), "Ready", "True", "Connected").await;
        world.until_qr(&format!("{tenant}-new")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_on_create_adopts_the_session_that_was_there_first() {
    let tenant = TenantSettings { reject_duplicate_names: true, ..TenantSettings::default() };
    let simulator = Config { tenant, ..Config::default() };
    let world = World::with(OPERATOR, Options { simulator, ..Options::default() }).await;
    world.account("default", DEMO, json!({})).await;
    let slow = Fault { delay: Duration::from_secs(2), ..Fault::on(Route::Create, FaultAction::Pass).times(1) };
    world.sim.arm(slow);
    world.session("sales", json!({})).await;
    world.until_provider("a create under way", |provider| provider.journal().count(Route::Create) == 1).await;
    let id = world.sim.create_out_of_band(DEMO, "sales").unwrap();
    let session = world.until_condition("sales", "Provisioned", "True", "Adopted").await;
    assert_eq!(session.status.unwrap().session_id, Some(id));
    assert_eq!((remote_sessions(&world, "sales"), world.sim.count(Route::Create)), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_on_create_that_the_list_does_not_explain_is_tried_again() {
    let world = World::start(OPERATOR).await;
    world.account("default", DEMO, json!({})).await;
    world.sim.arm(Fault::on(Route::Create, error(409, None)).times(1));
    world.session("sales", json!({})).await;
    world.until_condition("sales", "Provisioned", "True", "Created").await;
    assert_eq!((remote_sessions(&world, "sales"), world.sim.count(Route::Create)), (1, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_whose_answer_was_lost_is_found_in_the_list_and_never_sent_again() {
    let world = World::start(OPERATOR).await;
    world.account("default", DEMO, json!({})).await;
    let cases = [
        ("bad-gateway", error_after_the_effect(502)),
        ("reset", FaultAction::ResetAfter),
        ("garbage", FaultAction::Garbage),
        ("no-id", FaultAction::NoId),
        ("empty", FaultAction::EmptyBody),
    ];
    for (at, (name, action)) in cases.into_iter().enumerate() {
        world.sim.arm(Fault::on(Route::Create, action).times(1));
        world.session(name, json!({})).await;
        let session = world.until_condition(name, "Provisioned", "True", "Created").await;
        let status = session.status.unwrap();
        assert_eq!(status.session_id, Some(world.sim.session(name).unwrap().id));
        assert_eq!((status.adopted, status.create), (Some(false), None), "{name}");
        assert_eq!(world.sim.count(Route::Create), at + 1, "{name}");
    }
    // Nor later, when the backoff of the failed call is over.
    for name in ["bad-gateway", "reset", "garbage", "no-id", "empty"] {
        world.until_qr(name).await;
        assert_eq!(remote_sessions(&world, name), 1, "{name}");
    }
    assert_eq!(world.sim.count(Route::Create), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_that_failed_without_effect_is_made_again_once_the_list_proves_it() {
    let world = World::start(OPERATOR).await;
    world.account("default", DEMO, json!({})).await;
    let cases =
        [("internal", error(500, None)), ("bad-gateway", error(502, None)), ("reset", FaultAction::ResetBefore)];
    for (at, (name, action)) in cases.into_iter().enumerate() {
        world.sim.arm(Fault::on(Route::Create, action).times(1));
        world.session(name, json!({})).await;
        world.until_condition(name, "Provisioned", "True", "Created").await;
        assert_eq!(remote_sessions(&world, name), 1, "{name}");
        let calls = world.sim.requests();
        let creates: Vec<_> = calls.iter().filter(|call| call.route == Route::Create).map(|call| call.at_ms).collect();
        assert_eq!(creates.len(), 2 * (at + 1), "{name}");
        let [.., failed, again] = creates[..] else { panic!("{name}: {creates:?}") };
        let lists: Vec<_> = calls
            .iter()
            .filter(|call| call.route == Route::List && (failed..again).contains(&call.at_ms))
            .map(|call| call.at_ms)
            .collect();
        // Two sweeps, the settle time of this world apart, give or take what their way to the provider took.
        assert!(lists.len() >= 2 && lists[lists.len() - 1] - lists[0] >= 900, "{name}: {failed} {lists:?} {again}");
        assert!(world.events(name).await.iter().any(|(kind, r, _)| kind == "Warning" && r == "Retrying"), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connect_that_was_refused_is_told_and_sent_again_only_for_a_new_generation() {
    let world = World::start(OPERATOR).await;
    world.account("default", DEMO, json!({})).await;
    let cases = [
        ("invalid", 400, "Stalled", "InvalidRequest"),
        ("forbidden", 403, "Stalled", "PermissionDenied"),
        ("astray", 404, "Reconciling", "Retrying"),
    ];
    for (name, status, beside, reason) in cases {
        world.sim.arm(Fault::on(Route::Connect, error(status, None)).times(1));
        world.session(name, json!({})).await;
        let session = world.until_condition(name, beside, "True", reason).await;
        assert_eq!(condition(&session, "Provisioned").unwrap().status, "True", "{name}");
        warned(&world, name, reason).await;
    }
    assert_eq!(world.sim.count(Route::Connect), cases.len());
    world.no_call("connect", FIRST_BACKOFF, |call| call.route == Route::Connect).await;
    for (name, ..) in cases {
        touch(&world, name).await;
        world.until_qr(name).await;
    }
    assert_eq!(world.sim.count(Route::Connect), 2 * cases.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn three_times_whatsapp_unavailable_then_success_takes_exactly_four_connects() {
    let world = World::start(OPERATOR).await;
    world.account("default", DEMO, json!({})).await;
    world.sim.arm(Fault::on(Route::Connect, error(502, None)).times(3));
    world.session("sales", json!({})).await;
    let session = world.until_condition("sales", "Reconciling", "True", "Retrying").await;
    assert!(condition(&session, "Ready").unwrap().message.contains("502"));
    world.until_provider("four connects", |provider| provider.journal().count(Route::Connect) == 4).await;
    world.pair("sales").await;
    assert_eq!(world.sim.count(Route::Connect), 4);
    warned(&world, "sales", "Retrying").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_on_connect_is_answered_by_a_look_at_the_session() {
    let world = World::start(OPERATOR).await;
    world.account("default", DEMO, json!({})).await;
    world.sim.arm(Fault::on(Route::Connect, error(409, None)).times(1));
    world.session("sales", json!({})).await;
    world.pair("sales").await;
    let routes: Vec<_> = world.sim.requests().into_iter().map(|call| call.route).collect();
    let first = routes.iter().position(|route| *route == Route::Connect).unwrap();
    assert_eq!(routes[first + 1], Route::Status, "{routes:?}");
    assert_eq!(world.sim.count(Route::Connect), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_vanished_is_missing_after_two_404s_and_never_made_again() {
    let world = World::start(OPERATOR).await;
    world.account("default", DEMO, json!({})).await;
    world.sim.arm(Fault::on(Route::Connect, error(502, None)).times(1));
    world.session("sales", json!({})).await;
    world.until_condition("sales", "Reconciling", "True", "Retrying").await;
    world.sim.vanish("sales").unwrap();
    world.until_condition("sales", "Stalled", "True", "Missing").await;
    warned(&world, "sales", "Missing").await;
    let looks: Vec<_> = world.sim.requests().into_iter().filter(|call| call.route == Route::Status).collect();
    assert!(looks.len() >= 2 && looks.iter().all(|look| look.status == Some(404)), "{looks:?}");
    assert_eq!(world.sim.count(Route::Create), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_disconnect_is_tried_until_it_is_done() {
    let world = World::start(OPERATOR).await;
    world.account("default", DEMO, json!({})).await;
    let cases = [("conflict", 409), ("internal", 500), ("bad-gateway", 502)];
    for (name, _) in cases {
        world.session(name, json!({})).await;
    }
    for (name, status) in cases {
        world.until_qr(name).await;
        let id = world.sim.session(name).unwrap().id;
        let fault = Fault::on(Route::Disconnect, error(status, None)).times(1);
        world.sim.arm(Fault { session: Some(id), ..fault });
        disconnect(&world, name).await;
    }
    for (name, _) in cases {
        world.until_condition(name, "Ready", "True", "Disconnected").await;
        assert_eq!(world.sim.session(name).unwrap().status.as_str(), "disconnected", "{name}");
    }
    assert_eq!(world.sim.count(Route::Disconnect), 2 * cases.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_fails_at_the_start_is_told_on_the_account_until_it_succeeds() {
    let world = World::start(OPERATOR).await;
    world.sim.arm(Fault::on(Route::List, error(500, None)).times(1));
    world.sim.arm(Fault::on(Route::List, error(502, None)).times(1));
    world.account("default", DEMO, json!({})).await;
    world.session("sales", json!({})).await;
    world.until_account("default", "Reconciling", "True", "Retrying").await;
    warned(&world, "default", "Retrying").await;
    let session = world.until_condition("sales", "Reconciling", "True", "AccountNotReady").await;
    assert!(condition(&session, "Stalled").is_none());
    world.until_account("default", "Ready", "True", "Ready").await;
    world.until_qr("sales").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_the_list_leaves_a_settled_session_as_it_was() {
    let world = World::start(OPERATOR).await;
    world.account("default", DEMO, json!({})).await;
    world.session("settled", json!({})).await;
    let before = world.pair("settled").await;
    world.sim.arm(Fault::on(Route::List, error(500, None)).times(3));
    world.session("new", json!({})).await;
    world.until_account("default", "Reconciling", "True", "Retrying").await;
    world.until_condition("new", "Reconciling", "True", "AccountNotReady").await;
    world.until_account("default", "Ready", "True", "Ready").await;
    world.until_qr("new").await;
    let after = world.api::<WhatsAppSession>().get("settled").await.unwrap();
    assert_eq!(before.status, after.status);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_refuses_large_pages_is_read_in_small_ones() {
    let api = ApiOptions { max_page_limit: 20, ..ApiOptions::default() };
    let simulator = Config { api, ..Config::default() };
    let world = World::with(OPERATOR, Options { simulator, ..Options::default() }).await;
    let mut ids = Vec::new();
    for number in 0..30 {
        ids.push(world.sim.create_out_of_band(DEMO, &format!("line-{number}")).unwrap());
    }
    world.account("default", DEMO, json!({})).await;
    world.session("line-25", json!({})).await;
    let session = world.until_condition("line-25", "Provisioned", "True", "Adopted").await;
    assert_eq!(session.status.unwrap().session_id.as_ref(), Some(&ids[25]));
    assert_eq!(world.sim.count(Route::Create), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_that_fails_after_a_scan_is_looked_at_again_and_nobody_is_told() {
    let world = World::start(OPERATOR).await;
    world.account("default", DEMO, json!({})).await;
    world.session("sales", json!({})).await;
    world.until_qr("sales").await;
    world.sim.arm(Fault::on(Route::Status, error(502, None)).times(1));
    world.pair("sales").await;
    // Read once more, or told by the next sweep.
    assert!(world.sim.requests().iter().any(|call| call.route == Route::Status && call.faulted));
    assert!(world.events("sales").await.iter().all(|(kind, ..)| kind == "Normal"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_without_billing_is_no_worse_an_account() {
    let world = World::start(OPERATOR).await;
    world.sim.arm(Fault::on(Route::Usage, error(404, None)));
    world.sim.arm(Fault::on(Route::Subscription, error(500, None)));
    world.account("default", DEMO, json!({})).await;
    world.session("sales", json!({})).await;
    world.pair("sales").await;
    world.until_account("default", "Ready", "True", "Ready").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_429_pauses_every_call_of_its_account_and_none_of_another() {
    const PAUSE: u64 = 8;
    let world = World::start(OPERATOR).await;
    world.sim.put_tenant("other", TenantSettings::named("other")).unwrap();
    world.account("default", DEMO, json!({})).await;
    world.account("other", "other", json!({})).await;
    for name in ["settled", "asked", "waiting"] {
        world.session(name, json!({})).await;
    }
    let settled = world.pair("settled").await;
    world.until_qr("asked").await;
    world.until_qr("waiting").await;
    world.until_account("other", "Ready", "True", "Ready").await;

    let retry_after = Some(RetryAfter::Seconds(PAUSE));
    let action = FaultAction::Status { status: 429, code: None, message: None, retry_after, apply: false };
    world.sim.arm(Fault::on(Route::Disconnect, action).tenant(DEMO).times(1));
    disconnect(&world, "asked").await;
    world.until_provider("the 429", |provider| provider.journal().count(Route::Disconnect) == 1).await;
    disconnect(&world, "waiting").await;
    world.session("elsewhere", json!({"accountRef": {"name": "other"}})).await;
    world.pair("elsewhere").await;
    for name in ["asked", "waiting"] {
        let session = world.until_condition(name, "Reconciling", "True", "Throttled").await;
        assert!(condition(&session, "Stalled").is_none(), "{name}");
    }
    let account = world.until_account("default", "Throttled", "True", "Throttled").await;
    assert!(account.status.unwrap().retry_at.is_some());

    for name in ["asked", "waiting"] {
        world.until_condition(name, "Ready", "True", "Disconnected").await;
    }
    let calm = |account: &WhatsAppAccount| {
        account
            .status
            .as_ref()
            .is_some_and(|s| s.retry_at.is_none() && s.conditions.iter().all(|c| c.type_ != "Throttled"))
    };
    world.until("default", "an account that is not throttled any more", calm).await;
    let calls = world.sim.requests();
    let asked = calls.iter().find(|call| call.status == Some(429)).unwrap();
    let pause = asked.at_ms..asked.at_ms + PAUSE * 1000;
    let within = |tenant: &str| {
        let theirs = calls.iter().filter(|call| call.tenant.as_deref() == Some(tenant) && call.number > asked.number);
        theirs.filter(|call| pause.contains(&call.at_ms)).map(|call| call.route).collect::<Vec<_>>()
    };
    assert_eq!(within(DEMO), []);
    assert!(within("other").contains(&Route::Create) && within("other").contains(&Route::Connect));
    let now = world.api::<WhatsAppSession>().get("settled").await.unwrap();
    assert_eq!(settled.status, now.status);
}
