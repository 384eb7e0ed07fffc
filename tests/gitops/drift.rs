//! After a whole life, whoever applies the same manifest again changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use actiwapi_sim::state::faults::Route;
use devkit::World;
use k8s_openapi::api::core::v1::Secret;
use kube::{Resource, ResourceExt, core::NamespaceResourceScope};
use serde_json::{Value, json};
use whatsapp_operator::api::{WhatsAppAccount, WhatsAppSession, names};

use crate::OPERATOR;

const UNCHANGED: [&str; 3] = [
    "secret/actiwapi-credentials unchanged",
    "whatsappaccount.actiwapi.com/default unchanged",
    "whatsappsession.actiwapi.com/sales unchanged",
];

/// What a team has in Git. `stringData` would differ from what is stored, whoever applies it.
fn manifest(world: &World) -> String {
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "actiwapi.com/credentials",
        "metadata": {"name": "actiwapi-credentials", "labels": {"team": "sales"}},
        "data": {"email": "ZGVtb0BleGFtcGxlLmNvbQ==", "password": "ZGVtby1wYXNzd29yZA=="},
    });
    let account = json!({
        "apiVersion": "actiwapi.com/v1alpha1", "kind": "WhatsAppAccount",
        "metadata": {"name": "default", "labels": {"team": "sales"}},
        "spec": {
            "baseUrl": world.sim.base_url(), "credentialsSecretRef": {"name": "actiwapi-credentials"}, "pollInterval": "10s",
        },
    });
    let session = json!({
        "apiVersion": "actiwapi.com/v1alpha1", "kind": "WhatsAppSession",
        "metadata": {"name": "sales", "labels": {"team": "sales"}}, "spec": {},
    });
    format!("{secret}\n---\n{account}\n---\n{session}\n")
}

/// kubectl with the manifest to read: whether it succeeded, and what it printed.
async fn kubectl(world: &World, args: &[&str]) -> (bool, String) {
    let args = [args, &["--namespace", &world.namespace, "--filename=-"]].concat();
    let output = world.plane.kubectl_with_stdin(&args, &manifest(world)).await.unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.success(), text(&output.stdout) + &text(&output.stderr))
}

async fn apply(world: &World, args: &[&str]) -> String {
    let (applied, said) = kubectl(world, &[&["apply", "--validate=strict"], args].concat()).await;
    assert!(applied, "{args:?}: {said}");
    said
}

/// Paired, disconnected, connected and asked to look again: everything that the operator writes was written.
async fn whole_life(world: &World) {
    world.pair("sales").await;
    let disconnected = async |state: &str| {
        world.patch::<WhatsAppSession>("sales", json!({"spec": {"desiredState": state}})).await;
        let reason = if state == "Connected" { "Connected" } else { "Disconnected" };
        world.until_condition("sales", "Ready", "True", reason).await;
    };
    disconnected("Disconnected").await;
    disconnected("Connected").await;
    world.patch::<WhatsAppSession>("sales", json!({"spec": {"desiredState": null}})).await;
    answered(world, "after the life").await;
    let counted = |account: &WhatsAppAccount| {
        let counts = account.status.as_ref().and_then(|status| status.sessions.clone()).unwrap_or_default();
        counts.connected == 1
    };
    world.until("default", "one connected session", counted).await;
}

/// Asks the operator to look again, and waits for the answer: whatever changed before is dealt with then.
async fn answered(world: &World, request: &str) -> WhatsAppSession {
    let annotations = json!({"metadata": {"annotations": {names::RECONCILE_REQUESTED_AT: request}}});
    world.patch::<WhatsAppSession>("sales", annotations).await;
    let handled = |session: &WhatsAppSession| {
        session.status.as_ref().and_then(|status| status.last_handled_reconcile_at.as_deref()) == Some(request)
    };
    world.until("sales", "an answer", handled).await
}

/// The version and the writers of each object.
async fn stored(world: &World) -> BTreeMap<&'static str, (String, Vec<Value>)> {
    async fn one<K>(world: &World, name: &str) -> (String, Vec<Value>)
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + std::fmt::Debug
            + serde::de::DeserializeOwned,
    {
        let object = world.api::<K>().get(name).await.unwrap();
        let writers = object.managed_fields().iter().map(|entry| serde_json::to_value(entry).unwrap()).collect();
        (object.resource_version().unwrap(), writers)
    }
    BTreeMap::from([
        ("secret", one::<Secret>(world, "actiwapi-credentials").await),
        ("account", one::<WhatsAppAccount>(world, "default").await),
        ("session", one::<WhatsAppSession>(world, "sales").await),
    ])
}

fn versions(stored: &BTreeMap<&'static str, (String, Vec<Value>)>) -> Vec<String> {
    stored.values().map(|(version, _)| version.clone()).collect()
}

/// The fields of a writer, as paths to leaves.
fn fields(of: &Value, path: &str, found: &mut BTreeSet<String>) {
    let members = of.as_object().into_iter().flatten().filter(|(key, _)| *key != ".");
    let mut leaf = true;
    for (key, value) in members {
        leaf = false;
        fields(value, &format!("{path}/{key}"), found);
    }
    if leaf {
        found.insert(path.to_owned());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn applied_again_the_same_manifest_is_unchanged_and_differs_in_nothing() {
    let world = World::start(OPERATOR).await;
    apply(&world, &[]).await;
    whole_life(&world).await;
    let before = stored(&world).await;
    let said = apply(&world, &[]).await;
    assert!(UNCHANGED.iter().all(|line| said.contains(line)), "{said}");
    let (same, said) = kubectl(&world, &["diff"]).await;
    assert!(same, "{said}");
    assert_eq!(versions(&stored(&world).await), versions(&before));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gitops_engine_meets_no_conflict_and_no_drift_and_every_field_has_one_writer() {
    let engines = ["kubectl", "argocd-controller", "kustomize-controller"];
    futures::future::join_all(engines.map(keeps_every_field)).await;
}

async fn keeps_every_field(engine: &str) {
    let world = World::start(OPERATOR).await;
    let manager = format!("--field-manager={engine}");
    apply(&world, &["--server-side", &manager]).await;
    whole_life(&world).await;
    let (same, said) = kubectl(&world, &["diff", "--server-side", &manager]).await;
    assert!(same, "{engine}: {said}");
    let before = stored(&world).await;
    apply(&world, &["--server-side", &manager]).await;
    let after = stored(&world).await;
    assert_eq!(versions(&after), versions(&before), "{engine}");

    for (name, (_, writers)) in &after {
        let mut owner: BTreeMap<String, &str> = BTreeMap::new();
        for writer in writers {
            let manager = writer["manager"].as_str().unwrap();
            let mut paths = BTreeSet::new();
            fields(&writer["fieldsV1"], "", &mut paths);
            for path in paths {
                let other = owner.insert(path.clone(), manager);
                assert!(other.is_none_or(|other| other == manager), "{name}: {path} is {other:?}'s and {manager}'s");
            }
        }
        let of = |manager: &str| owner.values().filter(|owner| **owner == manager).count();
        assert!(of(engine) > 0, "{engine}: {name}: {owner:?}");
        assert_eq!(of(names::MANAGER) > 0, *name != "secret", "{engine}: {name}: {owner:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_joins_one_who_applied_by_hand_meets_no_conflict() {
    let world = World::start(OPERATOR).await;
    apply(&world, &[]).await;
    whole_life(&world).await;
    for engine in ["argocd-controller", "kustomize-controller"] {
        let manager = format!("--field-manager={engine}");
        apply(&world, &["--server-side", &manager]).await;
        let before = versions(&stored(&world).await);
        apply(&world, &["--server-side", &manager]).await;
        assert_eq!(versions(&stored(&world).await), before, "{engine}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_strips_our_annotations_or_puts_them_back_does_nothing() {
    let world = World::start(OPERATOR).await;
    apply(&world, &[]).await;
    world.patch::<WhatsAppSession>("sales", json!({"spec": {"pairing": {"mode": "OnRequest"}}})).await;
    let annotate = async |value: Value| {
        let annotations = json!({"metadata": {"annotations": {names::PAIR_REQUESTED_AT: value}}});
        world.patch::<WhatsAppSession>("sales", annotations).await;
    };
    annotate(json!("once")).await;
    world.pair("sales").await;
    let before = answered(&world, "before").await;
    world.sim.reset_requests();
    annotate(Value::Null).await;
    let stripped = answered(&world, "stripped").await;
    annotate(json!("once")).await;
    let restored = answered(&world, "restored").await;
    for route in [Route::Create, Route::Connect, Route::Disconnect] {
        assert_eq!(world.sim.count(route), 0, "{route:?}");
    }
    let status = |session: &WhatsAppSession| {
        let mut status = session.status.clone().unwrap();
        status.last_handled_reconcile_at = None;
        status
    };
    assert_eq!((status(&stripped), status(&restored)), (status(&before), status(&before)));

    // And of the other annotation: neither its removal nor its return is a request.
    let again = json!({"metadata": {"annotations": {names::RECONCILE_REQUESTED_AT: null}}});
    world.patch::<WhatsAppSession>("sales", again).await;
    let last = answered(&world, "restored").await;
    assert_eq!(last.status, restored.status);
}
