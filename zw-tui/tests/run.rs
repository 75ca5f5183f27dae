//! `zw-tui run`: scenarios on real processes without a screen, their JSON and their exit codes.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use serde_json::Value;
use std::process::{Command, Output};
use support::{free_ports, living_with};

/// Runs a scenario on three nodes.
fn run(name: &str, brokers: u16, more: &[&str]) -> (Output, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let (base, brokers_base) = (free_ports(3), free_ports(brokers.max(1)));
    let output = Command::new(env!("CARGO_BIN_EXE_zw-tui"))
        .args(["run", name, "--headless", "--nodes", "3", "--segment-bytes", "16777216"])
        .args(["--brokers", &brokers.to_string(), "--base-port", &base.to_string()])
        .args(["--broker-base-port", &brokers_base.to_string(), "--data"])
        .arg(directory.path())
        .args(more)
        .env("ZW_TEST_HOOKS", "1")
        .env_remove("RUST_BACKTRACE")
        .output()
        .unwrap();
    (output, directory)
}

fn lines(output: &Output) -> Vec<Value> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(!text.contains('\x1b'), "{text:?}");
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn scenarios_pass_twice_with_one_seed_and_leave_nothing() {
    for name in ["kill-leader", "hundred-random"] {
        for _ in 0..2 {
            let (output, directory) = run(name, 2, &["--json", "--seed", "7"]);
            let errors = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(0), "{name}: {errors}");
            let [line] = &lines(&output)[..] else { panic!("{output:?}") };
            assert_eq!((line["scenario"].as_str(), line["verdict"].as_str()), (Some(name), Some("passed")));
            assert_eq!((line["violations"].as_u64(), line["reason"].is_null()), (Some(0), true));
            assert!(line["operations_checked"].as_u64() > Some(100), "{line}");
            assert!(line["longest_write_gap_ms"].as_f64() > Some(0.0), "{line}");
            assert_eq!(living_with(directory.path().to_str().unwrap()), Vec::<i32>::new());
        }
    }
}

#[test]
fn an_expectation_that_does_not_hold_is_exit_3_with_the_reason() {
    let (output, directory) = run("cannot-hold", 0, &["--json"]);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{errors}");
    assert!(errors.contains("scenario cannot-hold failed: expect a write gap below 0ms: no write was"), "{errors}");
    let [line] = &lines(&output)[..] else { panic!("{output:?}") };
    assert_eq!(line["verdict"], "failed");
    assert_eq!(living_with(directory.path().to_str().unwrap()), Vec::<i32>::new());
}

#[test]
fn a_wrong_use_is_exit_2_before_anything_starts() {
    for (name, brokers, more, reason) in [
        ("no-such-thing", 0, &[][..], "there is no scenario"),
        ("kill-broker", 0, &[], "kill-broker needs at least --brokers 2"),
        ("kill-leader", 1, &["--seed", "x"], "invalid value"),
    ] {
        let (output, directory) = run(name, brokers, more);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{errors}");
        assert!(errors.contains(reason) && output.stdout.is_empty(), "{errors}");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}

#[test]
fn people_get_a_table() {
    let (output, _directory) = run("sync-to-follower", 0, &[]);
    let text = String::from_utf8(output.stdout).unwrap();
    let rows: Vec<&str> = text.lines().collect();
    assert!(rows[0].starts_with("scenario") && rows[0].contains("write gap") && rows.len() == 2, "{text}");
    assert!(rows[1].starts_with("sync-to-follower") && rows[1].contains("passed"), "{text}");
}
