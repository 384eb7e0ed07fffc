//! Engine.IO 4 and Socket.IO 5 text frames, as pure functions: bytes in, packets out, never a panic.
//!
//! Source: the protocol documents `engine.io-protocol` 4 and `socket.io-protocol` 5.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

/// Beats a server may ask for; outside of it a number is a mistake or an attack, not a wish.
const LONGEST_BEAT: Duration = Duration::from_mins(5);

/// One Engine.IO packet of a text frame. Binary frames have no packet type over WebSocket.
#[derive(Clone, Debug, PartialEq)]
pub enum Engine {
    /// `0`: the server's parameters.
    Open(Beat),
    /// `1`: the server ends the transport.
    Close,
    /// `2`, with the text to be sent back.
    Ping(String),
    /// `3`.
    Pong,
    /// `4`: a Socket.IO packet.
    Message(Packet),
    /// `5` and `6`, which mean nothing on a connection that began as a WebSocket.
    Idle,
}

/// How often the server pings, and how long it may be late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beat {
    /// `pingInterval`; the wire has milliseconds, 25 000 when it does not say.
    pub interval: Duration,
    /// `pingTimeout`; the wire has milliseconds, 20 000 when it does not say.
    pub timeout: Duration,
}

impl Beat {
    /// The longest silence of a server that lives.
    #[must_use]
    pub fn patience(self) -> Duration {
        self.interval.saturating_add(self.timeout)
    }
}

/// One Socket.IO packet.
#[derive(Clone, Debug, PartialEq)]
pub struct Packet {
    /// `/` unless the packet says otherwise.
    pub namespace: String,
    /// What it is.
    pub kind: Kind,
}

/// The seven packet types.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// `0`, with the server's payload.
    Connect(Option<Value>),
    /// `1`.
    Disconnect,
    /// `2` and `5`.
    Event(Event),
    /// `3` and `6`. We ask for none, so its content is not kept.
    Ack,
    /// `4`: the server refuses the namespace.
    ConnectError(Option<Value>),
}

/// A named event.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// The event's name, as the server wrote it.
    pub name: String,
    /// What follows the name.
    pub args: Vec<Value>,
    /// The server waits for an acknowledgement of this number.
    pub ack: Option<u64>,
    /// Binary frames that follow and belong to it.
    pub attachments: usize,
}

/// A frame that is no packet of these protocols.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the frame is no Engine.IO or Socket.IO packet")]
pub struct Malformed;

/// Reads one text frame.
pub fn parse(text: &str) -> Result<Engine, Malformed> {
    let mut rest = text.chars();
    let kind = rest.next().ok_or(Malformed)?;
    let body = rest.as_str();
    Ok(match kind {
        '0' => Engine::Open(beat(body)?),
        '1' => Engine::Close,
        '2' => Engine::Ping(body.to_owned()),
        '3' => Engine::Pong,
        '4' => Engine::Message(packet(body)?),
        '5' | '6' => Engine::Idle,
        _ => return Err(Malformed),
    })
}

fn beat(body: &str) -> Result<Beat, Malformed> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Open {
        ping_interval: Option<f64>,
        ping_timeout: Option<f64>,
    }
    let open: Open = serde_json::from_str(body).map_err(|_| Malformed)?;
    let bounded = |milliseconds: Option<f64>, default: f64| {
        let seconds = milliseconds.unwrap_or(default) / 1000.0;
        Duration::try_from_secs_f64(seconds).unwrap_or(LONGEST_BEAT).clamp(Duration::from_millis(1), LONGEST_BEAT)
    };
    Ok(Beat { interval: bounded(open.ping_interval, 25_000.0), timeout: bounded(open.ping_timeout, 20_000.0) })
}

fn packet(body: &str) -> Result<Packet, Malformed> {
    let mut rest = body.chars();
    let kind = rest.next().ok_or(Malformed)?;
    let binary = matches!(kind, '5' | '6');
    let (attachments, body) = if binary { attachments(rest.as_str())? } else { (0, rest.as_str()) };
    let (namespace, body) = namespace(body);
    let (ack, body) = ack(body)?;
    let kind = match kind {
        '0' => Kind::Connect(payload(body)?),
        '1' => Kind::Disconnect,
        '2' | '5' => Kind::Event(event(body, ack, attachments)?),
        '3' | '6' => Kind::Ack,
        '4' => Kind::ConnectError(payload(body)?),
        _ => return Err(Malformed),
    };
    Ok(Packet { namespace, kind })
}

fn attachments(body: &str) -> Result<(usize, &str), Malformed> {
    let (count, rest) = body.split_once('-').ok_or(Malformed)?;
    if count.is_empty() || !count.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Malformed);
    }
    Ok((count.parse().map_err(|_| Malformed)?, rest))
}

fn namespace(body: &str) -> (String, &str) {
    if !body.starts_with('/') {
        return ("/".to_owned(), body);
    }
    let (name, rest) = body.split_once(',').unwrap_or((body, ""));
    // Some servers repeat the query of the CONNECT here.
    let name = name.split_once('?').map_or(name, |(name, _)| name);
    (name.to_owned(), rest)
}

fn ack(body: &str) -> Result<(Option<u64>, &str), Malformed> {
    let digits = body.bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = body.split_at_checked(digits).ok_or(Malformed)?;
    if number.is_empty() {
        return Ok((None, rest));
    }
    Ok((Some(number.parse().map_err(|_| Malformed)?), rest))
}

fn payload(body: &str) -> Result<Option<Value>, Malformed> {
    if body.is_empty() {
        return Ok(None);
    }
    serde_json::from_str(body).map(Some).map_err(|_| Malformed)
}

fn event(body: &str, ack: Option<u64>, attachments: usize) -> Result<Event, Malformed> {
    let mut args: Vec<Value> = serde_json::from_str(body).map_err(|_| Malformed)?;
    if args.is_empty() {
        return Err(Malformed);
    }
    match args.remove(0) {
        Value::String(name) => Ok(Event { name, args, ack, attachments }),
        _ => Err(Malformed),
    }
}

/// The frame that asks for a namespace, with the `auth` payload. Holds the token: it is for the wire only.
#[must_use]
pub fn connect(namespace: &str, auth: &Value) -> String {
    format!("40{}{auth}", prefix(namespace))
}

/// The frame of an event without arguments.
#[must_use]
pub fn emit(namespace: &str, name: &str) -> String {
    format!("42{}{}", prefix(namespace), Value::from(vec![name]))
}

/// The frame that acknowledges an event, with nothing to say.
#[must_use]
pub fn acknowledge(namespace: &str, ack: u64) -> String {
    format!("43{}{ack}[]", prefix(namespace))
}

/// The frame that answers a ping.
#[must_use]
pub fn pong(probe: &str) -> String {
    format!("3{probe}")
}

fn prefix(namespace: &str) -> String {
    if namespace == "/" { String::new() } else { format!("{namespace},") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn message(namespace: &str, kind: Kind) -> Engine {
        Engine::Message(Packet { namespace: namespace.to_owned(), kind })
    }

    fn event_of(name: &str, args: Vec<Value>, ack: Option<u64>, attachments: usize) -> Kind {
        Kind::Event(Event { name: name.to_owned(), args, ack, attachments })
    }

    #[test]
    fn reads_every_packet() {
        let beat = Beat { interval: Duration::from_secs(25), timeout: Duration::from_secs(20) };
        let holder = json!({"_placeholder": true, "num": 0});
        let table = [
            (r#"0{"sid":"x","upgrades":[],"pingInterval":25000,"pingTimeout":20000}"#, Engine::Open(beat)),
            (r#"0{"sid":"x"}"#, Engine::Open(beat)),
            ("1", Engine::Close),
            ("2", Engine::Ping(String::new())),
            ("2probe", Engine::Ping("probe".to_owned())),
            ("3", Engine::Pong),
            ("6", Engine::Idle),
            (r#"40{"sid":"y"}"#, message("/", Kind::Connect(Some(json!({"sid": "y"}))))),
            ("40", message("/", Kind::Connect(None))),
            (r#"40/ns,{"sid":"y"}"#, message("/ns", Kind::Connect(Some(json!({"sid": "y"}))))),
            (r#"40/ns?a=b,{"sid":"y"}"#, message("/ns", Kind::Connect(Some(json!({"sid": "y"}))))),
            ("41", message("/", Kind::Disconnect)),
            ("41/ns", message("/ns", Kind::Disconnect)),
            ("41/ns,", message("/ns", Kind::Disconnect)),
            (r#"42["a"]"#, message("/", event_of("a", vec![], None, 0))),
            (r#"42/ns,17["a",{"b":1},null]"#, {
                message("/ns", event_of("a", vec![json!({"b": 1}), Value::Null], Some(17), 0))
            }),
            ("431[]", message("/", Kind::Ack)),
            (r#"44{"message":"no"}"#, message("/", Kind::ConnectError(Some(json!({"message": "no"}))))),
            (r#"451-["a",{"_placeholder":true,"num":0}]"#, {
                message("/", event_of("a", vec![holder.clone()], None, 1))
            }),
            (r#"452-/ns,9["a",{"_placeholder":true,"num":0}]"#, {
                message("/ns", event_of("a", vec![holder], Some(9), 2))
            }),
        ];
        for (text, expected) in table {
            assert_eq!(parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_packet() {
        let huge = format!("42{}[\"a\"]", "9".repeat(40));
        for text in ["", "9", "x", "4", "0", "0[]x", "42", "42[]", "42[1]", "42{}", "45[\"a\"]", "45-[\"a\"]", &huge] {
            assert_eq!(parse(text), Err(Malformed), "{text}");
        }
    }

    #[test]
    fn bounds_what_the_server_asks_for() {
        for text in [r#"{"pingInterval":1e300,"pingTimeout":-4}"#, r#"{"pingInterval":0,"pingTimeout":0}"#] {
            let beat = beat(text).unwrap();
            assert!(beat.patience() >= Duration::from_millis(2) && beat.patience() <= 2 * LONGEST_BEAT);
        }
    }

    #[test]
    fn writes_frames_that_it_can_read() {
        assert_eq!(connect("/", &json!({"token": "t"})), r#"40{"token":"t"}"#);
        assert_eq!(connect("/ns", &json!({"token": "t"})), r#"40/ns,{"token":"t"}"#);
        assert_eq!(acknowledge("/", 7), "437[]");
        assert_eq!(acknowledge("/ns", 7), "43/ns,7[]");
        assert_eq!(pong("probe"), "3probe");
        let quoted = emit("/ns", "a\"b");
        assert_eq!(parse(&quoted), Ok(message("/ns", event_of("a\"b", vec![], None, 0))));
    }

    proptest! {
        #[test]
        fn never_panics(text in ".{0,200}") {
            let _ = parse(&text);
        }

        #[test]
        fn never_panics_near_the_grammar(text in r#"[0-6]{0,3}[0-9]{0,22}-?(/[a-z?é]{0,4},?)?[0-9]{0,22}[\[{]?["a-z0-9,:{}\[\]]{0,30}"#) {
            let _ = parse(&text);
        }

        #[test]
        fn reads_any_event_it_writes(name in ".{0,80}", namespace in "/[a-z]{0,8}") {
            let read = parse(&emit(&namespace, &name)).unwrap();
            prop_assert_eq!(read, message(&namespace, event_of(&name, vec![], None, 0)));
        }
    }
}
