//! What the operator can do with the rights that the chart gives, and what it does: granted is what is used.

use std::{collections::BTreeSet, time::Duration};

use devkit::{
    World,
    operator::{Operator, Settings},
    world::{Options, text},
};
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use serde_json::{Value, json};
use tokio::time::sleep;
use whatsapp_operator::api::WhatsAppSession;

use crate::{
    CLUSTER_WIDE, Objects, PATIENCE, PAUSE, RELEASE, helm_ok,
    roles::{Right, granted},
};

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

/// The requests of the release's account, those of kubectl left out.
fn requests(world: &World, user: &str) -> Vec<Value> {
    let events = world.plane.audit_events_about(user).unwrap();
    let of_operator = |event: &Value| {
        event["user"]["username"] == user && !event["userAgent"].as_str().unwrap_or_default().starts_with("kubectl")
    };
    events.into_iter().filter(of_operator).collect()
}

fn used(requests: &[Value]) -> BTreeSet<Right> {
    let with_object = requests.iter().filter(|event| event["objectRef"]["resource"].is_string());
    with_object
        .map(|event| {
            let field = |name: &str| event["objectRef"][name].as_str().unwrap_or_default().to_owned();
            let sub = field("subresource");
            let resource = if sub.is_empty() { field("resource") } else { format!("{}/{sub}", field("resource")) };
            (field("apiGroup"), resource, event["verb"].as_str().unwrap().to_owned())
        })
        .collect()
}

/// Create, two codes, scan, Ready, disconnect, connect, delete.
async fn whole_life(world: &World, release: &Release) {
    let operator = Operator::start(world.plane.guard(), &release.settings).unwrap();
    world.account("default", "demo", json!({})).await;
    world.session("sales", json!({})).await;
    let first = world.until_qr("sales").await;
    let other = |secret: &Secret| text(secret, "qr").is_some_and(|code| Some(code) != text(&first, "qr"));
    world.until("sales-qr", "the next code", other).await;
    world.pair("sales").await;
    world.patch::<WhatsAppSession>("sales", json!({"spec": {"desiredState": "Disconnected"}})).await;
    world.until_condition("sales", "Ready", "True", "Disconnected").await;
    // The same Event a second time is a change of the first.
    world.patch::<WhatsAppSession>("sales", json!({"spec": {"desiredState": "Connected"}})).await;
    world.until_condition("sales", "Ready", "True", "Connected").await;
    let session = world.api::<WhatsAppSession>().get("sales").await.unwrap();
    world.delete::<WhatsAppSession>("sales").await;
    world.until_gone::<WhatsAppSession>("sales", &session.uid().unwrap()).await;
    assert!(operator.stop(Duration::from_secs(20)).await.unwrap().success());
}

async fn assert_rights_are_those_used(world: &World, release: &Release) {
    let granted = granted(&release.objects);
    // The log is a file that is written a moment after the answer.
    for _ in 0..20 {
        if used(&requests(world, &release.user)).is_superset(&granted) {
            break;
        }
        sleep(PAUSE).await;
    }
    let requests = requests(world, &release.user);
    let denied: Vec<&Value> =
        requests.iter().filter(|event| event["annotations"]["authorization.k8s.io/decision"] == "forbid").collect();
    let used = used(&requests);
    let unused: Vec<&Right> = granted.difference(&used).collect();
    println!("{} requests, {} denied; granted and not used: {unused:?}", requests.len(), denied.len());
    println!("used: {used:?}");
    assert!(denied.is_empty(), "{denied:?}");
    assert!(unused.is_empty(), "the chart grants what is not used: {unused:?}\n{used:?}");
}

async fn world() -> World {
    let mut options = Options { without_operator: true, ..Options::default() };
    options.simulator.tenant.timings.qr_first = Duration::from_secs(3);
    options.simulator.tenant.timings.qr_next = Duration::from_secs(3);
    options.simulator.tenant.timings.qr_count = 100;
    World::with(OPERATOR, options).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_lives_its_life_with_the_rights_of_a_list_of_namespaces() {
    let _alone = CLUSTER_WIDE.lock().await;
    let world = world().await;
    let release = install(&world, &format!(",watchNamespaces={{{}}}", world.namespace)).await;
    whole_life(&world, &release).await;
    assert_rights_are_those_used(&world, &release).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_lives_its_life_with_the_rights_of_the_cluster_and_no_other_secret_is_in_reach() {
    let _alone = CLUSTER_WIDE.lock().await;
    let world = world().await;
    let release = install(&world, "").await;
    escalation_is_refused(&world, &release).await;
    whole_life(&world, &release).await;
    assert_rights_are_those_used(&world, &release).await;
    let kubeconfig = world.plane.kubeconfig_path();
    devkit::helm::output(Some(&kubeconfig), &["uninstall", RELEASE, "--namespace", &world.namespace]).await.unwrap();
}

/// With the operator's own token: a token of another account, and somebody else's Secret.
async fn escalation_is_refused(world: &World, release: &Release) {
    let plane = world.plane;
    let operator = ["--kubeconfig", release.settings.kubeconfig.to_str().unwrap(), "--namespace", &world.namespace];
    let token = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token",
        "metadata": {"name": "stolen", "annotations": {"kubernetes.io/service-account.name": "default"}},
    })
    .to_string();
    let said = async |args: &[&str], input: &str| {
        let output = plane.kubectl_with_stdin(&[&operator, args].concat(), input).await.unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let refused = |said: &(bool, String)| !said.0 && said.1.contains("only Secrets of type actiwapi.com/qr");
    // A policy takes a moment to be known, and a dry run asks it too.
    let mut last = (true, String::new());
    for _ in 0..PATIENCE {
        last = said(&["create", "--dry-run=server", "--filename", "-"], &token).await;
        if refused(&last) {
            break;
        }
        sleep(PAUSE).await;
    }
    assert!(refused(&last), "{last:?}");
    let real = said(&["create", "--filename", "-"], &token).await;
    assert!(refused(&real), "{real:?}");

    world.credentials("somebody-elses", json!({"email": "a@example.com", "password": "b"})).await;
    let deleted = said(&["delete", "secret", "somebody-elses", "--wait=false"], "").await;
    assert!(refused(&deleted), "{deleted:?}");
    let retyped = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "actiwapi.com/credentials",
        "metadata": {"name": "somebody-elses"}, "stringData": {"email": "other@example.com", "password": "b"},
    });
    let changed = said(&["replace", "--filename", "-"], &retyped.to_string()).await;
    assert!(refused(&changed), "{changed:?}");
    let code = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "actiwapi.com/qr", "metadata": {"name": "a-code"},
    });
    let created = said(&["create", "--filename", "-"], &code.to_string()).await;
    assert!(created.0, "{created:?}");
}
