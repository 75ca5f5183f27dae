//! The supervisor against small shell scripts: every way a child can resist, and that none is left behind.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};
use zw_tui::member::Member;
use zw_tui::supervisor::{Asked, Change, ChildPlan, Exit, Order, Report, RunFile, Supervisor};

const N1: Member = Member::Node(1);
const DEADLINE: Duration = Duration::from_secs(20);
const POLITE: &str = "trap 'exit 0' TERM; echo 'listening on 127.0.0.1:1'; while :; do sleep 0.05; done";

struct Bench {
    directory: tempfile::TempDir,
    supervisor: Supervisor,
    reports: Receiver<Report>,
}

impl Bench {
    /// One child per script, not started yet.
    fn new(scripts: &[&str]) -> Bench {
        let directory = tempfile::tempdir().unwrap();
        let plans = scripts.iter().zip(1..).map(|(script, number)| plan(directory.path(), number, script)).collect();
        let (sender, reports) = channel();
        let (run_file, _) = RunFile::take(directory.path()).unwrap();
        let supervisor = Supervisor::start(run_file, plans, move |report| {
            let _ = sender.send(report);
        });
        Bench { supervisor: supervisor.unwrap(), reports, directory }
    }

    fn order(&self, order: Order) -> &Bench {
        self.supervisor.order(order);
        self
    }

    /// Waits for a change that `is_it` accepts.
    fn wait<T>(&self, is_it: impl Fn(&Report) -> Option<T>) -> T {
        let end = Instant::now() + DEADLINE;
        loop {
            let report = self.reports.recv_timeout(end - Instant::now()).expect("the change did not come");
            if let Some(value) = is_it(&report) {
                return value;
            }
        }
    }

    fn start(&self, member: Member) -> u32 {
        self.order(Order::Start(member));
        let pid = self.wait(|report| match report.change {
            Change::Spawned { pid } => Some(pid),
            _ => None,
        });
        self.wait(|report| (report.change == Change::Listening).then_some(()));
        pid
    }

    fn exit(&self) -> (Exit, Asked) {
        self.wait(|report| match report.change {
            Change::Exited { exit, asked, .. } => Some((exit, asked)),
            _ => None,
        })
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.supervisor.order(Order::KillAll);
        assert!(self.supervisor.wait_stopped(DEADLINE));
    }
}

fn plan(directory: &Path, number: u8, script: &str) -> ChildPlan {
    // Not a script file: a file that was just written may be busy when other tests fork.
    let name = directory.join(format!("script-{number}"));
    ChildPlan {
        member: Member::Node(number),
        program: "/bin/sh".into(),
        name: "sh".into(),
        arguments: vec!["-c".into(), script.into(), name.into()],
        port: free_port(),
        log: directory.join(format!("n{number}.log")),
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn is_gone(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.is_empty() || stat.contains(") Z ")
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < end, "{what} did not come true");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_polite_child_stops_and_starts_again() {
    let bench = Bench::new(&[POLITE]);
    let first = bench.start(N1);
    bench.order(Order::Stop(N1));
    assert_eq!(bench.exit(), (Exit::Code(0), Asked::Stop));
    assert!(is_gone(first));
    assert_ne!(bench.start(N1), first);
}

#[test]
fn what_somebody_else_did_is_not_ours() {
    let bench = Bench::new(&[POLITE, "echo 'listening on x'; exit 7"]);
    let pid = bench.start(N1);
    let killed = std::process::Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap();
    assert!(killed.success());
    assert_eq!(bench.exit(), (Exit::Signal(9), Asked::Nothing));
    bench.order(Order::Start(Member::Node(2)));
    assert_eq!(bench.exit(), (Exit::Code(7), Asked::Nothing));
}

#[test]
fn a_child_that_ignores_the_signal_is_killed_after_its_grace() {
    let bench = Bench::new(&["trap '' TERM; echo 'listening on x'; while :; do sleep 0.05; done"]);
    bench.start(N1);
    bench.order(Order::Stop(N1));
    bench.wait(|report| (report.change == Change::GraceOver).then_some(()));
    assert_eq!(bench.exit(), (Exit::Signal(9), Asked::KillAfterGrace));
}

#[test]
fn a_paused_child_stops_politely() {
    let bench = Bench::new(&[POLITE]);
    let pid = bench.start(N1);
    bench.order(Order::Pause(N1));
    let state = || std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // A shell that was just starting its `sleep` shows as D: it waits for that child, which is stopped.
    wait_until("the pause", || [") T ", ") D "].iter().any(|stopped| state().contains(stopped)));
    bench.order(Order::Stop(N1));
    assert_eq!(bench.exit(), (Exit::Code(0), Asked::Stop));
}

#[test]
fn the_ordered_stop_takes_paused_stubborn_and_forked_processes() {
    let forked = "sleep 1000 & echo $! > \"$0.pid\"; echo 'listening on x'; wait";
    let bench = Bench::new(&[POLITE, "trap '' TERM; echo 'listening on x'; while :; do sleep 0.05; done", forked]);
    let pids = [N1, Member::Node(2), Member::Node(3)].map(|member| bench.start(member));
    let grandchild = std::fs::read_to_string(bench.directory.path().join("script-3.pid")).unwrap();
    let grandchild: u32 = grandchild.trim().parse().unwrap();
    assert!(!is_gone(grandchild));
    bench.order(Order::Pause(N1)).order(Order::StopAll { last: Some(N1) });
    let left = bench.wait(|report| match report.change {
        Change::AllStopped { left } => Some(left),
        _ => None,
    });
    assert_eq!(left, 0);
    assert!(bench.supervisor.wait_stopped(DEADLINE));
    for pid in pids {
        assert!(is_gone(pid), "{pid} is left");
    }
    // Its parent is gone, so whoever adopted it reaps it.
    wait_until("the end of the grandchild", || is_gone(grandchild));
    bench.order(Order::Start(N1));
    bench.wait(|report| matches!(report.change, Change::Refused(_)).then_some(()));
}

#[test]
fn a_taken_port_and_a_missing_program_fail_with_the_reason() {
    let directory = tempfile::tempdir().unwrap();
    let mut taken = plan(directory.path(), 1, POLITE);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    taken.port = listener.local_addr().unwrap().port();
    let mut missing = plan(directory.path(), 2, POLITE);
    missing.program = PathBuf::from("/nonexistent/program");
    let (sender, reports) = channel();
    let (run_file, _) = RunFile::take(directory.path()).unwrap();
    let port = taken.port;
    let supervisor = Supervisor::start(run_file, vec![taken, missing], move |report| {
        let _ = sender.send(report);
    })
    .unwrap();
    let failure = |order| {
        supervisor.order(order);
        match reports.recv_timeout(DEADLINE).unwrap().change {
            Change::Failed(reason) => reason,
            other => panic!("{other:?}"),
        }
    };
    let reason = failure(Order::Start(N1));
    assert!(reason.contains(&port.to_string()) && reason.contains("pid"), "{reason}");
    assert!(failure(Order::Start(Member::Node(2))).contains("/nonexistent/program"));
}

#[test]
fn what_a_child_said_last_comes_with_its_end_if_that_is_its_own_error() {
    let fails = "echo 'sh: cannot go on' >&2; exit 3";
    let once = "test -e \"$0.done\" && exit 4; touch \"$0.done\"; echo 'sh: the first time' >&2; exit 3";
    let killed = "echo 'sh: all is well' >&2; kill -9 $$";
    let bench = Bench::new(&[fails, once, killed]);
    let words = |number| {
        bench.order(Order::Start(Member::Node(number)));
        bench.wait(|report| match &report.change {
            Change::Exited { words, .. } => Some(words.clone()),
            _ => None,
        })
    };
    // Many times: the last words never come too late.
    for _ in 0..20 {
        assert_eq!(words(1).as_deref(), Some("cannot go on"));
    }
    assert_eq!(words(2).as_deref(), Some("the first time"));
    assert_eq!(words(2), None, "those of an earlier life are not its words");
    assert_eq!(words(3), None, "it was ended by somebody");
}

#[test]
fn what_a_child_prints_is_kept() {
    let bench = Bench::new(&["echo 'to the log' >&2; echo 'listening on x'; exec sleep 1000"]);
    bench.start(N1);
    let output = bench.supervisor.output(N1).unwrap();
    wait_until("the line", || output.tail(1) == ["to the log"]);
    wait_until("the file", || std::fs::read_to_string(output.log()).is_ok_and(|text| text == "to the log\n"));
}
