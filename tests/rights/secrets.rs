//! Whose Secrets the operator can touch. Who may create any Secret and read it can have the token of any account.

use devkit::{World, release::Scope, world::Options};
use serde_json::{Value, json};

use crate::{OPERATOR, kubectl, of, said, until};

const POLICY: &str = "only Secrets of type actiwapi.com/qr";
const NO_RIGHT: &str = "cannot";
const FIXED_TYPE: &str = "field is immutable";

async fn world(scope: Scope) -> World {
    let world = World::with(OPERATOR, Options { without_operator: true, ..of(scope) }).await;
    world.credentials("somebody-elses", json!({"email": "a@example.com", "password": "b"})).await;
    world
}

/// With the operator's own token.
async fn operator(world: &World, args: &[&str], input: &Value) -> Result<String, String> {
    said(world, &[&["--kubeconfig", world.kubeconfig().to_str().unwrap()], args].concat(), input).await
}

fn secret(name: &str, kind: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "type": kind, "metadata": {"name": name}, "stringData": {"qr": "x"}})
}

/// Kubernetes fills it with the token of the account that it names.
fn token() -> Value {
    let mut token = secret("stolen", "kubernetes.io/service-account-token");
    token["metadata"]["annotations"] = json!({"kubernetes.io/service-account.name": "default"});
    token
}

const CREATE: &[&str] = &["create", "--filename=-"];
const REPLACE: &[&str] = &["replace", "--filename=-"];

#[tokio::test(flavor = "multi_thread")]
async fn cluster_wide_it_can_write_and_delete_codes_and_nothing_else() {
    let world = world(Scope::Cluster).await;
    // The API server learns of a policy a moment after it is written, and a dry run asks it too.
    let dry = async || operator(&world, &["create", "--dry-run=server", "--filename=-"], &token()).await;
    until(dry, |said| said.as_ref().is_err_and(|error| error.contains(POLICY))).await.unwrap_err();

    operator(&world, CREATE, &secret("a-code", "actiwapi.com/qr")).await.unwrap();
    operator(&world, REPLACE, &secret("a-code", "actiwapi.com/qr")).await.unwrap();
    let mut tokenized = token();
    tokenized["metadata"]["name"] = json!("a-code");
    let annotations = r#"{"metadata":{"annotations":{"kubernetes.io/service-account.name":"default"}}}"#;
    let attempts: [(&[&str], Value, &[&str]); 12] = [
        (CREATE, token(), &[POLICY]),
        (CREATE, secret("plain", "Opaque"), &[POLICY]),
        (CREATE, secret("made", "actiwapi.com/credentials"), &[POLICY]),
        (REPLACE, secret("somebody-elses", "actiwapi.com/credentials"), &[POLICY]),
        (&["delete", "secret", "somebody-elses", "--wait=false"], Value::Null, &[POLICY]),
        // A type is for ever, which is found out first.
        (REPLACE, secret("somebody-elses", "actiwapi.com/qr"), &[POLICY, FIXED_TYPE]),
        (REPLACE, tokenized, &[POLICY, FIXED_TYPE]),
        (&["patch", "secret", "a-code", "--type=merge", "--patch", annotations], Value::Null, &[NO_RIGHT]),
        (&["get", "secrets"], Value::Null, &[NO_RIGHT]),
        (&["delete", "--raw", &format!("/api/v1/namespaces/{}/secrets", world.namespace)], Value::Null, &[NO_RIGHT]),
        (&["create", "token", "default"], Value::Null, &[NO_RIGHT]),
        (&["get", "secret", "somebody-elses", "--as=admin"], Value::Null, &[NO_RIGHT]),
    ];
    for (args, input, because) in attempts {
        let refused = operator(&world, args, &input).await.expect_err(&format!("{args:?} {input}"));
        assert!(because.iter().any(|because| refused.contains(because)), "{args:?} {input}: {refused}");
    }
    let kept =
        said(&world, &["get", "secret", "somebody-elses", "--output=jsonpath={.data.email}"], &Value::Null).await;
    assert_eq!(kept.as_deref(), Ok("YUBleGFtcGxlLmNvbQ=="));
    operator(&world, &["delete", "secret", "a-code"], &Value::Null).await.unwrap();

    // Nobody else is held back.
    said(&world, CREATE, &token()).await.unwrap();
    said(&world, &["delete", "secret", "somebody-elses"], &Value::Null).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_list_of_namespaces_no_secret_of_another_namespace_is_in_reach() {
    let world = world(Scope::Namespaces).await;
    let elsewhere = |args: &'static [&'static str]| [&["--namespace", "default"], args].concat();
    let code = secret("a-code", "actiwapi.com/qr");
    assert!(kubectl(&world, &elsewhere(CREATE), &code).await.status.success());
    for args in [&["get", "secret", "a-code"][..], &["delete", "secret", "a-code"], CREATE, REPLACE] {
        let refused = operator(&world, &elsewhere(args), &code).await.expect_err(&format!("{args:?}"));
        assert!(refused.contains(NO_RIGHT), "{args:?}: {refused}");
    }
    operator(&world, &["get", "secret", "somebody-elses"], &Value::Null).await.unwrap();
    operator(&world, CREATE, &code).await.unwrap();
    for args in [&["get", "secrets"][..], &["create", "token", "default"]] {
        let refused = operator(&world, args, &Value::Null).await.expect_err(&format!("{args:?}"));
        assert!(refused.contains(NO_RIGHT), "{args:?}: {refused}");
    }
}
