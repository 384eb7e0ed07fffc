//! The operator's image and chart on a real node.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use devkit::node::Node;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_runs() {
    let t = std::time::Instant::now();
    let node = Node::start().await.unwrap_or_else(|e| panic!("{e}"));
    eprintln!("started {:?}", t.elapsed());
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"terminationGracePeriodSeconds": 5, "containers": [{"name": "c", "image": "localhost/pause:1"}]}});
    for _ in 0..50 {
        if node.plane().kubectl_ok(&["get", "sa", "default"]).await.is_ok() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    node.plane().apply(&pod.to_string()).await.unwrap();
    let r = node.plane().kubectl_ok(&["wait", "pod/p", "--for=condition=Ready", "--timeout=30s"]).await;
    eprintln!("ready {:?} {r:?}", t.elapsed());
    eprintln!("{}", node.plane().kubectl_ok(&["describe", "pod/p"]).await.unwrap());
    eprintln!("{}", node.log_tail(15));
    if let Ok(s) = std::env::var("HOLD") {
        tokio::time::sleep(std::time::Duration::from_secs(s.parse().unwrap())).await;
    }
    r.unwrap();
    drop(node);
    eprintln!("stopped {:?}", t.elapsed());
}
