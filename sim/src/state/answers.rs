//! The envelopes of the API: success and failure.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::faults::RetryAfter;

/// An HTTP answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Headers beyond the content type.
    pub headers: Vec<(&'static str, String)>,
    /// Its media type.
    pub content_type: &'static str,
    /// The body.
    pub body: String,
}

impl Answer {
    /// A JSON answer.
    #[must_use]
    pub fn json(status: u16, body: &Value) -> Self {
        Self { status, headers: Vec::new(), content_type: "application/json; charset=utf-8", body: body.to_string() }
    }

    /// The body as JSON, null if it is none.
    #[must_use]
    pub fn value(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }
}

/// `{success:true, data}`
pub(super) fn data(status: u16, data: &Value) -> Answer {
    Answer::json(status, &json!({"success": true, "data": data}))
}

/// A failed call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub status: u16,
    pub code: String,
    pub message: String,
    pub errors: BTreeMap<&'static str, String>,
    pub retry_after: Option<RetryAfter>,
}

impl Refusal {
    pub(super) fn new(status: u16, code: &str, message: &str) -> Self {
        Self { status, code: code.to_owned(), message: message.to_owned(), errors: BTreeMap::new(), retry_after: None }
    }

    pub(super) fn validation(field: &'static str, text: &str) -> Self {
        let mut refusal = Self::new(400, "VALIDATION_ERROR", "Validation failed");
        refusal.errors.insert(field, text.to_owned());
        refusal
    }

    pub(super) fn unauthorized(message: &str) -> Self {
        Self::new(401, "UNAUTHORIZED", message)
    }

    pub(super) fn not_found() -> Self {
        Self::new(404, "NOT_FOUND", "Resource not found")
    }

    pub(super) fn conflict(message: &str) -> Self {
        Self::new(409, "CONFLICT", message)
    }

    pub(super) fn limit_exceeded(message: &str) -> Self {
        Self::new(403, "LIMIT_EXCEEDED", message)
    }

    /// The published meaning of a status, for faults; `code` tells the three kinds of 403 apart.
    pub(super) fn of_status(status: u16, code: Option<&str>) -> Self {
        let (default_code, message) = match (status, code) {
            (400, _) => ("VALIDATION_ERROR", "Validation failed"),
            (401, _) => ("UNAUTHORIZED", "Missing or invalid JWT / API key"),
            (403, Some("SUBSCRIPTION_INACTIVE")) => {
                ("SUBSCRIPTION_INACTIVE", "Trial expired or subscription not active")
            }
            (403, Some("LIMIT_EXCEEDED")) => ("LIMIT_EXCEEDED", "Plan limit reached"),
            (403, _) => ("FORBIDDEN", "Authenticated but lacking permission"),
            (404, _) => ("NOT_FOUND", "Resource not found"),
            (409, _) => ("CONFLICT", "Duplicate resource or invalid state transition"),
            (429, _) => ("RATE_LIMITED", "Too many requests; retry after backoff"),
            (502, _) => ("WHATSAPP_UNAVAILABLE", "WhatsApp session disconnected or provider error"),
            _ => ("INTERNAL_ERROR", "Unexpected server error"),
        };
        Self::new(status, code.unwrap_or(default_code), message)
    }

    /// `{success:false, message, errors?, code?}`; `wall_clock` is the time since 1970, for dates in headers.
    pub(super) fn render(&self, with_code: bool, wall_clock: Duration) -> Answer {
        let mut body = Map::new();
        body.insert("success".to_owned(), json!(false));
        body.insert("message".to_owned(), json!(self.message));
        if !self.errors.is_empty() {
            body.insert("errors".to_owned(), json!(self.errors));
        }
        if with_code {
            body.insert("code".to_owned(), json!(self.code));
        }
        let mut answer = Answer::json(self.status, &Value::Object(body));
        if let Some(retry_after) = &self.retry_after {
            let text = match retry_after {
                RetryAfter::Seconds(seconds) => seconds.to_string(),
                RetryAfter::Date { date_in } => {
                    httpdate::fmt_http_date(std::time::UNIX_EPOCH + wall_clock + Duration::from_secs(*date_in))
                }
                RetryAfter::Text(text) => text.clone(),
            };
            answer.headers.push(("retry-after", text));
        }
        answer
    }
}
