//! What tests, demo and benchmarks stand on.

pub mod assets;
pub mod control_plane;
pub mod generated;
pub mod process;
mod reference;
