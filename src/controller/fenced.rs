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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::{sync::watch, time::Instant};

    use super::*;

    /// Counts the calls that reach it, and never answers one.
    #[derive(Default)]
    struct Silent(AtomicUsize);

    impl Silent {
        fn hang<T: Send + 'static>(&self) -> BoxFuture<'_, T> {
            Box::pin(async {
                self.0.fetch_add(1, Ordering::Relaxed);
                std::future::pending().await
            })
        }
    }

    impl Provider for Silent {
        fn login<'a>(&'a self, _: &'a str, _: &'a Password) -> BoxFuture<'a, Result<Tokens, Error>> {
            self.hang()
        }
        fn refresh<'a>(&'a self, _: &'a Token) -> BoxFuture<'a, Result<Tokens, Error>> {
            self.hang()
        }
        fn list<'a>(&'a self, _: &'a Token, _: u32, _: u32) -> BoxFuture<'a, Result<Page, Error>> {
            self.hang()
        }
        fn create<'a>(&'a self, _: &'a Token, _: &'a str) -> BoxFuture<'a, Result<RemoteSession, Error>> {
            self.hang()
        }
        fn connect<'a>(&'a self, _: &'a Token, _: &'a SessionId) -> BoxFuture<'a, Result<(), Error>> {
            self.hang()
        }
        fn status<'a>(&'a self, _: &'a Token, _: &'a SessionId) -> BoxFuture<'a, Result<RemoteSession, Error>> {
            self.hang()
        }
        fn disconnect<'a>(&'a self, _: &'a Token, _: &'a SessionId) -> BoxFuture<'a, Result<(), Error>> {
            self.hang()
        }
        fn external_list<'a>(&'a self, _: &'a ApiKey) -> BoxFuture<'a, Result<Vec<RemoteSession>, Error>> {
            self.hang()
        }
        fn usage<'a>(&'a self, _: &'a Token) -> BoxFuture<'a, Result<Usage, Error>> {
            self.hang()
        }
        fn subscription<'a>(&'a self, _: &'a Token) -> BoxFuture<'a, Result<Subscription, Error>> {
            self.hang()
        }
        fn listen<'a>(
            &'a self,
            _: &'a Token,
            _: &'a EventsConfig,
            _: mpsc::Sender<SocketEvent>,
        ) -> BoxFuture<'a, Error> {
            self.hang()
        }
    }

    /// Every call once, by its class.
    async fn classes(fenced: &Fenced) -> Vec<Class> {
        let (token, id) = (Token::new("t"), "id".parse::<SessionId>().unwrap());
        let (password, key) = (Password::new("p"), ApiKey::new("k"));
        let events = EventsConfig {
            path: String::new(),
            namespace: String::new(),
            subscribe: Vec::new(),
            qr_events: Vec::new(),
            status_events: Vec::new(),
        };
        vec![
            fenced.login("e", &password).await.unwrap_err().class,
            fenced.refresh(&token).await.unwrap_err().class,
            fenced.create(&token, "n").await.unwrap_err().class,
            fenced.connect(&token, &id).await.unwrap_err().class,
            fenced.disconnect(&token, &id).await.unwrap_err().class,
            fenced.list(&token, 1, 1).await.unwrap_err().class,
            fenced.status(&token, &id).await.unwrap_err().class,
            fenced.external_list(&key).await.unwrap_err().class,
            fenced.usage(&token).await.unwrap_err().class,
            fenced.subscription(&token).await.unwrap_err().class,
            fenced.listen(&token, &events, mpsc::channel(1).0).await.class,
        ]
    }

    #[tokio::test]
    async fn who_does_not_lead_calls_nobody() {
        let silent = Arc::new(Silent::default());
        let until = watch::Sender::new(None);
        let fenced = Fenced::new(silent.clone(), Leadership::new(until.subscribe(), Arc::new(|| Duration::ZERO)));
        assert!(classes(&fenced).await.iter().all(|class| *class == Class::NotSent), "which is definite");
        assert_eq!(silent.0.load(Ordering::Relaxed), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_without_an_answer_is_given_up_before_the_lease_ends() {
        let silent = Arc::new(Silent::default());
        let begun = Instant::now();
        let until = watch::Sender::new(Some(Duration::from_secs(9)));
        let clock = Arc::new(move || begun.elapsed());
        let fenced = Fenced::new(silent.clone(), Leadership::new(until.subscribe(), clock));
        let error = fenced.create(&Token::new("t"), "n").await.unwrap_err();
        assert_eq!((error.class, begun.elapsed().as_secs()), (Class::Lost, 8), "whether it was made is not known");
        // With a second left none is begun, until the lease is renewed.
        let token = Token::new("t");
        let mut late = std::pin::pin!(fenced.create(&token, "n"));
        assert!(futures::poll!(late.as_mut()).is_pending());
        assert_eq!(silent.0.load(Ordering::Relaxed), 1);
        until.send_replace(Some(Duration::from_secs(30)));
        assert!(futures::poll!(late.as_mut()).is_pending());
        assert_eq!(silent.0.load(Ordering::Relaxed), 2);
        until.send_replace(None);
        assert_eq!(fenced.create(&token, "n").await.unwrap_err().class, Class::NotSent);
    }
}
