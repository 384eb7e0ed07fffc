//! Socket.IO at the frames: who may connect, what each dialect sends, and to whom.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that panics has failed")]

#[cfg(test)]
#[allow(dead_code, reason = "each test file uses a part")]
mod support;

use std::time::Duration;

use actiwapi_sim::state::codes;
use actiwapi_sim::state::tenant::{Dialect, QrFormat, TenantSettings};
use actiwapi_sim::{Config, Simulator};
use base64::Engine as _;
use serde_json::{Value, json};
use support::{Client, Event, Socket, read_picture, start};

fn from_data_url(url: &Value) -> String {
    let base64 = url.as_str().unwrap().strip_prefix("data:image/png;base64,").unwrap();
    read_picture(&base64::engine::general_purpose::STANDARD.decode(base64).unwrap())
}

/// Connects a new session under a dialect and returns the event with the code, the session's id and its code.
async fn first_code(simulator: &Simulator, dialect: Dialect, name: &str) -> (Event, String, String) {
    simulator
        .configure_tenant("demo", |tenant| {
            tenant.dialect = dialect;
            tenant.mute_status = true;
        })
        .unwrap();
    let client = Client::login(simulator, "demo").await;
    let mut socket = Socket::connected(&simulator.base_url(), &client.token).await;
    let id = client.create("one").await;
    client.connect(&id).await;
    let event = socket.event().await;
    assert_eq!(event.name, name);
    let code = simulator.current_code(&id).unwrap().code;
    (event, id, code)
}

#[tokio::test]
async fn raw_with_id() {
    let simulator = start().await;
    let (event, id, code) = first_code(&simulator, Dialect::RawWithId, "qr").await;
    assert_eq!(event.args, [json!({"sessionId": id, "qr": code})]);
    assert!((225..=240).contains(&code.len()));
}

#[tokio::test]
async fn wrapped() {
    let simulator = start().await;
    let (event, id, code) = first_code(&simulator, Dialect::Wrapped, "qrcode.updated").await;
    let data = &event.args[0]["data"];
    assert_eq!(data["session"], json!({"id": id}));
    assert_eq!(data["qrcode"]["code"], json!(code));
    assert_eq!(data["qrcode"]["pairingCode"], json!(codes::pairing_code(&code)));
    assert_eq!(from_data_url(&data["qrcode"]["base64"]), code);
}

#[tokio::test]
async fn data_url() {
    let simulator = start().await;
    let (event, id, code) = first_code(&simulator, Dialect::DataUrl, "session.qr").await;
    assert_eq!(event.args[0]["session"], json!(id));
    assert_eq!(from_data_url(&event.args[0]["data"]), code);
}

#[tokio::test]
async fn two_arguments() {
    let simulator = start().await;
    let (event, id, code) = first_code(&simulator, Dialect::TwoArguments, "qr").await;
    assert_eq!(event.args, [json!(id), json!(code)]);
}

#[tokio::test]
async fn binary_png() {
    let simulator = start().await;
    simulator.configure_tenant("demo", |tenant| tenant.qr_format = QrFormat::WaMe).unwrap();
    let (event, id, code) = first_code(&simulator, Dialect::BinaryPng, "qr_code").await;
    assert_eq!(event.args, [json!({"sessionId": id, "image": {"_placeholder": true, "num": 0}})]);
    assert_eq!(read_picture(&event.attachments[0]), code);
    assert!((265..=280).contains(&code.len()));
}

#[tokio::test]
async fn qr_in_status() {
    let simulator = start().await;
    let (event, id, code) = first_code(&simulator, Dialect::QrInStatus, "session.status").await;
    assert_eq!(event.args, [json!({"sessionId": id, "status": "qr_pending", "connected": false, "qr": code})]);
}

#[tokio::test]
async fn bare() {
    let simulator = start().await;
    let (event, _, code) = first_code(&simulator, Dialect::Bare, "qr").await;
    assert_eq!(event.args, [json!(code)]);
}

#[tokio::test]
async fn every_change_of_state_is_told() {
    let simulator = start().await;
    simulator.configure_tenant("demo", |tenant| tenant.mute_qr = true).unwrap();
    let client = Client::login(&simulator, "demo").await;
    let mut socket = Socket::connected(&simulator.base_url(), &client.token).await;
    let id = client.create("one").await;
    client.connect(&id).await;
    simulator.scan(&id, Some("919876543210")).unwrap();
    simulator.drop_connection(&id).unwrap();
    simulator.log_out(&id).unwrap();
    let expected = [
        ("qr_pending", json!(null)),
        ("connected", json!("919876543210")),
        ("disconnected", json!("919876543210")),
        ("logged_out", json!(null)),
    ];
    for (status, phone) in expected {
        let event = socket.event().await;
        assert_eq!(event.name, "session.status");
        let connected = status == "connected";
        assert_eq!(
            event.args,
            [json!({"sessionId": id, "status": status, "phoneNumber": phone, "connected": connected})]
        );
    }
}

#[tokio::test]
async fn bad_tokens_are_refused() {
    let simulator = start().await;
    let client = Client::login(&simulator, "demo").await;
    for auth in [json!({}), json!({"token": "a.b.c"}), json!({"token": 7})] {
        let mut socket = Socket::open(&simulator.base_url(), "/socket.io/").await.unwrap();
        assert_eq!(socket.authenticate("", &auth).await, r#"44{"message":"Unauthorized"}"#);
    }
    simulator.expire_tokens("demo", false);
    let mut socket = Socket::open(&simulator.base_url(), "/socket.io/").await.unwrap();
    let answer = socket.authenticate("", &json!({"token": client.token})).await;
    assert_eq!(answer, r#"44{"message":"Token expired"}"#);
    let entry = simulator.requests().pop().unwrap();
    assert_eq!((entry.status, entry.applied, entry.tenant.as_deref()), (Some(401), false, Some("demo")));
}

#[tokio::test]
async fn tenants_hear_only_themselves() {
    let simulator = start().await;
    simulator.put_tenant("acme", TenantSettings::named("acme")).unwrap();
    let (demo, acme) = (Client::login(&simulator, "demo").await, Client::login(&simulator, "acme").await);
    let mut listener = Socket::connected(&simulator.base_url(), &acme.token).await;
    let others = demo.create("theirs").await;
    let own = acme.create("ours").await;
    demo.connect(&others).await;
    acme.connect(&own).await;
    assert_eq!(listener.event_named("qr").await.args[0]["sessionId"], json!(own));
    assert!(simulator.current_code(&others).is_some());
}

#[tokio::test]
async fn codes_follow_one_another_and_run_out() {
    let simulator = start().await;
    simulator
        .configure_tenant("demo", |tenant| {
            tenant.timings.qr_first = Duration::from_millis(60);
            tenant.timings.qr_next = Duration::from_millis(20);
            tenant.timings.qr_count = 3;
        })
        .unwrap();
    let client = Client::login(&simulator, "demo").await;
    let mut socket = Socket::connected(&simulator.base_url(), &client.token).await;
    let id = client.create("one").await;
    client.connect(&id).await;
    assert_eq!(socket.event().await.args[0]["status"], "qr_pending");
    let mut codes = Vec::new();
    for _ in 0..3 {
        let event = socket.event().await;
        assert_eq!(event.name, "qr");
        codes.push(event.args[0]["qr"].clone());
    }
    codes.dedup();
    assert_eq!(codes.len(), 3);
    assert_eq!(socket.event().await.args[0]["status"], "disconnected");
    assert!(simulator.scan_code(codes[0].as_str().unwrap(), None).is_err(), "an old code is worth nothing");
}

#[tokio::test]
async fn path_and_namespace_can_differ() {
    let config = Config { socket_path: "/ws/".to_owned(), namespace: "/events".to_owned(), ..Config::default() };
    let simulator = Simulator::start(config).await.unwrap();
    let client = Client::login(&simulator, "demo").await;
    let mut socket = Socket::open(&simulator.base_url(), "/ws/").await.unwrap();
    let answer = socket.authenticate("/events", &json!({"token": client.token})).await;
    assert!(answer.starts_with("40/events,{"), "{answer}");
    let id = client.create("one").await;
    client.connect(&id).await;
    assert_eq!(socket.event_named("qr").await.args[0]["sessionId"], json!(id));
    assert!(Socket::open(&simulator.base_url(), "/socket.io/").await.is_err());
}

#[tokio::test]
async fn sockets_can_be_taken_away() {
    let simulator = start().await;
    let client = Client::login(&simulator, "demo").await;
    let mut socket = Socket::connected(&simulator.base_url(), &client.token).await;
    simulator.close_sockets("demo", false);
    assert_eq!(socket.text().await.as_deref(), Some("41"));
    let mut socket = Socket::connected(&simulator.base_url(), &client.token).await;
    simulator.close_sockets("demo", true);
    assert_eq!(socket.text().await, None);
    let mut socket = Socket::connected(&simulator.base_url(), &client.token).await;
    simulator.stop().await;
    assert_eq!(socket.text().await, None);
}

#[tokio::test]
async fn a_new_socket_may_be_told_the_current_code() {
    let simulator = start().await;
    simulator.configure_tenant("demo", |tenant| tenant.replay_qr = true).unwrap();
    let client = Client::login(&simulator, "demo").await;
    let id = client.create("one").await;
    client.connect(&id).await;
    let mut socket = Socket::connected(&simulator.base_url(), &client.token).await;
    let code = simulator.current_code(&id).unwrap().code;
    assert_eq!(socket.event().await.args, [json!({"sessionId": id, "qr": code})]);
}
