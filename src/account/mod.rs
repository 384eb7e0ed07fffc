//! One running account: token, budget, list sweep, event stream, all shared by its sessions. Knows no Kubernetes client.
//!
//! [`Account`] is the handle; [`Account::run`] is the one task behind it. `token` and `limiter` stand in front of every
//! call, `sweep` reads the list, `observer` decides when, `listener` keeps the socket, and `board` is what they found.

pub mod board;
pub mod credentials;
pub mod limiter;
mod listener;
mod observer;
pub mod registry;
mod sweep;
pub mod token;
mod view;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::future::BoxFuture;
use kube::runtime::reflector::ObjectRef;
use tokio::{
    sync::{Notify, mpsc},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

pub use view::{Health, Settings, Sight, Stream, View};

use self::{
    board::{Board, Interest},
    credentials::Credentials,
    limiter::{Limiter, Paused, Priority},
    token::TokenKeeper,
};
use crate::{
    api::{Reason, WhatsAppAccount, WhatsAppSession},
    provider::{Class, Error, Provider, RemoteSession, SessionId, Subscription, Token, Usage},
};

struct State {
    settings: Settings,
    health: Health,
    stream: Stream,
    identity: Option<String>,
    usage: Option<Usage>,
    subscription: Option<Subscription>,
    billing_due: Option<Instant>,
    socket_up: bool,
    up_since: Option<Instant>,
    understood: bool,
    /// The provider refused large pages.
    small_pages: bool,
}

/// Where an account tells others that they should look.
#[derive(Clone)]
pub struct Bells {
    /// Rings for sessions. Unbounded, because the receiving scheduler keeps at most one entry an object.
    pub sessions: mpsc::UnboundedSender<ObjectRef<WhatsAppSession>>,
    /// Rings for accounts.
    pub accounts: mpsc::UnboundedSender<ObjectRef<WhatsAppAccount>>,
}

/// One call, made with a token that may have to be renewed in between; it captures nothing, so that it can be made twice.
type Call<A, T> = for<'a> fn(&'a dyn Provider, &'a Token, &'a A) -> BoxFuture<'a, Result<T, Error>>;

/// A running account.
pub struct Account {
    key: ObjectRef<WhatsAppAccount>,
    uid: String,
    provider: Arc<dyn Provider>,
    tokens: TokenKeeper,
    limiter: Limiter,
    state: Mutex<State>,
    board: Mutex<Board>,
    /// The observer should look at its plans again.
    nudge: Notify,
    /// The listener should look at its settings again.
    retune: Notify,
    bells: Bells,
    stop: CancellationToken,
}

impl Account {
    /// Prepares an account; [`Account::run`] brings it to life.
    #[must_use]
    pub fn new(
        key: ObjectRef<WhatsAppAccount>,
        uid: String,
        provider: Arc<dyn Provider>,
        settings: Settings,
        credentials: Credentials,
        bells: Bells,
    ) -> Arc<Self> {
        let stream = if settings.events.is_some() { Stream::Offline } else { Stream::Disabled };
        Arc::new(Self {
            key,
            uid,
            provider,
            tokens: TokenKeeper::new(credentials),
            limiter: Limiter::new(settings.rate, settings.burst),
            state: Mutex::new(State {
                settings,
                health: Health::Starting,
                stream,
                identity: None,
                usage: None,
                subscription: None,
                billing_due: None,
                socket_up: false,
                up_since: None,
                understood: true,
                small_pages: false,
            }),
            board: Mutex::new(Board::default()),
            nudge: Notify::new(),
            retune: Notify::new(),
            bells,
            stop: CancellationToken::new(),
        })
    }

    /// Serves the budget, observes and listens until [`Account::stop`].
    pub async fn run(&self) {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => {}
            () = self.limiter.run() => {}
            () = self.observe() => {}
            () = self.listen() => {}
        }
    }

    /// Whether it runs for the object with this uid, not for an earlier one of the same name.
    #[must_use]
    pub fn is_of(&self, uid: &str) -> bool {
        self.uid == uid
    }

    /// Whether its task was asked to end.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Ends the account's task. Calls in flight end with their callers; who still waits for leave is turned away.
    pub fn stop(&self) {
        self.stop.cancel();
        self.limiter.close();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self, sessions: Vec<ObjectRef<WhatsAppSession>>) {
        for session in sessions {
            // A closed channel is a process on its way out.
            let _ = self.bells.sessions.send(session);
        }
    }

    fn changed(&self) {
        let _ = self.bells.accounts.send(self.key.clone());
    }

    /// Takes new settings over.
    pub fn configure(&self, settings: Settings) {
        let (rate, burst) = (settings.rate, settings.burst);
        {
            let mut state = self.state();
            if state.settings == settings {
                return;
            }
            state.settings = settings;
        }
        self.limiter.configure(rate, burst);
        self.nudge.notify_one();
        self.retune.notify_one();
        // Whoever waits for a stream that is switched off now would wait in vain.
        let everybody = self.board().everybody();
        self.wake(everybody);
    }

    /// Takes new credentials over; the same version changes nothing.
    pub async fn credentials(&self, credentials: Credentials) {
        if self.tokens.replace(credentials).await {
            let stalled = matches!(self.state().health, Health::Stalled(..));
            if stalled {
                self.set_health(Health::Starting);
            }
            self.nudge.notify_one();
            self.retune.notify_one();
        }
    }

    /// What the account's status shows.
    pub fn view(&self) -> View {
        let state = self.state();
        View {
            health: state.health.clone(),
            stream: state.stream,
            identity: state.identity.clone(),
            usage: state.usage,
            subscription: state.subscription.clone(),
            paused: self.limiter.pause_left(),
        }
    }

    /// How long its calls have waited for the budget, all together.
    pub fn throttled(&self) -> Duration {
        self.limiter.waited()
    }

    /// What a session's reconcile sees: the account, the session `id`, and the sessions named `name`.
    pub fn sight(&self, id: Option<&SessionId>, name: &str) -> Sight {
        let (health, socket_up, events_enabled) = {
            let state = self.state();
            (state.health.clone(), state.socket_up, state.settings.events.is_some())
        };
        let board = self.board();
        let snapshot = board.snapshot();
        let named = snapshot
            .iter()
            .flat_map(|s| s.sessions.values())
            .filter(|seen| seen.remote.name == name)
            .map(|seen| seen.remote.clone())
            .collect();
        Sight {
            health,
            paused: self.limiter.pause_left(),
            socket_up,
            events_enabled,
            swept: snapshot.map(|s| s.begun),
            mine: id.and_then(|id| snapshot?.sessions.get(id).cloned()),
            named,
            absence: id.and_then(|id| board.absence(id)),
            offer: id.and_then(|id| board.offer(id).cloned()),
        }
    }

    /// All ids and names of the last complete sweep.
    pub fn listed(&self) -> Vec<(SessionId, String)> {
        let board = self.board();
        let snapshot = board.snapshot();
        snapshot
            .iter()
            .flat_map(|s| s.sessions.values())
            .map(|seen| (seen.remote.id.clone(), seen.remote.name.clone()))
            .collect()
    }

    /// Notes what a session object wants of this account.
    pub fn want(&self, uid: &str, interest: Interest) {
        let (wakes, news) = self.board().want(uid, interest);
        self.wake(wakes);
        if news {
            self.nudge.notify_one();
        }
    }

    /// The code on offer for a session is of no use.
    pub fn spoil(&self, id: &SessionId) {
        self.board().spoil(id);
    }

    /// A session object is gone.
    pub fn forget(&self, uid: &str) {
        self.board().forget(uid);
    }

    fn set_health(&self, health: Health) {
        {
            let mut state = self.state();
            if state.health == health {
                return;
            }
            state.health = health;
        }
        let everybody = self.board().everybody();
        self.wake(everybody);
        self.changed();
        // A listener that waited for usable credentials looks again, and so does an observer that waits for its interval.
        self.retune.notify_one();
        self.nudge.notify_one();
    }

    /// Creates a remote session.
    ///
    /// # Errors
    /// The call's; [`Class::RateLimited`] without a call while paused.
    pub async fn create(&self, name: &str) -> Result<RemoteSession, Error> {
        let created = self.call(Priority::Create, name, |p, t, name| p.create(t, name)).await?;
        self.board().created(created.clone());
        Ok(created)
    }

    /// Starts pairing or reconnecting.
    ///
    /// # Errors
    /// The call's; [`Class::RateLimited`] without a call while paused.
    pub async fn connect(&self, id: &SessionId) -> Result<(), Error> {
        self.call(Priority::Pair, &(self, id), |p, t, (account, id)| {
            // Noted before it is sent: a QR may come before the answer.
            account.board().connecting(id);
            p.connect(t, id)
        })
        .await
    }

    /// Disconnects; `deleting` goes before everything else.
    ///
    /// # Errors
    /// The call's; [`Class::RateLimited`] without a call while paused.
    pub async fn disconnect(&self, id: &SessionId, deleting: bool) -> Result<(), Error> {
        let priority = if deleting { Priority::Delete } else { Priority::Pair };
        self.call(priority, id, |p, t, id| p.disconnect(t, id)).await?;
        self.board().disconnected(id);
        Ok(())
    }

    /// Reads one session's status onto the board; a 404 is an answer.
    ///
    /// # Errors
    /// The call's other than 404; [`Class::RateLimited`] without a call while paused.
    pub async fn status(&self, id: &SessionId) -> Result<(), Error> {
        let at = Instant::now();
        let answer = match self.call(Priority::Poll, id, |p, t, id| p.status(t, id)).await {
            Ok(remote) => Some(remote),
            Err(error) if error.class == Class::NotFound => None,
            Err(error) => return Err(error),
        };
        let wakes = self.board().read(id, answer, at);
        self.wake(wakes);
        Ok(())
    }

    /// One call within the budget, with a good token; a refused token is renewed once. What its outcome means for the
    /// whole account is noted here, so that one object's failure protects the others.
    async fn call<A: ?Sized, T>(&self, priority: Priority, args: &A, call: Call<A, T>) -> Result<T, Error> {
        let outcome = self.authorised(priority, args, call).await;
        match &outcome {
            Ok(_) => {
                self.limiter.calm();
            }
            Err(error) => self.note(error).await,
        }
        outcome
    }

    async fn authorised<A: ?Sized, T>(&self, priority: Priority, args: &A, call: Call<A, T>) -> Result<T, Error> {
        let provider = &*self.provider;
        let token = self.tokens.current(provider, &self.limiter).await?;
        self.limiter.acquire(priority).await.map_err(paused)?;
        match call(provider, &token, args).await {
            Err(error) if error.class == Class::Unauthorized => {
                let token = self.tokens.after(&token, provider, &self.limiter).await?;
                self.limiter.acquire(priority).await.map_err(paused)?;
                let again = call(provider, &token, args).await;
                if matches!(&again, Err(error) if error.class == Class::Unauthorized) {
                    self.tokens.refuse(&token).await;
                }
                again
            }
            outcome => outcome,
        }
    }

    /// Only the plan can help. Why is looked at once, for people to see; it costs metered calls.
    fn stand_still(&self, reason: Reason, why: &str) {
        let health = Health::Stalled(reason, why.to_owned());
        {
            let mut state = self.state();
            if state.health == health {
                return;
            }
            state.billing_due = Some(Instant::now());
        }
        self.set_health(health);
    }

    async fn note(&self, error: &Error) {
        match error.class {
            Class::RateLimited if error.status.is_some() => {
                self.limiter.pause(error.retry_after);
                tracing::warn!(account = %self.key, pause = ?self.limiter.pause_left(), "the provider asked for a pause");
                self.changed();
            }
            Class::Unauthorized => {
                let who = if self.tokens.email().await.is_some() {
                    "email and password, which are"
                } else {
                    "access token, which is"
                };
                let stalled = Health::Stalled(
                    Reason::CredentialsInvalid,
                    format!("the provider refused the {who} not sent again until the credentials Secret changes"),
                );
                self.tokens.if_refused(|| self.set_health(stalled)).await;
            }
            Class::SubscriptionInactive => self.stand_still(
                Reason::SubscriptionInactive,
                "the provider says the subscription is not active; renew it; then calls go on by themselves",
            ),
            Class::RequestLimit => self.stand_still(
                Reason::RequestQuotaExceeded,
                "the plan's API requests are used up; calls go on by themselves with the next period or plan",
            ),
            Class::SessionLimit => self.state().billing_due = Some(Instant::now()),
            Class::Validation
            | Class::Forbidden
            | Class::NotFound
            | Class::Conflict
            | Class::RateLimited
            | Class::Internal
            | Class::Unavailable
            | Class::Upstream
            | Class::Lost
            | Class::NotSent
            | Class::Garbled
            | Class::Unexpected => {}
        }
    }
}

/// What a caller gets instead of a call while the account is paused: an error without an HTTP status.
fn paused(paused: Paused) -> Error {
    Error { retry_after: Some(paused.0), ..Error::of(Class::RateLimited) }
}
