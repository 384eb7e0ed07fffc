//! What the operator tells about itself in numbers, in `OpenMetrics` text.
//!
//! Counters and histograms are kept here; `live` reads everything else from the caches when it is asked for, so that
//! nothing outlives its object; `metered` counts the calls to the provider. Labels are names of objects and words of ours:
//! never an id, a phone number, an address or a credential.

mod live;
mod metered;

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use prometheus_client::{
    encoding::text,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram, info::Info},
    registry::{Registry, Unit},
};
use tokio::time::Instant;

pub use metered::Metered;

use self::{live::Live, metered::ROUTES};
use crate::observe::Sources;

/// The content type of [`Metrics::text`].
pub const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Of the provider's answers: from a local one to the longest that is waited for.
const CALL_SECONDS: [f64; 10] = [0.01, 0.03, 0.1, 0.3, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
/// Of reconciles: from one that changes nothing to one that waits for the budget.
const RECONCILE_SECONDS: [f64; 10] = [0.000_1, 0.001, 0.01, 0.03, 0.1, 0.3, 1.0, 5.0, 30.0, 60.0];

type Labels<const N: usize> = [(&'static str, &'static str); N];
type Histograms = Family<Labels<1>, Histogram, fn() -> Histogram>;

/// All metrics of this process.
pub struct Metrics {
    registry: Registry,
    leader: Gauge,
    calls: Family<Labels<2>, Counter>,
    call_seconds: Histograms,
    reconciles: Family<Labels<2>, Counter>,
    reconcile_seconds: Histograms,
    live: Arc<OnceLock<Arc<Sources>>>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Nothing counted yet; what can be counted is there with 0.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("whatsapp_operator");
        let calls = Family::default();
        let call_seconds = Histograms::new_with_constructor(|| Histogram::new(CALL_SECONDS));
        let reconciles = Family::default();
        let reconcile_seconds = Histograms::new_with_constructor(|| Histogram::new(RECONCILE_SECONDS));
        let leader = Gauge::default();
        let live = Arc::new(OnceLock::new());
        // The registry ends each help text with a full stop.
        registry.register("build", "The version that runs", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
        registry.register("leader", "Whether this replica works, or stands by", leader.clone());
        registry.register("provider_requests", "Calls to the provider by what came of them", calls.clone());
        registry.register_with_unit(
            "provider_request",
            "How long calls to the provider took",
            Unit::Seconds,
            call_seconds.clone(),
        );
        registry.register("reconciles", "Looks at an object; an error is Kubernetes' not ours", reconciles.clone());
        registry.register_with_unit(
            "reconcile",
            "How long looks at an object took",
            Unit::Seconds,
            reconcile_seconds.clone(),
        );
        registry.register_collector(Box::new(Live(live.clone())));
        let metrics = Self { registry, leader, calls, call_seconds, reconciles, reconcile_seconds, live };
        for route in ROUTES {
            let _ = metrics.calls.get_or_create_owned(&[("route", route), ("outcome", "ok")]);
            let _ = metrics.call_seconds.get_or_create_owned(&[("route", route)]);
        }
        for kind in [Kind::Session, Kind::Account] {
            for outcome in ["ok", "error"] {
                let _ = metrics.reconciles.get_or_create_owned(&[("kind", kind.word()), ("outcome", outcome)]);
            }
            let _ = metrics.reconcile_seconds.get_or_create_owned(&[("kind", kind.word())]);
        }
        metrics
    }

    /// This replica leads from now on.
    pub fn leads(&self) {
        self.leader.set(1);
    }

    /// Tells about these objects from now on, once: they must have been read completely, because half a count is a lie.
    pub fn follow(&self, sources: Arc<Sources>) {
        let _ = self.live.set(sources);
    }

    /// Everything, in `OpenMetrics` text.
    ///
    /// # Errors
    /// When a metric cannot be written.
    pub fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        text::encode(&mut text, &self.registry)?;
        Ok(text)
    }

    /// Counts one reconcile, from now until what is returned is dropped.
    #[must_use]
    pub fn reconcile(&self, kind: Kind) -> Reconcile<'_> {
        Reconcile { metrics: self, kind: kind.word(), outcome: "ok", begun: Instant::now() }
    }
}

/// What is reconciled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A `WhatsAppSession`.
    Session,
    /// A `WhatsAppAccount`.
    Account,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Session => "WhatsAppSession",
            Self::Account => "WhatsAppAccount",
        }
    }
}

/// A reconcile that is counted when this is dropped.
pub struct Reconcile<'a> {
    metrics: &'a Metrics,
    kind: &'static str,
    outcome: &'static str,
    begun: Instant,
}

impl Reconcile<'_> {
    /// Kubernetes did not take a write, or did not answer.
    pub fn failed(&mut self) {
        self.outcome = "error";
    }
}

impl Drop for Reconcile<'_> {
    fn drop(&mut self) {
        let Self { metrics, kind, outcome, begun } = self;
        metrics.reconciles.get_or_create(&[("kind", kind), ("outcome", outcome)]).inc();
        metrics.reconcile_seconds.get_or_create(&[("kind", kind)]).observe(begun.elapsed().as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_counted_is_there_from_the_start() {
        let text = Metrics::new().text().unwrap();
        for line in [
            concat!("whatsapp_operator_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
            "whatsapp_operator_leader 0",
            "whatsapp_operator_provider_requests_total{route=\"create\",outcome=\"ok\"} 0",
            "whatsapp_operator_provider_request_seconds_count{route=\"list\"} 0",
            "whatsapp_operator_reconciles_total{kind=\"WhatsAppSession\",outcome=\"error\"} 0",
            "whatsapp_operator_reconcile_seconds_count{kind=\"WhatsAppAccount\"} 0",
            "# EOF",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn a_reconcile_is_counted_once_with_its_outcome() {
        let metrics = Metrics::new();
        drop(metrics.reconcile(Kind::Session));
        metrics.reconcile(Kind::Session).failed();
        drop(metrics.reconcile(Kind::Account));
        let text = metrics.text().unwrap();
        for line in [
            "whatsapp_operator_reconciles_total{kind=\"WhatsAppSession\",outcome=\"ok\"} 1",
            "whatsapp_operator_reconciles_total{kind=\"WhatsAppSession\",outcome=\"error\"} 1",
            "whatsapp_operator_reconciles_total{kind=\"WhatsAppAccount\",outcome=\"ok\"} 1",
            "whatsapp_operator_reconcile_seconds_count{kind=\"WhatsAppSession\"} 2",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
