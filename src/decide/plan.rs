//! What a decision says.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    input::{Facts, Now},
    words,
};
use crate::{
    api::{Phase, Reason, WhatsAppSessionStatus, session::PairingStatus},
    provider::{Qr, SessionId},
};

/// One thing to do. After it, the world is looked at again.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Put our finalizer on the object.
    AddFinalizer,
    /// Write the plan's status, then go on: what follows must not happen before it is recorded.
    Report,
    /// Reserve the name and write the plan's status with this intent, before any POST.
    RecordIntent {
        /// Counts from 1.
        attempt: i32,
    },
    /// POST, then the id write with the plan's status at once.
    Create {
        /// The remote name.
        name: String,
        /// The intent's.
        attempt: i32,
    },
    /// Record an id that exists already.
    RecordId {
        /// The id.
        id: SessionId,
        /// It existed before this object.
        adopted: bool,
    },
    /// Start pairing or reconnecting.
    Connect {
        /// The id.
        id: SessionId,
    },
    /// Disconnect.
    Disconnect {
        /// The id.
        id: SessionId,
        /// As part of a deletion.
        deleting: bool,
    },
    /// Read one session's status.
    ReadStatus {
        /// The id.
        id: SessionId,
    },
    /// Write the QR Secret.
    PublishQr {
        /// The code.
        qr: Qr,
        /// When it came.
        at: Instant,
        /// How long it is good for from now.
        good_for: Duration,
    },
    /// Delete the QR Secret, if it is ours.
    DeleteQr,
    /// Take our finalizer off: the object goes.
    RemoveFinalizer,
}

impl Action {
    /// It calls the provider.
    #[must_use]
    pub fn is_remote(&self) -> bool {
        match self {
            Self::Create { .. } | Self::Connect { .. } | Self::Disconnect { .. } | Self::ReadStatus { .. } => true,
            Self::AddFinalizer
            | Self::Report
            | Self::RecordIntent { .. }
            | Self::RecordId { .. }
            | Self::PublishQr { .. }
            | Self::DeleteQr
            | Self::RemoveFinalizer => false,
        }
    }

    /// It leaves something behind that only the finalizer makes sure is cleaned up.
    #[must_use]
    pub fn needs_finalizer(&self) -> bool {
        match self {
            Self::RecordIntent { .. } | Self::Create { .. } | Self::RecordId { .. } | Self::Connect { .. } => true,
            Self::AddFinalizer
            | Self::Report
            | Self::Disconnect { .. }
            | Self::ReadStatus { .. }
            | Self::PublishQr { .. }
            | Self::DeleteQr
            | Self::RemoveFinalizer => false,
        }
    }
}

/// Where a session stands; `report` turns it into conditions.
#[derive(Clone, Debug, PartialEq)]
pub enum Situation {
    /// Nothing to say (yet): the status stays as it is.
    Quiet,
    /// Not as declared, and being worked on: Ready False, Reconciling True.
    Working(Reason, String, Phase),
    /// Not as declared, and waiting alone cannot help: Ready False, Stalled True.
    Stalled(Reason, String, Phase),
    /// As declared.
    Ready(Reason, String, Phase),
    /// Frozen: the last known truth stands.
    Suspended,
    /// Being deleted.
    Deleting(String),
}

impl Situation {
    /// The word for people.
    #[must_use]
    pub fn phase(&self) -> Option<Phase> {
        match self {
            Self::Quiet => None,
            Self::Working(_, _, phase) | Self::Stalled(_, _, phase) | Self::Ready(_, _, phase) => Some(*phase),
            Self::Suspended => Some(Phase::Suspended),
            Self::Deleting(_) => Some(Phase::Deleting),
        }
    }
}

/// An Event to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Warning instead of Normal.
    pub warning: bool,
    /// From the closed set.
    pub reason: Reason,
    /// One sentence, ending with the next command where a person must act.
    pub note: String,
}

/// The decision.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The next thing to do; `None` when there is nothing to do now.
    pub action: Option<Action>,
    /// Where the session stands.
    pub situation: Situation,
    /// What is known besides.
    pub facts: Facts,
    /// What the status says about pairing.
    pub pairing: Option<PairingStatus>,
    /// Look again after this long, if nothing happens before.
    pub again: Option<Duration>,
    /// A complete sweep begun at or after this instant is needed.
    pub sweep_after: Option<Instant>,
    /// The first sweep without a lost create's name began here.
    pub clear_since: Option<Instant>,
    /// The status to write; filled in last.
    pub status: Option<WhatsAppSessionStatus>,
    /// Events to send once the status is written; filled in last.
    pub notices: Vec<Notice>,
}

impl Plan {
    /// A plan that only says where the session stands.
    #[must_use]
    pub fn of(situation: Situation) -> Self {
        Self {
            action: None,
            situation,
            facts: Facts::default(),
            pairing: None,
            again: None,
            sweep_after: None,
            clear_since: None,
            status: None,
            notices: Vec::new(),
        }
    }

    /// Being worked on.
    #[must_use]
    pub fn working(reason: Reason, message: String, phase: Phase) -> Self {
        Self::of(Situation::Working(reason, message, phase))
    }

    /// Waiting alone cannot help.
    #[must_use]
    pub fn stalled(reason: Reason, message: String, phase: Phase) -> Self {
        Self::of(Situation::Stalled(reason, message, phase))
    }

    /// With something to do.
    #[must_use]
    pub fn then(mut self, action: Action) -> Self {
        self.action = Some(action);
        self
    }

    /// Looking again after `wait`.
    #[must_use]
    pub fn again(mut self, wait: Duration) -> Self {
        self.again = Some(self.again.map_or(wait, |before| before.min(wait)));
        self
    }

    /// Waiting for a sweep.
    #[must_use]
    pub fn after_sweep(mut self, begun: Instant) -> Self {
        self.sweep_after = Some(begun);
        self
    }

    /// The create gave this id: completes what the id write says, and what is told about it.
    pub fn made(&mut self, id: &SessionId, now: Now) {
        let Some(status) = &mut self.status else { return };
        status.session_id = Some(id.as_str().to_owned());
        let note = words::created(id.as_str());
        if let Some(provisioned) = status.conditions.iter_mut().find(|condition| condition.type_ == "Provisioned") {
            "True".clone_into(&mut provisioned.status);
            Reason::Created.as_str().clone_into(&mut provisioned.reason);
            provisioned.message.clone_from(&note);
            provisioned.last_transition_time = now.time();
        }
        self.notices.insert(0, Notice { warning: false, reason: Reason::Created, note });
    }

    /// Nothing is expected to change by itself.
    #[must_use]
    pub fn settled(&self) -> bool {
        match self.situation {
            Situation::Ready(..) | Situation::Suspended => self.action.is_none() && self.again.is_none(),
            // Only a person can help; the interval of a settled account is good enough to notice.
            Situation::Stalled(..) => self.action.is_none(),
            Situation::Quiet | Situation::Working(..) | Situation::Deleting(_) => false,
        }
    }
}
