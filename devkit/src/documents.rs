//! The commands that README.md and docs/ tell, so that tests run what people are told and nothing else.
//!
//! A comment before a block of shell says who runs it; a block without one is an error:
//!
//! ```text
//! <!-- run: control-plane helm -->     a test on a control plane, in the chapter `helm`
//! <!-- run: node running -->           a test on a real node, in the chapter `running`
//! <!-- run: elsewhere Makefile -->     that file, and no test here
//! ```

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Stdio,
};

use tempfile::TempDir;
use tokio::process::Command;

use crate::assets;

/// What a reader has at hand; everything else in the repository is not told of.
const AT_HAND: [&str; 4] = ["charts", "crds", "examples", "install.yaml"];

/// Who runs a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Suite {
    /// A test on a control plane, where no Pod runs.
    ControlPlane,
    /// A test on a real node.
    Node,
    /// This file.
    Elsewhere(PathBuf),
}

/// A block of shell in a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The document, from the top of the repository.
    pub document: String,
    /// Where the block begins.
    pub line: usize,
    /// Who runs it.
    pub suite: Suite,
    /// To what it belongs; empty for one that is run elsewhere.
    pub chapter: String,
    /// The commands, as they stand.
    pub script: String,
}

/// The blocks of a document, in order.
///
/// # Errors
/// When the document cannot be read, or a block does not say who runs it.
pub fn blocks(document: &str) -> Result<Vec<Block>, String> {
    let text =
        fs::read_to_string(assets::repository().join(document)).map_err(|error| format!("{document}: {error}"))?;
    read(document, &text)
}

/// The blocks of one chapter, in order, of which there is at least one.
///
/// # Errors
/// As [`blocks`], and when there is none.
pub fn chapter(document: &str, suite: &Suite, name: &str) -> Result<Vec<Block>, String> {
    let mut found = blocks(document)?;
    found.retain(|block| block.suite == *suite && block.chapter == name);
    if found.is_empty() { Err(format!("{document} has no chapter {name} for {suite:?}")) } else { Ok(found) }
}

fn read(document: &str, text: &str) -> Result<Vec<Block>, String> {
    let mut found = Vec::new();
    let mut said: Option<&str> = None;
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let Some(language) = line.trim_start().strip_prefix("```") else {
            if !line.trim().is_empty() {
                said = Some(line.trim());
            }
            continue;
        };
        let body: Vec<&str> = lines.by_ref().map(|(_, line)| line).take_while(|line| line.trim() != "```").collect();
        let shell = matches!(language.trim(), "sh" | "bash" | "shell");
        if let Some(comment) = said.take().filter(|_| shell) {
            let marked = comment.strip_prefix("<!-- run: ").and_then(|rest| rest.strip_suffix(" -->"));
            let (suite, chapter) = match marked.and_then(|marked| marked.split_once(' ')) {
                Some(("control-plane", chapter)) => (Suite::ControlPlane, chapter),
                Some(("node", chapter)) => (Suite::Node, chapter),
                Some(("elsewhere", file)) => (Suite::Elsewhere(file.into()), ""),
                _ => return Err(format!("{document}:{}: no comment says who runs this", number + 1)),
            };
            let (document, chapter) = (document.to_owned(), chapter.to_owned());
            found.push(Block { document, line: number + 1, suite, chapter, script: body.join("\n") + "\n" });
        } else if shell {
            return Err(format!("{document}:{}: no comment says who runs this", number + 1));
        }
    }
    Ok(found)
}

/// Where a reader sits: what the documents name is at hand, kubectl and helm are in the path, and what stands for
/// something of the reader's own is replaced.
#[derive(Debug)]
pub struct Desk {
    directory: TempDir,
    path: String,
    kubeconfig: PathBuf,
    stubs: Vec<(String, String)>,
}

impl Desk {
    /// A desk for the cluster of `kubeconfig`. Each stub is a text and what it is replaced with, in the commands and in
    /// the examples.
    ///
    /// # Errors
    /// When it cannot be set up.
    pub async fn new(kubeconfig: &Path, stubs: &[(&str, &str)]) -> Result<Self, String> {
        let told = |error: &dyn std::fmt::Display| format!("the desk cannot be set up: {error}");
        let mut path = String::new();
        for set in [assets::Set::Demo, assets::Set::Helm] {
            let programs = assets::find(set).await.map_err(|error| told(&error))?;
            path = format!("{path}{}:", programs.display());
        }
        path += &std::env::var("PATH").unwrap_or_default();
        let stubs = stubs.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect();
        let directory = tempfile::tempdir().map_err(|error| told(&error))?;
        let desk = Self { directory, path, kubeconfig: kubeconfig.to_owned(), stubs };
        for name in AT_HAND {
            desk.bring(&assets::repository().join(name), name).map_err(|error| told(&error))?;
        }
        Ok(desk)
    }

    /// Where it is, to put a reader's own files there.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    fn bring(&self, from: &Path, name: &str) -> io::Result<()> {
        let to = self.directory.path().join(name);
        if from.is_dir() {
            fs::create_dir_all(&to)?;
            for entry in fs::read_dir(from)? {
                let file = entry?.file_name();
                self.bring(&from.join(&file), &format!("{name}/{}", file.to_string_lossy()))?;
            }
            return Ok(());
        }
        let text = fs::read_to_string(from)?;
        // The chart's own defaults are not the reader's.
        fs::write(to, if name.starts_with("examples/") { self.stubbed(&text) } else { text })
    }

    fn stubbed(&self, text: &str) -> String {
        self.stubs.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
    }

    /// Runs a block, as a shell does that stops at the first failure, and returns what it printed.
    ///
    /// # Errors
    /// What it complained about, with the block's place.
    pub async fn run(&self, block: &Block) -> Result<String, String> {
        let place = format!("{}:{}", block.document, block.line);
        let output = Command::new("bash")
            .args(["-euo", "pipefail", "-c", &self.stubbed(&block.script)])
            .current_dir(self.directory.path())
            .env("PATH", &self.path)
            .env("KUBECONFIG", &self.kubeconfig)
            // Nothing that the machine's own kubectl and helm remember may matter.
            .env("HOME", self.directory.path())
            .env("KUBECACHEDIR", self.directory.path().join(".kube-cache"))
            .env("HELM_PLUGINS", "/nonexistent")
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .map_err(|error| format!("{place}: bash: {error}"))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() {
            return Ok(text(&output.stdout));
        }
        Err(format!("{place}: {}\n{}{}", output.status, text(&output.stdout), text(&output.stderr)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_block_of_shell_says_who_runs_it() {
        let text = "a\n<!-- run: control-plane helm -->\n```sh\nkubectl get was\n# done\n```\n\n```yaml\na: b\n```\n\n\
                    <!-- run: node running -->\n\n```sh\nkubectl get pods\n```\n<!-- run: elsewhere Makefile -->\n```sh\nmake\n```\n";
        let found = read("x.md", text).unwrap();
        let told: Vec<_> = found.iter().map(|block| (&block.suite, block.chapter.as_str(), block.line)).collect();
        let elsewhere = Suite::Elsewhere("Makefile".into());
        assert_eq!(told, [(&Suite::ControlPlane, "helm", 3), (&Suite::Node, "running", 14), (&elsewhere, "", 18)]);
        assert_eq!(found[0].script, "kubectl get was\n# done\n");
        for unmarked in ["```sh\nls\n```\n", "text\n```sh\nls\n```\n", "<!-- run: nobody x -->\n```bash\nls\n```\n"] {
            assert!(read("x.md", unmarked).unwrap_err().starts_with("x.md:"), "{unmarked}");
        }
        let twice = "<!-- run: node a -->\n```sh\nls\n```\n```sh\nls\n```\n";
        assert_eq!(read("x.md", twice).unwrap_err(), "x.md:5: no comment says who runs this");
    }
}
