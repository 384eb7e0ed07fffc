//! Whoever applies objects from Git: the manifests for Argo CD and Flux, a release that holds sessions only, and whether
//! anything drifts.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics has failed"
)]

mod drift;
mod manifests;
mod release;

const OPERATOR: &str = env!("CARGO_BIN_EXE_whatsapp-operator");
