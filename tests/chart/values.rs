//! The values: each described, each in the schema, each tried by a file of `ci/`; and what is wrong is refused in words.

use std::collections::BTreeSet;

use devkit::chart;
use serde_json::{Map, Value};

use crate::{Objects, helm, helm_ok, refusal, render, render_with, template, values_files};

fn read(name: &str) -> String {
    std::fs::read_to_string(chart::directory().join(name)).unwrap()
}

fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap()
}

fn pointer(path: &str) -> String {
    format!("/{}", path.replace('.', "/"))
}

/// Where the values have sentences, with their defaults.
fn described() -> Vec<(String, Value)> {
    let values = yaml(&read("values.yaml"));
    let at = |path: &str| values.pointer(&pointer(path)).unwrap().clone();
    chart::described(&read("values.yaml")).into_iter().map(|value| (value.path.clone(), at(&value.path))).collect()
}

#[tokio::test]
async fn lint_finds_nothing_with_the_defaults_and_with_every_file_of_ci() {
    helm_ok(None, &["lint", "--strict"]).await;
    for file in values_files() {
        helm_ok(None, &["lint", "--strict", "--values", file.to_str().unwrap()]).await;
    }
}

#[tokio::test]
async fn the_same_values_render_the_same_bytes() {
    for file in values_files() {
        assert_eq!(render_with(&file).await, render_with(&file).await, "{}", file.display());
    }
    assert_eq!(render(&[]).await, render(&[]).await);
}

#[test]
fn templates_neither_hook_nor_look_up_nor_throw_dice() {
    for file in std::fs::read_dir(chart::directory().join("templates")).unwrap() {
        let path = file.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        for word in
            ["helm.sh/hook", "lookup ", "rand", "genCA", "genSigned", "genSelfSigned", "now", "uuidv4", ".Capabilities"]
        {
            let found = text.lines().filter(|line| line.contains("{{")).any(|line| line.contains(&format!(" {word}")));
            assert!(!found && !text.contains("helm.sh/hook"), "{}: {word}", path.display());
        }
    }
}

#[test]
fn every_value_is_described() {
    let missing = chart::undescribed(&yaml(&read("values.yaml")));
    assert!(missing.is_empty(), "values.yaml has no sentence about {missing:?}");
}

#[test]
fn the_schema_knows_the_values_and_no_others() {
    fn walk(values: &Value, schema: &Value, path: &str) {
        assert_eq!(schema["additionalProperties"], false, "{path} takes anything");
        let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<String>>();
        let mut allowed = keys(&schema["properties"]);
        if path.is_empty() {
            assert!(allowed.remove("enabled"), "a parent chart's condition");
        }
        assert_eq!(allowed, keys(values), "{path}");
        for (key, value) in values.as_object().unwrap() {
            let below = &schema["properties"][key];
            if below["properties"].is_object() {
                walk(value, below, &format!("{path}.{key}"));
            }
        }
    }
    walk(&yaml(&read("values.yaml")), &yaml(&read("values.schema.json")), "");
}

#[tokio::test]
async fn every_value_is_changed_by_a_file_of_ci_and_shows_in_what_is_rendered() {
    // For the parents of charts.
    let mut untried: BTreeSet<String> = described().into_iter().map(|(path, _)| path).collect();
    assert!(untried.remove("global"));
    for file in values_files() {
        let values = yaml(&std::fs::read_to_string(&file).unwrap());
        let whole = render_with(&file).await;
        for (path, default) in described() {
            let changed = values.pointer(&pointer(&path)).is_some_and(|value| *value != default);
            if changed && untried.contains(&path) {
                let set = format!("{path}={default}");
                let output = helm(None, &template(&["--values", file.to_str().unwrap(), "--set-json", &set])).await;
                // Some hang together, and the default alone is refused.
                if !output.status.success() || String::from_utf8(output.stdout).unwrap() != whole {
                    untried.remove(&path);
                }
            }
        }
    }
    assert!(untried.is_empty(), "no file of ci/ changes {untried:?}, or it changes nothing");
}

#[tokio::test]
async fn what_is_wrong_is_refused_in_words() {
    for (wrong, words) in [
        ("watchNamespace=sales", "additional properties 'watchNamespace' not allowed"),
        ("leaderElection.leaseDuration=15s", "additional properties 'leaseDuration' not allowed"),
        ("logging.level=loud", "at '/logging/level': value must be one of 'error', 'warn', 'info', 'debug', 'trace'"),
        ("image.digest=abc", "at '/image/digest'"),
        ("watchNamespaces=sales", "at '/watchNamespaces': got string, want array"),
        ("replicaCount=-1", "at '/replicaCount': minimum: got -1, want 0"),
        ("replicaCount=two", "at '/replicaCount': got string, want integer"),
        ("provider.allowedHosts={}", "at '/provider/allowedHosts/0'"),
        ("networkPolicy.apiServer.cidrs={10.0.0.1}", "at '/networkPolicy/apiServer/cidrs/0'"),
        ("replicaCount=2,leaderElection.enabled=false", "replicaCount above 1 needs leaderElection.enabled"),
        (
            "podDisruptionBudget.enabled=true,podDisruptionBudget.minAvailable=1,podDisruptionBudget.maxUnavailable=1",
            "podDisruptionBudget takes minAvailable or maxUnavailable, not both",
        ),
        ("serviceAccount.create=false", "serviceAccount.create=false needs serviceAccount.name"),
        ("metrics.enabled=false,serviceMonitor.enabled=true", "serviceMonitor and podMonitor need metrics.enabled"),
        ("metrics.enabled=false,podMonitor.enabled=true", "serviceMonitor and podMonitor need metrics.enabled"),
    ] {
        let said = refusal(wrong).await;
        assert!(said.contains(words), "{wrong}: {said}");
    }
}

#[tokio::test]
async fn a_parent_chart_may_say_what_it_likes_about_itself() {
    let said = render(&["--set", "global.anything.at=all,enabled=true"]).await;
    assert_eq!(Objects::parse(&said).kinds(), Objects::parse(&render(&[]).await).kinds());
}

#[tokio::test]
async fn a_value_whose_entries_were_taken_out_is_the_default() {
    let more = ["--set", "networkPolicy.enabled=true,podDisruptionBudget.enabled=true"];
    let usual = render(&more).await;
    for (path, default) in described() {
        // What remains of a list or a map in a file of values when each of its lines is a comment.
        let open = default.as_array().is_some_and(Vec::is_empty) || default.as_object().is_some_and(Map::is_empty);
        if open || default == "" {
            let set = format!("{path}=null");
            assert_eq!(render(&[&more[..], &["--set", &set]].concat()).await, usual, "{path}");
        }
    }
}
