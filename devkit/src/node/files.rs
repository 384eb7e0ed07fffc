//! What the programs of a node read, and where they keep what they write.

use std::{
    fmt::Write as _,
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};

use super::{Error, failed};

/// What a Pod's namespaces are held open by.
const PAUSE_IMAGE: &str = "localhost/pause:1";
/// Where distributions have the plugins that wire up Pods.
const CNI_PLUGINS: &str = "'/usr/lib/cni', '/usr/libexec/cni', '/opt/cni/bin'";

/// Where everything is inside the directory of one node.
pub(super) struct Files {
    pub(super) containerd: PathBuf,
    pub(super) kubelet: PathBuf,
    pub(super) pause: PathBuf,
    pub(super) logs: PathBuf,
    /// A file system of its own once the node runs.
    pub(super) data: PathBuf,
    pub(super) socket: PathBuf,
    networks: PathBuf,
}

impl Files {
    pub(super) fn new(directory: &Path) -> Self {
        let data = directory.join("data");
        Self {
            containerd: directory.join("containerd.toml"),
            kubelet: directory.join("kubelet.json"),
            pause: directory.join("pause"),
            logs: directory.join("logs"),
            socket: data.join("containerd.sock"),
            networks: directory.join("networks"),
            data,
        }
    }

    /// Makes the directories.
    pub(super) fn prepare(&self) -> Result<(), Error> {
        [&self.pause, &self.logs, &self.data, &self.networks]
            .into_iter()
            .try_for_each(fs::create_dir_all)
            .map_err(failed("cannot make the directories of the node"))
    }

    /// Writes what containerd and kubelet read: the control group of all Pods, the node's address and the Pods' network.
    pub(super) fn write(&self, runc: &Path, cgroup: &str, address: Ipv4Addr, pods: &str) -> Result<(), Error> {
        fs::write(&self.containerd, self.containerd_config(runc))
            .and_then(|()| fs::write(self.networks.join("10-pods.conflist"), self.network(pods).to_string()))
            .and_then(|()| fs::write(&self.kubelet, self.kubelet_config(address, cgroup).to_string()))
            .map_err(failed("cannot write the files of the node"))
    }

    fn containerd_config(&self, runc: &Path) -> String {
        let (root, state) = (self.data.join("images"), self.data.join("containers"));
        let [root, state, socket, networks, runc] =
            [&root, &state, &self.socket, &self.networks, runc].map(|path| path.to_string_lossy());
        format!(
            "\
version = 3
root = '{root}'
state = '{state}'
[grpc]
address = '{socket}'
[plugins.'io.containerd.cri.v1.images'.pinned_images]
sandbox = '{PAUSE_IMAGE}'
[plugins.'io.containerd.cri.v1.runtime']
# Where CAP_SYS_RESOURCE is missing, scores cannot be lowered.
restrict_oom_score_adj = true
netns_mounts_under_state_dir = true
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
runtime_type = 'io.containerd.runc.v2'
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
BinaryName = '{runc}'
[plugins.'io.containerd.cri.v1.runtime'.cni]
bin_dirs = [{CNI_PLUGINS}]
conf_dir = '{networks}'
"
        )
    }

    fn network(&self, pods: &str) -> Value {
        json!({
            "cniVersion": "1.0.0",
            "name": "pods",
            "plugins": [
                {
                    "type": "bridge",
                    "bridge": "pods",
                    "isGateway": true,
                    "ipMasq": true,
                    "hairpinMode": true,
                    "ipam": {
                        "type": "host-local",
                        "dataDir": self.data.join("addresses"),
                        "ranges": [[{"subnet": pods}]],
                        "routes": [{"dst": "0.0.0.0/0"}],
                    },
                },
                {"type": "portmap", "capabilities": {"portMappings": true}},
            ],
        })
    }

    fn kubelet_config(&self, address: Ipv4Addr, cgroup: &str) -> Value {
        json!({
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": address,
            // Only this machine reaches that address.
            "authentication": {"anonymous": {"enabled": true}, "webhook": {"enabled": false}},
            "authorization": {"mode": "AlwaysAllow"},
            "containerRuntimeEndpoint": format!("unix://{}", self.socket.display()),
            "podLogsDir": self.data.join("pod-logs"),
            "volumePluginDir": self.data.join("volume-plugins"),
            // Pods ask nobody for names.
            "resolvConf": "",
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": format!("/{cgroup}"),
            "cgroupsPerQOS": true,
            "enforceNodeAllocatable": [],
            "failCgroupV1": false,
            "failSwapOn": false,
            "localStorageCapacityIsolation": false,
            // A machine that builds at the same time is full now and then, and that is none of the Pods' business.
            "evictionHard": {
                "memory.available": "0%", "nodefs.available": "0%", "nodefs.inodesFree": "0%", "imagefs.available": "0%",
            },
            "imageGCHighThresholdPercent": 100,
            "imageGCLowThresholdPercent": 99,
        })
    }

    /// Packs the pause program of `programs` as an image: one layer with one file, as `docker save` would write it.
    pub(super) fn pack_pause(&self, programs: &Path) -> Result<PathBuf, Error> {
        let layer = self.pause.join("layer.tar");
        tar(&layer, programs, &["pause"])?;
        let content = fs::read(&layer).map_err(failed("cannot read the layer of the pause image"))?;
        let digest = ring::digest::digest(&ring::digest::SHA256, &content);
        let digest = digest.as_ref().iter().fold(String::from("sha256:"), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        });
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        let config = json!({
            "architecture": architecture, "os": "linux",
            "config": {"Entrypoint": ["/pause"]},
            "rootfs": {"type": "layers", "diff_ids": [digest]},
        });
        let manifest = json!([{"Config": "config.json", "RepoTags": [PAUSE_IMAGE], "Layers": ["layer.tar"]}]);
        fs::write(self.pause.join("config.json"), config.to_string())
            .and_then(|()| fs::write(self.pause.join("manifest.json"), manifest.to_string()))
            .map_err(failed("cannot write the pause image"))?;
        let archive = self.pause.join("pause.tar");
        tar(&archive, &self.pause, &["manifest.json", "config.json", "layer.tar"])?;
        Ok(archive)
    }
}

fn tar(archive: &Path, directory: &Path, names: &[&str]) -> Result<(), Error> {
    let what = || format!("cannot pack {}", archive.display());
    let mut command = Command::new("tar");
    let output =
        command.arg("-cf").arg(archive).arg("-C").arg(directory).args(names).output().map_err(failed(what()))?;
    if output.status.success() {
        return Ok(());
    }
    Err(failed(what())(std::io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned())))
}
