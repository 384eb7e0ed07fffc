//! What cannot be changed at the provider cannot be changed here, in whatever steps it is tried.

use serde_json::{Value, json};

use crate::cluster::{Cluster, Kind, merge};

/// Every way from `before` to `after`: specs that `PUT` replaces, so that what is left out is removed.
struct Change {
    what: &'static str,
    before: Value,
    after: Value,
    /// What the refusal says; `None` if it is allowed.
    says: Option<&'static str>,
}

fn allowed(what: &'static str, before: Value, after: Value) -> Change {
    Change { what, before, after, says: None }
}

fn refused(what: &'static str, before: Value, after: Value, says: &'static str) -> Change {
    Change { what, before, after, says: Some(says) }
}

async fn try_all(cluster: &Cluster, kind: Kind, base: &Value, changes: Vec<Change>) {
    let mut wrong = Vec::new();
    for (number, Change { what, before, after, says }) in changes.into_iter().enumerate() {
        let mut object = kind.minimal(&format!("o{number}"));
        merge(&mut object["spec"], base);
        merge(&mut object["spec"], &before);
        let created = cluster.create(kind, &object).await.unwrap();
        // Not merged: a null is to arrive at the API server.
        let mut spec = base.as_object().unwrap().clone();
        spec.extend(after.as_object().unwrap().clone());
        object["metadata"] = created["metadata"].clone();
        object["spec"] = spec.into();
        match (cluster.try_replace(kind, &object).await, says) {
            (Ok(_), None) => {}
            (Err(said), Some(says)) if said.contains(says) => {}
            (Ok(_), Some(_)) => wrong.push(format!("{what}: accepted")),
            (Err(said), None) => wrong.push(format!("{what}: {said}")),
            (Err(said), Some(says)) => wrong.push(format!("{what}: said {said}, expected {says}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts() {
    const URL: &str = "spec.baseUrl: Forbidden: spec.baseUrl is immutable, its sessions live at that URL: create another WhatsAppAccount for the other URL";
    const PREFIX: &str = "spec.sessionNamePrefix: Forbidden: spec.sessionNamePrefix is immutable, the provider cannot rename: create another WhatsAppAccount for the other prefix";
    let cluster = Cluster::with_namespace("immutable-accounts").await;
    let default = json!({"baseUrl": "https://api.actiwapi.com"});
    let other = json!({"baseUrl": "https://other.example.com"});
    let prefix = json!({"sessionNamePrefix": "shop-"});
    let changes = vec![
        refused("URL set later", json!({}), other.clone(), URL),
        refused("URL removed", other.clone(), json!({}), URL),
        refused("URL null", other.clone(), json!({"baseUrl": null}), URL),
        refused("URL changed", other.clone(), json!({"baseUrl": "https://third.example.com"}), URL),
        refused("URL changed by a slash", default.clone(), json!({"baseUrl": "https://api.actiwapi.com/"}), URL),
        refused("URL changed back to the default", other.clone(), default.clone(), URL),
        allowed("URL set to the default", json!({}), default.clone()),
        allowed("default URL removed", default.clone(), json!({})),
        allowed("default URL null", default, json!({"baseUrl": null})),
        allowed("URL kept", other.clone(), other),
        refused("prefix set later", json!({}), prefix.clone(), PREFIX),
        refused("prefix removed", prefix.clone(), json!({}), PREFIX),
        refused("prefix null", prefix.clone(), json!({"sessionNamePrefix": null}), PREFIX),
        refused("prefix emptied", prefix.clone(), json!({"sessionNamePrefix": ""}), PREFIX),
        refused("prefix changed", prefix.clone(), json!({"sessionNamePrefix": "shop"}), PREFIX),
        allowed("empty prefix set", json!({}), json!({"sessionNamePrefix": ""})),
        allowed("prefix kept", prefix.clone(), prefix),
        allowed("other Secret", json!({}), json!({"credentialsSecretRef": {"name": "rotated"}})),
        allowed("other intervals", json!({}), json!({"pollInterval": "2m", "settledPollInterval": "10m"})),
        allowed("other budget", json!({}), json!({"rateLimit": {"requestsPerSecond": 1, "burst": 1}})),
        allowed("no events", json!({}), json!({"events": {"enabled": false}})),
    ];
    let base = json!({"credentialsSecretRef": {"name": "credentials"}});
    try_all(&cluster, Kind::Account, &base, changes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions() {
    const ACCOUNT: &str = "spec.accountRef.name: Forbidden: spec.accountRef.name (unless set: default) is immutable: delete this session and apply it again with the other account";
    const NAME: &str = "spec.displayName: Forbidden: spec.displayName (unless set: metadata.name) is immutable, the provider cannot rename: delete this session and apply it again under the new name, which takes another slot";
    const ID: &str =
        "spec.sessionId: Forbidden: spec.sessionId is immutable once set: put the old id back, or delete this session";
    const SECRET: &str = "spec.pairing.secretName: Forbidden: spec.pairing.secretName (unless set: metadata.name with -qr) is immutable: delete this session and apply it again with the other Secret name";
    let cluster = Cluster::with_namespace("immutable-sessions").await;
    let default = json!({"accountRef": {"name": "default"}});
    let other = json!({"accountRef": {"name": "other"}});
    let name = json!({"displayName": "Sales"});
    let id = json!({"sessionId": "sess_1"});
    let secret = json!({"pairing": {"secretName": "my-qr"}});
    let no_secret = json!({"pairing": {"secretName": null}});
    let changes = vec![
        refused("account set later", json!({}), other.clone(), ACCOUNT),
        refused("account removed", other.clone(), json!({}), ACCOUNT),
        refused("account null", other.clone(), json!({"accountRef": null}), ACCOUNT),
        refused("account changed", other.clone(), json!({"accountRef": {"name": "third"}}), ACCOUNT),
        allowed("account set to the default", json!({}), default.clone()),
        allowed("default account removed", default, json!({})),
        allowed("account kept", other.clone(), other),
        refused("name set later", json!({}), name.clone(), NAME),
        refused("name removed", name.clone(), json!({}), NAME),
        refused("name null", name.clone(), json!({"displayName": null}), NAME),
        refused("name changed", name.clone(), json!({"displayName": "sales"}), NAME),
        allowed("name kept", name.clone(), name),
        allowed("id set later", json!({}), id.clone()),
        refused("id removed", id.clone(), json!({}), ID),
        refused("id null", id.clone(), json!({"sessionId": null}), ID),
        refused("id changed", id.clone(), json!({"sessionId": "sess_2"}), ID),
        allowed("id kept", id.clone(), id),
        refused("Secret set later", json!({}), secret.clone(), SECRET),
        refused("Secret removed", secret.clone(), json!({}), SECRET),
        refused("Secret removed alone", secret.clone(), json!({"pairing": {"mode": "Auto"}}), SECRET),
        refused("Secret null", secret.clone(), no_secret.clone(), SECRET),
        refused("Secret changed", secret.clone(), json!({"pairing": {"secretName": "your-qr"}}), SECRET),
        allowed("Secret kept", secret.clone(), secret),
        allowed("no Secret null", json!({}), no_secret),
        allowed("suspended", json!({}), json!({"suspend": true})),
        allowed("offline", json!({}), json!({"desiredState": "Disconnected"})),
        allowed("other deletion", json!({}), json!({"deletionPolicy": "Orphan"})),
        allowed(
            "other pairing",
            json!({}),
            json!({"pairing": {"mode": "OnRequest", "window": "1m", "publishInStatus": true}}),
        ),
    ];
    try_all(&cluster, Kind::Session, &json!({}), changes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_may_be_spelled_out_and_left_out_again() {
    let cluster = Cluster::with_namespace("immutable-spelled-out").await;
    let implicit = Kind::Session.minimal("sales");
    let mut explicit = implicit.clone();
    merge(&mut explicit, &json!({"spec": {"displayName": "sales", "pairing": {"secretName": "sales-qr"}}}));
    let mut stored = cluster.create(Kind::Session, &implicit).await.unwrap();
    for next in [&explicit, &implicit] {
        stored["spec"] = next["spec"].clone();
        stored = cluster.replace(Kind::Session, &stored).await.unwrap();
        assert_eq!(stored["spec"]["displayName"], next["spec"]["displayName"]);
    }
    // Removed and set again in two steps: the effective name was `sales` all the time.
    stored["spec"] = json!({"displayName": "marketing"});
    let said = cluster.replace(Kind::Session, &stored).await.unwrap_err();
    assert!(said.contains("spec.displayName (unless set: metadata.name) is immutable"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn session_id_follows_the_recorded_one() {
    let cluster = Cluster::with_namespace("immutable-recorded-id").await;
    let mut stored = cluster.create(Kind::Session, &Kind::Session.minimal("sales")).await.unwrap();
    stored["metadata"] =
        cluster.patch_status(Kind::Session, "sales", &json!({"sessionId": "sess_1"})).await.unwrap()["metadata"]
            .clone();

    stored["spec"]["sessionId"] = json!("sess_2");
    let said = cluster.try_replace(Kind::Session, &stored).await.unwrap_err();
    assert!(said.contains("spec.sessionId must equal status.sessionId once that is set: use that id"), "{said}");

    stored["spec"]["sessionId"] = json!("sess_1");
    cluster.replace(Kind::Session, &stored).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_is_recorded_even_when_the_spec_names_another() {
    // A create was under way while somebody set the field: to refuse this write would lose the session just made.
    let cluster = Cluster::with_namespace("immutable-late-id").await;
    let mut session = Kind::Session.minimal("sales");
    session["spec"]["sessionId"] = json!("sess_2");
    cluster.create(Kind::Session, &session).await.unwrap();
    cluster.patch_status(Kind::Session, "sales", &json!({"sessionId": "sess_1"})).await.unwrap();
    // And the object can be worked with afterwards.
    cluster.kubectl(&["annotate", "was", "sales", "actiwapi.com/reconcile-requested-at=now"]).await;
    cluster.kubectl(&["patch", "was", "sales", "--type=merge", "--patch", r#"{"spec":{"suspend":true}}"#]).await;
}
