//! What is known about an account's remote sessions, and who wants to know it.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use kube::runtime::reflector::ObjectRef;
use tokio::time::Instant;

use crate::{
    api::WhatsAppSession,
    provider::{Liveness, Qr, RemoteSession, SessionId},
};

/// Hints that come closer together than this share one sweep.
pub const GATHER: Duration = Duration::from_secs(1);

/// One remote session as last seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// What was seen.
    pub remote: RemoteSession,
    /// When the look at it began.
    pub at: Instant,
}

/// The last complete sweep, kept up to date by what was learnt about single sessions since.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// All remote sessions of the tenant.
    pub sessions: BTreeMap<SessionId, Seen>,
    /// When the sweep began.
    pub begun: Instant,
}

/// 404s about one session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Absence {
    /// The first in a row.
    pub first: Instant,
    /// The last one.
    pub last: Instant,
}

/// A QR on offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The credential.
    pub qr: Qr,
    /// When it came.
    pub at: Instant,
    /// How many came before it since the last connect.
    pub nth: u32,
}

/// What one session object wants of its account.
#[derive(Clone, Debug, PartialEq)]
pub struct Interest {
    /// Whom to wake.
    pub session: ObjectRef<WhatsAppSession>,
    /// The remote session it is about.
    pub id: Option<SessionId>,
    /// Nothing is expected to change by itself.
    pub settled: bool,
    /// It waits for a complete sweep begun at or after this instant.
    pub sweep_after: Option<Instant>,
}

/// What should be read next.
#[derive(Debug, PartialEq, Eq)]
pub enum Read {
    /// The status of one session.
    Status(SessionId),
    /// The whole list.
    Sweep,
}

/// The board. All methods are synchronous and return whom to wake.
#[derive(Default)]
pub struct Board {
    snapshot: Option<Snapshot>,
    interests: HashMap<String, Interest>,
    offers: HashMap<SessionId, Offer>,
    /// A QR that named no session, until a sweep begun after it tells whose it is.
    nameless: Option<(Qr, Instant)>,
    absences: HashMap<SessionId, Absence>,
    connects: HashMap<SessionId, Instant>,
    /// Hints not looked into yet, with the time of the last one.
    dirty: BTreeMap<SessionId, Instant>,
    /// Sessions whose change was announced by an event, or made by us, and when.
    announced: BTreeMap<SessionId, Instant>,
    last_read: Option<Instant>,
    /// A status read failed: a sweep looks into what is left of the hints.
    unanswered: bool,
}

type Wakes = Vec<ObjectRef<WhatsAppSession>>;

impl Board {
    /// The last complete sweep.
    #[must_use]
    pub fn snapshot(&self) -> Option<&Snapshot> {
        self.snapshot.as_ref()
    }

    /// The QR on offer for a session.
    #[must_use]
    pub fn offer(&self, id: &SessionId) -> Option<&Offer> {
        self.offers.get(id)
    }

    /// The 404s about a session.
    #[must_use]
    pub fn absence(&self, id: &SessionId) -> Option<Absence> {
        self.absences.get(id).copied()
    }

    /// Notes what a session object wants. True when that is news, which may have to be read sooner.
    ///
    /// It looked before it said so. What came in between was told to nobody: it is woken to look once more when it is
    /// new here, and when the sweep that it waits for is at hand already.
    pub fn want(&mut self, uid: &str, interest: Interest) -> (Wakes, bool) {
        let before = self.interests.get(uid);
        if before == Some(&interest) {
            return (Vec::new(), false);
        }
        let swept = self.snapshot.as_ref().map(|s| s.begun);
        let late = before.is_none() || interest.sweep_after.is_some_and(|after| swept.is_some_and(|s| s >= after));
        let wakes = late.then(|| interest.session.clone()).into_iter().collect();
        self.interests.insert(uid.to_owned(), interest);
        (wakes, true)
    }

    /// The object is gone.
    pub fn forget(&mut self, uid: &str) {
        if let Some(Interest { id: Some(id), .. }) = self.interests.remove(uid) {
            self.offers.remove(&id);
            self.absences.remove(&id);
            self.connects.remove(&id);
            self.dirty.remove(&id);
        }
    }

    /// Everybody.
    #[must_use]
    pub fn everybody(&self) -> Wakes {
        self.interests.values().map(|interest| interest.session.clone()).collect()
    }

    fn wakes(&self, id: &SessionId) -> Wakes {
        self.interests.values().filter(|i| i.id.as_ref() == Some(id)).map(|i| i.session.clone()).collect()
    }

    fn watched(&self, id: &SessionId) -> bool {
        self.interests.values().any(|i| i.id.as_ref() == Some(id))
    }

    /// A complete sweep, begun at `begun`. The second value is false when it shows a change that no event announced
    /// although events were `heard_since` before it.
    pub fn swept(
        &mut self,
        sessions: Vec<RemoteSession>,
        begun: Instant,
        heard_since: Option<Instant>,
    ) -> (Wakes, bool) {
        let before = self.snapshot.take();
        let mut next: BTreeMap<SessionId, Seen> = BTreeMap::new();
        for remote in sessions {
            let id = remote.id.clone();
            // What was learnt about a single session after the sweep began is newer than the sweep.
            let newer = before.as_ref().and_then(|b| b.sessions.get(&id)).filter(|seen| seen.at > begun);
            let seen = newer.map_or(Seen { remote, at: begun }, Clone::clone);
            self.absences.remove(&id);
            next.insert(id, seen);
        }
        // So is a session that was made meanwhile, which the sweep cannot hold.
        for (id, seen) in before.iter().flat_map(|b| &b.sessions).filter(|(_, seen)| seen.at > begun) {
            next.entry(id.clone()).or_insert_with(|| seen.clone());
        }
        let mut understood = true;
        let mut wakes = Vec::new();
        for interest in self.interests.values() {
            let (was, is) = match &interest.id {
                Some(id) => (before.as_ref().and_then(|b| b.sessions.get(id)), next.get(id)),
                None => (None, None),
            };
            let changed = was.map(|s| &s.remote) != is.map(|s| &s.remote);
            let waited = interest.sweep_after.is_some_and(|after| begun >= after);
            if changed || waited {
                wakes.push(interest.session.clone());
            }
            if let (Some(was), Some(is), Some(id)) = (was, is, &interest.id)
                && was.remote.liveness != is.remote.liveness
                && heard_since.is_some_and(|since| since <= was.at)
                && !self.announced.contains_key(id)
            {
                understood = false;
            }
        }
        self.snapshot = Some(Snapshot { sessions: next, begun });
        self.announced.retain(|_, at| *at > begun);
        self.dirty.retain(|_, at| *at > begun);
        self.last_read = Some(begun);
        self.unanswered = false;
        wakes.extend(self.settle_nameless(begun));
        (wakes, understood)
    }

    /// The answer to a status read begun at `at`; `None` is a 404.
    pub fn read(&mut self, id: &SessionId, answer: Option<RemoteSession>, at: Instant) -> Wakes {
        if self.dirty.get(id).is_some_and(|hint| *hint <= at) {
            self.dirty.remove(id);
        }
        self.last_read = Some(at);
        self.announced.insert(id.clone(), at);
        match answer {
            Some(mut remote) => {
                self.absences.remove(id);
                let known = self.snapshot.as_ref().and_then(|s| s.sessions.get(id));
                // A code, or a call of ours, that came after the read began is newer than its answer.
                if known.is_some_and(|seen| seen.at > at) {
                    return self.wakes(id);
                }
                if let Some(snapshot) = &mut self.snapshot {
                    if let Some(seen) = snapshot.sessions.get(id) {
                        remote.name.clone_from(&seen.remote.name);
                    }
                    if !matches!(remote.liveness, Liveness::QrPending) {
                        self.offers.remove(id);
                    }
                    snapshot.sessions.insert(id.clone(), Seen { remote, at });
                }
            }
            None => {
                self.absences.entry(id.clone()).and_modify(|a| a.last = at).or_insert(Absence { first: at, last: at });
            }
        }
        self.wakes(id)
    }

    /// We made this session ourselves.
    pub fn created(&mut self, remote: RemoteSession) {
        self.announced.insert(remote.id.clone(), Instant::now());
        if let Some(snapshot) = &mut self.snapshot {
            snapshot.sessions.insert(remote.id.clone(), Seen { remote, at: Instant::now() });
        }
    }

    /// Our connect is about to be sent: offers from before it are void.
    pub fn connecting(&mut self, id: &SessionId) {
        let now = Instant::now();
        self.offers.remove(id);
        self.connects.insert(id.clone(), now);
        self.note(id, Liveness::Connecting, now);
    }

    /// Our disconnect was answered.
    pub fn disconnected(&mut self, id: &SessionId) {
        self.offers.remove(id);
        self.note(id, Liveness::Disconnected, Instant::now());
    }

    fn note(&mut self, id: &SessionId, liveness: Liveness, at: Instant) {
        self.announced.insert(id.clone(), at);
        if let Some(seen) = self.snapshot.as_mut().and_then(|s| s.sessions.get_mut(id)) {
            seen.remote.liveness = liveness;
            seen.at = at;
        }
    }

    /// A QR came over the socket.
    pub fn offered(&mut self, session: Option<SessionId>, qr: Qr) -> Wakes {
        let now = Instant::now();
        if let Some(id) = session {
            self.put_offer(&id, qr, now)
        } else {
            self.nameless = Some((qr, now));
            Vec::new()
        }
    }

    fn put_offer(&mut self, id: &SessionId, qr: Qr, at: Instant) -> Wakes {
        // A code for a session nobody here manages is not ours to keep.
        if !self.watched(id) {
            return Vec::new();
        }
        if self.offers.get(id).is_some_and(|offer| offer.qr == qr) {
            return Vec::new();
        }
        let known = self.snapshot.as_ref().and_then(|snapshot| snapshot.sessions.get(id));
        if known.is_some_and(|seen| seen.remote.liveness == Liveness::Connected) {
            // A late code of the pairing that is just over, or a log-out: a look tells which.
            self.dirty.insert(id.clone(), at);
            return Vec::new();
        }
        let nth = self.offers.get(id).map_or(0, |offer| offer.nth + 1);
        self.offers.insert(id.clone(), Offer { qr, at, nth });
        self.note(id, Liveness::QrPending, at);
        self.wakes(id)
    }

    /// A nameless QR is ours only if this sweep, begun after both our connect and the QR, shows one session alone
    /// awaiting a scan: a code shown for the wrong session links the wrong phone.
    fn settle_nameless(&mut self, begun: Instant) -> Wakes {
        let Some((_, at)) = &self.nameless else { return Vec::new() };
        if begun < *at {
            return Vec::new();
        }
        let Some((qr, at)) = self.nameless.take() else { return Vec::new() };
        let mut pending = self
            .snapshot
            .iter()
            .flat_map(|s| s.sessions.values())
            .filter(|seen| seen.remote.liveness == Liveness::QrPending)
            .map(|seen| seen.remote.id.clone());
        match (pending.next(), pending.next()) {
            (Some(id), None) if self.connects.get(&id).is_some_and(|connect| *connect <= at) => {
                self.put_offer(&id, qr, at)
            }
            _ => Vec::new(),
        }
    }

    /// The code on offer is of no use.
    pub fn spoil(&mut self, id: &SessionId) {
        self.offers.remove(id);
    }

    /// An event hinted at a change.
    pub fn hinted(&mut self, session: Option<SessionId>, claims: Option<&Liveness>) {
        let Some(id) = session else { return };
        if !self.watched(&id) {
            return;
        }
        let now = Instant::now();
        self.announced.insert(id.clone(), now);
        let known = self.snapshot.as_ref().and_then(|s| s.sessions.get(&id)).map(|seen| &seen.remote.liveness);
        let telling = match claims {
            // On the way to something that will be announced, or told by the code itself.
            Some(Liveness::Connecting | Liveness::QrPending) => false,
            Some(claims) => known != Some(claims),
            None => true,
        };
        if telling {
            self.dirty.insert(id, now);
        }
    }

    /// What to read at `now`, or when to ask again.
    pub fn next_read(&self, now: Instant, interval: Duration) -> Result<Read, Instant> {
        let last = self.last_read;
        let gathered = last.map_or(now, |last| last + GATHER);
        let swept = self.snapshot.as_ref().map(|s| s.begun);
        let mut due = swept.map_or(now, |swept| swept + interval);
        let wanted = self
            .interests
            .values()
            .filter_map(|i| i.sweep_after)
            .filter(|after| swept.is_none_or(|swept| swept < *after))
            .min();
        let nameless = self.nameless.as_ref().map(|(_, at)| *at);
        for wish in wanted.into_iter().chain(nameless) {
            due = due.min(wish.max(gathered));
        }
        if !self.dirty.is_empty() {
            due = due.min(gathered);
        }
        if due > now {
            return Err(due);
        }
        let by_hint = !self.dirty.is_empty()
            && wanted.is_none_or(|wish| wish > now)
            && nameless.is_none()
            && !self.unanswered
            && swept.is_some_and(|swept| swept + interval > now);
        match (by_hint, self.dirty.len(), self.dirty.keys().next()) {
            (true, 1, Some(id)) => Ok(Read::Status(id.clone())),
            _ => Ok(Read::Sweep),
        }
    }

    /// Whether every session is settled.
    #[must_use]
    pub fn settled(&self) -> bool {
        self.interests.values().all(|interest| interest.settled)
    }

    /// The hints that a failed read was to answer are still open.
    pub fn read_failed(&mut self, read: &Read, at: Instant) {
        self.last_read = Some(at);
        self.unanswered |= matches!(read, Read::Status(_));
    }
}

#[cfg(test)]
mod tests;
