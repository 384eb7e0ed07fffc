//! Which session an event is about. A QR code shown for the wrong session links the wrong phone, so a payload that
//! names two is one that names none.

use serde_json::{Map, Value};

use super::codes::is_code;
use crate::provider::SessionId;

/// Keys of a session's id, the most telling first, lower-cased and without separators. `id` comes late enough not
/// to be an event's own id where something better is there, and before what may be a name or a tenant.
const KEYS: &[&str] = &[
    "sessionid",
    "whatsappsessionid",
    "whatsappid",
    "session",
    "id",
    "accountid",
    "instanceid",
    "instance",
    "connectionid",
    "deviceid",
    "clientid",
];
/// Objects whose `id` is a session's.
const WRAPPERS: &[&str] = &["data", "payload", "body", "result"];
/// Objects that are a session: their `id` counts as their own key.
const SESSIONS: &[&str] = &["session", "instance", "whatsapp", "connection", "account", "device"];
/// Wrappers within wrappers; more is no gateway's habit.
const DEEPEST: usize = 4;

/// Whose event it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// This session's.
    Named(SessionId),
    /// The payload names none.
    Unnamed,
    /// The payload names several.
    Ambiguous,
}

/// Looks through the objects first, then takes the first of two arguments when it is a plain string that fits.
pub(super) fn owner(args: &[Value]) -> Owner {
    let mut found: Vec<(usize, SessionId)> = Vec::new();
    for object in args.iter().filter_map(Value::as_object) {
        collect(object, DEEPEST, true, &mut found);
    }
    let Some(best) = found.iter().map(|(rank, _)| *rank).min() else { return positional(args) };
    let mut named = found.into_iter().filter(|(rank, _)| *rank == best).map(|(_, id)| id);
    match named.next() {
        Some(first) if named.all(|other| other == first) => Owner::Named(first),
        _ => Owner::Ambiguous,
    }
}

fn positional(args: &[Value]) -> Owner {
    match args {
        [Value::String(first), _, ..] if !is_code(first) => first.parse().map_or(Owner::Unnamed, Owner::Named),
        _ => Owner::Unnamed,
    }
}

fn collect(object: &Map<String, Value>, depth: usize, bare: bool, found: &mut Vec<(usize, SessionId)>) {
    for (key, value) in object.iter().take(64) {
        let folded = fold(key);
        let rank = KEYS.iter().position(|known| *known == folded);
        if let Some(rank) = rank
            && (bare || folded != "id")
            && let Some(id) = id(value)
        {
            found.push((rank, id));
        }
        let (Some(inner), Some(depth)) = (value.as_object(), depth.checked_sub(1)) else { continue };
        if SESSIONS.contains(&folded.as_str()) {
            if let Some(id) = inner.get("id").or_else(|| inner.get("_id")).and_then(id) {
                found.push((rank.unwrap_or(KEYS.len()), id));
            }
            collect(inner, depth, false, found);
        } else {
            collect(inner, depth, WRAPPERS.contains(&folded.as_str()), found);
        }
    }
}

fn id(value: &Value) -> Option<SessionId> {
    match value {
        Value::String(text) => text.parse().ok(),
        Value::Number(number) => number.as_u64().and_then(|number| number.to_string().parse().ok()),
        _ => None,
    }
}

/// A key without case and separators.
pub(super) fn fold(key: &str) -> String {
    key.chars().filter(char::is_ascii_alphanumeric).take(32).map(|c| c.to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn named(id: &str) -> Owner {
        Owner::Named(id.parse().unwrap())
    }

    #[test]
    fn finds_the_session() {
        for key in [
            "sessionId",
            "session_id",
            "session",
            "id",
            "accountId",
            "instanceId",
            "instance",
            "whatsappId",
            "connectionId",
            "deviceId",
            "SESSION-ID",
        ] {
            assert_eq!(owner(&[json!({key: "s-1", "x": 1})]), named("s-1"), "{key}");
            assert_eq!(owner(&[json!({"data": {key: "s-1"}})]), named("s-1"), "data.{key}");
            assert_eq!(owner(&[json!({"event": "qr", "payload": {"data": {key: "s-1"}}})]), named("s-1"), "{key}");
        }
        let table = [
            (json!([{"session": {"id": "s"}}]), named("s")),
            (json!([{"data": {"session": {"id": "s"}, "id": "event"}}]), named("s")),
            (json!([{"session": {"sessionId": "s", "id": 5}}]), named("s")),
            (json!([{"whatsapp": {"id": "s"}}]), named("s")),
            (json!([{"id": 17}]), named("17")),
            (json!([{"id": "event", "sessionId": "s"}]), named("s")),
            (json!([{"id": "s", "accountId": "tenant"}]), named("s")),
            (json!(["s", "2@a,b,c,d"]), named("s")),
            (json!(["s", {"qr": "2@a,b,c,d"}]), named("s")),
            (json!(["s", null]), named("s")),
            (json!(["qr", {"sessionId": "s"}]), named("s")),
            (json!([{"sessionId": "s", "data": {"sessionId": "s"}}]), named("s")),
        ];
        for (args, expected) in table {
            assert_eq!(owner(args.as_array().unwrap()), expected, "{args}");
        }
    }

    #[test]
    fn guesses_nothing() {
        let table = [
            (json!([]), Owner::Unnamed),
            (json!(["s"]), Owner::Unnamed),
            (json!(["2@a,b,c,d"]), Owner::Unnamed),
            (json!(["2@a,b,c,d", "x"]), Owner::Unnamed),
            (json!([{"sessionId": "../../x"}]), Owner::Unnamed),
            (json!([{"sessionId": ""}]), Owner::Unnamed),
            (json!([{"sessionId": null}]), Owner::Unnamed),
            (json!([{"qr": {"id": "of-the-code"}}]), Owner::Unnamed),
            (json!([{"id": -4}]), Owner::Unnamed),
            (json!([{"sessionId": "a", "data": {"sessionId": "b"}}]), Owner::Ambiguous),
            (json!([{"id": "a", "data": {"id": "b"}}]), Owner::Ambiguous),
        ];
        for (args, expected) in table {
            assert_eq!(owner(args.as_array().unwrap()), expected, "{args}");
        }
    }
}
