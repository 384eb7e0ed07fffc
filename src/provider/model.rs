//! What the provider talks about, in types that cannot leak a credential by accident.

use std::{fmt, str::FromStr, time::Duration};

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

macro_rules! secret {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $name(SecretString);

        impl $name {
            /// Takes a secret into custody.
            pub fn new(secret: impl Into<String>) -> Self {
                Self(SecretString::from(secret.into()))
            }

            /// The secret itself, for the one place that sends it.
            #[must_use]
            pub fn expose(&self) -> &str {
                self.0.expose_secret()
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(redacted)"))
            }
        }

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.expose() == other.expose()
            }
        }

        impl Eq for $name {}
    };
}

secret!(
    /// An access or refresh token.
    Token
);
secret!(
    /// A key for `/api/external/*`.
    ApiKey
);
secret!(
    /// A login password.
    Password
);

/// The provider's id of a session: 1 to 64 characters of `[A-Za-z0-9_-]`, so it is one URL segment as it stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SessionId(String);

/// An id that no URL may be built from.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a session id has 1 to 64 characters of A-Z a-z 0-9 _ -")]
pub struct InvalidSessionId;

impl SessionId {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SessionId {
    type Err = InvalidSessionId;

    fn from_str(text: &str) -> Result<Self, InvalidSessionId> {
        let fits =
            (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        if fits { Ok(Self(text.to_owned())) } else { Err(InvalidSessionId) }
    }
}

impl TryFrom<String> for SessionId {
    type Error = InvalidSessionId;

    fn try_from(text: String) -> Result<Self, InvalidSessionId> {
        text.parse()
    }
}

impl From<SessionId> for String {
    fn from(id: SessionId) -> Self {
        id.0
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Digits with country code, no `+`. Personal data: `Debug` shows the last two digits only.
#[derive(Clone, PartialEq, Eq)]
pub struct Phone(String);

impl Phone {
    /// Keeps the digits of `text`; `None` without any.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits: String = text.chars().filter(char::is_ascii_digit).take(20).collect();
        if digits.is_empty() { None } else { Some(Self(digits)) }
    }

    /// The digits.
    #[must_use]
    pub fn digits(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Phone(…{})", self.0.get(self.0.len().saturating_sub(2)..).unwrap_or(""))
    }
}

/// What a session is doing, from the provider's `status` text and `connected` flag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Liveness {
    /// A phone is linked and online.
    Connected,
    /// Between two states: connecting, initializing, syncing, a restart.
    Connecting,
    /// QR codes are being shown.
    QrPending,
    /// Offline.
    Disconnected,
    /// The phone's owner removed the link: only a new pairing helps.
    LoggedOut,
    /// The number is banned by `WhatsApp`.
    Banned,
    /// Another client took the session over.
    Replaced,
    /// The provider says it failed; trying again may help.
    Failed,
    /// A word this version does not know, kept as the provider wrote it (at most 64 characters).
    Other(String),
}

/// One session as the provider described it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteSession {
    /// The provider's id.
    pub id: SessionId,
    /// The name, trimmed and NFC; empty where the answer carries none.
    pub name: String,
    /// What it is doing. The `connected` flag, where present, beats the text.
    pub liveness: Liveness,
    /// The linked phone.
    pub phone: Option<Phone>,
}

/// One page of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The sessions of this page; entries that cannot be read are counted in `unreadable`.
    pub sessions: Vec<RemoteSession>,
    /// Entries without a usable id: such a page proves no absence.
    pub unreadable: usize,
    /// The page size the provider says it used.
    pub limit: Option<u32>,
    /// How many sessions there are in all.
    pub total: Option<u64>,
}

/// What login or refresh gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tokens {
    /// For `Authorization: Bearer`.
    pub access: Token,
    /// For `POST /api/auth/refresh`, when one was given.
    pub refresh: Option<Token>,
    /// Lifetime of `access` from now: the token's own `exp` where it parses, else `expiresIn`.
    pub expires_in: Option<Duration>,
    /// Tenant or user id, from the answer or the token's claims.
    pub identity: Option<String>,
}

/// `GET /api/billing/usage`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Session slots used and allowed.
    pub sessions: Option<(u64, u64)>,
    /// API requests used and allowed in this period.
    pub requests: Option<(u64, u64)>,
}

/// `GET /api/billing/subscription`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// `active`, or whatever else the provider says.
    pub status: String,
    /// The plan's name.
    pub plan: Option<String>,
    /// RFC 3339, as the provider wrote it.
    pub period_end: Option<String>,
}

/// A pairing credential. `Debug` never shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Qr {
    /// The code itself.
    pub content: QrContent,
    /// An eight-character code to type instead, where the provider gives one.
    pub pairing_code: Option<Token>,
}

/// The two forms in which a QR arrives.
#[derive(Clone, PartialEq, Eq)]
pub enum QrContent {
    /// The exact string to draw.
    Raw(String),
    /// A PNG picture, checked for its magic and size (256 KiB), not decoded yet.
    Png(Vec<u8>),
}

impl fmt::Debug for Qr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Qr(redacted)")
    }
}

impl fmt::Debug for QrContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("QrContent(redacted)")
    }
}

/// What the socket says, already decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SocketEvent {
    /// The server accepted us: events flow from here on.
    Live,
    /// A QR or pairing code; `session` is `None` when the payload names none.
    Qr {
        /// The session it belongs to.
        session: Option<SessionId>,
        /// The credential.
        qr: Qr,
    },
    /// Something about a session changed: a hint, never the truth.
    Status {
        /// The session it is about.
        session: Option<SessionId>,
        /// What the event claims, when it could be read.
        claims: Option<Liveness>,
    },
}
