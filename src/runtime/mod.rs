//! What any long-running process needs. Knows nothing of accounts and sessions.

pub mod http;
pub mod lease;
pub mod readiness;
pub mod shutdown;
pub mod supervisor;
pub mod telemetry;

pub use lease::Leadership;
pub use readiness::Readiness;
pub use supervisor::Supervisor;
