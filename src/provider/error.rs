//! One error per failed call, with the one class that decides what happens next.

use std::{collections::BTreeMap, fmt, time::Duration};

/// What an answer, or its absence, means. Source: the error table of the provider's Sessions API page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// 400 `VALIDATION_ERROR`.
    Validation,
    /// 401 `UNAUTHORIZED`, and a refused Socket.IO CONNECT.
    Unauthorized,
    /// 403 `FORBIDDEN`, and any 403 that says nothing else.
    Forbidden,
    /// 403 `SUBSCRIPTION_INACTIVE`.
    SubscriptionInactive,
    /// 403 `LIMIT_EXCEEDED` of sessions (or of something unnamed).
    SessionLimit,
    /// 403 `LIMIT_EXCEEDED` of metered API requests.
    RequestLimit,
    /// 404 `NOT_FOUND`.
    NotFound,
    /// 409 `CONFLICT`.
    Conflict,
    /// 429 `RATE_LIMITED`.
    RateLimited,
    /// 500 `INTERNAL_ERROR`.
    Internal,
    /// 502 `WHATSAPP_UNAVAILABLE`.
    Unavailable,
    /// 503, 504, 408 and other 5xx: something between us and the provider.
    Upstream,
    /// No complete answer in time, or the connection broke after the request may have been sent.
    Lost,
    /// The request never left: DNS, connection refused, TLS handshake.
    NotSent,
    /// 2xx whose body cannot be read, is too large, says `success:false` or lacks what it must have.
    Garbled,
    /// 3xx and other 4xx.
    Unexpected,
}

impl Class {
    /// Whether a create that failed so has certainly made nothing. Everything else is Unknown: the list decides.
    #[must_use]
    pub fn definite(self) -> bool {
        match self {
            Self::Validation
            | Self::Unauthorized
            | Self::Forbidden
            | Self::SubscriptionInactive
            | Self::SessionLimit
            | Self::RequestLimit
            | Self::NotFound
            | Self::Conflict
            | Self::RateLimited
            | Self::NotSent
            | Self::Unexpected => true,
            Self::Internal | Self::Unavailable | Self::Upstream | Self::Lost | Self::Garbled => false,
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Validation => "the request was refused as invalid (400)",
            Self::Unauthorized => "the credentials were refused (401)",
            Self::Forbidden => "permission was denied (403)",
            Self::SubscriptionInactive => "the subscription is not active (403)",
            Self::SessionLimit => "the plan's session limit is reached (403)",
            Self::RequestLimit => "the plan's API requests are used up (403)",
            Self::NotFound => "the provider knows no such thing (404)",
            Self::Conflict => "the provider reported a conflict (409)",
            Self::RateLimited => "the provider asked for a pause (429)",
            Self::Internal => "the provider had an internal error (500)",
            Self::Unavailable => "WhatsApp is unavailable at the provider (502)",
            Self::Upstream => "the provider is unavailable (5xx)",
            Self::Lost => "no complete answer came from the provider",
            Self::NotSent => "the provider could not be reached",
            Self::Garbled => "the provider's answer could not be understood",
            Self::Unexpected => "the provider's answer was unexpected",
        })
    }
}

/// A failed call. Its texts are the provider's, cut to 200 characters, without control characters; they are for
/// conditions of 400 and for debug logs, and hold no credential of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{class}")]
pub struct Error {
    /// What it means.
    pub class: Class,
    /// The HTTP status, when there was one.
    pub status: Option<u16>,
    /// The envelope's `message`.
    pub message: String,
    /// The envelope's `errors`, at most 10 fields.
    pub fields: BTreeMap<String, String>,
    /// `Retry-After`, from seconds or a date.
    pub retry_after: Option<Duration>,
}

impl Error {
    /// An error without any text of the provider's.
    #[must_use]
    pub fn of(class: Class) -> Self {
        Self { class, status: None, message: String::new(), fields: BTreeMap::new(), retry_after: None }
    }
}
