//! The files of the repository that are printed from others: the CRDs and their reference, from the API's types, and the
//! chart's copy of them and README.

use std::{fs, io, path::Path};

use whatsapp_operator::api::crd;

use crate::{chart, reference};

/// What writes them, as a person types it.
pub const COMMAND: &str = "cargo run -p whatsapp-operator-devkit --bin crdgen";

/// Why there is no text for a file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// YAML cannot be written.
    #[error("{path} cannot be printed as YAML: {source}")]
    Yaml {
        /// Which file.
        path: String,
        /// What went wrong.
        source: serde_saphyr::ser::Error,
    },
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// Which file.
        path: String,
        /// What went wrong.
        source: io::Error,
    },
}

/// A generated file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generated {
    /// Where it belongs, from the top of the repository.
    pub path: String,
    /// All of it.
    pub text: String,
}

impl Generated {
    /// What it is printed from, and must be changed instead.
    #[must_use]
    pub fn source(&self) -> &'static str {
        if self.path.ends_with("README.md") { "the chart's values.yaml" } else { "src/api" }
    }
}

/// All generated files.
pub fn all() -> Result<Vec<Generated>, Error> {
    let mut files = Vec::new();
    let mut crds = Vec::new();
    for (name, value) in crd::all() {
        let path = format!("crds/{name}");
        let options = serde_saphyr::ser_options! { folded_wrap_chars: 110 };
        let yaml = serde_saphyr::to_string_with_options(&value, options)
            .map_err(|source| Error::Yaml { path: path.clone(), source })?;
        let text = format!("# Generated from src/api by `{COMMAND}`: change it there.\n---\n{}\n", yaml.trim_end());
        crds.push((name.to_owned(), text.clone()));
        files.push(Generated { path, text });
    }
    files.extend(chart::files(&crds).into_iter().map(|(path, text)| Generated { path, text }));
    files.push(Generated { path: "docs/api-reference.md".to_owned(), text: reference::render() });
    Ok(files)
}

/// Writes all of them below `top` and returns the paths of those that were not up to date.
pub fn write(top: &Path) -> Result<Vec<String>, Error> {
    let stale = stale(top)?;
    for Generated { path, text } in &stale {
        let failed = |source| Error::Io { path: path.clone(), source };
        let target = top.join(path);
        if let Some(directory) = target.parent() {
            fs::create_dir_all(directory).map_err(failed)?;
        }
        fs::write(&target, text).map_err(failed)?;
    }
    Ok(stale.into_iter().map(|file| file.path).collect())
}

/// Those that are not below `top` as they should be.
pub fn stale(top: &Path) -> Result<Vec<Generated>, Error> {
    let mut stale = Vec::new();
    for file in all()? {
        match fs::read_to_string(top.join(&file.path)) {
            Ok(text) if text == file.text => {}
            Ok(_) => stale.push(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => stale.push(file),
            Err(source) => return Err(Error::Io { path: file.path, source }),
        }
    }
    Ok(stale)
}
