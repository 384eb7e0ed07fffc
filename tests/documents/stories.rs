//! What a reader does with the commands of README.md and docs/install.md, from nothing to nothing.

use std::fs;

use actiwapi_sim::state::{
    faults::{Fault, FaultAction, Route},
    session::Status,
};
use devkit::gitops;

use crate::{
    EXAMPLES, INSTALL, README,
    stage::{SYSTEM, Stage},
};

const DEPLOYMENT: &str = "whatsapp-operator";
const IMAGE: &str = "registry.example.com/team/whatsapp-operator:0.1.0";

impl Stage {
    async fn of_deployment(&self, name: &str, path: &str) -> String {
        self.kubectl(&["-n", SYSTEM, "get", "deployment", name, "-o", &format!("jsonpath={path}")]).await
    }

    /// From an account's manifest to a connected session in the namespace sales.
    async fn pair_by_the_book(&self) {
        let shown = self.run_one(INSTALL, "pair", 0).await;
        assert!(shown.lines().count() > 20, "a code is drawn: {shown}");
        let (printed, ()) = tokio::join!(self.run_one(INSTALL, "pair", 1), self.scan("sales"));
        assert!(printed.contains("Connected"), "{printed}");
    }

    /// That the operator works: it answers a request to look at the session again, and finds it connected.
    async fn looked_at(&self, namespace: &str) {
        let wait = async |what: &str| {
            self.kubectl(&["-n", namespace, "wait", "was/sales", what, "--timeout=2m"]).await;
        };
        let look = ["-n", namespace, "annotate", "was", "sales", "actiwapi.com/reconcile-requested-at=now"];
        self.kubectl(&look).await;
        wait("--for=jsonpath={.status.lastHandledReconcileAt}=now").await;
        wait("--for=condition=Ready").await;
    }

    /// That nothing is left of what the documents install.
    async fn assert_nothing_is_left(&self) {
        for kind in ["crd", "clusterrole", "clusterrolebinding", "validatingadmissionpolicy"] {
            let all = self.kubectl(&["get", kind, "-o", "name"]).await;
            assert!(!all.contains("actiwapi") && !all.contains("whatsapp"), "{all}");
        }
        let namespaces = self.kubectl(&["get", "namespaces", "-o", "name"]).await;
        assert!(!namespaces.contains(SYSTEM), "{namespaces}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_readme_leads_from_nothing_to_a_paired_session() {
    let mut stage = Stage::new().await;
    stage.run_one(README, "first", 0).await;
    stage.start_operator(DEPLOYMENT).await;
    let shown = stage.run_one(README, "first", 1).await;
    assert!(shown.lines().count() > 20, "a code is drawn: {shown}");
    stage.run_one(README, "first", 2).await;
    let picture = fs::read(stage.desk.directory().join("qr.png")).unwrap();
    assert!(picture.starts_with(b"\x89PNG"), "a picture is written");
    let (printed, ()) = tokio::join!(stage.run_one(README, "first", 3), stage.scan("default"));
    assert!(printed.contains("Connected"), "{printed}");

    stage.sim.log_out("sales").unwrap();
    stage
        .kubectl(&[
            "wait",
            "was/sales",
            "--for=jsonpath={.status.conditions[?(@.type==\"Ready\")].reason}=LoggedOut",
            "--timeout=2m",
        ])
        .await;
    stage.run(README, "ask").await;
    stage.scan("default").await;
    stage.kubectl(&["wait", "was/sales", "--for=condition=Ready", "--timeout=2m"]).await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_is_installed_changed_upgraded_rolled_back_and_removed_with_everything() {
    let mut stage = Stage::new().await;
    stage.run(INSTALL, "install").await;
    let image = "{.spec.template.spec.containers[0].image}";
    assert_eq!(stage.of_deployment(DEPLOYMENT, image).await, IMAGE);
    stage.start_operator(DEPLOYMENT).await;
    stage.run(INSTALL, "namespace").await;
    stage.pair_by_the_book().await;

    stage.run(INSTALL, "replicas").await;
    assert_eq!(stage.of_deployment(DEPLOYMENT, "{.spec.replicas}").await, "2");
    let authority = rcgen::generate_simple_self_signed(["provider.example.com".to_owned()]).unwrap();
    fs::write(stage.desk.directory().join("ca.crt"), authority.cert.pem()).unwrap();
    stage.run(INSTALL, "private").await;
    let flags = stage.of_deployment(DEPLOYMENT, "{.spec.template.spec.containers[0].args}").await;
    for flag in [
        "--provider-ca-file=/etc/provider-ca/ca.crt",
        "--allowed-host=whatsapp.example.com:8443",
        "--allowed-cidr=10.20.0.0/16",
    ] {
        assert!(flags.contains(flag), "{flag} is not in {flags}");
    }
    stage.run(INSTALL, "network").await;
    let policy = ["-n", SYSTEM, "get", "networkpolicy", DEPLOYMENT, "-o", "jsonpath={.spec.policyTypes}"];
    assert_eq!(stage.kubectl(&policy).await, r#"["Ingress","Egress"]"#);
    stage.run_one(INSTALL, "upgrade", 0).await;
    assert!(stage.of_deployment(DEPLOYMENT, image).await.ends_with(":0.2.0"));
    assert_eq!(stage.of_deployment(DEPLOYMENT, "{.spec.replicas}").await, "2", "values stay");
    stage.run_one(INSTALL, "upgrade", 1).await;
    assert_eq!(stage.of_deployment(DEPLOYMENT, image).await, IMAGE);
    stage.stop_operator().await;
    stage.start_operator(DEPLOYMENT).await;
    stage.looked_at("sales").await;
    assert_eq!(stage.sim.count(Route::Create), 1);

    stage.run(INSTALL, "remove").await;
    assert_eq!(stage.sim.session("sales").unwrap().status, Status::Disconnected);
    stage.stop_operator().await;
    stage.run(INSTALL, "remove-release").await;
    stage.assert_nothing_is_left().await;
    stage.kubectl(&["delete", "namespace", "sales", "--timeout=2m"]).await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_uninstalled_release_comes_back_under_another_name_and_stuck_objects_can_be_let_go() {
    let mut stage = Stage::new().await;
    stage.run(INSTALL, "install").await;
    stage.start_operator(DEPLOYMENT).await;
    stage.run(INSTALL, "namespace").await;
    stage.pair_by_the_book().await;

    stage.stop_operator().await;
    stage.run_one(INSTALL, "uninstall", 0).await;
    assert!(stage.sim.session("sales").unwrap().is_connected());
    stage.run_one(INSTALL, "uninstall", 1).await;
    stage.start_operator("wa-whatsapp-operator").await;
    stage.looked_at("sales").await;
    assert_eq!(stage.sim.count(Route::Create), 1);

    stage.stop_operator().await;
    stage.kubectl(&["delete", "namespace", "sales", "--wait=false"]).await;
    stage.run(INSTALL, "stuck").await;
    stage.kubectl(&["wait", "namespace/sales", "--for=delete", "--timeout=2m"]).await;
    assert!(stage.sim.session("sales").unwrap().is_connected(), "it is left as it is");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_file_installs_and_everything_goes_while_the_provider_is_down() {
    let mut stage = Stage::new().await;
    stage.run(INSTALL, "manifest").await;
    assert_eq!(stage.of_deployment(DEPLOYMENT, "{.spec.template.spec.containers[0].image}").await, IMAGE);
    stage.start_operator(DEPLOYMENT).await;
    stage.run(INSTALL, "namespace").await;
    stage.pair_by_the_book().await;

    stage.sim.arm(Fault { action: FaultAction::status(502), ..Fault::default() });
    stage.run(INSTALL, "let-go").await;
    stage.stop_operator().await;
    stage.run(INSTALL, "remove-manifest").await;
    stage.assert_nothing_is_left().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn for_some_namespaces_nothing_is_installed_beyond_them() {
    let mut stage = Stage::new().await;
    stage.run(INSTALL, "namespaces").await;
    stage.start_operator(DEPLOYMENT).await;
    stage.pair_by_the_book().await;
    for kind in ["clusterrole", "clusterrolebinding", "validatingadmissionpolicy"] {
        let all = stage.kubectl(&["get", kind, "-o", "name"]).await;
        assert!(!all.contains("whatsapp"), "{all}");
    }
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_examples_are_applied_where_their_reader_says() {
    let mut stage = Stage::new().await;
    stage.run(INSTALL, "install").await;
    stage.start_operator(DEPLOYMENT).await;
    stage.run(EXAMPLES, "apply").await;
    stage.scan("whatsapp-demo").await;
    stage.kubectl(&["-n", "whatsapp-demo", "wait", "was/sales", "--for=condition=Ready", "--timeout=2m"]).await;
    // Here the provider is a simulator already, so nothing changes.
    let printed = stage.run(EXAMPLES, "simulator").await.concat();
    assert!(printed.contains("whatsappaccount.actiwapi.com/default unchanged"), "{printed}");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_manifests_for_argo_cd_and_flux_are_taken_where_these_are_installed() {
    let stage = Stage::new().await;
    let schemas = gitops::schemas().await.unwrap();
    stage.kubectl(&["apply", "--server-side", "--filename", schemas.to_str().unwrap()]).await;
    stage.kubectl(&["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"]).await;
    for namespace in ["argocd", "flux-system"] {
        stage.kubectl(&["create", "namespace", namespace]).await;
    }
    stage.run(INSTALL, "gitops").await;
    for kind in ["applications.argoproj.io", "helmreleases", "kustomizations"] {
        let all = stage.kubectl(&["get", kind, "--all-namespaces", "-o", "name"]).await;
        assert!(all.contains("whatsapp-"), "{all}");
    }
    stage.end().await;
}
