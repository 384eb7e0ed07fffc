//! `install.yaml`, for whoever has no Helm.

use std::process::Stdio;

use devkit::{
    assets,
    control_plane::{ControlPlane, Options},
};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::{Objects, helm_ok};

const HOME: &str = "whatsapp-operator-system";

fn text() -> String {
    std::fs::read_to_string(assets::repository().join("install.yaml")).unwrap()
}

/// The lines of its head that a person may copy.
fn commands() -> Vec<String> {
    let head = text();
    let head = head.lines().take_while(|line| line.starts_with('#'));
    head.filter_map(|line| line.strip_prefix("#   ")).map(str::to_owned).collect()
}

#[tokio::test]
async fn it_is_a_namespace_and_what_helm_would_install() {
    let Objects(mut objects) = Objects::parse(&text());
    let namespace = objects.remove(0);
    assert_eq!(namespace["kind"], "Namespace");
    assert_eq!(namespace["metadata"]["name"], HOME);
    let rendered = helm_ok(None, &["template", "whatsapp-operator", "--namespace", HOME]).await;
    assert!(objects == Objects::parse(&rendered).0, "install.yaml is not what the chart is: run `make generate`");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_applied_in_one_go_and_again_without_a_change() {
    // Its own, because it takes the definitions over.
    let plane = ControlPlane::start(Options::default()).await.unwrap();
    let path = assets::repository().join("install.yaml");
    for way in [&["apply"][..], &["apply", "--server-side", "--force-conflicts"]] {
        let args = [way, &["--validate=strict", "--warnings-as-errors", "--filename", path.to_str().unwrap()]].concat();
        plane.kubectl_ok(&args).await.unwrap();
        let before = versions(&plane).await;
        plane.kubectl_ok(&args).await.unwrap();
        assert_eq!(versions(&plane).await, before, "{way:?}");
    }
    plane.stop().await.unwrap();
}

/// What the API server counts as changes.
async fn versions(plane: &ControlPlane) -> Vec<String> {
    let kinds = "deployment,serviceaccount,service,role,rolebinding";
    let of_cluster = "crd/whatsappaccounts.actiwapi.com,crd/whatsappsessions.actiwapi.com";
    let mut versions = Vec::new();
    let columns = "custom-columns=K:.kind,N:.metadata.name,V:.metadata.resourceVersion";
    let mut all = vec![vec!["-n", HOME, "get", kinds]];
    all.push([&["get"][..], &of_cluster.split(',').collect::<Vec<_>>()].concat());
    for kind in ["clusterrole", "clusterrolebinding", "validatingadmissionpolicy"] {
        all.push(vec!["get", kind, "--selector", "app.kubernetes.io/name=whatsapp-operator"]);
    }
    for args in all {
        let printed = plane.kubectl_ok(&[&args[..], &["--output", columns, "--no-headers"]].concat()).await.unwrap();
        versions.extend(printed.lines().map(str::to_owned));
    }
    assert!(versions.len() >= 12, "{versions:?}");
    versions
}

#[tokio::test]
async fn its_head_tells_how_to_name_an_image() {
    let image = |yaml: &str| Objects::parse(yaml).container()["image"].clone();
    assert_eq!(image(&text()), format!("whatsapp-operator:{}", env!("CARGO_PKG_VERSION")));
    let own = format!("registry.example.com/team/whatsapp-operator:{}", env!("CARGO_PKG_VERSION"));

    let by_sed = commands().into_iter().find(|line| line.starts_with("sed")).unwrap();
    let (sed, apply) = by_sed.split_once(" | ").unwrap();
    assert_eq!(apply, "kubectl apply --server-side -f -");
    let output = Command::new("sh").args(["-c", sed]).current_dir(assets::repository()).output().await.unwrap();
    let changed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(image(&changed), own);
    assert_eq!(without_image(&changed), without_image(&text()));

    let images = commands().into_iter().find(|line| line.starts_with("images")).unwrap();
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("install.yaml"), text()).unwrap();
    let kustomization = format!("resources: [install.yaml]\n{images}\n");
    std::fs::write(directory.path().join("kustomization.yaml"), kustomization).unwrap();
    let kubectl = assets::find(assets::Set::Demo).await.unwrap().join("kubectl");
    let output =
        Command::new(kubectl).arg("kustomize").arg(directory.path()).stdin(Stdio::null()).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let changed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(image(&changed), own);
}

fn without_image(yaml: &str) -> Vec<Value> {
    let Objects(mut objects) = Objects::parse(yaml);
    for object in objects.iter_mut().filter(|object| object["kind"] == "Deployment") {
        object["spec"]["template"]["spec"]["containers"][0]["image"] = json!("");
    }
    objects
}
