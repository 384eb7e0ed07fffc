//! Lets things happen by themselves when they are due.

use super::handle::Handle;

/// Runs on tokio's clock, so that tests can pause it.
pub(super) async fn run(handle: Handle) {
    let mut due = handle.tick();
    loop {
        let wait = async {
            match due {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        due = tokio::select! {
            () = wait => handle.tick(),
            () = handle.rescheduled() => handle.next_due(),
        };
    }
}
