//! Writes to the session object: finalizer, status, and the id.
//!
//! The status is written with the resourceVersion that the decision saw, so a stale decision changes nothing. The id is
//! written with a test of the uid only: it must land whatever else changed, but never on an object of the same name.

use std::{fmt::Debug, time::Duration};

use kube::{
    Api, Resource, ResourceExt,
    api::{Patch, PatchParams},
    runtime::reflector::ObjectRef,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};
use tokio::time::sleep;

use super::{
    Effects, Step, Subject,
    kubernetes::{Problem, Trouble, within},
};
use crate::{
    api::{WhatsAppSession, WhatsAppSessionStatus, names},
    decide::Plan,
};

/// Between two tries to record an id.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What came of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// There was nothing to write.
    Unchanged,
    /// It is stored.
    Landed,
    /// The object has changed meanwhile.
    Conflict,
    /// The object is gone.
    Gone,
}

/// What a status write does with the intent log and the id, which a report must never touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intent {
    /// Leaves them as they are.
    Keep,
    /// Writes the intent.
    Write,
}

/// The members that only the intent write and the id write may change.
const GUARDED: [&str; 3] = ["sessionId", "adopted", "create"];

/// A merge patch from one value to another: what is new or other, and null for what is gone.
fn difference(before: &Value, after: &Value) -> Option<Value> {
    if before == after {
        return None;
    }
    let (Value::Object(before), Value::Object(after)) = (before, after) else { return Some(after.clone()) };
    let mut patch = Map::new();
    for (key, value) in after {
        let change = before.get(key).map_or_else(|| Some(value.clone()), |old| difference(old, value));
        if let Some(change) = change {
            patch.insert(key.clone(), change);
        }
    }
    for key in before.keys().filter(|key| !after.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    Some(Value::Object(patch))
}

fn value_of(status: &impl Serialize) -> Value {
    serde_json::to_value(status).unwrap_or_default()
}

/// The status members that differ, as a merge patch; `None` when there are none.
pub fn status_patch(before: &impl Serialize, after: &impl Serialize, keep: &[&str]) -> Option<Value> {
    let mut patch = difference(&value_of(before), &value_of(after))?;
    if let Some(members) = patch.as_object_mut() {
        members.retain(|key, _| !keep.contains(&key.as_str()));
        if members.is_empty() {
            return None;
        }
    }
    Some(patch)
}

/// Merge-patches an object's status as of the version at hand.
///
/// # Errors
/// The call's; a conflict among them.
pub async fn patch_status<K>(api: &Api<K>, object: &K, patch: &Value) -> Result<K, Trouble>
where
    K: Resource + Clone + Debug + DeserializeOwned,
{
    let body = json!({"metadata": {"resourceVersion": object.resource_version()}, "status": patch});
    within(api.patch_status(&object.name_any(), &params(), &Patch::Merge(&body))).await
}

/// An object's finalizers and this one.
pub fn with_finalizer<K: Resource>(object: &K, finalizer: &str) -> Vec<String> {
    object.finalizers().iter().cloned().chain([finalizer.to_owned()]).collect()
}

/// An object's finalizers but this one.
pub fn without_finalizer<K: Resource>(object: &K, finalizer: &str) -> Vec<String> {
    object.finalizers().iter().filter(|other| *other != finalizer).cloned().collect()
}

/// Merge-patches an object's finalizers as of the version at hand.
///
/// # Errors
/// The call's; a conflict among them.
pub async fn patch_finalizers<K>(api: &Api<K>, object: &K, finalizers: &[String]) -> Result<K, Trouble>
where
    K: Resource + Clone + Debug + DeserializeOwned,
{
    let body = json!({"metadata": {"resourceVersion": object.resource_version(), "finalizers": finalizers}});
    within(api.patch(&object.name_any(), &params(), &Patch::Merge(&body))).await
}

fn params() -> PatchParams {
    PatchParams { field_manager: Some(names::MANAGER.to_owned()), ..PatchParams::default() }
}

impl Effects {
    pub(super) fn sessions(&self, session: &WhatsAppSession) -> Api<WhatsAppSession> {
        Api::namespaced(self.client.clone(), &session.namespace().unwrap_or_default())
    }

    fn learn(&self, session: WhatsAppSession) {
        // The watch will bring no news of it, and its account counts its sessions.
        if let Some(account) = self.sources.index.put(&session) {
            // A closed channel is a process on its way out.
            let _ = self.bells.accounts.send(account);
        }
        self.sources.sessions.learn(session);
    }

    fn gone(&self, session: &WhatsAppSession) -> Step {
        self.sources.sessions.bury(session);
        Step::Gone
    }

    fn taken(&self, session: &WhatsAppSession, answer: Result<WhatsAppSession, Trouble>) -> Result<Written, Trouble> {
        match answer {
            Ok(current) => {
                self.learn(current);
                Ok(Written::Landed)
            }
            Err(trouble) if trouble.is_not_found() => {
                self.gone(session);
                Ok(Written::Gone)
            }
            Err(trouble) if trouble.is_conflict() => Ok(Written::Conflict),
            Err(trouble) => Err(trouble),
        }
    }

    pub(super) async fn write_status(
        &self,
        session: &WhatsAppSession,
        before: &WhatsAppSessionStatus,
        after: &WhatsAppSessionStatus,
        intent: Intent,
    ) -> Result<Written, Problem> {
        let keep = match intent {
            Intent::Keep => &GUARDED[..],
            Intent::Write => &GUARDED[..2],
        };
        let Some(patch) = status_patch(before, after, keep) else { return Ok(Written::Unchanged) };
        let answer = patch_status(&self.sessions(session), session, &patch).await;
        self.taken(session, answer).map_err(|trouble| trouble.during("writing the status"))
    }

    /// Records the id that a plan's status names, and with it everything else it says. Tries until it lands or the
    /// object is another.
    pub(super) async fn record_id(
        &self,
        session: &WhatsAppSession,
        before: &WhatsAppSessionStatus,
        plan: &Plan,
    ) -> Result<Written, Problem> {
        let after = &plan.status.clone().unwrap_or_default();
        let id = after.session_id.as_deref();
        let patch = id_patch(session, before, after);
        let api = self.sessions(session);
        let mut pause = FIRST_PAUSE;
        loop {
            let answer =
                within(api.patch_status(&session.name_any(), &params(), &Patch::Json::<()>(patch.clone()))).await;
            match self.taken(session, answer) {
                Ok(Written::Conflict) => {}
                Ok(Written::Gone) => {
                    tracing::error!(session = %ObjectRef::from_obj(session), id, "the object is gone; this remote session is left");
                    return Ok(Written::Gone);
                }
                Ok(written) => {
                    self.announcer.announce(session, &plan.notices);
                    return Ok(written);
                }
                Err(trouble) if trouble.is_invalid() => {
                    tracing::error!(session = %ObjectRef::from_obj(session), id, "the object is another one now; this remote session is left");
                    return Ok(Written::Conflict);
                }
                Err(trouble) => {
                    tracing::warn!(session = %ObjectRef::from_obj(session), id, %trouble, "the id is not recorded yet");
                }
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    pub(super) async fn add_finalizer(&self, subject: &Subject<'_>) -> Result<Step, Problem> {
        let session = subject.session;
        let finalizers = with_finalizer(session, names::SESSION_FINALIZER);
        self.write_finalizers(session, &finalizers, "adding the finalizer").await
    }

    pub(super) async fn remove_finalizer(&self, subject: &Subject<'_>, plan: &Plan) -> Result<Step, Problem> {
        let session = subject.session;
        let left = without_finalizer(session, names::SESSION_FINALIZER);
        let step = self.write_finalizers(session, &left, "removing the finalizer").await?;
        self.announcer.announce(session, &plan.notices);
        Ok(if left.is_empty() { self.gone(session) } else { step })
    }

    async fn write_finalizers(
        &self,
        session: &WhatsAppSession,
        finalizers: &[String],
        what: &'static str,
    ) -> Result<Step, Problem> {
        let answer = patch_finalizers(&self.sessions(session), session, finalizers).await;
        match self.taken(session, answer).map_err(|trouble| trouble.during(what))? {
            Written::Landed | Written::Unchanged => Ok(Step::Again),
            Written::Conflict => Err(Problem::Conflict),
            Written::Gone => Ok(Step::Gone),
        }
    }
}

/// The id write: guarded by the uid, adding each member that differs. A member that is gone becomes null, which the API
/// server drops; a `remove` would fail where somebody else removed it before.
fn id_patch(
    session: &WhatsAppSession,
    before: &WhatsAppSessionStatus,
    after: &WhatsAppSessionStatus,
) -> json_patch::Patch {
    let (before, after) = (value_of(before), value_of(after));
    let none = Map::new();
    let (was, is) = (before.as_object().unwrap_or(&none), after.as_object().unwrap_or(&none));
    let mut operations = vec![json!({"op": "test", "path": "/metadata/uid", "value": session.uid()})];
    for (key, value) in is {
        if was.get(key) != Some(value) || key == "sessionId" {
            operations.push(json!({"op": "add", "path": format!("/status/{key}"), "value": value}));
        }
    }
    for key in was.keys().filter(|key| !is.contains_key(*key)) {
        operations.push(json!({"op": "add", "path": format!("/status/{key}"), "value": null}));
    }
    serde_json::from_value(Value::Array(operations)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_holds_what_differs_and_null_for_what_is_gone() {
        let before = json!({"phase": "Pending", "pairing": {"qr": "x", "attempt": 1}, "same": [1]});
        let after = json!({"phase": "Creating", "pairing": {"attempt": 1}, "same": [1]});
        let patch = status_patch(&before, &after, &[]).unwrap();
        assert_eq!(patch, json!({"phase": "Creating", "pairing": {"qr": null}}));
        assert_eq!(status_patch(&after, &after, &[]), None);
    }

    #[test]
    fn a_report_never_touches_id_and_intent() {
        let before = json!({"sessionId": "x", "create": {"attempt": 1}, "phase": "Creating"});
        let after = json!({"phase": "Creating"});
        assert_eq!(status_patch(&before, &after, &GUARDED), None);
    }
}
