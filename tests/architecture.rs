//! The shape of the code, as CONTRIBUTING.md describes it: imports go one way, and no file outgrows a room.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that panics has failed")]

use std::{
    collections::BTreeSet,
    fs,
    iter::Peekable,
    path::{Path, PathBuf},
    str::Chars,
};

/// A top-level module and what of the others it may import: paths, each with all that is under it.
struct Room {
    name: &'static str,
    may: &'static [&'static str],
    but_not: &'static [&'static str],
}

/// What speaks to the provider or runs a task: the pure core must not have it.
const EFFECTS: &[&str] = &[
    "provider::Provider",
    "provider::http",
    "provider::socket",
    "provider::decode",
    "provider::wire",
    "account::board::Board",
    "account::registry::Registry",
];

const ROOMS: &[Room] = &[
    Room { name: "api", may: &[], but_not: &[] },
    Room { name: "provider", may: &[], but_not: &[] },
    // The one exception of the three that import nothing: a code arrives in a type of the provider's.
    Room { name: "pairing", may: &["provider::QrContent", "provider::decode::is_raw"], but_not: &[] },
    Room { name: "runtime", may: &[], but_not: &[] },
    Room { name: "config", may: &["api", "runtime"], but_not: &[] },
    Room { name: "account", may: &["api", "provider"], but_not: &[] },
    Room {
        name: "decide",
        may: &[
            "api",
            "provider",
            "account::Health",
            "account::Sight",
            "account::Stream",
            "account::View",
            "account::board",
            "account::registry::NameState",
        ],
        but_not: EFFECTS,
    },
    Room { name: "observe", may: &["api", "provider", "account", "decide", "runtime"], but_not: &["provider::http"] },
    Room {
        name: "execute",
        may: &["api", "provider", "account", "decide", "observe", "pairing", "runtime"],
        but_not: &["provider::http", "provider::socket"],
    },
    Room {
        name: "metrics",
        may: &["api", "provider", "account::Stream", "observe"],
        but_not: &["provider::http", "provider::socket"],
    },
    Room {
        name: "controller",
        may: &["api", "provider", "account", "decide", "observe", "execute", "metrics", "pairing", "runtime", "config"],
        but_not: &[],
    },
    // The plugin: a client of the API server, not of the provider.
    Room { name: "cli", may: &["api", "pairing", "provider::QrContent"], but_not: &[] },
];

/// Lines of a file; one that is longer wants a second room.
const LONGEST: usize = 500;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn files_of(directory: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    rust_files(&root().join(directory), &mut found);
    found.sort();
    let relative = |path: &Path| path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
    found.iter().map(|path| (relative(path), fs::read_to_string(path).unwrap())).collect()
}

/// The module path of a file under `src/`: `src/account/board.rs` is `account`, `board`.
fn module_of(file: &str) -> Vec<&str> {
    let mut path: Vec<&str> = file.trim_start_matches("src/").trim_end_matches(".rs").split('/').collect();
    if path.last().is_some_and(|last| ["mod", "lib", "main"].contains(last)) {
        path.pop();
    }
    path
}

/// All paths of the use tree at `rest`, each after `prefix`: `a::{b, c::d}` is `a::b` and `a::c::d`.
fn expand(rest: &mut Peekable<Chars<'_>>, prefix: &str, paths: &mut Vec<String>) {
    let skip_space = |rest: &mut Peekable<Chars<'_>>| while rest.next_if(|c| c.is_whitespace()).is_some() {};
    let mut path = prefix.to_owned();
    loop {
        skip_space(rest);
        if rest.next_if_eq(&'{').is_some() {
            loop {
                skip_space(rest);
                if rest.next_if_eq(&'}').is_some() || rest.peek().is_none() {
                    return;
                }
                if rest.next_if_eq(&',').is_some() {
                    continue;
                }
                expand(rest, &path, paths);
                // What is left of `x as y`.
                while rest.next_if(|c| !matches!(c, ',' | '}')).is_some() {}
            }
        }
        let mut segment = String::new();
        while let Some(c) = rest.next_if(|c| c.is_alphanumeric() || *c == '_' || *c == '*') {
            segment.push(c);
        }
        if segment != "self" && !segment.is_empty() {
            if !path.is_empty() {
                path.push_str("::");
            }
            path.push_str(&segment);
        }
        let mut ahead = rest.clone();
        if ahead.next() != Some(':') || ahead.next() != Some(':') {
            paths.push(path);
            return;
        }
        *rest = ahead;
    }
}

/// Every path from the crate's root that a source text names, with its line.
fn imports(file: &str, text: &str) -> Vec<(usize, String)> {
    // Comments name what they like.
    let text = text.lines().map(|line| line.split("//").next().unwrap_or("")).collect::<Vec<_>>().join("\n");
    let mut found = Vec::new();
    for (word, name) in [("crate::", "crate"), ("super::", "super"), ("whatsapp_operator::", "crate")] {
        for (at, _) in text.match_indices(word) {
            let before = text[..at].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
                continue;
            }
            let mut rest = &text[at + word.len()..];
            let mut base = Vec::new();
            if name == "super" {
                base = module_of(file);
                base.pop();
                while let Some(further) = rest.strip_prefix("super::") {
                    rest = further;
                    base.pop();
                }
            }
            let mut paths = Vec::new();
            expand(&mut rest.chars().peekable(), &base.join("::"), &mut paths);
            let line = text[..at].matches('\n').count() + 1;
            found.extend(paths.into_iter().map(|path| (line, path)));
        }
    }
    found
}

fn under(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

#[test]
fn every_room_is_in_the_table() {
    let known: BTreeSet<&str> = ROOMS.iter().map(|room| room.name).chain(["lib", "main", "bin"]).collect();
    for entry in fs::read_dir(root().join("src")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let name = name.trim_end_matches(".rs");
        assert!(
            known.contains(name),
            "src/{name} is not in the table of tests/architecture.rs: say what it may import"
        );
    }
}

#[test]
fn imports_go_one_way() {
    let mut wrong = Vec::new();
    for (file, text) in files_of("src") {
        // The programs put everything together.
        let Some(room) = ROOMS.iter().find(|room| module_of(&file).first() == Some(&room.name)) else { continue };
        for (line, path) in imports(&file, &text) {
            let of = path.split("::").next().unwrap_or("");
            if of == room.name || ROOMS.iter().all(|other| other.name != of) {
                continue;
            }
            let may = room.may.iter().any(|prefix| under(&path, prefix));
            let must_not = room.but_not.iter().any(|prefix| under(&path, prefix));
            if !may || must_not {
                let of = if room.may.is_empty() { "nothing of ours".to_owned() } else { room.may.join(", ") };
                let but = if must_not { format!(", but not {}", room.but_not.join(", ")) } else { String::new() };
                wrong.push(format!("{file}:{line} names {path}; `{}` may import {of}{but}", room.name));
            }
        }
    }
    assert!(wrong.is_empty(), "imports go one way (CONTRIBUTING.md):\n{}", wrong.join("\n"));
}

#[test]
fn a_use_tree_is_read_to_its_leaves() {
    let text = "use crate::{\n    account::{Sight, board::{Offer as O, Seen}, self},\n    api::*, // crate::runtime\n};\nfn f() { super::super::decide::decide(); crate::config::Config {} }";
    let found: Vec<String> = imports("src/execute/remote.rs", text).into_iter().map(|(_, path)| path).collect();
    let all = ["account::Sight", "account::board::Offer", "account::board::Seen", "account", "api::*"];
    assert_eq!(found, [all.as_slice(), &["config::Config", "decide::decide"]].concat());
}

#[test]
fn no_file_outgrows_its_room() {
    let mut wrong = Vec::new();
    for (file, text) in ["src", "sim/src", "devkit/src"].into_iter().flat_map(files_of) {
        let lines = text.lines().count();
        if lines > LONGEST {
            wrong.push(format!("{file} has {lines} lines, {LONGEST} are allowed: it wants a second room"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
