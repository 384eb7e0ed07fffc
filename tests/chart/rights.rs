//! What the operator can do with the rights that the chart gives, and what it does: granted is what is used.

use std::time::Duration;

use devkit::{
    World,
    operator::{Operator, Settings},
    release::Scope,
    rights::{self, Comparison, Used},
    world::Options,
};
use tokio::time::sleep;

use crate::{CLUSTER_WIDE, Objects, PAUSE, RELEASE, helm_ok};

const OPERATOR: &str = env!("CARGO_BIN_EXE_whatsapp-operator");

/// A release of the chart in the world's namespace, and the operator as its Pod would run: its flags and its token.
struct Release {
    user: String,
    settings: Settings,
    objects: Objects,
}

async fn install(world: &World, more: &str) -> Release {
    let plane = world.plane;
    let set = format!(
        "crds.enabled=false,provider.allowInsecureUrls=true,extraArgs={{--settle-time=1s}},\
         logging.format=text,logging.level=trace{more}"
    );
    let namespace = format!("--namespace={}", world.namespace);
    helm_ok(Some(plane), &["install", RELEASE, &namespace, "--set", &set]).await;
    let kubeconfig = plane.kubeconfig_path();
    let manifest = devkit::helm::output(Some(&kubeconfig), &["get", "manifest", RELEASE, &namespace]).await.unwrap();
    let objects = Objects::parse(&manifest);
    let token = plane.kubectl_ok(&["create", "token", RELEASE, "--namespace", &world.namespace]).await.unwrap();
    let kubeconfig = plane.write_kubeconfig(&format!("chart-{}", world.namespace), token.trim()).unwrap();
    // Where the world looks for it.
    let log = plane.directory().join(format!("operator-{}.log", world.namespace));
    let settings = Settings { binary: OPERATOR.into(), kubeconfig, log, args: objects.args() };
    let user = format!("system:serviceaccount:{}:{RELEASE}", world.namespace);
    Release { user, settings, objects }
}

/// A whole life with the operator of the release.
async fn live(world: &World, release: &Release) {
    let operator = Operator::start(world.plane.guard(), &release.settings).unwrap();
    world.whole_life().await;
    assert!(operator.stop(Duration::from_secs(20)).await.unwrap().success());
}

/// What the API server has noted of the release's account by now.
fn compared(world: &World, release: &Release, scope: Scope) -> Comparison {
    let mut used = Used::default();
    for event in world.plane.audit_events_about(&release.user).unwrap() {
        used.take(&event);
    }
    Comparison { scope, granted: rights::granted(&release.objects.0, RELEASE).unwrap(), used }
}

async fn assert_rights_are_those_used(world: &World, release: &Release, scope: Scope) {
    // The log is a file that is written a moment after the answer.
    for _ in 0..20 {
        if compared(world, release, scope).wrong().is_empty() {
            break;
        }
        sleep(PAUSE).await;
    }
    let comparison = compared(world, release, scope);
    println!("{comparison}");
    assert_eq!(comparison.wrong(), Vec::<String>::new());
}

async fn world() -> World {
    let options = Options { without_operator: true, ..Options::default() }.with_quick_codes();
    World::with(OPERATOR, options).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_lives_its_life_with_the_rights_of_a_list_of_namespaces() {
    let _alone = CLUSTER_WIDE.lock().await;
    let world = world().await;
    let release = install(&world, &format!(",watchNamespaces={{{}}}", world.namespace)).await;
    live(&world, &release).await;
    assert_rights_are_those_used(&world, &release, Scope::Namespaces).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_lives_its_life_with_the_rights_of_the_cluster() {
    let _alone = CLUSTER_WIDE.lock().await;
    let world = world().await;
    let release = install(&world, "").await;
    live(&world, &release).await;
    assert_rights_are_those_used(&world, &release, Scope::Cluster).await;
    let kubeconfig = world.plane.kubeconfig_path();
    devkit::helm::output(Some(&kubeconfig), &["uninstall", RELEASE, "--namespace", &world.namespace]).await.unwrap();
}
