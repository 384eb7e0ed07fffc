//! The event stream: kept up while the account is usable, its events put on the board.

use std::time::Duration;

use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};

use super::{Account, Health};
use crate::provider::{Class, Error, EventsConfig, SocketEvent, Token, socket::Reconnect};

/// Events that may wait to be looked at; more make the socket wait.
const BUFFER: usize = 256;

impl Account {
    pub(super) async fn listen(&self) {
        let mut reconnect = Reconnect::default();
        loop {
            let Some(events) = self.may_listen() else {
                self.show_stream();
                self.retune.notified().await;
                continue;
            };
            let Ok(token) = self.tokens.current(&*self.provider, &self.limiter).await else {
                self.settings_or(reconnect.after(Duration::ZERO, rand::random())).await;
                continue;
            };
            let begun = Instant::now();
            let error = tokio::select! {
                biased;
                () = self.retuned(&events) => None,
                error = self.connection(&token, &events) => Some(error),
            };
            let lived = self.hang_up().map_or(Duration::ZERO, |up| up.elapsed());
            if let Some(error) = error {
                tracing::info!(account = %self.key, class = ?error.class, lived = ?begun.elapsed(), "the event stream ended");
                if error.class == Class::Unauthorized
                    && let Err(error) = self.tokens.after(&token, &*self.provider, &self.limiter).await
                {
                    self.note(&error).await;
                }
                self.settings_or(reconnect.after(lived, rand::random())).await;
            }
        }
    }

    /// The events configuration, while the account is one that may be called.
    fn may_listen(&self) -> Option<EventsConfig> {
        let state = self.state();
        match state.health {
            Health::Ready => state.settings.events.clone(),
            Health::Starting | Health::Retrying(_) | Health::Stalled(..) => None,
        }
    }

    async fn retuned(&self, events: &EventsConfig) {
        loop {
            self.retune.notified().await;
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
