//! The `SaaS`: its model, its REST API, its Socket.IO events, its errors. Knows no Kubernetes.
//!
//! Everything above sees the provider through [`Provider`]; [`http::Http`] is the real one.

pub mod decode;
pub mod error;
pub mod http;
pub mod model;
pub mod place;
pub mod reach;
pub mod socket;
pub mod wire;

use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::mpsc;

pub use error::{Class, Error};
pub use model::{
    ApiKey, Liveness, Page, Password, Phone, Qr, QrContent, RemoteSession, SessionId, SocketEvent, Subscription, Token,
    Tokens, Usage,
};

/// How to listen to the provider's events; an account's `spec.events`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventsConfig {
    /// HTTP path of the Engine.IO endpoint, `/socket.io/` unless configured.
    pub path: String,
    /// Socket.IO namespace, `/` unless configured.
    pub namespace: String,
    /// Events emitted, without arguments, right after the server accepted the connection.
    pub subscribe: Vec<String>,
    /// Further event names that carry a QR code.
    pub qr_events: Vec<String>,
    /// Further event names that tell a session's status.
    pub status_events: Vec<String>,
}

/// One provider at one base URL. Every call has a timeout, caps what it reads and follows no redirect;
/// none retries. Source: the provider's Sessions API page, and its authentication and billing pages.
pub trait Provider: Send + Sync + 'static {
    /// `POST /api/auth/login`.
    fn login<'a>(&'a self, email: &'a str, password: &'a Password) -> BoxFuture<'a, Result<Tokens, Error>>;
    /// `POST /api/auth/refresh`.
    fn refresh<'a>(&'a self, refresh: &'a Token) -> BoxFuture<'a, Result<Tokens, Error>>;
    /// `GET /api/v1/whatsapp?page&limit`; pages count from 1.
    fn list<'a>(&'a self, token: &'a Token, page: u32, limit: u32) -> BoxFuture<'a, Result<Page, Error>>;
    /// `POST /api/v1/whatsapp`. `Ok` only when the answer carries an id.
    fn create<'a>(&'a self, token: &'a Token, name: &'a str) -> BoxFuture<'a, Result<RemoteSession, Error>>;
    /// `POST /api/v1/whatsapp/{id}/connect`. Its answer says nothing about the session.
    fn connect<'a>(&'a self, token: &'a Token, id: &'a SessionId) -> BoxFuture<'a, Result<(), Error>>;
    /// `GET /api/v1/whatsapp/{id}/status`. The answer has no name: `RemoteSession::name` is empty.
    fn status<'a>(&'a self, token: &'a Token, id: &'a SessionId) -> BoxFuture<'a, Result<RemoteSession, Error>>;
    /// `POST /api/v1/whatsapp/{id}/disconnect`.
    fn disconnect<'a>(&'a self, token: &'a Token, id: &'a SessionId) -> BoxFuture<'a, Result<(), Error>>;
    /// `GET /api/external/sessions`; ids and statuses only.
    fn external_list<'a>(&'a self, key: &'a ApiKey) -> BoxFuture<'a, Result<Vec<RemoteSession>, Error>>;
    /// `GET /api/billing/usage`.
    fn usage<'a>(&'a self, token: &'a Token) -> BoxFuture<'a, Result<Usage, Error>>;
    /// `GET /api/billing/subscription`.
    fn subscription<'a>(&'a self, token: &'a Token) -> BoxFuture<'a, Result<Subscription, Error>>;
    /// Listens on one Socket.IO connection until it ends: sends [`SocketEvent::Live`] once the server has accepted
    /// the namespace, then what it says, in order. Returns why it ended; a refused CONNECT is
    /// [`Class::Unauthorized`]. Reconnecting is the caller's business.
    fn listen<'a>(
        &'a self,
        token: &'a Token,
        events: &'a EventsConfig,
        sink: mpsc::Sender<SocketEvent>,
    ) -> BoxFuture<'a, Error>;
}

/// Limits of one call. Durations are wall seconds.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// TCP and TLS together.
    pub connect: Duration,
    /// The whole request, from the first byte sent to the last byte read.
    pub request: Duration,
    /// Bytes of a response body; more is an unparsable answer.
    pub body: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), request: Duration::from_secs(30), body: 4 << 20 }
    }
}
