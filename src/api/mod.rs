//! The Kubernetes API: `WhatsAppAccount` and `WhatsAppSession`, `actiwapi.com/v1alpha1`.

pub mod account;
pub mod crd;
pub mod names;
pub mod reason;
pub mod session;

pub use account::{WhatsAppAccount, WhatsAppAccountSpec, WhatsAppAccountStatus};
pub use reason::Reason;
pub use session::{Phase, WhatsAppSession, WhatsAppSessionSpec, WhatsAppSessionStatus};

/// A reference to an object of the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, kube::KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct LocalRef {
    /// Name of the object, in the namespace of the object that refers to it.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')")
        .message("must be the name of an object in the same namespace: lower-case letters, digits, '-' and '.'"))]
    pub name: String,
}
