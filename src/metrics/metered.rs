//! Counts the calls to a provider: the one place where that is done.

use std::sync::Arc;

use futures::future::BoxFuture;
use tokio::{sync::mpsc, time::Instant};

use super::Metrics;
use crate::provider::{
    ApiKey, Class, Error, EventsConfig, Page, Password, Provider, RemoteSession, SessionId, SocketEvent, Subscription,
    Token, Tokens, Usage,
};

/// Every route with one answer to a call; `socket`, which has none, is counted by its ends.
pub(super) const ROUTES: [&str; 10] =
    ["login", "refresh", "list", "create", "connect", "status", "disconnect", "external", "usage", "subscription"];

/// A provider whose calls are counted.
pub struct Metered {
    provider: Arc<dyn Provider>,
    metrics: Arc<Metrics>,
}

impl Metered {
    /// Counts the calls to `provider`.
    #[must_use]
    pub fn new(provider: Arc<dyn Provider>, metrics: Arc<Metrics>) -> Self {
        Self { provider, metrics }
    }

    fn count<'a, T: Send + 'a>(
        &'a self,
        route: &'static str,
        call: BoxFuture<'a, Result<T, Error>>,
    ) -> BoxFuture<'a, Result<T, Error>> {
        Box::pin(async move {
            let mut counted = Call { metrics: &self.metrics, route, outcome: "cancelled", begun: Instant::now() };
            let answer = call.await;
            counted.outcome = answer.as_ref().map_or_else(|error| word(error.class), |_| "ok");
            answer
        })
    }
}

/// A call that is counted when this is dropped, also when its caller did not wait for the answer.
struct Call<'a> {
    metrics: &'a Metrics,
    route: &'static str,
    outcome: &'static str,
    begun: Instant,
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        let Self { metrics, route, outcome, begun } = self;
        metrics.calls.get_or_create(&[("route", route), ("outcome", outcome)]).inc();
        metrics.call_seconds.get_or_create(&[("route", route)]).observe(begun.elapsed().as_secs_f64());
    }
}

fn word(class: Class) -> &'static str {
    match class {
        Class::Validation => "validation",
        Class::Unauthorized => "unauthorized",
        Class::Forbidden => "forbidden",
        Class::SubscriptionInactive => "subscription_inactive",
        Class::SessionLimit => "session_limit",
        Class::RequestLimit => "request_limit",
        Class::NotFound => "not_found",
        Class::Conflict => "conflict",
        Class::RateLimited => "rate_limited",
        Class::Internal => "internal",
        Class::Unavailable => "unavailable",
        Class::Upstream => "upstream",
        Class::Lost => "lost",
        Class::NotSent => "not_sent",
        Class::Garbled => "garbled",
        Class::Unexpected => "unexpected",
    }
}

impl Provider for Metered {
    fn login<'a>(&'a self, email: &'a str, password: &'a Password) -> BoxFuture<'a, Result<Tokens, Error>> {
        self.count("login", self.provider.login(email, password))
    }

    fn refresh<'a>(&'a self, refresh: &'a Token) -> BoxFuture<'a, Result<Tokens, Error>> {
        self.count("refresh", self.provider.refresh(refresh))
    }

    fn list<'a>(&'a self, token: &'a Token, page: u32, limit: u32) -> BoxFuture<'a, Result<Page, Error>> {
        self.count("list", self.provider.list(token, page, limit))
    }

    fn create<'a>(&'a self, token: &'a Token, name: &'a str) -> BoxFuture<'a, Result<RemoteSession, Error>> {
        self.count("create", self.provider.create(token, name))
    }

    fn connect<'a>(&'a self, token: &'a Token, id: &'a SessionId) -> BoxFuture<'a, Result<(), Error>> {
        self.count("connect", self.provider.connect(token, id))
    }

    fn status<'a>(&'a self, token: &'a Token, id: &'a SessionId) -> BoxFuture<'a, Result<RemoteSession, Error>> {
        self.count("status", self.provider.status(token, id))
    }

    fn disconnect<'a>(&'a self, token: &'a Token, id: &'a SessionId) -> BoxFuture<'a, Result<(), Error>> {
        self.count("disconnect", self.provider.disconnect(token, id))
    }

    fn external_list<'a>(&'a self, key: &'a ApiKey) -> BoxFuture<'a, Result<Vec<RemoteSession>, Error>> {
        self.count("external", self.provider.external_list(key))
    }

    fn usage<'a>(&'a self, token: &'a Token) -> BoxFuture<'a, Result<Usage, Error>> {
        self.count("usage", self.provider.usage(token))
    }

    fn subscription<'a>(&'a self, token: &'a Token) -> BoxFuture<'a, Result<Subscription, Error>> {
        self.count("subscription", self.provider.subscription(token))
    }

    fn listen<'a>(
        &'a self,
        token: &'a Token,
        events: &'a EventsConfig,
        sink: mpsc::Sender<SocketEvent>,
    ) -> BoxFuture<'a, Error> {
        let listening = self.provider.listen(token, events, sink);
        Box::pin(async move {
            // How long it lasted is no answer's time.
            let ended = listening.await;
            self.metrics.calls.get_or_create(&[("route", "socket"), ("outcome", word(ended.class))]).inc();
            ended
        })
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use tokio::time::{Duration, sleep};

    use super::*;

    /// Takes a second for a list, refuses to create, and hangs up.
    struct Stub;

    fn no<T: Send + 'static>(class: Class) -> BoxFuture<'static, Result<T, Error>> {
        Box::pin(async move { Err(Error::of(class)) })
    }

    impl Provider for Stub {
        fn login<'a>(&'a self, _: &'a str, _: &'a Password) -> BoxFuture<'a, Result<Tokens, Error>> {
            no(Class::Unauthorized)
        }
        fn refresh<'a>(&'a self, _: &'a Token) -> BoxFuture<'a, Result<Tokens, Error>> {
            no(Class::Unauthorized)
        }
        fn list<'a>(&'a self, _: &'a Token, _: u32, _: u32) -> BoxFuture<'a, Result<Page, Error>> {
            Box::pin(async {
                sleep(Duration::from_secs(1)).await;
                Err(Error::of(Class::Garbled))
            })
        }
        fn create<'a>(&'a self, _: &'a Token, _: &'a str) -> BoxFuture<'a, Result<RemoteSession, Error>> {
            no(Class::SessionLimit)
        }
        fn connect<'a>(&'a self, _: &'a Token, _: &'a SessionId) -> BoxFuture<'a, Result<(), Error>> {
            Box::pin(async { Ok(()) })
        }
        fn status<'a>(&'a self, _: &'a Token, _: &'a SessionId) -> BoxFuture<'a, Result<RemoteSession, Error>> {
            no(Class::NotFound)
        }
        fn disconnect<'a>(&'a self, _: &'a Token, _: &'a SessionId) -> BoxFuture<'a, Result<(), Error>> {
            no(Class::NotFound)
        }
        fn external_list<'a>(&'a self, _: &'a ApiKey) -> BoxFuture<'a, Result<Vec<RemoteSession>, Error>> {
            no(Class::Forbidden)
        }
        fn usage<'a>(&'a self, _: &'a Token) -> BoxFuture<'a, Result<Usage, Error>> {
            no(Class::Upstream)
        }
        fn subscription<'a>(&'a self, _: &'a Token) -> BoxFuture<'a, Result<Subscription, Error>> {
            no(Class::Upstream)
        }
        fn listen<'a>(
            &'a self,
            _: &'a Token,
            _: &'a EventsConfig,
            _: mpsc::Sender<SocketEvent>,
        ) -> BoxFuture<'a, Error> {
            Box::pin(async { Error::of(Class::Lost) })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn each_call_is_counted_once_by_its_outcome_and_its_time() {
        let metrics = Arc::new(Metrics::new());
        let metered = Metered::new(Arc::new(Stub), metrics.clone());
        let (token, id) = (Token::new("secret-token"), "remote-id".parse::<SessionId>().unwrap());
        metered.connect(&token, &id).await.unwrap();
        metered.connect(&token, &id).await.unwrap();
        metered.create(&token, "sales").await.unwrap_err();
        metered.list(&token, 1, 10).await.unwrap_err();
        // Its caller goes away in the middle, or before it was begun.
        assert!(metered.list(&token, 1, 10).now_or_never().is_none());
        drop(metered.status(&token, &id));
        let events = EventsConfig {
            path: String::new(),
            namespace: String::new(),
            subscribe: Vec::new(),
            qr_events: Vec::new(),
            status_events: Vec::new(),
        };
        metered.listen(&token, &events, mpsc::channel(1).0).await;
        let text = metrics.text().unwrap();
        for line in [
            "whatsapp_operator_provider_requests_total{route=\"connect\",outcome=\"ok\"} 2",
            "whatsapp_operator_provider_requests_total{route=\"create\",outcome=\"ok\"} 0",
            "whatsapp_operator_provider_requests_total{route=\"create\",outcome=\"session_limit\"} 1",
            "whatsapp_operator_provider_requests_total{route=\"list\",outcome=\"garbled\"} 1",
            "whatsapp_operator_provider_requests_total{route=\"list\",outcome=\"cancelled\"} 1",
            "whatsapp_operator_provider_requests_total{route=\"socket\",outcome=\"lost\"} 1",
            "whatsapp_operator_provider_request_seconds_sum{route=\"list\"} 1.0",
            "whatsapp_operator_provider_request_seconds_count{route=\"status\"} 0",
        ] {
            assert!(text.lines().any(|found| found.starts_with(line)), "{line} is not in\n{text}");
        }
        assert!(!text.contains("secret-token") && !text.contains("remote-id") && !text.contains("sales"), "{text}");
    }
}
