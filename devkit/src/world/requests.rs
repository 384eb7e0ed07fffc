//! What the operator of a world has asked of the API server, from its audit log.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::timeout;

use super::{PATIENCE, World};
use crate::{
    release::Release,
    rights::{self, Comparison, Used},
};

impl World {
    /// The events of its audit log about the operator.
    ///
    /// # Panics
    /// When the audit log cannot be read.
    #[must_use]
    pub fn audit(&self) -> Vec<Value> {
        let user = self.release.user();
        let mut events = self.plane.audit_events_about(&user).unwrap_or_else(|error| panic!("{error}"));
        events.retain(|event| event["user"]["username"] == user.as_str());
        events
    }

    /// What the release grants the operator, and what of it the operator has used.
    ///
    /// # Panics
    /// When the release or the audit log cannot be read.
    #[must_use]
    pub fn rights(&self) -> Comparison {
        let Release { name, objects } = &self.release;
        let granted = rights::granted(objects, name).unwrap_or_else(|error| panic!("{error}"));
        let mut used = Used::default();
        self.audit().iter().for_each(|event| used.take(event));
        Comparison { scope: self.scope, granted, used }
    }

    /// What the operator has asked: verb, resource with subresource, and code.
    #[must_use]
    pub fn requests(&self) -> Vec<(String, String, u64)> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let told = |event: &Value| {
            let resource = text(&event["objectRef"]["resource"]);
            let sub = text(&event["objectRef"]["subresource"]);
            let resource = if sub.is_empty() { resource } else { format!("{resource}/{sub}") };
            (text(&event["verb"]), resource, event["responseStatus"]["code"].as_u64().unwrap_or_default())
        };
        self.audit().iter().map(told).collect()
    }

    /// Writes the operator has made, Events left out: verb and resource.
    #[must_use]
    pub fn writes(&self) -> Vec<(String, String)> {
        let reads = ["get", "list", "watch"];
        let requests = self.requests().into_iter();
        requests
            .filter(|(verb, r, _)| !reads.contains(&verb.as_str()) && r != "events")
            .map(|(v, r, _)| (v, r))
            .collect()
    }

    /// Waits until the operator has read this Secret so many times more.
    ///
    /// # Panics
    /// When it has not in time.
    pub async fn until_read(&self, secret: &str, more: usize) {
        let such = |event: &Value| {
            let of = &event["objectRef"];
            (&event["verb"], &of["resource"], &of["name"]) == (&json!("get"), &json!("secrets"), &json!(secret))
        };
        let reads = || self.audit().iter().filter(|event| such(event)).count();
        let wanted = reads() + more;
        // The audit log is a file, which wakes nobody.
        let mut looks = tokio::time::interval(Duration::from_millis(500));
        let read = async {
            while reads() < wanted {
                looks.tick().await;
            }
        };
        assert!(timeout(PATIENCE, read).await.is_ok(), "{secret} was not read\n{}", self.log_tail());
    }
}
