//! A release of the chart for one operator: its account and its rights, and no Pod.
#![expect(clippy::indexing_slicing, reason = "a member that a JSON value does not have is null")]

use std::time::Duration;

use k8s_openapi::api::{
    authentication::v1::TokenRequest,
    authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec},
    core::v1::ServiceAccount,
};
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, PostParams},
    core::GroupVersionKind,
};
use serde_json::Value;
use tokio::{
    sync::OnceCell,
    time::{sleep, timeout},
};

use crate::{assets, helm, rights};

/// Where the operators' accounts are.
pub const HOME: &str = "whatsapp-operator-system";
/// Which of the two an end-to-end test runs with, unless it says so itself: `namespaces` or `cluster`.
const RIGHTS: &str = "E2E_RIGHTS";
/// Stands for the namespace in a render that serves many.
const NAMESPACE: &str = "name-of-the-namespace";
const PATIENCE: Duration = Duration::from_mins(1);
const PAUSE: Duration = Duration::from_millis(10);

/// Where the chart gives an operator its rights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// In the namespaces of `watchNamespaces`.
    Namespaces,
    /// Everywhere.
    Cluster,
}

impl Scope {
    /// What `E2E_RIGHTS` says.
    ///
    /// # Errors
    /// When it says something else.
    pub fn from_environment() -> Result<Self, String> {
        match std::env::var(RIGHTS).as_deref() {
            Ok("cluster") => Ok(Self::Cluster),
            Ok("namespaces") | Err(std::env::VarError::NotPresent) => Ok(Self::Namespaces),
            other => Err(format!("{RIGHTS} is {other:?}: neither namespaces nor cluster")),
        }
    }
}

/// Why there is no release.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// helm does not render it.
    #[error(transparent)]
    Helm(#[from] helm::Error),
    /// helm printed something else than objects.
    #[error("helm printed no objects: {0}")]
    Objects(String),
    /// The API server refuses it.
    #[error("the release is not taken: {0}")]
    Refused(#[from] kube::Error),
    /// What it holds cannot be used.
    #[error("{0}")]
    Odd(String),
}

/// A release as helm renders it.
#[derive(Clone, Debug)]
pub struct Release {
    /// Its name, and that of its `ServiceAccount`.
    pub name: String,
    /// All of it.
    pub objects: Vec<Value>,
}

impl Release {
    /// The release for an operator that watches this namespace, or everything.
    ///
    /// # Errors
    /// When helm is not there or refuses the values.
    pub async fn of(scope: Scope, namespace: &str) -> Result<Self, Error> {
        static IN_NAMESPACES: OnceCell<String> = OnceCell::const_new();
        static IN_CLUSTER: OnceCell<String> = OnceCell::const_new();
        let (cell, watched) = match scope {
            Scope::Namespaces => (&IN_NAMESPACES, Some(format!("watchNamespaces={{{NAMESPACE}}}"))),
            Scope::Cluster => (&IN_CLUSTER, None),
        };
        // helm takes longer than all the rest.
        let render = async || {
            let values = ["crds.enabled=false".to_owned(), format!("fullnameOverride=operator-{NAMESPACE}")];
            let values: Vec<String> = values.into_iter().chain(watched).collect();
            let chart = assets::repository().join("charts/whatsapp-operator");
            let chart = chart.to_string_lossy();
            let args = ["template", "operator", &chart, "--namespace", HOME, "--set", &values.join(",")];
            let printed = helm::output(None, &args).await?;
            let objects: Vec<Value> =
                serde_saphyr::from_multiple(&printed).map_err(|error| Error::Objects(error.to_string()))?;
            Ok::<_, Error>(objects.into_iter().filter(Value::is_object).collect::<Value>().to_string())
        };
        let rendered = cell.get_or_try_init(render).await?.replace(NAMESPACE, namespace);
        let objects = serde_json::from_str(&rendered).map_err(|error| Error::Objects(error.to_string()))?;
        Ok(Self { name: format!("operator-{namespace}"), objects })
    }

    /// The operator's name at the API server.
    #[must_use]
    pub fn user(&self) -> String {
        format!("system:serviceaccount:{HOME}:{}", self.name)
    }

    /// The flags with which its Pods elect a leader.
    #[must_use]
    pub fn election(&self) -> Vec<String> {
        let pods = self.objects.iter().filter(|object| object["kind"] == "Deployment");
        let containers = pods.filter_map(|pod| pod["spec"]["template"]["spec"]["containers"].as_array()).flatten();
        let args = containers.filter_map(|container| container["args"].as_array()).flatten().filter_map(Value::as_str);
        args.filter(|arg| arg.starts_with("--leader-elect") || arg.starts_with("--lease-")).map(str::to_owned).collect()
    }

    /// Installs the account and its rights, waits until they hold, and returns a token of the account.
    ///
    /// # Errors
    /// When the API server refuses something or the rights never hold.
    pub async fn install(&self, client: &Client) -> Result<String, Error> {
        let groups = ["rbac.authorization.k8s.io/", "admissionregistration.k8s.io/"];
        let of_account = |object: &&Value| {
            let version = object["apiVersion"].as_str().unwrap_or_default();
            object["kind"] == "ServiceAccount" || groups.iter().any(|group| version.starts_with(group))
        };
        for object in self.objects.iter().filter(of_account) {
            let object: DynamicObject =
                serde_json::from_value(object.clone()).map_err(|error| Error::Objects(error.to_string()))?;
            let kind = object.types.as_ref().map(GroupVersionKind::try_from);
            let kind = kind.and_then(Result::ok).ok_or_else(|| Error::Odd("an object without a kind".to_owned()))?;
            let resource = ApiResource::from_gvk(&kind);
            let api: Api<DynamicObject> = match &object.metadata.namespace {
                Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
                None => Api::all_with(client.clone(), &resource),
            };
            api.create(&PostParams::default(), &object).await?;
        }
        for role in rights::roles(&self.objects, &self.name).map_err(Error::Odd)? {
            let held = timeout(PATIENCE, self.until_held(client, role)).await;
            held.map_err(|_| Error::Odd(format!("{} never holds", role["metadata"]["name"])))??;
        }
        let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), HOME);
        let request = TokenRequest::default();
        let answer = accounts.create_token_request(&self.name, &PostParams::default(), &request).await?;
        answer.status.map(|status| status.token).ok_or_else(|| Error::Odd("an answer without a token".to_owned()))
    }

    /// The authorizer learns of a role and of its binding a moment after they are written, and of each role at once.
    async fn until_held(&self, client: &Client, role: &Value) -> Result<(), kube::Error> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let first = &role["rules"][0];
        let resource = text(&first["resources"][0]).unwrap_or_default();
        let (resource, subresource) = match resource.split_once('/') {
            Some((resource, sub)) => (resource.to_owned(), Some(sub.to_owned())),
            None => (resource, None),
        };
        let attributes = ResourceAttributes {
            namespace: text(&role["metadata"]["namespace"]),
            group: text(&first["apiGroups"][0]),
            resource: Some(resource),
            subresource,
            verb: text(&first["verbs"][0]),
            ..ResourceAttributes::default()
        };
        let spec = SubjectAccessReviewSpec {
            resource_attributes: Some(attributes),
            user: Some(self.user()),
            ..SubjectAccessReviewSpec::default()
        };
        let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
        let reviews: Api<SubjectAccessReview> = Api::all(client.clone());
        while !reviews.create(&PostParams::default(), &review).await?.status.is_some_and(|status| status.allowed) {
            sleep(PAUSE).await;
        }
        Ok(())
    }
}
