//! Every example is accepted as it is, in any namespace, and can be pointed at a simulator.

use std::{collections::BTreeSet, fs};

use devkit::assets;
use serde_json::Value;

use crate::cluster::Cluster;

/// What the demo and other tests replace to point an account elsewhere.
const BASE_URL_LINE: &str = "  baseUrl: https://api.actiwapi.com";

/// The name and the text of each example.
fn all() -> Vec<(String, String)> {
    let mut examples: Vec<(String, String)> = fs::read_dir(assets::repository().join("examples"))
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().extension().is_some_and(|extension| extension == "yaml"))
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read_to_string(entry.path()).unwrap()))
        .collect();
    examples.sort();
    assert!(!examples.is_empty());
    examples
}

#[tokio::test(flavor = "multi_thread")]
async fn each_is_accepted() {
    let cluster = Cluster::with_namespace("examples").await;
    for (name, text) in all() {
        let simulated = text.replace(BASE_URL_LINE, "  baseUrl: http://127.0.0.1:8080");
        for manifest in [&text, &simulated] {
            let args = ["--dry-run=server", "--validate=strict", "--output=json", "--warnings-as-errors"];
            let applied = cluster.apply(manifest, &args).await.unwrap_or_else(|said| panic!("{name}: {said}"));
            let applied: Value = serde_json::from_str(&applied).unwrap();
            let objects = applied["items"].as_array().unwrap();
            for object in objects {
                assert_eq!(object["metadata"]["namespace"], cluster.namespace, "{name}");
            }
            let kinds: Vec<&str> = objects.iter().map(|object| object["kind"].as_str().unwrap()).collect();
            // Self-contained, and in an order in which nothing has to wait for what comes later.
            assert_eq!(kinds[..2], ["Secret", "WhatsAppAccount"], "{name}");
            assert!(kinds.len() > 2 && kinds[2..].iter().all(|kind| *kind == "WhatsAppSession"), "{name}: {kinds:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_fit_one_tenant() {
    let cluster = Cluster::with_namespace("examples-names").await;
    let mut remote_names = BTreeSet::new();
    for (name, text) in all() {
        let args = ["--dry-run=server", "--output=json"];
        let applied = cluster.apply(&text, &args).await.unwrap_or_else(|said| panic!("{name}: {said}"));
        let applied: Value = serde_json::from_str(&applied).unwrap();
        for object in applied["items"].as_array().unwrap() {
            if object["kind"] == "WhatsAppSession" {
                let own = object["spec"]["displayName"].as_str().or(object["metadata"]["name"].as_str()).unwrap();
                assert!(remote_names.insert(own.to_owned()), "{name}: another example has a session {own} too");
            }
        }
    }
}

#[test]
fn each_can_be_pointed_at_a_simulator_and_names_no_namespace() {
    for (name, text) in all() {
        let accounts = text.lines().filter(|line| *line == "kind: WhatsAppAccount").count();
        let lines = text.lines().filter(|line| *line == BASE_URL_LINE).count();
        assert_eq!(lines, accounts, "{name}: each account needs the line {BASE_URL_LINE:?}");
        assert!(!text.contains("namespace:"), "{name}");
    }
}

#[test]
fn each_is_in_the_list_of_examples() {
    let list = fs::read_to_string(assets::repository().join("examples/README.md")).unwrap();
    for (name, _) in all() {
        assert!(list.contains(&format!("| [`{name}`]({name}) |")), "{name} is not in examples/README.md");
    }
}
