//! One running account against a scripted provider, in virtual time: what it calls, how often, and when.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

mod rig;
mod script;

mod health;
mod pace;
mod stream;
mod sweep;
mod token;
