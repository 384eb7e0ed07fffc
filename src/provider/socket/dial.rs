//! From a base URL to an upgraded WebSocket, or to the class of what went wrong.

use std::{
    fmt, io,
    net::IpAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::{
    net::{TcpStream, lookup_host},
    time::timeout,
};
use tokio_tungstenite::{
    Connector, MaybeTlsStream, WebSocketStream, client_async_tls_with_config,
    tungstenite::{
        self,
        client::IntoClientRequest,
        error::ProtocolError,
        handshake::client::{Request, Response},
        http::{HeaderName, HeaderValue, header},
        protocol::WebSocketConfig,
    },
};
use url::Url;

use super::{super::wire, LARGEST_MESSAGE, Tally};
use crate::provider::{
    Class, Error, Token,
    reach::{NO_ADDRESS, distrusted},
};

/// An open connection, before Engine.IO has said anything on it.
pub(super) type Line = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Whether a resolved address may be connected to.
pub type Admit = Arc<dyn Fn(IpAddr) -> bool + Send + Sync>;

/// How connections are made and how long anything may take.
#[derive(Clone)]
pub struct Dial {
    /// The TLS configuration; the roots of the system with the process's crypto provider where there is none.
    pub tls: Option<Arc<rustls::ClientConfig>>,
    /// Asked about every address after the name was resolved, so that a name cannot lead where it must not.
    pub admit: Admit,
    /// Wall time for name and TCP together; 5 s.
    pub connect: Duration,
    /// Wall time for each of: TLS and upgrade, the Engine.IO open packet, the answer to CONNECT, one write; 10 s.
    pub answer: Duration,
    /// What was dropped, over all connections made with this.
    pub tally: Arc<Tally>,
}

impl Default for Dial {
    fn default() -> Self {
        Self {
            tls: None,
            admit: Arc::new(|_| true),
            connect: Duration::from_secs(5),
            answer: Duration::from_secs(10),
            tally: Arc::default(),
        }
    }
}

impl fmt::Debug for Dial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dial")
            .field("connect", &self.connect)
            .field("answer", &self.answer)
            .field("tally", &self.tally)
            .finish_non_exhaustive()
    }
}

impl Dial {
    /// Resolves, connects, upgrades.
    pub(super) async fn open(&self, base: &Url, path: &str, token: &Token) -> Result<Line, Error> {
        let url = address(base, path)?;
        let request = request(&url, token)?;
        let stream = match timeout(self.connect, self.reach(&url)).await {
            Ok(reached) => reached?,
            Err(_) => return Err(failed(Class::NotSent, "no connection in time")),
        };
        // Frames are small and each is waited for.
        let _ = stream.set_nodelay(true);
        let config = WebSocketConfig::default()
            .read_buffer_size(16 << 10)
            .max_message_size(Some(LARGEST_MESSAGE))
            .max_frame_size(Some(LARGEST_MESSAGE));
        let connector = self.tls.clone().map(Connector::Rustls);
        match timeout(self.answer, client_async_tls_with_config(request, stream, Some(config), connector)).await {
            Ok(Ok((line, _))) => Ok(line),
            Ok(Err(error)) => Err(upgrade_failed(&error, token)),
            Err(_) => Err(failed(Class::Lost, "no answer to the upgrade in time")),
        }
    }

    async fn reach(&self, url: &Url) -> Result<TcpStream, Error> {
        let host = url.host().ok_or_else(|| failed(Class::NotSent, "the URL has no host"))?;
        let port = url.port_or_known_default().unwrap_or(443);
        let found: Vec<_> = match host {
            url::Host::Ipv4(ip) => vec![(IpAddr::V4(ip), port).into()],
            url::Host::Ipv6(ip) => vec![(IpAddr::V6(ip), port).into()],
            url::Host::Domain(name) => match lookup_host((name, port)).await {
                Ok(found) => found.collect(),
                Err(_) => return Err(failed(Class::NotSent, "the name could not be resolved")),
            },
        };
        let mut last = failed(Class::NotSent, NO_ADDRESS);
        for place in found.into_iter().filter(|place| (self.admit)(place.ip())) {
            match TcpStream::connect(place).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = failed(Class::NotSent, &error.kind().to_string()),
            }
        }
        Err(last)
    }
}

/// The endpoint's URL. The token is not in it: query strings end up in the logs of proxies.
fn address(base: &Url, path: &str) -> Result<Url, Error> {
    let scheme = match base.scheme() {
        "https" | "wss" => "wss",
        "http" | "ws" => "ws",
        _ => return Err(failed(Class::NotSent, "the URL is neither http nor https")),
    };
    let mut url = base.clone();
    let whole = format!("{}/{}", base.path().trim_end_matches('/'), path.trim_start_matches('/'));
    url.set_path(&whole);
    url.set_query(Some("EIO=4&transport=websocket"));
    url.set_fragment(None);
    let set = url.set_scheme(scheme).and_then(|()| url.set_username("")).and_then(|()| url.set_password(None));
    set.map_err(|()| failed(Class::NotSent, "the URL cannot be used"))?;
    Ok(url)
}

fn request(url: &Url, token: &Token) -> Result<Request, Error> {
    let unusable = |_| failed(Class::NotSent, "the URL cannot be used");
    let mut request = url.as_str().into_client_request().map_err(unusable)?;
    let mut bearer = HeaderValue::from_str(&format!("Bearer {}", token.expose()))
        .map_err(|_| failed(Class::NotSent, "the token cannot be sent in a header"))?;
    bearer.set_sensitive(true);
    let known: [(HeaderName, HeaderValue); 2] = [
        (header::AUTHORIZATION, bearer),
        (header::USER_AGENT, HeaderValue::from_static(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")))),
    ];
    request.headers_mut().extend(known);
    Ok(request)
}

fn upgrade_failed(error: &tungstenite::Error, token: &Token) -> Error {
    match error {
        tungstenite::Error::Http(response) => refused(response, token),
        tungstenite::Error::Tls(_) => failed(Class::NotSent, "the TLS handshake failed"),
        tungstenite::Error::Io(error) if of_tls(error) => {
            failed(Class::NotSent, distrusted(error).unwrap_or("the TLS handshake failed"))
        }
        tungstenite::Error::Io(error) => failed(Class::Lost, &error.kind().to_string()),
        tungstenite::Error::ConnectionClosed
        | tungstenite::Error::AlreadyClosed
        | tungstenite::Error::Protocol(ProtocolError::HandshakeIncomplete) => Error::of(Class::Lost),
        _ => failed(Class::Garbled, "the answer to the upgrade is not one of a WebSocket server"),
    }
}

fn of_tls(error: &io::Error) -> bool {
    error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<rustls::Error>)
}

/// 403 here is about the token as much as 401 is: at this door nothing else can be forbidden.
fn refused(response: &Response, token: &Token) -> Error {
    let status = response.status().as_u16();
    let class = match status {
        401 | 403 => Class::Unauthorized,
        404 => Class::NotFound,
        429 => Class::RateLimited,
        408 | 500..=599 => Class::Upstream,
        _ => Class::Unexpected,
    };
    let text = response.body().as_deref().map(String::from_utf8_lossy).unwrap_or_default();
    let retry_after = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
    Error {
        status: Some(status),
        retry_after: retry_after.and_then(|value| wire::retry_after(value, SystemTime::now())),
        ..failed(class, &printable(&text, token, 200))
    }
}

/// The provider's text for our eyes: without our token, should it have been echoed, and cut only after that.
pub(super) fn printable(text: &str, token: &Token, longest: usize) -> String {
    let secret = token.expose();
    if secret.is_empty() { wire::clean(text, longest) } else { wire::clean(&text.replace(secret, "…"), longest) }
}

pub(super) fn failed(class: Class, message: &str) -> Error {
    Error { message: message.to_owned(), ..Error::of(class) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_base_path_and_drops_the_rest() {
        let table = [
            ("https://api.example.com", "/socket.io/", "wss://api.example.com/socket.io/?EIO=4&transport=websocket"),
            ("https://api.example.com/", "/socket.io", "wss://api.example.com/socket.io?EIO=4&transport=websocket"),
            ("http://u:p@h:8080/a/b/?x=1#f", "/s/", "ws://h:8080/a/b/s/?EIO=4&transport=websocket"),
            ("http://[::1]:1/a", "s", "ws://[::1]:1/a/s?EIO=4&transport=websocket"),
        ];
        for (base, path, expected) in table {
            assert_eq!(address(&Url::parse(base).unwrap(), path).unwrap().as_str(), expected);
        }
        assert_eq!(address(&Url::parse("ftp://h").unwrap(), "/s").unwrap_err().class, Class::NotSent);
    }

    #[test]
    fn the_token_is_in_the_header_and_not_shown() {
        let url = Url::parse("ws://h/s").unwrap();
        let made = request(&url, &Token::new("canary")).unwrap();
        assert_eq!(made.headers().get("authorization").unwrap().to_str().unwrap(), "Bearer canary");
        assert!(!format!("{made:?}").contains("canary"));
        assert_eq!(request(&url, &Token::new("a\nb")).unwrap_err().class, Class::NotSent);
    }

    #[test]
    fn an_echoed_token_is_cut_out() {
        let long = format!("{}canary", "x".repeat(198));
        assert!(!printable(&long, &Token::new("canary"), 200).contains("ca"));
    }

    #[tokio::test]
    async fn an_address_that_is_not_admitted_is_not_tried() {
        let dial = Dial { admit: Arc::new(|ip| !ip.is_loopback()), ..Dial::default() };
        for base in ["http://127.0.0.1:1", "http://localhost:1", "http://[::1]:1"] {
            let error = dial.open(&Url::parse(base).unwrap(), "/s/", &Token::new("t")).await.unwrap_err();
            assert_eq!(error.class, Class::NotSent);
            assert!(error.message == NO_ADDRESS, "{}", error.message);
        }
    }
}
