//! The program in its image, as a Pod has it: no file to write, no other program, its own resolver and authorities.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use devkit::{World, world::Options};
use serde_json::json;
use tempfile::TempDir;
use whatsapp_operator::{api::WhatsAppAccount, provider::reach::UNKNOWN_AUTHORITY};

use super::{
    archive::Image,
    contents::AUTHORITIES,
    servers::{Dns, Tls},
};

/// As the API server is called in every cluster, which its certificate knows.
const API_SERVER: &str = "kubernetes.default.svc";

/// An image laid out, with the files that a container runtime adds.
struct Room {
    directory: TempDir,
}

impl Room {
    fn of(image: &Image) -> Self {
        let user = Command::new("id").arg("-u").output().unwrap();
        assert_eq!(user.stdout, b"0\n", "only root can enter the image's file system: run this as root, on Linux");
        let room = Self { directory: tempfile::tempdir().unwrap() };
        fs::set_permissions(room.directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::create_dir_all(room.path("etc/ssl/certs")).unwrap();
        image.unpack(&room.path("root"));
        room
    }

    /// Lays a file over the image's, which gets an empty one if it has none.
    fn lay(&self, file: &str, text: &str) {
        fs::write(self.path(file), text).unwrap();
        let place = self.path("root").join(file);
        if !place.exists() {
            fs::write(place, "").unwrap();
        }
    }

    fn path(&self, part: &str) -> PathBuf {
        self.directory.path().join(part)
    }

    /// A program that takes the operator's arguments and is the operator in here.
    fn program(&self) -> PathBuf {
        let enter = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/image/enter.sh");
        let path = self.path("operator");
        let (root, etc) = (self.path("root"), self.path("etc"));
        let script = format!(
            "#!/bin/sh\nROOT={} ETC={} API_SERVER={API_SERVER} exec {} \"$@\"\n",
            root.display(),
            etc.display(),
            enter.display()
        );
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }
}

#[test]
#[ignore = "needs the image: make image-check"]
fn tells_its_version_where_nothing_can_be_written() {
    let room = Room::of(&Image::open());
    let output = Command::new(room.program()).arg("--version").env("KUBECONFIG", "/dev/null").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), concat!("whatsapp-operator ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the image: make image-check"]
async fn names_lead_where_dns_and_hosts_say_and_only_known_authorities_are_believed() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let image = Image::open();
    let room = Room::of(&image);
    let options = Options { without_operator: true, ..Options::default() };
    let mut world = World::with(room.program().to_str().unwrap(), options).await;
    let behind = world.sim.base_url().trim_start_matches("http://").trim_end_matches('/').parse().unwrap();
    let names = ["dns.provider.test", "hosts.provider.test"];
    let (known, unknown) = (Tls::start(&names, behind).await, Tls::start(&names, behind).await);
    let dns = Dns::start(&["kubernetes.default.svc.cluster.local", "dns.provider.test"]).await;
    // As in a Pod.
    let search = "default.svc.cluster.local svc.cluster.local cluster.local";
    room.lay("etc/resolv.conf", &format!("nameserver {}\nsearch {search}\noptions ndots:5\n", dns.address));
    room.lay("etc/hosts", "127.0.0.1 localhost\n127.0.0.1 hosts.provider.test\n");
    let authorities = String::from_utf8(image.read(AUTHORITIES)).unwrap();
    room.lay(AUTHORITIES, &format!("{authorities}{}", known.authority));
    world.start_operator();

    for (account, host, tls) in [
        ("by-dns", "dns.provider.test", &known),
        ("by-hosts", "hosts.provider.test", &known),
        ("unknown-authority", "dns.provider.test", &unknown),
        ("unknown-name", "nowhere.provider.test", &known),
    ] {
        let url = format!("https://{host}:{}", tls.port);
        world.account(account, "demo", json!({"baseUrl": url})).await;
    }
    for account in ["by-dns", "by-hosts"] {
        for works in ["Ready", "EventsConnected"] {
            world.until(account, works, |account: &WhatsAppAccount| told(account, works, "True", "")).await;
        }
    }
    for (account, says) in [("unknown-authority", UNKNOWN_AUTHORITY), ("unknown-name", "could not be reached")] {
        world.until(account, says, |account: &WhatsAppAccount| told(account, "Ready", "False", says)).await;
    }
    for name in ["kubernetes.default.svc.cluster.local", "dns.provider.test", "nowhere.provider.test"] {
        assert!(dns.was_asked(name), "{name}");
    }
}

/// Whether a condition stands so and contains these words.
fn told(account: &WhatsAppAccount, kind: &str, status: &str, says: &str) -> bool {
    let conditions = account.status.iter().flat_map(|status| &status.conditions);
    conditions.into_iter().any(|c| c.type_ == kind && c.status == status && c.message.contains(says))
}
