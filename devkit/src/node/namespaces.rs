//! The Linux namespaces that a node lives in. Its processes, containers, mounts, iptables chains and networks are all in
//! there, so that they end with the first process in it, and the machine outside has none of them at any time.

use std::{io, net::Ipv4Addr, path::Path};

use tokio::process::Command;

use super::NAME;
use crate::{
    control_plane::{Error, failed, until_ready},
    process::{Guard, Launch, Managed},
};

/// The first process of a node. It says under which number the machine knows it before it hides the others, and collects
/// what is orphaned.
///
/// The directories that no flag moves elsewhere are covered, and `$1` holds everything else. All Pods are in the control
/// group `$2`.
const INIT_SCRIPT: &str = r#"
set -e
read -r number rest </proc/self/stat
mount --make-rshared /
mount -t proc proc /proc
for directory in /run /var/log "$1"; do
  mount -t tmpfs node "$directory"
done
# One hierarchy in version 2, one for each controller in version 1.
if [ -e /sys/fs/cgroup/cgroup.procs ]; then tops=/sys/fs/cgroup; else tops=/sys/fs/cgroup/*; fi
for top in $tops; do
  mkdir -p "$top/$2"
done
ip link set lo up
echo 1 >/proc/sys/net/ipv4/ip_forward
echo "ready $number"
while :; do
  sleep 1000 &
  wait
done
"#;

/// Networks of 128 addresses in a range that nobody has, because it is reserved for measurements. The upper half of one is
/// for Pods.
const RANGE: u32 = u32::from_be_bytes([198, 18, 0, 0]);
const NETWORKS: u32 = 1 << 10;
const SIZE: u32 = 1 << 7;

/// Namespaces and the wire that leads into them.
#[derive(Debug)]
pub(super) struct Namespaces {
    init: Managed,
    number: String,
    /// The end of the wire on this machine.
    pub(super) outside: Ipv4Addr,
    /// The end of the wire in the node.
    pub(super) inside: Ipv4Addr,
    /// Where the Pods are, which this machine reaches too.
    pub(super) pods: String,
}

impl Namespaces {
    /// Makes them; `data` is an empty directory that becomes the node's own, `cgroup` is a name that nobody has.
    pub(super) async fn start(guard: &Guard, data: &Path, cgroup: &str, log: &Path) -> Result<Self, Error> {
        let separate =
            ["--mount", "--net", "--pid", "--ipc", "--uts", "--fork", "--kill-child", "--propagation=private"];
        let mut init = guard
            .launch("namespaces", "unshare", log)
            .args(separate)
            .args(["--", "sh", "-c", INIT_SCRIPT, "init"])
            .arg(data)
            .arg(cgroup)
            .spawn()
            .map_err(failed("cannot run unshare"))?;
        let said = log.to_path_buf();
        let number = || {
            let text = std::fs::read_to_string(&said).unwrap_or_default();
            text.lines().find_map(|line| line.strip_prefix("ready ")).map(str::to_owned)
        };
        until_ready(&mut init, async || number().map(drop).ok_or_else(|| "is not set up".to_owned())).await?;
        let number = number().unwrap_or_default();
        // Those of the node of another process are others, as long as the two are not exactly so many processes apart.
        let network = RANGE + SIZE * (std::process::id() % NETWORKS);
        let [outside, inside, pods] = [1, 2, SIZE / 2].map(|number| Ipv4Addr::from(network + number));
        let namespaces = Self { init, number, outside, inside, pods: format!("{pods}/26") };
        namespaces.connect().await?;
        Ok(namespaces)
    }

    /// A wire between this machine and the node. It goes with either of its ends.
    async fn connect(&self) -> Result<(), Error> {
        let wire = format!("node{}", self.init.pid());
        let (outside, inside) = (format!("{}/30", self.outside), format!("{}/30", self.inside));
        let (here, there) = (self.outside.to_string(), self.inside.to_string());
        run(&["ip", "link", "add", &wire, "type", "veth", "peer", "name", "eth0", "netns", &self.number]).await?;
        run(&["ip", "address", "add", &outside, "dev", &wire]).await?;
        run(&["ip", "link", "set", &wire, "up"]).await?;
        let enter = ["nsenter", "--target", &self.number, "--net", "--", "ip"];
        run(&[&enter[..], &["address", "add", &inside, "dev", "eth0"]].concat()).await?;
        run(&[&enter[..], &["link", "set", "eth0", "up"]].concat()).await?;
        run(&[&enter[..], &["route", "add", "default", "via", &here]].concat()).await?;
        run(&["ip", "route", "add", &self.pods, "via", &there]).await.map(drop)
    }

    /// A program inside.
    pub(super) fn launch(&self, guard: &Guard, program: &Path, log: &Path) -> Launch {
        let name = program.file_name().unwrap_or_default().to_string_lossy();
        guard.launch(&name, "nsenter", log).args(self.enter()).arg(program)
    }

    /// A program inside that ends soon; its output.
    pub(super) async fn run(&self, program: &Path, args: &[&str]) -> Result<String, Error> {
        let program = program.to_string_lossy();
        run(&[&["nsenter"], self.enter().as_slice(), &[&program], args].concat()).await
    }

    fn enter(&self) -> [&str; 8] {
        ["--target", &self.number, "--mount", "--net", "--pid", "--ipc", "--uts", "--"]
    }
}

async fn run(words: &[&str]) -> Result<String, Error> {
    let what = || format!("{NAME}: {}", words.join(" "));
    let (program, args) = words.split_first().ok_or_else(|| failed(what())(io::ErrorKind::InvalidInput.into()))?;
    let output = Command::new(program).args(args).kill_on_drop(true).output().await.map_err(failed(what()))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(failed(what())(io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned())))
}
