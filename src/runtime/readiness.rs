//! Whether this process can work yet, and why not.

use std::sync::{Mutex, PoisonError};

/// Told by whoever starts, asked by a probe.
#[derive(Debug)]
pub struct Readiness(Mutex<Result<&'static str, &'static str>>);

impl Readiness {
    /// Not ready, because of this.
    #[must_use]
    pub fn new(why_not: &'static str) -> Self {
        Self(Mutex::new(Err(why_not)))
    }

    fn set(&self, to: Result<&'static str, &'static str>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = to;
    }

    /// Not ready, because of this.
    pub fn not_yet(&self, why_not: &'static str) {
        self.set(Err(why_not));
    }

    /// Ready, and for what.
    pub fn ready(&self, how: &'static str) {
        self.set(Ok(how));
    }

    /// Whether it is, and how, or why not.
    ///
    /// # Errors
    /// The reason why it is not.
    pub fn get(&self) -> Result<&'static str, &'static str> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
