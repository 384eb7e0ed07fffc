//! The reconcile of a session: observe → decide → execute, until there is nothing to do now.

use std::{convert::Infallible, sync::Arc, time::Duration};

use kube::{
    ResourceExt,
    runtime::{controller::Action, reflector::ObjectRef},
};

use super::{
    context::{Context, pause},
    memories::Kept,
};
use crate::{
    account::board::Interest,
    api::WhatsAppSession,
    decide::{self, AccountSight, Desired, Plan, Scene},
    execute::{Problem, Step, Subject},
    metrics::Kind,
    observe::account_of,
    provider::{Liveness, SessionId, place::spelling},
};

/// Steps of one reconcile. A life needs six; more in a row are a fault of ours, which must not become a hot loop.
const STEPS: usize = 16;

/// How far the cache may lie behind without that being trouble.
const CATCH_UP: Duration = Duration::from_millis(200);

/// What one look led to.
enum Pass {
    Again,
    Wait(Option<Duration>),
    Failed(Duration),
    Gone,
}

/// Brings one session closer to what it declares. Failure is a state, not an error.
pub async fn reconcile(trigger: Arc<WhatsAppSession>, context: Arc<Context>) -> Result<Action, Infallible> {
    if !context.at_work() {
        return Ok(Action::await_change());
    }
    let mut counted = context.metrics.reconcile(Kind::Session);
    let key = ObjectRef::from_obj(&*trigger);
    for _ in 0..STEPS {
        let Some(session) = context.sources.sessions.get(&key) else {
            forget(&context, &trigger);
            return Ok(Action::await_change());
        };
        let passed = pass(&session, &context).await;
        // It may have gone meanwhile, and then what this pass noted of it goes too: nobody will look at it again.
        let is = context.sources.sessions.get(&key).is_some_and(|now| now.uid() == session.uid());
        if !is || matches!(passed, Pass::Gone) {
            forget(&context, &session);
        }
        match passed {
            Pass::Again => {}
            Pass::Wait(_) | Pass::Failed(_) if !is => {}
            Pass::Wait(Some(wait)) => return Ok(Action::requeue(wait)),
            Pass::Failed(wait) => {
                counted.failed();
                return Ok(Action::requeue(wait));
            }
            Pass::Wait(None) | Pass::Gone => return Ok(Action::await_change()),
        }
    }
    tracing::warn!(session = %key, "more steps than a life needs; going on in a while");
    Ok(Action::requeue(Duration::from_secs(30)))
}

async fn pass(session: &WhatsAppSession, context: &Context) -> Pass {
    let effects = &context.effects;
    let (now, uid) = (effects.now(), session.uid().unwrap_or_default());
    let desired = Desired::of(session);
    let recorded = session.status.clone().unwrap_or_default();
    let mut kept = context.memories.lend(&uid, now);
    kept.memory.meet(&desired, &recorded, now);
    let id = desired.recorded_id(&recorded);
    let observed = context.sources.observe(session, &desired, id.as_ref());
    reward(&mut kept, &observed.account);
    let scene = Scene {
        desired: &desired,
        recorded: &recorded,
        observed: &observed,
        memory: &kept.memory,
        policy: &context.policy,
        now,
    };
    let plan = decide::decide(&scene);
    tracing::trace!(session = %ObjectRef::from_obj(session), action = ?plan.action, situation = ?plan.situation, "decided");
    let key = account_of(session);
    let account = context.sources.registry.get(&key);
    if let Some(account) = &account {
        account.want(&uid, interest(session, &plan, id.or_else(|| desired.session_id.clone())));
    }
    keep_name(context, &mut kept, &plan, &uid, recorded.create.is_some());
    let base_url = context.sources.accounts.get(&key).map(|a| spelling(&a.spec.base_url));
    let mut subject = Subject {
        session,
        recorded: &recorded,
        memory: &mut kept.memory,
        account,
        base_url: base_url.unwrap_or_default(),
        full_name: observed.full_name.clone(),
    };
    match effects.execute(&mut subject, &plan).await {
        Ok(step) => {
            kept.troubles = 0;
            match step {
                Step::Again => Pass::Again,
                Step::Done => Pass::Wait(plan.again),
                Step::Gone => Pass::Gone,
            }
        }
        Err(problem) => trouble(session, &mut kept, &problem),
    }
}

/// A write was not taken. After a conflict the watch is about to tell what the object is now.
fn trouble(session: &WhatsAppSession, kept: &mut Kept, problem: &Problem) -> Pass {
    kept.troubles = kept.troubles.saturating_add(1);
    if matches!(problem, Problem::Conflict) && kept.troubles == 1 {
        return Pass::Wait(Some(CATCH_UP));
    }
    tracing::warn!(session = %ObjectRef::from_obj(session), %problem, "Kubernetes did not take a write");
    Pass::Failed(pause(kept.troubles))
}

/// A code or a connection shows that the last connect was not in vain.
fn reward(kept: &mut Kept, account: &AccountSight) {
    if let AccountSight::Running(sight) = account
        && (sight.offer.is_some() || sight.liveness() == Some(&Liveness::Connected))
    {
        kept.memory.rewarded();
    }
}

fn interest(session: &WhatsAppSession, plan: &Plan, id: Option<SessionId>) -> Interest {
    Interest { session: ObjectRef::from_obj(session), id, settled: plan.settled(), sweep_after: plan.sweep_after }
}

/// A name is reserved from before the intent until its outcome is known.
fn keep_name(context: &Context, kept: &mut Kept, plan: &Plan, uid: &str, open_intent: bool) {
    let creating = matches!(plan.action, Some(decide::Action::RecordIntent { .. } | decide::Action::Create { .. }));
    if creating {
        kept.reserved = true;
    } else if kept.reserved && !open_intent {
        kept.reserved = false;
        context.sources.registry.release(uid);
    }
}

/// The object is gone for good.
fn forget(context: &Context, session: &WhatsAppSession) {
    let Some(uid) = session.uid() else { return };
    context.gone(&uid, &account_of(session));
}
