//! The promises of the pure core, one file each. A [`Stage`] holds everything a decision is made of; [`Stage::run`]
//! does what an executor would, so that whole stories can be told.

mod account;
mod connection;
mod deletion;
mod pairing;
mod properties;
mod provision;
mod report;

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use tokio::time::Instant;

use super::{
    AccountSight, Action, Desired, Memory, Named, Now, Observed, Plan, Policy, Scene, decide, memory::SecretSight,
};
use crate::{
    account::{
        Health, Sight,
        board::{Absence, Offer, Seen},
        registry::NameState,
    },
    api::{
        WhatsAppSessionStatus,
        session::{CreateStatus, DeletionPolicy, DesiredState, PairingMode},
    },
    provider::{Class, Error, Liveness, Phone, Qr, QrContent, RemoteSession, SessionId},
};

const ME: &str = "this-process";
const NAME: &str = "acme-sales";
const SETTLE: Duration = Duration::from_secs(15);

/// All classes of failed calls.
const CLASSES: [Class; 16] = [
    Class::Validation,
    Class::Unauthorized,
    Class::Forbidden,
    Class::SubscriptionInactive,
    Class::SessionLimit,
    Class::RequestLimit,
    Class::NotFound,
    Class::Conflict,
    Class::RateLimited,
    Class::Internal,
    Class::Unavailable,
    Class::Upstream,
    Class::Lost,
    Class::NotSent,
    Class::Garbled,
    Class::Unexpected,
];

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn id(text: &str) -> SessionId {
    text.parse().unwrap()
}

fn remote(text: &str, liveness: Liveness) -> RemoteSession {
    RemoteSession { id: id(text), name: NAME.to_owned(), liveness, phone: None }
}

fn named(text: &str, claimed: bool) -> Named {
    Named { remote: remote(text, Liveness::Disconnected), claimed }
}

fn code(text: &str) -> Qr {
    Qr { content: QrContent::Raw(text.to_owned()), pairing_code: None }
}

fn connect() -> Action {
    Action::Connect { id: id("s1") }
}

fn disconnect(text: &str, deleting: bool) -> Action {
    Action::Disconnect { id: id(text), deleting }
}

fn look() -> Action {
    Action::ReadStatus { id: id("s1") }
}

/// Everything that a decision is made of.
struct Stage {
    desired: Desired,
    recorded: WhatsAppSessionStatus,
    observed: Observed,
    memory: Memory,
    policy: Policy,
    now: Now,
    /// Writes to Kubernetes by [`Stage::run`].
    writes: Vec<&'static str>,
}

impl Stage {
    /// A fresh object with its finalizer, of an account that works; the list was just read and does not hold it.
    fn new() -> Self {
        // Far enough from the clock's zero for everything that lies in the past.
        let now = Now {
            mono: Instant::now() + Duration::from_hours(24),
            wall: "2026-03-01T12:00:00Z".parse::<Timestamp>().unwrap(),
        };
        Self {
            desired: Desired {
                name: "sales".to_owned(),
                namespace: "shop".to_owned(),
                uid: "uid".to_owned(),
                generation: 1,
                created: now.wall,
                deleting: None,
                finalizer: true,
                account: "default".to_owned(),
                session_id: None,
                desired_state: DesiredState::Connected,
                suspend: false,
                deletion_policy: DeletionPolicy::Disconnect,
                mode: PairingMode::Auto,
                window: Duration::from_mins(10),
                secret_name: "sales-qr".to_owned(),
                publish_in_status: false,
                pair_request: None,
                reconcile_request: None,
                invalid: None,
            },
            recorded: WhatsAppSessionStatus { observed_generation: Some(-1), ..WhatsAppSessionStatus::default() },
            observed: Observed {
                account: AccountSight::Running(Box::new(Sight {
                    health: Health::Ready,
                    paused: None,
                    socket_up: true,
                    events_enabled: true,
                    swept: Some(now.mono),
                    mine: None,
                    named: Vec::new(),
                    absence: None,
                    offer: None,
                })),
                account_deleting: false,
                full_name: NAME.to_owned(),
                named: Vec::new(),
                name_state: NameState::Free(None),
                rival: None,
                wanted_id_claimed: false,
                outclaimed: false,
                wanted: None,
                prefix: "acme-".to_owned(),
            },
            memory: Memory::new(now),
            policy: Policy {
                settle: SETTLE,
                deletion_deadline: Duration::from_mins(10),
                allow_qr_in_status: false,
                holder: ME.to_owned(),
            },
            now,
            writes: Vec::new(),
        }
    }

    /// The id `s1` was just recorded; a first window is open.
    fn provisioned() -> Self {
        let mut stage = Self::new();
        stage.observed.named = vec![named("s1", false)];
        let plan = stage.decide();
        assert_eq!(plan.action, Some(Action::RecordId { id: id("s1"), adopted: true }));
        stage.write(&plan);
        stage.memory.provisioned(stage.now);
        stage.shows(Liveness::Disconnected);
        stage.writes.clear();
        stage
    }

    /// Paired and connected, an hour ago.
    fn connected() -> Self {
        let mut stage = Self::provisioned();
        stage.shows(Liveness::Connected);
        stage.run();
        stage.pass(Duration::from_hours(1));
        stage.shows(Liveness::Connected);
        stage.memory.rewarded();
        stage.writes.clear();
        stage
    }

    /// A code is on show in our Secret.
    fn awaiting_scan() -> Self {
        let mut stage = Self::provisioned();
        stage.run();
        stage.pass(secs(1));
        stage.offers("code-1", 0);
        stage.run();
        assert_eq!(stage.said(), "AwaitingScan False/AwaitingScan Reconciling");
        stage.writes.clear();
        stage
    }

    /// Being deleted since this instant.
    fn deleted(mut self) -> Self {
        self.desired.deleting = Some(self.now.wall);
        self.desired.generation += 1;
        self.meet();
        self
    }

    fn sight(&mut self) -> &mut Sight {
        match &mut self.observed.account {
            AccountSight::Running(sight) => sight,
            account => panic!("not running: {account:?}"),
        }
    }

    /// A sweep that begins now shows the session like this.
    fn shows(&mut self, liveness: Liveness) {
        let at = self.now.mono;
        let sight = self.sight();
        sight.swept = Some(at);
        sight.absence = None;
        sight.mine = Some(Seen { remote: remote("s1", liveness), at });
    }

    /// A sweep that begins now does not show the session.
    fn hides(&mut self) {
        let at = self.now.mono;
        self.sight().swept = Some(at);
        self.sight().mine = None;
    }

    /// A sweep that begins now shows these sessions of the name.
    fn lists(&mut self, sessions: Vec<Named>) {
        let at = self.now.mono;
        self.sight().swept = Some(at);
        self.observed.named = sessions;
    }

    /// A code comes now.
    fn offers(&mut self, text: &str, nth: u32) {
        let at = self.now.mono;
        let sight = self.sight();
        sight.offer = Some(Offer { qr: code(text), at, nth });
        sight.mine = Some(Seen { remote: remote("s1", Liveness::QrPending), at });
    }

    /// A status read is answered with 404 now.
    fn denies(&mut self) {
        let at = self.now.mono;
        self.memory.looked();
        let sight = self.sight();
        let first = sight.absence.map_or(at, |absence| absence.first);
        sight.absence = Some(Absence { first, last: at });
    }

    fn pass(&mut self, time: Duration) {
        self.now.mono += time;
        self.now.wall = self.now.wall.checked_add(time).unwrap();
    }

    fn fails(&mut self, class: Class) {
        self.memory.failed(&Error { message: "no such thing".to_owned(), ..Error::of(class) }, self.now, 1.0);
    }

    /// A create of this attempt fails.
    fn create_fails(&mut self, attempt: i32, class: Class) {
        self.memory.sent_attempt = Some(attempt);
        self.memory.create_failed(attempt, class, self.now);
        self.fails(class);
        self.observed.name_state = NameState::Free(Some(self.now.mono));
    }

    fn intends(&mut self, attempt: i32, holder: &str) {
        self.recorded.create = Some(CreateStatus { attempt, started_at: self.now.time(), holder: holder.to_owned() });
    }

    fn meet(&mut self) {
        self.memory.meet(&self.desired, &self.recorded, self.now);
    }

    fn decide(&self) -> Plan {
        decide(&Scene {
            desired: &self.desired,
            recorded: &self.recorded,
            observed: &self.observed,
            memory: &self.memory,
            policy: &self.policy,
            now: self.now,
        })
    }

    /// Writes the plan's status.
    fn write(&mut self, plan: &Plan) {
        self.recorded = plan.status.clone().unwrap();
    }

    /// Does what decisions say until one says nothing more, and returns that one. An endless chain is a bug.
    fn run(&mut self) -> Plan {
        for _ in 0..20 {
            self.meet();
            let plan = self.decide();
            self.memory.clear_since = plan.clear_since.or(self.memory.clear_since);
            match plan.action.clone() {
                None => {
                    if plan.status.as_ref() != Some(&self.recorded) {
                        self.writes.push("status");
                        self.write(&plan);
                    }
                    return plan;
                }
                Some(Action::RemoveFinalizer) => {
                    self.desired.finalizer = false;
                    return plan;
                }
                Some(action) => self.perform(plan, action),
            }
        }
        panic!("decides without end: {:?}", self.decide());
    }

    fn perform(&mut self, mut plan: Plan, action: Action) {
        let at = self.now.mono;
        match action {
            Action::AddFinalizer => {
                self.writes.push("finalizer");
                self.desired.finalizer = true;
            }
            Action::Report => {
                self.writes.push("status");
                self.write(&plan);
            }
            Action::RecordIntent { .. } => {
                self.writes.push("intent");
                self.write(&plan);
            }
            Action::Create { attempt, .. } => {
                self.memory.sent_attempt = Some(attempt);
                plan.made(&id("s1"), self.now);
                self.memory.provisioned(self.now);
                self.memory.succeeded();
                self.writes.push("id");
                self.write(&plan);
                self.sight().mine = Some(Seen { remote: remote("s1", Liveness::Disconnected), at });
            }
            Action::RecordId { id, .. } => {
                self.memory.provisioned(self.now);
                self.writes.push("id");
                self.write(&plan);
                self.sight().mine = Some(Seen { remote: remote(id.as_str(), Liveness::Disconnected), at });
            }
            Action::Connect { .. } => {
                self.memory.connected(self.now);
                self.memory.succeeded();
                self.sight().offer = None;
                self.sight().mine = Some(Seen { remote: remote("s1", Liveness::Connecting), at });
            }
            Action::Disconnect { deleting, .. } => {
                self.memory.disconnected();
                self.memory.succeeded();
                self.memory.let_go = deleting;
                self.memory.tried |= deleting;
                self.sight().offer = None;
                self.sight().mine = Some(Seen { remote: remote("s1", Liveness::Disconnected), at });
            }
            Action::ReadStatus { .. } => {
                self.memory.looked();
                if let Some(seen) = &mut self.sight().mine {
                    seen.at = at;
                }
            }
            Action::PublishQr { at: came, .. } => {
                self.memory.published = Some(came);
                self.memory.secret_written = Some(at);
                self.memory.secret = SecretSight::Ours;
                self.memory.rewarded();
            }
            Action::DeleteQr => self.memory.secret = SecretSight::Absent,
            Action::RemoveFinalizer => {}
        }
    }

    /// What the recorded status says, in short.
    fn said(&self) -> String {
        said(&self.recorded)
    }
}

fn condition<'a>(status: &'a WhatsAppSessionStatus, kind: &str) -> Option<(&'a str, &'a str)> {
    status.conditions.iter().find(|c| c.type_ == kind).map(|c| (c.status.as_str(), c.reason.as_str()))
}

/// Phase, `Ready` with its reason, and which of `Reconciling`, `Stalled`, `Suspended` stand.
fn said(status: &WhatsAppSessionStatus) -> String {
    let phase = status.phase.map_or("-".to_owned(), |phase| format!("{phase:?}"));
    let mut text = match condition(status, "Ready") {
        Some((status, reason)) => format!("{phase} {status}/{reason}"),
        None => phase,
    };
    for kind in ["Reconciling", "Stalled", "Suspended"] {
        if condition(status, kind).is_some() {
            text = format!("{text} {kind}");
        }
    }
    text
}

fn says(plan: &Plan) -> String {
    said(plan.status.as_ref().unwrap())
}

fn phone() -> Option<Phone> {
    Phone::parse("491701234567")
}
