//! The Pod goes while it is at work.

use std::{pin::pin, time::Duration};

use actiwapi_sim::state::faults::{Fault, Route};
use futures::future::{Either, select};
use k8s_openapi::api::{coordination::v1::Lease, core::v1::Pod};
use kube::{
    ResourceExt,
    api::{DeleteParams, EvictParams, Patch, PatchParams},
};
use serde_json::json;

use crate::stage::{RELEASE, Stage, until_gone};

/// Keeps a Pod's object after its end, to be looked at.
const KEEPER: &str = "example.com/looked-at";
/// Longer than it takes to ask for the Pod's end, shorter than the operator waits for an answer.
const MEANWHILE: Duration = Duration::from_secs(4);

/// Applies the first example with a provider that takes its time, and returns while the first create is under way there,
/// whatever kubectl still has to say.
async fn in_the_middle_of_a_create(stage: &Stage, slow: Fault) {
    stage.sim.arm(slow.times(1));
    let manifest = stage.example("quickstart.yaml");
    let under_way = stage.until_provider("a create", |provider| provider.journal().count(Route::Create) > 0);
    if let Either::Left((_, under_way)) = select(pin!(stage.apply(&manifest)), pin!(under_way)).await {
        under_way.await;
    }
}

/// Another Pod takes over, and there is one remote session, asked for once.
async fn one_session_in_the_end(stage: &Stage, old: &Pod) {
    until_gone(stage.system_api::<Pod>(), &old.name_any(), &old.uid().unwrap()).await;
    stage.pair("sales").await;
    assert_ne!(leader(stage).await, old.name_any());
    assert_eq!((stage.creates(), stage.sim.sessions("demo").len()), (1, 1));
}

/// The Pod that holds the Lease.
async fn leader(stage: &Stage) -> String {
    let held = |lease: &Lease| holder(lease).is_some();
    let lease = stage.until(stage.system_api::<Lease>(), RELEASE, "the Lease is held", held).await;
    holder(&lease).unwrap()
}

/// A name that Pods may have, and something that tells its starts apart.
fn holder(lease: &Lease) -> Option<String> {
    let (pod, _) = lease.spec.as_ref()?.holder_identity.as_ref()?.split_once('_')?;
    Some(pod.to_owned())
}

fn slow_effect() -> Fault {
    Fault { route: Some(Route::Create), delay: MEANWHILE, ..Fault::default() }
}

fn slow_answer() -> Fault {
    Fault { route: Some(Route::Create), delay_after: MEANWHILE, ..Fault::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_eviction_in_the_middle_of_a_create_leaves_one_session() {
    let stage = Stage::set("eviction").await;
    stage.install().await;
    let pod = stage.pod().await;
    in_the_middle_of_a_create(&stage, slow_effect()).await;
    let evicted = stage.system_api::<Pod>().evict(&pod.name_any(), &EvictParams::default()).await.unwrap();
    assert!(evicted.is_success(), "{evicted:?}");
    one_session_in_the_end(&stage, &pod).await;
    stage.clear().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_in_the_middle_of_a_create_leaves_one_session() {
    let stage = Stage::set("deletion").await;
    stage.install().await;
    let pod = stage.pod().await;
    in_the_middle_of_a_create(&stage, slow_answer()).await;
    let _ = stage.system_api::<Pod>().delete(&pod.name_any(), &DeleteParams::default()).await.unwrap();
    one_session_in_the_end(&stage, &pod).await;
    stage.clear().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_in_the_middle_of_a_create_leaves_one_session() {
    let stage = Stage::set("kill").await;
    stage.install().await;
    let pod = stage.pod().await;
    in_the_middle_of_a_create(&stage, slow_answer()).await;
    let _ = stage.system_api::<Pod>().delete(&pod.name_any(), &DeleteParams::default().grace_period(0)).await.unwrap();
    one_session_in_the_end(&stage, &pod).await;
    stage.clear().await;
}

/// Two Pods, the one that leads lost in the middle of a create, in this way.
async fn with_a_stand_by(stage: &Stage, slow: Fault, lose: &DeleteParams) {
    stage.install_with(&["--set=replicaCount=2"]).await;
    let (first, pods) = (leader(stage).await, stage.pods().await);
    assert_eq!(pods.len(), 2);
    let old = pods.iter().find(|pod| pod.name_any() == first).unwrap();
    in_the_middle_of_a_create(stage, slow).await;
    let _ = stage.system_api::<Pod>().delete(&first, lose).await.unwrap();
    let taken_over = |lease: &Lease| holder(lease).is_some_and(|pod| pod != first);
    stage.until(stage.system_api::<Lease>(), RELEASE, "another Pod leads", taken_over).await;
    one_session_in_the_end(stage, old).await;
    assert_eq!(stage.sim.count(Route::Connect), 1);
    stage.clear().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_pod_takes_over_from_a_deleted_leader_in_the_middle_of_a_create() {
    let stage = Stage::set("handover").await;
    with_a_stand_by(&stage, slow_effect(), &DeleteParams::default()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_pod_takes_over_from_a_killed_leader_in_the_middle_of_a_create() {
    let stage = Stage::set("takeover").await;
    with_a_stand_by(&stage, slow_answer(), &DeleteParams::default().grace_period(0)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_pod_ends_by_itself_and_without_an_error() {
    let stage = Stage::set("sigterm").await;
    stage.install().await;
    stage.quickstart().await;
    let (pods, pod) = (stage.system_api::<Pod>(), stage.pod().await.name_any());
    let keep = |finalizers: &[&str]| Patch::Merge(json!({"metadata": {"finalizers": finalizers}}));
    pods.patch(&pod, &PatchParams::default(), &keep(&[KEEPER])).await.unwrap();
    let _ = pods.delete(&pod, &DeleteParams::default()).await.unwrap();
    let exit_code = |pod: &Pod| {
        let status = pod.status.as_ref()?.container_statuses.as_ref()?.first()?;
        Some(status.state.as_ref()?.terminated.as_ref()?.exit_code)
    };
    let ended = stage.until(pods.clone(), &pod, "its container has ended", |pod| exit_code(pod).is_some()).await;
    // A kubelet that runs out of patience kills, and that is 137.
    assert_eq!(exit_code(&ended), Some(0));
    pods.patch(&pod, &PatchParams::default(), &keep(&[])).await.unwrap();
    stage.clear().await;
}
