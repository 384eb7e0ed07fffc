//! Simulator of the provider `ActiWAPI`: its REST API, its Socket.IO events, its pairing behaviour and its failures.
//!
//! [`state::State`] is the provider without sockets: a deterministic state machine that is told the time.
//! [`Simulator`] puts HTTP, Socket.IO and an admin API in front of one.

pub mod config;
pub mod server;
pub mod state;

pub use config::Config;
pub use server::Simulator;
pub use state::State;
