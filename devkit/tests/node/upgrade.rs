//! A release that changes while sessions run.

use std::{fs, path::Path};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{Api, ResourceExt};
use serde_json::Value;

use crate::stage::{RELEASE, Stage, chart};

const SESSIONS: &str = "files/crds/actiwapi.com_whatsappsessions.yaml";
const BEFORE: &str = "              accountRef:\n";
const NEW_FIELD: &str = "              note:\n                type: string\n";

/// Every object of the release with what would differ after any change to it: its generation, which no status raises, or
/// its version when it has no status.
async fn versions(stage: &Stage) -> Vec<String> {
    let manifest = stage.cluster.helm_ok(&["get", "manifest", RELEASE, "--namespace", &stage.system]).await;
    let args = ["--namespace", &stage.system, "get", "--filename=-", "--output=json"];
    let list: Value = serde_json::from_str(&stage.cluster.kubectl_ok(&args, &manifest).await).unwrap();
    let version = |object: &Value| {
        let metadata = &object["metadata"];
        let version = metadata.get("generation").unwrap_or(&metadata["resourceVersion"]);
        format!("{}/{} {} {version}", object["kind"], metadata["name"], metadata["uid"])
    };
    list["items"].as_array().unwrap().iter().map(version).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_with_the_same_values_changes_nothing() {
    let stage = Stage::set("same").await;
    stage.install().await;
    let session = stage.quickstart().await;
    let (before, pod) = (versions(&stage).await, stage.pod().await.uid());
    assert!(before.iter().any(|line| line.contains("Deployment")), "{before:?}");

    stage.helm(&stage.words("upgrade", RELEASE, &chart(), &stage.cluster.image, &[])).await;
    assert_eq!(versions(&stage).await, before);
    assert_eq!(stage.pod().await.uid(), pod);
    assert_eq!(stage.until_ready_says("sales", "True/Connected").await.resource_version(), session.resource_version());
    stage.clear().await;
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// The chart of a version to come, whose sessions have one more field.
fn next_chart(directory: &Path) -> String {
    copy(Path::new(&chart()), directory);
    let definition = directory.join(SESSIONS);
    let text = fs::read_to_string(&definition).unwrap();
    assert_eq!(text.matches(BEFORE).count(), 1);
    fs::write(definition, text.replace(BEFORE, &format!("{NEW_FIELD}{BEFORE}"))).unwrap();
    directory.to_string_lossy().into_owned()
}

async fn has_new_field(stage: &Stage) -> bool {
    let definitions: Api<CustomResourceDefinition> = Api::all(stage.client.clone());
    let definition = definitions.get("whatsappsessions.actiwapi.com").await.unwrap();
    let schema = definition.spec.versions[0].schema.clone().unwrap().open_api_v3_schema.unwrap();
    schema.properties.unwrap()["spec"].properties.as_ref().unwrap().contains_key("note")
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_an_upgrade_nor_a_rollback_creates_or_pairs_anything_again() {
    let stage = Stage::set("upgrade").await;
    stage.install().await;
    stage.quickstart().await;
    // One that waits for its scan all the while.
    stage
        .apply(r#"{"apiVersion": "actiwapi.com/v1alpha1", "kind": "WhatsAppSession", "metadata": {"name": "late"}, "spec": {}}"#)
        .await;
    stage.until_ready_says("late", "False/AwaitingScan").await;
    let (before, first) = (stage.sim.sessions("demo"), stage.pod().await);
    let sales = before.iter().find(|session| session.name == "sales").unwrap();
    let connects = || stage.connects_of(&sales.id);
    assert_eq!(connects(), 1);
    assert!(!has_new_field(&stage).await);

    let directory = tempfile::tempdir().unwrap();
    let next = next_chart(&directory.path().join("chart"));
    stage.helm(&stage.words("upgrade", RELEASE, &next, &stage.cluster.next_image, &[])).await;
    let second = stage.pod().await;
    assert_ne!(second.uid(), first.uid());
    assert_eq!(second.spec.as_ref().unwrap().containers[0].image.as_deref(), Some(&*stage.cluster.next_image));
    assert!(has_new_field(&stage).await);
    stage.noticed("sales").await;
    stage.until_ready_says("sales", "True/Connected").await;
    stage.noticed("late").await;

    stage.cluster.helm_ok(&["rollback", RELEASE, "1", "--namespace", &stage.system, "--wait", "--timeout=3m"]).await;
    let third = stage.pod().await;
    assert_eq!(third.spec.as_ref().unwrap().containers[0].image.as_deref(), Some(&*stage.cluster.image));
    assert!(!has_new_field(&stage).await);
    stage.noticed("sales").await;
    stage.until_ready_says("sales", "True/Connected").await;
    stage.pair("late").await;

    assert_eq!((stage.creates(), connects()), (2, 1));
    let after: Vec<_> = stage.sim.sessions("demo").into_iter().map(|session| (session.id, session.name)).collect();
    let before: Vec<_> = before.into_iter().map(|session| (session.id, session.name)).collect();
    assert_eq!(after, before);
    stage.clear().await;
}
