//! Where the programs of the control plane and of the node are.

use std::io;
use std::path::{Path, PathBuf};

use tokio::process::Command;

/// Which programs are needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Set {
    /// etcd, kube-apiserver and kubectl.
    Demo,
    /// The same and kube-controller-manager.
    All,
    /// helm, and nothing of the control plane.
    Helm,
    /// kubelet, kube-proxy, kube-scheduler and the pause program.
    Node,
    /// containerd, its shim and ctr.
    Containerd,
    /// runc.
    Runc,
}

impl Set {
    fn name(self) -> &'static str {
        match self {
            Self::Demo => "demo",
            Self::All => "all",
            Self::Helm => "helm",
            Self::Node => "node",
            Self::Containerd => "containerd",
            Self::Runc => "runc",
        }
    }

    fn door(self) -> &'static str {
        match self {
            Self::Demo | Self::All => "control-plane",
            Self::Helm => "helm",
            Self::Node | Self::Containerd | Self::Runc => "node",
        }
    }
}

/// Why the programs cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Some of them are not on this machine; the text says which and what to do.
    #[error("{0}")]
    Missing(String),
    /// The script that knows the places could not be run.
    #[error("cannot run {path}: {source}", path = path.display())]
    Script {
        /// The script.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
}

/// The top of the repository.
#[must_use]
pub fn repository() -> PathBuf {
    let devkit = Path::new(env!("CARGO_MANIFEST_DIR"));
    devkit.parent().unwrap_or(devkit).to_path_buf()
}

/// The directory that holds the programs of `set`. Nothing is built here, because a test that
/// suddenly takes ten minutes is worse than one that says what to run.
pub async fn find(set: Set) -> Result<PathBuf, Error> {
    let script = repository().join("hack/control-plane/build.sh");
    let output = Command::new(&script)
        .args([set.name(), "--find"])
        .output()
        .await
        .map_err(|source| Error::Script { path: script.clone(), source })?;
    let stdout = String::from_utf8_lossy(&output.stdout);
    match stdout.lines().last() {
        Some(directory) if output.status.success() => Ok(PathBuf::from(directory)),
        _ => {
            let said = String::from_utf8_lossy(&output.stderr);
            let said = said.trim();
            Err(Error::Missing(if said.contains("run `make ") {
                said.to_owned()
            } else {
                format!("the programs were not found, run `make {}`: {said}", set.door())
            }))
        }
    }
}
