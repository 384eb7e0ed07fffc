//! What an event's name says before its payload is looked at.

use crate::provider::{EventsConfig, Liveness};

/// Topics whose status is not a session's: `message.status`, `campaign.status` and the like come in masses.
const OTHER_TOPICS: &[&str] = &[
    "message",
    "messages",
    "msg",
    "campaign",
    "campaigns",
    "contact",
    "contacts",
    "chat",
    "chats",
    "group",
    "groups",
    "presence",
    "call",
    "calls",
    "story",
    "stories",
    "broadcast",
    "webhook",
    "receipt",
    "delivery",
    "label",
    "labels",
    "typing",
    "payment",
    "billing",
    "import",
    "export",
];
/// One of these makes a name one of a session's status.
const STATUS: &[&str] = &[
    "status",
    "state",
    "connection",
    "connected",
    "connecting",
    "disconnect",
    "disconnected",
    "ready",
    "online",
    "offline",
    "authenticated",
    "unauthenticated",
    "logout",
    "loggedout",
    "logged",
    "banned",
    "replaced",
    "conflict",
];

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Topic {
    /// Its name speaks of a QR code or of pairing: every value in it may be one.
    pub codes: bool,
    /// Its name speaks of pairing codes: a bare string may be one.
    pub pairing: bool,
    /// Its name speaks of a session's status.
    pub status: bool,
}

/// `None` for the many events that are none of ours. A code in one of those is not taken: a message whose text is a
/// QR string must not pair anything.
pub(super) fn topic(name: &str, events: &EventsConfig) -> Option<Topic> {
    let configured = |names: &[String]| names.iter().any(|known| known.trim().eq_ignore_ascii_case(name.trim()));
    let words = words(name);
    let has = |known: &[&str]| words.iter().any(|word| known.contains(&word.as_str()));
    let foreign = has(OTHER_TOPICS);
    let pairing = !foreign && speaks_of_pairing(&words);
    let codes = pairing || (!foreign && speaks_of_qr(&words)) || configured(&events.qr_events);
    let session_changed = has(&["session", "sessions", "instance"]) && has(&["update", "updated", "change", "changed"]);
    let auth_failed = has(&["auth"]) && has(&["failure", "failed", "error"]);
    let status = !foreign && (has(STATUS) || session_changed || auth_failed) || configured(&events.status_events);
    (codes || status).then_some(Topic { codes, pairing, status })
}

/// What the name alone claims: `session.connected`, `ready`, `logged-out`.
pub(super) fn claims(name: &str) -> Option<Liveness> {
    let words = words(name);
    let has = |known: &[&str]| words.iter().any(|word| known.contains(&word.as_str()));
    let both = |one: &str, other: &str| has(&[one]) && has(&[other]);
    // The gravest first: `session.disconnected.banned` is a ban.
    if has(&["banned"]) {
        Some(Liveness::Banned)
    } else if has(&["logout", "loggedout", "unauthenticated"]) || both("logged", "out") {
        Some(Liveness::LoggedOut)
    } else if has(&["replaced", "conflict"]) {
        Some(Liveness::Replaced)
    } else if has(&["auth"]) && has(&["failure", "failed", "error"]) {
        Some(Liveness::Failed)
    } else if has(&["disconnect", "disconnected", "offline"]) || (both("connection", "closed")) {
        Some(Liveness::Disconnected)
    } else if has(&["connecting", "authenticated"]) {
        Some(Liveness::Connecting)
    } else if has(&["connected", "ready", "online"]) || both("connection", "open") {
        Some(Liveness::Connected)
    } else {
        None
    }
}

/// A name or key that speaks of a QR code.
pub(super) fn speaks_of_qr(words: &[String]) -> bool {
    words.iter().any(|word| matches!(word.as_str(), "qr" | "qrcode" | "qrcodes" | "qrs"))
}

/// A name or key that speaks of a pairing code.
pub(super) fn speaks_of_pairing(words: &[String]) -> bool {
    words.iter().any(|word| matches!(word.as_str(), "pairing" | "pair" | "paircode" | "pairingcode"))
}

/// A key under which pairing codes come next to a QR.
pub(super) fn speaks_of_code(words: &[String]) -> bool {
    words.iter().any(|word| word == "code")
}

/// The words of a name in lower case, split at everything that is no letter or digit and at camel case, once with
/// and once without splitting runs of capitals: `gotQRcode` speaks of `qrcode` and `QRUpdated` of `qr`.
pub(super) fn words(name: &str) -> Vec<String> {
    let mut found = Vec::new();
    for part in name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| !part.is_empty()).take(16) {
        for runs in [true, false] {
            for word in humps(part, runs) {
                if !found.contains(&word) {
                    found.push(word);
                }
            }
        }
    }
    found
}

/// Splits before a capital that follows a small letter, and with `runs` before the last capital of a run as well.
fn humps(part: &str, runs: bool) -> Vec<String> {
    let letters: Vec<char> = part.chars().take(64).collect();
    let mut words = vec![String::new()];
    for (at, letter) in letters.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|at| letters.get(at));
        let after = letters.get(at + 1);
        let hump = before.is_some_and(|before| !before.is_ascii_uppercase())
            || (runs && after.is_some_and(char::is_ascii_lowercase));
        if at > 0 && letter.is_ascii_uppercase() && hump {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut() {
            word.push(letter.to_ascii_lowercase());
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn no_extras() -> EventsConfig {
        EventsConfig {
            path: "/socket.io/".to_owned(),
            namespace: "/".to_owned(),
            subscribe: Vec::new(),
            qr_events: vec!["session.scan".to_owned()],
            status_events: vec!["heartbeat-x".to_owned()],
        }
    }

    #[test]
    fn names_of_codes() {
        for name in [
            "qr",
            "QR",
            "qrcode",
            "qr_code",
            "qrCode",
            "QRCode",
            "qr-code",
            "session.qr",
            "session:qr",
            "whatsapp:qr",
            "qrcode.updated",
            "QRCODE_UPDATED",
            "gotQRcode",
            "QRUpdated",
            "sessionQr",
            "qr.updated",
            "session.scan",
            "Session.Scan",
            "pairing_code",
            "pairingCode",
            "wa/qr",
        ] {
            assert!(topic(name, &no_extras()).is_some_and(|topic| topic.codes), "{name}");
        }
        for name in ["", "message", "qrs4all", "squire", "acquired", "message.qr", "campaign.status", "🦀"] {
            assert!(!topic(name, &no_extras()).is_some_and(|topic| topic.codes), "{name}");
        }
    }

    #[test]
    fn names_of_status() {
        for name in [
            "session.status",
            "session:status",
            "whatsapp:status",
            "status-update",
            "connection.update",
            "session.connected",
            "session.disconnected",
            "ready",
            "authenticated",
            "disconnected",
            "sessionStatus",
            "session_updated",
            "CONNECTION_UPDATE",
            "auth_failure",
            "logged_out",
            "state_change",
            "heartbeat-x",
        ] {
            assert!(topic(name, &no_extras()).is_some_and(|topic| topic.status && !topic.codes), "{name}");
        }
        for name in ["message.status", "messages.update", "campaign:status", "presence.update", "already", "session"] {
            assert_eq!(topic(name, &no_extras()), None, "{name}");
        }
    }

    #[test]
    fn what_names_claim() {
        let table = [
            ("session.connected", Some(Liveness::Connected)),
            ("ready", Some(Liveness::Connected)),
            ("session.disconnected", Some(Liveness::Disconnected)),
            ("disconnected", Some(Liveness::Disconnected)),
            ("authenticated", Some(Liveness::Connecting)),
            ("session.logged_out", Some(Liveness::LoggedOut)),
            ("sessionLoggedOut", Some(Liveness::LoggedOut)),
            ("logout", Some(Liveness::LoggedOut)),
            ("session.banned", Some(Liveness::Banned)),
            ("session.replaced", Some(Liveness::Replaced)),
            ("auth_failure", Some(Liveness::Failed)),
            ("session.status", None),
            ("connection.update", None),
        ];
        for (name, expected) in table {
            assert_eq!(claims(name), expected, "{name}");
        }
    }
}
