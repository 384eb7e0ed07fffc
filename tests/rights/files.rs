//! The operator writes no file, so that nothing in its Pod has to be writable.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use devkit::{
    World,
    release::{Release, Scope},
};

use crate::{OPERATOR, of};

/// A program that runs another one which can put no byte into any file, with an empty directory to live in.
fn confined(directory: &Path, program: &str) -> String {
    let home = directory.join("home");
    fs::create_dir(&home).unwrap();
    let home = home.display();
    let script = format!(
        "#!/bin/sh\n(ulimit -f 0; cd '{home}'; export HOME='{home}' TMPDIR='{home}'; exec '{program}' \"$@\") 2>&1 | cat\n"
    );
    let path = directory.join("confined");
    fs::write(&path, script).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path.to_str().unwrap().to_owned()
}

fn left(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory.join("home")).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_life_is_lived_without_a_byte_in_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::with(&confined(directory.path(), OPERATOR), of(Scope::Namespaces)).await;
    world.whole_life().await;
    assert!(world.operator().unwrap().is_alive() && world.log().contains("connected to Kubernetes"));
    assert_eq!(left(directory.path()), Vec::<String>::new());
}

#[test]
fn who_writes_a_file_there_is_found_out() {
    let directory = tempfile::tempdir().unwrap();
    let shell = confined(directory.path(), "/bin/sh");
    let output =
        Command::new(shell).args(["-c", "echo begun; : > empty; echo text > full; echo done"]).output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(printed.contains("begun") && !printed.contains("done"), "{printed}");
    let empty = |name: &String| fs::metadata(directory.path().join("home").join(name)).unwrap().len() == 0;
    assert!(!left(directory.path()).is_empty() && left(directory.path()).iter().all(empty));
}

#[tokio::test]
async fn its_container_has_a_root_that_cannot_be_written_and_no_volume() {
    let release = Release::of(Scope::Cluster, "any").await.unwrap();
    let pods: Vec<_> = release.objects.iter().filter(|object| object["kind"] == "Deployment").collect();
    assert_eq!(pods.len(), 1);
    let pod = &pods[0]["spec"]["template"]["spec"];
    let containers = pod["containers"].as_array().unwrap();
    assert!(containers.iter().all(|container| {
        container["securityContext"]["readOnlyRootFilesystem"] == true && container["volumeMounts"].is_null()
    }));
    assert!(!containers.is_empty() && pod["volumes"].is_null() && pod["initContainers"].is_null());
}
