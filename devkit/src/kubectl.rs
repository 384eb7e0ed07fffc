//! kubectl as somebody.

use std::{
    io,
    path::PathBuf,
    process::{Output, Stdio},
};

use tokio::{io::AsyncWriteExt as _, process::Command};

/// A kubectl and whose rights it has.
#[derive(Clone, Debug)]
pub struct Kubectl {
    /// The program; a bare name is looked for in `PATH`.
    pub program: PathBuf,
    /// Whose rights it has.
    pub kubeconfig: PathBuf,
    /// Where it remembers what an API server serves. It goes by address, which the next control plane may have as well.
    pub cache: PathBuf,
}

impl Kubectl {
    /// Runs it with `input` to read.
    ///
    /// # Errors
    /// When it cannot be started or read from.
    pub async fn run(&self, args: &[&str], input: &str) -> io::Result<Output> {
        let mut child = Command::new(&self.program)
            .args(args)
            .env("KUBECONFIG", &self.kubeconfig)
            .env("KUBECACHEDIR", &self.cache)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let stdin = child.stdin.take();
        let write = async move {
            if let Some(mut stdin) = stdin {
                // kubectl may end without reading all of it; its exit status tells more then.
                let _ = stdin.write_all(input.as_bytes()).await;
            }
        };
        let ((), output) = tokio::join!(write, child.wait_with_output());
        output
    }

    /// What it printed, or what it complained about.
    ///
    /// # Errors
    /// Its standard error, trimmed, when it did not succeed.
    pub fn said(output: &Output) -> Result<String, String> {
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
        }
    }
}
