//! From an event of unpublished name and shape to what it means, by its values rather than by its keys.
//!
//! Shapes seen in gateways of this family are all taken; whatever is neither a code nor a status is dropped.

mod codes;
mod names;
mod owner;
mod shape;
#[cfg(test)]
mod tests;

use serde_json::Value;

pub use self::codes::is_raw;
pub(super) use self::shape::{label, shape};
use self::{
    names::Topic,
    owner::{Owner, fold},
};
use super::{EventsConfig, Liveness, Qr, SocketEvent, wire};

/// Sessions that one event may be about, as a list of them.
const MOST_ENTRIES: usize = 64;
/// Keys of a status text, lower-cased and without separators.
const STATUS_KEYS: &[&str] = &["status", "state", "connection", "connectionstatus", "connectionstate", "sessionstatus"];
/// Keys of the flag that beats the text.
const CONNECTED_KEYS: &[&str] = &["connected", "isconnected"];
/// Objects that hold these as well as the event itself.
const HOLDERS: &[&str] = &["data", "payload", "body", "result", "session", "instance", "whatsapp"];
/// Words of an answer's envelope, not of a session.
const ENVELOPE: &[&str] = &["success", "ok", "true", "false"];

/// What an event says; empty when it is none of ours or cannot be understood. `attachments` are its binary frames,
/// in order. A cleared code is a [`SocketEvent::Status`] without claims; so is a pairing code that comes without
/// a QR, as nothing could be drawn. Source: the shapes published by gateways of this family.
#[must_use]
pub fn decode(name: &str, args: &[Value], attachments: &[Vec<u8>], events: &EventsConfig) -> Vec<SocketEvent> {
    let Some(topic) = names::topic(name, events) else { return Vec::new() };
    match entries(args) {
        Some(entries) => entries
            .iter()
            .take(MOST_ENTRIES)
            .flat_map(|entry| one(name, topic, std::slice::from_ref(entry), attachments))
            .collect(),
        None => one(name, topic, args, attachments),
    }
}

/// The entries of an event that is a list of sessions, bare or in a wrapper that is not itself one session's.
fn entries(args: &[Value]) -> Option<&[Value]> {
    let [only] = args else { return None };
    let list = match only {
        Value::Array(list) => list,
        Value::Object(members) => {
            ["data", "payload", "sessions"].iter().find_map(|key| members.get(*key)?.as_array())?
        }
        _ => return None,
    };
    let many = !list.is_empty() && list.iter().all(Value::is_object);
    (many && owner::owner(args) == Owner::Unnamed).then_some(list)
}

fn one(name: &str, topic: Topic, args: &[Value], attachments: &[Vec<u8>]) -> Vec<SocketEvent> {
    let owner = owner::owner(args);
    let mut codes = codes::codes(topic, args, attachments);
    let (content, pairing_code) = (codes.content(), codes.pairing());
    let told = told(args);
    let mut said = Vec::new();

    let session = match &owner {
        Owner::Named(id) => Some(id.clone()),
        Owner::Unnamed | Owner::Ambiguous => None,
    };
    let shown = content.is_some() && owner != Owner::Ambiguous;
    let claims = match (told, topic.status.then(|| names::claims(name)).flatten()) {
        // A word that says nothing leaves the say to the name.
        (Some(Liveness::Other(_)) | None, Some(implied)) => Some(implied),
        (told, _) => told,
    };
    let changed = topic.status && (session.is_some() || claims.is_some());
    let withdrawn = topic.codes && !shown && (codes.cleared || claims.is_some() || pairing_code.is_some());
    if changed || withdrawn {
        said.push(SocketEvent::Status { session: session.clone(), claims });
    }
    if let Some(content) = content.filter(|_| shown) {
        said.push(SocketEvent::Qr { session, qr: Qr { content, pairing_code } });
    }
    said
}

/// What the payload itself claims.
fn told(args: &[Value]) -> Option<Liveness> {
    let mut status = None;
    let mut connected = None;
    for value in args {
        members(value, 3, &mut status, &mut connected);
    }
    if status.is_none() && connected.is_none() {
        status = spoken(args);
    }
    let status = status.filter(|status| !ENVELOPE.contains(&fold(status).as_str()));
    (status.is_some() || connected.is_some()).then(|| wire::liveness(status, connected))
}

/// A status that is an argument of its own: `("connected")` or `(id, "connected")`. Only a word that is known: it
/// has no key that says what it is.
fn spoken(args: &[Value]) -> Option<&str> {
    let last = match args {
        [only] => only,
        [_, second, ..] => second,
        [] => return None,
    };
    last.as_str()
        .filter(|word| !codes::is_code(word) && !matches!(wire::liveness(Some(word), None), Liveness::Other(_)))
}

fn members<'a>(value: &'a Value, depth: usize, status: &mut Option<&'a str>, connected: &mut Option<bool>) {
    let (Some(object), Some(depth)) = (value.as_object(), depth.checked_sub(1)) else { return };
    for (key, value) in object.iter().take(64) {
        let key = fold(key);
        let key = key.as_str();
        match value {
            Value::String(text) if STATUS_KEYS.contains(&key) && !text.trim().is_empty() && !codes::is_code(text) => {
                status.get_or_insert(text);
            }
            Value::Bool(flag) if CONNECTED_KEYS.contains(&key) => {
                connected.get_or_insert(*flag);
            }
            _ => {}
        }
    }
    // What stands further out wins: it is about the event.
    for (key, value) in object.iter().take(64) {
        if HOLDERS.contains(&fold(key).as_str()) {
            members(value, depth, status, connected);
        }
    }
}
