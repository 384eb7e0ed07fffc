//! The operator's flags and environment, checked once at the start.

use std::{path::PathBuf, time::Duration};

use clap::{Parser, ValueEnum};
use ipnet::IpNet;

/// The flags.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "whatsapp-operator",
    version,
    about = "Keeps the WhatsApp sessions at ActiWAPI as WhatsAppSession objects declare them.",
    long_about = "Keeps the WhatsApp sessions at ActiWAPI as WhatsAppSession objects declare them.\n\n\
                  The cluster is that of KUBECONFIG or ~/.kube/config, else the one it runs in. Logs go to standard error."
)]
pub struct Config {
    /// Namespace to watch; repeatable. All namespaces without it.
    #[arg(long = "watch-namespace", value_name = "NS", env = "WHATSAPP_OPERATOR_WATCH_NAMESPACE", value_delimiter = ',', value_parser = namespace)]
    pub watch_namespaces: Vec<String>,
    /// Allow accounts with any host, also over http:// and on this machine: for a demo or a test.
    #[arg(long, env = "WHATSAPP_OPERATOR_ALLOW_INSECURE_URLS")]
    pub allow_insecure_urls: bool,
    /// Host that accounts may name in spec.baseUrl, with its port unless that is 443; repeatable, replaces the default.
    /// Any host with --allow-insecure-urls.
    #[arg(
        long = "allowed-host",
        value_name = "HOST[:PORT]",
        env = "WHATSAPP_OPERATOR_ALLOWED_HOST",
        value_delimiter = ',',
        default_value = "api.actiwapi.com"
    )]
    pub allowed_hosts: Vec<String>,
    /// Network whose addresses may be connected to although they are not public; repeatable.
    #[arg(long = "allowed-cidr", value_name = "CIDR", env = "WHATSAPP_OPERATOR_ALLOWED_CIDR", value_delimiter = ',')]
    pub allowed_cidrs: Vec<IpNet>,
    /// PEM file of certificate authorities that are believed for the provider besides the system's.
    #[arg(long, value_name = "FILE", env = "WHATSAPP_OPERATOR_PROVIDER_CA_FILE")]
    pub provider_ca_file: Option<PathBuf>,
    /// Allow spec.pairing.publishInStatus, which shows pairing codes to everybody who may read sessions.
    #[arg(long, env = "WHATSAPP_OPERATOR_ALLOW_QR_IN_STATUS")]
    pub allow_qr_in_status: bool,
    /// How long a deletion tries to disconnect the remote session before it lets go.
    #[arg(long, value_name = "DURATION", env = "WHATSAPP_OPERATOR_DELETION_DEADLINE", default_value = "10m", value_parser = duration)]
    pub deletion_deadline: Duration,
    /// How long a call whose answer was lost may take to show in the provider's list.
    #[arg(long, value_name = "DURATION", env = "WHATSAPP_OPERATOR_SETTLE_TIME", default_value = "15s", value_parser = duration)]
    pub settle_time: Duration,
    /// Where /metrics is served; nowhere without it.
    #[arg(long, value_name = "HOST:PORT", env = "WHATSAPP_OPERATOR_METRICS_ADDRESS", default_value = "", hide_default_value = true, value_parser = address)]
    pub metrics_address: String,
    /// Where /livez and /readyz are served; nowhere without it.
    #[arg(long, value_name = "HOST:PORT", env = "WHATSAPP_OPERATOR_HEALTH_ADDRESS", default_value = "", hide_default_value = true, value_parser = address)]
    pub health_address: String,
    /// Work only while holding a Lease, so that a second replica can stand by.
    #[arg(long, env = "WHATSAPP_OPERATOR_LEADER_ELECT")]
    pub leader_elect: bool,
    /// Namespace of the Lease; that of the Pod without it.
    #[arg(long, value_name = "NS", env = "WHATSAPP_OPERATOR_LEASE_NAMESPACE", value_parser = namespace)]
    pub lease_namespace: Option<String>,
    /// Name of the Lease: operators of one name and namespace share the work, others must not.
    #[arg(long, value_name = "NAME", env = "WHATSAPP_OPERATOR_LEASE_NAME", default_value = "whatsapp-operator", value_parser = object_name)]
    pub lease_name: String,
    /// How much is logged. Of debug and trace only the operator's own lines, because those of libraries hold secrets.
    #[arg(long, value_enum, env = "WHATSAPP_OPERATOR_LOG_LEVEL", default_value_t = LogLevel::Info)]
    pub log_level: LogLevel,
    /// One JSON object a line, or text for people.
    #[arg(long, value_enum, env = "WHATSAPP_OPERATOR_LOG_FORMAT", default_value_t = LogFormat::Json)]
    pub log_format: LogFormat,
}

/// How much is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[expect(missing_docs, reason = "the words are the documentation")]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// How it is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[expect(missing_docs, reason = "the words are the documentation")]
pub enum LogFormat {
    Json,
    Text,
}

fn duration(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        _ => Err("not a duration such as 30s or 10m".to_owned()),
    }
}

/// HOST:PORT, with a v6 address in brackets; nothing stands for off.
fn address(text: &str) -> Result<String, String> {
    let fits = |(host, port): (&str, &str)| {
        let host = host.strip_prefix('[').and_then(|v6| v6.strip_suffix(']')).map_or_else(
            || !host.is_empty() && !host.contains([':', '/', '[', ']']) && !host.contains(char::is_whitespace),
            |v6| v6.parse::<std::net::Ipv6Addr>().is_ok(),
        );
        host && port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok()
    };
    let fits = text.is_empty() || text.rsplit_once(':').is_some_and(fits);
    if fits { Ok(text.to_owned()) } else { Err("not HOST:PORT such as 0.0.0.0:8080 or [::]:8080".to_owned()) }
}

/// RFC 1123, without its bound.
fn is_label(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

fn namespace(text: &str) -> Result<String, String> {
    let fits = text.len() <= 63 && is_label(text);
    if fits { Ok(text.to_owned()) } else { Err("not the name of a namespace".to_owned()) }
}

fn object_name(text: &str) -> Result<String, String> {
    let fits = text.len() <= 253 && text.split('.').all(is_label);
    if fits { Ok(text.to_owned()) } else { Err("not the name of an object".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(args: &[&str]) -> Result<Config, clap::Error> {
        Config::try_parse_from([&["whatsapp-operator"], args].concat())
    }

    #[test]
    fn the_defaults_are_safe() {
        let config = parsed(&[]).unwrap();
        assert!(!config.allow_insecure_urls && !config.allow_qr_in_status && config.watch_namespaces.is_empty());
        assert_eq!(config.allowed_hosts, ["api.actiwapi.com"]);
        assert_eq!(config.deletion_deadline, Duration::from_mins(10));
        assert_eq!(config.settle_time, Duration::from_secs(15));
        assert!(!config.leader_elect && config.lease_namespace.is_none() && config.lease_name == "whatsapp-operator");
        assert!(config.metrics_address.is_empty() && config.health_address.is_empty(), "nothing listens");
    }

    #[test]
    fn addresses_to_listen_at_are_taken_as_they_are() {
        for address in ["", "0.0.0.0:8080", "[::]:8080", "[::1]:0", "localhost:8080"] {
            let config = parsed(&["--metrics-address", address]).unwrap();
            assert_eq!(config.metrics_address, address);
        }
    }

    #[test]
    fn bad_flags_are_refused_in_a_sentence() {
        for (args, says) in [
            (&["--settle-time", "soon"][..], "not a duration"),
            (&["--settle-time", "0s"], "not a duration"),
            (&["--watch-namespace", "Sales_1"], "not the name of a namespace"),
            (&["--log-level", "loud"], "possible values"),
            (&["--allowed-cidr", "10.0.0.0/40"], "invalid value"),
            (&["--metrics-address", "8080"], "not HOST:PORT"),
            (&["--metrics-address", ":8080"], "not HOST:PORT"),
            (&["--metrics-address", "::1:8080"], "not HOST:PORT"),
            (&["--health-address", "localhost:http"], "not HOST:PORT"),
            (&["--health-address", "127.0.0.1:65536"], "not HOST:PORT"),
            (&["--health-address", "http://localhost:80"], "not HOST:PORT"),
            (&["--lease-name", "a_b"], "not the name of an object"),
            (&["--lease-namespace", "a.b"], "not the name of a namespace"),
            (&["--alow-insecure-urls"], "unexpected argument"),
        ] {
            let error = parsed(args).unwrap_err().to_string();
            assert!(error.contains(says), "{args:?}: {error}");
        }
    }
}
