//! Names, namespaces, labels and selectors.

use devkit::control_plane;
use serde_json::{Map, Value, json};

use crate::{NAMESPACE, Objects, RELEASE, dry_run, namespace, render_with, rendered, title, values_files};

/// Those that belong to no namespace.
const CLUSTER_SCOPED: &[&str] = &[
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
];
/// All that has a selector or a name of its own.
const EVERYTHING: &str = "podDisruptionBudget.enabled=true,networkPolicy.enabled=true,serviceMonitor.enabled=true,\
                          podMonitor.enabled=true";

fn labels(object: &Value) -> &Map<String, Value> {
    object["metadata"]["labels"].as_object().unwrap()
}

/// Every selector of Pods in a render.
fn selectors(objects: &Objects) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    for object in &objects.0 {
        let spec = &object["spec"];
        let selector = match object["kind"].as_str().unwrap() {
            "Service" => &spec["selector"],
            "NetworkPolicy" => &spec["podSelector"]["matchLabels"],
            "Deployment" | "PodDisruptionBudget" | "ServiceMonitor" | "PodMonitor" => &spec["selector"]["matchLabels"],
            _ => continue,
        };
        found.push((title(object), selector.clone()));
    }
    found
}

#[tokio::test]
async fn the_digest_wins_over_the_tag_and_the_registry_stands_before_the_name() {
    let digest = format!("sha256:{}", "a".repeat(64));
    for (values, image) in [
        (String::new(), format!("whatsapp-operator:{}", env!("CARGO_PKG_VERSION"))),
        ("image.tag=v2".into(), "whatsapp-operator:v2".into()),
        (
            "image.registry=r.example.com:5000,image.repository=team/wa".into(),
            format!("r.example.com:5000/team/wa:{}", env!("CARGO_PKG_VERSION")),
        ),
        (format!("image.repository=wa,image.tag=v2,image.digest={digest}"), format!("wa@{digest}")),
        (
            format!("image.registry=r.example.com,image.digest={digest}"),
            format!("r.example.com/whatsapp-operator@{digest}"),
        ),
    ] {
        assert_eq!(rendered(&values).await.container()["image"], image, "{values}");
    }
}

#[tokio::test]
async fn every_object_carries_the_conventional_labels_and_those_of_everybody() {
    let objects =
        rendered(&format!("{EVERYTHING},commonLabels.team=platform,commonLabels.app\\.kubernetes\\.io/name=x")).await;
    let conventional = [
        ("app.kubernetes.io/name", "whatsapp-operator"),
        ("app.kubernetes.io/instance", RELEASE),
        ("app.kubernetes.io/version", env!("CARGO_PKG_VERSION")),
        ("app.kubernetes.io/managed-by", "Helm"),
        ("helm.sh/chart", concat!("whatsapp-operator-", env!("CARGO_PKG_VERSION"))),
        // A label of one's own never takes the place of another.
        ("team", "platform"),
    ];
    assert!(objects.0.len() > 12, "{:?}", objects.kinds());
    for object in objects.0.iter().chain([objects.pod()]) {
        for (key, value) in conventional {
            assert_eq!(labels(object)[key], value, "{key} of {object}");
        }
    }
}

#[tokio::test]
async fn selectors_are_name_and_release_whatever_else_is_said() {
    let own = json!({"app.kubernetes.io/name": "whatsapp-operator", "app.kubernetes.io/instance": RELEASE});
    let more = ",commonLabels.team=platform,podLabels.tier=control,podLabels.app\\.kubernetes\\.io/name=x,\
                image.tag=v2,fullnameOverride=other,leaderElection.enabled=false";
    for values in [EVERYTHING.to_owned(), format!("{EVERYTHING}{more}")] {
        let objects = rendered(&values).await;
        let found = selectors(&objects);
        assert_eq!(found.len(), 6, "{found:?}");
        for (what, selector) in found {
            assert_eq!(selector, own, "{what}");
        }
        for (key, value) in own.as_object().unwrap() {
            assert_eq!(labels(objects.pod())[key], *value);
        }
    }
    for file in values_files() {
        let objects = Objects::parse(&render_with(&file).await);
        for (what, selector) in selectors(&objects) {
            for (key, value) in selector.as_object().unwrap() {
                assert_eq!(labels(objects.pod()).get(key), Some(value), "{what} of {}", file.display());
            }
        }
    }
}

#[tokio::test]
async fn another_namespace_moves_everything_that_has_one() {
    let objects = rendered(&format!("{EVERYTHING},namespaceOverride=elsewhere")).await;
    for object in &objects.0 {
        let cluster_scoped = CLUSTER_SCOPED.contains(&object["kind"].as_str().unwrap());
        let expected = if cluster_scoped { Value::Null } else { json!("elsewhere") };
        assert_eq!(object["metadata"]["namespace"], expected, "{}", title(object));
        assert!(!object.to_string().contains(&format!("\"{NAMESPACE}\"")), "{}", title(object));
    }
    assert!(objects.args().contains(&"--lease-namespace=elsewhere".to_owned()));
    let policy = objects.the("ValidatingAdmissionPolicy")["spec"]["matchConditions"][0]["expression"].to_string();
    assert!(policy.contains(&format!("system:serviceaccount:elsewhere:{RELEASE}")), "{policy}");
    let binding = objects.the("ClusterRoleBinding");
    assert_eq!(binding["subjects"][0]["namespace"], "elsewhere");
}

#[tokio::test]
async fn a_monitor_lives_where_prometheus_looks_and_still_finds_the_operator() {
    let values = "serviceMonitor.enabled=true,serviceMonitor.namespace=monitoring,podMonitor.enabled=true,podMonitor.namespace=monitoring";
    let objects = rendered(values).await;
    for kind in ["ServiceMonitor", "PodMonitor"] {
        let monitor = objects.the(kind);
        assert_eq!(monitor["metadata"]["namespace"], "monitoring");
        assert_eq!(monitor["spec"]["namespaceSelector"]["matchNames"], json!([NAMESPACE]));
    }
    let port = &objects.the("Service")["spec"]["ports"][0];
    assert_eq!(objects.the("ServiceMonitor")["spec"]["endpoints"][0]["port"], port["name"]);
    let ports = objects.container()["ports"].as_array().unwrap();
    assert!(ports.iter().any(|of_pod| of_pod["name"] == port["targetPort"]), "{ports:?}");
    let named = &objects.the("PodMonitor")["spec"]["podMetricsEndpoints"][0]["port"];
    assert!(ports.iter().any(|of_pod| of_pod["name"] == *named), "{ports:?}");
}

#[tokio::test]
async fn names_come_of_the_release_unless_it_is_said_otherwise() {
    for (release, values, name) in [
        ("wa", "", "wa-whatsapp-operator"),
        ("my-whatsapp-operator", "", "my-whatsapp-operator"),
        ("wa", "nameOverride=bot", "wa-bot"),
        ("wa", "fullnameOverride=bot", "bot"),
    ] {
        let text = crate::helm_ok(None, &["template", release, "--set", values]).await;
        assert_eq!(Objects::parse(&text).the("Deployment")["metadata"]["name"], name, "{release} {values}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn long_names_are_cut_where_no_dash_remains_and_are_accepted() {
    let plane = control_plane::shared().await.unwrap();
    namespace(plane, NAMESPACE, json!({})).await;
    // The longest that helm takes, and the cut is at a dash.
    let release = format!("{}-{}", "r".repeat(49), "x".repeat(3));
    let values = format!("nameOverride={}-{}", "n".repeat(8), "x".repeat(54));
    let args =
        ["template", &release, "--namespace", NAMESPACE, "--set", &values, "--set", "podDisruptionBudget.enabled=true"];
    let text = crate::helm_ok(None, &args).await;
    let name = Objects::parse(&text).the("Deployment")["metadata"]["name"].as_str().unwrap().to_owned();
    assert_eq!(name, format!("{release}-{}", "n".repeat(8)));
    assert_eq!(name.len(), 62);
    dry_run(plane, &text).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_look_like_numbers_or_truth_stay_names() {
    let plane = control_plane::shared().await.unwrap();
    for name in ["no", "123", "1e3"] {
        namespace(plane, name, json!({})).await;
    }
    let values = "crds.enabled=false,podDisruptionBudget.enabled=true,networkPolicy.enabled=true";
    let names = "watchNamespaces={no,1e3},serviceAccount.name=123,podLabels.tier=1,commonLabels.team=2";
    let args = ["template", "no", "--namespace", "123", "--set", values, "--set-string", names];
    let text = crate::helm_ok(None, &args).await;
    // kubectl reads YAML as the API server and helm do, and takes `no` for a truth value.
    dry_run(plane, &text).await.unwrap();
    for object in &Objects::parse(&text).0 {
        assert!(object["metadata"]["namespace"].is_string(), "{}", title(object));
    }
}
