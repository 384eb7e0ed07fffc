//! What people see in `kubectl get` and `kubectl explain`.

use serde_json::{Value, json};

use crate::cluster::{Cluster, Kind};

/// The cells of a table, by line.
fn table(text: &str) -> Vec<Vec<&str>> {
    text.lines().map(|line| line.split_whitespace().collect()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_crds_are_established() {
    // They were applied with every warning being an error.
    let cluster = Cluster::with_namespace("kubectl-crds").await;
    for kind in [Kind::Account, Kind::Session] {
        let name = format!("{}.actiwapi.com", kind.plural());
        let crd: Value = serde_json::from_str(&cluster.kubectl(&["get", "crd", &name, "--output=json"]).await).unwrap();
        let conditions: Vec<(&str, &str)> = crd["status"]["conditions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|condition| (condition["type"].as_str().unwrap(), condition["status"].as_str().unwrap()))
            .collect();
        assert!(conditions.contains(&("Established", "True")), "{name}: {conditions:?}");
        assert!(conditions.contains(&("NamesAccepted", "True")), "{name}: {conditions:?}");
        assert!(!conditions.iter().any(|(kind, _)| *kind == "NonStructuralSchema"), "{name}: {conditions:?}");
        assert_eq!(crd["spec"]["scope"], "Namespaced");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn get_lists_by_kind_short_name_and_category() {
    let cluster = Cluster::with_namespace("kubectl-get").await;
    cluster.create(Kind::Account, &Kind::Account.minimal("tenant")).await.unwrap();
    cluster.create(Kind::Session, &Kind::Session.minimal("sales")).await.unwrap();
    for (what, expected) in [
        ("waa", &["whatsappaccount.actiwapi.com/tenant"][..]),
        ("was", &["whatsappsession.actiwapi.com/sales"]),
        ("whatsappaccounts", &["whatsappaccount.actiwapi.com/tenant"]),
        ("whatsappsession", &["whatsappsession.actiwapi.com/sales"]),
        ("whatsapp", &["whatsappaccount.actiwapi.com/tenant", "whatsappsession.actiwapi.com/sales"]),
        ("all", &[]),
    ] {
        let printed = cluster.kubectl(&["get", what, "--output", "name"]).await;
        assert_eq!(printed.lines().collect::<Vec<_>>(), expected, "kubectl get {what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_of_a_session() {
    let cluster = Cluster::with_namespace("kubectl-session").await;
    cluster.create(Kind::Session, &Kind::Session.minimal("sales")).await.unwrap();
    let status = json!({
        "observedGeneration": 1,
        "phase": "Connected",
        "sessionId": "sess_1",
        "phoneNumber": "919876543210",
        "conditions": [{
            "type": "Ready", "status": "True", "reason": "Connected", "message": "the session is connected",
            "lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 1,
        }],
    });
    cluster.patch_status(Kind::Session, "sales", &status).await.unwrap();

    let printed = cluster.kubectl(&["get", "was"]).await;
    let rows = table(&printed);
    assert_eq!(rows[0], ["NAME", "READY", "PHASE", "REASON", "PHONE", "ACCOUNT", "AGE"]);
    assert_eq!(rows[1][..6], ["sales", "True", "Connected", "Connected", "919876543210", "default"]);

    let printed = cluster.kubectl(&["get", "was", "--output", "wide"]).await;
    let rows = table(&printed);
    assert_eq!(rows[0], ["NAME", "READY", "PHASE", "REASON", "PHONE", "ACCOUNT", "SESSION-ID", "AGE"]);
    assert_eq!(rows[1][6], "sess_1");

    cluster.kubectl(&["wait", "was/sales", "--for=condition=Ready", "--timeout=5s"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_of_an_account() {
    let cluster = Cluster::with_namespace("kubectl-account").await;
    cluster.create(Kind::Account, &Kind::Account.minimal("default")).await.unwrap();
    let condition = |kind: &str, reason: &str| {
        json!({
            "type": kind, "status": "True", "reason": reason, "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 1,
        })
    };
    let status = json!({
        "observedGeneration": 1,
        "sessions": {"managed": 3, "connected": 2, "unmanaged": 1},
        "conditions": [condition("Ready", "Ready"), condition("EventsConnected", "Live")],
    });
    cluster.patch_status(Kind::Account, "default", &status).await.unwrap();

    let printed = cluster.kubectl(&["get", "waa"]).await;
    let rows = table(&printed);
    assert_eq!(rows[0], ["NAME", "READY", "REASON", "EVENTS", "SESSIONS", "CONNECTED", "AGE"]);
    assert_eq!(rows[1][..6], ["default", "True", "Ready", "True", "3", "2"]);

    let printed = cluster.kubectl(&["get", "waa", "--output", "wide"]).await;
    let rows = table(&printed);
    assert_eq!(rows[0], ["NAME", "READY", "REASON", "EVENTS", "SESSIONS", "CONNECTED", "BASE-URL", "AGE"]);
    assert_eq!(rows[1][6], "https://api.actiwapi.com");
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_describes_every_field_of_a_spec() {
    let cluster = Cluster::with_namespace("kubectl-explain").await;
    for what in ["was.spec", "waa.spec"] {
        let printed = cluster.kubectl(&["explain", what, "--recursive"]).await;
        assert!(printed.contains("FIELDS:"), "{printed}");
        let printed = cluster.kubectl(&["explain", what]).await;
        assert!(!printed.contains("<no description>"), "{printed}");
    }
}
