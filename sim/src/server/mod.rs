//! The provider on the network: HTTP, Socket.IO, the admin API and the clock around one [`crate::State`].

mod admin;
mod clock;
mod handle;
mod listen;
mod rest;
mod socket;

use std::io;
use std::net::SocketAddr;
use std::ops::Deref;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, DEFAULT_TENANT};
use crate::state::State;

pub use handle::Handle;

/// A running simulator. Dropping it stops it; everything that can be done to it is on [`Handle`].
#[derive(Debug)]
pub struct Simulator {
    handle: Handle,
    api: SocketAddr,
    admin: SocketAddr,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Simulator {
    /// Binds both ports and starts to serve.
    ///
    /// # Errors
    /// When a port cannot be bound, or the Socket.IO path or namespace is impossible.
    pub async fn start(config: Config) -> io::Result<Self> {
        let api = TcpListener::bind(config.listen).await?;
        let admin = TcpListener::bind(config.admin_listen).await?;
        let (api_address, admin_address) = (api.local_addr()?, admin.local_addr()?);
        let epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut state = State::new(config.seed, epoch, config.api.clone());
        state.put_tenant(DEFAULT_TENANT, config.tenant.clone()).map_err(io::Error::other)?;
        // The tenant of the start is no news.
        state.take_effects();
        let (handle, effects) = Handle::new(state);
        let (layer, sockets) = socket::build(&handle, &config)?;
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(until(stop.clone(), clock::run(handle.clone())));
        let deliver = socket::deliver(handle.clone(), sockets, config.namespace.clone(), effects, config.print);
        tasks.spawn(until(stop.clone(), deliver));
        tasks.spawn(listen::serve(api, rest::router(handle.clone(), layer, &config.socket_path), stop.clone()));
        tasks.spawn(listen::serve(admin, admin::router(handle.clone()), stop.clone()));
        Ok(Self { handle, api: api_address, admin: admin_address, stop, tasks })
    }

    /// Where the API is, without a slash at the end.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}", self.api)
    }

    /// Where the admin API is, without a slash at the end.
    #[must_use]
    pub fn admin_url(&self) -> String {
        format!("http://{}", self.admin)
    }

    /// Where the API listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.api
    }

    /// A handle that can be cloned; it does not keep the simulator running.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Closes all connections and both ports.
    pub async fn stop(mut self) {
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
    }
}

impl Deref for Simulator {
    type Target = Handle;

    fn deref(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn until(stop: CancellationToken, work: impl Future<Output = ()>) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = work => {}
    }
}
