//! The generated CRDs, with what the derive cannot say.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::{Value, json};

use super::{WhatsAppAccount, WhatsAppSession};

/// Both CRDs with their file names under `crds/`, as JSON values ready to be printed as YAML.
#[must_use]
pub fn all() -> Vec<(&'static str, Value)> {
    vec![
        ("actiwapi.com_whatsappaccounts.yaml", finished(&WhatsAppAccount::crd())),
        ("actiwapi.com_whatsappsessions.yaml", with_empty_spec(finished(&WhatsAppSession::crd()))),
    ]
}

/// Everything about a session has a default, so there is one for all of it too. It is what keeps `spec: {}` alive when an
/// object goes from `kubectl apply` to a server-side apply: with the last field that the old manager owned, a null is left
/// of the spec, and a null with a default becomes that default instead of being refused.
fn with_empty_spec(mut crd: Value) -> Value {
    let spec = crd.pointer_mut("/spec/versions/0/schema/openAPIV3Schema/properties/spec");
    if let Some(spec) = spec.and_then(Value::as_object_mut) {
        spec.insert("default".to_owned(), json!({}));
    }
    crd
}

fn finished(crd: &CustomResourceDefinition) -> Value {
    let mut crd = serde_json::to_value(crd).unwrap_or_default();
    // A null for an optional field is then dropped at admission instead of being stored.
    strip_nullable(&mut crd);
    join_lines(&mut crd);
    // Without this a fresh object counts as Current for kstatus, Helm --wait and Flux.
    if let Some(status) =
        crd.pointer_mut("/spec/versions/0/schema/openAPIV3Schema/properties/status").and_then(Value::as_object_mut)
    {
        status.insert("default".to_owned(), json!({"observedGeneration": -1}));
        if let Some(observed) =
            status.get_mut("properties").and_then(|p| p.get_mut("observedGeneration")).and_then(Value::as_object_mut)
        {
            observed.insert("default".to_owned(), json!(-1));
        }
    }
    crd
}

fn strip_nullable(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.remove("nullable");
            if let Some(Value::Array(choices)) = map.get_mut("enum") {
                choices.retain(|choice| !choice.is_null());
            }
            map.values_mut().for_each(strip_nullable);
        }
        Value::Array(items) => items.iter_mut().for_each(strip_nullable),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Descriptions come with the line breaks of the source; those who show them break lines themselves.
fn join_lines(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if let Some(Value::String(text)) = map.get_mut("description") {
                let paragraphs: Vec<String> = text.split("\n\n").map(|p| p.replace('\n', " ")).collect();
                *text = paragraphs.join("\n\n");
            }
            map.values_mut().for_each(join_lines);
        }
        Value::Array(items) => items.iter_mut().for_each(join_lines),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
