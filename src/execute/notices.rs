//! Sends Events: best effort, in order, never in the way of a reconcile.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Client, Resource, ResourceExt,
    runtime::events::{Event, EventType, Recorder, Reporter},
};
use tokio::sync::mpsc;

use super::kubernetes::within;
use crate::{api::names, decide::Notice};

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
    /// Queues Events about an object.
    pub fn announce<K: Resource<DynamicType = ()>>(&self, object: &K, notices: &[Notice]) {
        for notice in notices {
            if self.queue.try_send((object.object_ref(&()), notice.clone())).is_err() {
                tracing::debug!(object = %object.name_any(), reason = %notice.reason, "an Event is dropped, the queue is full");
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
