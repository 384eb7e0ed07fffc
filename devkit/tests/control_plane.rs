//! The control plane starts, works and leaves nothing behind.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::time::Duration;

use devkit::control_plane::{self, ControlPlane, Options};
use devkit::process::{Guard, Signal};
use rustix::process::{Pid, kill_process_group, test_kill_process_group};
use tokio::time::{Instant, sleep};

/// Set for the process that plays the one that is killed.
const VICTIM: &str = "DEVKIT_TEST_VICTIM";

fn group_lives(id: u32) -> bool {
    test_kill_process_group(pid(id)).is_ok()
}

fn pid(id: u32) -> Pid {
    Pid::from_raw(i32::try_from(id).unwrap()).unwrap()
}

async fn eventually(what: &str, limit: Duration, holds: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + limit;
    while !holds().await {
        assert!(Instant::now() < deadline, "not within {limit:?}: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn starts_works_and_leaves_nothing() {
    let begun = Instant::now();
    let options = Options { with_controller_manager: true, ..Options::default() };
    let control_plane = ControlPlane::start(options).await.unwrap();
    eprintln!("ready after {:?}", begun.elapsed());

    let namespaces = control_plane.kubectl_ok(&["get", "namespaces"]).await.unwrap();
    assert!(namespaces.contains("kube-system"), "{namespaces}");

    control_plane
        .apply(r#"{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "short-lived"}}"#)
        .await
        .unwrap();
    control_plane
        .kubectl_ok(&["--namespace", "short-lived", "create", "configmap", "content", "--from-literal=a=b"])
        .await
        .unwrap();
    let begun = Instant::now();
    control_plane.kubectl_ok(&["delete", "namespace", "short-lived", "--wait", "--timeout=60s"]).await.unwrap();
    eprintln!("namespace gone after {:?}", begun.elapsed());

    let token = control_plane.kubectl_ok(&["create", "token", "default"]).await.unwrap();
    let kubeconfig = control_plane.write_kubeconfig("nobody", token.trim()).unwrap();
    let refused = control_plane
        .kubectl_ok(&["--kubeconfig", &kubeconfig.to_string_lossy(), "get", "secrets"])
        .await
        .unwrap_err()
        .to_string();
    assert!(refused.contains("system:serviceaccount:default:default"), "{refused}");

    eventually("the refusal is in the audit log", Duration::from_secs(5), async || {
        control_plane.audit_events().unwrap().iter().any(|event| {
            event["user"]["username"] == "system:serviceaccount:default:default"
                && event["verb"] == "list"
                && event["responseStatus"]["code"] == 403
        })
    })
    .await;

    let pids = control_plane.pids();
    assert_eq!(pids.len(), 3);
    assert!(pids.iter().copied().all(group_lives));
    let guard = control_plane.guard().pid();
    let directory = control_plane.directory().to_path_buf();
    let begun = Instant::now();
    control_plane.stop().await.unwrap();
    eprintln!("stopped after {:?}", begun.elapsed());
    assert!(!pids.iter().copied().any(group_lives));
    assert!(!group_lives(guard));
    assert!(!directory.exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_start_shows_the_log() {
    let options = Options { api_server_args: vec!["--no-such-flag".to_owned()], ..Options::default() };
    let error = ControlPlane::start(options).await.unwrap_err().to_string();
    assert!(error.starts_with("kube-apiserver ended before it was ready"), "{error}");
    assert!(error.contains("unknown flag: --no-such-flag"), "{error}");
}

/// Not a test of its own: what the next two tests start and kill.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn victim() {
    let Ok(role) = std::env::var(VICTIM) else { return };
    // The test harness has begun a line of its own.
    println!();
    if role == "control plane" {
        let control_plane = control_plane::shared().await.unwrap();
        for pid in control_plane.pids() {
            println!("pid {pid}");
        }
        println!("directory {}", control_plane.directory().display());
        println!("done");
        std::future::pending::<()>().await;
    }
    let guard = Guard::new().unwrap();
    let directory = guard.temp_dir("devkit-test-").unwrap();
    let log = directory.path().join("log");
    // The shell is the leader of a group with a second process in it.
    let script = "trap '' TERM; sleep 1000 & wait; sleep 1000";
    let managed = guard.launch("sleeper", "sh", &log).args(["-c", script]).spawn().unwrap();
    println!("pid {}", managed.pid());
    println!("directory {}", directory.path().display());
    println!("done");
    std::future::pending::<()>().await;
}

async fn kill_a_victim(role: &str, signal_to_group: Option<Signal>) {
    // Guarded itself, so that a failing test leaves nothing either.
    let guard = Guard::new().unwrap();
    let logs = guard.temp_dir("devkit-test-").unwrap();
    let log = logs.path().join("log");
    let mut victim = guard
        .launch("victim", std::env::current_exe().unwrap(), &log)
        .args(["--exact", "victim", "--nocapture", "--test-threads=1"])
        .env(VICTIM, role)
        .spawn()
        .unwrap();
    eventually("the victim is set up", Duration::from_mins(2), async || {
        assert!(victim.is_alive(), "{}", victim.log_tail(50));
        victim.log_tail(1) == "done"
    })
    .await;
    let said = victim.log_tail(50);
    let pids: Vec<u32> = said.lines().filter_map(|line| line.strip_prefix("pid ")?.parse().ok()).collect();
    let directory = PathBuf::from(said.lines().find_map(|line| line.strip_prefix("directory ")).unwrap());
    assert!(!pids.is_empty(), "{said}");
    assert!(pids.iter().copied().all(group_lives), "{said}");
    assert!(directory.is_dir());

    match signal_to_group {
        // What a terminal does for Ctrl-C.
        Some(signal) => kill_process_group(pid(victim.pid()), signal).unwrap(),
        None => victim.signal(Signal::KILL).unwrap(),
    }
    let status = victim.wait().await.unwrap();
    assert_eq!(status.signal(), Some(signal_to_group.unwrap_or(Signal::KILL).as_raw()));
    eventually("its processes end", Duration::from_secs(10), async || !pids.iter().copied().any(group_lives)).await;
    eventually("its directory vanishes", Duration::from_secs(10), async || !directory.exists()).await;
}

#[tokio::test]
async fn nothing_survives_sigkill() {
    kill_a_victim("processes", None).await;
}

#[tokio::test]
async fn nothing_survives_an_interrupted_run() {
    kill_a_victim("processes", Some(Signal::INT)).await;
}

#[tokio::test]
async fn a_shared_control_plane_does_not_survive_sigkill() {
    kill_a_victim("control plane", None).await;
}

#[tokio::test]
async fn a_program_ends_when_asked_to_and_is_killed_otherwise() {
    let guard = Guard::new().unwrap();
    let directory = guard.temp_dir("devkit-test-").unwrap();
    let log = directory.path().join("log");

    let polite = "trap 'echo bye; exit 7' TERM; echo ready; while :; do sleep 0.05; done";
    let mut polite = guard.launch("polite", "sh", &log).args(["-c", polite]).spawn().unwrap();
    eventually("it listens to signals", Duration::from_secs(10), async || polite.log_tail(1) == "ready").await;
    assert!(polite.is_alive());
    let status = polite.term_then_kill(Duration::from_secs(10)).await.unwrap();
    assert_eq!(status.code(), Some(7));
    assert_eq!(polite.log_tail(1), "bye");
    assert!(!polite.is_alive());

    let stubborn = "trap '' TERM; echo deaf; while :; do sleep 0.05; done";
    let mut stubborn = guard.launch("stubborn", "sh", &log).args(["-c", stubborn]).spawn().unwrap();
    eventually("it ignores signals", Duration::from_secs(10), async || stubborn.log_tail(1) == "deaf").await;
    let status = stubborn.term_then_kill(Duration::from_millis(100)).await.unwrap();
    assert_eq!(status.signal(), Some(9));

    let mut absent = guard.launch("absent", "/no/such/program", &log).spawn().unwrap();
    assert_eq!(absent.wait().await.unwrap().code(), Some(127));
    assert!(absent.log_tail(1).contains("/no/such/program"));
}

#[tokio::test]
async fn a_dropped_guard_cleans_up_before_it_returns() {
    let guard = Guard::new().unwrap();
    let directory = guard.temp_dir("devkit-test-").unwrap();
    let log = directory.path().join("log");
    let managed = guard.launch("sleeper", "sleep", &log).arg("1000").spawn().unwrap();
    let (id, path, shell) = (managed.pid(), directory.path().to_path_buf(), guard.pid());
    drop((managed, directory, guard));
    assert!(!group_lives(id));
    assert!(!group_lives(shell));
    assert!(!path.exists());
}
