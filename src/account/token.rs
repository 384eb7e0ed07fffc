//! One access token for all calls of an account: got once, renewed before it expires, never asked for twice at once.

use std::time::{Duration, SystemTime};

use tokio::{sync::Mutex, time::Instant};

use super::{
    credentials::{Credentials, Login},
    limiter::{Limiter, Priority},
};
use crate::provider::{Class, Error, Provider, Token, Tokens, wire};

/// Keeps the token. The lock is held across a login, which is what makes it single-flight.
pub struct TokenKeeper {
    state: Mutex<State>,
}

struct State {
    credentials: Credentials,
    access: Option<Token>,
    refresh: Option<Token>,
    renew_at: Option<Instant>,
    identity: Option<String>,
    /// The credentials were refused: nothing is sent until they change.
    refused: bool,
    /// Counts the credentials that replaced others.
    generation: u64,
}

impl State {
    fn of(credentials: Credentials) -> Self {
        let login = credentials.login.clone();
        let mut state = Self {
            credentials,
            access: None,
            refresh: None,
            renew_at: None,
            identity: None,
            refused: false,
            generation: 0,
        };
        if let Login::Token { access, refresh } = login {
            let claims = wire::claims(&access, SystemTime::now());
            // Without a refresh token there is nothing to renew it with: it is used until it is refused.
            let expires_in = refresh.as_ref().and(claims.expires_in);
            state.keep(Tokens { access, refresh, expires_in, identity: claims.identity() });
        }
        state
    }

    fn keep(&mut self, tokens: Tokens) {
        // A tenth of the life is left for the call in hand, at most a minute.
        self.renew_at =
            tokens.expires_in.map(|life| Instant::now() + life.saturating_sub((life / 10).min(Duration::from_mins(1))));
        self.access = Some(tokens.access);
        if tokens.refresh.is_some() {
            self.refresh = tokens.refresh;
        }
        if tokens.identity.is_some() {
            self.identity = tokens.identity;
        }
    }
}

impl TokenKeeper {
    /// Starts with these credentials and without a login.
    #[must_use]
    pub fn new(credentials: Credentials) -> Self {
        Self { state: Mutex::new(State::of(credentials)) }
    }

    /// Takes new credentials; the same version changes nothing. True when they are new.
    pub async fn replace(&self, credentials: Credentials) -> bool {
        let mut state = self.state.lock().await;
        if state.credentials.version == credentials.version {
            return false;
        }
        if state.credentials.login == credentials.login && !state.refused {
            // Somebody touched the Secret's metadata: the token at hand is still good.
            state.credentials.version = credentials.version;
            return false;
        }
        let generation = state.generation + 1;
        *state = State { generation, ..State::of(credentials) };
        true
    }

    /// Changes when other credentials came.
    pub async fn generation(&self) -> u64 {
        self.state.lock().await.generation
    }

    /// The e-mail of a password login, for an identity where the provider tells none.
    pub async fn email(&self) -> Option<String> {
        match &self.state.lock().await.credentials.login {
            Login::Password { email, .. } => Some(email.clone()),
            Login::Token { .. } => None,
        }
    }

    /// Tenant or user id, once a login or token told it.
    pub async fn identity(&self) -> Option<String> {
        self.state.lock().await.identity.clone()
    }

    /// A token that is good as far as is known here.
    ///
    /// # Errors
    /// [`Class::Unauthorized`] when the credentials were refused, or whatever the login failed with.
    pub async fn current(&self, provider: &dyn Provider, limiter: &Limiter) -> Result<Token, Error> {
        let mut state = self.state.lock().await;
        if state.refused {
            return Err(Error::of(Class::Unauthorized));
        }
        let due = state.renew_at.is_some_and(|at| at <= Instant::now());
        match &state.access {
            Some(access) if !due => Ok(access.clone()),
            _ => renew(&mut state, provider, limiter).await,
        }
    }

    /// A token other than `old`, which the provider refused.
    ///
    /// # Errors
    /// As [`TokenKeeper::current`].
    pub async fn after(&self, old: &Token, provider: &dyn Provider, limiter: &Limiter) -> Result<Token, Error> {
        let mut state = self.state.lock().await;
        if state.refused {
            return Err(Error::of(Class::Unauthorized));
        }
        match &state.access {
            Some(access) if access != old => Ok(access.clone()),
            _ => renew(&mut state, provider, limiter).await,
        }
    }

    /// The provider refused `token`, which it had just given: these credentials do not work. Says nothing about others
    /// that came in the meantime.
    pub async fn refuse(&self, token: &Token) {
        let mut state = self.state.lock().await;
        if state.access.as_ref() == Some(token) {
            state.refused = true;
        }
    }

    /// Does `this` if the credentials at hand stand refused; others cannot come meanwhile.
    pub async fn if_refused(&self, this: impl FnOnce()) {
        let state = self.state.lock().await;
        if state.refused {
            this();
        }
    }
}

/// A new token. Its error is one of the whole account: to whoever wanted to make a call, that call was not sent, and no
/// answer about a login may pass for an answer about a session.
async fn renew(state: &mut State, provider: &dyn Provider, limiter: &Limiter) -> Result<Token, Error> {
    sign_in(state, provider, limiter).await.map_err(|error| match error.class {
        Class::Unauthorized | Class::SubscriptionInactive | Class::RequestLimit | Class::RateLimited => error,
        Class::Validation
        | Class::Forbidden
        | Class::SessionLimit
        | Class::NotFound
        | Class::Conflict
        | Class::Internal
        | Class::Unavailable
        | Class::Upstream
        | Class::Lost
        | Class::NotSent
        | Class::Garbled
        | Class::Unexpected => Error { class: Class::NotSent, ..error },
    })
}

async fn sign_in(state: &mut State, provider: &dyn Provider, limiter: &Limiter) -> Result<Token, Error> {
    if let Some(refresh) = state.refresh.clone() {
        permit(limiter).await?;
        match provider.refresh(&refresh).await {
            Ok(tokens) => {
                state.keep(tokens);
                return state.access.clone().ok_or_else(|| Error::of(Class::Garbled));
            }
            Err(error) => {
                // A refresh token that no longer works falls back to the password; an outage does not.
                let refused = matches!(
                    error.class,
                    Class::Unauthorized | Class::Validation | Class::NotFound | Class::Forbidden | Class::Unexpected
                );
                if !refused {
                    return Err(error);
                }
                state.refresh = None;
            }
        }
    }
    let Login::Password { email, password } = &state.credentials.login else {
        state.refused = true;
        return Err(Error::of(Class::Unauthorized));
    };
    permit(limiter).await?;
    match provider.login(email, password).await {
        Ok(tokens) => {
            state.keep(tokens);
            state.access.clone().ok_or_else(|| Error::of(Class::Garbled))
        }
        Err(error) => {
            if matches!(error.class, Class::Unauthorized | Class::Validation) {
                // Sending a wrong password again would lock the user out.
                state.refused = true;
                return Err(Error { class: Class::Unauthorized, ..error });
            }
            Err(error)
        }
    }
}

async fn permit(limiter: &Limiter) -> Result<(), Error> {
    limiter.acquire(Priority::Delete).await.map_err(super::paused)
}
