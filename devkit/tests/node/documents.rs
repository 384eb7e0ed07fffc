//! What docs/install.md tells people to look at once a Pod runs.

use devkit::documents::{self, Desk, Suite};

use crate::stage::Stage;

const INSTALL: &str = "docs/install.md";

/// Runs a chapter and returns what it printed.
async fn run(desk: &Desk, document: &str, chapter: &str) -> String {
    let mut printed = String::new();
    for block in documents::chapter(document, &Suite::Node, chapter).unwrap() {
        printed += &desk.run(&block).await.unwrap_or_else(|said| panic!("{said}"));
    }
    printed
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_told_of_a_running_release_can_be_seen() {
    let stage = Stage::set("documents").await;
    stage.install().await;
    // Only the namespace has another name here.
    let kubeconfig = &stage.cluster.kubectl.kubeconfig;
    let desk = Desk::new(kubeconfig, &[("whatsapp-operator-system", &stage.system)]).await.unwrap();
    let printed = run(&desk, INSTALL, "running").await;
    let (rollout, log) = printed.split_once("successfully rolled out\n").unwrap_or_else(|| panic!("{printed}"));
    assert!(rollout.contains("whatsapp-operator") && !log.trim().is_empty(), "{printed}");
    let printed = run(&desk, INSTALL, "replicas").await;
    assert!(printed.contains("whatsapp-operator"), "{printed}");
    let printed = run(&desk, INSTALL, "metrics").await;
    assert!(printed.contains("whatsapp_operator_build_info"), "{printed}");
    stage.clear().await;
}
