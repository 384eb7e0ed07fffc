//! The provider as a state machine: it is told the time and what is asked of it, and says what it answers and emits.
//!
//! It does no I/O and has no clock: [`State::advance_to`] is the clock, [`State::take_effects`] is the network.

mod answers;
pub mod codes;
mod durations;
pub mod events;
pub mod faults;
pub mod hands;
pub mod journal;
pub mod options;
mod pairing;
mod rest;
pub mod session;
pub mod tenant;
mod tokens;
mod wire;

use std::collections::BTreeMap;
use std::time::Duration;

use rand::SeedableRng as _;
use rand::rngs::StdRng;

use faults::{ArmedFault, Fault, Faults};
use journal::Journal;
use options::ApiOptions;
use session::Session;
use tenant::{Tenant, TenantSettings};
use tokens::Tokens;

pub use answers::Answer;
pub use tokens::Proof;
pub use wire::{Plan, Reply, Request};

/// Something the surroundings have to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Send an event to the sockets of a tenant.
    Emit {
        /// Whose sockets.
        tenant: String,
        /// What to send.
        event: events::Event,
    },
    /// Take the sockets of a tenant away.
    CloseSockets {
        /// Whose sockets.
        tenant: String,
        /// Without a farewell: the TCP connection is reset.
        hard: bool,
    },
    /// Tell a person in a plain line; holds no secrets.
    Note(String),
}

/// The provider.
#[derive(Debug)]
pub struct State {
    pub(in crate::state) now: Duration,
    pub(in crate::state) epoch: Duration,
    pub(in crate::state) rng: StdRng,
    pub(in crate::state) api: ApiOptions,
    pub(in crate::state) tenants: BTreeMap<String, Tenant>,
    pub(in crate::state) tokens: Tokens,
    pub(in crate::state) faults: Faults,
    pub(in crate::state) journal: Journal,
    pub(in crate::state) effects: Vec<Effect>,
}

impl State {
    /// A provider without tenants. `epoch` is the wall clock at the start, as the time since 1970: it goes into tokens and
    /// dates, nothing else depends on it.
    #[must_use]
    pub fn new(seed: u64, epoch: Duration, api: ApiOptions) -> Self {
        Self {
            now: Duration::ZERO,
            epoch,
            rng: StdRng::seed_from_u64(seed),
            api,
            tenants: BTreeMap::new(),
            tokens: Tokens::default(),
            faults: Faults::default(),
            journal: Journal::default(),
            effects: Vec::new(),
        }
    }

    /// The time since the start, as it was told last.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.now
    }

    /// What the surroundings have to do, in order.
    pub fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// How the API behaves for everybody.
    pub fn api_mut(&mut self) -> &mut ApiOptions {
        &mut self.api
    }

    /// How the API behaves for everybody.
    #[must_use]
    pub fn api(&self) -> &ApiOptions {
        &self.api
    }

    /// All tenants by name.
    pub fn tenants(&self) -> impl Iterator<Item = &Tenant> {
        self.tenants.values()
    }

    /// The tenant of that name.
    #[must_use]
    pub fn tenant(&self, name: &str) -> Option<&Tenant> {
        self.tenants.get(name)
    }

    /// The calls so far.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Forgets the calls so far.
    pub fn reset_journal(&mut self) {
        self.journal.clear();
    }

    /// Sets a fault and returns the id to clear it by.
    pub fn arm(&mut self, fault: Fault) -> u64 {
        let what = fault.route.map_or("every call", faults::Route::as_str);
        self.effects.push(Effect::Note(format!("fault set on {what}")));
        self.faults.arm(fault)
    }

    /// The faults that are set.
    #[must_use]
    pub fn armed(&self) -> &[ArmedFault] {
        self.faults.list()
    }

    /// Clears one fault, or all without an id; returns how many.
    pub fn disarm(&mut self, id: Option<u64>) -> usize {
        self.faults.clear(id)
    }

    /// Whose access token this is, and whether it still counts.
    #[must_use]
    pub fn check_token(&self, token: &str) -> Proof {
        self.tokens.check(token, self.now)
    }

    fn slot(&mut self, tenant: &str, id: &str) -> Option<(TenantSettings, &mut Session)> {
        let tenant = self.tenants.get_mut(tenant)?;
        let settings = tenant.settings.clone();
        tenant.session_mut(id).map(|session| (settings, session))
    }

    fn note(&mut self, tenant: &str, id: &str, text: &str) {
        let name = self.tenants.get(tenant).and_then(|tenant| tenant.session(id)).map_or("?", |session| &session.name);
        self.effects.push(Effect::Note(format!("{tenant}: session {name:?} {text}")));
    }

    fn wall_clock(&self) -> Duration {
        self.epoch + self.now
    }
}
