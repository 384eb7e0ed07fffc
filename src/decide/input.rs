//! What a decision is made of.

use std::time::Duration;

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};
use kube::ResourceExt;
use tokio::time::Instant;

use crate::{
    account::{Sight, registry::NameState},
    api::{
        WhatsAppSession, WhatsAppSessionStatus, names,
        session::{DeletionPolicy, DesiredState, PairingMode},
    },
    provider::{RemoteSession, SessionId},
};

/// Both clocks at one instant.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// For durations within this process.
    pub mono: Instant,
    /// For what is written down.
    pub wall: Timestamp,
}

impl Now {
    /// The wall time as Kubernetes keeps it: whole seconds, so that what is read back equals what was written.
    #[must_use]
    pub fn time(&self) -> Time {
        seconds(self.wall)
    }
}

/// Cuts a time to whole seconds, as Kubernetes does.
#[must_use]
pub fn seconds(at: Timestamp) -> Time {
    Time(Timestamp::from_second(at.as_second()).unwrap_or(at))
}

/// The operator's settings that decisions depend on.
#[derive(Clone, Debug)]
pub struct Policy {
    /// How long a call whose answer was lost may take to show.
    pub settle: Duration,
    /// From `deletionTimestamp` until a deletion gives up on the provider.
    pub deletion_deadline: Duration,
    /// `--allow-qr-in-status`.
    pub allow_qr_in_status: bool,
    /// This process; random.
    pub holder: String,
}

/// What a session object declares.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names are those of the API")]
pub struct Desired {
    pub name: String,
    pub namespace: String,
    pub uid: String,
    pub generation: i64,
    pub created: Timestamp,
    pub deleting: Option<Timestamp>,
    pub finalizer: bool,
    pub account: String,
    pub session_id: Option<SessionId>,
    pub desired_state: DesiredState,
    pub suspend: bool,
    pub deletion_policy: DeletionPolicy,
    pub mode: PairingMode,
    pub window: Duration,
    pub secret_name: String,
    pub publish_in_status: bool,
    pub pair_request: Option<String>,
    pub reconcile_request: Option<String>,
    /// What of the spec cannot be understood; admission refuses most of it.
    pub invalid: Option<String>,
}

impl Desired {
    /// Reads an object. Never fails: what cannot be understood is told in `invalid`, and deletion needs none of it.
    #[must_use]
    pub fn of(session: &WhatsAppSession) -> Self {
        let spec = &session.spec;
        let mut invalid = None;
        let window = names::duration(&spec.pairing.window).unwrap_or_else(|| {
            invalid = Some(format!("spec.pairing.window {:?} is not a duration such as 10m", spec.pairing.window));
            Duration::from_mins(10)
        });
        let session_id = spec.session_id.as_deref().and_then(|id| match id.parse() {
            Ok(id) => Some(id),
            Err(error) => {
                invalid = Some(format!("spec.sessionId: {error}"));
                None
            }
        });
        let annotation = |key: &str| {
            session.annotations().get(key).filter(|value| !value.is_empty()).map(|value| names::printable(value, 64))
        };
        Self {
            name: session.name_any(),
            namespace: session.namespace().unwrap_or_default(),
            uid: session.uid().unwrap_or_default(),
            generation: session.metadata.generation.unwrap_or_default(),
            created: session.metadata.creation_timestamp.as_ref().map_or(Timestamp::UNIX_EPOCH, |t| t.0),
            deleting: session.metadata.deletion_timestamp.as_ref().map(|t| t.0),
            finalizer: session.finalizers().iter().any(|f| f == names::SESSION_FINALIZER),
            account: spec.account_ref.name.clone(),
            session_id,
            desired_state: spec.desired_state,
            suspend: spec.suspend,
            deletion_policy: spec.deletion_policy,
            mode: spec.pairing.mode,
            window,
            secret_name: session.qr_secret_name(),
            publish_in_status: spec.pairing.publish_in_status,
            pair_request: annotation(names::PAIR_REQUESTED_AT),
            reconcile_request: annotation(names::RECONCILE_REQUESTED_AT),
            invalid,
        }
    }

    /// The recorded id, if it is one.
    #[must_use]
    pub fn recorded_id(&self, recorded: &WhatsAppSessionStatus) -> Option<SessionId> {
        recorded.session_id.as_deref()?.parse().ok()
    }
}

/// A remote session of the wanted name.
#[derive(Clone, Debug)]
pub struct Named {
    /// The session.
    pub remote: RemoteSession,
    /// Another object manages it.
    pub claimed: bool,
}

/// The account, as a session sees it.
#[derive(Clone, Debug)]
pub enum AccountSight {
    /// No such object.
    NotFound,
    /// It exists and has not come to a result yet.
    Starting,
    /// It has troubles of its own, and waiting may help.
    NotReady(String),
    /// It has troubles of its own, and waiting alone cannot help.
    Stalled(String),
    /// It runs.
    Running(Box<Sight>),
}

/// Everything seen around an object.
#[derive(Clone, Debug)]
pub struct Observed {
    /// The account.
    pub account: AccountSight,
    /// The account object is being deleted: nothing new is started.
    pub account_deleting: bool,
    /// The remote name, the account's prefix included.
    pub full_name: String,
    /// Sessions of that name in the last complete sweep.
    pub named: Vec<Named>,
    /// Whether that name can be created now.
    pub name_state: NameState,
    /// An older object without an id wants the same name; its name when it is in the same namespace.
    pub rival: Option<String>,
    /// `spec.sessionId` is recorded by another object.
    pub wanted_id_claimed: bool,
    /// The recorded id is recorded by another object too, and that one's claim is the better: it is older, or of the
    /// same age with the lower UID.
    pub outclaimed: bool,
    /// The remote session of `spec.sessionId`, while no id is recorded.
    pub wanted: Option<RemoteSession>,
    /// The account's prefix.
    pub prefix: String,
}

/// What is true about a session besides its situation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// Connected, not connected, or not known.
    pub connected: Option<bool>,
    /// The linked phone.
    pub phone: Option<String>,
}
