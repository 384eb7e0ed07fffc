//! What the image holds and says of itself.

use std::{collections::BTreeSet, process::Command};

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use serde_json::{Value, json};
use tar::EntryType;

use super::archive::{Image, out};

const LARGEST: u64 = 15_000_000;
pub const AUTHORITIES: &str = "etc/ssl/certs/ca-certificates.crt";

#[test]
#[ignore = "needs the image: make image-check"]
fn holds_the_program_and_what_tls_and_names_need_and_nothing_else() {
    let image = Image::open();
    let entries = image.entries();
    let expected = [
        ("etc", EntryType::Directory, 0o755),
        ("etc/nsswitch.conf", EntryType::Regular, 0o444),
        ("etc/ssl", EntryType::Directory, 0o755),
        ("etc/ssl/certs", EntryType::Directory, 0o755),
        (AUTHORITIES, EntryType::Regular, 0o444),
        ("whatsapp-operator", EntryType::Regular, 0o555),
    ];
    let found: Vec<_> = entries.iter().map(|entry| (entry.path.as_str(), entry.kind, entry.mode & 0o7777)).collect();
    assert_eq!(found, expected);
    assert!(entries.iter().all(|entry| entry.owner == (0, 0)), "{entries:?}");
    assert!(image.size <= LARGEST, "{} bytes are more than {LARGEST}", image.size);
}

#[test]
#[ignore = "needs the image: make image-check"]
fn says_what_it_is_and_runs_as_nobody() {
    let image = Image::open();
    let config = &image.config["config"];
    assert_eq!(config["User"], "65532:65532");
    assert_eq!(config["Entrypoint"], json!(["/whatsapp-operator"]));
    for absent in ["Cmd", "Volumes", "ExposedPorts"] {
        assert_eq!(config[absent], Value::Null, "{absent}");
    }
    let label = |name: &str| config["Labels"][format!("org.opencontainers.image.{name}")].as_str().unwrap_or_default();
    assert_eq!(label("title"), env!("CARGO_PKG_NAME"));
    assert_eq!(label("description"), env!("CARGO_PKG_DESCRIPTION"));
    assert_eq!(label("licenses"), env!("CARGO_PKG_LICENSE"));
    assert_eq!(label("version"), env!("CARGO_PKG_VERSION"));
    let revision = label("revision").trim_end_matches("-dirty");
    assert!(revision.len() == 40 && revision.bytes().all(|byte| byte.is_ascii_hexdigit()), "{revision:?}");
    assert!(image.digest.strip_prefix("sha256:").is_some_and(|hex| hex.len() == 64), "{}", image.digest);
}

#[test]
#[ignore = "needs the image: make image-check"]
fn no_time_in_it_is_later_than_the_commit_it_says_it_was_made_from() {
    let image = Image::open();
    let revision = image.config["config"]["Labels"]["org.opencontainers.image.revision"].as_str().unwrap();
    let commit = revision.trim_end_matches("-dirty");
    let git = Command::new("git").args(["log", "-1", "--format=%ct", commit]).output().unwrap();
    let committed: u64 = String::from_utf8(git.stdout).unwrap().trim().parse().unwrap();
    assert!(image.entries().iter().all(|entry| entry.modified == committed), "{:?}", image.entries());
    let created: k8s_openapi::jiff::Timestamp = image.config["created"].as_str().unwrap().parse().unwrap();
    assert_eq!(created.as_second(), i64::try_from(committed).unwrap());
}

#[test]
#[ignore = "needs the image: make image-check"]
fn holds_the_public_authorities_and_none_of_the_machine_that_built_it() {
    let image = Image::open();
    let pem = image.read(AUTHORITIES);
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&pem).map(Result::unwrap).collect();
    let mut roots = RootCertStore::empty();
    let (usable, unusable) = roots.add_parsable_certificates(certificates.iter().cloned());
    assert!(usable > 100 && unusable == 0, "{usable} usable, {unusable} not");
    for known in ["ISRG Root X1", "DigiCert Global Root G2", "GTS Root R1", "Amazon Root CA 1"] {
        let named = |root: &rustls::pki_types::TrustAnchor| contains(&root.subject, known.as_bytes());
        assert!(roots.roots.iter().any(named), "{known}");
    }
    // What an administrator adds for one machine lies here.
    for added in std::fs::read_dir("/usr/local/share/ca-certificates").into_iter().flatten().flatten() {
        for own in CertificateDer::pem_file_iter(added.path()).into_iter().flatten().flatten() {
            assert!(!certificates.contains(&own), "{} is in the image", added.path().display());
        }
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[test]
#[ignore = "needs the image: make image-check"]
fn the_bill_of_materials_names_what_the_program_is_linked_from_and_not_what_only_tests_need() {
    let path = out().join("whatsapp-operator.cdx.json");
    let bill: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!(bill["bomFormat"], "CycloneDX");
    assert_eq!(bill["metadata"]["component"]["version"], env!("CARGO_PKG_VERSION"));
    let listed: BTreeSet<String> = bill["components"]
        .as_array()
        .unwrap()
        .iter()
        .map(|component| format!("{} {}", component["name"].as_str().unwrap(), component["version"].as_str().unwrap()))
        .collect();
    let tree = |edges: &str| -> BTreeSet<String> {
        let args = ["tree", "--locked", "--package", "whatsapp-operator", "--prefix", "none", "--no-dedupe"];
        let output =
            Command::new(env!("CARGO")).args(args).args(["--format", "{p}", "--edges", edges]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let lines = String::from_utf8(output.stdout).unwrap();
        let crates = lines.lines().filter(|line| !line.starts_with("whatsapp-operator"));
        crates.map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" ").replacen(" v", " ", 1)).collect()
    };
    let linked = tree("normal");
    assert!(linked.len() > 100, "{linked:?}");
    assert_eq!(linked.difference(&listed).collect::<Vec<_>>(), Vec::<&String>::new(), "missing");
    // Without what only tests are built from; what a dependency has switched off may be listed.
    let dev = tree("dev");
    assert!(dev.iter().any(|name| name.starts_with("proptest ")), "{dev:?}");
    let tested = dev.difference(&tree("normal,build")).cloned().collect::<BTreeSet<_>>();
    assert_eq!(listed.intersection(&tested).collect::<Vec<_>>(), Vec::<&String>::new(), "too many");
}
