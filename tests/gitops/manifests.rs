//! The manifests for Argo CD and Flux, held against the schemas of these programs by a real API server.

use std::{fs, path::PathBuf};

use devkit::{
    assets,
    control_plane::{ControlPlane, Options},
    gitops, helm,
};
use serde_json::{Value, json};

const APPLY: [&str; 5] = ["apply", "--dry-run=server", "--validate=strict", "--warnings-as-errors", "--filename=-"];

fn examples() -> PathBuf {
    assets::repository().join("examples/gitops")
}

/// Name and text of each.
fn all() -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = fs::read_dir(examples())
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read_to_string(entry.path()).unwrap()))
        .collect();
    all.sort();
    all
}

fn objects(text: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(text).unwrap()
}

/// A control plane that serves the kinds of Argo CD and Flux.
async fn plane() -> ControlPlane {
    let schemas = gitops::schemas().await.unwrap();
    let plane = ControlPlane::start(Options::default()).await.unwrap();
    plane.kubectl_ok(&["apply", "--server-side", "--filename", schemas.to_str().unwrap()]).await.unwrap();
    plane.kubectl_ok(&["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"]).await.unwrap();
    for name in ["argocd", "flux-system"] {
        plane
            .apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}).to_string())
            .await
            .unwrap();
    }
    plane
}

#[tokio::test(flavor = "multi_thread")]
async fn each_is_accepted_by_the_schemas_of_argo_cd_and_flux_and_a_misspelt_one_is_not() {
    let plane = plane().await;
    let apply = async |text: &str| {
        let output = plane.kubectl_with_stdin(&APPLY, text).await.unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let mut kinds = Vec::new();
    for (name, text) in all() {
        let (accepted, said) = apply(&text).await;
        assert!(accepted, "{name}: {said}");
        kinds.extend(objects(&text).iter().map(|object| object["kind"].as_str().unwrap().to_owned()));
    }
    kinds.sort();
    kinds.dedup();
    assert_eq!(kinds, ["Application", "GitRepository", "HelmRelease", "Kustomization"]);

    for (name, right, wrong) in [
        ("argo-cd.yaml", "targetRevision:", "targetrevision:"),
        ("argo-cd.yaml", "selfHeal: true", "selfHeal: always"),
        ("flux-operator.yaml", "storageNamespace:", "storagenamespace:"),
        ("flux-operator.yaml", "reconcileStrategy: Revision", "reconcileStrategy: Commit"),
        ("flux-sessions.yaml", "healthCheckExprs:", "healthCheckExpressions:"),
        ("flux-sessions.yaml", "timeout: 5m", "timeout: soon"),
    ] {
        let text = fs::read_to_string(examples().join(name)).unwrap();
        assert!(text.contains(right), "{name}: {right}");
        let (accepted, _) = apply(&text.replace(right, wrong)).await;
        assert!(!accepted, "{name} with {wrong} is accepted");
    }
    plane.stop().await.unwrap();
}

/// The values and the chart's folder that a manifest releases.
fn released(object: &Value) -> Option<(&Value, &str)> {
    let spec = &object["spec"];
    match object["kind"].as_str()? {
        "HelmRelease" => Some((&spec["values"], spec["chart"]["spec"]["chart"].as_str()?)),
        "Application" => Some((spec["source"]["helm"].get("valuesObject")?, spec["source"]["path"].as_str()?)),
        _ => None,
    }
}

#[tokio::test]
async fn the_values_in_them_are_values_of_the_chart() {
    let mut releases = 0;
    for (name, text) in all() {
        for object in objects(&text) {
            let Some((values, chart)) = released(&object) else { continue };
            releases += 1;
            let directory = tempfile::tempdir().unwrap();
            let file = directory.path().join("values.yaml");
            fs::write(&file, values.to_string()).unwrap();
            let chart = assets::repository().join(chart);
            let args = ["template", chart.to_str().unwrap(), "--values", file.to_str().unwrap()];
            let rendered = helm::output(None, &args).await.unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(rendered.contains("image: \"registry.example.com/platform/whatsapp-operator:0.1.0\""), "{name}");
        }
    }
    assert_eq!(releases, 2);
}
