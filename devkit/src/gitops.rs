//! The kinds of Argo CD and Flux.

use std::path::PathBuf;

use tokio::process::Command;

use crate::assets;

/// The directory of their schemas as the API server takes them, fetched once per machine.
///
/// # Errors
/// What the script said.
pub async fn schemas() -> Result<PathBuf, String> {
    let script = assets::repository().join("hack/gitops/schemas.sh");
    let output = Command::new(&script).kill_on_drop(true).output().await;
    let output = output.map_err(|error| format!("{}: {error}", script.display()))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().into());
    }
    Err(format!("{}: {}", script.display(), String::from_utf8_lossy(&output.stderr).trim()))
}
