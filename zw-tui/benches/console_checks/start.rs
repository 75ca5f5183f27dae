//! From the start of the program to something to see.

use crate::Measured;
use crate::harness::{millis, percentile, wait};
use crate::support::{Console, free_ports, living_with};
use std::process::{Command, Output, Stdio};
use std::time::Instant;

const PROGRAM: &str = env!("CARGO_BIN_EXE_zw-tui");

/// Leaves, and waits until all is gone.
fn leave(mut console: Console) {
    console.type_keys("q");
    console.exit_code();
    console.assert_nothing_left();
}

pub(crate) fn first_frame() -> Measured {
    let mut times = Vec::new();
    for _ in 0..20 {
        let began = Instant::now();
        let console = Console::start(5, 3);
        wait(|| console.text().contains("n5"));
        times.push(millis(began));
        leave(console);
    }
    let p95 = percentile(&mut times, 95);
    Measured::new(p95 <= 150.0, format!("p50 {:.0} ms, p95 {p95:.0} ms", percentile(&mut times, 50)))
}

pub(crate) fn quorum() -> Measured {
    let mut worst = 0.0_f64;
    for _ in 0..3 {
        let began = Instant::now();
        let console = Console::start(5, 3);
        wait(|| console.text().contains("quorum 5/5"));
        worst = worst.max(millis(began));
        leave(console);
    }
    Measured::new(worst <= 2_500.0, format!("{worst:.0} ms"))
}

pub(crate) fn first_frame_is_whole() -> Measured {
    let console = Console::start(5, 3);
    // The last row of the first frame.
    wait(|| console.text().contains("? help"));
    let text = console.text();
    let members = ["n1", "n2", "n3", "n4", "n5", "b1", "b2", "b3"];
    let missing: Vec<&str> = members.into_iter().filter(|member| !text.contains(member)).collect();
    leave(console);
    Measured::new(missing.is_empty(), format!("missing: {missing:?}"))
}

fn run(arguments: &[&str]) -> (f64, Output) {
    let began = Instant::now();
    let output = Command::new(PROGRAM).args(arguments).stdin(Stdio::null()).output().unwrap();
    (millis(began), output)
}

pub(crate) fn missing_program() -> Measured {
    let base = free_ports(1).to_string();
    let flags = ["--nodes", "1", "--brokers", "0", "--base-port", &base, "--node-bin", "/nonexistent/zw-node"];
    let (time, output) = run(&flags);
    let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    let holds = output.status.code() == Some(1) && words.lines().count() == 1 && words.contains("/nonexistent/zw-node");
    Measured::new(holds && time <= 300.0, format!("{time:.0} ms, {:?}: {words}", output.status.code()))
}

pub(crate) fn no_terminal() -> Measured {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().to_str().unwrap().to_owned();
    let (time, output) = run(&["--data", &data]);
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    let left = living_with(&data).len();
    let holds = output.status.code() == Some(2) && words.contains("--headless") && left == 0 && time <= 300.0;
    Measured::new(holds, format!("{time:.0} ms, exit {:?}, {left} processes left", output.status.code()))
}

pub(crate) fn help() -> Measured {
    let mut times: Vec<f64> = Vec::new();
    let mut escapes = 0;
    for _ in 0..10 {
        let (time, output) = run(&["--help"]);
        escapes += output.stdout.iter().filter(|byte| **byte == 0x1b).count();
        times.push(time);
    }
    let p50 = percentile(&mut times, 50);
    Measured::new(p50 <= 50.0 && escapes == 0, format!("p50 {p50:.0} ms, {escapes} escapes"))
}
