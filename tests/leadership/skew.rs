//! A wall clock that is wrong.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// What makes a program's wall clock wrong: the environment to start it in.
pub fn environment(directory: &Path, seconds: i64) -> Vec<(String, String)> {
    let library = library(directory);
    vec![
        ("LD_PRELOAD".to_owned(), library.to_string_lossy().into_owned()),
        ("SKEW_SECONDS".to_owned(), seconds.to_string()),
    ]
}

/// Compiled once, by the compiler that the project needs anyway.
fn library(directory: &Path) -> PathBuf {
    static BUILT: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();
    let build = || {
        let library = directory.join("skew.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/leadership/skew.c");
        let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
        let built = Command::new(compiler).args(["-shared", "-fPIC", "-o"]).arg(&library).arg(source).output().unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        library
    };
    BUILT.get_or_init(build).clone()
}
