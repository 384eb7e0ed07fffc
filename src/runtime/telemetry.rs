//! Logs.

use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

/// Sends logs to standard error: `own` is the level of our crates, and the libraries' is capped at info, because
/// WebSocket and HTTP libraries log headers and frames below it, and with them tokens and codes.
pub fn init(own: &str, json: bool) {
    let others = match own {
        "error" | "warn" => own,
        _ => "info",
    };
    // No span of ours holds fields that a level would have to hide, so one filter does for all.
    let filter = EnvFilter::new(format!("{others},whatsapp_operator={own}"));
    let registry = tracing_subscriber::registry().with(filter);
    let output = fmt::layer().with_writer(std::io::stderr);
    if json {
        registry.with(output.json().flatten_event(true)).init();
    } else {
        registry.with(output.with_ansi(false).with_target(false)).init();
    }
}
