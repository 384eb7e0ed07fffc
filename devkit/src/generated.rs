//! The files of the repository that are printed from others: the CRDs and their reference, from the API's types; the chart's
//! copy of them and README; and `install.yaml`, from the chart.

use std::{fs, io, path::Path};

use whatsapp_operator::api::crd;

use crate::{chart, helm, reference};

/// What writes them, as a person types it.
pub const COMMAND: &str = "cargo run -p whatsapp-operator-devkit --bin crdgen";

const INSTALL: &str = "install.yaml";

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
    /// The chart could not be rendered.
    #[error(transparent)]
    Helm(#[from] helm::Error),
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
        match self.path.as_str() {
            INSTALL => "the chart",
            path if path.ends_with("README.md") => "the chart's values.yaml",
            _ => "src/api",
        }
    }
}

/// What is printed from the types and the chart's values.
pub fn printed() -> Result<Vec<Generated>, Error> {
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

/// `install.yaml`, which helm makes from files that are among those.
async fn rendered() -> Result<Vec<Generated>, Error> {
    Ok(vec![Generated { path: INSTALL.to_owned(), text: chart::install_manifest().await? }])
}

/// Writes all of them below `top` and returns the paths of those that were not up to date.
pub async fn write(top: &Path) -> Result<Vec<String>, Error> {
    let mut written = save(top, differing(top, printed()?)?)?;
    written.extend(save(top, differing(top, rendered().await?)?)?);
    Ok(written)
}

/// Those that are not below `top` as they should be.
pub async fn stale(top: &Path) -> Result<Vec<Generated>, Error> {
    let mut files = printed()?;
    files.extend(rendered().await?);
    differing(top, files)
}

fn save(top: &Path, files: Vec<Generated>) -> Result<Vec<String>, Error> {
    for Generated { path, text } in &files {
        let failed = |source| Error::Io { path: path.clone(), source };
        let target = top.join(path);
        if let Some(directory) = target.parent() {
            fs::create_dir_all(directory).map_err(failed)?;
        }
        fs::write(&target, text).map_err(failed)?;
    }
    Ok(files.into_iter().map(|file| file.path).collect())
}

fn differing(top: &Path, files: Vec<Generated>) -> Result<Vec<Generated>, Error> {
    let mut differing = Vec::new();
    for file in files {
        match fs::read_to_string(top.join(&file.path)) {
            Ok(text) if text == file.text => {}
            Ok(_) => differing.push(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => differing.push(file),
            Err(source) => return Err(Error::Io { path: file.path, source }),
        }
    }
    Ok(differing)
}
