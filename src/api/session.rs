//! `WhatsAppSession`: one `WhatsApp` session, as declared.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema, ResourceExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{LocalRef, names, rules};

/// What a person declares about one session.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "actiwapi.com",
    version = "v1alpha1",
    kind = "WhatsAppSession",
    plural = "whatsappsessions",
    shortname = "was",
    category = "whatsapp",
    namespaced,
    status = "WhatsAppSessionStatus",
    derive = "PartialEq",
    doc = "A WhatsApp session at ActiWAPI: created, paired by one scan, and kept connected.",
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason"),
    printcolumn(name = "Phone", type_ = "string", json_path = ".status.phoneNumber"),
    printcolumn(name = "Account", type_ = "string", json_path = ".spec.accountRef.name"),
    printcolumn(name = "Session-ID", type_ = "string", json_path = ".status.sessionId", priority = "1"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("size(self.metadata.name) <= 63")
        .message("metadata.name has at most 63 characters: choose a shorter one and put the long form into spec.displayName"),
    validation = Rule::new("(has(self.spec.accountRef) ? self.spec.accountRef.name : 'default') == (has(oldSelf.spec.accountRef) ? oldSelf.spec.accountRef.name : 'default')")
        .message("spec.accountRef.name (unless set: default) is immutable: delete this session and apply it again with the other account")
        .field_path(".spec.accountRef.name").reason(Reason::FieldValueForbidden),
    validation = Rule::new("(has(self.spec.displayName) ? self.spec.displayName : self.metadata.name) == (has(oldSelf.spec.displayName) ? oldSelf.spec.displayName : oldSelf.metadata.name)")
        .message("spec.displayName (unless set: metadata.name) is immutable, the provider cannot rename: delete this session and apply it again under the new name, which takes another slot")
        .field_path(".spec.displayName").reason(Reason::FieldValueForbidden),
    validation = Rule::new("!has(oldSelf.spec.sessionId) || (has(self.spec.sessionId) && self.spec.sessionId == oldSelf.spec.sessionId)")
        .message("spec.sessionId is immutable once set: put the old id back, or delete this session (deletionPolicy: Orphan leaves the remote one as it is) and apply it again with the other id")
        .field_path(".spec.sessionId").reason(Reason::FieldValueForbidden),
    validation = Rule::new(rules::SAME_SESSION_ID)
        .message("spec.sessionId must equal status.sessionId once that is set: use that id or leave the field out, or delete this session (deletionPolicy: Orphan leaves the remote one as it is) and apply it again with the other id")
        .field_path(".spec.sessionId").reason(Reason::FieldValueForbidden),
    validation = Rule::new("(has(self.spec.pairing) && has(self.spec.pairing.secretName) ? self.spec.pairing.secretName : self.metadata.name + '-qr') == (has(oldSelf.spec.pairing) && has(oldSelf.spec.pairing.secretName) ? oldSelf.spec.pairing.secretName : oldSelf.metadata.name + '-qr')")
        .message("spec.pairing.secretName (unless set: metadata.name with -qr) is immutable: delete this session and apply it again with the other Secret name")
        .field_path(".spec.pairing.secretName").reason(Reason::FieldValueForbidden)
)]
#[serde(rename_all = "camelCase")]
pub struct WhatsAppSessionSpec {
    /// The account this session belongs to. Immutable.
    #[serde(default = "default_account")]
    pub account_ref: LocalRef,
    /// Name at the provider, after the account's prefix; `metadata.name` unless set. Immutable: the provider cannot rename.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100))]
    #[x_kube(validation = Rule::new(rules::NAME)
        .message("must not be empty and have no control characters, no leading, trailing or double spaces; to use metadata.name, leave it out"))]
    pub display_name: Option<String>,
    /// Adopt exactly this remote session instead of creating one. Immutable once set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9_-]{1,64}$')")
        .message("must be a session id as the provider shows it, 1 to 64 letters, digits, '_' or '-'; to have a session created, leave it out"))]
    pub session_id: Option<String>,
    /// `Connected`: online, paired by a QR when it must be. `Disconnected`: created but offline.
    #[serde(default)]
    pub desired_state: DesiredState,
    /// Freeze: nothing remote is changed until it is false again. Deletion still works.
    #[serde(default)]
    pub suspend: bool,
    /// What deletion does to the remote session, which the provider cannot delete. `Disconnect`: disconnect it; its slot
    /// can be adopted again by name. `Orphan`: leave it as it is.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
    /// How a phone is linked.
    #[serde(default)]
    pub pairing: Pairing,
}

fn default_account() -> LocalRef {
    LocalRef { name: names::DEFAULT_ACCOUNT.to_owned() }
}

/// Whether a session is to be online.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DesiredState {
    /// Online, paired by a QR when it must be.
    #[default]
    Connected,
    /// Created but offline.
    Disconnected,
}

/// What deletion does to the remote session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// Disconnect it; its slot can be adopted again by name.
    #[default]
    Disconnect,
    /// Leave it as it is.
    Orphan,
}

/// How a phone is linked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Pairing {
    /// `Auto` shows a QR when the session was never paired; `OnRequest` only after the annotation
    /// `actiwapi.com/pair-requested-at` has changed.
    #[serde(default)]
    pub mode: PairingMode,
    /// How long QR codes are renewed before going quiet with `PairingRequired`.
    #[serde(default = "default_window")]
    #[schemars(length(max = 20))]
    #[x_kube(validation = Rule::new(rules::DURATION)
        .message("must be a duration from 10s to 24h, such as 10m or 1h30m"))]
    pub window: String,
    /// Name of the Secret the QR is published in; `<name>-qr` unless set. Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    #[x_kube(validation = Rule::new(rules::OBJECT_NAME)
        .message("must be a name that a Secret can have: lower-case letters, digits, '-' and '.', as in sales-qr"))]
    pub secret_name: Option<String>,
    /// Also put the raw QR into `status.pairing.qr`, for everybody who may read sessions: whoever scans it first links
    /// their phone. Needs the operator's `--allow-qr-in-status`.
    #[serde(default)]
    pub publish_in_status: bool,
}

impl Default for Pairing {
    fn default() -> Self {
        Self { mode: PairingMode::Auto, window: default_window(), secret_name: None, publish_in_status: false }
    }
}

fn default_window() -> String {
    "10m".to_owned()
}

/// When a QR may be shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PairingMode {
    /// Once without being asked; later on request.
    #[default]
    Auto,
    /// Only on request.
    OnRequest,
}

/// What is known about one session.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct WhatsAppSessionStatus {
    /// Generation of the spec that this status speaks of; -1 until the operator has seen the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// One word for people. Scripts use the conditions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// The provider's id of the session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// Whether the session existed before this object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adopted: Option<bool>,
    /// The linked phone: digits with country code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone_number: Option<String>,
    /// The current or last pairing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pairing: Option<PairingStatus>,
    /// The intent log: a create that was begun and whose outcome is not recorded yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub create: Option<CreateStatus>,
    /// When the session was connected for the first time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_connected_time: Option<Time>,
    /// When the session last became connected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_connected_time: Option<Time>,
    /// The last time it went offline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_disconnect: Option<DisconnectStatus>,
    /// The last `actiwapi.com/reconcile-requested-at` that was acted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
    /// `Ready`: as declared. `Reconciling`: on the way there. `Stalled`: waiting alone does not help. `Provisioned`: the
    /// remote session exists and its id is recorded. `Connected`: a phone is linked and online. `Suspended`: frozen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    #[schemars(length(max = 16))]
    pub conditions: Vec<Condition>,
}

/// One word for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "the words are the documentation")]
pub enum Phase {
    Pending,
    Creating,
    Disconnected,
    AwaitingScan,
    Connecting,
    Connected,
    Missing,
    Suspended,
    Stalled,
    Deleting,
}

/// The current or last pairing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PairingStatus {
    /// The Secret that holds the QR, while there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalRef>,
    /// How many pairing windows were opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<i32>,
    /// When the current window ends, or the last one ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window_ends_at: Option<Time>,
    /// The last `actiwapi.com/pair-requested-at` that opened a window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_request: Option<String>,
    /// The raw QR, only with `spec.pairing.publishInStatus`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub qr: Option<String>,
}

/// A create that was begun.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreateStatus {
    /// Counts from 1.
    pub attempt: i32,
    /// When the intent was written.
    pub started_at: Time,
    /// The operator process that wrote it; random per process.
    pub holder: String,
}

/// The last time a session went offline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct DisconnectStatus {
    /// When it was noticed.
    pub time: Time,
    /// The reason of `Ready` at that moment.
    pub reason: String,
}

impl WhatsAppSession {
    /// The Secret its QR goes to.
    #[must_use]
    pub fn qr_secret_name(&self) -> String {
        self.spec.pairing.secret_name.clone().unwrap_or_else(|| format!("{}-qr", self.name_any()))
    }

    /// Its name at the provider, the account's prefix included, in normal form.
    #[must_use]
    pub fn remote_name(&self, prefix: &str) -> String {
        let own = self.spec.display_name.clone().unwrap_or_else(|| self.name_any());
        names::normal(&format!("{prefix}{own}"))
    }
}
