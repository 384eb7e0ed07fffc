//! A namespace of its own on the shared control plane, and requests as a client of any language would send them.

use devkit::{
    assets,
    control_plane::{self, ControlPlane},
};
use kube::Client;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

/// One of our two kinds.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    Account,
    Session,
}

impl Kind {
    pub fn plural(self) -> &'static str {
        match self {
            Self::Account => "whatsappaccounts",
            Self::Session => "whatsappsessions",
        }
    }

    /// The smallest object that is accepted.
    pub fn minimal(self, name: &str) -> Value {
        let (kind, spec) = match self {
            Self::Account => ("WhatsAppAccount", json!({"credentialsSecretRef": {"name": "credentials"}})),
            Self::Session => ("WhatsAppSession", json!({})),
        };
        json!({"apiVersion": "actiwapi.com/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec})
    }
}

/// What the API server answers: the object as it stored it, or what it said.
pub type Answer = Result<Value, String>;

/// A namespace for one test.
pub struct Cluster {
    pub plane: &'static ControlPlane,
    pub namespace: &'static str,
    client: Client,
}

impl Cluster {
    /// Makes the namespace; the CRDs are there, from the files that users apply.
    pub async fn with_namespace(namespace: &'static str) -> Self {
        static CRDS: OnceCell<()> = OnceCell::const_new();
        let plane = control_plane::shared().await.unwrap();
        CRDS.get_or_init(async || {
            let directory = assets::repository().join("crds");
            let directory = directory.to_str().unwrap();
            plane
                .kubectl_ok(&["apply", "--server-side", "--warnings-as-errors", "--validate=strict", "-f", directory])
                .await
                .unwrap();
            plane.kubectl_ok(&["wait", "--for=condition=Established", "--timeout=30s", "-f", directory]).await.unwrap();
        })
        .await;
        plane.kubectl_ok(&["create", "namespace", namespace]).await.unwrap();
        Self { plane, namespace, client: plane.client().unwrap() }
    }

    async fn send(&self, method: &str, path: &str, content_type: &str, body: &Value) -> Answer {
        let uri = format!("/apis/actiwapi.com/v1alpha1/namespaces/{}/{path}", self.namespace);
        let request = http::Request::builder().method(method).uri(uri).header("content-type", content_type);
        let request = request.body(serde_json::to_vec(body).unwrap()).unwrap();
        match self.client.request(request).await {
            Ok(object) => Ok(object),
            Err(kube::Error::Api(status)) => Err(status.message),
            Err(error) => panic!("{method} {path}: {error}"),
        }
    }

    /// Creates an object; a field that the kind does not have is refused, as `kubectl apply` does.
    pub async fn create(&self, kind: Kind, object: &Value) -> Answer {
        let path = format!("{}?fieldValidation=Strict", kind.plural());
        self.send("POST", &path, "application/json", object).await
    }

    /// Whether it could be created.
    pub async fn try_create(&self, kind: Kind, object: &Value) -> Answer {
        let path = format!("{}?fieldValidation=Strict&dryRun=All", kind.plural());
        self.send("POST", &path, "application/json", object).await
    }

    /// Whether it could be replaced.
    pub async fn try_replace(&self, kind: Kind, object: &Value) -> Answer {
        let name = object["metadata"]["name"].as_str().unwrap();
        let path = format!("{}/{name}?fieldValidation=Strict&dryRun=All", kind.plural());
        self.send("PUT", &path, "application/json", object).await
    }

    /// Replaces it.
    pub async fn replace(&self, kind: Kind, object: &Value) -> Answer {
        let name = object["metadata"]["name"].as_str().unwrap();
        self.send("PUT", &format!("{}/{name}", kind.plural()), "application/json", object).await
    }

    /// Writes into the status, as the operator does.
    pub async fn patch_status(&self, kind: Kind, name: &str, status: &Value) -> Answer {
        let path = format!("{}/{name}/status", kind.plural());
        self.send("PATCH", &path, "application/merge-patch+json", &json!({"status": status})).await
    }

    /// Runs kubectl in the namespace and returns what it printed.
    pub async fn kubectl(&self, args: &[&str]) -> String {
        let args = [&["--namespace", self.namespace][..], args].concat();
        self.plane.kubectl_ok(&args).await.unwrap()
    }

    /// `kubectl apply` with what it says on success, or on failure.
    pub async fn apply(&self, manifest: &str, more: &[&str]) -> Result<String, String> {
        let args = [&["--namespace", self.namespace, "apply", "--filename", "-"][..], more].concat();
        let output = self.plane.kubectl_with_stdin(&args, manifest).await.unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }
}

/// Puts `patch` into `target`, member by member; a null removes one (RFC 7396).
pub fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (key, value) in patch {
        if value.is_null() {
            target.as_object_mut().unwrap().remove(key);
        } else {
            merge(&mut target[key], value);
        }
    }
}
