//! The admin API over HTTP, and the program around it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that panics has failed")]

#[cfg(test)]
#[allow(dead_code, reason = "each test file uses a part")]
mod support;

use serde_json::json;
use support::{Client, read_picture, receive, start};
use tokio::io::{AsyncBufReadExt as _, BufReader};

#[tokio::test]
async fn a_life_by_hand() {
    let simulator = start().await;
    let admin = Client::anonymous(&simulator.admin_url());
    let api = Client::login(&simulator, "demo").await;
    let id = api.create("Sales Line 1").await;
    let at = |action: &str| format!("/sessions/Sales%20Line%201/{action}");

    assert_eq!(admin.post(&at("scan"), None).await.status, 409, "no code is shown yet");
    api.connect(&id).await;
    let shown = admin.get(&at("qr")).await.body;
    assert_eq!(shown["number"], 1);
    assert!(shown["expiresInMs"].as_u64().unwrap() <= 60_000);
    let png = admin.request("GET", &at("qr.png")).send().await.unwrap().bytes().await.unwrap();
    assert_eq!(json!(read_picture(&png)), shown["qr"]);

    let scan = json!({"qr": shown["qr"], "phoneNumber": "919876543210"});
    let scanned = admin.post("/scan", Some(&scan)).await.body;
    assert_eq!(scanned, json!({"ok": true, "tenant": "demo", "session": id}));
    assert_eq!(api.status(&id).await["phoneNumber"], "919876543210");

    assert_eq!(admin.post(&at("drop"), None).await.status, 200);
    assert_eq!(admin.post(&at("drop"), None).await.status, 409);
    for (action, body, status) in [
        ("ban", json!({}), "banned"),
        ("status", json!({"status": "replaced"}), "replaced"),
        ("logout", json!({}), "logged_out"),
    ] {
        assert_eq!(admin.post(&at(action), Some(&body)).await.status, 200);
        assert_eq!(api.status(&id).await["status"], status);
    }
    assert_eq!(admin.post(&at("rename"), Some(&json!({"name": "Other"}))).await.status, 200);
    assert_eq!(api.get("/api/v1/whatsapp").await.body["data"][0]["name"], "Other");
    assert_eq!(admin.post("/sessions/Other/dance", None).await.status, 400);
    assert_eq!(admin.get("/sessions/Other").await.body["id"], json!(id));
    assert_eq!(receive(admin.request("DELETE", "/sessions/Other")).await.unwrap().status, 200);
    assert_eq!(api.get(&format!("/api/v1/whatsapp/{id}/status")).await.status, 404);
    assert_eq!(admin.get("/sessions/Other").await.status, 404);
}

#[tokio::test]
async fn tenants_by_hand() {
    let simulator = start().await;
    let admin = Client::anonymous(&simulator.admin_url());
    let put = |path: &'static str, body| receive(admin.request("PUT", path).json(&body));
    let made = put("/tenants/acme", json!({"sessionLimit": 1, "timings": {"qrFirst": "5s"}})).await.unwrap();
    assert_eq!(made.status, 200, "{}", made.text);
    assert_eq!(made.body["settings"]["timings"]["qrFirst"], "5s");
    assert_eq!(made.body["settings"]["timings"]["qrNext"], "20s");
    assert!(!made.text.contains("acme-password") && !made.text.contains("awp_acme"));
    assert_eq!(put("/tenants/acme", json!({"colour": "red"})).await.unwrap().status, 400);
    assert_eq!(put("/tenants/acme", json!({"email": "demo@example.com"})).await.unwrap().status, 400);

    let api = Client::login(&simulator, "acme").await;
    assert_eq!(admin.post("/tenants/acme/sessions", Some(&json!({"name": "Found"}))).await.status, 200);
    assert_eq!(admin.get("/sessions?tenant=acme").await.body[0]["name"], "Found");
    assert_eq!(api.post("/api/v1/whatsapp", Some(&json!({"name": "two"}))).await.status, 403);
    assert_eq!(admin.post("/tenants/acme/expire-tokens", None).await.status, 200);
    assert_eq!(api.get("/api/v1/whatsapp").await.status, 401);
    assert_eq!(put("/options", json!({"errorCodes": true})).await.unwrap().status, 200);
    assert_eq!(api.get("/api/v1/whatsapp").await.body["code"], "UNAUTHORIZED");
}

#[tokio::test]
async fn faults_and_the_log_by_hand() {
    let simulator = start().await;
    let admin = Client::anonymous(&simulator.admin_url());
    let api = Client::login(&simulator, "demo").await;
    let fault = json!({
        "route": "list", "tenant": "demo", "times": 1, "delay": "1ms",
        "action": {"kind": "status", "status": 429, "retryAfter": {"dateIn": 30}, "code": "RATE_LIMITED"}
    });
    let armed = admin.post("/faults", Some(&fault)).await;
    assert_eq!((armed.status, &armed.body), (200, &json!({"id": 1})));
    assert_eq!(admin.get("/faults").await.body[0]["fault"]["route"], "list");
    let got = api.get("/api/v1/whatsapp?page=1").await;
    assert_eq!((got.status, &got.body["code"]), (429, &json!("RATE_LIMITED")));
    assert!(got.retry_after.unwrap().ends_with("GMT"));

    let entry = admin.get("/requests?route=list&tenant=demo").await.body[0].clone();
    assert_eq!(entry["path"], "/api/v1/whatsapp");
    assert_eq!(entry["query"], "page=1");
    assert_eq!((&entry["status"], &entry["faulted"], &entry["applied"]), (&json!(429), &json!(true), &json!(false)));
    assert_eq!(admin.get("/requests/counts").await.body, json!({"list": 1, "login": 1}));
    receive(admin.request("DELETE", "/requests")).await.unwrap();
    assert_eq!(admin.get("/requests").await.body, json!([]));

    assert_eq!(admin.post("/faults", Some(&json!({"route": "nowhere"}))).await.status, 400);
    assert_eq!(receive(admin.request("DELETE", "/faults/1")).await.unwrap().status, 200);
    assert_eq!(receive(admin.request("DELETE", "/faults/1")).await.unwrap().status, 404);
    assert_eq!(receive(admin.request("DELETE", "/faults")).await.unwrap().status, 200);
    assert_eq!(admin.get("/healthz").await.text, "ok\n");
}

#[tokio::test]
async fn the_program_serves_and_stops_when_asked() {
    let mut child = tokio::process::Command::new(env!("CARGO_BIN_EXE_actiwapi-sim"))
        .args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--dialect", "bare"])
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let url = |line: String| line.split_whitespace().find(|word| word.starts_with("http://")).unwrap().to_owned();
    let api = Client::anonymous(&url(lines.next_line().await.unwrap().unwrap()));
    let admin = Client::anonymous(&url(lines.next_line().await.unwrap().unwrap()));
    assert_eq!(admin.get("/tenants").await.body[0]["settings"]["dialect"], "bare");
    assert_eq!(api.get("/api/v1/whatsapp").await.status, 401);
    let told = lines.next_line().await.unwrap().unwrap();
    let told = if told.contains("401") { told } else { lines.next_line().await.unwrap().unwrap() };
    assert!(told.contains("GET /api/v1/whatsapp -> 401"), "{told}");

    let pid = child.id().unwrap().to_string();
    assert!(tokio::process::Command::new("kill").args(["-TERM", &pid]).status().await.unwrap().success());
    assert!(child.wait().await.unwrap().success());
}
