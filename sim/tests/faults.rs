//! Failures on demand, as a client sees them.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that panics has failed")]

#[cfg(test)]
#[allow(dead_code, reason = "each test file uses a part")]
mod support;

use std::time::{Duration, Instant, SystemTime};

use actiwapi_sim::state::faults::{Fault, FaultAction, RetryAfter, Route};
use actiwapi_sim::state::tenant::TenantSettings;
use serde_json::json;
use support::{Client, Got, Socket, receive, start};

fn create(client: &Client) -> reqwest::RequestBuilder {
    client.request("POST", "/api/v1/whatsapp").json(&json!({"name": "one"}))
}

fn is_connection_error(result: &Result<Got, reqwest::Error>) -> bool {
    result.as_ref().is_err_and(|error| error.status().is_none() && !error.is_timeout() && !error.is_decode())
}

#[tokio::test]
async fn a_reset_before_the_effect() {
    let simulator = start().await;
    let client = Client::login(&simulator, "demo").await;
    simulator.arm(Fault::on(Route::Create, FaultAction::ResetBefore).times(1));
    let result = receive(create(&client)).await;
    assert!(is_connection_error(&result), "{result:?}");
    assert!(simulator.sessions("demo").is_empty());
    let entry = simulator.requests().pop().unwrap();
    assert_eq!((entry.route, entry.status, entry.applied, entry.done), (Route::Create, None, false, true));
    assert_eq!(receive(create(&client)).await.unwrap().status, 201, "once only");
}

#[tokio::test]
async fn a_reset_after_the_effect() {
    let simulator = start().await;
    let client = Client::login(&simulator, "demo").await;
    simulator.arm(Fault::on(Route::Create, FaultAction::ResetAfter).times(1));
    let result = receive(create(&client)).await;
    assert!(is_connection_error(&result), "{result:?}");
    let sessions = simulator.sessions("demo");
    assert_eq!(sessions.len(), 1);
    let entry = simulator.requests().pop().unwrap();
    assert_eq!((entry.status, entry.applied), (None, true));
    assert_eq!(entry.session.as_deref(), Some(sessions[0].id.as_str()));
}

#[tokio::test]
async fn a_502_after_the_effect() {
    let simulator = start().await;
    let client = Client::login(&simulator, "demo").await;
    let action = FaultAction::Status { status: 502, code: None, message: None, retry_after: None, apply: true };
    simulator.arm(Fault::on(Route::Create, action).times(1));
    let got = receive(create(&client)).await.unwrap();
    assert_eq!(got.status, 502);
    assert_eq!(got.body, json!({"success": false, "message": "WhatsApp session disconnected or provider error"}));
    assert_eq!(simulator.sessions("demo").len(), 1);
}

#[tokio::test]
async fn odd_bodies() {
    let simulator = start().await;
    let client = Client::login(&simulator, "demo").await;
    for (action, status, body) in [
        (FaultAction::Garbage, 200, "<html>"),
        (FaultAction::EmptyBody, 200, ""),
        (FaultAction::NoId, 201, r#"{"data":{"phoneNumber":null,"status":"disconnected"},"success":true}"#),
    ] {
        simulator.arm(Fault::on(Route::Create, action).times(1));
        let got = receive(create(&client)).await.unwrap();
        assert_eq!(got.status, status);
        assert!(got.text.starts_with(body) && got.text.is_empty() == body.is_empty(), "{}", got.text);
    }
    assert_eq!(simulator.sessions("demo").len(), 3, "each had its effect");
}

#[tokio::test]
async fn retry_after_in_both_forms() {
    let simulator = start().await;
    let client = Client::login(&simulator, "demo").await;
    let status = |retry_after| FaultAction::Status {
        status: 429,
        code: None,
        message: Some("slow down".to_owned()),
        retry_after,
        apply: false,
    };
    simulator.arm(Fault::on(Route::List, status(Some(RetryAfter::Seconds(30)))).times(1));
    simulator.arm(Fault::on(Route::List, status(Some(RetryAfter::Date { date_in: 30 }))).times(1));
    simulator.arm(Fault::on(Route::List, status(None)).times(1));
    let got = client.get("/api/v1/whatsapp").await;
    assert_eq!((got.status, got.retry_after.as_deref()), (429, Some("30")));
    assert_eq!(got.body["message"], "slow down");
    let date = client.get("/api/v1/whatsapp").await.retry_after.unwrap();
    let ahead = httpdate::parse_http_date(&date).unwrap().duration_since(SystemTime::now()).unwrap();
    assert!((25..=30).contains(&ahead.as_secs()), "{ahead:?}");
    assert_eq!(client.get("/api/v1/whatsapp").await.retry_after, None);
    assert_eq!(client.get("/api/v1/whatsapp").await.status, 200);
}

#[tokio::test]
async fn faults_choose_routes_tenants_and_counts() {
    let simulator = start().await;
    simulator.put_tenant("acme", TenantSettings::named("acme")).unwrap();
    let demo = Client::login(&simulator, "demo").await;
    let acme = Client::login(&simulator, "acme").await;
    let action = FaultAction::Status {
        status: 403,
        code: Some("SUBSCRIPTION_INACTIVE".to_owned()),
        message: None,
        retry_after: None,
        apply: false,
    };
    let id = simulator.arm(Fault { action, ..Fault::default() }.tenant("acme"));
    for path in ["/api/v1/whatsapp", "/api/billing/usage", "/api/billing/subscription"] {
        let got = acme.get(path).await;
        assert_eq!((got.status, &got.body["code"]), (403, &json!("SUBSCRIPTION_INACTIVE")));
        assert_eq!(demo.get(path).await.status, 200);
    }
    assert!(simulator.disarm(id));
    assert!(!simulator.disarm(id));
    assert_eq!(acme.get("/api/v1/whatsapp").await.status, 200);

    simulator.arm(Fault { skip: 1, ..Fault::on(Route::List, FaultAction::status(500)).times(2) });
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(demo.get("/api/v1/whatsapp").await.status);
    }
    assert_eq!(seen, [200, 500, 500, 200]);
}

#[tokio::test]
async fn a_client_that_gives_up_does_not_take_the_effect_back() {
    let simulator = start().await;
    let client = Client::login(&simulator, "demo").await;
    let delay_after = Duration::from_mins(1);
    simulator.arm(Fault { delay_after, ..Fault::on(Route::Create, FaultAction::Pass).times(1) });
    let hasty = create(&client).timeout(Duration::from_millis(50));
    assert!(receive(hasty).await.unwrap_err().is_timeout());
    simulator.wait_until(|state| state.journal().entries().iter().any(|entry| entry.applied)).await;
    assert_eq!(simulator.sessions("demo").len(), 1);

    let delay = Duration::from_millis(80);
    simulator.arm(Fault { delay, ..Fault::on(Route::List, FaultAction::Pass).times(1) });
    let before = Instant::now();
    assert_eq!(client.get("/api/v1/whatsapp").await.status, 200);
    assert!(before.elapsed() >= delay);
}

#[tokio::test]
async fn sockets_fail_as_well() {
    let simulator = start().await;
    let client = Client::login(&simulator, "demo").await;
    let base = simulator.base_url();
    simulator.arm(Fault::on(Route::Socket, FaultAction::status(503)).times(1));
    simulator.arm(Fault::on(Route::Socket, FaultAction::ResetBefore).times(1));
    let Err(tokio_tungstenite::tungstenite::Error::Http(response)) = Socket::open(&base, "/socket.io/").await else {
        panic!("no HTTP error");
    };
    assert_eq!(response.status(), 503);
    let reset = Socket::open(&base, "/socket.io/").await;
    assert!(matches!(reset.err(), Some(error) if !matches!(error, tokio_tungstenite::tungstenite::Error::Http(_))));

    simulator.arm(Fault::on(Route::Socket, FaultAction::Refuse { message: Some("no".to_owned()) }).times(1));
    let mut socket = Socket::open(&base, "/socket.io/").await.unwrap();
    let answer = socket.authenticate("", &json!({"token": client.token})).await;
    assert_eq!(answer, r#"44{"message":"no"}"#);
    Socket::connected(&base, &client.token).await;
}
