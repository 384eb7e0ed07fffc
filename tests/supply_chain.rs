//! What is built from elsewhere is what it was when somebody looked.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that panics has failed")]

use std::{collections::BTreeSet, fs, path::PathBuf};

use devkit::assets;

const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

fn text(path: &str) -> String {
    fs::read_to_string(assets::repository().join(path)).unwrap()
}

/// A quoted value of a package in the lock file.
fn value<'a>(package: &'a str, key: &str) -> Option<&'a str> {
    package.lines().find_map(|line| line.strip_prefix(&format!("{key} = \""))?.strip_suffix('"'))
}

#[test]
fn every_crate_is_pinned_by_a_checksum() {
    let lock = text("Cargo.lock");
    let packages: Vec<&str> = lock.split("[[package]]").skip(1).collect();
    assert!(packages.len() > 100, "{} packages", packages.len());
    let mut own = BTreeSet::new();
    for package in packages {
        let name = value(package, "name").unwrap();
        match value(package, "source") {
            None => drop(own.insert(name)),
            Some(source) => {
                assert_eq!(source, REGISTRY, "{name}");
                assert_eq!(value(package, "checksum").map(str::len), Some(64), "{name}");
            }
        }
    }
    assert_eq!(own, BTreeSet::from(["actiwapi-sim", "whatsapp-operator", "whatsapp-operator-devkit"]));
}

/// The modules that a go.mod requires and does not replace, with their versions.
fn required(module: &str) -> BTreeSet<(&str, &str)> {
    let mut found = BTreeSet::new();
    let mut within = false;
    for line in module.lines() {
        let mut words = line.split_whitespace().take_while(|word| !word.starts_with("//"));
        match (words.next(), words.next(), words.next()) {
            (Some("require"), Some("("), None) => within = true,
            (Some(")"), None, None) => within = false,
            (Some("require"), Some(name), Some(version)) => drop(found.insert((name, version))),
            (Some(name), Some(version), None) if within => drop(found.insert((name, version))),
            _ => {}
        }
    }
    found.retain(|(name, _)| !module.contains(&format!("{name} => ")));
    found
}

#[test]
fn every_base_of_the_image_is_pinned_by_a_digest() {
    let dockerfile = text("Dockerfile");
    let argument = |name: &str| dockerfile.lines().find_map(|line| line.strip_prefix(&format!("ARG {name}=")));
    let bases: Vec<&str> = dockerfile.lines().filter_map(|line| line.strip_prefix("FROM ")).collect();
    assert!(!bases.is_empty());
    for base in bases {
        let name = base.split_whitespace().next().unwrap();
        let by_default = name.strip_prefix("${").and_then(|name| argument(name.trim_end_matches('}'))).unwrap_or(name);
        let digest = by_default.split_once("@sha256:").map(|(_, digest)| digest.trim());
        let pinned = digest.is_some_and(|d| d.len() == 64 && d.bytes().all(|b| b.is_ascii_hexdigit()));
        assert!(name == "scratch" || pinned, "{base}");
    }
}

/// Every go.mod below hack/.
fn modules() -> Vec<PathBuf> {
    let directories = fs::read_dir(assets::repository().join("hack")).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<PathBuf> = directories.filter(|path| path.join("go.mod").exists()).collect();
    found.sort();
    found
}

#[test]
fn every_go_module_is_pinned_by_a_checksum() {
    assert!(modules().len() >= 3, "{:?}", modules());
    for directory in modules() {
        let read = |name: &str| fs::read_to_string(directory.join(name)).unwrap();
        let (module, sums) = (read("go.mod"), read("go.sum"));
        let required = required(&module);
        assert!(!required.is_empty(), "{}", directory.display());
        for (name, version) in required {
            // Of a module that only takes part in the choice of versions, the go.mod is all that is fetched.
            let of = [format!("{name} {version} h1:"), format!("{name} {version}/go.mod h1:")];
            let pinned = sums.lines().any(|sum| of.iter().any(|of| sum.starts_with(of.as_str())));
            assert!(pinned, "{}: {name} {version}", directory.display());
        }
    }
}
