//! Socket.IO events in the dialects of gateways of this family.

use serde::ser::{SerializeMap as _, SerializeTuple as _};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::codes;
use super::session::Session;
use super::tenant::Dialect;

/// One argument of an event.
#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    /// Plain JSON.
    Json(Value),
    /// A binary attachment.
    Binary(bytes::Bytes),
    /// An object of which some members may be binary attachments.
    Object(Vec<(&'static str, Part)>),
}

impl Serialize for Part {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Json(value) => value.serialize(serializer),
            Self::Binary(bytes) => serializer.serialize_bytes(bytes),
            Self::Object(members) => {
                let mut map = serializer.serialize_map(Some(members.len()))?;
                for (name, part) in members {
                    map.serialize_entry(name, part)?;
                }
                map.end()
            }
        }
    }
}

/// An event to send to the sockets of one tenant.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its name.
    pub name: &'static str,
    /// Its arguments.
    pub args: Vec<Part>,
}

impl Serialize for Event {
    /// A tuple of the arguments: Socket.IO tells several arguments and one array apart.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut tuple = serializer.serialize_tuple(self.args.len())?;
        for arg in &self.args {
            tuple.serialize_element(arg)?;
        }
        tuple.end()
    }
}

fn event(name: &'static str, arg: Value) -> Event {
    Event { name, args: vec![Part::Json(arg)] }
}

/// The event that shows the session's current code, if it has one.
pub(super) fn code(dialect: Dialect, session: &Session) -> Option<Event> {
    let code = session.shown.as_ref()?.code.as_str();
    let id = session.id.as_str();
    Some(match dialect {
        Dialect::RawWithId => event("qr", json!({"sessionId": id, "qr": code})),
        Dialect::Wrapped => {
            let base64 = codes::data_url(&codes::picture(code));
            let qrcode = json!({"code": code, "base64": base64, "pairingCode": codes::pairing_code(code)});
            event("qrcode.updated", json!({"data": {"session": {"id": id}, "qrcode": qrcode}}))
        }
        Dialect::DataUrl => event("session.qr", json!({"session": id, "data": codes::data_url(&codes::picture(code))})),
        Dialect::TwoArguments => Event { name: "qr", args: vec![Part::Json(json!(id)), Part::Json(json!(code))] },
        Dialect::BinaryPng => Event {
            name: "qr_code",
            args: vec![Part::Object(vec![
                ("sessionId", Part::Json(json!(id))),
                ("image", Part::Binary(codes::picture(code).into())),
            ])],
        },
        Dialect::QrInStatus => event(
            "session.status",
            json!({"sessionId": id, "status": session.status.as_str(), "connected": session.is_connected(), "qr": code}),
        ),
        Dialect::Bare => event("qr", json!(code)),
    })
}

/// The event that tells the session's state.
pub(super) fn status(dialect: Dialect, session: &Session) -> Event {
    let id = session.id.as_str();
    let (status, phone, connected) = (session.status.as_str(), &session.phone_number, session.is_connected());
    match dialect {
        Dialect::Wrapped => event(
            "connection.update",
            json!({"data": {"session": {"id": id}, "status": status, "phoneNumber": phone, "connected": connected}}),
        ),
        Dialect::DataUrl => event(
            "session:status",
            json!({"session": id, "status": status, "phoneNumber": phone, "connected": connected}),
        ),
        Dialect::TwoArguments => Event {
            name: "status-update",
            args: vec![
                Part::Json(json!(id)),
                Part::Json(json!({"status": status, "phoneNumber": phone, "connected": connected})),
            ],
        },
        Dialect::RawWithId | Dialect::BinaryPng | Dialect::QrInStatus | Dialect::Bare => event(
            "session.status",
            json!({"sessionId": id, "status": status, "phoneNumber": phone, "connected": connected}),
        ),
    }
}
