//! What the documents name is there, and every command in them is run by somebody.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use devkit::{
    assets,
    documents::{self, Block, Suite},
};

/// Where tests of each suite are.
const CONTROL_PLANE_TESTS: &str = "tests/documents";
const NODE_TESTS: &str = "devkit/tests/node";

fn root() -> PathBuf {
    assets::repository()
}

fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Documents for users, from the top of the repository.
fn documents() -> Vec<String> {
    let docs =
        fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let docs = docs.filter(|name| name.to_lowercase().ends_with(".md")).map(|name| format!("docs/{name}"));
    let mut all: Vec<String> =
        docs.chain(["README.md", "SECURITY.md", "examples/README.md"].map(str::to_owned)).collect();
    all.sort();
    all
}

/// The targets of the links in a text, those in code left out.
fn links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut code = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            code = !code;
        }
        if code {
            continue;
        }
        for (at, _) in line.match_indices("](") {
            let target = line[at + 2..].split(')').next().unwrap();
            found.push(target.to_owned());
        }
    }
    found
}

/// The anchor that a heading has.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    kept.chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

#[test]
fn every_link_within_the_repository_leads_somewhere() {
    let mut wrong = Vec::new();
    for document in documents() {
        let place = root().join(&document);
        for link in links(&text(&document)) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let (path, heading) = link.split_once('#').unwrap_or((&link, ""));
            let target = if path.is_empty() { place.clone() } else { place.parent().unwrap().join(path) };
            let headings = || {
                let text = fs::read_to_string(&target).unwrap_or_default();
                text.lines()
                    .filter_map(|line| line.strip_prefix('#'))
                    .map(|h| anchor(h.trim_start_matches('#')))
                    .collect()
            };
            let named = |all: BTreeSet<String>| all.contains(heading);
            if !target.exists() || !heading.is_empty() && !named(headings()) {
                wrong.push(format!("{document}: {link}"));
            }
        }
    }
    assert!(wrong.is_empty(), "links that lead nowhere:\n{}", wrong.join("\n"));
}

/// Every file of tests, with its text.
fn tests_under(directory: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut left = vec![root().join(directory)];
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(directory).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                left.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    found
}

fn runs(tests: &[(PathBuf, String)], block: &Block) -> bool {
    let constant = match block.document.as_str() {
        crate::README => "README",
        crate::INSTALL => "INSTALL",
        crate::EXAMPLES => "EXAMPLES",
        other => panic!("no test reads {other}"),
    };
    let call = format!("{constant}, {:?}", block.chapter);
    tests.iter().any(|(path, text)| text.contains(&call) && is_mounted(path))
}

/// Whether the program of tests beside this file takes it in.
fn is_mounted(path: &Path) -> bool {
    let main = path.with_file_name("main.rs");
    let module = format!("mod {};", path.file_stem().unwrap().to_str().unwrap());
    fs::read_to_string(main).map_or(true, |main| main.contains(&module))
}

#[test]
fn every_block_is_run_by_the_suite_that_it_names() {
    let all: Vec<Block> = documents().iter().flat_map(|name| documents::blocks(name).unwrap()).collect();
    assert!(all.len() > 10, "{all:?}");
    let (control_plane, node) = (tests_under(CONTROL_PLANE_TESTS), tests_under(NODE_TESTS));
    let targets: BTreeSet<String> =
        text("Makefile").lines().filter_map(|line| line.split_once(':')).map(|(target, _)| target.to_owned()).collect();
    let mut wrong = Vec::new();
    for block in &all {
        let run = match &block.suite {
            Suite::ControlPlane => runs(&control_plane, block),
            Suite::Node => runs(&node, block),
            Suite::Elsewhere(file) if file == Path::new("Makefile") => {
                let mut commands = block.script.lines().map(|line| line.split('#').next().unwrap().trim());
                commands.all(|command| command.strip_prefix("make ").is_some_and(|target| targets.contains(target)))
            }
            Suite::Elsewhere(_) => false,
        };
        if !run {
            wrong.push(format!("{}:{} ({:?}, {:?})", block.document, block.line, block.suite, block.chapter));
        }
    }
    assert!(wrong.is_empty(), "commands that nobody runs:\n{}", wrong.join("\n"));
}

/// `file::name` in backticks.
fn named_tests(text: &str) -> Vec<(String, String)> {
    let spans = text.split('`').skip(1).step_by(2);
    spans
        .filter_map(|span| span.split_once(".rs::"))
        .map(|(file, name)| (format!("{file}.rs"), name.to_owned()))
        .collect()
}

#[test]
fn every_threat_names_a_test_that_exists() {
    let security = text("SECURITY.md");
    let (_, threats) = security.split_once("## Threats").expect("a section of threats");
    let mut sources: BTreeMap<String, String> = BTreeMap::new();
    let mut wrong = Vec::new();
    let mut number = 0;
    for threat in threats.split("\n### ").skip(1) {
        number += 1;
        let title = threat.lines().next().unwrap();
        let tests = named_tests(threat);
        if tests.is_empty() {
            wrong.push(format!("{title}: no test"));
        }
        for (file, name) in tests {
            let source = sources
                .entry(file.clone())
                .or_insert_with(|| fs::read_to_string(root().join(&file)).unwrap_or_default());
            let is_a_test = source.split("fn ").skip(1).any(|rest| rest.starts_with(&format!("{name}(")));
            if !is_a_test {
                wrong.push(format!("{title}: there is no {file}::{name}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(number >= 11, "{number} threats are told");
}

#[test]
fn what_is_looked_for_would_be_found_missing() {
    assert_eq!(links("a [b](c.md#d) [e](f)\n```sh\n[x](y)\n```\n"), ["c.md#d", "f"]);
    assert_eq!(anchor(" When something is `wrong`?"), "when-something-is-wrong");
    assert_eq!(named_tests("`a/b.rs::c_d` and `e`"), [("a/b.rs".to_owned(), "c_d".to_owned())]);
}
