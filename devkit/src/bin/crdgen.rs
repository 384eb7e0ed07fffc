//! Writes `crds/`, `docs/api-reference.md` and the chart's share of them from the types of the API, and `install.yaml` from the
//! chart, or checks that they are up to date.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for people")]

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use devkit::{assets, generated};

#[derive(Parser)]
#[command(about = "Writes crds/, docs/api-reference.md, the chart's CRDs and README, and install.yaml")]
struct Args {
    /// Change nothing; fail when a file is not up to date.
    #[arg(long)]
    check: bool,
    /// The top of the repository.
    #[arg(long, value_name = "DIRECTORY", default_value_os_t = assets::repository())]
    top: PathBuf,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Args { check, top } = Args::parse();
    match run(check, &top).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("crdgen: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(check: bool, top: &std::path::Path) -> Result<ExitCode, generated::Error> {
    if check {
        let stale = generated::stale(top).await?;
        for file in &stale {
            eprintln!(
                "{} is not what {} says: run `{}` and commit the result",
                file.path,
                file.source(),
                generated::COMMAND
            );
        }
        return Ok(if stale.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    for path in generated::write(top).await? {
        println!("wrote {path}");
    }
    Ok(ExitCode::SUCCESS)
}
