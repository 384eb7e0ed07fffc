//! The control plane that a world stands on: one for all that keep to their namespace, and one of its own for an operator
//! that watches everything.

use std::{
    fmt::Debug,
    sync::{Mutex, PoisonError},
};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::{
    admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding},
    rbac::v1::{ClusterRole, ClusterRoleBinding},
};
use kube::{
    Api, Client, Resource, ResourceExt as _,
    api::{DeleteParams, ListParams, Patch, PatchParams},
    core::{ClusterResourceScope, NamespaceResourceScope},
    runtime::wait::await_condition,
};
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::{sync::OnceCell, time::timeout};
use whatsapp_operator::api::{WhatsAppAccount, WhatsAppSession};

use super::{PATIENCE, create_namespace, install_crds};
use crate::{
    control_plane::{self, ControlPlane},
    release::HOME,
};

const AT_ONCE: usize = 16;

/// Those that nobody stands on. As many are started as there are tests at once.
static FREE: Mutex<Vec<&'static ControlPlane>> = Mutex::new(Vec::new());

/// The right to a control plane, given back on drop.
#[derive(Debug)]
pub(super) struct Plane {
    pub(super) plane: &'static ControlPlane,
    alone: bool,
}

impl Plane {
    /// The one that all share.
    pub(super) async fn shared() -> Result<Self, control_plane::Error> {
        static PREPARED: OnceCell<()> = OnceCell::const_new();
        let plane = control_plane::shared().await?;
        let client = plane.client()?;
        PREPARED.get_or_init(|| prepare(&client)).await;
        Ok(Self { plane, alone: false })
    }

    /// One without any other operator or object of ours.
    pub(super) async fn alone() -> Result<Self, control_plane::Error> {
        let free = FREE.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let plane = if let Some(plane) = free {
            let client = plane.client()?;
            clear::<WhatsAppSession>(&client).await?;
            clear::<WhatsAppAccount>(&client).await?;
            uninstall(&client).await?;
            plane
        } else {
            let plane = &*Box::leak(Box::new(ControlPlane::start(control_plane::for_tests()).await?));
            prepare(&plane.client()?).await;
            plane
        };
        Ok(Self { plane, alone: true })
    }
}

impl Drop for Plane {
    fn drop(&mut self) {
        if self.alone {
            FREE.lock().unwrap_or_else(PoisonError::into_inner).push(self.plane);
        }
    }
}

async fn prepare(client: &Client) {
    install_crds(client).await;
    create_namespace(client, HOME).await;
}

/// Deletes what a world's release has in the whole cluster.
async fn uninstall(client: &Client) -> Result<(), kube::Error> {
    delete_all::<ValidatingAdmissionPolicyBinding>(client).await?;
    delete_all::<ValidatingAdmissionPolicy>(client).await?;
    delete_all::<ClusterRoleBinding>(client).await?;
    delete_all::<ClusterRole>(client).await?;
    // Kubernetes takes them out of its own roles a moment later.
    let roles: Api<ClusterRole> = Api::all(client.clone());
    for role in ["view", "edit", "admin"] {
        let without_us = |role: Option<&ClusterRole>| {
            let mut groups =
                role.into_iter().flat_map(|role| &role.rules).flatten().filter_map(|r| r.api_groups.as_ref());
            !groups.any(|groups| groups.iter().any(|group| group == WhatsAppSession::group(&()).as_ref()))
        };
        let waited = timeout(PATIENCE, await_condition(roles.clone(), role, without_us)).await;
        assert!(waited.is_ok_and(|waited| waited.is_ok()), "{role} keeps what the chart gave it");
    }
    Ok(())
}

async fn delete_all<K>(client: &Client) -> Result<(), kube::Error>
where
    K: Resource<Scope = ClusterResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    let of_release = ListParams::default().labels("app.kubernetes.io/name=whatsapp-operator");
    Api::<K>::all(client.clone()).delete_collection(&DeleteParams::default(), &of_release).await.map(drop)
}

/// Deletes what a world has left, whose operator is no more and removes no finalizer.
async fn clear<K>(client: &Client) -> Result<(), kube::Error>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    let all = Api::<K>::all(client.clone()).list(&ListParams::default()).await?;
    let gone = |object: K| {
        let api: Api<K> = Api::namespaced(client.clone(), &object.namespace().unwrap_or_default());
        async move {
            let name = object.name_any();
            let free = Patch::Merge(json!({"metadata": {"finalizers": null}}));
            for result in [
                api.patch(&name, &PatchParams::default(), &free).await.map(drop),
                api.delete(&name, &DeleteParams::default()).await.map(drop),
            ] {
                match result {
                    // The first did it, if the object was being deleted.
                    Err(kube::Error::Api(status)) if status.code == 404 => {}
                    result => result?,
                }
            }
            Ok(())
        }
    };
    stream::iter(all.items).map(gone).buffer_unordered(AT_ONCE).try_collect().await
}
