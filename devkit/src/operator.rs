//! The operator as a process under a guard.

use std::{
    io,
    path::{Path, PathBuf},
    process::ExitStatus,
    time::Duration,
};

use crate::process::{Guard, Managed};

/// How to start it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The program.
    pub binary: PathBuf,
    /// Whose rights it has.
    pub kubeconfig: PathBuf,
    /// Where its log goes; every start appends.
    pub log: PathBuf,
    /// Flags.
    pub args: Vec<String>,
}

/// A running operator. Killed on drop.
#[derive(Debug)]
pub struct Operator {
    process: Managed,
}

impl Operator {
    /// Starts it.
    ///
    /// # Errors
    /// When the process cannot be started.
    pub fn start(guard: &Guard, settings: &Settings) -> io::Result<Self> {
        let process = guard
            .launch("whatsapp-operator", &settings.binary, &settings.log)
            .args(&settings.args)
            .env("KUBECONFIG", &settings.kubeconfig)
            .spawn()?;
        Ok(Self { process })
    }

    /// Whether it runs.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.process.is_alive()
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Ends it as SIGKILL does, in the middle of whatever it is doing.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub fn kill(mut self) -> io::Result<ExitStatus> {
        self.process.kill()
    }

    /// Ends it as a kubelet does, and waits.
    ///
    /// # Errors
    /// When it cannot be signalled or waited for.
    pub async fn stop(mut self, patience: Duration) -> io::Result<ExitStatus> {
        self.process.term_then_kill(patience).await
    }

    /// The last lines of its log.
    #[must_use]
    pub fn log_tail(&self, lines: usize) -> String {
        self.process.log_tail(lines)
    }

    /// Resident memory in KiB, as the kernel counts it.
    #[must_use]
    pub fn resident_kib(&self) -> Option<u64> {
        resident_kib(self.pid())
    }
}

fn resident_kib(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
