//! What a failed answer means: by its HTTP status, then by a code in the body, then by the words of a 403.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use serde_json::{Map, Value};

use super::{Answer, TEXT};
use crate::provider::{Class, Error};

/// The longest pause a provider may ask for.
const LONGEST_PAUSE: Duration = Duration::from_hours(1);
/// How many of the envelope's `errors` are kept.
const FIELDS: usize = 10;
/// Longer than an id and than the words of any language that is written in ASCII; shorter than tokens and codes.
const LONGEST_WORD: usize = 48;
const REDACTED: &str = "(redacted)";

/// The error of an answer that is not a success.
pub(super) fn error(answer: &Answer<'_>) -> Error {
    // Proxies answer in HTML: a body that is no object says nothing, and the status alone decides.
    let body = serde_json::from_slice::<Map<String, Value>>(answer.body).unwrap_or_default();
    let message = message(&body);
    Error {
        class: class(answer.status, &body, &message),
        status: Some(answer.status),
        message: printable(&message, answer.secret),
        fields: fields(&body, answer.secret),
        retry_after: answer.retry_after.and_then(|header| retry_after(header, answer.now)),
    }
}

fn class(status: u16, body: &Map<String, Value>, message: &str) -> Class {
    match status {
        400 => Class::Validation,
        401 => Class::Unauthorized,
        403 => forbidden(body, &message.to_lowercase()),
        404 => Class::NotFound,
        409 => Class::Conflict,
        429 => Class::RateLimited,
        500 => Class::Internal,
        502 => Class::Unavailable,
        408 | 501 | 503.. => Class::Upstream,
        // The page has no such status: a code of the page, where one is given, says what is meant.
        402..=499 => codes(body).find_map(|code| coded(&code, message)).unwrap_or(Class::Unexpected),
        _ => Class::Unexpected,
    }
}

fn forbidden(body: &Map<String, Value>, message: &str) -> Class {
    for code in codes(body) {
        match coded(&code, message) {
            Some(
                class @ (Class::Forbidden | Class::SubscriptionInactive | Class::SessionLimit | Class::RequestLimit),
            ) => return class,
            // A code of another status contradicts this one and says nothing.
            Some(_) => {}
            // Finer codes than the page's, such as SESSION_LIMIT_REACHED, are told by their words.
            None => match words(&code.to_lowercase().replace('_', " ")) {
                Class::Forbidden => {}
                class => return class,
            },
        }
    }
    words(message)
}

/// The codes of the provider's page.
fn coded(code: &str, message: &str) -> Option<Class> {
    Some(match code {
        "VALIDATION_ERROR" => Class::Validation,
        "UNAUTHORIZED" => Class::Unauthorized,
        "FORBIDDEN" => Class::Forbidden,
        "SUBSCRIPTION_INACTIVE" => Class::SubscriptionInactive,
        "LIMIT_EXCEEDED" => limit(&message.to_lowercase()),
        "NOT_FOUND" => Class::NotFound,
        "CONFLICT" => Class::Conflict,
        "RATE_LIMITED" => Class::RateLimited,
        "INTERNAL_ERROR" => Class::Internal,
        "WHATSAPP_UNAVAILABLE" => Class::Unavailable,
        _ => return None,
    })
}

/// The body's codes in `CAPITALS_WITH_UNDERSCORES`, from `code`, `errorCode`, `error` and `error.code`.
fn codes(body: &Map<String, Value>) -> impl Iterator<Item = String> {
    let error = body.get("error");
    [body.get("code"), body.get("errorCode"), error, error.and_then(|error| error.get("code"))]
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        // Frameworks put the status' own phrase into `error`; it must not hide what the message says.
        .filter(|text| *text != "Forbidden")
        .map(|text| {
            let capital = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
            text.trim().chars().take(TEXT).map(capital).collect()
        })
}

/// A 403 by the lower-case words of its text. A limit is a limit even if the text names the subscription, and what
/// has expired must not be one session or one token: that would stop the whole account.
fn words(text: &str) -> Class {
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let billed = says(&["subscription", "trial", "plan", "account", "license"]);
    let ended = says(&["inactive", "expired", "not active", "suspended", "cancelled", "canceled"]);
    if ended && (billed || !says(&["session", "token", "jwt", "key"])) {
        Class::SubscriptionInactive
    } else if says(&["limit", "quota"]) {
        limit(text)
    } else if says(&["subscription", "trial"]) {
        Class::SubscriptionInactive
    } else if says(&["plan "]) || text.ends_with("plan") {
        limit(text)
    } else {
        Class::Forbidden
    }
}

/// Which limit a lower-case text is about; sessions unless it says requests. The singular "request" alone is not
/// enough: "request an upgrade" is advice.
fn limit(text: &str) -> Class {
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let metered = says(&["api request", "api-request", "apirequest", "api call", "request limit", "request quota"])
        || (says(&["requests", "api limit", "api quota"]) && !text.contains("session"));
    if metered { Class::RequestLimit } else { Class::SessionLimit }
}

/// The envelope's `message`, else the text that other envelopes have in `error`.
fn message(body: &Map<String, Value>) -> String {
    let error = body.get("error");
    [body.get("message"), error.and_then(|error| error.get("message")), error]
        .into_iter()
        .flatten()
        .map(text)
        .find(|text| !text.is_empty())
        .unwrap_or_default()
}

fn fields(body: &Map<String, Value>, secret: &str) -> BTreeMap<String, String> {
    let named: Vec<(String, String)> = match body.get("errors") {
        Some(Value::Object(errors)) => {
            errors.iter().take(FIELDS).map(|(field, value)| (field.clone(), text(value))).collect()
        }
        Some(Value::Array(errors)) => {
            let named = |(at, error): (usize, &Value)| {
                let name = ["field", "path", "param"].iter().find_map(|name| error.get(name)?.as_str());
                (name.map_or_else(|| at.to_string(), str::to_owned), text(error))
            };
            errors.iter().take(FIELDS).enumerate().map(named).collect()
        }
        _ => Vec::new(),
    };
    named.into_iter().map(|(field, text)| (printable(&field, secret), printable(&text, secret))).collect()
}

/// The readable text of a string, a list of strings, or an object with a `message`.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(Value::as_str).take(FIELDS).collect::<Vec<_>>().join("; "),
        Value::Object(object) => {
            let said = object.get("message").or_else(|| object.get("msg"));
            said.and_then(Value::as_str).unwrap_or_default().to_owned()
        }
        _ => String::new(),
    }
}

/// The secret is cut out before the text is cut, or half of it could stay; and with it whatever is too long for a word:
/// a token of an earlier call, a code, a picture.
fn printable(text: &str, secret: &str) -> String {
    let known = if secret.is_empty() { text.to_owned() } else { text.replace(secret, REDACTED) };
    let beside = |c: char| !c.is_ascii_graphic();
    let words = known.split_inclusive(beside).map(|piece| match piece.trim_end_matches(beside) {
        word if word.len() > LONGEST_WORD => piece.replacen(word, REDACTED, 1),
        _ => piece.to_owned(),
    });
    clean(&words.collect::<String>(), TEXT)
}

/// Cuts a text to so many characters, and drops what could break a line or turn its direction.
#[must_use]
pub fn clean(text: &str, longest: usize) -> String {
    let turns = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let kept: String = text.trim().chars().filter(|c| !c.is_control() && !turns(*c)).take(longest).collect();
    kept.trim().to_owned()
}

/// Reads `Retry-After`: seconds, or an HTTP date against the wall time `now`. At most an hour; zero for what has
/// passed; `None` for what is neither.
#[must_use]
pub fn retry_after(header: &str, now: SystemTime) -> Option<Duration> {
    let header = header.trim();
    let wait = if let Ok(seconds) = header.parse::<f64>() {
        if seconds.is_nan() {
            return None;
        }
        Duration::from_secs_f64(seconds.clamp(0.0, LONGEST_PAUSE.as_secs_f64()))
    } else {
        httpdate::parse_http_date(header).ok()?.duration_since(now).unwrap_or_default()
    };
    Some(wait.min(LONGEST_PAUSE))
}
