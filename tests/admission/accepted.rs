//! What stands at the edge of a rule and is still right.

use serde_json::{Value, json};

use crate::cluster::{Cluster, Kind, merge};

async fn all_are_accepted(cluster: &Cluster, kind: Kind, specs: Vec<Value>) {
    for spec in specs {
        let mut object = kind.minimal("accepted");
        merge(&mut object, &json!({ "spec": spec }));
        if let Err(said) = cluster.try_create(kind, &object).await {
            panic!("{spec}: {said}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts() {
    let cluster = Cluster::with_namespace("accepted-accounts").await;
    let specs = vec![
        json!({"baseUrl": "https://api.actiwapi.com"}),
        json!({"baseUrl": "https://api.actiwapi.com/"}),
        json!({"baseUrl": "https://Gateway.example.com:8443/whatsapp/v1"}),
        // Refused by the operator, not by the schema: a demo on this machine needs it.
        json!({"baseUrl": "http://127.0.0.1:8080"}),
        json!({"baseUrl": "http://simulator.demo.svc:65535"}),
        json!({"baseUrl": "https://gateway.example.com/v1.2/..hidden"}),
        json!({"credentialsSecretRef": {"name": "a.b-c.1"}}),
        json!({"pollInterval": "10s"}),
        json!({"pollInterval": "24h", "settledPollInterval": "24h"}),
        json!({"pollInterval": "10000ms"}),
        json!({"pollInterval": "1h30m", "settledPollInterval": "90m"}),
        // The larger of 5m and this is meant.
        json!({"pollInterval": "10m"}),
        json!({"rateLimit": {"burst": 1}}),
        json!({"rateLimit": {"requestsPerSecond": 1000, "burst": 1000}}),
        json!({"sessionNamePrefix": ""}),
        json!({"sessionNamePrefix": "shop-"}),
        json!({"sessionNamePrefix": "ACME Zürich "}),
        json!({"sessionNamePrefix": "ü".repeat(40)}),
        json!({"events": {"enabled": false}}),
        json!({"events": {"path": "/socket.io", "namespace": "/whatsapp", "subscribe": ["join"], "qrEvents": ["wa:qr"]}}),
    ];
    all_are_accepted(&cluster, Kind::Account, specs).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions() {
    let cluster = Cluster::with_namespace("accepted-sessions").await;
    let specs = vec![
        json!({}),
        json!({"displayName": "x"}),
        json!({"displayName": "Sales team, Zürich (EU) 🛒"}),
        json!({"displayName": "フリー\u{3000}ダイヤル"}),
        json!({"displayName": "ü".repeat(100)}),
        json!({"sessionId": "_"}),
        json!({"sessionId": "a-B_9".repeat(12)}),
        json!({"desiredState": "Disconnected", "suspend": true, "deletionPolicy": "Orphan"}),
        json!({"pairing": {"mode": "OnRequest", "window": "24h", "secretName": "a.b", "publishInStatus": true}}),
        json!({"accountRef": {"name": "tenant.b"}}),
    ];
    all_are_accepted(&cluster, Kind::Session, specs).await;

    let longest = Kind::Session.minimal(&"x".repeat(63));
    cluster.try_create(Kind::Session, &longest).await.unwrap();
}
