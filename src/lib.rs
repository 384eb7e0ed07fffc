//! Operator.
pub mod provider;
pub mod pairing;
