//! The pinned helm.

use std::{
    io,
    path::Path,
    process::{Output, Stdio},
};

use tokio::process::Command;

use crate::assets;

/// Why helm said nothing useful.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is not on this machine.
    #[error(transparent)]
    Assets(#[from] assets::Error),
    /// It could not be run.
    #[error("cannot run helm: {0}")]
    Io(#[from] io::Error),
    /// It did not succeed.
    #[error("helm {args}: {said}")]
    Failed {
        /// Its arguments.
        args: String,
        /// Its standard error.
        said: String,
    },
}

/// Runs it, with a cluster or without.
pub async fn run(kubeconfig: Option<&Path>, args: &[&str]) -> Result<Output, Error> {
    let mut command = Command::new(assets::find(assets::Set::Helm).await?.join("helm"));
    // Nothing that the machine's own helm has may matter.
    command.args(args).env("HELM_PLUGINS", "/nonexistent").env_remove("KUBECONFIG");
    if let Some(path) = kubeconfig {
        command.env("KUBECONFIG", path);
    }
    Ok(command.stdin(Stdio::null()).kill_on_drop(true).output().await?)
}

/// Runs it and returns what it printed. Everything but success is an error.
pub async fn output(kubeconfig: Option<&Path>, args: &[&str]) -> Result<String, Error> {
    let output = run(kubeconfig, args).await?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Error::Failed { args: args.join(" "), said })
}
