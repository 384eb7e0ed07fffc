//! The Socket.IO server: who may connect, and what its sockets are told.

use std::io::{self, Write as _};

use serde_json::Value;
use socketioxide::SocketIo;
use socketioxide::extract::{SocketRef, TryData};
use socketioxide::handler::ConnectHandler as _;
use socketioxide::layer::SocketIoLayer;
use tokio::sync::mpsc;

use super::handle::Handle;
use super::listen::Cut;
use crate::config::Config;
use crate::state::Effect;

/// Sockets with a token join the room of their tenant; all others are refused.
pub(super) fn build(handle: &Handle, config: &Config) -> io::Result<(SocketIoLayer, SocketIo)> {
    let path = config.socket_path.trim_end_matches('/').to_owned();
    if !path.starts_with('/') || !config.namespace.starts_with('/') {
        return Err(io::Error::other("the Socket.IO path and namespace begin with a slash, and the path has a name"));
    }
    let (layer, io) = SocketIo::builder()
        .req_path(path)
        .ping_interval(config.ping_interval)
        .ping_timeout(config.ping_timeout)
        .build_layer();
    let (gate, namespace) = (handle.clone(), config.namespace.clone());
    // Joins before the answer to CONNECT: a client may rely on that answer and never miss an event after it.
    let authenticate = async move |socket: SocketRef, TryData(auth): TryData<Value>| {
        let auth = auth.unwrap_or_default();
        let token = auth.get("token").and_then(Value::as_str);
        let tenant = gate.with(|state| state.connect_socket(&namespace, token))?;
        socket.join(tenant);
        Ok::<(), String>(())
    };
    let greeter = handle.clone();
    let greet = async move |socket: SocketRef| {
        for tenant in socket.rooms() {
            greeter.with(|state| state.socket_connected(&tenant));
        }
    };
    io.ns(config.namespace.clone(), greet.with(authenticate));
    Ok((layer, io))
}

/// Carries out what the state asks for, in order.
pub(super) async fn deliver(
    handle: Handle,
    sockets: SocketIo,
    namespace: String,
    mut effects: mpsc::UnboundedReceiver<Effect>,
    print: bool,
) {
    while let Some(effect) = effects.recv().await {
        if let Some(namespace) = sockets.of(&namespace) {
            match &effect {
                Effect::Emit { tenant, event } => {
                    // A socket that is full or just closing has lost the event, as with the real one.
                    let _ = namespace.to(tenant.clone()).emit(event.name, event).await;
                }
                Effect::CloseSockets { tenant, hard: false } => {
                    let _ = namespace.to(tenant.clone()).disconnect().await;
                }
                Effect::CloseSockets { tenant, hard: true } => {
                    for socket in namespace.to(tenant.clone()).sockets() {
                        if let Some(cut) = socket.req_parts().extensions.get::<Cut>() {
                            cut.reset();
                        }
                    }
                }
                Effect::Note(line) if print => {
                    // Whoever reads the lines may have gone; that stops nothing.
                    let _ = writeln!(io::stdout(), "[{:9.3}s] {line}", handle.elapsed().as_secs_f64());
                }
                Effect::Note(_) => {}
            }
        }
        handle.publish(effect);
    }
}
