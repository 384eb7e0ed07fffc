//! The chart, with the real helm against a real API server: what it renders, and what the operator can do with the rights
//! that it gives.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test that panics has failed"
)]

use std::{collections::BTreeSet, path::PathBuf, process::Output, time::Duration};

use devkit::{
    World, assets, chart,
    control_plane::{self, ControlPlane},
    operator::{Operator, Settings},
    world::{Options, text},
};
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use serde_json::{Value, json};
use tokio::{process::Command, sync::Mutex, time::sleep};
use whatsapp_operator::api::WhatsAppSession;

const OPERATOR: &str = env!("CARGO_BIN_EXE_whatsapp-operator");
const RELEASE: &str = "whatsapp-operator";
const PATIENCE: usize = 240;
const PAUSE: Duration = Duration::from_millis(250);
const CLUSTER_SCOPED: &[&str] = &[
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "Namespace",
    "PriorityClass",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
];

/// An operator that watches everything would disturb the others, and two releases have cluster-scoped objects of one name.
static CLUSTER_WIDE: Mutex<()> = Mutex::const_new(());

/// Group, resource with subresource, verb.
type Right = (String, String, String);

fn directory() -> PathBuf {
    assets::repository().join("charts/whatsapp-operator")
}

fn values_files() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(directory().join("ci")).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

async fn helm(plane: Option<&ControlPlane>, args: &[&str]) -> Output {
    let programs = assets::find(assets::Set::Helm).await.unwrap_or_else(|error| panic!("{error}"));
    let mut command = Command::new(programs.join("helm"));
    // Nothing that the machine's own helm has may matter.
    command.args(args).env("HELM_PLUGINS", "/nonexistent").env_remove("KUBECONFIG").kill_on_drop(true);
    if let Some(plane) = plane {
        command.env("KUBECONFIG", plane.kubeconfig_path());
    }
    command.output().await.unwrap()
}

async fn helm_ok(plane: Option<&ControlPlane>, args: &[&str]) -> String {
    let output = helm(plane, args).await;
    assert!(output.status.success(), "helm {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

async fn render(more: &[&str]) -> String {
    let chart = directory();
    helm_ok(None, &[&["template", RELEASE, chart.to_str().unwrap(), "--namespace=wa"], more].concat()).await
}

async fn render_with(file: &std::path::Path) -> String {
    render(&["--values", file.to_str().unwrap()]).await
}

fn objects(rendered: &str) -> Vec<Value> {
    let objects: Vec<Value> = serde_saphyr::from_multiple(rendered).unwrap();
    objects.into_iter().filter(Value::is_object).collect()
}

fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects.iter().filter(|object| object["kind"] == kind).collect()
}

fn strings(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(|item| item.as_str().unwrap().to_owned()).collect()
}

/// What the chart's role for the operator allows.
fn granted(objects: &[Value]) -> BTreeSet<Right> {
    let named = |object: &&Value| object["metadata"]["name"] == RELEASE;
    let roles = objects.iter().filter(|o| o["kind"] == "Role" || o["kind"] == "ClusterRole").filter(named);
    let mut rights = BTreeSet::new();
    for rule in roles.flat_map(|role| role["rules"].as_array().unwrap()) {
        for group in strings(&rule["apiGroups"]) {
            for resource in strings(&rule["resources"]) {
                for verb in strings(&rule["verbs"]) {
                    rights.insert((group.clone(), resource.clone(), verb));
                }
            }
        }
    }
    rights
}

#[tokio::test]
async fn lint_finds_nothing_with_the_defaults_and_with_every_file_of_ci() {
    let chart = directory();
    let chart = chart.to_str().unwrap();
    helm_ok(None, &["lint", "--strict", chart]).await;
    for file in values_files() {
        helm_ok(None, &["lint", "--strict", chart, "--values", file.to_str().unwrap()]).await;
    }
}

#[tokio::test]
async fn the_same_values_render_the_same_bytes() {
    for file in values_files() {
        assert_eq!(render_with(&file).await, render_with(&file).await, "{}", file.display());
    }
    assert_eq!(render(&[]).await, render(&[]).await);
}

#[tokio::test]
async fn wrong_values_are_refused_by_the_schema() {
    let chart = directory();
    for wrong in [
        "replicaCount=2,leaderElection.enabled=false",
        "leaderElection.leaseDuration=15s",
        "watchNamespace=sales",
        "logging.level=loud",
        "image.digest=abc",
    ] {
        let output = helm(None, &["template", chart.to_str().unwrap(), "--set", wrong]).await;
        assert!(!output.status.success(), "{wrong} is accepted");
    }
    render(&["--set", "global.anything=goes"]).await;
}

#[tokio::test]
async fn a_list_of_namespaces_means_no_cluster_scoped_object() {
    let rendered = objects(&render(&["--set", "watchNamespaces={sales,support},crds.enabled=false"]).await);
    let kinds: Vec<&str> = rendered.iter().map(|object| object["kind"].as_str().unwrap()).collect();
    assert!(kinds.iter().all(|kind| !CLUSTER_SCOPED.contains(kind)), "{kinds:?}");
    assert!(rendered.iter().all(|object| object["metadata"]["namespace"].is_string()), "{rendered:?}");
    let of_operator = |role: &&Value| role["metadata"]["name"] == RELEASE;
    let roles: Vec<&Value> =
        of_kind(&rendered, "Role").into_iter().filter(of_operator).map(|role| &role["metadata"]["namespace"]).collect();
    assert_eq!(roles, ["sales", "support"]);
}

#[tokio::test]
async fn nobody_may_list_or_watch_secrets() {
    let mut renders = vec![render(&[]).await];
    for file in values_files() {
        renders.push(render_with(&file).await);
    }
    for rendered in renders {
        for (group, resource, verb) in granted(&objects(&rendered)) {
            assert!(![&group, &resource, &verb].contains(&&"*".to_owned()), "{group} {resource} {verb}");
            assert!(resource != "secrets" || !["list", "watch", "deletecollection"].contains(&verb.as_str()), "{verb}");
        }
    }
}

#[tokio::test]
async fn the_digest_wins_and_the_definitions_are_kept() {
    let digest = format!("sha256:{}", "a".repeat(64));
    let set = format!("image.registry=r.example.com,image.repository=wa,image.tag=v1,image.digest={digest}");
    let rendered = objects(&render(&["--set", &set]).await);
    let deployment = of_kind(&rendered, "Deployment")[0];
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["image"], format!("r.example.com/wa@{digest}"));
    let kept = of_kind(&rendered, "CustomResourceDefinition");
    assert_eq!(kept.len(), 2);
    for (of_chart, (_, of_types)) in kept.iter().zip(whatsapp_operator::api::crd::all()) {
        assert_eq!(of_chart["metadata"]["annotations"]["helm.sh/resource-policy"], "keep");
        assert_eq!(of_chart["metadata"]["name"], of_types["metadata"]["name"]);
        assert_eq!(of_chart["spec"], of_types["spec"]);
    }
}

#[test]
fn every_value_is_described() {
    let values = std::fs::read_to_string(directory().join("values.yaml")).unwrap();
    let missing = chart::undescribed(&serde_saphyr::from_str(&values).unwrap());
    assert!(missing.is_empty(), "values.yaml has no sentence about {missing:?}");
}

async fn namespace(plane: &ControlPlane, name: &str) {
    plane
        .apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}).to_string())
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_accepts_every_object_without_a_warning() {
    let _alone = CLUSTER_WIDE.lock().await;
    let plane = control_plane::shared().await.unwrap();
    for name in ["wa", "sales", "support"] {
        namespace(plane, name).await;
    }
    let mut renders = vec![("the defaults".to_owned(), render(&[]).await)];
    for file in values_files() {
        renders.push((file.display().to_string(), render_with(&file).await));
    }
    for (what, rendered) in renders {
        let args = ["apply", "--dry-run=server", "--validate=strict", "--warnings-as-errors", "--filename", "-"];
        let output = plane.kubectl_with_stdin(&args, &rendered).await.unwrap();
        assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn its_pod_is_restricted() {
    let plane = control_plane::shared().await.unwrap();
    let labels = json!({"pod-security.kubernetes.io/enforce": "restricted"});
    let metadata = json!({"name": "restricted", "labels": labels});
    plane.apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}).to_string()).await.unwrap();
    let rendered = objects(&render(&[]).await);
    let deployment = of_kind(&rendered, "Deployment")[0];
    let pod = |change: &dyn Fn(&mut Value)| {
        let mut pod = deployment["spec"]["template"].clone();
        pod["apiVersion"] = json!("v1");
        pod["kind"] = json!("Pod");
        pod["metadata"]["name"] = json!("operator");
        pod["metadata"]["namespace"] = json!("restricted");
        // The account is admission's business too, and it is not installed here.
        pod["spec"]["serviceAccountName"] = json!("default");
        change(&mut pod);
        pod.to_string()
    };
    for _ in 0..PATIENCE {
        if plane.kubectl_ok(&["-n", "restricted", "get", "serviceaccount", "default"]).await.is_ok() {
            break;
        }
        sleep(PAUSE).await;
    }
    let args = ["apply", "--dry-run=server", "--validate=strict", "--warnings-as-errors", "--filename", "-"];
    let output = plane.kubectl_with_stdin(&args, &pod(&|_| ())).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let root = pod(&|pod| pod["spec"]["securityContext"] = json!({}));
    let output = plane.kubectl_with_stdin(&args, &root).await.unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("violates PodSecurity"), "the standard is enforced");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_goes_and_comes_back_and_every_session_stays() {
    // Its own, because the definitions belong to this release here.
    let plane = ControlPlane::start(control_plane::Options::default()).await.unwrap();
    let chart = directory();
    let chart = chart.to_str().unwrap();
    let session = json!({
        "apiVersion": "actiwapi.com/v1alpha1", "kind": "WhatsAppSession",
        "metadata": {"name": "sales", "namespace": "default"}, "spec": {},
    });
    let uid = ["-n", "default", "get", "was", "sales", "--output", "jsonpath={.metadata.uid}"];

    helm_ok(Some(&plane), &["install", RELEASE, chart]).await;
    let wait = ["wait", "--for=condition=Established", "--timeout=60s", "crd/whatsappsessions.actiwapi.com"];
    plane.kubectl_ok(&wait).await.unwrap();
    plane.apply(&session.to_string()).await.unwrap();
    let before = plane.kubectl_ok(&uid).await.unwrap();

    helm_ok(Some(&plane), &["upgrade", RELEASE, chart, "--set", "crds.annotations.reached=yes"]).await;
    let reached =
        ["get", "crd", "whatsappsessions.actiwapi.com", "--output", "jsonpath={.metadata.annotations.reached}"];
    assert_eq!(plane.kubectl_ok(&reached).await.unwrap(), "yes");
    helm_ok(Some(&plane), &["uninstall", RELEASE]).await;
    assert_eq!(plane.kubectl_ok(&uid).await.unwrap(), before);
    helm_ok(Some(&plane), &["install", RELEASE, chart]).await;
    helm_ok(Some(&plane), &["uninstall", RELEASE]).await;

    let other = helm(Some(&plane), &["install", "another", chart]).await;
    assert!(String::from_utf8_lossy(&other.stderr).contains("ownership"), "{other:?}");
    helm_ok(Some(&plane), &["install", "another", chart, "--take-ownership"]).await;
    assert_eq!(plane.kubectl_ok(&uid).await.unwrap(), before);
    plane.stop().await.unwrap();
}

/// A release of the chart in the world's namespace, and the operator as its Pod would run: its flags and its token.
struct Release {
    user: String,
    settings: Settings,
    objects: Vec<Value>,
}

async fn install(world: &World, more: &str) -> Release {
    let chart = directory();
    let plane = world.plane;
    let set = format!(
        "crds.enabled=false,leaderElection.enabled=false,provider.allowInsecureUrls=true,extraArgs={{--settle-time=1s}},\
         logging.format=text,logging.level=trace{more}"
    );
    let namespace = format!("--namespace={}", world.namespace);
    let args = [RELEASE, chart.to_str().unwrap(), &namespace, "--set", &set];
    helm_ok(Some(plane), &[&["install"], args.as_slice()].concat()).await;
    let objects = objects(&helm_ok(Some(plane), &["get", "manifest", RELEASE, &namespace]).await);
    let token = plane.kubectl_ok(&["create", "token", RELEASE, "--namespace", &world.namespace]).await.unwrap();
    let kubeconfig = plane.write_kubeconfig(&format!("chart-{}", world.namespace), token.trim()).unwrap();
    let container = &of_kind(&objects, "Deployment")[0]["spec"]["template"]["spec"]["containers"][0];
    // Where the world looks for it.
    let log = plane.directory().join(format!("operator-{}.log", world.namespace));
    let settings = Settings { binary: OPERATOR.into(), kubeconfig, log, args: strings(&container["args"]) };
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
    helm_ok(Some(world.plane), &["uninstall", RELEASE, "--namespace", &world.namespace]).await;
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
