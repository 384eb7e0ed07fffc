//! Operator.
pub mod account;
pub mod api;
pub mod decide;
pub mod pairing;
pub mod provider;
