//! `WhatsAppAccount`: one tenant of the provider, with its budget and its event stream.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::{LocalRef, names, rules};

/// What a person declares about one tenant.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "actiwapi.com",
    version = "v1alpha1",
    kind = "WhatsAppAccount",
    plural = "whatsappaccounts",
    shortname = "waa",
    category = "whatsapp",
    namespaced,
    status = "WhatsAppAccountStatus",
    derive = "PartialEq",
    doc = "An ActiWAPI tenant: credentials, request budget and event stream of its sessions.",
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason"),
    printcolumn(name = "Events", type_ = "string", json_path = ".status.conditions[?(@.type==\"EventsConnected\")].status"),
    printcolumn(name = "Sessions", type_ = "integer", json_path = ".status.sessions.managed"),
    printcolumn(name = "Connected", type_ = "integer", json_path = ".status.sessions.connected"),
    printcolumn(name = "Base-URL", type_ = "string", json_path = ".spec.baseUrl", priority = "1"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("(has(self.spec.baseUrl) ? self.spec.baseUrl : 'https://api.actiwapi.com') == (has(oldSelf.spec.baseUrl) ? oldSelf.spec.baseUrl : 'https://api.actiwapi.com')")
        .message("spec.baseUrl is immutable, its sessions live at that URL: create another WhatsAppAccount for the other URL")
        .field_path(".spec.baseUrl").reason(Reason::FieldValueForbidden),
    validation = Rule::new("(has(self.spec.sessionNamePrefix) ? self.spec.sessionNamePrefix : '') == (has(oldSelf.spec.sessionNamePrefix) ? oldSelf.spec.sessionNamePrefix : '')")
        .message("spec.sessionNamePrefix is immutable, the provider cannot rename: create another WhatsAppAccount for the other prefix")
        .field_path(".spec.sessionNamePrefix").reason(Reason::FieldValueForbidden),
    validation = Rule::new(rules::SETTLED_NOT_SHORTER)
        .message("spec.settledPollInterval must be at least spec.pollInterval (unless set: 60s): raise it, lower spec.pollInterval, or leave it out")
        .field_path(".spec.settledPollInterval")
)]
#[serde(rename_all = "camelCase")]
pub struct WhatsAppAccountSpec {
    /// Where the provider's API is. Immutable. `http://` is refused unless the operator runs with `--allow-insecure-urls`.
    #[serde(default = "default_base_url")]
    #[schemars(length(max = 253))]
    #[x_kube(
        validation = Rule::new("self.startsWith('https://') || self.startsWith('http://')")
            .message("must begin with https://, as in https://api.actiwapi.com"),
        validation = Rule::new("!self.contains('@')")
            .message("must hold no user or password: put credentials into the Secret that spec.credentialsSecretRef names"),
        validation = Rule::new("!self.contains('?') && !self.contains('#')")
            .message("must have no query and no fragment: remove everything from '?' or '#' on"),
        validation = Rule::new(rules::BASE_URL)
            .message("must be a scheme, a host, and if need be a port and a path: https://api.actiwapi.com or https://gateway.example.com:8443/whatsapp")
    )]
    pub base_url: String,
    /// The Secret, of type `actiwapi.com/credentials`, that holds `email` and `password`, or `accessToken` and, to renew
    /// it, `refreshToken`.
    pub credentials_secret_ref: LocalRef,
    /// Time between two reads of the provider's list while anything is in motion.
    #[serde(default = "default_poll_interval")]
    #[schemars(length(max = 20))]
    #[x_kube(validation = Rule::new(rules::DURATION)
        .message("must be a duration from 10s to 24h, such as 60s, 5m or 1h30m"))]
    pub poll_interval: String,
    /// The same while every session is settled and the event stream is live; the larger of 5m and `pollInterval` unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 20))]
    #[x_kube(validation = Rule::new(rules::DURATION)
        .message("must be a duration from 10s to 24h, such as 5m or 1h30m"))]
    pub settled_poll_interval: Option<String>,
    /// One budget for all calls of this account.
    #[serde(default)]
    pub rate_limit: RateLimit,
    /// Put before every remote name of this account; only names that carry it are adopted or counted. Immutable.
    #[serde(default)]
    #[schemars(length(max = 40))]
    #[x_kube(validation = Rule::new(rules::NAME_PREFIX)
        .message("must have no control characters, no leading and no double spaces, as in 'shop-' or 'ACME '"))]
    pub session_name_prefix: String,
    /// The provider's event stream (Socket.IO).
    #[serde(default)]
    pub events: Events,
}

fn default_base_url() -> String {
    names::DEFAULT_BASE_URL.to_owned()
}

fn default_poll_interval() -> String {
    "60s".to_owned()
}

/// A token bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RateLimit {
    /// Requests a second, in the long run.
    #[serde(default = "default_rate")]
    #[schemars(with = "i32", range(min = 1, max = 1000))]
    pub requests_per_second: i32,
    /// Requests that may go at once.
    #[serde(default = "default_burst")]
    #[schemars(with = "i32", range(min = 1, max = 1000))]
    pub burst: i32,
}

fn default_rate() -> i32 {
    5
}

fn default_burst() -> i32 {
    10
}

impl Default for RateLimit {
    fn default() -> Self {
        Self { requests_per_second: default_rate(), burst: default_burst() }
    }
}

/// The provider's event stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Events {
    /// Whether to listen. Without it no QR can be published: it must be scanned in the provider's dashboard.
    #[serde(default = "default_true")]
    pub enabled: bool,
    /// HTTP path of the Engine.IO endpoint.
    #[serde(default = "default_path")]
    #[schemars(length(max = 100))]
    #[x_kube(validation = Rule::new(rules::EVENTS_PATH)
        .message("must be an absolute path such as /socket.io/, without host, query, '.' or '..'"))]
    pub path: String,
    /// Socket.IO namespace.
    #[serde(default = "default_namespace")]
    #[schemars(length(max = 100))]
    #[x_kube(validation = Rule::new("self.matches('^/[A-Za-z0-9._~/-]*$')")
        .message("must begin with '/' and hold letters, digits and . _ ~ - / only, such as / or /whatsapp"))]
    pub namespace: String,
    /// Events to emit after connecting.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 64)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub subscribe: Vec<String>,
    /// Further event names that carry a QR.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 64)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub qr_events: Vec<String>,
    /// Further event names that tell a session's status.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 64)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub status_events: Vec<String>,
}

fn default_true() -> bool {
    true
}

fn default_path() -> String {
    "/socket.io/".to_owned()
}

fn default_namespace() -> String {
    "/".to_owned()
}

impl Default for Events {
    fn default() -> Self {
        Self {
            enabled: true,
            path: default_path(),
            namespace: default_namespace(),
            subscribe: Vec::new(),
            qr_events: Vec::new(),
            status_events: Vec::new(),
        }
    }
}

/// What is known about one tenant.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct WhatsAppAccountStatus {
    /// Generation of the spec that this status speaks of; -1 until the operator has seen the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Tenant or user id, or a hash of the e-mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// What of the plan is used, read once a day: reading it counts as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<UsageStatus>,
    /// The subscription, as the provider tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscription: Option<SubscriptionStatus>,
    /// Sessions of this account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sessions: Option<SessionCounts>,
    /// When calls go on, while the provider asked for a pause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<Time>,
    /// `Ready`: calls can be made. `Reconciling`: on the way there. `Stalled`: waiting alone does not help. `Throttled`:
    /// the provider asked for a pause. `EventsConnected`: the event stream is up and understood.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    #[schemars(length(max = 16))]
    pub conditions: Vec<Condition>,
}

/// What of the plan is used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct UsageStatus {
    /// Session slots used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sessions_used: Option<i64>,
    /// Session slots of the plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sessions_limit: Option<i64>,
    /// API requests used of this period's, in steps of 10 percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_percent: Option<i32>,
    /// API requests of the plan in a period.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_limit: Option<i64>,
}

/// The subscription, as the provider tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SubscriptionStatus {
    /// `active`, or whatever else the provider says.
    pub status: String,
    /// The plan's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// When the paid period ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period_end: Option<String>,
}

/// Sessions of an account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionCounts {
    /// Objects that name this account.
    pub managed: i32,
    /// Of these, connected.
    pub connected: i32,
    /// Remote sessions that carry the account's prefix and belong to no object.
    pub unmanaged: i32,
}

impl WhatsAppAccountSpec {
    /// Time between two sweeps while anything is in motion.
    #[must_use]
    pub fn poll_every(&self) -> Duration {
        names::duration(&self.poll_interval).unwrap_or(Duration::from_mins(1)).max(Duration::from_secs(10))
    }

    /// Time between two sweeps while everything is settled and the event stream is live.
    #[must_use]
    pub fn settled_poll_every(&self) -> Duration {
        let poll = self.poll_every();
        self.settled_poll_interval
            .as_deref()
            .and_then(names::duration)
            .map_or_else(|| poll.max(Duration::from_mins(5)), |settled| settled.max(Duration::from_secs(10)))
    }
}
