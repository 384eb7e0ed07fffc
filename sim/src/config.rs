//! What a simulator is started with.

use std::net::SocketAddr;
use std::time::Duration;

use crate::state::options::ApiOptions;
use crate::state::tenant::TenantSettings;

/// The name of the tenant that exists from the start.
pub const DEFAULT_TENANT: &str = "demo";

/// What a [`crate::Simulator`] is started with.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the provider's API and Socket.IO listen; port 0 picks a free one.
    pub listen: SocketAddr,
    /// Where the admin API listens; port 0 picks a free one.
    pub admin_listen: SocketAddr,
    /// Seed of all random ids, tokens and codes.
    pub seed: u64,
    /// Settings of the tenant `demo`.
    pub tenant: TenantSettings,
    /// How the API behaves for everybody.
    pub api: ApiOptions,
    /// Path of the Socket.IO server.
    pub socket_path: String,
    /// Namespace of the Socket.IO server.
    pub namespace: String,
    /// Interval of the Engine.IO pings.
    pub ping_interval: Duration,
    /// Silence after a ping that counts as dead.
    pub ping_timeout: Duration,
    /// Whether to print a plain line for each thing that happens.
    pub print: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            admin_listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            seed: 1,
            tenant: TenantSettings::default(),
            api: ApiOptions::default(),
            socket_path: "/socket.io/".to_owned(),
            namespace: "/".to_owned(),
            ping_interval: Duration::from_secs(25),
            ping_timeout: Duration::from_secs(20),
            print: false,
        }
    }
}
