//! The Kubernetes API: `WhatsAppAccount` and `WhatsAppSession`, `actiwapi.com/v1alpha1`.

pub mod account;
pub mod crd;
pub mod names;
pub mod reason;
mod rules;
pub mod session;

pub use account::{WhatsAppAccount, WhatsAppAccountSpec, WhatsAppAccountStatus};
pub use reason::Reason;
pub use session::{Phase, WhatsAppSession, WhatsAppSessionSpec, WhatsAppSessionStatus};

/// A reference to an object of the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, kube::KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct LocalRef {
    /// Name of the object, in the namespace of the object that refers to it.
    #[schemars(length(max = 253))]
    #[x_kube(validation = Rule::new(rules::OBJECT_NAME)
        .message("must be the name of an object in the same namespace: lower-case letters, digits, '-' and '.', as in default"))]
    pub name: String,
}
