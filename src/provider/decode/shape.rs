//! The shape of an event that was not understood, for the day its true name has to be reported: names, kinds and
//! lengths, never a value.

use std::fmt::Write as _;

use serde_json::Value;

use super::codes::{PNG_MAGIC_BASE64, is_pairing_code, is_raw};
use crate::provider::wire::clean;

/// Members that are told per object, and elements per array.
const MOST: usize = 20;
const DEEPEST: usize = 4;
/// A longer key is data, not a name.
const LONGEST_KEY: usize = 40;

/// A name as it may be logged: cut, printable, and not itself a credential.
pub(in crate::provider) fn label(name: &str, longest: usize) -> String {
    if is_raw(name) || is_pairing_code(name) || name.contains("linked_devices") {
        return format!("<{} characters>", name.chars().count());
    }
    clean(name, longest)
}

/// `[string(36) digits, {qr: string(237) code, connected: bool}]`, never more than a few KiB.
pub(in crate::provider) fn shape(args: &[Value]) -> String {
    let mut text = String::new();
    list(&mut text, args, DEEPEST);
    text
}

fn list(text: &mut String, values: &[Value], depth: usize) {
    text.push('[');
    for (at, value) in values.iter().take(MOST).enumerate() {
        text.push_str(if at > 0 { ", " } else { "" });
        describe(text, value, depth);
    }
    let _ = if values.len() > MOST { write!(text, ", … {} in all]", values.len()) } else { write!(text, "]") };
}

fn describe(text: &mut String, value: &Value, depth: usize) {
    let Some(deeper) = depth.checked_sub(1) else {
        text.push('…');
        return;
    };
    // A few KiB are enough to recognise an event; MOST to the power of DEEPEST would be more.
    if text.len() > 4096 {
        text.push('…');
        return;
    }
    let _ = match value {
        Value::Null => write!(text, "null"),
        Value::Bool(_) => write!(text, "bool"),
        Value::Number(_) => write!(text, "number"),
        Value::String(string) => write!(text, "string({}) {}", string.chars().count(), kind(string)),
        Value::Array(values) => {
            list(text, values, deeper);
            Ok(())
        }
        Value::Object(members) => {
            text.push('{');
            for (at, (key, value)) in members.iter().take(MOST).enumerate() {
                text.push_str(if at > 0 { ", " } else { "" });
                if key.len() > LONGEST_KEY || key.contains('@') {
                    let _ = write!(text, "<{} characters>", key.chars().count());
                } else {
                    text.push_str(&label(key, LONGEST_KEY));
                }
                text.push_str(": ");
                describe(text, value, deeper);
            }
            write!(text, "}}")
        }
    };
}

fn kind(text: &str) -> &'static str {
    if text.is_empty() {
        "empty"
    } else if is_raw(text) {
        "code"
    } else if text.starts_with("data:") {
        "data-url"
    } else if text.starts_with("http://") || text.starts_with("https://") {
        "url"
    } else if text.starts_with(PNG_MAGIC_BASE64) {
        "base64-png"
    } else if text.bytes().all(|b| b.is_ascii_digit()) {
        "digits"
    } else if text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
        "word"
    } else {
        "text"
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tells_names_and_kinds() {
        let args = [json!("9"), json!({"qr": "2@a,b,c,d", "n": 5, "on": true, "nothing": null, "w": "canary"})];
        let told = shape(&args);
        assert_eq!(
            told,
            "[string(1) digits, {n: number, nothing: null, on: bool, qr: string(9) code, w: string(6) word}]"
        );
    }

    #[test]
    fn tells_no_value() {
        let args = [json!({"canary@s.whatsapp.net": 1, "2@canary,b,c,d": "canary", ("canary".repeat(9)): ["canary"]})];
        let told = shape(&args);
        assert!(!told.contains("canary"), "{told}");
        assert_eq!(label("2@canary,b,c,d", 64), "<14 characters>");
        assert_eq!(label("ABCD-1234", 64), "<9 characters>");
        assert_eq!(label("a\nb\u{1b}[0m", 64), "ab[0m");
        assert_eq!(label(&"x".repeat(100), 64).len(), 64);
    }

    #[test]
    fn stays_small() {
        let mut value = json!("leaf");
        for _ in 0..3 {
            value = json!(vec![value; 30]);
        }
        assert!(shape(&[value]).len() < 8192);
    }
}
