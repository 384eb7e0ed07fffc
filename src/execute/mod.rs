//! From a plan to its effects. Everything that changes something, here or at the provider, is done in this folder.
//!
//! `remote` calls the provider, `object` writes the session object, `secret` keeps the QR Secret, `notices` sends Events.

pub mod kubernetes;
pub mod notices;
pub mod object;
mod remote;
mod secret;

use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use kube::{Client, ResourceExt, runtime::reflector::ObjectRef};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

pub use kubernetes::{Problem, Trouble};
pub use notices::Announcer;

use crate::{
    account::{Account, Bells},
    api::{WhatsAppSession, WhatsAppSessionStatus},
    decide::{Action, Memory, Now, Plan, Situation},
    observe::Sources,
    provider::{Class, Error},
};

/// Wall time, injected so that tests can turn it.
pub type WallClock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What effects need.
#[derive(Clone)]
pub struct Effects {
    /// Kubernetes.
    pub client: Client,
    /// The caches, which learn what writes return.
    pub sources: Arc<Sources>,
    /// Wakes reconciles.
    pub bells: Bells,
    /// Sends Events.
    pub announcer: Announcer,
    /// Work that a cancelled reconcile or a SIGTERM must not drop.
    pub tasks: TaskTracker,
    /// Wall time.
    pub wall: WallClock,
}

/// What came of one step.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Something changed: look again.
    Again,
    /// Nothing is left to do now.
    Done,
    /// The object is gone.
    Gone,
}

/// One object and everything a step may need of it.
pub struct Subject<'a> {
    /// The object that the plan was made for.
    pub session: &'a WhatsAppSession,
    /// Its status, as the plan saw it.
    pub recorded: &'a WhatsAppSessionStatus,
    /// What the process remembers of it.
    pub memory: &'a mut Memory,
    /// Its running account; plans with remote actions have one.
    pub account: Option<Arc<Account>>,
    /// Its account's base URL, for name locks.
    pub base_url: String,
    /// Its remote name.
    pub full_name: String,
}

impl Effects {
    /// Both clocks, now.
    #[must_use]
    pub fn now(&self) -> Now {
        Now { mono: Instant::now(), wall: (self.wall)() }
    }

    /// Carries out one plan.
    ///
    /// # Errors
    /// When Kubernetes did not take a write; a conflict is not an error but a reason to look again.
    pub async fn execute(&self, subject: &mut Subject<'_>, plan: &Plan) -> Result<Step, Problem> {
        subject.memory.clear_since = plan.clear_since.or(subject.memory.clear_since);
        let Some(action) = &plan.action else {
            let step = self.report(subject, plan).await?;
            return Ok(if step == Step::Again { Step::Done } else { step });
        };
        match action {
            Action::AddFinalizer => self.add_finalizer(subject).await,
            Action::Report => self.report(subject, plan).await,
            Action::RecordIntent { .. } => self.record_intent(subject, plan).await,
            Action::RecordId { .. } => {
                let written = self.record_id(subject.session, subject.recorded, plan).await?;
                subject.memory.provisioned(self.now());
                step_of(written)
            }
            Action::Create { name, attempt } => self.create(subject, plan, name, *attempt).await,
            Action::Connect { id } => {
                if self.report(subject, plan).await? == Step::Gone {
                    return Ok(Step::Gone);
                }
                let Some(account) = subject.account.clone() else { return Ok(Step::Done) };
                let outcome = account.connect(id).await;
                if outcome.is_ok() {
                    subject.memory.connected(self.now());
                }
                Ok(self.settle(subject, outcome))
            }
            Action::Disconnect { id, deleting } => {
                if self.report(subject, plan).await? == Step::Gone {
                    return Ok(Step::Gone);
                }
                let Some(account) = subject.account.clone() else { return Ok(Step::Done) };
                let outcome = account.disconnect(id, *deleting).await;
                subject.memory.tried |= *deleting;
                if outcome.is_ok() {
                    subject.memory.disconnected();
                }
                match &outcome {
                    Ok(()) if *deleting => subject.memory.let_go = true,
                    Err(error) if *deleting && error.class == Class::NotFound => {
                        subject.memory.let_go = true;
                        return Ok(Step::Again);
                    }
                    _ => {}
                }
                Ok(self.settle(subject, outcome))
            }
            Action::ReadStatus { id } => {
                let Some(account) = subject.account.clone() else { return Ok(Step::Done) };
                self.read_status(subject, &account, id).await
            }
            Action::PublishQr { qr, at, good_for } => self.publish(subject, qr, *at, *good_for).await,
            Action::DeleteQr => self.hide(subject).await,
            Action::RemoveFinalizer => self.remove_finalizer(subject, plan).await,
        }
    }

    /// What a remote action's outcome means for this object.
    fn settle(&self, subject: &mut Subject<'_>, outcome: Result<(), Error>) -> Step {
        match outcome {
            Ok(()) => subject.memory.succeeded(),
            Err(error) => {
                tracing::info!(
                    session = %ObjectRef::from_obj(subject.session), class = ?error.class, status = error.status, "a call failed"
                );
                subject.memory.failed(&error, self.now(), rand::random());
            }
        }
        Step::Again
    }

    /// Writes the plan's status, if it differs, then sends its Events.
    async fn report(&self, subject: &Subject<'_>, plan: &Plan) -> Result<Step, Problem> {
        let Some(next) = plan.status.as_ref().filter(|_| plan.situation != Situation::Quiet) else {
            return Ok(Step::Again);
        };
        let written = self.write_status(subject.session, subject.recorded, next, object::Intent::Keep).await?;
        self.after_write(subject, plan, written)
    }

    async fn record_intent(&self, subject: &mut Subject<'_>, plan: &Plan) -> Result<Step, Problem> {
        let uid = subject.session.uid().unwrap_or_default();
        if !self.sources.registry.reserve(&subject.base_url, &subject.full_name, &uid) {
            return Ok(Step::Again);
        }
        let Some(next) = plan.status.as_ref() else { return Ok(Step::Done) };
        let written = self.write_status(subject.session, subject.recorded, next, object::Intent::Write).await?;
        self.after_write(subject, plan, written)
    }

    fn after_write(&self, subject: &Subject<'_>, plan: &Plan, written: object::Written) -> Result<Step, Problem> {
        if written == object::Written::Landed {
            self.announcer.announce(subject.session, &plan.notices);
        }
        step_of(written)
    }
}

fn step_of(written: object::Written) -> Result<Step, Problem> {
    match written {
        object::Written::Unchanged | object::Written::Landed => Ok(Step::Again),
        object::Written::Conflict => Err(Problem::Conflict),
        object::Written::Gone => Ok(Step::Gone),
    }
}
