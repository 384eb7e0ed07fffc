//! The simulator as a program.

use std::io::Write as _;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use actiwapi_sim::state::options::{ApiOptions, OversizedPage};
use actiwapi_sim::state::tenant::{Dialect, PendingConnect, QrFormat, RefreshTokens, TenantSettings, Timings};
use actiwapi_sim::{Config, Simulator};
use clap::Parser;
use serde::de::DeserializeOwned;
use serde::de::value::{Error as ValueError, StrDeserializer};

const EXAMPLES: &str = r#"The tenant "demo" exists from the start; --email, --password, --api-key and most other options are about it. Its first token:
  curl -s localhost:8080/api/auth/login -H 'content-type: application/json' \
       -d '{"email":"demo@example.com","password":"demo-password"}'

Admin API (JSON; a session is named by its id, or by its name if that is unique, else add ?tenant=NAME):
  A=localhost:8081
  curl $A/sessions                                                list sessions; ?tenant=demo
  curl -X POST $A/sessions/Sales/scan                             a phone scans the code it shows
  curl -X POST $A/sessions/Sales/scan -d '{"phoneNumber":"919876543210"}'
  curl -X POST $A/scan -d '{"qr":"2@..."}'                        a phone scans exactly this code
  curl $A/sessions/Sales/qr                                       the code it shows; also /qr.png
  curl -X POST $A/sessions/Sales/logout                           also: drop, ban
  curl -X POST $A/sessions/Sales/status -d '{"status":"replaced"}'
  curl -X POST $A/sessions/Sales/rename -d '{"name":"Support"}'   out of band, like the next two
  curl -X DELETE $A/sessions/Sales
  curl -X POST $A/tenants/demo/sessions -d '{"name":"Found"}'
  curl $A/tenants                                                 tenants and their settings
  curl -X PUT $A/tenants/acme -d '{"sessionLimit":50}'            make or change one: acme@example.com,
                                                                  acme-password, awp_acme
  curl -X PUT $A/tenants/demo -d '{"dialect":"wrapped","muteStatus":true,"timings":{"qrFirst":"5s"}}'
  curl -X POST $A/tenants/demo/expire-tokens -d '{"refreshToo":true}'
  curl -X POST $A/tenants/demo/close-sockets -d '{"hard":true}'   hard: reset without a farewell
  curl -X PUT $A/options -d '{"errorCodes":true,"maxPageLimit":20}'
  curl $A/requests                                                all calls; ?route=create&tenant=demo
  curl $A/requests/counts                                         how many for each route
  curl -X DELETE $A/requests                                      forget them

Faults hit a route (list create connect status disconnect external login refresh usage subscription socket; all
without one), a tenant or a session (id), after `skip` calls, `times` times or until cleared:
  curl $A/faults -d '{"route":"create","times":1,"action":{"kind":"resetAfter"}}'
  curl $A/faults -d '{"route":"list","action":{"kind":"status","status":429,"retryAfter":30}}'
  curl $A/faults -d '{"action":{"kind":"status","status":429,"retryAfter":{"dateIn":30}}}'
  curl $A/faults -d '{"route":"create","action":{"kind":"status","status":502,"apply":true}}'
  curl $A/faults -d '{"tenant":"demo","action":{"kind":"status","status":403,"code":"LIMIT_EXCEEDED"}}'
  curl $A/faults -d '{"route":"list","delay":"3s","delayAfter":"0s"}'
  curl $A/faults -d '{"route":"socket","action":{"kind":"refuse","message":"Unauthorized"}}'
  other kinds: resetBefore garbage emptyBody noId pass
  curl $A/faults; curl -X DELETE $A/faults/1; curl -X DELETE $A/faults"#;

/// Simulator of the `ActiWAPI` sessions API: REST, Socket.IO, pairing and failures.
#[derive(Parser)]
#[command(version, about, after_long_help = EXAMPLES)]
#[expect(clippy::struct_excessive_bools, reason = "switches of a command line")]
struct Options {
    /// Where the API and Socket.IO listen.
    #[arg(long, env = "ACTIWAPI_SIM_LISTEN", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Where the admin API listens.
    #[arg(long, env = "ACTIWAPI_SIM_ADMIN_LISTEN", default_value = "127.0.0.1:8081")]
    admin_listen: SocketAddr,
    /// Seed of all random ids, tokens and codes; random without it.
    #[arg(long)]
    seed: Option<u64>,
    /// Email of the default tenant.
    #[arg(long, default_value = "demo@example.com")]
    email: String,
    /// Password of the default tenant.
    #[arg(long, env = "ACTIWAPI_SIM_PASSWORD", default_value = "demo-password", hide_env_values = true)]
    password: String,
    /// API key of the default tenant.
    #[arg(long, env = "ACTIWAPI_SIM_API_KEY", default_value = "awp_demo", hide_env_values = true)]
    api_key: String,
    /// Session slots of its plan.
    #[arg(long, default_value_t = 5)]
    session_limit: u64,
    /// Metered requests of its plan.
    #[arg(long, default_value_t = 100_000)]
    request_limit: u64,
    /// Metered requests in a minute; more get 429.
    #[arg(long)]
    rate_per_minute: Option<u64>,
    /// Shape of its events: raw-with-id, wrapped, data-url, two-arguments, binary-png, qr-in-status or bare.
    #[arg(long, default_value = "raw-with-id", value_parser = word::<Dialect>)]
    dialect: Dialect,
    /// Format of its codes: plain (2@…) or wa-me (behind the link).
    #[arg(long, default_value = "plain", value_parser = word::<QrFormat>)]
    qr_format: QrFormat,
    /// Send no events about states.
    #[arg(long)]
    mute_status: bool,
    /// Send no events with codes.
    #[arg(long)]
    mute_qr: bool,
    /// Tell a new socket the current codes.
    #[arg(long)]
    replay_qr: bool,
    /// Life of access tokens.
    #[arg(long, default_value = "7d", value_parser = humantime::parse_duration)]
    token_lifetime: Duration,
    /// What a refresh does to the refresh token: fixed, rotate or none.
    #[arg(long, default_value = "fixed", value_parser = word::<RefreshTokens>)]
    refresh_tokens: RefreshTokens,
    /// What connect does while codes are shown: conflict, repeat or restart.
    #[arg(long, default_value = "conflict", value_parser = word::<PendingConnect>)]
    pending_connect: PendingConnect,
    /// A second session of the same name is a conflict.
    #[arg(long)]
    reject_duplicate_names: bool,
    /// Disconnecting what is not connected succeeds.
    #[arg(long)]
    idempotent_disconnect: bool,
    /// A scan is followed by a forced restart.
    #[arg(long)]
    restart_after_scan: bool,
    /// Life of the first code.
    #[arg(long, default_value = "60s", value_parser = humantime::parse_duration)]
    qr_first: Duration,
    /// Life of each later code.
    #[arg(long, default_value = "20s", value_parser = humantime::parse_duration)]
    qr_next: Duration,
    /// Codes of one connect.
    #[arg(long, default_value_t = 6)]
    qr_count: u32,
    /// How long a session that was paired before takes to reconnect.
    #[arg(long, default_value = "1s", value_parser = humantime::parse_duration)]
    reconnect_delay: Duration,
    /// From a scan to the forced restart.
    #[arg(long, default_value = "1s", value_parser = humantime::parse_duration)]
    restart_after: Duration,
    /// How long the forced restart lasts.
    #[arg(long, default_value = "3s", value_parser = humantime::parse_duration)]
    restart_for: Duration,
    /// Error bodies hold a `code`.
    #[arg(long)]
    error_codes: bool,
    /// Largest page of a list.
    #[arg(long, default_value_t = 100)]
    max_page_limit: u64,
    /// A larger page is cut down instead of refused.
    #[arg(long)]
    clamp_pages: bool,
    /// Longest session name in characters.
    #[arg(long, default_value_t = 100)]
    max_name_length: usize,
    /// Path of the Socket.IO server.
    #[arg(long, default_value = "/socket.io/")]
    socket_path: String,
    /// Namespace of the Socket.IO server.
    #[arg(long, default_value = "/")]
    namespace: String,
    /// Interval of the Engine.IO pings.
    #[arg(long, default_value = "25s", value_parser = humantime::parse_duration)]
    ping_interval: Duration,
    /// Silence after a ping that counts as dead.
    #[arg(long, default_value = "20s", value_parser = humantime::parse_duration)]
    ping_timeout: Duration,
    /// Print nothing but errors.
    #[arg(long)]
    quiet: bool,
}

/// The same words on the command line as in the admin API.
fn word<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    T::deserialize(StrDeserializer::<ValueError>::new(text)).map_err(|error| error.to_string())
}

impl Options {
    fn into_config(self) -> Config {
        let timings = Timings {
            qr_first: self.qr_first,
            qr_next: self.qr_next,
            qr_count: self.qr_count,
            reconnect_delay: self.reconnect_delay,
            restart_after: self.restart_after,
            restart_for: self.restart_for,
        };
        let tenant = TenantSettings {
            email: self.email,
            password: self.password,
            api_key: self.api_key,
            session_limit: self.session_limit,
            request_limit: self.request_limit,
            rate_per_minute: self.rate_per_minute,
            dialect: self.dialect,
            qr_format: self.qr_format,
            mute_qr: self.mute_qr,
            mute_status: self.mute_status,
            replay_qr: self.replay_qr,
            token_lifetime: self.token_lifetime,
            refresh_tokens: self.refresh_tokens,
            reject_duplicate_names: self.reject_duplicate_names,
            pending_connect: self.pending_connect,
            idempotent_disconnect: self.idempotent_disconnect,
            restart_after_scan: self.restart_after_scan,
            timings,
            ..TenantSettings::default()
        };
        Config {
            listen: self.listen,
            admin_listen: self.admin_listen,
            seed: self.seed.unwrap_or_else(rand::random),
            tenant,
            api: ApiOptions {
                error_codes: self.error_codes,
                max_page_limit: self.max_page_limit.max(1),
                oversized_page: if self.clamp_pages { OversizedPage::Clamp } else { OversizedPage::Reject },
                max_name_length: self.max_name_length,
            },
            socket_path: self.socket_path,
            namespace: self.namespace,
            ping_interval: self.ping_interval,
            ping_timeout: self.ping_timeout,
            print: !self.quiet,
        }
    }
}

fn say(quiet: bool, line: &str) {
    if !quiet {
        // Whoever reads the lines may have gone; that stops nothing.
        let _ = writeln!(std::io::stdout(), "{line}");
    }
}

async fn asked_to_stop() -> std::io::Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        result = tokio::signal::ctrl_c() => result,
        _ = terminate.recv() => Ok(()),
    }
}

async fn run(options: Options) -> std::io::Result<()> {
    let quiet = options.quiet;
    let simulator = Simulator::start(options.into_config()).await?;
    say(quiet, &format!("API and Socket.IO: {}", simulator.base_url()));
    say(quiet, &format!("admin API:         {}  (see --help)", simulator.admin_url()));
    asked_to_stop().await?;
    say(quiet, "stopping");
    simulator.stop().await;
    Ok(())
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "actiwapi-sim: {error}");
            ExitCode::FAILURE
        }
    }
}
