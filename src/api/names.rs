//! Every name that others may come to depend on: groups, finalizers, annotations, Secret types and keys.

use std::time::Duration;

use unicode_normalization::UnicodeNormalization;

/// API group of both kinds.
pub const GROUP: &str = "actiwapi.com";
/// Served and stored version.
pub const VERSION: &str = "v1alpha1";
/// Field manager of every write of the operator.
pub const MANAGER: &str = "whatsapp-operator";
/// Finalizer of a session: the remote side is disconnected before the object goes.
pub const SESSION_FINALIZER: &str = "actiwapi.com/session";
/// Finalizer of an account: it stays while a session of its needs it to end.
pub const ACCOUNT_FINALIZER: &str = "actiwapi.com/account";
/// A change to a new value opens a pairing window.
pub const PAIR_REQUESTED_AT: &str = "actiwapi.com/pair-requested-at";
/// A change to a new value forgets the backoff and reads everything afresh.
pub const RECONCILE_REQUESTED_AT: &str = "actiwapi.com/reconcile-requested-at";
/// Type of the Secret that an account takes its credentials from.
pub const CREDENTIALS_TYPE: &str = "actiwapi.com/credentials";
/// Type of the Secret that a pairing QR is published in.
pub const QR_TYPE: &str = "actiwapi.com/qr";
/// Base URL of an account that names none.
pub const DEFAULT_BASE_URL: &str = "https://api.actiwapi.com";
/// Account of a session that names none.
pub const DEFAULT_ACCOUNT: &str = "default";
/// Most characters of a remote name, prefix included.
pub const REMOTE_NAME_MAX: usize = 100;

/// A Go-style duration such as `90s` or `1h30m`, as the fields of the API hold it; `None` if it is not one.
#[must_use]
pub fn duration(text: &str) -> Option<Duration> {
    let parsed = (!text.is_empty()).then(|| text.parse::<kube::core::Duration>().ok())??;
    (!parsed.is_negative()).then(|| parsed.into())
}

/// The form in which two remote names are compared: trimmed and NFC.
#[must_use]
pub fn normal(name: &str) -> String {
    name.trim().nfc().collect()
}

/// Quotes provider or user text for a message: at most `max` characters, no control characters.
#[must_use]
pub fn printable(text: &str, max: usize) -> String {
    let mut out: String = text.chars().filter(|c| !c.is_control()).take(max).collect();
    if text.chars().filter(|c| !c.is_control()).nth(max).is_some() {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_style_durations_are_read() {
        for (text, seconds) in [("10s", 10), ("10m", 600), ("1h30m", 5400), ("90s", 90)] {
            assert_eq!(duration(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "ten", "10", "10d", "-10s"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn names_compare_trimmed_and_composed() {
        assert_eq!(normal(" Zu\u{308}rich "), normal("Zürich"));
        assert_ne!(normal("Sales"), normal("sales"));
    }
}
