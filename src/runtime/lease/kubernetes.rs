//! The lease as an object, and a client that only the leader can write with.

use axum::http::{Method, Request};
use k8s_openapi::api::coordination::v1::Lease;
use kube::{
    Api, Client,
    api::PostParams,
    client::{Body, ClientBuilder},
};
use tower::{BoxError, filter::FilterLayer};

use super::{Leadership, Leases, Refused, Trouble};

/// A lease by its name.
pub struct Named {
    api: Api<Lease>,
    name: String,
    params: PostParams,
}

impl Named {
    /// That of this name, written under the field manager `manager`.
    #[must_use]
    pub fn new(client: Client, namespace: &str, name: &str, manager: &str) -> Self {
        let params = PostParams { field_manager: Some(manager.to_owned()), ..PostParams::default() };
        Self { api: Api::namespaced(client, namespace), name: name.to_owned(), params }
    }
}

fn other(error: &kube::Error) -> Trouble {
    Trouble::Other(error.to_string())
}

/// `changed` are the codes by which an answer says that what is stored is not what was read.
fn of_write(error: &kube::Error, changed: &[u16]) -> Trouble {
    match error {
        kube::Error::Api(status) if changed.contains(&status.code) => Trouble::Changed,
        error => other(error),
    }
}

impl Leases for Named {
    async fn get(&self) -> Result<Option<Lease>, Trouble> {
        self.api.get_opt(&self.name).await.map_err(|error| other(&error))
    }

    async fn create(&self, lease: &Lease) -> Result<Lease, Trouble> {
        let mut lease = lease.clone();
        lease.metadata.name = Some(self.name.clone());
        // 404 is that of the namespace.
        self.api.create(&self.params, &lease).await.map_err(|error| of_write(&error, &[409]))
    }

    async fn replace(&self, lease: &Lease) -> Result<Lease, Trouble> {
        // 404: it was deleted.
        self.api.replace(&self.name, &self.params, lease).await.map_err(|error| of_write(&error, &[404, 409]))
    }
}

/// A client that reads always and writes only while this replica leads.
///
/// # Errors
/// When the configuration makes no client.
pub fn fenced(config: kube::Config, leadership: Leadership) -> Result<Client, kube::Error> {
    let fence = FilterLayer::new(move |request: Request<Body>| {
        if request.method() == Method::GET || leadership.is_held() { Ok(request) } else { Err(BoxError::from(Refused)) }
    });
    Ok(ClientBuilder::try_from(config)?.with_layer(&fence).build())
}

/// Who this replica is: the Pod's name, or the machine's, and something that no other start has.
#[must_use]
pub fn identity() -> String {
    let name = std::env::var("POD_NAME").ok().filter(|name| !name.is_empty());
    let name = name.unwrap_or_else(|| rustix::system::uname().nodename().to_string_lossy().into_owned());
    format!("{name}_{:016x}", rand::random::<u64>())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::http::StatusCode;
    use k8s_openapi::api::core::v1::ConfigMap;
    use serde_json::json;
    use tokio::sync::watch;

    use super::*;

    #[tokio::test]
    async fn only_the_leader_writes() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let until = watch::Sender::new(Some(Duration::from_secs(1)));
        let leadership = Leadership::new(until.subscribe(), std::sync::Arc::new(|| Duration::ZERO));
        // Nobody listens there: what is let through fails in another way.
        let config = kube::Config::new("http://127.0.0.1:9".parse().unwrap());
        let api: Api<ConfigMap> = Api::default_namespaced(fenced(config, leadership).unwrap());
        let refused = |error: kube::Error| error.to_string().contains(&Refused.to_string());
        let write = async || refused(api.create(&PostParams::default(), &ConfigMap::default()).await.unwrap_err());
        assert!(!write().await);
        until.send_replace(None);
        assert!(write().await);
        assert!(!refused(api.get("a").await.unwrap_err()), "reading is always allowed");
    }

    #[tokio::test]
    async fn a_namespace_that_is_not_there_is_a_trouble_and_no_race() {
        let server = axum::Router::new().fallback(async || {
            let status = json!({
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": 404,
                "reason": "NotFound", "message": "namespaces \"nowhere\" not found",
            });
            (StatusCode::NOT_FOUND, axum::Json(status))
        });
        let lease = Named::new(Client::new(server, "default"), "nowhere", "lease", "manager");
        assert_eq!(lease.get().await.unwrap(), None);
        let trouble = lease.create(&Lease::default()).await.unwrap_err();
        assert!(matches!(&trouble, Trouble::Other(why) if why.contains("nowhere")), "{trouble}");
        assert!(matches!(lease.replace(&Lease::default()).await, Err(Trouble::Changed)), "it was deleted");
    }

    #[test]
    fn no_two_starts_are_the_same() {
        assert_ne!(identity(), identity());
        assert!(!identity().starts_with('_'));
    }
}
