//! A provider in memory that does as it is told and keeps a record with the time of every call.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};
use whatsapp_operator::provider::{
    ApiKey, Class, Error, EventsConfig, Liveness, Page, Password, Provider, RemoteSession, SessionId, SocketEvent,
    Subscription, Token, Tokens, Usage,
};

/// The password that works.
pub const PASSWORD: &str = "right";

/// One call as it arrived.
#[derive(Clone, Debug)]
pub struct Call {
    pub route: &'static str,
    /// The credential it came with.
    pub with: String,
    /// Its other arguments.
    pub about: String,
    pub at: Instant,
}

/// What the socket does next.
pub enum Say {
    Event(SocketEvent),
    End(Class),
}

/// What the provider does. Tests change it at any time.
pub struct World {
    pub sessions: BTreeMap<String, Liveness>,
    /// The largest page; a larger one is a 400.
    pub largest_page: u32,
    /// Whole list answers that come before what `sessions` says.
    pub pages: VecDeque<Page>,
    /// Next failures of a route, one call each.
    pub once: BTreeMap<&'static str, VecDeque<Error>>,
    /// Failures of a route until removed.
    pub always: BTreeMap<&'static str, Error>,
    /// The access token that is accepted, besides `given`.
    pub accepted: Option<String>,
    pub life: Option<Duration>,
    /// The refresh tokens that are given, in turn.
    pub refreshes: VecDeque<&'static str>,
    /// How long every answer takes.
    pub latency: Duration,
    /// The socket says `Live` by itself.
    pub live: bool,
    given: u32,
}

pub struct Script {
    world: Mutex<World>,
    calls: Mutex<Vec<Call>>,
    says: mpsc::UnboundedSender<Say>,
    heard: tokio::sync::Mutex<mpsc::UnboundedReceiver<Say>>,
}

impl Script {
    pub fn new() -> Self {
        let (says, heard) = mpsc::unbounded_channel();
        let world = World {
            sessions: BTreeMap::new(),
            largest_page: 100,
            pages: VecDeque::new(),
            once: BTreeMap::new(),
            always: BTreeMap::new(),
            accepted: None,
            life: None,
            refreshes: VecDeque::new(),
            latency: Duration::ZERO,
            live: true,
            given: 0,
        };
        Self { world: Mutex::new(world), calls: Mutex::default(), says, heard: tokio::sync::Mutex::new(heard) }
    }

    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    /// The next call of `route` fails.
    pub fn fail(&self, route: &'static str, error: Error) {
        self.world().once.entry(route).or_default().push_back(error);
    }

    pub fn say(&self, event: SocketEvent) {
        self.says.send(Say::Event(event)).unwrap();
    }

    pub fn hang_up(&self, why: Class) {
        self.says.send(Say::End(why)).unwrap();
    }

    /// No access token given so far is good any more.
    pub fn revoke(&self) {
        self.world().accepted = Some("nothing".to_owned());
    }

    pub fn calls(&self, route: &str) -> Vec<Call> {
        self.calls.lock().unwrap().iter().filter(|call| call.route == route).cloned().collect()
    }

    pub fn count(&self, route: &str) -> usize {
        self.calls(route).len()
    }

    /// Every call so far, the socket's as well.
    pub fn all(&self) -> usize {
        self.calls.lock().unwrap().len()
    }

    async fn arrive(&self, route: &'static str, with: &str, about: String) -> Result<(), Error> {
        self.calls.lock().unwrap().push(Call { route, with: with.to_owned(), about, at: Instant::now() });
        let latency = self.world().latency;
        if !latency.is_zero() {
            sleep(latency).await;
        }
        let mut world = self.world();
        if let Some(error) = world.once.get_mut(route).and_then(VecDeque::pop_front) {
            return Err(error);
        }
        match world.always.get(route) {
            Some(error) => Err(error.clone()),
            None => Ok(()),
        }
    }

    async fn authorised(&self, route: &'static str, token: &Token, about: String) -> Result<(), Error> {
        self.arrive(route, token.expose(), about).await?;
        let good = self.world().accepted.clone();
        if good.is_some_and(|good| good != token.expose()) {
            return Err(answered(Class::Unauthorized, 401));
        }
        Ok(())
    }

    fn give(&self) -> Tokens {
        let mut world = self.world();
        world.given += 1;
        let access = format!("access-{}", world.given);
        world.accepted = Some(access.clone());
        Tokens {
            access: Token::new(access),
            refresh: world.refreshes.pop_front().map(Token::new),
            expires_in: world.life,
            identity: None,
        }
    }

    fn remote(&self, id: &SessionId) -> Result<RemoteSession, Error> {
        let liveness = self.world().sessions.get(id.as_str()).cloned();
        liveness.map(|liveness| remote(id.as_str(), liveness)).ok_or_else(|| answered(Class::NotFound, 404))
    }
}

pub fn id(text: &str) -> SessionId {
    text.parse().unwrap()
}

/// A session whose name is its id in capitals.
pub fn remote(text: &str, liveness: Liveness) -> RemoteSession {
    RemoteSession { id: id(text), name: text.to_uppercase(), liveness, phone: None }
}

/// An answer with this class and status.
pub fn answered(class: Class, status: u16) -> Error {
    Error { status: Some(status), ..Error::of(class) }
}

/// A 429 with `Retry-After`.
pub fn pause(seconds: u64) -> Error {
    Error { retry_after: Some(Duration::from_secs(seconds)), ..answered(Class::RateLimited, 429) }
}

impl Provider for Script {
    fn login<'a>(&'a self, email: &'a str, password: &'a Password) -> BoxFuture<'a, Result<Tokens, Error>> {
        async move {
            self.arrive("login", password.expose(), email.to_owned()).await?;
            if password.expose() == PASSWORD { Ok(self.give()) } else { Err(answered(Class::Unauthorized, 401)) }
        }
        .boxed()
    }

    fn refresh<'a>(&'a self, refresh: &'a Token) -> BoxFuture<'a, Result<Tokens, Error>> {
        async move {
            self.arrive("refresh", refresh.expose(), String::new()).await?;
            Ok(self.give())
        }
        .boxed()
    }

    fn list<'a>(&'a self, token: &'a Token, page: u32, limit: u32) -> BoxFuture<'a, Result<Page, Error>> {
        async move {
            self.authorised("list", token, format!("{page}/{limit}")).await?;
            let mut world = self.world();
            if limit > world.largest_page {
                return Err(answered(Class::Validation, 400));
            }
            if let Some(page) = world.pages.pop_front() {
                return Ok(page);
            }
            let all = world.sessions.iter().map(|(id, liveness)| remote(id, liveness.clone()));
            let from = (page - 1) * limit;
            let sessions = all.skip(from as usize).take(limit as usize).collect();
            Ok(Page { sessions, unreadable: 0, limit: Some(limit), total: Some(world.sessions.len() as u64) })
        }
        .boxed()
    }

    fn create<'a>(&'a self, token: &'a Token, name: &'a str) -> BoxFuture<'a, Result<RemoteSession, Error>> {
        async move {
            self.authorised("create", token, name.to_owned()).await?;
            let id = name.to_lowercase();
            self.world().sessions.insert(id.clone(), Liveness::Disconnected);
            Ok(remote(&id, Liveness::Disconnected))
        }
        .boxed()
    }

    fn connect<'a>(&'a self, token: &'a Token, id: &'a SessionId) -> BoxFuture<'a, Result<(), Error>> {
        async move {
            self.authorised("connect", token, id.to_string()).await?;
            self.world().sessions.insert(id.to_string(), Liveness::QrPending);
            Ok(())
        }
        .boxed()
    }

    fn status<'a>(&'a self, token: &'a Token, id: &'a SessionId) -> BoxFuture<'a, Result<RemoteSession, Error>> {
        async move {
            self.authorised("status", token, id.to_string()).await?;
            self.remote(id).map(|remote| RemoteSession { name: String::new(), ..remote })
        }
        .boxed()
    }

    fn disconnect<'a>(&'a self, token: &'a Token, id: &'a SessionId) -> BoxFuture<'a, Result<(), Error>> {
        async move {
            self.authorised("disconnect", token, id.to_string()).await?;
            self.world().sessions.insert(id.to_string(), Liveness::Disconnected);
            Ok(())
        }
        .boxed()
    }

    fn external_list<'a>(&'a self, key: &'a ApiKey) -> BoxFuture<'a, Result<Vec<RemoteSession>, Error>> {
        async move {
            self.arrive("external_list", key.expose(), String::new()).await?;
            Ok(Vec::new())
        }
        .boxed()
    }

    fn usage<'a>(&'a self, token: &'a Token) -> BoxFuture<'a, Result<Usage, Error>> {
        async move {
            self.authorised("usage", token, String::new()).await?;
            Ok(Usage { sessions: Some((1, 5)), requests: Some((10, 100)) })
        }
        .boxed()
    }

    fn subscription<'a>(&'a self, token: &'a Token) -> BoxFuture<'a, Result<Subscription, Error>> {
        async move {
            self.authorised("subscription", token, String::new()).await?;
            Ok(Subscription { status: "active".to_owned(), plan: None, period_end: None })
        }
        .boxed()
    }

    fn listen<'a>(
        &'a self,
        token: &'a Token,
        _: &'a EventsConfig,
        sink: mpsc::Sender<SocketEvent>,
    ) -> BoxFuture<'a, Error> {
        async move {
            if let Err(error) = self.arrive("listen", token.expose(), String::new()).await {
                return error;
            }
            if self.world().live {
                let _ = sink.send(SocketEvent::Live).await;
            }
            loop {
                match self.heard.lock().await.recv().await {
                    Some(Say::Event(event)) => {
                        let _ = sink.send(event).await;
                    }
                    Some(Say::End(class)) => return Error::of(class),
                    None => return Error::of(Class::Lost),
                }
            }
        }
        .boxed()
    }
}
