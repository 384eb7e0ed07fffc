//! A client of the simulator that trusts nothing: plain HTTP and plain WebSocket frames.

use std::time::Duration;

use actiwapi_sim::{Config, Simulator};
use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// Far more than anything here takes; only a hang gets this far.
const PATIENCE: Duration = Duration::from_secs(20);

pub async fn start() -> Simulator {
    Simulator::start(Config::default()).await.unwrap()
}

/// An answer as it came.
#[derive(Debug)]
pub struct Got {
    pub status: u16,
    pub body: Value,
    pub text: String,
    pub retry_after: Option<String>,
}

#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    pub token: String,
}

impl Client {
    pub fn anonymous(base: &str) -> Self {
        // The client asks for one even where it speaks plain HTTP; an error means that there is one already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().timeout(PATIENCE).build().unwrap();
        Self { http, base: base.to_owned(), token: String::new() }
    }

    /// A client that has logged in as that tenant.
    pub async fn login(simulator: &Simulator, tenant: &str) -> Self {
        let mut client = Self::anonymous(&simulator.base_url());
        let login = json!({"email": format!("{tenant}@example.com"), "password": format!("{tenant}-password")});
        let got = client.post("/api/auth/login", Some(&login)).await;
        assert_eq!(got.status, 200, "{}", got.text);
        client.token = got.body["data"]["accessToken"].as_str().unwrap().to_owned();
        client
    }

    pub fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let request = self.http.request(method.parse().unwrap(), format!("{}{path}", self.base));
        if self.token.is_empty() { request } else { request.bearer_auth(&self.token) }
    }

    pub async fn get(&self, path: &str) -> Got {
        receive(self.request("GET", path)).await.unwrap()
    }

    pub async fn post(&self, path: &str, body: Option<&Value>) -> Got {
        let request = self.request("POST", path);
        receive(if let Some(body) = body { request.json(body) } else { request }).await.unwrap()
    }

    /// Creates a session and returns its id.
    pub async fn create(&self, name: &str) -> String {
        let got = self.post("/api/v1/whatsapp", Some(&json!({"name": name}))).await;
        assert_eq!(got.status, 201, "{}", got.text);
        got.body["data"]["id"].as_str().unwrap().to_owned()
    }

    pub async fn connect(&self, id: &str) -> Got {
        self.post(&format!("/api/v1/whatsapp/{id}/connect"), None).await
    }

    pub async fn status(&self, id: &str) -> Value {
        self.get(&format!("/api/v1/whatsapp/{id}/status")).await.body["data"].clone()
    }
}

pub async fn receive(request: reqwest::RequestBuilder) -> Result<Got, reqwest::Error> {
    let response = request.send().await?;
    let status = response.status().as_u16();
    let retry_after = response.headers().get("retry-after").map(|value| value.to_str().unwrap().to_owned());
    let text = response.text().await?;
    Ok(Got { status, body: serde_json::from_str(&text).unwrap_or_default(), text, retry_after })
}

/// A Socket.IO client down at the frames.
pub struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    namespace: String,
}

/// An event with its arguments and its binary attachments.
#[derive(Debug)]
pub struct Event {
    pub name: String,
    pub args: Vec<Value>,
    pub attachments: Vec<Vec<u8>>,
}

impl Socket {
    /// The Engine.IO handshake, without a CONNECT.
    pub async fn open(base: &str, path: &str) -> Result<Self, tokio_tungstenite::tungstenite::Error> {
        let url = format!("{}{path}?EIO=4&transport=websocket", base.replace("http://", "ws://"));
        let (stream, _) = tokio_tungstenite::connect_async(url).await?;
        let mut socket = Self { stream, namespace: String::new() };
        let hello = socket.text().await.unwrap();
        assert!(hello.starts_with("0{"), "{hello}");
        assert!(hello.contains("pingInterval"), "{hello}");
        Ok(socket)
    }

    /// A connected socket.
    pub async fn connected(base: &str, token: &str) -> Self {
        let mut socket = Self::open(base, "/socket.io/").await.unwrap();
        let answer = socket.authenticate("", &json!({"token": token})).await;
        assert!(answer.starts_with("40{"), "{answer}");
        socket
    }

    /// Sends CONNECT and returns the answer.
    pub async fn authenticate(&mut self, namespace: &str, auth: &Value) -> String {
        self.namespace = if namespace.is_empty() { String::new() } else { format!("{namespace},") };
        let packet = format!("40{}{auth}", self.namespace);
        self.stream.send(Message::text(packet)).await.unwrap();
        self.text().await.unwrap()
    }

    /// The next text frame that is no ping; none when the connection has ended.
    pub async fn text(&mut self) -> Option<String> {
        loop {
            match self.frame().await? {
                Message::Text(text) if text.as_str() == "2" => {
                    self.stream.send(Message::text("3")).await.ok()?;
                }
                Message::Text(text) => return Some(text.as_str().to_owned()),
                Message::Close(_) => return None,
                _ => {}
            }
        }
    }

    async fn frame(&mut self) -> Option<Message> {
        tokio::time::timeout(PATIENCE, self.stream.next()).await.expect("no frame for too long")?.ok()
    }

    /// The next event.
    pub async fn event(&mut self) -> Event {
        let text = self.text().await.expect("the connection has ended");
        let (count, rest) = if let Some(rest) = text.strip_prefix("45") {
            let (count, rest) = rest.split_once('-').unwrap();
            (count.parse().unwrap(), rest)
        } else {
            (0, text.strip_prefix("42").unwrap_or_else(|| panic!("no event: {text}")))
        };
        let rest = rest.strip_prefix(self.namespace.as_str()).unwrap();
        let mut args: Vec<Value> = serde_json::from_str(rest).unwrap();
        let name = args.remove(0).as_str().unwrap().to_owned();
        let mut attachments = Vec::new();
        for _ in 0..count {
            match self.frame().await.unwrap() {
                Message::Binary(bytes) => attachments.push(bytes.to_vec()),
                other => panic!("no attachment: {other:?}"),
            }
        }
        Event { name, args, attachments }
    }

    /// The next event of that name.
    pub async fn event_named(&mut self, name: &str) -> Event {
        loop {
            let event = self.event().await;
            if event.name == name {
                return event;
            }
        }
    }
}

/// What a QR picture says.
pub fn read_picture(png: &[u8]) -> String {
    let mut reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    let (width, height) = (info.width as usize, info.height as usize);
    let mut image = rqrr::PreparedImage::prepare_from_greyscale(width, height, |x, y| pixels[y * width + x]);
    image.detect_grids()[0].decode().unwrap().1
}
