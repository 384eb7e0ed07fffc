//! What people may do who have Kubernetes' own roles in a namespace, which the chart adds to.

use std::fmt::Debug;

use devkit::{
    World,
    release::Scope,
    world::{Options, text},
};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Resource,
    api::{Patch, PatchParams, PostParams},
    core::NamespaceResourceScope,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use whatsapp_operator::api::{WhatsAppAccount, WhatsAppSession};

use crate::{OPERATOR, client_of, of, said, until};

const ROLES: [&str; 3] = ["view", "edit", "admin"];
const LIST: &[&str] = &["get", "whatsappsessions,whatsappaccounts"];
const PAIR: &[&str] = &["annotate", "--overwrite", "was", "sales", "actiwapi.com/pair-requested-at=now"];
const CREATE: &[&str] = &["create", "--filename=-"];
const CODE: &[&str] = &["get", "secret", "sales-qr", "--output=jsonpath={.data.qr}"];

fn session(name: &str) -> Value {
    json!({
        "apiVersion": "actiwapi.com/v1alpha1", "kind": "WhatsAppSession",
        "metadata": {"name": name}, "spec": {"suspend": true},
    })
}

/// Somebody with this role in the namespace, called by its name.
async fn person(world: &World, role: &str, args: &[&str], input: &Value) -> Result<String, String> {
    said(world, &[&["--as", role], args].concat(), input).await
}

async fn refused(world: &World, role: &str, args: &[&str], input: &Value) {
    match person(world, role, args, input).await {
        Ok(printed) => panic!("{role} may {args:?}: {printed}"),
        Err(error) => {
            assert!(error.contains("is forbidden: User") && error.contains("cannot"), "{role} {args:?}: {error}");
        }
    }
}

/// A world with somebody of each role.
async fn peopled(options: Options) -> World {
    let world = World::with(OPERATOR, options).await;
    for role in ROLES {
        let bind = ["create", "rolebinding", role, "--clusterrole", role, "--user", role];
        said(&world, &bind, &Value::Null).await.unwrap();
    }
    // Kubernetes adds the chart's roles to its own a moment later.
    let may = async || {
        let writes = [CREATE, &["--dry-run=server"]].concat();
        let mut may = Vec::new();
        may.push(person(&world, "view", LIST, &Value::Null).await.is_ok());
        for role in ["edit", "admin"] {
            may.push(person(&world, role, &writes, &session("may")).await.is_ok());
        }
        may
    };
    until(may, |may| may.iter().all(|may| *may)).await;
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_edit_can_ask_for_a_pairing_and_who_may_view_can_only_look() {
    let world = peopled(of(Scope::Cluster)).await;
    world.account("default", "demo", json!({})).await;
    person(&world, "edit", CREATE, &session("made-by-edit")).await.unwrap();
    world.session("sales", json!({"pairing": {"mode": "OnRequest"}})).await;
    world.until_condition("sales", "Ready", "False", "PairingRequired").await;

    refused(&world, "view", PAIR, &Value::Null).await;
    person(&world, "edit", PAIR, &Value::Null).await.unwrap();
    let secret: Secret = world.until_qr("sales").await;
    assert!(text(&secret, "qr").is_some());
    let code = person(&world, "edit", CODE, &Value::Null).await.unwrap();
    assert!(!code.is_empty(), "who may edit reads Secrets anyway, and with them the code");

    for args in [LIST, &["get", "was", "sales", "--output=yaml"], &["get", "waa", "default", "--output=yaml"]] {
        person(&world, "view", args, &Value::Null).await.unwrap();
    }
    refused(&world, "view", CODE, &Value::Null).await;
    let writes: [(&[&str], Value); 5] = [
        (CREATE, session("made-by-view")),
        (&["delete", "was", "sales"], Value::Null),
        (&["delete", "waa", "--all"], Value::Null),
        (&["patch", "was", "sales", "--type=merge", "--patch", r#"{"spec":{"suspend":true}}"#], Value::Null),
        (&["patch", "waa", "default", "--type=merge", "--patch", r#"{"spec":{"suspend":true}}"#], Value::Null),
    ];
    for (args, input) in &writes {
        refused(&world, "view", args, input).await;
    }

    // A code in the status would be seen by whoever may look, but it is not there unless two people want it.
    let seen = person(&world, "view", &["get", "was", "sales", "--output=json"], &Value::Null).await.unwrap();
    assert!(!seen.contains(&text(&secret, "qr").unwrap()));

    // All that comes from the chart: without its roles nothing of it is left.
    for role in ["view", "edit"] {
        let own = format!("{}-{role}", world.release.name);
        said(&world, &["delete", "clusterrole", &own], &Value::Null).await.unwrap();
    }
    until(async || person(&world, "view", LIST, &Value::Null).await.is_err(), |refused| *refused).await;
    until(async || person(&world, "edit", PAIR, &Value::Null).await.is_err(), |refused| *refused).await;
}

/// What each of them gets who writes the status of an object: kubectl would read it first, which is refused already.
async fn status_written<K>(world: &World, name: &str)
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned + Serialize,
{
    let api = |user: &str| Api::<K>::namespaced(client_of(world, user), &world.namespace);
    let observed = async || serde_json::to_value(world.api::<K>().get(name).await.unwrap()).unwrap();
    let status = Patch::Merge(json!({"status": {"observedGeneration": 7}}));
    let before = observed().await;
    for role in ROLES {
        let object = world.api::<K>().get(name).await.unwrap();
        let patched = api(role).patch_status(name, &PatchParams::default(), &status).await;
        let replaced = api(role).replace_status(name, &PostParams::default(), &object).await;
        for (verb, written) in [("patch", patched), ("update", replaced)] {
            let refused = written.expect_err(role).to_string();
            let kind = K::plural(&());
            assert!(refused.contains(&format!("cannot {verb} resource \"{kind}/status\"")), "{role}: {refused}");
        }
    }
    // Written where the rest of the object is written, it is dropped.
    api("edit").patch(name, &PatchParams::default(), &status).await.unwrap();
    assert_eq!(observed().await["status"], before["status"]);
    api(&world.release.user()).patch_status(name, &PatchParams::default(), &status).await.unwrap();
    assert_eq!(observed().await["status"]["observedGeneration"], 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_but_the_operator_writes_a_status() {
    let world = peopled(Options { without_operator: true, ..of(Scope::Cluster) }).await;
    world.account("default", "demo", json!({})).await;
    world.session("sales", json!({})).await;
    status_written::<WhatsAppSession>(&world, "sales").await;
    status_written::<WhatsAppAccount>(&world, "default").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_in_the_status_is_seen_by_whoever_may_view() {
    let args = vec!["--allow-qr-in-status".to_owned()];
    let world = peopled(Options { args, scope: Some(Scope::Cluster), ..Options::default() }).await;
    world.account("default", "demo", json!({})).await;
    world.session("sales", json!({"pairing": {"publishInStatus": true}})).await;
    world.until_qr("sales").await;
    let code = async || {
        let args = ["get", "was", "sales", "--output=jsonpath={.status.pairing.qr}"];
        person(&world, "view", &args, &Value::Null).await.unwrap()
    };
    let seen = until(code, |seen| !seen.is_empty()).await;
    assert!(world.sim.scan_code(&seen, None).is_ok(), "it is the code");
    refused(&world, "view", CODE, &Value::Null).await;
    // It is said where people decide on it.
    for file in ["docs/api-reference.md", "crds/actiwapi.com_whatsappsessions.yaml"] {
        let told = std::fs::read_to_string(devkit::assets::repository().join(file)).unwrap();
        assert!(told.contains("everybody who may read sessions"), "{file}");
    }
}
