//! The operator's image and chart on a real node: what an administrator does with helm and kubectl, from nothing to the
//! last trace. `make e2e` runs it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test that panics has failed"
)]

mod cluster;
mod declared;
mod disruption;
mod documents;
mod drift;
mod install;
mod remains;
mod removal;
mod stage;
mod upgrade;
