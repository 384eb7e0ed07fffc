//! A session slot and its state.

use std::time::Duration;

/// The states of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// Not connected; may or may not hold credentials.
    Disconnected,
    /// Codes are shown.
    QrPending,
    /// Reconnecting with credentials.
    Connecting,
    /// Live.
    Connected,
    /// The phone removed the device.
    LoggedOut,
    /// `WhatsApp` banned the number.
    Banned,
    /// Any other word, set from outside.
    Other(String),
}

impl Status {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Disconnected => "disconnected",
            Self::QrPending => "qr_pending",
            Self::Connecting => "connecting",
            Self::Connected => "connected",
            Self::LoggedOut => "logged_out",
            Self::Banned => "banned",
            Self::Other(word) => word,
        }
    }

    /// The state of that word.
    #[must_use]
    pub fn from_word(word: &str) -> Self {
        match word {
            "disconnected" => Self::Disconnected,
            "qr_pending" => Self::QrPending,
            "connecting" => Self::Connecting,
            "connected" => Self::Connected,
            "logged_out" => Self::LoggedOut,
            "banned" => Self::Banned,
            other => Self::Other(other.to_owned()),
        }
    }
}

/// The code that is shown.
#[derive(Clone, PartialEq, Eq)]
pub struct ShownCode {
    /// The exact string in the picture.
    pub code: String,
    /// Which one of the series, from 1.
    pub number: u32,
    /// When it stops working, since the start.
    pub expires_at: Duration,
}

impl std::fmt::Debug for ShownCode {
    /// Without the code, which links a device to whoever reads it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ShownCode")
            .field("number", &self.number)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// What a session does by itself, later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Alarm {
    /// The shown code expires.
    CodeExpires,
    /// A reconnect with credentials ends.
    ReconnectEnds,
    /// The forced restart after a scan begins.
    RestartBegins,
    /// The forced restart after a scan ends.
    RestartEnds,
}

/// A session slot.
#[derive(Debug, Clone)]
pub struct Session {
    /// UUID.
    pub id: String,
    /// Not necessarily unique.
    pub name: String,
    /// Its state.
    pub status: Status,
    /// Digits with country code, no `+`.
    pub phone_number: Option<String>,
    /// Whether it was paired and can connect without a code.
    pub has_credentials: bool,
    /// Whether every connect ends in a ban.
    pub banned: bool,
    /// The code that is shown while it is pairing.
    pub shown: Option<ShownCode>,
    pub(super) alarm: Option<(Duration, Alarm)>,
}

impl Session {
    pub(super) fn new(id: String, name: String) -> Self {
        Self {
            id,
            name,
            status: Status::Disconnected,
            phone_number: None,
            has_credentials: false,
            banned: false,
            shown: None,
            alarm: None,
        }
    }

    /// The live truth, as the API tells it.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.status == Status::Connected
    }
}
