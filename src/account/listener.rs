//! The event stream: kept up while the account is usable, its events put on the board.

use std::time::Duration;

use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};

use super::{Account, Health, limiter::Priority};
use crate::provider::{Class, Error, EventsConfig, SocketEvent, Token, socket::Reconnect};

/// Events that may wait to be looked at; more make the socket wait.
const BUFFER: usize = 256;

impl Account {
    pub(super) async fn listen(&self) {
        let mut reconnect = Reconnect::default();
        // The token that was got because the socket refused another one.
        let mut renewed: Option<Token> = None;
        loop {
            let Some(events) = self.may_listen() else {
                self.show_stream();
                self.retune.notified().await;
                continue;
            };
            let generation = self.tokens.generation().await;
            let token = match self.may_dial().await {
                Ok(token) => token,
                Err(error) => {
                    self.note(&error).await;
                    let wait = reconnect.after(Duration::ZERO, rand::random());
                    self.settings_or(wait.max(error.retry_after.unwrap_or_default())).await;
                    continue;
                }
            };
            let begun = Instant::now();
            let error = tokio::select! {
                biased;
                () = self.retuned(&events, generation) => None,
                error = self.connection(&token, &events) => Some(error),
            };
            let lived = self.hang_up().map_or(Duration::ZERO, |up| up.elapsed());
            let Some(error) = error else { continue };
            tracing::info!(account = %self.key, class = ?error.class, lived = ?begun.elapsed(), "the event stream ended");
            let wait = reconnect.after(lived, rand::random());
            if error.class != Class::Unauthorized {
                self.note(&error).await;
            } else if renewed.as_ref() != Some(&token) {
                // Once: a socket that refuses a fresh token as well refuses something else.
                match self.tokens.after(&token, &*self.provider, &self.limiter).await {
                    Ok(token) => renewed = Some(token),
                    Err(error) => self.note(&error).await,
                }
            }
            self.settings_or(wait.max(error.retry_after.unwrap_or_default())).await;
        }
    }

    /// A connection is a call like any other: it takes a good token and a place in the budget.
    async fn may_dial(&self) -> Result<Token, Error> {
        let token = self.tokens.current(&*self.provider, &self.limiter).await?;
        self.limiter.acquire(Priority::Pair).await.map_err(super::paused)?;
        Ok(token)
    }

    /// The events configuration, while the account is one that may be called.
    fn may_listen(&self) -> Option<EventsConfig> {
        let state = self.state();
        match state.health {
            Health::Ready => state.settings.events.clone(),
            Health::Starting | Health::Retrying(_) | Health::Stalled(..) => None,
        }
    }

    /// Returns when a connection by these settings and credentials is no longer what is wanted.
    async fn retuned(&self, events: &EventsConfig, generation: u64) {
        loop {
            self.retune.notified().await;
            if self.tokens.generation().await != generation {
                return;
            }
            let state = self.state();
            let stalled = matches!(state.health, Health::Stalled(..));
            if stalled || state.settings.events.as_ref() != Some(events) {
                return;
            }
        }
    }

    async fn settings_or(&self, wait: Duration) {
        tokio::select! {
            biased;
            () = self.retune.notified() => {}
            () = sleep(wait) => {}
        }
    }

    async fn connection(&self, token: &Token, events: &EventsConfig) -> Error {
        let (sink, mut inbox) = mpsc::channel(BUFFER);
        let listening = self.provider.listen(token, events, sink);
        tokio::pin!(listening);
        loop {
            tokio::select! {
                biased;
                Some(event) = inbox.recv() => self.event(event),
                error = &mut listening => return error,
            }
        }
    }

    fn hang_up(&self) -> Option<Instant> {
        let up = {
            let mut state = self.state();
            state.socket_up = false;
            state.up_since.take()
        };
        self.show_stream();
        up
    }

    fn event(&self, event: SocketEvent) {
        match event {
            SocketEvent::Live => {
                {
                    let mut state = self.state();
                    state.socket_up = true;
                    state.up_since = Some(Instant::now());
                }
                self.show_stream();
                // Sessions that wait for the socket before they connect.
                let everybody = self.board().everybody();
                self.wake(everybody);
            }
            SocketEvent::Qr { session, qr } => {
                let wakes = self.board().offered(session, qr);
                self.understood_again();
                self.wake(wakes);
                self.nudge.notify_one();
            }
            SocketEvent::Status { session, claims } => {
                self.board().hinted(session, claims.as_ref());
                self.understood_again();
                self.nudge.notify_one();
            }
        }
    }

    fn understood_again(&self) {
        let doubted = !self.state().understood;
        if doubted {
            self.set_understood(true);
        }
    }
}
