//! A real node on this machine: kubelet, containerd and runc behind a control plane, so that Pods really run. It needs
//! root on Linux.

mod files;
mod namespaces;

use std::{
    fmt::Write as _,
    net::Ipv4Addr,
    path::{Path, PathBuf},
};

use k8s_openapi::api::core::v1;
use kube::Api;

use self::{files::Files, namespaces::Namespaces};
use crate::{
    assets,
    control_plane::{self, ControlPlane, failed, until_ready},
    process::{Guard, Managed, TempDir},
};

pub use crate::control_plane::Error;

const NAME: &str = "node";

/// A running node and its control plane. Nothing of it is left when this is dropped, and at the latest when this process
/// ends.
#[derive(Debug)]
pub struct Node {
    // The namespaces go first, and with them everything that runs inside.
    namespaces: Namespaces,
    programs: Vec<Managed>,
    ctr: PathBuf,
    plane: ControlPlane,
    // Holds the guard, whose end removes the control groups.
    directory: TempDir,
}

impl Node {
    /// Starts one and returns when it takes Pods.
    ///
    /// # Errors
    /// When the programs are not there, or this machine does not allow it; the text says what was tried.
    pub async fn start() -> Result<Self, Error> {
        let programs = assets::find(assets::Set::Node).await?;
        let of_containers = assets::find(assets::Set::Containerd).await?;
        let runc = assets::find(assets::Set::Runc).await?.join("runc");

        let guard = Guard::new().map_err(failed("cannot start the guard"))?;
        let directory =
            guard.temp_dir("whatsapp-operator-node-").map_err(failed("cannot make a temporary directory"))?;
        let files = Files::new(directory.path());
        files.prepare()?;
        let pause = files.pack_pause(&programs)?;
        let cgroup = format!("whatsapp-operator-node-{}", std::process::id());
        guard.owns_cgroups(&cgroup).map_err(failed("cannot talk to the guard"))?;
        let namespaces = Namespaces::start(&guard, &files.data, &cgroup, &files.logs.join("namespaces.log")).await?;
        files.write(&runc, &cgroup, namespaces.inside, &namespaces.pods)?;

        let options = control_plane::Options {
            with_controller_manager: true,
            address: Some(namespaces.outside),
            ..control_plane::Options::default()
        };
        let plane = ControlPlane::start(options).await?;
        let log = |name: &str| files.logs.join(format!("{name}.log"));
        let kubeconfig = format!("--kubeconfig={}", plane.kubeconfig_path().display());

        let ctr = of_containers.join("ctr");
        let mut containerd = namespaces
            .launch(&guard, &of_containers.join("containerd"), &log("containerd"))
            .arg("--config")
            .arg(&files.containerd)
            .spawn()
            .map_err(failed("cannot start containerd"))?;
        let address = format!("--address={}", files.socket.display());
        until_ready(&mut containerd, async || {
            namespaces.run(&ctr, &[&address, "version"]).await.map(drop).map_err(|error| error.to_string())
        })
        .await?;

        let kubelet = namespaces
            .launch(&guard, &programs.join("kubelet"), &log("kubelet"))
            .arg(&kubeconfig)
            .arg(format!("--config={}", files.kubelet.display()))
            .arg(format!("--root-dir={}", files.data.join("kubelet").display()))
            .arg(format!("--cert-dir={}", files.data.join("certificates").display()))
            .arg(format!("--node-ip={}", namespaces.inside))
            .arg(format!("--hostname-override={NAME}"))
            .spawn()
            .map_err(failed("cannot start kubelet"))?;
        let proxy = namespaces
            .launch(&guard, &programs.join("kube-proxy"), &log("kube-proxy"))
            .arg(&kubeconfig)
            .arg(format!("--hostname-override={NAME}"))
            .arg(format!("--cluster-cidr={}", namespaces.pods))
            // What it would set holds for the whole machine.
            .args(["--proxy-mode=iptables", "--conntrack-max-per-core=0"])
            .spawn()
            .map_err(failed("cannot start kube-proxy"))?;
        let scheduler = guard
            .launch("kube-scheduler", programs.join("kube-scheduler"), log("kube-scheduler"))
            .arg(&kubeconfig)
            .args(["--leader-elect=false", "--secure-port=0"])
            .spawn()
            .map_err(failed("cannot start kube-scheduler"))?;

        let programs = vec![containerd, kubelet, proxy, scheduler];
        let mut node = Self { namespaces, programs, ctr, plane, directory };
        node.import(&pause).await?;
        node.until_it_takes_pods().await?;
        Ok(node)
    }

    async fn until_it_takes_pods(&mut self) -> Result<(), Error> {
        let nodes: Api<v1::Node> = Api::all(self.plane.client()?);
        let takes_pods = async || {
            let node = nodes.get(NAME).await.map_err(|error| error.to_string())?;
            let conditions = node.status.into_iter().flat_map(|status| status.conditions.unwrap_or_default());
            let ready = conditions.into_iter().find(|condition| condition.type_ == "Ready");
            match ready {
                Some(ready) if ready.status == "True" => Ok(()),
                Some(ready) => Err(ready.message.unwrap_or_default()),
                None => Err("is not registered".to_owned()),
            }
        };
        for program in &mut self.programs {
            until_ready(program, &takes_pods).await?;
        }
        Ok(())
    }

    /// Its control plane.
    #[must_use]
    pub fn plane(&self) -> &ControlPlane {
        &self.plane
    }

    /// The address at which Pods reach this machine. Nobody else does.
    #[must_use]
    pub fn host(&self) -> Ipv4Addr {
        self.namespaces.outside
    }

    /// Loads an archive of images, as `docker save` and buildah write it.
    ///
    /// # Errors
    /// When containerd does not take it.
    pub async fn import(&self, archive: &Path) -> Result<(), Error> {
        self.images(&["import", &archive.to_string_lossy()]).await.map(drop)
    }

    /// Gives an image a second name. Both may be as short as in a Pod.
    ///
    /// # Errors
    /// When there is no such image.
    pub async fn tag(&self, image: &str, name: &str) -> Result<(), Error> {
        // What a name without a registry stands for, to containerd as to a kubelet.
        let whole = |name: &str| if name.contains('/') { name.to_owned() } else { format!("docker.io/library/{name}") };
        self.images(&["tag", "--force", &whole(image), &whole(name)]).await.map(drop)
    }

    async fn images(&self, args: &[&str]) -> Result<String, Error> {
        let address = format!("--address={}", Files::new(self.directory.path()).socket.display());
        self.namespaces.run(&self.ctr, &[&[&address, "--namespace=k8s.io", "images"], args].concat()).await
    }

    /// The last lines of the logs of its own programs, to be shown when something is odd.
    #[must_use]
    pub fn log_tail(&self, lines: usize) -> String {
        let mut text = String::new();
        for program in &self.programs {
            let _ = writeln!(text, "--- {}\n{}", program.name(), program.log_tail(lines));
        }
        text
    }
}
