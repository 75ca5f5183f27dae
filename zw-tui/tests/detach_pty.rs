//! The real program leaves its ensemble and comes back to it: the processes stay, the history goes on, and whatever ends in
//! between leaves nobody behind.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use rustix::process::{Pid, Signal, kill_process};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use support::{Console, living_with, wait_until};

/// Ends what a failed test leaves: a detached ensemble has nobody else to end it.
struct Ensemble(String);

impl Drop for Ensemble {
    fn drop(&mut self) {
        for pid in living_with(&self.0) {
            let _ = kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL);
        }
    }
}

impl Ensemble {
    fn of(console: &Console) -> Ensemble {
        Ensemble(console.data().to_owned())
    }

    fn pid_of(&self, what: &str) -> i32 {
        living_with(&self.0).into_iter().find(|pid| name_of(*pid) == what).unwrap()
    }

    /// All but consoles.
    fn pids(&self) -> Vec<i32> {
        let mut pids: Vec<i32> = living_with(&self.0).into_iter().filter(|pid| name_of(*pid) != "zw-tui").collect();
        pids.sort_unstable();
        pids
    }

    fn come_back(&self) -> Console {
        Console::start_as(&["--data", &self.0], &[])
    }

    fn assert_nobody_is_left(&self) {
        wait_until("the end of all processes", || living_with(&self.0).is_empty());
    }
}

fn name_of(pid: i32) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim().to_owned()
}

fn signal(pid: i32, signal: Signal) {
    kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
}

/// A console that has left its ensemble.
fn detached(nodes: u8, brokers: u8) -> (Console, Ensemble) {
    let mut console = Console::start(nodes, brokers);
    let ensemble = Ensemble::of(&console);
    console.wait_for(&format!("HEALTHY  quorum {nodes}/{nodes}"));
    console.type_keys("Q");
    assert_eq!(console.exit_code(), 0);
    (console, ensemble)
}

#[test]
fn it_detaches_and_comes_back_to_the_same_processes_with_its_history() {
    let mut first = Console::start(3, 1);
    let ensemble = Ensemble::of(&first);
    first.wait_for("HEALTHY  quorum 3/3");
    first.wait_for("registered 1/1");
    first.type_keys(":write /before x\r");
    first.wait_for("made /before");
    first.type_keys(":kill n3\r");
    first.wait_for("exit 137 (you)");
    first.type_keys("U");
    first.wait_for("HEALTHY  quorum 3/3");
    first.type_keys(":cut n1 0\r");
    first.wait_for("cut from n2,n3 (you)");
    first.type_keys("1gP");
    first.wait_for("PAUSED");
    let pids = ensemble.pids();
    assert_eq!(pids.len(), 5, "the keeper, three nodes and a broker");
    first.type_keys("Q");
    assert_eq!(first.exit_code(), 0);
    first.wait_for("zw-tui: 4 processes run on");
    first.wait_for(&format!("come back:  zw-tui --data {}", ensemble.0));
    first.wait_for(&format!("kill {}", ensemble.pid_of("zw-keeper")));
    first.wait_for_modes(|modes| !modes.alternate_screen && !modes.mouse && modes.canonical);
    assert_eq!(ensemble.pids(), pids);

    // What happens meanwhile is known as well.
    signal(ensemble.pid_of("zw-broker"), Signal::KILL);
    let mut second = ensemble.come_back();
    // Nothing that the first did goes on: nobody is paused or cut off.
    second.wait_for("quorum 3/3");
    second.wait_for("exit 137 (not you)");
    second.wait_for("back: detached for 00:0");
    second.type_keys("7+");
    for event in ["you made /before", "you kill n3", "n3  started again", "you detach", "b1  exit 137 (not you)"] {
        second.wait_for(event);
    }
    let still: Vec<i32> = ensemble.pids();
    assert!(still.len() == 4 && still.iter().all(|pid| pids.contains(pid)), "{pids:?} {still:?}");
    // The past reaches back to before the console was left.
    second.type_keys("_:at 0:00\r");
    second.wait_for("PAST 00:00");
    second.type_keys(".");
    second.wait_until_gone("PAST");
    second.type_keys(":revive b1\r");
    second.wait_for("registered 1/1");
    second.type_keys(":kill n1\r");
    second.wait_for("exit 137 (you)");
    second.type_keys("1jo");
    second.wait_for("INFO started node=2");
    second.type_keys("q");
    second.type_keys("Q");
    assert_eq!(second.exit_code(), 0);
    second.wait_for("zw-tui: 3 processes run on");

    let mut third = ensemble.come_back();
    third.wait_for("DEGRADED  quorum 2/3");
    third.type_keys("7+");
    third.wait_for("you made /before");
    third.type_keys("_q");
    assert_eq!(third.exit_code(), 0);
    third.wait_for("zw-tui: 4 processes stopped");
    ensemble.assert_nobody_is_left();
    for file in ["console.sock", "console.zwrec"] {
        assert!(!Path::new(&ensemble.0).join(file).exists(), "{file}");
    }
}

#[test]
fn the_sudden_death_of_a_console_that_came_back_leaves_nobody() {
    let (_first, ensemble) = detached(3, 0);
    let second = ensemble.come_back();
    second.wait_for("HEALTHY  quorum 3/3");
    let node = ensemble.pid_of("zw-node");
    signal(node, Signal::STOP);
    kill_process(second.pid(), Signal::KILL).unwrap();
    ensemble.assert_nobody_is_left();
}

#[test]
fn the_end_of_a_console_that_is_not_back_yet_ends_nothing() {
    let (_first, ensemble) = detached(1, 0);
    let pids = ensemble.pids();
    // A history that never ends to be read.
    let history = format!("{}/console.zwrec", ensemble.0);
    std::fs::remove_file(&history).unwrap();
    assert!(Command::new("mkfifo").arg(&history).status().unwrap().success());
    let mut second = ensemble.come_back();
    let mut written = None;
    wait_until("the console that reads", || {
        // Fails as long as nobody reads.
        let flags = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap();
        written = std::fs::File::options().write(true).custom_flags(flags).open(&history).ok();
        written.is_some()
    });
    kill_process(second.pid(), Signal::TERM).unwrap();
    assert_ne!(second.exit_code(), 0);
    drop(written);
    std::fs::remove_file(&history).unwrap();
    let mut third = ensemble.come_back();
    third.wait_for("HEALTHY  quorum 1/1");
    assert_eq!(ensemble.pids(), pids);
    third.type_keys("q");
    assert_eq!(third.exit_code(), 0);
    ensemble.assert_nobody_is_left();
}

#[test]
fn a_detached_ensemble_ends_in_order_by_a_signal_to_its_keeper() {
    let (_first, ensemble) = detached(1, 1);
    signal(ensemble.pid_of("zw-keeper"), Signal::TERM);
    ensemble.assert_nobody_is_left();
    let log = std::fs::read_to_string(format!("{}/keeper.log", ensemble.0)).unwrap();
    assert!(log.contains("member=n1 change=Exited { exit: Code(0), asked: Stop"), "{log}");
    assert!(!Path::new(&ensemble.0).join("console.sock").exists());
}

#[test]
fn a_detached_ensemble_ends_with_its_keeper_however_that_ends() {
    let base = support::free_ports(3);
    let mut first = Console::start_at(base, 3, 0);
    let ensemble = Ensemble::of(&first);
    first.wait_for("HEALTHY  quorum 3/3");
    first.type_keys("Q");
    assert_eq!(first.exit_code(), 0);
    signal(ensemble.pid_of("zw-node"), Signal::STOP);
    signal(ensemble.pid_of("zw-keeper"), Signal::KILL);
    ensemble.assert_nobody_is_left();
    assert!(Path::new(&ensemble.0).join("console.sock").exists());
    // What is left in the directory is in nobody's way, and misleads nobody.
    let ports = base.to_string();
    let flags = ["--nodes", "3", "--brokers", "0", "--base-port", &ports, "--data", &ensemble.0];
    let mut next = Console::start_as(&flags, &[]);
    next.wait_for("quorum 3/3");
    let mut other = ensemble.come_back();
    assert_eq!(other.exit_code(), 1);
    other.wait_for(&format!("is in use by the console with pid {}", next.pid().as_raw_nonzero()));
    next.type_keys("q");
    assert_eq!(next.exit_code(), 0);
}

#[test]
fn one_console_at_a_time_has_it_and_only_one_with_a_screen() {
    let (_first, ensemble) = detached(1, 0);
    let headless = || {
        let flags = ["--headless", "--nodes", "1", "--brokers", "0", "--data", &ensemble.0];
        let output = Command::new(env!("CARGO_BIN_EXE_zw-tui")).args(flags).stdin(Stdio::null()).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let keeper = ensemble.pid_of("zw-keeper");
    let text = headless();
    assert!(text.contains("runs on without a console") && text.contains(&format!("kill {keeper}")), "{text}");
    // Who knocks and says nothing has nothing.
    drop(std::os::unix::net::UnixStream::connect(format!("{}/console.sock", ensemble.0)).unwrap());
    let mut second = ensemble.come_back();
    second.wait_for("quorum 1/1");
    let mut third = ensemble.come_back();
    assert_eq!(third.exit_code(), 1);
    third.wait_for("is in use by the console with pid");
    assert!(headless().contains(&format!("pid {}", second.pid().as_raw_nonzero())));
    second.wait_for("quorum 1/1");
    second.type_keys("q");
    assert_eq!(second.exit_code(), 0);
    ensemble.assert_nobody_is_left();
}

#[test]
fn temporary_data_stays_until_the_end() {
    for ends_by_signal in [false, true] {
        let ports = [support::free_ports(1).to_string(), support::free_ports(1).to_string()];
        let flags = ["--nodes", "1", "--brokers", "0", "--base-port", &ports[0], "--broker-base-port", &ports[1]];
        let home = tempfile::tempdir().unwrap();
        let mut first = Console::start_as(&flags, &[("TMPDIR", home.path().to_str().unwrap())]);
        first.wait_for("quorum 1/1");
        let ensemble = Ensemble(home.path().to_str().unwrap().to_owned());
        first.type_keys(":detach\r");
        assert_eq!(first.exit_code(), 0);
        first.wait_for("removes the temporary data");
        let data = std::fs::read_dir(home.path()).unwrap().next().unwrap().unwrap().path();
        if ends_by_signal {
            signal(ensemble.pid_of("zw-keeper"), Signal::TERM);
            ensemble.assert_nobody_is_left();
        } else {
            let mut second = Console::start_as(&["--data", data.to_str().unwrap()], &[]);
            second.wait_for("quorum 1/1");
            second.type_keys("q");
            assert_eq!(second.exit_code(), 0);
            second.wait_for("the temporary data is removed");
        }
        assert!(!data.exists(), "{}", data.display());
    }
}

#[test]
fn a_history_that_is_lost_or_damaged_keeps_nobody_from_coming_back() {
    let (_first, ensemble) = detached(1, 0);
    std::fs::write(format!("{}/console.zwrec", ensemble.0), "damaged").unwrap();
    let mut second = Console::start_as(&["--nodes", "4", "--data", &ensemble.0], &[]);
    second.wait_for("HEALTHY  quorum 1/1");
    second.type_keys("7+");
    second.wait_for("what was before is not known: ");
    second.wait_for("the ensemble runs already, with --nodes 1: --nodes 4 does nothing");
    // Its keeper's end is told as what it is.
    signal(ensemble.pid_of("zw-keeper"), Signal::KILL);
    second.wait_for("n1  exit 137 (not you)");
    second.wait_for("and they with it; q leaves");
    second.type_keys("R");
    second.wait_for("start the ensemble again");
    second.type_keys("_q");
    assert_eq!(second.exit_code(), 0);
    ensemble.assert_nobody_is_left();
}

#[test]
fn what_keeps_it_from_detaching_or_from_keeping_its_history_is_told() {
    let mut console = Console::start(1, 0);
    let ensemble = Ensemble::of(&console);
    console.wait_for("HEALTHY  quorum 1/1");
    // Neither can be taken away for what is to be there.
    let [door, history] = ["console.sock", "console.zwrec"].map(|name| format!("{}/{name}", ensemble.0));
    std::fs::create_dir(&door).unwrap();
    std::fs::create_dir(&history).unwrap();
    console.type_keys("Q");
    console.wait_for("cannot detach: ");
    std::fs::remove_dir(&door).unwrap();
    console.type_keys("Q");
    assert_eq!(console.exit_code(), 0);
    console.wait_for("zw-tui: 1 process runs on");
    console.wait_for(&format!("what happened until now is not kept: cannot write {history}"));
    signal(ensemble.pid_of("zw-keeper"), Signal::TERM);
    ensemble.assert_nobody_is_left();
}
