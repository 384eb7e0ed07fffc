//! Everything that can be done to a running simulator, from Rust.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, broadcast, mpsc, watch};
use tokio::time::Instant;

use crate::state::faults::{Fault, Route};
use crate::state::hands::{CodeView, HandError, Place};
use crate::state::journal::Entry;
use crate::state::options::ApiOptions;
use crate::state::session::Session;
use crate::state::tenant::TenantSettings;
use crate::state::{Effect, State};

/// Remembered effects for a subscriber that is slow.
const BACKLOG: usize = 1024;

/// A running simulator's state, shared by its servers and by tests. Sessions are given by id, or by name if it is unique.
#[derive(Debug, Clone)]
pub struct Handle {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    start: Instant,
    effects: mpsc::UnboundedSender<Effect>,
    published: broadcast::Sender<Effect>,
    rescheduled: Notify,
    version: watch::Sender<u64>,
}

impl Handle {
    pub(super) fn new(state: State) -> (Self, mpsc::UnboundedReceiver<Effect>) {
        let (effects, receiver) = mpsc::unbounded_channel();
        let shared = Shared {
            state: Mutex::new(state),
            start: Instant::now(),
            effects,
            published: broadcast::channel(BACKLOG).0,
            rescheduled: Notify::new(),
            version: watch::Sender::new(0),
        };
        (Self { shared: Arc::new(shared) }, receiver)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn act<R>(&self, act: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.lock();
        state.advance_to(self.shared.start.elapsed());
        let result = act(&mut state);
        // Handed over under the lock, so that events leave in the order in which they happened.
        for effect in state.take_effects() {
            let _ = self.shared.effects.send(effect);
        }
        drop(state);
        self.shared.version.send_modify(|version| *version += 1);
        result
    }

    /// Does anything to the state, at the present time.
    pub fn with<R>(&self, act: impl FnOnce(&mut State) -> R) -> R {
        let result = self.act(act);
        self.shared.rescheduled.notify_one();
        result
    }

    /// Looks at the state.
    pub fn read<R>(&self, look: impl FnOnce(&State) -> R) -> R {
        look(&self.lock())
    }

    /// Waits until the state is as wished; it is looked at after every change.
    pub async fn wait_until(&self, mut wished: impl FnMut(&State) -> bool) {
        let mut changes = self.shared.version.subscribe();
        while !self.read(&mut wished) {
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// Everything that is emitted from now on, after it was handed to the sockets.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Effect> {
        self.shared.published.subscribe()
    }

    pub(super) fn publish(&self, effect: Effect) {
        let _ = self.shared.published.send(effect);
    }

    /// Lets due things happen and returns when the next is due.
    pub(super) fn tick(&self) -> Option<Instant> {
        self.act(|state| state.next_deadline()).map(|at| self.shared.start + at)
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        self.read(State::next_deadline).map(|at| self.shared.start + at)
    }

    pub(super) async fn rescheduled(&self) {
        self.shared.rescheduled.notified().await;
    }

    fn at<R>(&self, session: &str, act: impl FnOnce(&mut State, &Place) -> R) -> Result<R, HandError> {
        self.with(|state| state.find(None, session).map(|place| act(state, &place)))
    }

    /// Makes a tenant, or replaces the settings of one.
    ///
    /// # Errors
    /// When another tenant has the same email or API key.
    pub fn put_tenant(&self, name: &str, settings: TenantSettings) -> Result<(), HandError> {
        self.with(|state| state.put_tenant(name, settings))
    }

    /// Changes some settings of a tenant that exists.
    ///
    /// # Errors
    /// When there is no such tenant, or another has the same email or API key.
    pub fn configure_tenant(&self, name: &str, change: impl FnOnce(&mut TenantSettings)) -> Result<(), HandError> {
        self.with(|state| {
            let tenant = state.tenant(name).ok_or_else(|| HandError::UnknownTenant(name.to_owned()))?;
            let mut settings = tenant.settings.clone();
            change(&mut settings);
            state.put_tenant(name, settings)
        })
    }

    /// Changes how the API behaves for everybody.
    pub fn configure_api(&self, change: impl FnOnce(&mut ApiOptions)) {
        self.with(|state| change(state.api_mut()));
    }

    /// A phone scans whatever the session shows; returns the number that is paired.
    ///
    /// # Errors
    /// When there is no such session or it shows no code.
    pub fn scan(&self, session: &str, phone_number: Option<&str>) -> Result<String, HandError> {
        self.at(session, |state, place| state.scan(place, phone_number))?
    }

    /// A phone scans exactly this code; returns the session it belongs to.
    ///
    /// # Errors
    /// When no session shows it now.
    pub fn scan_code(&self, code: &str, phone_number: Option<&str>) -> Result<Place, HandError> {
        self.with(|state| state.scan_code(code, phone_number))
    }

    /// The phone removes the device.
    ///
    /// # Errors
    /// When there is no such session.
    pub fn log_out(&self, session: &str) -> Result<(), HandError> {
        self.at(session, State::log_out)
    }

    /// The connection is lost, the credentials stay.
    ///
    /// # Errors
    /// When there is no such session or it is not connected.
    pub fn drop_connection(&self, session: &str) -> Result<(), HandError> {
        self.at(session, State::drop_connection)?
    }

    /// `WhatsApp` bans the number.
    ///
    /// # Errors
    /// When there is no such session.
    pub fn ban(&self, session: &str) -> Result<(), HandError> {
        self.at(session, State::ban)
    }

    /// Any state by its word.
    ///
    /// # Errors
    /// When there is no such session.
    pub fn set_status(&self, session: &str, word: &str) -> Result<(), HandError> {
        self.at(session, |state, place| state.set_status(place, word))
    }

    /// Somebody deletes the session in the dashboard.
    ///
    /// # Errors
    /// When there is no such session.
    pub fn vanish(&self, session: &str) -> Result<(), HandError> {
        self.at(session, State::vanish)
    }

    /// Somebody creates a session in the dashboard; returns its id.
    ///
    /// # Errors
    /// When there is no such tenant.
    pub fn create_out_of_band(&self, tenant: &str, name: &str) -> Result<String, HandError> {
        self.with(|state| state.create_out_of_band(tenant, name))
    }

    /// Somebody renames the session in the dashboard.
    ///
    /// # Errors
    /// When there is no such session.
    pub fn rename(&self, session: &str, name: &str) -> Result<(), HandError> {
        self.at(session, |state, place| state.rename(place, name))
    }

    /// No access token of the tenant counts any more, and no refresh token either if wanted.
    pub fn expire_tokens(&self, tenant: &str, refresh_too: bool) {
        self.with(|state| state.expire_tokens(tenant, refresh_too));
    }

    /// Takes the tenant's sockets away, with a farewell or by a reset of the connection.
    pub fn close_sockets(&self, tenant: &str, hard: bool) {
        self.with(|state| state.close_sockets(tenant, hard));
    }

    /// The session as it is now.
    #[must_use]
    pub fn session(&self, session: &str) -> Option<Session> {
        self.with(|state| state.find(None, session).ok().and_then(|place| state.session(&place).cloned()))
    }

    /// The tenant's sessions as they are now, in the order of creation.
    #[must_use]
    pub fn sessions(&self, tenant: &str) -> Vec<Session> {
        self.with(|state| state.tenant(tenant).map(|tenant| tenant.sessions.clone()).unwrap_or_default())
    }

    /// The code the session shows now.
    #[must_use]
    pub fn current_code(&self, session: &str) -> Option<CodeView> {
        self.with(|state| state.find(None, session).ok().and_then(|place| state.current_code(&place)))
    }

    /// All calls since the last reset of the log.
    #[must_use]
    pub fn requests(&self) -> Vec<Entry> {
        self.read(|state| state.journal().entries().to_vec())
    }

    /// How many calls a route got since the last reset of the log.
    #[must_use]
    pub fn count(&self, route: Route) -> usize {
        self.read(|state| state.journal().count(route))
    }

    /// How many calls each route got since the last reset of the log.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.read(|state| state.journal().counts())
    }

    /// Forgets the calls so far.
    pub fn reset_requests(&self) {
        self.with(State::reset_journal);
    }

    /// Sets a fault; returns the id to clear it by.
    #[expect(clippy::must_use_candidate, reason = "most callers clear all faults at once")]
    pub fn arm(&self, fault: Fault) -> u64 {
        self.with(|state| state.arm(fault))
    }

    /// Clears a fault; returns whether it was there.
    #[expect(clippy::must_use_candidate, reason = "most callers clear all faults at once")]
    pub fn disarm(&self, id: u64) -> bool {
        self.with(|state| state.disarm(Some(id))) > 0
    }

    /// Clears all faults.
    pub fn disarm_all(&self) {
        self.with(|state| state.disarm(None));
    }

    /// The time since the start.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.shared.start.elapsed()
    }
}
