//! Compares the rights that the chart grants with those that the end-to-end tests used, read from the audit logs they left.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for people")]

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Parser;
use devkit::{
    release::{HOME, Release, Scope},
    rights::{self, Comparison, Used},
};

/// What to look at.
#[derive(Parser)]
#[command(about = "Compares the rights that the chart grants with those that the end-to-end tests used")]
struct Args {
    /// Where the audit logs are, in `namespaces` and `cluster`.
    logs: PathBuf,
}

#[tokio::main]
async fn main() -> ExitCode {
    let Args { logs } = Args::parse();
    let mut operators = Vec::new();
    let mut wrong = Vec::new();
    for (scope, directory) in [(Scope::Namespaces, "namespaces/e2e"), (Scope::Cluster, "cluster/e2e")] {
        match half(scope, &logs.join(directory)).await {
            Ok(found) => {
                println!("{scope:?}: {found}");
                operators.push(found.used.users.len());
                wrong.extend(found.wrong().into_iter().map(|sentence| format!("{scope:?}: {sentence}")));
            }
            Err(error) => wrong.push(format!("{scope:?}: {error}")),
        }
    }
    if operators.windows(2).any(|pair| pair.first() != pair.last()) {
        wrong.push(format!("the two are not of the same tests: {operators:?} operators"));
    }
    for sentence in &wrong {
        eprintln!("rights: {sentence}");
    }
    if wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn half(scope: Scope, logs: &Path) -> Result<Comparison, String> {
    let release = Release::of(scope, "any").await.map_err(|error| error.to_string())?;
    let granted = rights::granted(&release.objects, &release.name)?;
    let told = |error: std::io::Error| format!("{}: {error}", logs.display());
    let mut used = Used::default();
    for log in fs::read_dir(logs).map_err(told)? {
        let log = fs::File::open(log.map_err(told)?.path()).map_err(told)?;
        for line in BufReader::new(log).lines() {
            // The last line may be incomplete, because nobody waits for the end of an API server.
            if let Ok(event) = serde_json::from_str::<serde_json::Value>(&line.map_err(told)?)
                && let Some(user) = event.pointer("/user/username").and_then(|user| user.as_str())
                && user.starts_with(&format!("system:serviceaccount:{HOME}:operator-"))
            {
                used.take(&event);
            }
        }
    }
    Ok(Comparison { scope, granted, used })
}
