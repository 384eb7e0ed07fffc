//! The provider over HTTPS. One call is one request: whether to try again is decided above.

use std::{
    error::Error as _,
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures::{FutureExt, future::BoxFuture};
use reqwest::{
    Client, Method, RequestBuilder,
    header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER},
    redirect, retry,
};
use serde_json::json;
use tokio::sync::mpsc;
use tracing::debug;
use url::Url;

use super::{
    ApiKey, Class, Error, EventsConfig, Limits, Page, Password, Provider, RemoteSession, SessionId, SocketEvent,
    Subscription, Token, Tokens, Usage,
    place::is_events_path,
    reach::{NO_ADDRESS, Reach, distrusted},
    socket::{self, Dial},
    wire::{self, Answer},
};

/// Shorter than the 5 s after which common servers close an idle connection: a request that meets such a close is
/// lost, and for a create that is expensive.
const POOL_IDLE: Duration = Duration::from_secs(4);
/// How often a silent HTTP/2 connection with a request on it is asked whether it still lives, so that one dead
/// connection does not swallow request after request.
const PING: Duration = Duration::from_secs(10);
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// The provider at one base URL. Reuses connections; follows no redirect, uses no proxy, retries nothing.
///
/// One thing below it cannot be switched off: a request that finds its pooled connection closed before one byte of
/// it was written goes out on another one. The provider sees it once.
pub struct Http {
    base: Url,
    client: Client,
    dial: Dial,
    body: usize,
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").field("base", &self.base.as_str()).finish_non_exhaustive()
    }
}

/// Why no client can be made.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The URL has another scheme, no host, or carries credentials, a query or a fragment.
    #[error("the base URL must be http(s)://host[:port][/path] without credentials, query and fragment")]
    BaseUrl,
    /// The process has no default TLS provider yet.
    #[error("no TLS provider is installed")]
    NoTlsProvider,
    /// The TLS roots could not be loaded.
    #[error("the HTTP client cannot be set up")]
    Client(#[source] reqwest::Error),
}

/// A finished exchange, before anybody looked into it.
struct Reply {
    status: u16,
    retry_after: Option<String>,
    body: Vec<u8>,
}

impl Reply {
    fn answer<'a>(&'a self, secret: &'a str) -> Answer<'a> {
        Answer {
            status: self.status,
            retry_after: self.retry_after.as_deref(),
            now: SystemTime::now(),
            secret,
            body: &self.body,
        }
    }
}

impl Http {
    /// A client for `base_url`, whose path, if any, prefixes every path, that connects where `reach` lets it. Needs a
    /// process-wide TLS provider.
    ///
    /// # Errors
    /// When the URL is no base, no TLS provider is installed, or the TLS roots cannot be loaded.
    pub fn new(base_url: &Url, limits: Limits, reach: &Reach) -> Result<Self, SetupError> {
        let plain = matches!(base_url.scheme(), "http" | "https")
            && base_url.has_host()
            && base_url.username().is_empty()
            && base_url.password().is_none()
            && base_url.query().is_none()
            && base_url.fragment().is_none();
        if !plain {
            return Err(SetupError::BaseUrl);
        }
        // The client would panic without one.
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            return Err(SetupError::NoTlsProvider);
        }
        let mut client = Client::builder()
            .user_agent(concat!("whatsapp-operator/", env!("CARGO_PKG_VERSION")))
            .default_headers(HeaderMap::from_iter([(ACCEPT, JSON), (CONTENT_TYPE, JSON)]))
            .redirect(redirect::Policy::none())
            .referer(false)
            .retry(retry::never())
            .no_proxy()
            .connect_timeout(limits.connect)
            .timeout(limits.request)
            .read_timeout(limits.request)
            .pool_idle_timeout(POOL_IDLE)
            .http2_keep_alive_interval(PING)
            .http2_keep_alive_timeout(PING)
            .dns_resolver(Arc::new(reach.addresses.clone()));
        if let Some(tls) = reach.http_tls() {
            client = client.tls_backend_preconfigured(tls);
        }
        let client = client.build().map_err(SetupError::Client)?;
        let dial = Dial { tls: reach.tls(), admit: reach.admit(), ..Dial::default() };
        Ok(Self { base: base_url.clone(), client, dial, body: limits.body })
    }

    /// Built from segments, each of which is escaped: nothing an id or a name holds can reach another path or host.
    fn url(&self, segments: &[&str]) -> Result<Url, Error> {
        let mut url = self.base.clone();
        url.path_segments_mut().map_err(|()| Error::of(Class::NotSent))?.pop_if_empty().extend(segments);
        Ok(url)
    }

    fn request(&self, method: Method, segments: &[&str]) -> Result<RequestBuilder, Error> {
        Ok(self.client.request(method, self.url(segments)?))
    }

    fn authorized(&self, method: Method, segments: &[&str], token: &Token) -> Result<RequestBuilder, Error> {
        let value = sensitive(&format!("Bearer {}", token.expose()))?;
        Ok(self.request(method, segments)?.header(AUTHORIZATION, value))
    }

    async fn get(&self, segments: &[&str], token: &Token) -> Result<Reply, Error> {
        self.send(self.authorized(Method::GET, segments, token)?).await
    }

    async fn post(&self, segments: &[&str], token: &Token) -> Result<Reply, Error> {
        // Some servers refuse a POST that does not say that it has no body.
        self.send(self.authorized(Method::POST, segments, token)?.header(CONTENT_LENGTH, 0)).await
    }

    async fn send(&self, request: RequestBuilder) -> Result<Reply, Error> {
        let mut response = request.send().await.map_err(|error| lost(&error))?;
        let status = response.status().as_u16();
        let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| lost(&error))? {
            if body.len().saturating_add(chunk.len()) > self.body {
                // An empty body is garbled for a success, and leaves a refusal to its status.
                body.clear();
                break;
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Reply { status, retry_after, body })
    }
}

fn sensitive(text: &str) -> Result<HeaderValue, Error> {
    let mut value = HeaderValue::from_str(text).map_err(|_| Error::of(Class::NotSent))?;
    value.set_sensitive(true);
    Ok(value)
}

/// The class of a call without a complete answer. Of the client's own text only the innermost cause is logged, which
/// names neither URL nor header.
fn lost(error: &reqwest::Error) -> Error {
    let mut cause = error.source();
    while let Some(inner) = cause.and_then(std::error::Error::source) {
        cause = Some(inner);
    }
    let class = if error.is_builder() || error.is_connect() { Class::NotSent } else { Class::Lost };
    debug!(?class, cause = cause.map(tracing::field::display), "no complete answer");
    let refused = cause.map(ToString::to_string).filter(|text| text == NO_ADDRESS);
    let refused = refused.or_else(|| distrusted(error).map(ToOwned::to_owned));
    Error { message: refused.unwrap_or_default(), ..Error::of(class) }
}

const SESSIONS: [&str; 3] = ["api", "v1", "whatsapp"];

fn session<'a>(id: &'a SessionId, verb: &'a str) -> [&'a str; 5] {
    let [api, version, whatsapp] = SESSIONS;
    [api, version, whatsapp, id.as_str(), verb]
}

impl Provider for Http {
    fn login<'a>(&'a self, email: &'a str, password: &'a Password) -> BoxFuture<'a, Result<Tokens, Error>> {
        async move {
            let body = json!({ "email": email, "password": password.expose() });
            let reply = self.send(self.request(Method::POST, &["api", "auth", "login"])?.json(&body)).await?;
            wire::parse_tokens(&reply.answer(password.expose()))
        }
        .boxed()
    }

    fn refresh<'a>(&'a self, refresh: &'a Token) -> BoxFuture<'a, Result<Tokens, Error>> {
        async move {
            let body = json!({ "refreshToken": refresh.expose() });
            let reply = self.send(self.request(Method::POST, &["api", "auth", "refresh"])?.json(&body)).await?;
            wire::parse_tokens(&reply.answer(refresh.expose()))
        }
        .boxed()
    }

    fn list<'a>(&'a self, token: &'a Token, page: u32, limit: u32) -> BoxFuture<'a, Result<Page, Error>> {
        async move {
            let query = [("page", page), ("limit", limit)];
            let reply = self.send(self.authorized(Method::GET, &SESSIONS, token)?.query(&query)).await?;
            wire::parse_page(&reply.answer(token.expose()))
        }
        .boxed()
    }

    fn create<'a>(&'a self, token: &'a Token, name: &'a str) -> BoxFuture<'a, Result<RemoteSession, Error>> {
        async move {
            let body = json!({ "name": name });
            let reply = self.send(self.authorized(Method::POST, &SESSIONS, token)?.json(&body)).await?;
            wire::parse_created(&reply.answer(token.expose()))
        }
        .boxed()
    }

    fn connect<'a>(&'a self, token: &'a Token, id: &'a SessionId) -> BoxFuture<'a, Result<(), Error>> {
        async move {
            let reply = self.post(&session(id, "connect"), token).await?;
            wire::parse_done(&reply.answer(token.expose()))
        }
        .boxed()
    }

    fn status<'a>(&'a self, token: &'a Token, id: &'a SessionId) -> BoxFuture<'a, Result<RemoteSession, Error>> {
        async move {
            let reply = self.get(&session(id, "status"), token).await?;
            wire::parse_status(&reply.answer(token.expose()), id)
        }
        .boxed()
    }

    fn disconnect<'a>(&'a self, token: &'a Token, id: &'a SessionId) -> BoxFuture<'a, Result<(), Error>> {
        async move {
            let reply = self.post(&session(id, "disconnect"), token).await?;
            wire::parse_done(&reply.answer(token.expose()))
        }
        .boxed()
    }

    fn external_list<'a>(&'a self, key: &'a ApiKey) -> BoxFuture<'a, Result<Vec<RemoteSession>, Error>> {
        async move {
            let request = self.request(Method::GET, &["api", "external", "sessions"])?;
            let reply = self.send(request.header(API_KEY, sensitive(key.expose())?)).await?;
            wire::parse_external(&reply.answer(key.expose()))
        }
        .boxed()
    }

    fn usage<'a>(&'a self, token: &'a Token) -> BoxFuture<'a, Result<Usage, Error>> {
        async move {
            let reply = self.get(&["api", "billing", "usage"], token).await?;
            wire::parse_usage(&reply.answer(token.expose()))
        }
        .boxed()
    }

    fn subscription<'a>(&'a self, token: &'a Token) -> BoxFuture<'a, Result<Subscription, Error>> {
        async move {
            let reply = self.get(&["api", "billing", "subscription"], token).await?;
            wire::parse_subscription(&reply.answer(token.expose()))
        }
        .boxed()
    }

    fn listen<'a>(
        &'a self,
        token: &'a Token,
        events: &'a EventsConfig,
        sink: mpsc::Sender<SocketEvent>,
    ) -> BoxFuture<'a, Error> {
        async move {
            if !is_events_path(&events.path) {
                let message = "spec.events.path is no plain path below the base URL".to_owned();
                return Error { message, ..Error::of(Class::NotSent) };
            }
            socket::listen_by(&self.dial, &self.base, token, events, sink).await
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn http(base: &str) -> Result<Http, SetupError> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        Http::new(&base.parse().unwrap(), Limits::default(), &Reach::anywhere())
    }

    #[test]
    fn a_path_of_the_base_url_is_kept() {
        for base in ["https://api.example.com/tenant/a", "https://api.example.com/tenant/a/"] {
            let url = http(base).unwrap().url(&SESSIONS).unwrap();
            assert_eq!(url.as_str(), "https://api.example.com/tenant/a/api/v1/whatsapp");
        }
        let url = http("https://api.example.com:8443").unwrap().url(&session(&"x-1".parse().unwrap(), "status"));
        assert_eq!(url.unwrap().as_str(), "https://api.example.com:8443/api/v1/whatsapp/x-1/status");
    }

    #[test]
    fn a_segment_cannot_reach_another_path() {
        let http = http("https://api.example.com").unwrap();
        for segment in ["..", ".", "a/b", "//evil.example", "?x", "#y", "%2e%2e"] {
            let url = http.url(&["api", segment, "status"]).unwrap();
            assert_eq!(url.host_str(), Some("api.example.com"));
            assert!(url.path().starts_with("/api/") && url.path().ends_with("/status"), "{url}");
            assert!(url.query().is_none() && url.fragment().is_none(), "{url}");
        }
    }

    #[test]
    fn only_a_plain_base_url_is_taken() {
        for base in ["ftp://x", "mailto:x@y", "https://u:p@x", "https://u@x", "https://x/?a=b", "https://x/#a"] {
            assert!(matches!(http(base), Err(SetupError::BaseUrl)), "{base}");
        }
    }

    #[test]
    fn headers_with_a_credential_do_not_print_it() {
        assert_eq!(format!("{:?}", sensitive("Bearer hunter2").unwrap()), "Sensitive");
        assert_eq!(sensitive("a\nb").unwrap_err().class, Class::NotSent);
    }
}
