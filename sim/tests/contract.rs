//! Every row of the published Sessions API, to the letter, over real HTTP.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that panics has failed")]

#[cfg(test)]
#[allow(dead_code, reason = "each test file uses a part")]
mod support;

use serde_json::{Value, json};
use support::{Client, receive, start};

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

fn is_uuid(text: &str) -> bool {
    let groups: Vec<usize> = text.split('-').map(str::len).collect();
    groups == [8, 4, 4, 4, 12]
}

#[tokio::test]
async fn list_sessions() {
    let simulator = start().await;
    let client = Client::login(&simulator, "demo").await;
    let empty = client.get("/api/v1/whatsapp").await;
    assert_eq!(empty.status, 200);
    assert_eq!(
        empty.body,
        json!({"success": true, "data": [], "pagination": {"page": 1, "limit": 20, "total": 0, "totalPages": 0}})
    );

    let id = client.create("Sales Line 1").await;
    client.connect(&id).await;
    simulator.scan("Sales Line 1", Some("919876543210")).unwrap();
    let listed = client.get("/api/v1/whatsapp").await;
    assert_eq!(
        listed.body,
        json!({
            "success": true,
            "data": [{
                "id": id, "name": "Sales Line 1", "status": "connected", "phoneNumber": "919876543210", "connected": true
            }],
            "pagination": {"page": 1, "limit": 20, "total": 1, "totalPages": 1}
        })
    );
    simulator.stop().await;
}

#[tokio::test]
async fn list_pages() {
    let simulator = start().await;
    let client = Client::login(&simulator, "demo").await;
    for number in 0..45 {
        simulator.create_out_of_band("demo", &format!("line {number}")).unwrap();
    }
    let first = client.get("/api/v1/whatsapp").await.body;
    assert_eq!(first["data"].as_array().unwrap().len(), 20);
    assert_eq!(first["pagination"], json!({"page": 1, "limit": 20, "total": 45, "totalPages": 3}));
    let last = client.get("/api/v1/whatsapp?page=3&limit=20").await.body;
    assert_eq!(last["data"].as_array().unwrap().len(), 5);
    assert_eq!(last["data"][4]["name"], "line 44");
    let beyond = client.get("/api/v1/whatsapp?page=4").await.body;
    assert_eq!(beyond["data"], json!([]));
    assert_eq!(client.get("/api/v1/whatsapp?limit=100").await.body["data"].as_array().unwrap().len(), 45);

    let refused = client.get("/api/v1/whatsapp?limit=101").await;
    assert_eq!(refused.status, 400);
    assert_eq!(
        refused.body,
        json!({"success": false, "message": "Validation failed", "errors": {"limit": "Must be at most 100"}})
    );
    for query in ["page=0", "limit=0", "page=x"] {
        assert_eq!(client.get(&format!("/api/v1/whatsapp?{query}")).await.status, 400, "{query}");
    }
    simulator.configure_api(|api| api.max_page_limit = 20);
    assert_eq!(client.get("/api/v1/whatsapp?limit=100").await.status, 400);
    assert_eq!(client.get("/api/v1/whatsapp?limit=20").await.status, 200);
}

#[tokio::test]
async fn create_session() {
    let simulator = start().await;
    let client = Client::login(&simulator, "demo").await;
    let got = client.post("/api/v1/whatsapp", Some(&json!({"name": "Support Line"}))).await;
    assert_eq!(got.status, 201);
    let id = got.body["data"]["id"].as_str().unwrap();
    assert!(is_uuid(id));
    assert_eq!(
        got.body,
        json!({
            "success": true,
            "data": {"id": id, "name": "Support Line", "status": "disconnected", "phoneNumber": null}
        })
    );
    let again = client.create("Support Line").await;
    assert_ne!(again, id, "names are not unique by default");
}

#[tokio::test]
async fn connect_status_disconnect() {
    let simulator = start().await;
    let client = Client::login(&simulator, "demo").await;
    let id = client.create("Support Line").await;
    let disconnected = json!({"id": id, "status": "disconnected", "phoneNumber": null, "connected": false});
    assert_eq!(client.status(&id).await, disconnected);

    let connect = client.connect(&id).await;
    assert_eq!(connect.status, 200);
    assert_eq!(
        connect.body,
        json!({"success": true, "data": {"status": "qr_pending", "message": "Scan QR code in dashboard"}})
    );
    assert_eq!(client.status(&id).await["status"], "qr_pending");

    simulator.scan(&id, Some("919876543210")).unwrap();
    let status = client.get(&format!("/api/v1/whatsapp/{id}/status")).await;
    assert_eq!(status.status, 200);
    assert_eq!(
        status.body,
        json!({
            "success": true,
            "data": {"id": id, "status": "connected", "phoneNumber": "919876543210", "connected": true}
        })
    );

    let disconnect = client.post(&format!("/api/v1/whatsapp/{id}/disconnect"), None).await;
    assert_eq!(disconnect.status, 200);
    assert_eq!(disconnect.body, json!({"success": true, "message": "Session disconnected"}));
    assert_eq!(client.status(&id).await["connected"], false);
}

#[tokio::test]
async fn list_with_an_api_key() {
    let simulator = start().await;
    let client = Client::login(&simulator, "demo").await;
    let id = client.create("Sales").await;
    let anonymous = Client::anonymous(&simulator.base_url());
    let got =
        receive(anonymous.request("GET", "/api/external/sessions").header("X-API-Key", "awp_demo")).await.unwrap();
    assert_eq!(got.status, 200);
    assert_eq!(got.body, json!({"success": true, "data": [{"id": id, "status": "disconnected"}]}));
    let wrong = receive(anonymous.request("GET", "/api/external/sessions").header("X-API-Key", "awp_x")).await.unwrap();
    assert_eq!(wrong.status, 401);
    let token_only = client.get("/api/external/sessions").await;
    assert_eq!(token_only.status, 401);
}

#[tokio::test]
async fn both_prefixes_answer() {
    let simulator = start().await;
    let client = Client::login(&simulator, "demo").await;
    assert_eq!(client.get("/api/whatsapp").await.status, 200);
    assert_eq!(client.get("/api/v1/billing/usage").await.status, 200);
    assert_eq!(client.get("/api/v2/whatsapp").await.status, 404);
}

#[tokio::test]
async fn billing() {
    let simulator = start().await;
    let client = Client::login(&simulator, "demo").await;
    client.create("Sales").await;
    client.get("/api/v1/whatsapp").await;
    let usage = client.get("/api/billing/usage").await;
    assert_eq!(
        usage.body,
        json!({
            "success": true,
            "data": {"sessions": {"used": 1, "limit": 5}, "apiRequests": {"used": 2, "limit": 100_000}}
        })
    );
    let subscription = client.get("/api/billing/subscription").await.body;
    assert_eq!(keys(&subscription["data"]), ["currentPeriodEnd", "plan", "status"]);
    assert_eq!(subscription["data"]["status"], "active");
    assert_eq!(keys(&subscription["data"]["plan"]), ["name", "slug"]);
    assert!(subscription["data"]["currentPeriodEnd"].as_str().unwrap().ends_with('Z'));
}
