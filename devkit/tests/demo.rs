//! `make demo` does what it tells, in a pipe as well, and leaves nothing behind.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use devkit::{assets, control_plane, process::Signal};
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use rustix::process::{Pid, kill_process, test_kill_process};
use tokio::time::{Instant, sleep};

const DEMO: &str = env!("CARGO_BIN_EXE_demo");

fn demo() -> Command {
    let operator = Path::new(DEMO).with_file_name("whatsapp-operator");
    assert!(operator.exists(), "{} is built together with the tests of the workspace", operator.display());
    let mut command = Command::new(DEMO);
    command.env_remove("KEEP").env_remove("DEMO_KUBECONFIG").env_remove("KUBECONFIG");
    command
}

/// The operator's process id, as the demo tells it.
fn operator_of(line: &str) -> Option<Pid> {
    let (_, rest) = line.split_once("operator started, process ")?;
    Pid::from_raw(rest.split(',').next()?.parse().ok()?)
}

async fn ends(pid: Pid) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while test_kill_process(pid).is_ok() {
        assert!(Instant::now() < deadline, "process {pid:?} is left running");
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_ends_with_a_session_that_is_ready_and_leaves_nothing() {
    let output = tokio::task::spawn_blocking(|| demo().output().unwrap()).await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    for words in ["[1/7]", "[7/7]", "READY True", "█▀▀▀▀▀█", "919876543210"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(!said.contains('\u{1b}'), "a file has no colours");
    ends(said.lines().find_map(operator_of).unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_uses_the_cluster_that_is_named_and_cleans_up_after_itself() {
    let plane = control_plane::shared().await.unwrap();
    let programs = assets::find(assets::Set::All).await.unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap_or_default());
    let mut command = demo();
    command.env("DEMO_KUBECONFIG", plane.kubeconfig_path()).env("PATH", path);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("your cluster at") && said.contains("READY True"), "{said}");
    let namespaces: Api<Namespace> = Api::all(plane.client().unwrap());
    assert!(namespaces.get_opt("whatsapp-demo").await.unwrap().is_none(), "its namespace is gone");
    ends(said.lines().find_map(operator_of).unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_leaves_no_process_behind() {
    let mut child = demo().stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let operator = lines.map_while(Result::ok).find_map(|line| operator_of(&line)).unwrap();
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let status = tokio::task::spawn_blocking(move || child.wait().unwrap()).await.unwrap();
    assert!(!status.success(), "{status}");
    ends(operator).await;
}
