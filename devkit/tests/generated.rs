//! What is generated is committed, small, readable and free of what API servers warn about.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::process::Command;

use devkit::{assets, generated};
use serde_json::Value;

const MAX_BYTES: usize = 64 * 1024;

#[tokio::test]
async fn committed_files_are_up_to_date() {
    let stale: Vec<String> =
        generated::stale(&assets::repository()).await.unwrap().into_iter().map(|file| file.path).collect();
    assert!(stale.is_empty(), "{stale:?} are not what they are generated from: run `{}`", generated::COMMAND);
}

#[test]
fn the_check_names_the_file_and_the_command() {
    let top = tempfile::tempdir().unwrap();
    let crdgen = |more: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_crdgen")).arg("--top").arg(top.path()).args(more).output();
        let output = output.unwrap();
        (output.status.success(), String::from_utf8(output.stderr).unwrap())
    };
    assert!(crdgen(&[]).0);
    assert_eq!(crdgen(&["--check"]), (true, String::new()));

    let sessions = top.path().join("crds/actiwapi.com_whatsappsessions.yaml");
    let text = std::fs::read_to_string(&sessions).unwrap();
    std::fs::write(&sessions, text.replace("Immutable", "Mutable")).unwrap();
    let (success, said) = crdgen(&["--check"]);
    assert!(!success);
    assert_eq!(
        said,
        "crds/actiwapi.com_whatsappsessions.yaml is not what src/api says: run `cargo run -p whatsapp-operator-devkit --bin crdgen` and commit the result\n"
    );
}

#[test]
fn yaml_says_what_the_types_say() {
    let files = generated::printed().unwrap();
    for (name, expected) in whatsapp_operator::api::crd::all() {
        let file = files.iter().find(|file| file.path.ends_with(name)).unwrap();
        assert_eq!(serde_saphyr::from_str::<Value>(&file.text).unwrap(), expected, "{name}");
        assert!(file.text.len() < MAX_BYTES, "{name}: {} bytes", file.text.len());
    }
}

#[test]
fn schemas_hold_nothing_that_api_servers_warn_about() {
    fn walk(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(map) => {
                match map.get("format").and_then(Value::as_str) {
                    None | Some("int32" | "int64" | "date-time") => {}
                    Some(format) => found.push(format!("format {format}")),
                }
                if map.contains_key("nullable") {
                    found.push("nullable".to_owned());
                }
                if let Some(Value::Array(choices)) = map.get("enum")
                    && choices.contains(&Value::Null)
                {
                    found.push("null among the values of an enum".to_owned());
                }
                map.values().for_each(|value| walk(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| walk(value, found)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    for (name, crd) in whatsapp_operator::api::crd::all() {
        let mut found = Vec::new();
        walk(&crd, &mut found);
        assert!(found.is_empty(), "{name}: {found:?}");
    }
}
