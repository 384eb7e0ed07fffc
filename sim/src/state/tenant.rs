//! A tenant of the provider: what it may do, how its events look, and what it owns.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::durations;
use super::session::Session;

/// The shapes of Socket.IO events that gateways of this family send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dialect {
    /// `qr` with `{sessionId, qr}`.
    #[default]
    RawWithId,
    /// `qrcode.updated` with `{data:{session:{id}, qrcode:{code, base64, pairingCode}}}`.
    Wrapped,
    /// `session.qr` with `{session, data:"data:image/png;base64,…"}`.
    DataUrl,
    /// `qr` with two arguments, the id and the code.
    TwoArguments,
    /// `qr_code` with `{sessionId, image}`, the picture as a binary attachment.
    BinaryPng,
    /// `session.status` with the code in the member `qr`; there is no event of its own.
    QrInStatus,
    /// `qr` with the code and nothing that says whose it is.
    Bare,
}

impl Dialect {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::RawWithId,
        Self::Wrapped,
        Self::DataUrl,
        Self::TwoArguments,
        Self::BinaryPng,
        Self::QrInStatus,
        Self::Bare,
    ];
}

/// The two formats of codes in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum QrFormat {
    /// `2@…`.
    #[default]
    Plain,
    /// The same behind `https://wa.me/settings/linked_devices#`.
    WaMe,
}

/// What happens to refresh tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RefreshTokens {
    /// A login gives one; a refresh gives no new one.
    #[default]
    Fixed,
    /// A refresh gives a new one and takes the old one away.
    Rotate,
    /// There are none.
    None,
}

/// What `connect` does while codes are already shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PendingConnect {
    /// 409.
    #[default]
    Conflict,
    /// Success; the current code is sent again.
    Repeat,
    /// Success; a new series of codes begins.
    Restart,
}

/// How long things take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Timings {
    /// Life of the first code.
    #[serde(with = "durations")]
    pub qr_first: Duration,
    /// Life of each later code.
    #[serde(with = "durations")]
    pub qr_next: Duration,
    /// Codes of one connect.
    pub qr_count: u32,
    /// From `connecting` to `connected` for a session that was paired before.
    #[serde(with = "durations")]
    pub reconnect_delay: Duration,
    /// From the scan to the forced restart.
    #[serde(with = "durations")]
    pub restart_after: Duration,
    /// How long the forced restart lasts.
    #[serde(with = "durations")]
    pub restart_for: Duration,
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            qr_first: Duration::from_mins(1),
            qr_next: Duration::from_secs(20),
            qr_count: 6,
            reconnect_delay: Duration::from_secs(1),
            restart_after: Duration::from_secs(1),
            restart_for: Duration::from_secs(3),
        }
    }
}

/// Everything about a tenant that can be changed while the simulator runs.
#[expect(clippy::struct_excessive_bools, reason = "each is an independent switch that a person flips by name")]
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct TenantSettings {
    /// Login.
    pub email: String,
    /// Login.
    pub password: String,
    /// Key for `/api/external/*`.
    pub api_key: String,
    /// Session slots of the plan.
    pub session_limit: u64,
    /// Metered API requests of the period.
    pub request_limit: u64,
    /// Metered requests in a minute; more get 429.
    pub rate_per_minute: Option<u64>,
    /// `active` and `trialing` may use the API.
    pub subscription: String,
    /// Whether calls that change something are forbidden.
    pub read_only: bool,
    /// Shape of the events.
    pub dialect: Dialect,
    /// Format of the codes.
    pub qr_format: QrFormat,
    /// Whether the socket keeps silent about codes.
    pub mute_qr: bool,
    /// Whether the socket keeps silent about states.
    pub mute_status: bool,
    /// Whether a new socket is told the current codes.
    pub replay_qr: bool,
    /// Life of access tokens.
    #[serde(with = "durations")]
    pub token_lifetime: Duration,
    /// What happens to refresh tokens.
    pub refresh_tokens: RefreshTokens,
    /// Whether access tokens are opaque instead of JWTs.
    pub opaque_tokens: bool,
    /// Whether a second session of the same name is a conflict.
    pub reject_duplicate_names: bool,
    /// What `connect` does while codes are already shown.
    pub pending_connect: PendingConnect,
    /// Whether disconnecting what is not connected succeeds.
    pub idempotent_disconnect: bool,
    /// Whether a scan is followed by a forced restart.
    pub restart_after_scan: bool,
    /// How long things take.
    pub timings: Timings,
}

impl std::fmt::Debug for TenantSettings {
    /// Without the password and the key: debug output ends up in logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TenantSettings")
            .field("email", &self.email)
            .field("subscription", &self.subscription)
            .field("dialect", &self.dialect)
            .field("timings", &self.timings)
            .finish_non_exhaustive()
    }
}

impl Default for TenantSettings {
    fn default() -> Self {
        Self {
            email: "demo@example.com".to_owned(),
            password: "demo-password".to_owned(),
            api_key: "awp_demo".to_owned(),
            session_limit: 5,
            request_limit: 100_000,
            rate_per_minute: None,
            subscription: "active".to_owned(),
            read_only: false,
            dialect: Dialect::default(),
            qr_format: QrFormat::default(),
            mute_qr: false,
            mute_status: false,
            replay_qr: false,
            token_lifetime: Duration::from_hours(7 * 24),
            refresh_tokens: RefreshTokens::default(),
            opaque_tokens: false,
            reject_duplicate_names: false,
            pending_connect: PendingConnect::default(),
            idempotent_disconnect: false,
            restart_after_scan: false,
            timings: Timings::default(),
        }
    }
}

impl TenantSettings {
    /// Settings for a further tenant, whose credentials follow from its name: `NAME@example.com`, `NAME-password`, `awp_NAME`.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self {
            email: format!("{name}@example.com"),
            password: format!("{name}-password"),
            api_key: format!("awp_{name}"),
            ..Self::default()
        }
    }

    /// Whether the subscription lets the API be used.
    #[must_use]
    pub fn is_entitled(&self) -> bool {
        matches!(self.subscription.as_str(), "active" | "trialing")
    }
}

/// A tenant and what it owns.
#[derive(Debug, Clone)]
pub struct Tenant {
    /// The `tenantId` of its tokens.
    pub id: String,
    /// The `sub` of its tokens.
    pub user_id: String,
    /// What the admin API calls it.
    pub name: String,
    /// What can be changed about it.
    pub settings: TenantSettings,
    /// In the order of creation.
    pub sessions: Vec<Session>,
    /// Metered requests so far.
    pub requests_used: u64,
    pub(super) minute: u64,
    pub(super) requests_this_minute: u64,
}

impl Tenant {
    /// The session of that id.
    #[must_use]
    pub fn session(&self, id: &str) -> Option<&Session> {
        self.sessions.iter().find(|session| session.id == id)
    }

    pub(super) fn session_mut(&mut self, id: &str) -> Option<&mut Session> {
        self.sessions.iter_mut().find(|session| session.id == id)
    }
}
