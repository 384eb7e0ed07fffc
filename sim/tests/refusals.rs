//! Every row of the table of error codes, and the rules behind them.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that panics has failed")]

#[cfg(test)]
#[allow(dead_code, reason = "each test file uses a part")]
mod support;

use std::time::Duration;

use actiwapi_sim::state::tenant::{PendingConnect, RefreshTokens, TenantSettings};
use base64::Engine as _;
use serde_json::{Value, json};
use support::{Client, Got, start};

fn assert_refused(got: &Got, status: u16) {
    assert_eq!(got.status, status, "{}", got.text);
    assert_eq!(got.body["success"], false);
    assert!(got.body["message"].is_string());
    assert!(got.body.get("code").is_none(), "the published envelope has no code");
}

#[tokio::test]
async fn bad_names() {
    let simulator = start().await;
    let client = Client::login(&simulator, "demo").await;
    for name in [json!(""), json!("   "), json!(null), json!(7), json!("x".repeat(101))] {
        let got = client.post("/api/v1/whatsapp", Some(&json!({"name": name}))).await;
        assert_refused(&got, 400);
        assert_eq!(got.body["message"], "Validation failed");
        assert!(got.body["errors"]["name"].is_string());
    }
    assert_refused(&client.post("/api/v1/whatsapp", None).await, 400);
    client.create(&"ü".repeat(100)).await;
}

#[tokio::test]
async fn missing_bad_and_expired_tokens() {
    let simulator = start().await;
    let mut client = Client::anonymous(&simulator.base_url());
    assert_refused(&client.get("/api/v1/whatsapp").await, 401);
    client.token = "a.b.c".to_owned();
    assert_refused(&client.get("/api/v1/whatsapp").await, 401);
    let client = Client::login(&simulator, "demo").await;
    simulator.expire_tokens("demo", false);
    assert_refused(&client.get("/api/v1/whatsapp").await, 401);
    assert_eq!(Client::login(&simulator, "demo").await.get("/api/v1/whatsapp").await.status, 200);
    let wrong = json!({"email": "demo@example.com", "password": "wrong"});
    assert_refused(&client.post("/api/auth/login", Some(&wrong)).await, 401);
}

#[tokio::test]
async fn the_three_kinds_of_403() {
    let simulator = start().await;
    let client = Client::login(&simulator, "demo").await;
    let id = client.create("one").await;

    simulator.configure_tenant("demo", |tenant| tenant.session_limit = 1).unwrap();
    let over = client.post("/api/v1/whatsapp", Some(&json!({"name": "two"}))).await;
    assert_refused(&over, 403);
    assert_eq!(over.body["message"], "Session limit reached for your plan");

    simulator.configure_tenant("demo", |tenant| tenant.read_only = true).unwrap();
    assert_refused(&client.connect(&id).await, 403);
    assert_eq!(client.get("/api/v1/whatsapp").await.status, 200);

    simulator.configure_tenant("demo", |tenant| "expired".clone_into(&mut tenant.subscription)).unwrap();
    assert_refused(&client.get("/api/v1/whatsapp").await, 403);
    assert_eq!(client.get("/api/billing/subscription").await.body["data"]["status"], "expired");

    simulator
        .configure_tenant("demo", |tenant| *tenant = TenantSettings { request_limit: 0, ..TenantSettings::default() })
        .unwrap();
    let used_up = client.get("/api/v1/whatsapp").await;
    assert_refused(&used_up, 403);
    assert_eq!(used_up.body["message"], "API request limit reached for your plan");
    simulator.configure_api(|api| api.error_codes = true);
    assert_eq!(client.get("/api/v1/whatsapp").await.body["code"], "LIMIT_EXCEEDED");
}

#[tokio::test]
async fn other_tenants_do_not_exist() {
    let simulator = start().await;
    simulator.put_tenant("acme", TenantSettings::named("acme")).unwrap();
    let demo = Client::login(&simulator, "demo").await;
    let acme = Client::login(&simulator, "acme").await;
    let id = demo.create("mine").await;
    assert_refused(&acme.get(&format!("/api/v1/whatsapp/{id}/status")).await, 404);
    assert_refused(&acme.connect(&id).await, 404);
    assert_refused(&demo.connect("00000000-0000-4000-8000-000000000000").await, 404);
    assert_eq!(acme.get("/api/v1/whatsapp").await.body["data"], json!([]));
}

#[tokio::test]
async fn conflicts() {
    let simulator = start().await;
    let client = Client::login(&simulator, "demo").await;
    let id = client.create("one").await;
    let disconnect = format!("/api/v1/whatsapp/{id}/disconnect");
    assert_refused(&client.post(&disconnect, None).await, 409);
    client.connect(&id).await;
    assert_refused(&client.connect(&id).await, 409);
    let code = simulator.current_code(&id).unwrap().code;
    simulator.configure_tenant("demo", |tenant| tenant.pending_connect = PendingConnect::Repeat).unwrap();
    assert_eq!(client.connect(&id).await.status, 200);
    assert!(simulator.current_code(&id).unwrap().code == code);
    simulator.configure_tenant("demo", |tenant| tenant.pending_connect = PendingConnect::Restart).unwrap();
    assert_eq!(client.connect(&id).await.status, 200);
    assert!(simulator.current_code(&id).unwrap().code != code);
    simulator.scan(&id, None).unwrap();
    assert_refused(&client.connect(&id).await, 409);

    simulator
        .configure_tenant("demo", |tenant| {
            tenant.reject_duplicate_names = true;
            tenant.idempotent_disconnect = true;
        })
        .unwrap();
    assert_refused(&client.post("/api/v1/whatsapp", Some(&json!({"name": "one"}))).await, 409);
    assert_eq!(client.post(&disconnect, None).await.status, 200);
    assert_eq!(client.post(&disconnect, None).await.status, 200);
}

#[tokio::test]
async fn too_many_requests() {
    let simulator = start().await;
    let client = Client::login(&simulator, "demo").await;
    simulator.configure_tenant("demo", |tenant| tenant.rate_per_minute = Some(2)).unwrap();
    client.get("/api/v1/whatsapp").await;
    client.get("/api/v1/whatsapp").await;
    let got = client.get("/api/v1/whatsapp").await;
    assert_refused(&got, 429);
    let seconds: u64 = got.retry_after.unwrap().parse().unwrap();
    assert!((1..=60).contains(&seconds));
}

#[tokio::test]
async fn logins_and_refreshes() {
    let simulator = start().await;
    let client = Client::anonymous(&simulator.base_url());
    let credentials = json!({"email": "demo@example.com", "password": "demo-password"});
    let login = client.post("/api/auth/login", Some(&credentials)).await.body;
    assert_eq!(login["success"], true);
    assert_eq!(login["data"]["expiresIn"], "7d");
    assert_eq!(login["data"]["user"]["email"], "demo@example.com");
    let token = login["data"]["accessToken"].as_str().unwrap();
    let parts: Vec<&str> = token.split('.').collect();
    assert_eq!(parts.len(), 3);
    let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(parts[1]).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!(claims["tenantId"], login["data"]["user"]["tenantId"]);
    assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 7 * 86_400);
    assert!(claims["sub"].is_string());

    let refresh = json!({"refreshToken": login["data"]["refreshToken"]});
    let fixed = client.post("/api/auth/refresh", Some(&refresh)).await.body;
    assert!(fixed["data"]["accessToken"].is_string());
    assert!(fixed["data"].get("refreshToken").is_none());

    simulator
        .configure_tenant("demo", |tenant| {
            tenant.refresh_tokens = RefreshTokens::Rotate;
            tenant.token_lifetime = Duration::from_mins(15);
        })
        .unwrap();
    let rotated = client.post("/api/auth/refresh", Some(&refresh)).await.body;
    assert_eq!(rotated["data"]["expiresIn"], "15m");
    assert_ne!(rotated["data"]["refreshToken"], refresh["refreshToken"]);
    assert_refused(&client.post("/api/auth/refresh", Some(&refresh)).await, 401);

    simulator.configure_tenant("demo", |tenant| tenant.refresh_tokens = RefreshTokens::None).unwrap();
    let none = client.post("/api/auth/login", Some(&credentials)).await.body;
    assert!(none["data"].get("refreshToken").is_none());
}
