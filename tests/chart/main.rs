//! The chart, with the real helm and a real API server: what it renders, what the API server says to that, how a release
//! lives, and what the operator can do with the rights that it gives.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test that panics has failed"
)]

mod accepted;
mod install;
mod names;
mod parts;
mod release;
mod rights;
mod roles;
mod values;

use std::{
    path::{Path, PathBuf},
    process::Output,
    time::Duration,
};

use devkit::{chart, control_plane::ControlPlane, helm};
use serde_json::{Value, json};
use tokio::sync::Mutex;

const RELEASE: &str = "whatsapp-operator";
const NAMESPACE: &str = "wa";
const PATIENCE: usize = 240;
const PAUSE: Duration = Duration::from_millis(250);

/// An operator that watches everything would disturb the others, and two releases have cluster-scoped objects of one name.
static CLUSTER_WIDE: Mutex<()> = Mutex::const_new(());

fn values_files() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(chart::directory().join("ci")).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

/// helm with the chart as the last argument.
async fn helm(plane: Option<&ControlPlane>, args: &[&str]) -> Output {
    let kubeconfig = plane.map(ControlPlane::kubeconfig_path);
    let chart = chart::directory();
    helm::run(kubeconfig.as_deref(), &[args, &[chart.to_str().unwrap()][..]].concat()).await.unwrap()
}

async fn helm_ok(plane: Option<&ControlPlane>, args: &[&str]) -> String {
    let output = helm(plane, args).await;
    assert!(output.status.success(), "helm {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn template<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["template", RELEASE, "--namespace", NAMESPACE], more].concat()
}

async fn render(more: &[&str]) -> String {
    helm_ok(None, &template(more)).await
}

async fn render_with(file: &Path) -> String {
    render(&["--values", file.to_str().unwrap()]).await
}

/// The objects that come of these values, each as in `--set`.
async fn rendered(values: &str) -> Objects {
    Objects::parse(&render(&["--set", values]).await)
}

/// Why these values are refused.
async fn refusal(values: &str) -> String {
    let output = helm(None, &["template", RELEASE, "--set", values]).await;
    assert!(!output.status.success(), "{values} is accepted");
    String::from_utf8(output.stderr).unwrap()
}

/// What helm prints.
#[derive(Clone, Debug)]
struct Objects(Vec<Value>);

impl Objects {
    fn parse(rendered: &str) -> Self {
        let objects: Vec<Value> = serde_saphyr::from_multiple(rendered).unwrap();
        Self(objects.into_iter().filter(Value::is_object).collect())
    }

    fn of_kind(&self, kind: &str) -> Vec<&Value> {
        self.0.iter().filter(|object| object["kind"] == kind).collect()
    }

    /// The only one of its kind.
    fn the(&self, kind: &str) -> &Value {
        let all = self.of_kind(kind);
        assert_eq!(all.len(), 1, "{kind}");
        all[0]
    }

    fn kinds(&self) -> Vec<&str> {
        self.0.iter().map(|object| object["kind"].as_str().unwrap()).collect()
    }

    fn pod(&self) -> &Value {
        &self.the("Deployment")["spec"]["template"]
    }

    fn container(&self) -> &Value {
        &self.pod()["spec"]["containers"][0]
    }

    fn args(&self) -> Vec<String> {
        strings(&self.container()["args"])
    }
}

fn strings(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(|item| item.as_str().unwrap().to_owned()).collect()
}

/// Kind and name, for messages.
fn title(object: &Value) -> String {
    format!("{} {}", object["kind"].as_str().unwrap(), object["metadata"]["name"].as_str().unwrap())
}

async fn namespace(plane: &ControlPlane, name: &str, labels: Value) {
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}});
    plane.apply(&namespace.to_string()).await.unwrap();
}

/// Nothing is stored, and every warning is an error.
async fn dry_run(plane: &ControlPlane, manifest: &str) -> Result<(), String> {
    let args = ["apply", "--dry-run=server", "--validate=strict", "--warnings-as-errors", "--filename", "-"];
    let output = plane.kubectl_with_stdin(&args, manifest).await.unwrap();
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}
