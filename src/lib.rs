//! Kubernetes operator for the `WhatsApp` sessions of `ActiWAPI`.
//!
//! In reading order: [`api`] is what people declare, [`provider`] the `SaaS`, [`account`] one running tenant of it;
//! [`observe`] looks, [`decide`] is the pure core, [`execute`] acts, and [`controller`] drives them for each object.
//! [`metrics`] counts, [`pairing`] draws codes, [`runtime`] is what any long-running process needs, [`config`] its flags.

pub mod account;
pub mod api;
pub mod config;
pub mod controller;
pub mod decide;
pub mod execute;
pub mod metrics;
pub mod observe;
pub mod pairing;
pub mod provider;
pub mod runtime;
