//! What a real API server says to the objects, and Pod Security to the Pod.

use devkit::control_plane::{self, ControlPlane};
use serde_json::{Value, json};
use tokio::{sync::OnceCell, time::sleep};

use crate::{NAMESPACE, Objects, PATIENCE, PAUSE, dry_run, namespace, render, render_with, values_files};

/// The kinds of the Prometheus operator, which the chart uses and does not bring.
const MONITORING: &str = include_str!("monitoring.yaml");

async fn with_monitoring(plane: &ControlPlane) {
    static DONE: OnceCell<()> = OnceCell::const_new();
    let install = async || {
        plane.apply(MONITORING).await.unwrap();
        for kind in ["servicemonitors", "podmonitors"] {
            let definition = format!("crd/{kind}.monitoring.coreos.com");
            plane.kubectl_ok(&["wait", "--for=condition=Established", "--timeout=60s", &definition]).await.unwrap();
        }
    };
    DONE.get_or_init(install).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_accepts_every_object_without_a_warning() {
    let plane = control_plane::shared().await.unwrap();
    with_monitoring(plane).await;
    for name in [NAMESPACE, "sales", "support", "monitoring"] {
        namespace(plane, name, json!({})).await;
    }
    let mut renders = vec![("the defaults".to_owned(), render(&[]).await)];
    for file in values_files() {
        renders.push((file.display().to_string(), render_with(&file).await));
    }
    let mut kinds = std::collections::BTreeSet::new();
    for (what, rendered) in renders {
        dry_run(plane, &rendered).await.unwrap_or_else(|said| panic!("{what}: {said}"));
        kinds.extend(Objects::parse(&rendered).kinds().into_iter().map(str::to_owned));
    }
    println!("accepted: {kinds:?}");
    for kind in ["ServiceMonitor", "PodMonitor", "NetworkPolicy", "PodDisruptionBudget", "Service", "Role"] {
        assert!(kinds.contains(kind), "{kind} was not among them: {kinds:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn strict_means_that_an_unknown_field_is_refused() {
    let plane = control_plane::shared().await.unwrap();
    with_monitoring(plane).await;
    for name in [NAMESPACE, "monitoring"] {
        namespace(plane, name, json!({})).await;
    }
    let rendered =
        Objects::parse(&crate::render(&["--set", "serviceMonitor.enabled=true,networkPolicy.enabled=true"]).await);
    for kind in ["ServiceMonitor", "NetworkPolicy", "Deployment"] {
        let mut object = rendered.the(kind).clone();
        object["spec"]["nonsense"] = json!(true);
        let said = dry_run(plane, &object.to_string()).await.unwrap_err();
        assert!(said.contains("unknown field \"spec.nonsense\""), "{kind}: {said}");
    }
}

/// Where the restricted standard is enforced, and warned of where something only makes Pods.
async fn restricted(plane: &ControlPlane) -> &'static str {
    let standard = "restricted";
    let labels = json!({"pod-security.kubernetes.io/enforce": standard, "pod-security.kubernetes.io/warn": standard});
    namespace(plane, standard, labels).await;
    for _ in 0..PATIENCE {
        if plane.kubectl_ok(&["-n", standard, "get", "serviceaccount", "default"]).await.is_ok() {
            break;
        }
        sleep(PAUSE).await;
    }
    standard
}

#[tokio::test(flavor = "multi_thread")]
async fn its_pod_keeps_to_the_restricted_standard() {
    let plane = control_plane::shared().await.unwrap();
    let namespace = restricted(plane).await;
    // With two volumes and another image, as an installation with a private authority has it.
    for values in ["", "provider.caConfigMap=authorities,image.registry=registry.example.com,replicaCount=2"] {
        let objects = Objects::parse(&render(&["--namespace", namespace, "--set", values]).await);
        let pod = |spec: &Value| {
            let mut pod =
                json!({"apiVersion": "v1", "kind": "Pod", "metadata": objects.pod()["metadata"], "spec": spec});
            pod["metadata"]["name"] = json!("operator");
            pod["metadata"]["namespace"] = json!(namespace);
            // The account is admission's business too, and it is not installed here.
            pod["spec"]["serviceAccountName"] = json!("default");
            pod.to_string()
        };
        let spec = &objects.pod()["spec"];
        dry_run(plane, &pod(spec)).await.unwrap();
        dry_run(plane, &objects.the("Deployment").to_string()).await.unwrap();
        // Each of what makes it so is needed.
        for (path, wrong) in [
            ("/securityContext/runAsNonRoot", json!(false)),
            ("/securityContext/seccompProfile", Value::Null),
            ("/containers/0/securityContext/allowPrivilegeEscalation", json!(true)),
            ("/containers/0/securityContext/capabilities", Value::Null),
        ] {
            let mut spec = spec.clone();
            *spec.pointer_mut(path).unwrap() = wrong;
            let what = path.rsplit('/').next().unwrap();
            let said = dry_run(plane, &pod(&spec)).await.unwrap_err();
            assert!(said.contains("violates PodSecurity") && said.contains(what), "{what}: {said}");
            let mut deployment = objects.the("Deployment").clone();
            deployment["spec"]["template"]["spec"] = spec;
            let said = dry_run(plane, &deployment.to_string()).await.unwrap_err();
            assert!(said.contains("would violate PodSecurity") && said.contains(what), "{what}: {said}");
        }
    }
}
