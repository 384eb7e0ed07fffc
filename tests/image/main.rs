//! The image that `make image` left in `target/image/`: what is in it, and that names and certificates work inside.
//! `make image-check` runs this; `cargo test` alone says that it did not, because the image must be built first.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics has failed"
)]

mod archive;
#[path = "../support/authority.rs"]
mod authority;
mod contents;
mod inside;
mod servers;
