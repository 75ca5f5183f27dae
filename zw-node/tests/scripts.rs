//! The scripts of `scripts/`, run with the programs of this build: a change of what `zw` prints must not break them.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

fn script(name: &str, arguments: &[&str]) -> Output {
    script_with(Path::new(env!("CARGO_BIN_EXE_zw")).parent().unwrap(), name, arguments)
}

fn script_with(programs: &Path, name: &str, arguments: &[&str]) -> Output {
    let work = tempfile::tempdir().unwrap();
    Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts").join(name))
        .args(arguments)
        .env("ZW_BIN", programs)
        .env("ZW_WORK", work.path())
        .output()
        .unwrap()
}

#[test]
fn leaders_are_killed_and_paused_and_nothing_is_lost() {
    for arguments in [&["--times", "2"][..], &["--times", "1", "--pause"]] {
        let output = script("kill_leaders.sh", arguments);
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{said}");
        assert!(said.contains("lost: 0") && said.contains("3 of 3 nodes agree"), "{said}");
    }
}

#[test]
fn a_round_that_fails_leaves_no_load_behind() {
    let programs = tempfile::tempdir().unwrap();
    let (zw, load) = (programs.path().join("zw"), programs.path().join("load"));
    symlink(env!("CARGO_BIN_EXE_zw-node"), programs.path().join("zw-node")).unwrap();
    let real = env!("CARGO_BIN_EXE_zw");
    let text = format!(
        "#!/bin/sh\ncase $1 in kill-leader) exit 1 ;; load) echo $$ >'{}' ;; esac\nexec '{real}' \"$@\"\n",
        load.display()
    );
    std::fs::write(&zw, text).unwrap();
    std::fs::set_permissions(&zw, Permissions::from_mode(0o755)).unwrap();
    let output = script_with(programs.path(), "kill_leaders.sh", &["--times", "1"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let pid: i32 = std::fs::read_to_string(load).unwrap().trim().parse().unwrap();
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while rustix::process::test_kill_process(pid).is_ok() {
        assert!(Instant::now() < deadline, "the load outlives the script");
        std::thread::yield_now();
    }
}

#[test]
fn wrong_arguments_are_answered_with_the_usage() {
    for (name, arguments) in [
        ("kill_leaders.sh", &["--tims"][..]),
        ("kill_leaders.sh", &["--times", "none"]),
        ("send_requests.sh", &[]),
        ("deployment.sh", &["0"]),
    ] {
        let output = script(name, arguments);
        assert_eq!(output.status.code(), Some(2), "{name} {arguments:?}: {output:?}");
    }
}
