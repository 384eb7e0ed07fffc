//! Two replicas on a real API server: which of them works, how the work changes hands, and that what they ask of the
//! provider never interleaves.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics has failed"
)]

mod apart;
mod hand_over;
mod link;
mod pair;
mod rest;
mod skew;

/// The program under test.
const OPERATOR: &str = env!("CARGO_BIN_EXE_whatsapp-operator");
