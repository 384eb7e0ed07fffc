//! The Socket.IO client against a real server, and against a scripted one for what a real one does not do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::{
    io::{self, Write},
    net::SocketAddr,
    sync::{Arc, Mutex, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use socketioxide::{
    AckError, SocketIo,
    extract::{Data, SocketRef},
    handler::ConnectHandler as _,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinHandle,
};
use tokio_tungstenite::{WebSocketStream, accept_async, tungstenite::Message};
use url::Url;
use whatsapp_operator::provider::{
    Class, Error, EventsConfig, Liveness, Qr, QrContent, SocketEvent, Token,
    socket::{Dial, listen, listen_by},
};

const CANARY: &str = "eyJhbGciOiJub25lIn0.canary-of-the-token";
const RAW: &str = "2@q1W2e3,R4t5Y6=,u7I8o9=,p0A1s2==,1";
const PNG: &[u8] = b"\x89PNG\r\n\x1a\nanything";
/// Only a hang ever takes so long.
const PATIENCE: Duration = Duration::from_secs(20);

fn config(namespace: &str, subscribe: &[&str]) -> EventsConfig {
    EventsConfig {
        path: "/socket.io/".to_owned(),
        namespace: namespace.to_owned(),
        subscribe: subscribe.iter().map(|&name| name.to_owned()).collect(),
        qr_events: Vec::new(),
        status_events: Vec::new(),
    }
}

fn raw_qr(session: Option<&str>) -> SocketEvent {
    let content = QrContent::Raw(RAW.to_owned());
    SocketEvent::Qr { session: session.map(|id| id.parse().unwrap()), qr: Qr { content, pairing_code: None } }
}

fn png_qr(session: &str) -> SocketEvent {
    let content = QrContent::Png(PNG.to_vec());
    SocketEvent::Qr { session: Some(session.parse().unwrap()), qr: Qr { content, pairing_code: None } }
}

/// A client under test: what it says, and how it ends.
struct Client {
    events: mpsc::Receiver<SocketEvent>,
    end: JoinHandle<Error>,
}

impl Client {
    fn start(base: &str, events: EventsConfig) -> Self {
        Self::start_by(Dial::default(), base, events)
    }

    fn start_by(dial: Dial, base: &str, events: EventsConfig) -> Self {
        let base: Url = base.parse().unwrap();
        let (sink, inbox) = mpsc::channel(8);
        let end = tokio::spawn(async move { listen_by(&dial, &base, &Token::new(CANARY), &events, sink).await });
        Self { events: inbox, end }
    }

    async fn next(&mut self) -> SocketEvent {
        within(self.events.recv()).await.expect("the client ended")
    }

    async fn end(self) -> Error {
        let error = within(self.end).await.unwrap();
        assert!(!format!("{error:?} {error}").contains("canary"), "{error:?}");
        error
    }
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("hangs")
}

/// One end of a connection whose every frame the test says.
struct Script {
    line: WebSocketStream<TcpStream>,
}

impl Script {
    async fn listen() -> (TcpListener, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        (listener, base)
    }

    async fn accept(listener: &TcpListener) -> Self {
        let (stream, _) = within(listener.accept()).await.unwrap();
        Self { line: within(accept_async(stream)).await.unwrap() }
    }

    /// Opens, and takes the CONNECT.
    async fn open(listener: &TcpListener, interval: u64, timeout: u64) -> (Self, String) {
        let mut script = Self::accept(listener).await;
        script.say(&format!(r#"0{{"sid":"e","pingInterval":{interval},"pingTimeout":{timeout}}}"#)).await;
        let connect = script.hear().await;
        (script, connect)
    }

    /// A client of the default namespace that is live, and its server.
    async fn live() -> (Self, Client) {
        let (listener, base) = Self::listen().await;
        let mut client = Client::start(&base, config("/", &[]));
        let (mut script, _) = Self::open(&listener, 25_000, 20_000).await;
        script.say(r#"40{"sid":"s"}"#).await;
        assert_eq!(client.next().await, SocketEvent::Live);
        (script, client)
    }

    async fn say(&mut self, text: &str) {
        within(self.line.send(Message::from(text))).await.unwrap();
    }

    async fn attach(&mut self, bytes: &[u8]) {
        within(self.line.send(Message::from(bytes.to_vec()))).await.unwrap();
    }

    async fn hear(&mut self) -> String {
        within(self.line.next()).await.unwrap().unwrap().into_text().unwrap().to_string()
    }
}

/// A real server behind a path, with one namespace; its connected sockets come out of the channel.
struct Real {
    base: String,
    seen: mpsc::UnboundedReceiver<(SocketRef, Value)>,
    emitted: mpsc::UnboundedReceiver<&'static str>,
}

async fn real(namespace: &'static str, admitted: &'static str) -> Real {
    let (layer, io) = SocketIo::builder().req_path("/behind/a/socket.io").build_layer();
    let (connected, seen) = mpsc::unbounded_channel();
    let (emits, emitted) = mpsc::unbounded_channel();
    let gate = async move |Data(auth): Data<Value>| {
        if auth["token"] == admitted { Ok(()) } else { Err(format!("jwt expired: {}", auth["token"])) }
    };
    let greet = async move |socket: SocketRef, Data(auth): Data<Value>| {
        for name in ["join", "subscribe-all"] {
            let emits = emits.clone();
            socket.on(name, async move || emits.send(name).unwrap_or(()));
        }
        let _ = connected.send((socket, auth));
    };
    io.ns(namespace, greet.with(gate));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/behind/a/", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, axum::Router::new().layer(layer)).await });
    Real { base, seen, emitted }
}

#[tokio::test]
async fn a_real_server_hears_the_token_twice_and_never_in_the_query() {
    for namespace in ["/", "/wa"] {
        let mut server = real(namespace, CANARY).await;
        let mut client = Client::start(&server.base, config(namespace, &["join", "subscribe-all"]));
        assert_eq!(client.next().await, SocketEvent::Live);
        let (socket, auth) = within(server.seen.recv()).await.unwrap();
        assert_eq!(auth, json!({ "token": CANARY }));
        let parts = socket.req_parts();
        assert_eq!(parts.headers["authorization"], format!("Bearer {CANARY}"));
        assert_eq!(parts.uri.query(), Some("EIO=4&transport=websocket"));
        assert_eq!(within(server.emitted.recv()).await, Some("join"));
        assert_eq!(within(server.emitted.recv()).await, Some("subscribe-all"));
    }
}

#[tokio::test]
async fn a_real_server_tells_codes_and_status() {
    #[derive(serde::Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Picture {
        session_id: &'static str,
        image: Bytes,
    }
    let mut server = real("/wa", CANARY).await;
    let mut client = Client::start(&server.base, config("/wa", &[]));
    assert_eq!(client.next().await, SocketEvent::Live);
    let (socket, _) = within(server.seen.recv()).await.unwrap();

    socket.emit("noise", &json!({"any": "thing"})).unwrap();
    socket.emit("qr", &("s-1", RAW)).unwrap();
    assert_eq!(client.next().await, raw_qr(Some("s-1")));

    socket.emit("qr_code", &Picture { session_id: "s-1", image: Bytes::from_static(PNG) }).unwrap();
    assert_eq!(client.next().await, png_qr("s-1"));

    let status = json!({"sessionId": "s-1", "status": "connected", "connected": true});
    let answer = socket.emit_with_ack::<_, ()>("session.status", &status).unwrap();
    let expected = SocketEvent::Status { session: Some("s-1".parse().unwrap()), claims: Some(Liveness::Connected) };
    assert_eq!(client.next().await, expected);
    // An acknowledgement without a value is no `()` to this server; that it came is what counts.
    assert!(matches!(within(answer).await, Ok(()) | Err(AckError::Decode(_))));

    socket.disconnect().unwrap();
    assert_eq!(client.end().await.class, Class::Lost);
}

#[tokio::test]
async fn a_real_server_that_refuses_the_token() {
    let server = real("/wa", "another token").await;
    let client = Client::start(&server.base, config("/wa", &[]));
    let error = client.end().await;
    assert_eq!(error.class, Class::Unauthorized);
    assert!(error.message.starts_with("jwt expired"), "{}", error.message);

    let elsewhere = Client::start(&server.base, config("/other", &[]));
    assert_eq!(elsewhere.end().await.class, Class::Unauthorized);
}

#[tokio::test]
async fn silence_is_death() {
    let (listener, base) = Script::listen().await;
    let mut client = Client::start(&base, config("/", &[]));
    let (mut script, connect) = Script::open(&listener, 300, 300).await;
    assert_eq!(connect, format!(r#"40{{"token":"{CANARY}"}}"#));
    script.say(r#"40{"sid":"s"}"#).await;
    assert_eq!(client.next().await, SocketEvent::Live);
    for _ in 0..3 {
        script.say("2").await;
        assert_eq!(script.hear().await, "3");
    }
    // Pings of the WebSocket are no life: a proxy sends them for a server that is gone.
    script.line.send(Message::Ping(Vec::new().into())).await.unwrap();
    let error = client.end().await;
    assert_eq!((error.class, error.message.as_str()), (Class::Lost, "the server fell silent"));
}

#[tokio::test]
async fn events_are_acknowledged_in_their_namespace() {
    let (listener, base) = Script::listen().await;
    let mut client = Client::start(&base, config("/wa", &["join"]));
    let (mut script, connect) = Script::open(&listener, 25_000, 20_000).await;
    assert_eq!(connect, format!(r#"40/wa,{{"token":"{CANARY}"}}"#));
    // The answer for another namespace is not ours.
    script.say(r#"40{"sid":"s"}"#).await;
    script.say("2probe").await;
    assert_eq!(script.hear().await, "3probe");
    script.say(r#"40/wa,{"sid":"s"}"#).await;
    assert_eq!(client.next().await, SocketEvent::Live);
    assert_eq!(script.hear().await, r#"42/wa,["join"]"#);

    script.say(&format!(r#"42["qr","{RAW}"]"#)).await;
    script.say(r#"42/wa,7["noise"]"#).await;
    assert_eq!(script.hear().await, "43/wa,7[]");
    script.say(&format!(r#"42/wa,8["qr","s-1","{RAW}"]"#)).await;
    assert_eq!(client.next().await, raw_qr(Some("s-1")));
    assert_eq!(script.hear().await, "43/wa,8[]");
    script.say(r#"451-/wa,9["qr",{"sessionId":"s-1","image":{"_placeholder":true,"num":0}}]"#).await;
    script.say("2").await;
    assert_eq!(script.hear().await, "3");
    script.attach(PNG).await;
    assert_eq!(client.next().await, png_qr("s-1"));
    assert_eq!(script.hear().await, "43/wa,9[]");
}

#[tokio::test]
async fn every_way_to_close_is_a_loss() {
    for text in ["41", "1"] {
        let (mut script, client) = Script::live().await;
        script.say(text).await;
        assert_eq!(client.end().await.class, Class::Lost, "{text}");
    }
    let (mut script, client) = Script::live().await;
    script.line.close(None).await.unwrap();
    assert_eq!(client.end().await.class, Class::Lost);
    let (script, client) = Script::live().await;
    drop(script);
    assert_eq!(client.end().await.class, Class::Lost);
    let (mut script, client) = Script::live().await;
    script.say(r#"44{"message":"token revoked"}"#).await;
    assert_eq!(client.end().await.class, Class::Unauthorized);
}

#[tokio::test]
async fn garbage_is_counted_and_outlived() {
    let (listener, base) = Script::listen().await;
    let dial = Dial::default();
    let tally = Arc::clone(&dial.tally);
    let mut client = Client::start_by(dial, &base, config("/", &[]));
    let (mut script, _) = Script::open(&listener, 25_000, 20_000).await;
    script.say(r#"40{"sid":"s"}"#).await;
    assert_eq!(client.next().await, SocketEvent::Live);
    for text in ["", "x", "42", "42{}", "42[1]", "45[]", "4🦀", "42[\"qr\",", "0"] {
        script.say(text).await;
    }
    script.attach(b"belongs to nothing").await;
    script.say(r#"455-["qr",{"_placeholder":true,"num":0}]"#).await;
    for _ in 0..5 {
        script.attach(PNG).await;
    }
    script.say(r#"452-["qr",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#).await;
    script.attach(&vec![0; 1 << 20]).await;
    script.attach(PNG).await;
    script.say(r#"42["noise"]"#).await;
    script.say(&format!(r#"42["qr","{RAW}"]"#)).await;
    assert_eq!(client.next().await, raw_qr(None));
    let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    assert_eq!((count(&tally.malformed), count(&tally.oversized), count(&tally.unknown)), (10, 2, 1));
}

#[tokio::test]
async fn more_than_a_mebibyte_at_once_ends_it() {
    let (mut script, client) = Script::live().await;
    let long = format!(r#"42["qr","{}"]"#, "x".repeat(1 << 20));
    // The client may hang up before all of it is sent.
    let _ = script.line.send(Message::from(long)).await;
    assert_eq!(client.end().await.class, Class::Garbled);
}

#[tokio::test]
async fn a_refused_connect_is_an_auth_error_without_the_token() {
    for (answer, message) in [
        (r#"44{"message":"Not authorized"}"#.to_owned(), "Not authorized"),
        (r#"44"plain text""#.to_owned(), "plain text"),
        ("44".to_owned(), ""),
        (format!(r#"44{{"message":"bad token {CANARY}"}}"#), "bad token …"),
    ] {
        let (listener, base) = Script::listen().await;
        let client = Client::start(&base, config("/", &[]));
        let (mut script, _) = Script::open(&listener, 25_000, 20_000).await;
        script.say(&answer).await;
        let error = client.end().await;
        assert_eq!((error.class, error.message.as_str()), (Class::Unauthorized, message));
    }
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_lost() {
    let quick = || Dial { answer: Duration::from_millis(500), ..Dial::default() };

    // Takes the connection and says nothing at all.
    let (listener, base) = Script::listen().await;
    let client = Client::start_by(quick(), &base, config("/", &[]));
    let held = listener.accept().await.unwrap();
    assert_eq!(client.end().await.class, Class::Lost);
    drop(held);

    // Upgrades and never opens.
    let (listener, base) = Script::listen().await;
    let client = Client::start_by(quick(), &base, config("/", &[]));
    let held = Script::accept(&listener).await;
    assert_eq!(client.end().await.message, "no open packet in time");
    drop(held);

    // Opens and never accepts, however often it pings.
    let (listener, base) = Script::listen().await;
    let client = Client::start_by(quick(), &base, config("/", &[]));
    let (mut held, _) = Script::open(&listener, 25_000, 20_000).await;
    held.say("2").await;
    assert_eq!(client.end().await.message, "no answer to CONNECT in time");
}

#[tokio::test]
async fn a_server_of_another_protocol_is_garbled() {
    let (listener, base) = Script::listen().await;
    let client = Client::start(&base, config("/", &[]));
    let mut script = Script::accept(&listener).await;
    script.say("hello").await;
    assert_eq!(client.end().await.class, Class::Garbled);
}

#[tokio::test]
async fn a_refused_upgrade_has_the_class_of_its_status() {
    for (status, class) in [
        (401, Class::Unauthorized),
        (403, Class::Unauthorized),
        (302, Class::Unexpected),
        (400, Class::Unexpected),
        (404, Class::NotFound),
        (429, Class::RateLimited),
        (500, Class::Upstream),
        (503, Class::Upstream),
        (200, Class::Unexpected),
    ] {
        let (listener, base) = Script::listen().await;
        let client = Client::start(&base, config("/", &[]));
        let (mut stream, _) = within(listener.accept()).await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(within(stream.read_u8()).await.unwrap());
        }
        let answer = format!(
            "HTTP/1.1 {status} X\r\nretry-after: 7\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 4\r\n\r\nsome"
        );
        stream.write_all(answer.as_bytes()).await.unwrap();
        let error = client.end().await;
        assert_eq!((error.class, error.status), (class, Some(status)));
        assert_eq!(error.retry_after, Some(Duration::from_secs(7)));
    }
}

#[tokio::test]
async fn nobody_there_is_not_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    drop(listener);
    let (sink, _inbox) = mpsc::channel(1);
    let (base, token, events) = (format!("http://{address}").parse().unwrap(), Token::new(CANARY), config("/", &[]));
    let error = within(Box::pin(listen(&base, &token, &events, sink))).await;
    assert_eq!(error.class, Class::NotSent);
}

#[tokio::test]
async fn a_failed_tls_handshake_is_not_sent() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (listener, base) = Script::listen().await;
    let tls =
        rustls::ClientConfig::builder().with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth();
    let dial = Dial { tls: Some(Arc::new(tls)), ..Dial::default() };
    let client = Client::start_by(dial, &base.replace("http:", "https:"), config("/", &[]));
    let (mut stream, _) = within(listener.accept()).await.unwrap();
    stream.write_all(b"HTTP/1.1 400 this is no TLS\r\n\r\n").await.unwrap();
    assert_eq!(client.end().await.class, Class::NotSent);
}

#[tokio::test]
async fn it_ends_when_nobody_listens() {
    let (_script, client) = Script::live().await;
    let Client { events, end } = client;
    drop(events);
    assert_eq!(within(end).await.unwrap().class, Class::Lost);
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn what_is_logged_holds_neither_token_nor_code() {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    // For the whole process: what another thread of it meets first would otherwise be switched off for this one too.
    tracing::subscriber::set_global_default(subscriber).unwrap();

    let (mut script, mut client) = Script::live().await;
    let long = format!("{}{CANARY}", "n".repeat(60));
    for event in [
        json!([long, {"token": CANARY, "code": RAW, CANARY: 1, "secret\u{1b}[2J": "value-canary"}]),
        json!([CANARY, CANARY, 5]),
        json!([RAW, RAW]),
        json!(["wa.hello", {"body": RAW, "phone": "49170canary"}]),
    ] {
        script.say(&format!("42{event}")).await;
    }
    script.say(&format!("garbage {CANARY}")).await;
    script.say(&format!(r#"42["qr","{RAW}"]"#)).await;
    assert_eq!(client.next().await, raw_qr(None));
    drop(script);
    client.end().await;

    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    for told in ["an event was not understood", "wa.hello", "string(35) code", "a frame was not understood"] {
        assert!(text.contains(told), "{told} is not in {text}");
    }
    for secret in ["canary", "q1W2e3", "\u{1b}"] {
        assert!(!text.contains(secret), "{secret:?} is in {text}");
    }
}
