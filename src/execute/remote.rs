//! The provider actions that need more than a call: create, and a look at one session.

use kube::{ResourceExt, runtime::reflector::ObjectRef};

use super::{Effects, Step, Subject, kubernetes::Problem, object::Written};
use crate::{
    account::Account,
    decide::{self, Plan},
    provider::{Error, SessionId},
};

impl Effects {
    /// POST, then the id write at once, in a task of its own: whoever is cancelled, an answer is not lost.
    pub(super) async fn create(
        &self,
        subject: &mut Subject<'_>,
        plan: &Plan,
        name: &str,
        attempt: i32,
    ) -> Result<Step, Problem> {
        let Some(account) = subject.account.clone() else { return Ok(Step::Done) };
        let uid = subject.session.uid().unwrap_or_default();
        if !self.sources.registry.reserve(&subject.base_url, &subject.full_name, &uid) {
            return Ok(Step::Again);
        }
        // From here on this attempt may have left, whatever becomes of this reconcile.
        subject.memory.sent_attempt = Some(attempt);
        subject.memory.unknown_since = Some(self.now().mono);
        let effects = self.handle();
        let (session, recorded) = (subject.session.clone(), subject.recorded.clone());
        let mut status = plan.status.clone().unwrap_or_default();
        let name = name.to_owned();
        let sending = self.tasks.spawn(async move {
            let created = account.create(&name).await?;
            tracing::info!(session = %ObjectRef::from_obj(&session), id = %created.id, "created a remote session");
            let notice = decide::born(&mut status, &created.id, &effects.now().time());
            let written = effects.write_id(&session, &recorded, &status).await;
            if let Ok(Written::Landed) = written {
                effects.announcer.announce(&session, &[notice]);
            }
            Ok::<_, Error>(written)
        });
        let outcome = sending.await;
        self.sources.registry.attempted(&subject.base_url, &subject.full_name, &uid);
        match outcome {
            Ok(Ok(written)) => {
                subject.memory.succeeded();
                self.provisioned(subject, plan, written?)
            }
            Ok(Err(error)) => {
                let now = self.now();
                tracing::info!(
                    session = %ObjectRef::from_obj(subject.session), class = ?error.class, status = error.status,
                    definite = error.class.definite(), "a create failed"
                );
                subject.memory.create_failed(attempt, error.class, now);
                subject.memory.failed(&error, now, rand::random());
                Ok(Step::Again)
            }
            // The task is gone without a word: the outcome is not known, which is what memory says already.
            Err(_) => Ok(Step::Again),
        }
    }

    pub(super) async fn read_status(
        &self,
        subject: &mut Subject<'_>,
        account: &Account,
        id: &SessionId,
    ) -> Result<Step, Problem> {
        match account.status(id).await {
            Ok(()) => subject.memory.looked(),
            Err(error) => subject.memory.failed(&error, self.now(), rand::random()),
        }
        Ok(Step::Again)
    }
}

impl Effects {
    /// The same effects for a task that outlives the caller.
    fn handle(&self) -> Self {
        Self {
            client: self.client.clone(),
            sources: self.sources.clone(),
            announcer: self.announcer.clone(),
            tasks: self.tasks.clone(),
            wall: self.wall.clone(),
        }
    }
}

