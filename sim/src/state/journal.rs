//! What was asked of the simulator and what it answered.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::faults::Route;

/// One call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Number of the call since the start.
    pub number: u64,
    /// Milliseconds since the start.
    pub at_ms: u64,
    /// HTTP method, or `CONNECT` for a Socket.IO packet.
    pub method: String,
    /// Path without the query.
    pub path: String,
    /// The query, which holds no secrets in this API.
    pub query: String,
    /// Which call it is.
    pub route: Route,
    /// Whose credentials it bore.
    pub tenant: Option<String>,
    /// Which of all access tokens it bore or, as a login, was given, counted from 1: who logged in once is told from
    /// who logged in another time.
    pub token: Option<u64>,
    /// The session it named or made.
    pub session: Option<String>,
    /// The status answered; none while it is under way and after a reset.
    pub status: Option<u16>,
    /// Whether it had its effect.
    pub applied: bool,
    /// Whether it is answered or reset.
    pub done: bool,
    /// Whether a fault hit it.
    pub faulted: bool,
}

/// All calls since the last reset, oldest first.
#[derive(Debug, Default)]
pub struct Journal {
    entries: Vec<Entry>,
    count: u64,
}

impl Journal {
    /// The calls.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// How many calls each route got.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<&'static str, u64> {
        let mut counts = BTreeMap::new();
        for entry in &self.entries {
            *counts.entry(entry.route.as_str()).or_default() += 1;
        }
        counts
    }

    /// How many calls one route got.
    #[must_use]
    pub fn count(&self, route: Route) -> usize {
        self.entries.iter().filter(|entry| entry.route == route).count()
    }

    pub(super) fn clear(&mut self) {
        self.entries.clear();
    }

    /// Writes a call down as it arrives and returns its number.
    pub(super) fn begin(&mut self, now: Duration, mut entry: Entry) -> u64 {
        self.count += 1;
        entry.number = self.count;
        entry.at_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        self.entries.push(entry);
        self.count
    }

    /// The call of that number, unless the log was reset in between.
    pub(super) fn entry_mut(&mut self, number: u64) -> Option<&mut Entry> {
        self.entries.iter_mut().rev().find(|entry| entry.number == number)
    }
}
