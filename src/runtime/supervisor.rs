//! Owns every task that lives as long as the process: one that ends unasked ends the process, instead of leaving a
//! process that looks alive and does half its work.

use std::{future::Future, time::Duration};

use tokio::{task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;

/// Why the process ends.
#[derive(Debug, thiserror::Error)]
pub enum Ended {
    /// A task returned although nobody asked it to.
    #[error("the task {0} ended unexpectedly")]
    Unexpectedly(&'static str),
    /// A task panicked.
    #[error("a task panicked")]
    Panicked,
}

/// The tasks of this process.
pub struct Supervisor {
    tasks: JoinSet<&'static str>,
    stop: CancellationToken,
}

impl Supervisor {
    /// Tasks under this supervisor are expected to end once `stop` is cancelled, and not before.
    #[must_use]
    pub fn new(stop: CancellationToken) -> Self {
        Self { tasks: JoinSet::new(), stop }
    }

    /// Starts a task.
    pub fn spawn(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(async move {
            task.await;
            name
        });
    }

    /// Waits until a task ends unasked: for what is done before [`Supervisor::run`].
    pub async fn fault(&mut self) -> Ended {
        match self.tasks.join_next().await {
            Some(ended) => ended.map_or(Ended::Panicked, Ended::Unexpectedly),
            None => std::future::pending().await,
        }
    }

    /// Waits until `stop`, then for the tasks to end, at most `grace` long; whether they did.
    ///
    /// # Errors
    /// When a task ended before it was asked to.
    pub async fn run(mut self, grace: Duration) -> Result<bool, Ended> {
        let stop = self.stop.clone();
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            ended = self.fault() => return Err(ended),
        }
        let drained = async { while self.tasks.join_next().await.is_some() {} };
        let ended = timeout(grace, drained).await.is_ok();
        if !ended {
            tracing::warn!(?grace, "not everything ended in time; what was begun is found again after the next start");
        }
        Ok(ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_task_that_ends_unasked_ends_the_process() {
        let mut supervisor = Supervisor::new(CancellationToken::new());
        supervisor.spawn("steady", std::future::pending());
        supervisor.spawn("fleeting", async {});
        let ended = supervisor.run(Duration::from_secs(1)).await;
        assert!(matches!(ended, Err(Ended::Unexpectedly("fleeting"))), "{ended:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_end_does_not_keep_the_process() {
        let stop = CancellationToken::new();
        let mut supervisor = Supervisor::new(stop.clone());
        supervisor.spawn("stubborn", std::future::pending());
        stop.cancel();
        assert!(!supervisor.run(Duration::from_secs(1)).await.unwrap());
    }
}
