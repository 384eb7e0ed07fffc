//! The provider's JSON, read tolerantly where its pages are silent and strictly everywhere else.
//!
//! Everything here is a pure function of the bytes and never panics, whatever they are. Source: the provider's
//! Sessions API page, and its authentication and billing pages.

mod refusal;
mod token;

#[cfg(test)]
mod tests;

use std::time::SystemTime;

use serde_json::{Map, Value};
use unicode_normalization::UnicodeNormalization;

pub use refusal::{clean, retry_after};
pub use token::{Claims, claims, life};

use super::{Class, Error, Liveness, Page, Phone, RemoteSession, SessionId, Subscription, Tokens, Usage};

/// Longest status word that is kept, in characters.
const WORD: usize = 64;
/// Longest text of the provider's that is kept, in characters.
const TEXT: usize = 200;

/// What came back for one call. Has no `Debug`: the body of a login holds tokens.
#[derive(Clone, Copy)]
pub struct Answer<'a> {
    /// The HTTP status.
    pub status: u16,
    /// The `Retry-After` header, as it stands.
    pub retry_after: Option<&'a str>,
    /// The wall time at which the answer arrived.
    pub now: SystemTime,
    /// The credential that was sent: cut out of every text of an error, should the provider echo it.
    pub secret: &'a str,
    /// The body, whole.
    pub body: &'a [u8],
}

impl Answer<'_> {
    fn garbled(&self) -> Error {
        Error { status: Some(self.status), ..Error::of(Class::Garbled) }
    }

    /// The body of a 2xx answer as JSON.
    fn json(&self) -> Result<Value, Error> {
        if !(200..300).contains(&self.status) {
            return Err(refusal::error(self));
        }
        serde_json::from_slice(self.body).map_err(|_| self.garbled())
    }

    /// The members of a success envelope. Without `success`, only one that carries `data` is believed.
    fn envelope(&self) -> Result<Map<String, Value>, Error> {
        match self.json()? {
            Value::Object(envelope) => self.believe(envelope),
            _ => Err(self.garbled()),
        }
    }

    fn believe(&self, envelope: Map<String, Value>) -> Result<Map<String, Value>, Error> {
        match envelope.get("success") {
            Some(Value::Bool(true)) => Ok(envelope),
            None if envelope.contains_key("data") => Ok(envelope),
            _ => Err(Error { class: Class::Garbled, ..refusal::error(self) }),
        }
    }

    /// The envelope's `data`, which must be an object.
    fn data(&self) -> Result<Map<String, Value>, Error> {
        match self.envelope()?.remove("data") {
            Some(Value::Object(data)) => Ok(data),
            _ => Err(self.garbled()),
        }
    }
}

/// Reads the answer of `POST /api/auth/login` and `POST /api/auth/refresh`.
///
/// # Errors
/// The provider's refusal, or [`Class::Garbled`] without an access token that fits into a header.
pub fn parse_tokens(answer: &Answer<'_>) -> Result<Tokens, Error> {
    token::tokens(&answer.data()?, answer.now).ok_or_else(|| answer.garbled())
}

/// Reads one page of `GET /api/v1/whatsapp`. Entries without a usable id are counted, not read.
///
/// # Errors
/// The provider's refusal, or [`Class::Garbled`] when `data` is no array.
pub fn parse_page(answer: &Answer<'_>) -> Result<Page, Error> {
    let envelope = answer.envelope()?;
    let Some(Value::Array(entries)) = envelope.get("data") else { return Err(answer.garbled()) };
    let sessions: Vec<RemoteSession> = entries.iter().filter_map(session).collect();
    let told = |member: &str| envelope.get("pagination").and_then(|p| p.get(member)).and_then(number);
    Ok(Page {
        unreadable: entries.len() - sessions.len(),
        sessions,
        limit: told("limit").and_then(|limit| u32::try_from(limit).ok()),
        total: told("total"),
    })
}

/// Reads the answer of `POST /api/v1/whatsapp`.
///
/// # Errors
/// The provider's refusal, or [`Class::Garbled`] when the answer carries no id.
pub fn parse_created(answer: &Answer<'_>) -> Result<RemoteSession, Error> {
    session(&Value::Object(answer.data()?)).ok_or_else(|| answer.garbled())
}

/// Reads the answer of `GET /api/v1/whatsapp/{id}/status`.
///
/// # Errors
/// The provider's refusal, or [`Class::Garbled`] when the answer is not about `asked`.
pub fn parse_status(answer: &Answer<'_>, asked: &SessionId) -> Result<RemoteSession, Error> {
    session(&Value::Object(answer.data()?)).filter(|told| told.id == *asked).ok_or_else(|| answer.garbled())
}

/// Reads an answer of which only the success counts: connect and disconnect.
///
/// # Errors
/// The provider's refusal, or [`Class::Garbled`] when a body does not say success.
pub fn parse_done(answer: &Answer<'_>) -> Result<(), Error> {
    if answer.status == 204 { Ok(()) } else { answer.envelope().map(drop) }
}

/// Reads the answer of `GET /api/external/sessions`, which is documented as an envelope and seen as a bare array.
///
/// # Errors
/// The provider's refusal, or [`Class::Garbled`] when there is no array or an entry has no usable id: a list that
/// leaves sessions out silently would prove an absence.
pub fn parse_external(answer: &Answer<'_>) -> Result<Vec<RemoteSession>, Error> {
    let entries = match answer.json()? {
        Value::Array(entries) => entries,
        Value::Object(envelope) => match answer.believe(envelope)?.remove("data") {
            Some(Value::Array(entries)) => entries,
            _ => return Err(answer.garbled()),
        },
        _ => return Err(answer.garbled()),
    };
    entries.iter().map(|entry| session(entry).ok_or_else(|| answer.garbled())).collect()
}

/// Reads the answer of `GET /api/billing/usage`. A meter without both numbers is not told.
///
/// # Errors
/// The provider's refusal, or [`Class::Garbled`] when there is no object `data`.
pub fn parse_usage(answer: &Answer<'_>) -> Result<Usage, Error> {
    let data = answer.data()?;
    let meter = |name: &str| {
        let meter = data.get(name)?;
        Some((number(meter.get("used")?)?, number(meter.get("limit")?)?))
    };
    Ok(Usage { sessions: meter("sessions"), requests: meter("apiRequests") })
}

/// Reads the answer of `GET /api/billing/subscription`.
///
/// # Errors
/// The provider's refusal, or [`Class::Garbled`] without a `status`.
pub fn parse_subscription(answer: &Answer<'_>) -> Result<Subscription, Error> {
    let data = answer.data()?;
    let text = |value: &Value| value.as_str().map(|text| clean(text, TEXT)).filter(|text| !text.is_empty());
    let plan = data.get("plan");
    Ok(Subscription {
        status: data.get("status").and_then(text).ok_or_else(|| answer.garbled())?,
        plan: plan
            .and_then(|plan| plan.get("name").and_then(text).or_else(|| plan.get("slug").and_then(text)))
            .or_else(|| plan.and_then(text)),
        period_end: data.get("currentPeriodEnd").and_then(text),
    })
}

/// A name as it is compared: trimmed and NFC, so that two spellings of one name are one name.
#[must_use]
pub fn name(text: &str) -> String {
    text.trim().nfc().collect()
}

/// What a session is doing, from the provider's `status` text and its `connected` flag.
///
/// The flag is the live truth and the text may be historic: `true` beats every word, and with `false` the word
/// `connected` counts as disconnected; other words keep their meaning. Case and separators do not count.
#[must_use]
pub fn liveness(status: Option<&str>, connected: Option<bool>) -> Liveness {
    let status = status.unwrap_or("").trim();
    match connected {
        Some(true) => Liveness::Connected,
        Some(false) if status.is_empty() => Liveness::Disconnected,
        Some(false) => match word(status) {
            Liveness::Connected => Liveness::Disconnected,
            other => other,
        },
        None => word(status),
    }
}

fn word(status: &str) -> Liveness {
    // Every known word is far shorter; the cut keeps a huge text from being copied.
    let folded: String =
        status.chars().filter(char::is_ascii_alphanumeric).take(WORD).map(|c| c.to_ascii_lowercase()).collect();
    match folded.as_str() {
        "connected" | "open" | "online" | "ready" | "working" => Liveness::Connected,
        "disconnected" | "disconnect" | "notconnected" | "closed" | "close" | "offline" | "inactive" | "stopped"
        | "created" => Liveness::Disconnected,
        "qrpending" | "pendingqr" | "qr" | "qrcode" | "qrready" | "qrreceived" | "scanqr" | "scanqrcode"
        | "awaitingscan" | "awaitingqr" | "waitingqr" | "waitingscan" | "waitingforscan" | "waitingforqr"
        | "pairing" => Liveness::QrPending,
        "connecting" | "initializing" | "initialising" | "starting" | "opening" | "reconnecting" | "restarting"
        | "syncing" | "loading" | "launching" | "authenticating" | "authenticated" => Liveness::Connecting,
        "loggedout" | "logout" | "loggedoff" | "signedout" | "unpaired" | "unlinked" | "deviceremoved" => {
            Liveness::LoggedOut
        }
        "banned" | "blocked" | "tempbanned" | "tosblock" | "smbtosblock" => Liveness::Banned,
        "replaced" | "connectionreplaced" | "conflict" => Liveness::Replaced,
        "failed" | "failure" | "error" | "timeout" | "timedout" | "crashed" => Liveness::Failed,
        _ => Liveness::Other(clean(status, WORD)),
    }
}

/// One session object; `None` without an id that a URL may be built from.
fn session(value: &Value) -> Option<RemoteSession> {
    let id = scalar(value.get("id")?)?.parse().ok()?;
    let phone = value.get("phoneNumber").and_then(scalar);
    Some(RemoteSession {
        id,
        name: value.get("name").and_then(Value::as_str).map(name).unwrap_or_default(),
        liveness: liveness(
            value.get("status").and_then(Value::as_str),
            value.get("connected").and_then(Value::as_bool),
        ),
        // A JID (`<digits>:<device>@<server>`) has digits after the number that are not part of it.
        phone: phone.as_deref().and_then(|text| text.split([':', '@']).next()).and_then(Phone::parse),
    })
}

/// A string, or a whole number as text.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => number.as_u64().map(|number| number.to_string()),
        _ => None,
    }
}

/// A count, written as a number or as its digits.
fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())
}
