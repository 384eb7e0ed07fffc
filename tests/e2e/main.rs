//! The whole on a real API server with its controller manager, against a real HTTP and Socket.IO server. One control plane
//! serves all of it; each test has a namespace, a simulator and an operator process of its own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics has failed"
)]

mod acts;
mod canary;
mod crash;
mod credentials;
mod deletion;
mod dialects;
mod election;
mod errors;
mod examples;
mod lifecycle;
mod pairing;
mod scale;

/// The program under test.
const OPERATOR: &str = env!("CARGO_BIN_EXE_whatsapp-operator");
