//! How soon the console shows what befell a node, and how soon it is gone when it is told to.

use crate::Measured;
use crate::harness::{Bench, millis, wait};
use crate::support::{Console, free_ports, living_with};
use rustix::process::{Pid, Signal, kill_process};
use std::os::unix::fs::PermissionsExt;
use std::time::Instant;

/// From a kill that is not the console's to its words.
pub(crate) fn killed_from_outside() -> Measured {
    let bench = Bench::serving(5, 3);
    let mut worst = 0.0_f64;
    for member in ["n1", "b1", "n2"] {
        let pid = living_with(&format!("{}/{member}", bench.console.data()))[0];
        let began = Instant::now();
        kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
        let words = format!("{member}  exit 137 (not you)");
        wait(|| bench.console.text().contains(&words));
        worst = worst.max(millis(began));
    }
    Measured::new(worst <= 500.0, format!("worst of 3: {worst:.0} ms"))
}

/// Ctrl-c once with nodes that serve, and twice with nodes that hear no signal but the last.
pub(crate) fn leaves() -> Measured {
    let mut bench = Bench::serving(5, 3);
    let began = Instant::now();
    bench.console.type_keys("\x03");
    let once_code = bench.console.exit_code();
    let once = millis(began);
    let directory = tempfile::tempdir().unwrap();
    let hung = directory.path().join("hung");
    std::fs::write(&hung, "#!/bin/sh\ntrap '' TERM\necho > \"$0.$$\"\nwhile :; do sleep 1; done\n").unwrap();
    std::fs::set_permissions(&hung, std::fs::Permissions::from_mode(0o755)).unwrap();
    let base = free_ports(3).to_string();
    let flags = ["--nodes", "3", "--brokers", "0", "--base-port", &base, "--data", "{data}"];
    let mut console = Console::start_as(&[&flags[..], &["--node-bin", hung.to_str().unwrap()]].concat(), &[]);
    wait(|| std::fs::read_dir(directory.path()).unwrap().count() == 4);
    console.wait_for("local ensemble, 3 nodes");
    let began = Instant::now();
    console.type_keys("\x03\x03");
    let twice_code = console.exit_code();
    let twice = millis(began);
    let left = living_with(console.data()).len() + living_with(bench.console.data()).len();
    let holds = once <= 3_000.0 && twice <= 1_000.0 && (once_code, twice_code, left) == (0, 0, 0);
    Measured::new(holds, format!("once {once:.0} ms, twice with hung nodes {twice:.0} ms, {left} processes left"))
}
