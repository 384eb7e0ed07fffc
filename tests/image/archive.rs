//! Reads an archive as `docker save` writes it.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use serde_json::Value;
use tar::Archive;

/// One file, directory or link of the image.
#[derive(Debug)]
pub struct Entry {
    pub path: String,
    pub kind: tar::EntryType,
    pub mode: u32,
    pub owner: (u64, u64),
    pub modified: u64,
}

pub struct Image {
    pub size: u64,
    pub digest: String,
    /// The image's configuration, as OCI has it.
    pub config: Value,
    layers: Vec<Vec<u8>>,
}

/// Where `make image` leaves its files.
pub fn out() -> PathBuf {
    let out = std::env::var_os("IMAGE_OUT").unwrap_or_else(|| "target/image".into());
    Path::new(env!("CARGO_MANIFEST_DIR")).join(out)
}

impl Image {
    pub fn open() -> Self {
        let path = out().join("whatsapp-operator.tar");
        assert!(path.exists(), "{} is not there: run `make image` first", path.display());
        let member = |name: &str| {
            let mut archive = Archive::new(File::open(&path).unwrap());
            let mut entries = archive.entries().unwrap().map(Result::unwrap);
            let mut entry = entries.find(|entry| entry.path().unwrap().to_str() == Some(name)).unwrap();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            bytes
        };
        let manifest: Value = serde_json::from_slice(&member("manifest.json")).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let config = member(&text(&manifest[0]["Config"]));
        Self {
            size: path.metadata().unwrap().len(),
            digest: std::fs::read_to_string(out().join("whatsapp-operator.digest")).unwrap().trim().to_owned(),
            config: serde_json::from_slice(&config).unwrap(),
            layers: manifest[0]["Layers"].as_array().unwrap().iter().map(|layer| member(&text(layer))).collect(),
        }
    }

    pub fn entries(&self) -> Vec<Entry> {
        let mut found = Vec::new();
        for layer in &self.layers {
            for entry in Archive::new(layer.as_slice()).entries().unwrap().map(Result::unwrap) {
                let header = entry.header();
                found.push(Entry {
                    path: entry.path().unwrap().to_str().unwrap().trim_end_matches('/').to_owned(),
                    kind: header.entry_type(),
                    mode: header.mode().unwrap(),
                    owner: (header.uid().unwrap(), header.gid().unwrap()),
                    modified: header.mtime().unwrap(),
                });
            }
        }
        found.sort_by(|a, b| a.path.cmp(&b.path));
        found
    }

    pub fn read(&self, path: &str) -> Vec<u8> {
        for layer in &self.layers {
            for mut entry in Archive::new(layer.as_slice()).entries().unwrap().map(Result::unwrap) {
                if entry.path().unwrap().to_str() == Some(path) {
                    let mut bytes = Vec::new();
                    entry.read_to_end(&mut bytes).unwrap();
                    return bytes;
                }
            }
        }
        panic!("no {path} in the image")
    }

    /// Lays the image out as a file system.
    pub fn unpack(&self, root: &Path) {
        for layer in &self.layers {
            let mut archive = Archive::new(layer.as_slice());
            archive.set_preserve_permissions(true);
            archive.unpack(root).unwrap();
        }
    }
}
