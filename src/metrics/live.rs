//! What is read from the caches at each scrape: what is gone has no series.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, OnceLock},
};

use kube::runtime::reflector::ObjectRef;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::Unit,
};

use crate::{
    account::Stream,
    api::{Phase, WhatsAppAccount},
    observe::{Sources, account_of},
};

const PHASES: [Phase; 10] = [
    Phase::Pending,
    Phase::Creating,
    Phase::Disconnected,
    Phase::AwaitingScan,
    Phase::Connecting,
    Phase::Connected,
    Phase::Missing,
    Phase::Suspended,
    Phase::Stalled,
    Phase::Deleting,
];

fn word(phase: Phase) -> &'static str {
    // A phase that is added here belongs into PHASES, too.
    match phase {
        Phase::Pending => "Pending",
        Phase::Creating => "Creating",
        Phase::Disconnected => "Disconnected",
        Phase::AwaitingScan => "AwaitingScan",
        Phase::Connecting => "Connecting",
        Phase::Connected => "Connected",
        Phase::Missing => "Missing",
        Phase::Suspended => "Suspended",
        Phase::Stalled => "Stalled",
        Phase::Deleting => "Deleting",
    }
}

/// Reads from the caches, once they are complete.
pub(super) struct Live(pub(super) Arc<OnceLock<Arc<Sources>>>);

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live").finish_non_exhaustive()
    }
}

/// Namespace and name of an account.
type Key = (String, String);

/// How many sessions are in each phase, by its word.
type Phases = BTreeMap<&'static str, u64>;

/// What is told of one account.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Told {
    ready: bool,
    events: bool,
    paused: f64,
    throttled: f64,
}

impl Collector for Live {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let Some(sources) = self.0.get() else { return Ok(()) };
        encode(&mut encoder, &accounts(sources), &sessions(sources))
    }
}

fn key(account: &ObjectRef<WhatsAppAccount>) -> Key {
    (account.namespace.clone().unwrap_or_default(), account.name.clone())
}

fn accounts(sources: &Sources) -> BTreeMap<Key, Told> {
    let told = |account: Arc<WhatsAppAccount>| {
        let object = ObjectRef::from_obj(&*account);
        let conditions = account.status.iter().flat_map(|status| &status.conditions);
        let ready = conditions.into_iter().any(|c| c.type_ == "Ready" && c.status == "True");
        let running = sources.registry.get(&object);
        let view = running.as_ref().map(|running| running.view());
        let told = Told {
            ready,
            events: view.as_ref().is_some_and(|view| view.stream == Stream::Live),
            paused: view.and_then(|view| view.paused).unwrap_or_default().as_secs_f64(),
            throttled: running.map(|running| running.throttled()).unwrap_or_default().as_secs_f64(),
        };
        (key(&object), told)
    };
    sources.accounts.all().into_iter().map(told).collect()
}

/// Sessions of each account by phase. An object without a status is yet to be looked at.
fn sessions(sources: &Sources) -> BTreeMap<Key, Phases> {
    let mut counts = BTreeMap::<Key, Phases>::new();
    for session in sources.sessions.all() {
        let phase = session.status.as_ref().and_then(|status| status.phase).unwrap_or(Phase::Pending);
        *counts.entry(key(&account_of(&session))).or_default().entry(word(phase)).or_default() += 1;
    }
    counts
}

fn encode(
    encoder: &mut DescriptorEncoder<'_>,
    accounts: &BTreeMap<Key, Told>,
    sessions: &BTreeMap<Key, Phases>,
) -> Result<(), fmt::Error> {
    let mut metric = encoder.encode_descriptor("sessions", "Session objects by phase.", None, MetricType::Gauge)?;
    // An account without sessions has its zeros, too: an alert can tell them from a missing operator.
    let keys = accounts.keys().chain(sessions.keys().filter(|key| !accounts.contains_key(*key)));
    for key in keys {
        for phase in PHASES {
            let phase = word(phase);
            let count = sessions.get(key).and_then(|phases| phases.get(phase)).copied().unwrap_or_default();
            let labels = [("namespace", key.0.as_str()), ("account", &key.1), ("phase", phase)];
            ConstGauge::new(count).encode(metric.encode_family(&labels)?)?;
        }
    }
    let mut gauge = |name: &str, help: &str, unit: Option<&Unit>, value: fn(&Told) -> f64| {
        let mut metric = encoder.encode_descriptor(name, help, unit, MetricType::Gauge)?;
        for ((namespace, account), told) in accounts {
            let labels = [("namespace", namespace.as_str()), ("account", account)];
            ConstGauge::new(value(told)).encode(metric.encode_family(&labels)?)?;
        }
        Ok(())
    };
    gauge("account_ready", "Whether an account is ready.", None, |told| f64::from(u8::from(told.ready)))?;
    gauge("account_events_connected", "Whether an account's events arrive and are understood.", None, |told| {
        f64::from(u8::from(told.events))
    })?;
    gauge("account_paused", "How long calls are still paused, as the provider asked.", Some(&Unit::Seconds), |told| {
        told.paused
    })?;
    let help = "How long calls have waited for the account's budget.";
    let mut metric = encoder.encode_descriptor("throttled", help, Some(&Unit::Seconds), MetricType::Counter)?;
    for ((namespace, account), told) in accounts {
        let labels = [("namespace", namespace.as_str()), ("account", account)];
        ConstCounter::new(told.throttled).encode(metric.encode_family(&labels)?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use prometheus_client::{encoding::text, registry::Registry};

    use super::*;

    #[derive(Debug)]
    struct Fixed(BTreeMap<Key, Told>, BTreeMap<Key, Phases>);

    impl Collector for Fixed {
        fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
            encode(&mut encoder, &self.0, &self.1)
        }
    }

    fn text(fixed: Fixed) -> String {
        let mut registry = Registry::with_prefix("whatsapp_operator");
        registry.register_collector(Box::new(fixed));
        let mut text = String::new();
        text::encode(&mut text, &registry).unwrap();
        text
    }

    #[test]
    fn accounts_and_their_sessions_are_told_with_every_phase() {
        let key = |name: &str| ("team".to_owned(), name.to_owned());
        let told = Told { ready: true, events: true, paused: 1.5, throttled: 2.25 };
        let accounts = BTreeMap::from([(key("default"), told), (key("idle"), Told::default())]);
        let phases = |of: &[(Phase, u64)]| of.iter().map(|(phase, n)| (word(*phase), *n)).collect();
        let sessions = BTreeMap::from([
            (key("default"), phases(&[(Phase::Connected, 2), (Phase::AwaitingScan, 1)])),
            (key("absent"), phases(&[(Phase::Pending, 1)])),
        ]);
        let text = text(Fixed(accounts, sessions));
        for line in [
            "# TYPE whatsapp_operator_sessions gauge",
            "whatsapp_operator_sessions{namespace=\"team\",account=\"default\",phase=\"Connected\"} 2",
            "whatsapp_operator_sessions{namespace=\"team\",account=\"default\",phase=\"AwaitingScan\"} 1",
            "whatsapp_operator_sessions{namespace=\"team\",account=\"default\",phase=\"Stalled\"} 0",
            "whatsapp_operator_sessions{namespace=\"team\",account=\"idle\",phase=\"Connected\"} 0",
            "whatsapp_operator_sessions{namespace=\"team\",account=\"absent\",phase=\"Pending\"} 1",
            "whatsapp_operator_account_ready{namespace=\"team\",account=\"default\"} 1.0",
            "whatsapp_operator_account_ready{namespace=\"team\",account=\"idle\"} 0.0",
            "whatsapp_operator_account_events_connected{namespace=\"team\",account=\"default\"} 1.0",
            "whatsapp_operator_account_paused_seconds{namespace=\"team\",account=\"default\"} 1.5",
            "# TYPE whatsapp_operator_throttled_seconds counter",
            "whatsapp_operator_throttled_seconds_total{namespace=\"team\",account=\"default\"} 2.25",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        assert_eq!(text.lines().filter(|line| line.starts_with("whatsapp_operator_sessions{")).count(), 30);
        assert_eq!(text.matches("# TYPE whatsapp_operator_sessions ").count(), 1);
    }

    #[test]
    fn nothing_is_told_of_objects_before_all_are_read() {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Live(Arc::default())));
        let mut text = String::new();
        text::encode(&mut text, &registry).unwrap();
        assert_eq!(text, "# EOF\n");
    }
}
