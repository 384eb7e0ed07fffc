//! How a call to Kubernetes can fail.

use std::{future::Future, time::Duration};

use tokio::{sync::Semaphore, time::timeout};

/// No call to Kubernetes takes longer. Wall seconds.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Calls to Kubernetes at once. The client opens a connection for each, and reconciles are not bounded, because most
/// of them wait for the provider.
static SLOTS: Semaphore = Semaphore::const_new(64);

/// Why a step could not be finished.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The object changed since the plan was made: it is read again and decided anew.
    #[error("the object has changed meanwhile")]
    Conflict,
    /// Kubernetes did not do it.
    #[error("{what}: {trouble}")]
    Kubernetes {
        /// What was tried.
        what: &'static str,
        /// What came of it.
        trouble: Trouble,
    },
}

/// How one call failed.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// No answer in time.
    #[error("no answer from Kubernetes within 10 s")]
    Timeout,
    /// An answer, or no connection.
    #[error("{0}")]
    Client(#[from] Box<kube::Error>),
}

impl Trouble {
    /// The status of an answer.
    #[must_use]
    pub fn status(&self) -> Option<&kube::core::Status> {
        match self {
            Self::Client(error) => match &**error {
                kube::Error::Api(status) => Some(status),
                _ => None,
            },
            Self::Timeout => None,
        }
    }

    /// There is no such object, or no such kind, of which the API server says so without a reason.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.status().is_some_and(|status| status.code == 404)
    }

    /// Another version is stored than the one that was sent.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        self.status().is_some_and(|status| status.code == 409 && status.reason == "Conflict")
    }

    /// An object of that name exists.
    #[must_use]
    pub fn already_exists(&self) -> bool {
        self.status().is_some_and(|status| status.reason == "AlreadyExists")
    }

    /// What was sent cannot be stored, or a `test` of a JSON patch failed.
    #[must_use]
    pub fn is_invalid(&self) -> bool {
        self.status().is_some_and(|status| status.code == 422)
    }

    /// Names what was tried.
    #[must_use]
    pub fn during(self, what: &'static str) -> Problem {
        Problem::Kubernetes { what, trouble: self }
    }
}

/// One call, with a timeout that begins when it is its turn.
///
/// # Errors
/// The call's, or [`Trouble::Timeout`].
pub async fn within<T>(call: impl Future<Output = Result<T, kube::Error>>) -> Result<T, Trouble> {
    // It is never closed; without a slot the call would be made all the same.
    let _slot = SLOTS.acquire().await;
    match timeout(PATIENCE, call).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(Trouble::Client(Box::new(error))),
        Err(_) => Err(Trouble::Timeout),
    }
}
