//! What is stored when little is said.

use serde_json::{Value, json};

use crate::cluster::{Cluster, Kind};

#[tokio::test(flavor = "multi_thread")]
async fn an_account_gets_its_defaults() {
    let cluster = Cluster::with_namespace("default-account").await;
    let stored = cluster.create(Kind::Account, &Kind::Account.minimal("default")).await.unwrap();
    assert_eq!(
        stored["spec"],
        json!({
            "baseUrl": "https://api.actiwapi.com",
            "credentialsSecretRef": {"name": "credentials"},
            "pollInterval": "60s",
            "rateLimit": {"requestsPerSecond": 5, "burst": 10},
            "sessionNamePrefix": "",
            "events": {"enabled": true, "path": "/socket.io/", "namespace": "/"},
        })
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_gets_its_defaults() {
    let cluster = Cluster::with_namespace("default-session").await;
    let stored = cluster.create(Kind::Session, &Kind::Session.minimal("sales")).await.unwrap();
    assert_eq!(
        stored["spec"],
        json!({
            "accountRef": {"name": "default"},
            "desiredState": "Connected",
            "suspend": false,
            "deletionPolicy": "Disconnect",
            "pairing": {"mode": "Auto", "window": "10m", "publishInStatus": false},
        })
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn members_of_a_group_keep_their_defaults() {
    let cluster = Cluster::with_namespace("default-groups").await;
    let mut account = Kind::Account.minimal("default");
    account["spec"]["rateLimit"] = json!({"burst": 20});
    account["spec"]["events"] = json!({"subscribe": ["join"]});
    let stored = cluster.create(Kind::Account, &account).await.unwrap();
    assert_eq!(stored["spec"]["rateLimit"], json!({"requestsPerSecond": 5, "burst": 20}));
    assert_eq!(
        stored["spec"]["events"],
        json!({"enabled": true, "path": "/socket.io/", "namespace": "/", "subscribe": ["join"]})
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_object_is_not_yet_observed() {
    // Tools that follow kstatus compare it with metadata.generation, and would take an object without any for done.
    let cluster = Cluster::with_namespace("default-status").await;
    for kind in [Kind::Account, Kind::Session] {
        let stored = cluster.create(kind, &kind.minimal("fresh")).await.unwrap();
        assert_eq!(stored["status"], json!({"observedGeneration": -1}), "{kind:?}");

        // A status in a manifest, as a backup holds it, is not taken over.
        let mut restored = kind.minimal("restored");
        restored["status"] = json!({"observedGeneration": 7, "conditions": []});
        let stored = cluster.create(kind, &restored).await.unwrap();
        assert_eq!(stored["status"], json!({"observedGeneration": -1}), "{kind:?}");

        // Whoever writes a part of it does not claim to have observed anything.
        let status = json!({"observedGeneration": null, "conditions": []});
        let stored = cluster.patch_status(kind, "fresh", &status).await.unwrap();
        assert_eq!(stored["status"]["observedGeneration"], json!(-1), "{kind:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn explicit_nulls_are_as_if_left_out() {
    let cluster = Cluster::with_namespace("default-nulls").await;
    let mut session = Kind::Session.minimal("nulls");
    session["spec"] = json!({
        "accountRef": null, "displayName": null, "sessionId": null, "desiredState": null, "suspend": null,
        "deletionPolicy": null, "pairing": {"mode": null, "window": null, "secretName": null, "publishInStatus": null},
    });
    let with_nulls = cluster.create(Kind::Session, &session).await.unwrap();
    let without = cluster.create(Kind::Session, &Kind::Session.minimal("without")).await.unwrap();
    assert_eq!(with_nulls["spec"], without["spec"]);

    let mut account = Kind::Account.minimal("nulls");
    account["spec"] = json!({
        "credentialsSecretRef": {"name": "credentials"}, "baseUrl": null, "pollInterval": null,
        "settledPollInterval": null, "rateLimit": null, "sessionNamePrefix": null,
        "events": {"enabled": null, "path": null, "namespace": null, "subscribe": null, "qrEvents": null, "statusEvents": null},
    });
    let with_nulls = cluster.create(Kind::Account, &account).await.unwrap();
    let without = cluster.create(Kind::Account, &Kind::Account.minimal("without")).await.unwrap();
    assert_eq!(with_nulls["spec"], without["spec"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shortest_manifest_of_a_session() {
    let cluster = Cluster::with_namespace("default-shortest").await;
    let manifest = |name: &str, spec: &str| {
        format!("apiVersion: actiwapi.com/v1alpha1\nkind: WhatsAppSession\nmetadata:\n  name: {name}\n{spec}")
    };
    for (name, spec) in [("empty", "spec: {}\n"), ("nothing", "spec:\n"), ("none", "")] {
        cluster.apply(&manifest(name, spec), &["--validate=strict"]).await.unwrap();
    }
    let spec = async |name: &str| cluster.kubectl(&["get", "was", name, "--output=jsonpath={.spec}"]).await;
    let empty = spec("empty").await;
    assert!(empty.contains(r#""desiredState":"Connected""#), "{empty}");
    for name in ["nothing", "none"] {
        assert_eq!(spec(name).await, empty);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_spec_survives_the_move_from_apply_to_a_server_side_apply() {
    let cluster = Cluster::with_namespace("default-moved").await;
    let manifest = "apiVersion: actiwapi.com/v1alpha1\nkind: WhatsAppSession\nmetadata:\n  name: sales\nspec: {}\n";
    cluster.apply(manifest, &[]).await.unwrap();
    let spec = ["get", "was", "sales", "--output=jsonpath={.spec}"];
    let before = cluster.kubectl(&spec).await;
    // The first takes over what kubectl owns, and the second finds it taken over.
    for _ in 0..2 {
        cluster.apply(manifest, &["--server-side", "--field-manager=pipeline"]).await.unwrap();
        assert_eq!(cluster.kubectl(&spec).await, before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_operator_reads_is_what_was_stored() {
    use kube::Api;
    use whatsapp_operator::api::{WhatsAppAccount, WhatsAppSession};

    let cluster = Cluster::with_namespace("default-typed").await;
    for kind in [Kind::Account, Kind::Session] {
        cluster.create(kind, &kind.minimal("typed")).await.unwrap();
    }
    let client = cluster.plane.client().unwrap();
    let account: WhatsAppAccount = Api::namespaced(client.clone(), cluster.namespace).get("typed").await.unwrap();
    assert_eq!(account.status.unwrap().observed_generation, Some(-1));
    let session: WhatsAppSession = Api::namespaced(client, cluster.namespace).get("typed").await.unwrap();
    assert_eq!(session.qr_secret_name(), "typed-qr");
    let spec: Value = serde_json::to_value(&session.spec).unwrap();
    assert_eq!(spec["pairing"]["window"], json!("10m"));
}
