//! A release over time: upgrades, rollbacks, and what remains when it goes.

use devkit::control_plane::{self, ControlPlane};
use serde_json::{Value, json};

use crate::{CLUSTER_WIDE, Objects, RELEASE, helm, helm_ok, title};

/// Every object of the release as the API server has it, by what helm installed.
async fn stored(plane: &ControlPlane, namespace: &str) -> Vec<Value> {
    let manifest = manifest(plane, namespace).await;
    let args = ["get", "--filename", "-", "--output", "json", "--show-managed-fields"];
    let output = plane.kubectl_with_stdin(&args, &manifest).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let list: Value = serde_json::from_slice(&output.stdout).unwrap();
    list["items"].as_array().unwrap().clone()
}

async fn manifest(plane: &ControlPlane, namespace: &str) -> String {
    let kubeconfig = plane.kubeconfig_path();
    devkit::helm::output(Some(&kubeconfig), &["get", "manifest", RELEASE, "--namespace", namespace]).await.unwrap()
}

async fn uninstall(plane: &ControlPlane, namespace: &str) {
    let kubeconfig = plane.kubeconfig_path();
    devkit::helm::output(Some(&kubeconfig), &["uninstall", RELEASE, "--namespace", namespace]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_with_the_same_values_changes_nothing() {
    // Without controllers nobody else writes.
    let plane = ControlPlane::start(control_plane::Options::default()).await.unwrap();
    let values = [
        "--namespace",
        "wa",
        "--create-namespace",
        "--set",
        "replicaCount=2,podDisruptionBudget.enabled=true,networkPolicy.enabled=true",
    ];
    helm_ok(Some(&plane), &[&["install", RELEASE], &values[..]].concat()).await;
    let before = stored(&plane, "wa").await;
    assert!(before.len() >= 14, "{}", before.len());
    helm_ok(Some(&plane), &[&["upgrade", RELEASE], &values[..]].concat()).await;
    for (before, after) in before.iter().zip(stored(&plane, "wa").await) {
        assert!(*before == after, "{}", title(before));
    }
    // What a GitOps engine would ask before it does anything.
    let manifest = manifest(&plane, "wa").await;
    let output = plane
        .kubectl_with_stdin(&["diff", "--server-side", "--field-manager=gitops", "--filename", "-"], &manifest)
        .await
        .unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    plane.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_can_change_all_that_is_no_name_and_go_back() {
    let plane = ControlPlane::start(control_plane::Options::default()).await.unwrap();
    let args = ["--namespace", "wa", "--create-namespace", "--set"];
    let everything = "leaderElection.enabled=false,commonLabels.team=a,podLabels.tier=b,image.tag=v2,metrics.enabled=false,\
                      podDisruptionBudget.enabled=true,networkPolicy.enabled=true,rbac.aggregateToView=false";
    helm_ok(Some(&plane), &[&["install", RELEASE], &args[..], &["crds.keep=true"]].concat()).await;
    let spec = async || {
        let manifest = manifest(&plane, "wa").await;
        let rendered = Objects::parse(&manifest).the("Deployment")["spec"].clone();
        let stored = stored(&plane, "wa").await;
        let stored = Objects(stored).the("Deployment")["spec"].clone();
        for key in ["strategy", "selector", "replicas"] {
            assert_eq!(stored[key], rendered[key], "{key}");
        }
        stored
    };
    let first = spec().await;
    // A strategy of the one kind leaves nothing of the other behind.
    helm_ok(Some(&plane), &[&["upgrade", RELEASE], &args[..], &[everything]].concat()).await;
    assert_eq!(spec().await["strategy"], json!({"type": "Recreate"}));
    let kubeconfig = plane.kubeconfig_path();
    devkit::helm::output(Some(&kubeconfig), &["rollback", RELEASE, "1", "--namespace", "wa"]).await.unwrap();
    assert_eq!(spec().await, first);
    plane.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_with_a_list_of_namespaces_leaves_nothing_behind() {
    let _alone = CLUSTER_WIDE.lock().await;
    let plane = control_plane::shared().await.unwrap();
    for name in ["list-of", "list-sales", "list-support"] {
        crate::namespace(plane, name, json!({})).await;
    }
    let set = "watchNamespaces={list-sales,list-support},crds.enabled=false";
    helm_ok(Some(plane), &["install", RELEASE, "--namespace", "list-of", "--set", set]).await;
    let manifest = manifest(plane, "list-of").await;
    assert_eq!(stored(plane, "list-of").await.len(), Objects::parse(&manifest).0.len());
    uninstall(plane, "list-of").await;
    let output = plane.kubectl_with_stdin(&["get", "--filename", "-", "--ignore-not-found"], &manifest).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_goes_and_comes_back_and_every_session_stays() {
    // Its own, because the definitions belong to this release here.
    let plane = ControlPlane::start(control_plane::Options::default()).await.unwrap();
    let session = json!({
        "apiVersion": "actiwapi.com/v1alpha1", "kind": "WhatsAppSession",
        "metadata": {"name": "sales", "namespace": "default"}, "spec": {},
    });
    let uid = ["-n", "default", "get", "was", "sales", "--output", "jsonpath={.metadata.uid}"];

    helm_ok(Some(&plane), &["install", RELEASE]).await;
    let wait = ["wait", "--for=condition=Established", "--timeout=60s", "crd/whatsappsessions.actiwapi.com"];
    plane.kubectl_ok(&wait).await.unwrap();
    plane.apply(&session.to_string()).await.unwrap();
    let before = plane.kubectl_ok(&uid).await.unwrap();

    helm_ok(Some(&plane), &["upgrade", RELEASE, "--set", "crds.annotations.reached=yes"]).await;
    let reached =
        ["get", "crd", "whatsappsessions.actiwapi.com", "--output", "jsonpath={.metadata.annotations.reached}"];
    assert_eq!(plane.kubectl_ok(&reached).await.unwrap(), "yes");
    uninstall(&plane, "default").await;
    assert_eq!(plane.kubectl_ok(&uid).await.unwrap(), before);
    helm_ok(Some(&plane), &["install", RELEASE]).await;
    uninstall(&plane, "default").await;

    let other = helm(Some(&plane), &["install", "another"]).await;
    assert!(String::from_utf8_lossy(&other.stderr).contains("ownership"), "{other:?}");
    helm_ok(Some(&plane), &["install", "another", "--take-ownership"]).await;
    assert_eq!(plane.kubectl_ok(&uid).await.unwrap(), before);
    plane.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_notes_tell_the_next_three_commands() {
    for (values, watched, namespace) in [
        ("", "all namespaces", "default"),
        ("watchNamespaces=null", "all namespaces", "default"),
        ("watchNamespaces={sales,support}", "the namespaces sales, support", "sales"),
    ] {
        let said = helm_ok(None, &["install", RELEASE, "--dry-run=client", "--namespace", "wa", "--set", values]).await;
        let (_, notes) = said.split_once("NOTES:").unwrap();
        assert!(notes.contains(watched), "{notes}");
        let commands: Vec<&str> = notes.lines().map(str::trim).filter(|line| line.starts_with("kubectl ")).collect();
        assert_eq!(commands.len(), 3, "{notes}");
        assert!(commands[0].starts_with("kubectl -n wa rollout status deployment/whatsapp-operator"), "{notes}");
        for command in &commands[1..] {
            assert!(command.starts_with(&format!("kubectl -n {namespace} ")), "{command}");
        }
    }
}
