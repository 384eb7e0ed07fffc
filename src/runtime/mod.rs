//! What any long-running process needs. Knows nothing of accounts and sessions.

pub mod shutdown;
pub mod supervisor;
pub mod telemetry;

pub use supervisor::Supervisor;
