//! A provider that is called only while this replica leads.

use std::{sync::Arc, time::Duration};

use futures::future::BoxFuture;
use tokio::sync::mpsc;

use crate::{
    provider::{
        ApiKey, Class, Error, EventsConfig, Page, Password, Provider, RemoteSession, SessionId, SocketEvent,
        Subscription, Token, Tokens, Usage,
    },
    runtime::Leadership,
};

/// What must be left of the lease when a call begins that changes something.
const NEED: Duration = Duration::from_secs(9);
/// How long such a call lasts at most, connecting included. A second is left then to record what came of it.
const WRITE: Duration = Duration::from_secs(8);

/// A provider behind a fence. What changes something there, and a login does, is begun with enough of the lease left
/// and ends before it does; what only reads is begun while the lease is held.
pub struct Fenced {
    provider: Arc<dyn Provider>,
    leadership: Leadership,
}

impl Fenced {
    /// Puts a fence around `provider`.
    #[must_use]
    pub fn new(provider: Arc<dyn Provider>, leadership: Leadership) -> Self {
        Self { provider, leadership }
    }

    fn write<'a, T: Send + 'a>(&'a self, call: BoxFuture<'a, Result<T, Error>>) -> BoxFuture<'a, Result<T, Error>> {
        Box::pin(async move {
            match self.leadership.within(NEED, WRITE, call).await {
                Ok(Some(outcome)) => outcome,
                Ok(None) => Err(Error::of(Class::Lost)),
                Err(_) => Err(Error::of(Class::NotSent)),
            }
        })
    }

    fn read<'a, T: Send + 'a>(&'a self, call: BoxFuture<'a, Result<T, Error>>) -> BoxFuture<'a, Result<T, Error>> {
        Box::pin(async move { if self.leadership.is_held() { call.await } else { Err(Error::of(Class::NotSent)) } })
    }
}

impl Provider for Fenced {
    fn login<'a>(&'a self, email: &'a str, password: &'a Password) -> BoxFuture<'a, Result<Tokens, Error>> {
        self.write(self.provider.login(email, password))
    }

    fn refresh<'a>(&'a self, refresh: &'a Token) -> BoxFuture<'a, Result<Tokens, Error>> {
        self.write(self.provider.refresh(refresh))
    }

    fn list<'a>(&'a self, token: &'a Token, page: u32, limit: u32) -> BoxFuture<'a, Result<Page, Error>> {
        self.read(self.provider.list(token, page, limit))
    }

    fn create<'a>(&'a self, token: &'a Token, name: &'a str) -> BoxFuture<'a, Result<RemoteSession, Error>> {
        self.write(self.provider.create(token, name))
    }

    fn connect<'a>(&'a self, token: &'a Token, id: &'a SessionId) -> BoxFuture<'a, Result<(), Error>> {
        self.write(self.provider.connect(token, id))
    }

    fn status<'a>(&'a self, token: &'a Token, id: &'a SessionId) -> BoxFuture<'a, Result<RemoteSession, Error>> {
        self.read(self.provider.status(token, id))
    }

    fn disconnect<'a>(&'a self, token: &'a Token, id: &'a SessionId) -> BoxFuture<'a, Result<(), Error>> {
        self.write(self.provider.disconnect(token, id))
    }

    fn external_list<'a>(&'a self, key: &'a ApiKey) -> BoxFuture<'a, Result<Vec<RemoteSession>, Error>> {
        self.read(self.provider.external_list(key))
    }

    fn usage<'a>(&'a self, token: &'a Token) -> BoxFuture<'a, Result<Usage, Error>> {
        self.read(self.provider.usage(token))
    }

    fn subscription<'a>(&'a self, token: &'a Token) -> BoxFuture<'a, Result<Subscription, Error>> {
        self.read(self.provider.subscription(token))
    }

    fn listen<'a>(
        &'a self,
        token: &'a Token,
        events: &'a EventsConfig,
        sink: mpsc::Sender<SocketEvent>,
    ) -> BoxFuture<'a, Error> {
        let listening = self.provider.listen(token, events, sink);
        Box::pin(async move { if self.leadership.is_held() { listening.await } else { Error::of(Class::NotSent) } })
    }
}
