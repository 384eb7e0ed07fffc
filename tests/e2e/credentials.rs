//! Tokens that expire, passwords that change, Secrets that are not usable.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::{io::ErrorKind, net::TcpListener, time::Duration};

use actiwapi_sim::{
    Config, Simulator,
    config::DEFAULT_TENANT as DEMO,
    state::{
        Reply, Request,
        faults::{Fault, FaultAction, Route},
        tenant::{RefreshTokens, TenantSettings},
    },
};
use devkit::{
    World,
    world::{Options, condition},
};
use k8s_openapi::api::core::v1::Secret;
use serde_json::{Value, json};
use whatsapp_operator::api::{WhatsAppAccount, WhatsAppSession};

use crate::OPERATOR;

/// Longer than the worlds' `pollInterval`.
const POLL: Duration = Duration::from_secs(12);

/// A login that the operator knows nothing of: `accessToken` and `refreshToken`.
fn tokens(sim: &Simulator) -> Value {
    let login = Request::new("POST", "/api/auth/login")
        .json(&json!({"email": "demo@example.com", "password": "demo-password"}));
    let Reply::Answer(answer) = sim.with(|provider| provider.exchange(&login)) else { panic!("no login") };
    sim.reset_requests();
    let data = &answer.value()["data"];
    json!({"accessToken": data["accessToken"], "refreshToken": data["refreshToken"]})
}

async fn set_state(world: &World, session: &str, state: &str) {
    world.patch::<WhatsAppSession>(session, json!({"spec": {"desiredState": state}})).await;
    world.until_condition(session, "Ready", "True", state).await;
}

async fn set_password(world: &World, password: &str) {
    world.patch::<Secret>("default-credentials", json!({"stringData": {"password": password}})).await;
}

fn message(account: &WhatsAppAccount) -> String {
    let ready = account.status.as_ref().unwrap().conditions.iter().find(|condition| condition.type_ == "Ready");
    ready.unwrap().message.clone()
}

async fn nothing_but_good_news(world: &World, names: &[&str]) {
    for name in names {
        let events = world.events(name).await;
        assert!(events.iter().all(|(kind, ..)| kind == "Normal"), "{events:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_access_token_that_expires_between_two_calls_is_refreshed_once_and_nobody_is_told() {
    let world = World::start(OPERATOR).await;
    world.account("default", DEMO, json!({})).await;
    for name in ["one", "two", "three"] {
        world.session(name, json!({})).await;
    }
    for name in ["one", "two", "three"] {
        world.pair(name).await;
    }
    world.sim.expire_tokens(DEMO, false);
    // Three calls at once find the token expired.
    tokio::join!(
        set_state(&world, "one", "Disconnected"),
        set_state(&world, "two", "Disconnected"),
        set_state(&world, "three", "Disconnected")
    );
    assert_eq!((world.sim.count(Route::Login), world.sim.count(Route::Refresh)), (1, 1));
    nothing_but_good_news(&world, &["default", "one", "two", "three"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_refresh_token_leads_to_one_login_and_nobody_is_told() {
    let world = World::start(OPERATOR).await;
    world.account("default", DEMO, json!({})).await;
    world.session("sales", json!({})).await;
    world.pair("sales").await;
    world.sim.expire_tokens(DEMO, true);
    set_state(&world, "sales", "Disconnected").await;
    assert_eq!((world.sim.count(Route::Login), world.sim.count(Route::Refresh)), (2, 1));
    nothing_but_good_news(&world, &["default", "sales"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_lived_token_is_renewed_before_it_expires() {
    let tenant = TenantSettings { token_lifetime: Duration::from_secs(10), ..TenantSettings::default() };
    let simulator =
        Config { tenant: TenantSettings { refresh_tokens: RefreshTokens::Rotate, ..tenant }, ..Config::default() };
    let world = World::with(OPERATOR, Options { simulator, ..Options::default() }).await;
    // Settled sessions are looked at as often as all others, so that there are calls.
    world.account("default", DEMO, json!({"settledPollInterval": "10s"})).await;
    world.session("sales", json!({})).await;
    world.pair("sales").await;
    world.until_provider("two refreshes", |provider| provider.journal().count(Route::Refresh) == 2).await;
    let refused = world.sim.requests().into_iter().filter(|call| call.status == Some(401)).count();
    assert_eq!((refused, world.sim.count(Route::Login)), (0, 1));
    nothing_but_good_news(&world, &["default", "sales"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_password_is_used_without_a_restart() {
    let world = World::start(OPERATOR).await;
    // Settled sessions are looked at as often as all others, so that there are calls.
    world.account("default", DEMO, json!({"settledPollInterval": "10s"})).await;
    world.session("sales", json!({})).await;
    let before = world.pair("sales").await;
    world.sim.configure_tenant(DEMO, |tenant| "rotated".clone_into(&mut tenant.password)).unwrap();
    set_password(&world, "rotated").await;
    world.until_provider("a second login", |provider| provider.journal().count(Route::Login) == 2).await;
    // Whatever the old password got counts no longer.
    world.sim.expire_tokens(DEMO, true);
    let now = world.api::<WhatsAppSession>().get("sales").await.unwrap();
    assert_eq!(before.status, now.status);
    set_state(&world, "sales", "Disconnected").await;
    let logins: Vec<_> = world.sim.requests().into_iter().filter(|call| call.route == Route::Login).collect();
    assert!(logins.iter().all(|login| login.status == Some(200)), "{logins:?}");
    nothing_but_good_news(&world, &["default", "sales"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_sent_once_and_everything_resumes_with_the_right_one() {
    let world = World::start(OPERATOR).await;
    let keys = json!({"email": "demo@example.com", "password": "wrong"});
    world.credentials("default-credentials", keys).await;
    world.bare_account("default", json!({})).await;
    for name in ["one", "two"] {
        world.session(name, json!({})).await;
    }
    let account = world.until_account("default", "Stalled", "True", "CredentialsInvalid").await;
    assert!(message(&account).contains("email and password"), "{}", message(&account));
    assert_eq!(world.until_event("default", "CredentialsInvalid").await, message(&account));
    for name in ["one", "two"] {
        let session = world.until_condition(name, "Stalled", "True", "AccountNotReady").await;
        assert!(condition(&session, "Ready").unwrap().message.contains("email and password"));
        assert_eq!(world.events(name).await, []);
    }
    // More than one pollInterval: the operator reads the Secret again, twice.
    world.until_read("default-credentials", 2).await;
    let calls: Vec<_> = world.sim.requests().into_iter().map(|call| (call.route, call.status)).collect();
    assert_eq!(calls, [(Route::Login, Some(401))]);
    // Another wrong one is sent once as well.
    set_password(&world, "wrong again").await;
    world.until_provider("the second login", |provider| provider.journal().count(Route::Login) == 2).await;
    set_password(&world, "demo-password").await;
    world.until_account("default", "Ready", "True", "Ready").await;
    for name in ["one", "two"] {
        world.until_qr(name).await;
    }
    assert_eq!(world.sim.count(Route::Login), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_stops_working_stalls_paired_sessions_until_it_is_replaced() {
    let world = World::start(OPERATOR).await;
    world.account("default", DEMO, json!({})).await;
    world.session("sales", json!({})).await;
    world.pair("sales").await;
    world.sim.configure_tenant(DEMO, |tenant| "rotated".clone_into(&mut tenant.password)).unwrap();
    world.sim.expire_tokens(DEMO, true);
    world.session("new", json!({})).await;
    world.until_account("default", "Stalled", "True", "CredentialsInvalid").await;
    for name in ["sales", "new"] {
        world.until_condition(name, "Stalled", "True", "AccountNotReady").await;
    }
    assert_eq!(world.sim.count(Route::Login), 2);
    set_password(&world, "rotated").await;
    world.until_condition("sales", "Ready", "True", "Connected").await;
    world.until_qr("new").await;
    assert_eq!(world.sim.count(Route::Login), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_the_login_is_no_refusal() {
    let world = World::start(OPERATOR).await;
    world.sim.arm(Fault::on(Route::Login, FaultAction::status(502)).times(1));
    world.sim.arm(Fault::on(Route::Login, FaultAction::ResetBefore).times(1));
    world.account("default", DEMO, json!({})).await;
    let account = world.until_account("default", "Reconciling", "True", "Retrying").await;
    assert!(message(&account).contains("tried again"), "{}", message(&account));
    world.until_account("default", "Ready", "True", "Ready").await;
    assert_eq!(world.sim.count(Route::Login), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_secret_is_waited_for() {
    let world = World::start(OPERATOR).await;
    world.bare_account("default", json!({})).await;
    world.session("sales", json!({})).await;
    let account = world.until_account("default", "Reconciling", "True", "SecretNotFound").await;
    assert!(
        message(&account).contains("kubectl create secret generic default-credentials --type=actiwapi.com/credentials")
    );
    let session = world.until_condition("sales", "Reconciling", "True", "AccountNotReady").await;
    assert!(condition(&session, "Stalled").is_none());
    world.until_event("default", "SecretNotFound").await;
    assert_eq!(world.sim.requests(), []);
    let keys = json!({"email": "demo@example.com", "password": "demo-password"});
    world.credentials("default-credentials", keys).await;
    world.until_account("default", "Ready", "True", "Ready").await;
    world.pair("sales").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_cannot_be_used_is_told_and_sent_nowhere() {
    let world = World::start(OPERATOR).await;
    let typed = "actiwapi.com/credentials";
    let cases = [
        ("opaque", "Opaque", json!({"email": "demo@example.com", "password": "demo-password"}), "SecretTypeInvalid"),
        ("no-password", typed, json!({"email": "demo@example.com"}), "SecretKeyMissing"),
        ("no-email", typed, json!({"password": "demo-password"}), "SecretKeyMissing"),
        ("empty", typed, json!({"email": "demo@example.com", "password": ""}), "SecretKeyMissing"),
        ("refresh-alone", typed, json!({"refreshToken": "r"}), "SecretKeyMissing"),
        ("key-alone", typed, json!({"apiKey": "awp_demo"}), "ReadOnlyCredentials"),
    ];
    for (name, kind, keys, _) in &cases {
        let secret = json!({"metadata": {"name": format!("{name}-credentials")}, "type": kind, "stringData": keys});
        world.create::<Secret>(secret).await;
        world.bare_account(name, json!({})).await;
        world.session(&format!("of-{name}"), json!({"accountRef": {"name": name}})).await;
    }
    for (name, _, _, reason) in &cases {
        let account = world.until_account(name, "Stalled", "True", reason).await;
        assert!(message(&account).contains(&format!("{name}-credentials")), "{}", message(&account));
        let note = world.until_event(name, reason).await;
        assert_eq!(note, message(&account));
        world.until_condition(&format!("of-{name}"), "Stalled", "True", "AccountNotReady").await;
    }
    assert_eq!(world.sim.requests(), []);
    // A key that is added later is enough.
    let password = json!({"stringData": {"password": "demo-password"}});
    world.patch::<Secret>("no-password-credentials", password).await;
    world.until_qr("of-no-password").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_alone_are_enough_and_are_renewed_by_the_refresh_token() {
    let world = World::start(OPERATOR).await;
    world.credentials("default-credentials", tokens(&world.sim)).await;
    world.bare_account("default", json!({})).await;
    world.session("sales", json!({})).await;
    world.pair("sales").await;
    assert_eq!((world.sim.count(Route::Login), world.sim.count(Route::Refresh)), (0, 0));
    world.sim.expire_tokens(DEMO, false);
    set_state(&world, "sales", "Disconnected").await;
    assert_eq!((world.sim.count(Route::Login), world.sim.count(Route::Refresh)), (0, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_access_token_without_a_refresh_token_works_until_it_is_refused() {
    let world = World::start(OPERATOR).await;
    let keys = json!({"accessToken": tokens(&world.sim)["accessToken"]});
    world.credentials("default-credentials", keys).await;
    world.bare_account("default", json!({})).await;
    world.session("sales", json!({})).await;
    world.pair("sales").await;
    world.sim.expire_tokens(DEMO, true);
    world.patch::<WhatsAppSession>("sales", json!({"spec": {"desiredState": "Disconnected"}})).await;
    let account = world.until_account("default", "Stalled", "True", "CredentialsInvalid").await;
    assert!(message(&account).contains("access token"), "{}", message(&account));
    assert_eq!((world.sim.count(Route::Login), world.sim.count(Route::Refresh)), (0, 0));
    world.no_call("the provider", POLL, |_| true).await;
    let keys = json!({"stringData": {"accessToken": tokens(&world.sim)["accessToken"]}});
    world.patch::<Secret>("default-credentials", keys).await;
    world.until_condition("sales", "Ready", "True", "Disconnected").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_url_that_may_not_be_called_gets_no_connection_and_its_secret_is_not_read() {
    let world = World::with(OPERATOR, Options { secure: true, ..Options::default() }).await;
    let provider = TcpListener::bind("127.0.0.1:0").unwrap();
    provider.set_nonblocking(true).unwrap();
    let place = provider.local_addr().unwrap();
    world.account("plain", DEMO, json!({"baseUrl": format!("http://{place}")})).await;
    world.account("elsewhere", DEMO, json!({"baseUrl": format!("https://{place}")})).await;
    for (name, reason, says) in [
        ("plain", "InsecureUrl", "--allow-insecure-urls".to_owned()),
        ("elsewhere", "HostNotAllowed", format!("--allowed-host {place}")),
    ] {
        world.session(&format!("of-{name}"), json!({"accountRef": {"name": name}})).await;
        let account = world.until_account(name, "Stalled", "True", reason).await;
        assert!(message(&account).contains(&says), "{}", message(&account));
        world.until_event(name, reason).await;
        world.until_condition(&format!("of-{name}"), "Stalled", "True", "AccountNotReady").await;
    }
    assert_eq!(provider.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
    assert!(!world.requests().iter().any(|(_, resource, _)| resource == "secrets"));
}
