//! What an account is told, and what it tells: plain data.

use std::time::Duration;

use tokio::time::Instant;

use super::board::{Absence, Offer, Seen};
use crate::{
    api::Reason,
    provider::{EventsConfig, Liveness, RemoteSession, Subscription, Usage},
};

/// What of an account's spec a running account needs. All of it may change while it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Between two sweeps while anything is in motion.
    pub poll: Duration,
    /// Between two sweeps while all is settled and the event stream is understood.
    pub settled_poll: Duration,
    /// Requests a second.
    pub rate: u32,
    /// Requests at once.
    pub burst: u32,
    /// How to listen; `None` is switched off.
    pub events: Option<EventsConfig>,
}

/// How an account is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// Nothing was read yet and nothing failed yet.
    Starting,
    /// It works, as far as is known.
    Ready,
    /// It failed, waiting may help.
    Retrying(String),
    /// Waiting alone cannot help.
    Stalled(Reason, String),
}

/// How the event stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Switched off.
    Disabled,
    /// Down.
    Offline,
    /// Up, but changes happen that it does not announce.
    NotUnderstood,
    /// Up and understood.
    Live,
}

/// What the account's status shows.
#[derive(Clone, Debug)]
pub struct View {
    /// How it is.
    pub health: Health,
    /// How the event stream is.
    pub stream: Stream,
    /// Tenant or user id.
    pub identity: Option<String>,
    /// What of the plan is used.
    pub usage: Option<Usage>,
    /// The subscription.
    pub subscription: Option<Subscription>,
    /// How long calls are paused.
    pub paused: Option<Duration>,
}

/// What a session's reconcile sees of its account.
#[derive(Clone, Debug)]
pub struct Sight {
    /// How the account is.
    pub health: Health,
    /// Calls are paused for this long.
    pub paused: Option<Duration>,
    /// The socket accepted us: a QR would arrive.
    pub socket_up: bool,
    /// The event stream is switched on.
    pub events_enabled: bool,
    /// When the last complete sweep began.
    pub swept: Option<Instant>,
    /// The session of the id asked for.
    pub mine: Option<Seen>,
    /// Sessions of the name asked for.
    pub named: Vec<RemoteSession>,
    /// 404s about the id asked for.
    pub absence: Option<Absence>,
    /// The QR on offer for the id asked for.
    pub offer: Option<Offer>,
}

impl Sight {
    /// What the provider last said about the session asked for.
    #[must_use]
    pub fn liveness(&self) -> Option<&Liveness> {
        self.mine.as_ref().map(|seen| &seen.remote.liveness)
    }
}
