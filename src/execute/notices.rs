//! Sends Events: best effort, in order, never in the way of a reconcile.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Client, Resource,
    runtime::{
        events::{Event, EventType, Recorder, Reporter},
        reflector::ObjectRef,
    },
};
use tokio::sync::mpsc;

use super::kubernetes::within;
use crate::{
    api::{Reason, names},
    decide::Notice,
};

/// Events that may wait; more are dropped and counted in the log.
const QUEUE: usize = 1024;

/// Takes Events for sending.
#[derive(Clone)]
pub struct Announcer {
    queue: mpsc::Sender<(ObjectReference, Notice)>,
}

/// Sends what an [`Announcer`] took.
pub struct Sender {
    queue: mpsc::Receiver<(ObjectReference, Notice)>,
    recorder: Recorder,
}

/// A queue and its sender, which must run.
#[must_use]
pub fn announcer(client: Client) -> (Announcer, Sender) {
    let (queue, receiver) = mpsc::channel(QUEUE);
    let reporter = Reporter { controller: names::MANAGER.to_owned(), instance: None };
    (Announcer { queue }, Sender { queue: receiver, recorder: Recorder::new(client, reporter) })
}

impl Announcer {
    /// Logs Events about an object and queues them for sending.
    pub fn announce<K: Resource<DynamicType = ()>>(&self, object: &K, notices: &[Notice]) {
        let key = ObjectRef::from_obj(object);
        for notice in notices {
            let Notice { warning, reason, note } = notice;
            // What Events forget after an hour, logs keep; and they can be alerted on.
            if *reason == Reason::DeletionGaveUp {
                // The only record where the namespace goes as well.
                tracing::error!(object = %key, %reason, "{note}");
            } else if *warning {
                tracing::warn!(object = %key, %reason, "{note}");
            } else {
                tracing::info!(object = %key, %reason, "{note}");
            }
            if self.queue.try_send((object.object_ref(&()), notice.clone())).is_err() {
                tracing::debug!(object = %key, %reason, "an Event is dropped, the queue is full");
            }
        }
    }
}

impl Sender {
    /// Sends until every [`Announcer`] is gone.
    pub async fn run(mut self) {
        while let Some((object, notice)) = self.queue.recv().await {
            let event = Event {
                type_: if notice.warning { EventType::Warning } else { EventType::Normal },
                reason: notice.reason.as_str().to_owned(),
                note: Some(notice.note),
                action: "Reconcile".to_owned(),
                secondary: None,
            };
            if let Err(trouble) = within(self.recorder.publish(&event, &object)).await {
                tracing::debug!(object = object.name, reason = %notice.reason, %trouble, "an Event was not taken");
            }
        }
    }
}
