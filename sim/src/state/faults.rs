//! Failures on demand: which calls they hit and what they do.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::durations;

/// The calls of the API by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Route {
    /// `GET /api/v1/whatsapp`
    List,
    /// `POST /api/v1/whatsapp`
    Create,
    /// `POST /api/v1/whatsapp/{id}/connect`
    Connect,
    /// `GET /api/v1/whatsapp/{id}/status`
    Status,
    /// `POST /api/v1/whatsapp/{id}/disconnect`
    Disconnect,
    /// `GET /api/external/sessions`
    External,
    /// `POST /api/auth/login`
    Login,
    /// `POST /api/auth/refresh`
    Refresh,
    /// `GET /api/billing/usage`
    Usage,
    /// `GET /api/billing/subscription`
    Subscription,
    /// The Socket.IO handshake and CONNECT.
    Socket,
    /// Anything else.
    Unknown,
}

impl Route {
    /// The name in the admin API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Create => "create",
            Self::Connect => "connect",
            Self::Status => "status",
            Self::Disconnect => "disconnect",
            Self::External => "external",
            Self::Login => "login",
            Self::Refresh => "refresh",
            Self::Usage => "usage",
            Self::Subscription => "subscription",
            Self::Socket => "socket",
            Self::Unknown => "unknown",
        }
    }
}

/// The header `Retry-After` of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum RetryAfter {
    /// A number of seconds.
    Seconds(u64),
    /// An HTTP date this many seconds in the future.
    #[serde(rename_all = "camelCase")]
    Date {
        /// How far in the future.
        date_in: u64,
    },
    /// Exactly this text.
    Text(String),
}

/// What a fault does to a call.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum FaultAction {
    /// Nothing; for faults that only delay.
    #[default]
    Pass,
    /// An error answer.
    Status {
        /// The HTTP status.
        status: u16,
        /// `code` of the body, also chooses the default message; without it the body has a code only if the API gives codes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<String>,
        /// `message` of the body.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
        /// The header.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after: Option<RetryAfter>,
        /// Whether the call has its effect all the same.
        #[serde(default)]
        apply: bool,
    },
    /// The connection is reset; the call has no effect.
    ResetBefore,
    /// The call has its effect, then the connection is reset without an answer.
    ResetAfter,
    /// The call has its effect; the answer is 200 with a body that is no JSON.
    Garbage,
    /// The call has its effect; the answer is 200 with an empty body.
    EmptyBody,
    /// The call has its effect; the answer is 201 with a session that has no `id`.
    NoId,
    /// The Socket.IO CONNECT is refused although the token is good.
    Refuse {
        /// `message` of the refusal.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
    },
}

impl FaultAction {
    /// Whether the call has its effect.
    #[must_use]
    pub fn applies(&self) -> bool {
        match self {
            Self::Pass | Self::ResetAfter | Self::Garbage | Self::EmptyBody | Self::NoId => true,
            Self::Status { apply, .. } => *apply,
            Self::ResetBefore | Self::Refuse { .. } => false,
        }
    }

    /// An error answer with the defaults of its status.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self::Status { status, code: None, message: None, retry_after: None, apply: false }
    }
}

/// A failure on demand.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Fault {
    /// The calls it hits; all without it.
    pub route: Option<Route>,
    /// The tenant it hits, by name; all without it.
    pub tenant: Option<String>,
    /// The session it hits, by id; all without it.
    pub session: Option<String>,
    /// What it does.
    pub action: FaultAction,
    /// How long the call waits before it has its effect.
    #[serde(with = "durations")]
    pub delay: Duration,
    /// How long the answer waits after that.
    #[serde(with = "durations")]
    pub delay_after: Duration,
    /// How many calls it lets through first.
    pub skip: u32,
    /// How many calls it hits; until cleared without it.
    pub times: Option<u32>,
}

impl Fault {
    /// A fault for every call of a route, until cleared.
    #[must_use]
    pub fn on(route: Route, action: FaultAction) -> Self {
        Self { route: Some(route), action, ..Self::default() }
    }

    /// The same, but for so many calls only.
    #[must_use]
    pub fn times(self, times: u32) -> Self {
        Self { times: Some(times), ..self }
    }

    /// The same, but for one tenant only.
    #[must_use]
    pub fn tenant(self, name: &str) -> Self {
        Self { tenant: Some(name.to_owned()), ..self }
    }
}

/// A fault that is set, and what is left of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ArmedFault {
    /// To clear it by.
    pub id: u64,
    /// Calls it hit so far.
    pub hits: u32,
    /// What was asked for; `skip` and `times` count down.
    pub fault: Fault,
}

/// The faults that are set, oldest first: the first that matches wins.
#[derive(Debug, Default)]
pub(super) struct Faults {
    armed: Vec<ArmedFault>,
    next_id: u64,
}

/// What a fault is matched against.
pub(super) struct Occasion<'a> {
    pub route: Route,
    pub tenant: Option<&'a str>,
    pub session: Option<&'a str>,
    /// The CONNECT of Socket.IO, which comes after the HTTP handshake.
    pub is_connect_packet: bool,
}

impl Faults {
    pub(super) fn arm(&mut self, fault: Fault) -> u64 {
        self.next_id += 1;
        self.armed.push(ArmedFault { id: self.next_id, hits: 0, fault });
        self.next_id
    }

    pub(super) fn list(&self) -> &[ArmedFault] {
        &self.armed
    }

    pub(super) fn clear(&mut self, id: Option<u64>) -> usize {
        let before = self.armed.len();
        self.armed.retain(|armed| id.is_some_and(|id| armed.id != id));
        before - self.armed.len()
    }

    pub(super) fn take(&mut self, occasion: &Occasion<'_>) -> Option<Fault> {
        let matches = |wanted: Option<&str>, actual: Option<&str>| wanted.is_none() || wanted == actual;
        let found = self.armed.iter_mut().find(|armed| {
            let fault = &armed.fault;
            fault.times != Some(0)
                && fault.route.is_none_or(|route| route == occasion.route)
                && matches(fault.tenant.as_deref(), occasion.tenant)
                && matches(fault.session.as_deref(), occasion.session)
                && occasion.is_connect_packet == matches!(fault.action, FaultAction::Refuse { .. })
        })?;
        if found.fault.skip > 0 {
            found.fault.skip -= 1;
            return None;
        }
        found.hits += 1;
        if let Some(times) = &mut found.fault.times {
            *times -= 1;
        }
        Some(found.fault.clone())
    }
}
