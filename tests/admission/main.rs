//! What a real API server takes and refuses, and what it says then: the CRDs, their rules and defaults, the columns of
//! kubectl, and every example.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod accepted;
mod cluster;
mod defaults;
mod examples;
mod immutable;
mod kubectl;
mod refused;
