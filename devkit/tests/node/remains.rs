//! A node goes with the process that has started it.

use std::{collections::BTreeSet, fs, path::Path, time::Duration};

use devkit::{
    node::Node,
    process::{Guard, Signal},
};
use tokio::time::{Instant, sleep};

use crate::cluster;

/// Set for the process that plays the one that is killed.
const VICTIM: &str = "DEVKIT_TEST_VICTIM";
const PATIENCE: Duration = Duration::from_mins(2);

/// Not a test of its own: what the next test starts and kills.
#[tokio::test(flavor = "multi_thread")]
async fn victim() {
    if std::env::var_os(VICTIM).is_none() {
        return;
    }
    let _node = Node::start().await.unwrap_or_else(|error| panic!("{error}"));
    println!("\ndone");
    std::future::pending::<()>().await;
}

fn names_in(directory: impl AsRef<Path>) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().map_while(Result::ok);
    entries.map(|entry| entry.path().to_string_lossy().into_owned()).collect()
}

/// What this victim's node has on the machine: processes, network devices, control groups, files.
fn traces(victim: u32, temporary: &Path) -> BTreeSet<String> {
    // What the victim was told in its environment, everything that it has started was told too.
    let told = format!("{VICTIM}=node\0").into_bytes();
    let mut processes = names_in("/proc");
    processes.retain(|process| {
        let environment = fs::read(Path::new(process).join("environ")).unwrap_or_default();
        environment.windows(told.len()).any(|part| part == told)
    });
    let numbers: Vec<&str> = processes.iter().filter_map(|process| process.rsplit('/').next()).collect();
    let wires: Vec<String> = numbers.iter().map(|number| format!("/sys/class/net/node{number}")).collect();
    let mut groups = names_in("/sys/fs/cgroup");
    groups.extend(groups.clone().iter().flat_map(names_in));
    groups.retain(|group| group.ends_with(&format!("/whatsapp-operator-node-{victim}")));
    let wires = wires.into_iter().filter(|wire| Path::new(wire).exists());
    wires.chain(groups).chain(names_in(temporary)).chain(processes.clone()).collect()
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_node_survives_sigkill() {
    if cluster::is_named() {
        println!("the cluster is named, and no node is started on this machine");
        return;
    }
    // Guarded itself, so that a failing test leaves nothing either.
    let guard = Guard::new().unwrap();
    let directory = guard.temp_dir("devkit-test-").unwrap();
    let temporary = directory.path().join("tmp");
    fs::create_dir(&temporary).unwrap();
    let mut victim = guard
        .launch("victim", std::env::current_exe().unwrap(), directory.path().join("log"))
        .args(["--exact", "remains::victim", "--nocapture"])
        .env(VICTIM, "node")
        .env("TMPDIR", &temporary)
        .spawn()
        .unwrap();
    until("a node runs", || {
        assert!(victim.is_alive(), "{}", victim.log_tail(50));
        victim.log_tail(1) == "done"
    })
    .await;
    let number = victim.pid();
    let there = traces(number, &temporary);
    for kind in ["/proc/", "/sys/class/net/", "/sys/fs/cgroup/", &temporary.to_string_lossy()] {
        assert!(there.iter().any(|trace| trace.starts_with(kind)), "{kind}: {there:?}");
    }
    victim.signal(Signal::KILL).unwrap();
    victim.wait().await.unwrap();
    until("all of it is gone", || there.iter().all(|trace| !Path::new(trace).exists())).await;
    assert_eq!(traces(number, &temporary), BTreeSet::new());
}
