//! The provider actions that need more than a call: create, and a look at one session.

use kube::{ResourceExt, runtime::reflector::ObjectRef};

use super::{Effects, Step, Subject, kubernetes::Problem, step_of};
use crate::{
    account::Account,
    decide::Plan,
    provider::{Class, Error, SessionId},
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
        if !self.sources.registry.attempt(&subject.base_url, &subject.full_name, &uid) {
            return Ok(Step::Again);
        }
        // From here on this attempt may have left, whatever becomes of this reconcile.
        subject.memory.sent_attempt = Some(attempt);
        let effects = self.clone();
        let (session, recorded, name) = (subject.session.clone(), subject.recorded.clone(), name.to_owned());
        let mut plan = plan.clone();
        let sending = self.tasks.spawn(async move {
            let created = account.create(&name).await?;
            tracing::info!(session = %ObjectRef::from_obj(&session), id = %created.id, "created a remote session");
            plan.made(&created.id, effects.now());
            Ok::<_, Error>(effects.record_id(&session, &recorded, &plan).await)
        });
        let outcome = sending.await;
        self.sources.registry.attempted(&subject.base_url, &subject.full_name);
        match outcome {
            Ok(Ok(written)) => {
                subject.memory.succeeded();
                subject.memory.provisioned(self.now());
                step_of(written?)
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
            // The task is gone without a word, and with it the outcome.
            Err(_) => {
                subject.memory.create_failed(attempt, Class::Lost, self.now());
                Ok(Step::Again)
            }
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
