//! A release goes: and comes back, or everything goes with it.

use actiwapi_sim::state::{
    faults::{Fault, FaultAction, Route},
    session::Status,
};
use devkit::documents::{self, Desk, Suite};
use k8s_openapi::{
    api::core::v1::Namespace, apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{Api, ResourceExt};

use crate::stage::{DEFINITIONS, RELEASE, Stage, chart, remove};

#[tokio::test(flavor = "multi_thread")]
async fn an_uninstall_keeps_everything_declared_and_the_next_release_goes_on() {
    let stage = Stage::set("reinstall").await;
    stage.install().await;
    let session = stage.quickstart().await;
    let counted = stage.creates_and_connects();

    stage.uninstall().await;
    let stands = ["get", "whatsapp", "--output=name"];
    assert_eq!(stage.kubectl(&stands).await.lines().count(), 2);
    assert_eq!(stage.sim.sessions("demo")[0].status, Status::Connected);
    stage.install().await;
    assert_eq!(stage.noticed("sales").await.uid(), session.uid());

    stage.uninstall().await;
    let other = |more: &[&str]| stage.words("install", "another", &chart(), &stage.cluster.image, more);
    let refused = other(&[]);
    let refused = stage.cluster.helm(&refused.iter().map(String::as_str).collect::<Vec<_>>()).await;
    assert!(String::from_utf8_lossy(&refused.stderr).contains("ownership"), "{refused:?}");
    stage.helm(&other(&["--take-ownership"])).await;
    assert_eq!(stage.noticed("sales").await.uid(), session.uid());

    stage.until_ready_says("sales", "True/Connected").await;
    assert_eq!(stage.creates_and_connects(), counted);
    assert_eq!(stage.sim.count(Route::Disconnect), 0);
    stage.clear().await;
}

/// As docs/install.md tells it, and the namespace of the objects after that.
async fn remove_everything(stage: &Stage) {
    let kubeconfig = &stage.cluster.kubectl.kubeconfig;
    let desk = Desk::new(kubeconfig, &[("whatsapp-operator-system", &stage.system)]).await.unwrap();
    for chapter in ["remove", "remove-release"] {
        for block in documents::chapter("docs/install.md", &Suite::ControlPlane, chapter).unwrap() {
            desk.run(&block).await.unwrap_or_else(|said| panic!("{said}"));
        }
    }
    stage.cluster.kubectl_ok(&["delete", "namespace", &stage.namespace, "--timeout=3m"], "").await;
    let namespaces: Api<Namespace> = Api::all(stage.client.clone());
    assert!(namespaces.get_opt(&stage.namespace).await.unwrap().is_none());
    let definitions: Api<CustomResourceDefinition> = Api::all(stage.client.clone());
    assert!(definitions.get_opt(DEFINITIONS[0]).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_can_be_removed_and_the_remote_session_is_disconnected() {
    let stage = Stage::set("removal").await;
    stage.install().await;
    stage.quickstart().await;
    remove_everything(&stage).await;
    let sessions = stage.sim.sessions("demo");
    assert_eq!((sessions.len(), &sessions[0].status), (1, &Status::Disconnected));
    let log = stage.cluster.helm_ok(&["list", "--short", "--all-namespaces"]).await;
    assert!(!log.contains(RELEASE), "{log}");
    stage.clear().await;
}

fn take_down(stage: &Stage) {
    stage.sim.arm(Fault { action: FaultAction::ResetBefore, ..Fault::default() });
    stage.sim.close_sockets("demo", true);
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_can_be_removed_while_the_provider_is_down() {
    let stage = Stage::set("outage").await;
    stage.install().await;
    stage.quickstart().await;
    take_down(&stage);
    remove_everything(&stage).await;
    stage.clear().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_with_sessions_goes_while_the_provider_is_down() {
    let stage = Stage::set("namespace").await;
    stage.install().await;
    stage.quickstart().await;
    take_down(&stage);
    remove(Api::<Namespace>::all(stage.client.clone()), &stage.namespace).await;
    stage.clear().await;
}
