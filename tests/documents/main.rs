//! The documents: what they claim is there, and what they tell people to run works.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics has failed"
)]

mod claims;
mod stage;
mod stories;

const README: &str = "README.md";
const INSTALL: &str = "docs/install.md";
const EXAMPLES: &str = "examples/README.md";
