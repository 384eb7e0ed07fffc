//! A thin Socket.IO client: Engine.IO 4 over one WebSocket, one namespace, events in.
//!
//! [`listen`] makes one connection and stays on it until it ends; [`Reconnect`] says when to try the next. The frames
//! are read by [`frame`], what the events mean is decided by [`decode`].

mod dial;
pub mod frame;
mod inbox;
mod reconnect;

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout, timeout_at},
};
use tokio_tungstenite::tungstenite::{self, Message};
use url::Url;

pub use dial::{Admit, Dial};
pub use inbox::Tally;
pub use reconnect::Reconnect;

use self::{
    dial::{Line, failed, printable},
    frame::{Beat, Engine, Kind},
    inbox::{Inbox, Whole},
};
use super::{Class, Error, EventsConfig, SocketEvent, Token, decode};

/// Bytes of one WebSocket message, and so of one frame of ours; 1 MiB. A picture of a QR code has a few KiB.
const LARGEST_MESSAGE: usize = 1 << 20;
/// Characters that are kept of an event's name in a log line.
const LONGEST_NAME: usize = 64;

/// Listens on one connection with the defaults of [`Dial`]. See [`Provider::listen`](super::Provider::listen) for
/// what is sent, and [`listen_by`] for the classes of the error.
pub async fn listen(base: &Url, token: &Token, events: &EventsConfig, sink: mpsc::Sender<SocketEvent>) -> Error {
    listen_by(&Dial::default(), base, token, events, sink).await
}

/// Listens on one connection until it ends, and says why: [`Class::NotSent`] when no connection came about,
/// [`Class::Unauthorized`] when the upgrade or the CONNECT was refused, [`Class::Lost`] when an established
/// connection ended or fell silent or when nobody receives from `sink`, [`Class::Garbled`] when the other side does
/// not speak the protocol or sends more than 1 MiB at once, and the class of the HTTP status when the upgrade
/// was answered with another one.
pub async fn listen_by(
    dial: &Dial,
    base: &Url,
    token: &Token,
    events: &EventsConfig,
    sink: mpsc::Sender<SocketEvent>,
) -> Error {
    let line = match dial.open(base, &events.path, token).await {
        Ok(line) => line,
        Err(error) => return error,
    };
    let connection = Connection {
        dial,
        token,
        events,
        namespace: namespace(&events.namespace),
        line,
        inbox: Inbox::default(),
        sink,
        // Until the open packet has told the real one.
        beat: Beat { interval: dial.answer, timeout: Duration::ZERO },
    };
    match connection.run().await {
        Err(error) => error,
        Ok(never) => match never {},
    }
}

fn namespace(configured: &str) -> String {
    if configured.starts_with('/') { configured.to_owned() } else { format!("/{configured}") }
}

/// The happy end that a connection does not have.
enum Never {}

/// What one frame was, with the transport's own packets already dealt with.
enum Heard {
    Packet(Engine),
    Attachment(Vec<u8>),
    Nothing,
}

struct Connection<'a> {
    dial: &'a Dial,
    token: &'a Token,
    events: &'a EventsConfig,
    namespace: String,
    line: Line,
    inbox: Inbox,
    sink: mpsc::Sender<SocketEvent>,
    beat: Beat,
}

impl Connection<'_> {
    async fn run(mut self) -> Result<Never, Error> {
        self.beat = self.opened().await?;
        let auth = json!({ "token": self.token.expose() });
        self.write(frame::connect(&self.namespace, &auth)).await?;
        self.accepted().await?;
        self.deliver(SocketEvent::Live).await?;
        for name in &self.events.subscribe {
            self.write(frame::emit(&self.namespace, name)).await?;
        }
        loop {
            let deadline = Instant::now() + self.beat.patience();
            match self.hear(deadline, "the server fell silent").await? {
                Heard::Packet(Engine::Message(packet)) => self.packet(packet).await?,
                Heard::Attachment(bytes) => {
                    let whole = self.inbox.binary(bytes, &self.dial.tally);
                    self.take(whole).await?;
                }
                Heard::Packet(_) | Heard::Nothing => {}
            }
        }
    }

    async fn opened(&mut self) -> Result<Beat, Error> {
        let deadline = Instant::now() + self.dial.answer;
        match self.hear(deadline, "no open packet in time").await? {
            Heard::Packet(Engine::Open(beat)) => Ok(beat),
            _ => Err(failed(Class::Garbled, "the server does not speak Engine.IO 4")),
        }
    }

    async fn accepted(&mut self) -> Result<(), Error> {
        let deadline = Instant::now() + self.dial.answer;
        loop {
            let Heard::Packet(Engine::Message(packet)) = self.hear(deadline, "no answer to CONNECT in time").await?
            else {
                continue;
            };
            if packet.namespace != self.namespace {
                continue;
            }
            match packet.kind {
                Kind::Connect(_) => return Ok(()),
                Kind::ConnectError(why) => return Err(self.refused(why.as_ref())),
                Kind::Disconnect => return Err(failed(Class::Lost, "the server left the namespace")),
                Kind::Event(_) | Kind::Ack => {}
            }
        }
    }

    async fn packet(&mut self, packet: frame::Packet) -> Result<(), Error> {
        if packet.namespace != self.namespace {
            self.inbox.interrupted(&self.dial.tally);
            return Ok(());
        }
        match packet.kind {
            Kind::Event(event) => {
                let whole = self.inbox.event(event, &self.dial.tally);
                self.take(whole).await
            }
            Kind::Disconnect => Err(failed(Class::Lost, "the server left the namespace")),
            Kind::ConnectError(why) => Err(self.refused(why.as_ref())),
            Kind::Connect(_) | Kind::Ack => {
                self.inbox.interrupted(&self.dial.tally);
                Ok(())
            }
        }
    }

    async fn take(&mut self, whole: Option<Whole>) -> Result<(), Error> {
        let Some(Whole { event, attachments }) = whole else { return Ok(()) };
        let said = decode::decode(&event.name, &event.args, &attachments, self.events);
        if said.is_empty() {
            Tally::count(&self.dial.tally.unknown);
            self.describe(&event);
        }
        for event in said {
            self.deliver(event).await?;
        }
        match event.ack {
            Some(ack) => self.write(frame::acknowledge(&self.namespace, ack)).await,
            None => Ok(()),
        }
    }

    fn describe(&self, event: &frame::Event) {
        if tracing::enabled!(tracing::Level::DEBUG) {
            // The token goes before the cut, or half of it could stay.
            let name = decode::label(&printable(&event.name, self.token, usize::MAX), LONGEST_NAME);
            let shape = printable(&decode::shape(&event.args), self.token, usize::MAX);
            tracing::debug!(event = %name, %shape, "an event was not understood");
        }
    }

    fn refused(&self, why: Option<&Value>) -> Error {
        let text = why.and_then(|why| why.get("message").unwrap_or(why).as_str()).unwrap_or("");
        failed(Class::Unauthorized, &printable(text, self.token, 200))
    }

    async fn deliver(&self, event: SocketEvent) -> Result<(), Error> {
        self.sink.send(event).await.map_err(|_| failed(Class::Lost, "nobody listens any more"))
    }

    /// The next frame. Only a frame of Engine.IO is a sign of life: a proxy may answer for a dead server's WebSocket.
    async fn hear(&mut self, deadline: Instant, late: &str) -> Result<Heard, Error> {
        loop {
            let next = tokio::select! {
                biased;
                next = timeout_at(deadline, self.line.next()) => next,
                () = self.sink.closed() => return Err(failed(Class::Lost, "nobody listens any more")),
            };
            return match next {
                Err(_) => Err(failed(Class::Lost, late)),
                Ok(None) => Err(failed(Class::Lost, "the connection ended")),
                Ok(Some(Err(error))) => Err(broken(&error)),
                Ok(Some(Ok(Message::Close(_)))) => Err(failed(Class::Lost, "the server closed the connection")),
                Ok(Some(Ok(Message::Text(text)))) => self.text(&text).await,
                Ok(Some(Ok(Message::Binary(bytes)))) => Ok(Heard::Attachment(bytes.into())),
                Ok(Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)))) => continue,
            };
        }
    }

    async fn text(&mut self, text: &str) -> Result<Heard, Error> {
        match frame::parse(text) {
            Ok(Engine::Close) => Err(failed(Class::Lost, "the server closed the connection")),
            Ok(Engine::Ping(probe)) => {
                self.write(frame::pong(&probe)).await?;
                Ok(Heard::Nothing)
            }
            Ok(packet) => Ok(Heard::Packet(packet)),
            Err(frame::Malformed) => {
                Tally::count(&self.dial.tally.malformed);
                tracing::debug!(
                    length = text.len(),
                    malformed = Tally::read(&self.dial.tally.malformed),
                    "a frame was not understood"
                );
                Ok(Heard::Nothing)
            }
        }
    }

    async fn write(&mut self, frame: String) -> Result<(), Error> {
        match timeout(self.dial.answer, self.line.send(Message::from(frame))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(broken(&error)),
            Err(_) => Err(failed(Class::Lost, "the server takes nothing")),
        }
    }
}

fn broken(error: &tungstenite::Error) -> Error {
    match error {
        tungstenite::Error::Capacity(_) => failed(Class::Garbled, "the server sent more than is taken at once"),
        tungstenite::Error::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake) => {
            failed(Class::Lost, "the connection ended")
        }
        tungstenite::Error::Protocol(_) | tungstenite::Error::Utf8(_) => {
            failed(Class::Garbled, "the server broke the WebSocket protocol")
        }
        tungstenite::Error::Io(error) => failed(Class::Lost, &error.kind().to_string()),
        _ => failed(Class::Lost, "the connection ended"),
    }
}
