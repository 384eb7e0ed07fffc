//! What tests, demo and benchmarks stand on.

pub mod assets;
pub mod chart;
pub mod control_plane;
pub mod documents;
pub mod generated;
pub mod gitops;
pub mod helm;
pub mod kubectl;
pub mod node;
pub mod operator;
pub mod process;
mod reference;
pub mod release;
pub mod rights;
pub mod world;

pub use world::World;
