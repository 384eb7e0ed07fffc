//! One life of a session, in which every right of the operator is used.

use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use serde_json::json;
use whatsapp_operator::api::WhatsAppSession;

use super::{Options, World, text};

impl Options {
    /// Codes that follow each other soon, so that a life sees two of them.
    #[must_use]
    pub fn with_quick_codes(mut self) -> Self {
        let timings = &mut self.simulator.tenant.timings;
        timings.qr_first = Duration::from_secs(3);
        timings.qr_next = Duration::from_secs(3);
        timings.qr_count = 100;
        self
    }
}

impl World {
    /// Create, two codes, scan, Ready, disconnect, connect, delete. Of a world [`Options::with_quick_codes`].
    ///
    /// # Panics
    /// When a step of it does not come.
    pub async fn whole_life(&self) {
        self.account("default", "demo", json!({})).await;
        self.session("sales", json!({})).await;
        let first = self.until_qr("sales").await;
        let other = |secret: &Secret| text(secret, "qr").is_some_and(|code| Some(code) != text(&first, "qr"));
        self.until("sales-qr", "the next code", other).await;
        self.pair("sales").await;
        // The same Event a second time is a change of the first.
        for (desired, reason) in [("Disconnected", "Disconnected"), ("Connected", "Connected")] {
            self.patch::<WhatsAppSession>("sales", json!({"spec": {"desiredState": desired}})).await;
            self.until_condition("sales", "Ready", "True", reason).await;
        }
        let session = self.api::<WhatsAppSession>().get("sales").await.unwrap_or_else(|error| panic!("{error}"));
        self.delete::<WhatsAppSession>("sales").await;
        self.until_gone::<WhatsAppSession>("sales", &session.uid().unwrap_or_else(|| panic!("it has no uid"))).await;
    }
}
