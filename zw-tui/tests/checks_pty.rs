//! What the console promises whatever happens, with real nodes in a real (pseudo) terminal: it leaves at once when it is told
//! twice, survives full disks, shows what the nodes say, and takes a terminal's late answers for what they are.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use rustix::process::{Pid, Signal, kill_process};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use support::{Console, free_ports, living_with, wait_until};
use zw_core::client::{Client, ClientOptions, Connection};
use zw_core::tree::command::CreateMode;
use zw_core::wire::admin::Status;

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// Asks a node itself.
fn status_of(port: u16) -> Status {
    block_on(async {
        let mut connection = Connection::open(&format!("127.0.0.1:{port}"), Duration::from_secs(5)).await.unwrap();
        connection.status().await.unwrap()
    })
}

/// E2, with nodes that hear no signal but the last.
#[test]
fn told_once_it_waits_for_a_hung_node_and_told_twice_it_does_not() {
    let directory = tempfile::tempdir().unwrap();
    let hung = directory.path().join("hung");
    std::fs::write(&hung, "#!/bin/sh\ntrap '' TERM\necho > \"$0.$$\"\nwhile :; do sleep 1; done\n").unwrap();
    std::fs::set_permissions(&hung, std::fs::Permissions::from_mode(0o755)).unwrap();
    for (keys, is_patient) in [("\x03", true), ("\x03\x03", false), ("q\x03", false)] {
        let base = free_ports(2).to_string();
        let ports = ["--nodes", "2", "--brokers", "0", "--base-port", &base];
        let program = ["--data", "{data}", "--node-bin", hung.to_str().unwrap(), "--motion", "off"];
        let mut console = Console::start_as(&[&ports[..], &program[..]].concat(), &[]);
        console.wait_for("local ensemble, 2 nodes");
        wait_until("both nodes", || std::fs::read_dir(directory.path()).unwrap().count() == 3);
        console.type_keys(keys);
        assert_eq!(console.exit_code(), 0, "{keys:?}");
        console.assert_nothing_left();
        console.wait_for("2 processes stopped");
        for mark in std::fs::read_dir(directory.path()).unwrap().flatten().filter(|entry| entry.path() != hung) {
            std::fs::remove_file(mark.path()).unwrap();
        }
        let log = std::fs::read_to_string(Path::new(console.data()).join("console.log")).unwrap();
        assert!(!log.contains("ERROR"), "{keys:?} patient {is_patient}: {log}");
    }
}

/// E5.
#[test]
fn a_panic_while_it_restores_the_terminal_leaves_it_sane_all_the_same() {
    for end in ["q", "\x03"] {
        let mut console = Console::start(1, 0);
        console.wait_for("quorum 1/1");
        console.type_keys(":debug panic restore\r");
        console.wait_until_gone(":debug");
        console.type_keys(end);
        assert_eq!(console.exit_code(), 101);
        console.assert_nothing_left();
    }
}

/// E8: in the midst of frames.
#[test]
fn a_terminal_that_goes_away_while_it_is_written_to_ends_it() {
    let mut console = Console::start(3, 0);
    console.wait_for("HEALTHY  quorum 3/3");
    console.type_keys(":load max 60s\r\x1b");
    console.wait_for("violations in ");
    let data = console.data().to_owned();
    console.hang_up();
    wait_until("the end of all processes", || living_with(&data).is_empty());
}

/// F3.
#[test]
fn who_was_killed_from_outside_is_not_said_to_be_killed_by_you() {
    let mut console = Console::start(3, 1);
    console.wait_for("HEALTHY  quorum 3/3");
    console.wait_for("b1 ");
    for member in ["n2", "b1"] {
        let pid = living_with(&format!("{}/{member}", console.data()))[0];
        kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
        console.wait_for(&format!("{member}  exit 137 (not you)"));
    }
    assert!(!console.text().contains("(you)"), "{}", console.text());
    console.type_keys("!");
    console.wait_for("n2 is down (exit 137): R revives it");
    console.type_keys("qq");
    assert_eq!(console.exit_code(), 0);
}

/// F5.
#[test]
fn without_a_quorum_a_write_fails_in_time_with_its_reason_and_keeps_its_text() {
    let mut console = Console::start(5, 0);
    console.wait_for("HEALTHY  quorum 5/5");
    console.type_keys(":kill n3,n4,n5\r");
    console.wait_for("NO QUORUM");
    console.type_keys("1gW");
    console.wait_for("through ◂ n1 ▸");
    console.type_keys("kept\rtext-that-is-kept\r");
    console.wait_for("no leader with a quorum within 3 s");
    let text = console.text();
    assert!(text.contains("/kept") && text.contains("text-that-is-kept") && text.contains("through ◂ n1 ▸"), "{text}");
    // The same form serves when there is a quorum again.
    console.type_keys("\x1b");
    console.wait_until_gone("through ◂ n1 ▸");
    console.type_keys("U");
    console.wait_for("quorum 3/5");
    console.type_keys("q");
    assert_eq!(console.exit_code(), 0);
}

/// F8.
#[test]
fn the_numbers_are_the_nodes_own_or_have_their_age() {
    let base = free_ports(3);
    let mut console = Console::start_at(base, 3, 0);
    console.wait_for("HEALTHY  quorum 3/3");
    console.type_keys(":write --sequence --count 40 /n x\r");
    console.wait_for("40 writes, the last");
    for node in 0..3_u16 {
        console.type_keys("1g");
        console.type_keys(&"j".repeat(node.into()));
        console.type_keys("d");
        let title = format!("─ n{} ─", node + 1);
        console.wait_for(&title);
        let is_shown = |console: &Console| {
            let said = status_of(base + node);
            let text = console.text();
            let facts = [
                format!("last {}  committed {}", said.last_zxid, said.committed_zxid),
                format!("applied {}  {} znodes  digest {:016x}", said.applied_zxid, said.znodes, said.digest),
                format!("{}  epoch {}  leader n{}", said.role.word(), said.epoch, said.leader),
                format!("pid {}", said.pid),
            ];
            let text = text.replace("LEADER", "leader").replace("FOLLOW ", "follower ");
            facts.iter().all(|fact| text.contains(fact))
        };
        wait_until("the node's own numbers", || is_shown(&console));
        console.type_keys("d");
        console.wait_until_gone(&title);
    }
    // What is not heard any more has its age.
    let n1 = living_with(&format!("{}/n1", console.data()))[0];
    kill_process(Pid::from_raw(n1).unwrap(), Signal::STOP).unwrap();
    console.type_keys("1gd");
    console.wait_for("What it said 3s ago:");
    console.type_keys("d");
    console.wait_for("no answer ");
    kill_process(Pid::from_raw(n1).unwrap(), Signal::CONT).unwrap();
    console.wait_for("HEALTHY  quorum 3/3");
    console.type_keys("q");
    assert_eq!(console.exit_code(), 0);
}

/// G9.
#[test]
fn a_copy_goes_through_tmux_or_into_a_file_and_says_which() {
    let base = free_ports(1);
    let port = base.to_string();
    let arguments = ["--nodes", "1", "--brokers", "0", "--base-port", &port, "--data", "{data}"];
    let mut console = Console::start_as(&arguments, &[("TMUX", "/tmp/tmux-0/default,1,0")]);
    console.wait_for("HEALTHY  quorum 1/1");
    block_on(async {
        let client = Client::connect(ClientOptions::to([format!("127.0.0.1:{base}")])).await.unwrap();
        for (path, size) in [("/small", 5), ("/large", 90_000)] {
            let data = vec![b'x'; size];
            client.create(path, data, CreateMode::Persistent).await.unwrap();
        }
    });
    console.type_keys("4g");
    console.type_keys("\x12");
    console.wait_for("large");
    console.record();
    console.type_keys("/small\r");
    console.wait_for("xxxxx");
    console.type_keys("yv");
    console.wait_for("5 bytes to the terminal's clipboard (OSC 52 through tmux)");
    let sent = String::from_utf8_lossy(&console.recorded()).into_owned();
    let set = "\x1b]52;c;eHh4eHg=\x07";
    let passed = format!("\x1bPtmux;{}\x1b\\", set.replace('\x1b', "\x1b\x1b"));
    assert!(sent.contains(set) && sent.contains(&passed), "{sent:?}");
    console.type_keys("\x1b");
    console.wait_until_gone("/small  1 of");
    console.type_keys("/large\r");
    console.wait_for("90000 B");
    console.type_keys("yv");
    console.wait_for("90000 bytes are too many for a clipboard: they are in ");
    assert!(!String::from_utf8_lossy(&console.recorded()).contains("\x1b]52;"));
    let copied = std::fs::read_dir(Path::new(console.data()).join("xdg/zw")).unwrap().flatten();
    let copied: Vec<PathBuf> = copied.map(|entry| entry.path()).filter(|path| is_copy(path)).collect();
    assert_eq!(std::fs::read(&copied[0]).unwrap(), vec![b'x'; 90_000]);
    console.type_keys("q");
    assert_eq!(console.exit_code(), 0);
}

fn is_copy(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("copied-"))
}

/// H8.
#[test]
fn late_answers_of_the_terminal_never_show() {
    let answers = "\x1b]11;rgb:1616/1818/1d1d\x1b\\\x1b[?62;22;52c\x1b[12;40R\x1bP>|tmux 3.3a\x1b\\\x1b[?2026;2$y";
    let mut console = Console::start(1, 0);
    console.wait_for("HEALTHY  quorum 1/1");
    let shows = |console: &Console| {
        ["rgb:", "1616", "62;22", "12;40", "tmux 3", "2026"].iter().any(|part| console.text().contains(part))
    };
    for (place, words) in [("", ""), (":", "Tab completes"), ("?", "Help: all"), ("W", "through ◂")] {
        console.type_keys(place);
        console.wait_for(words);
        for piece in [answers.len(), 7, 1] {
            for bytes in answers.as_bytes().chunks(piece) {
                console.type_keys(std::str::from_utf8(bytes).unwrap());
            }
        }
        // What is typed after it is there, and it alone.
        console.type_keys(if place.is_empty() { ":" } else { "" });
        console.type_keys("typed");
        console.wait_for("typed");
        assert!(!shows(&console), "{}", console.text());
        console.type_keys("\x15\x1b");
        console.wait_until_gone("typed");
        console.wait_until_gone(if place.is_empty() { "Tab completes" } else { words });
    }
    console.wait_for("HEALTHY  quorum 1/1");
    console.type_keys("q");
    assert_eq!(console.exit_code(), 0);
    console.assert_nothing_left();
}

/// Fills the disk of a directory in the console's own mount namespace.
fn fill(console: &Console, directory: &str) -> PathBuf {
    let inside = directory.strip_prefix('/').unwrap();
    let path = Path::new("/proc").join(console.pid().as_raw_nonzero().to_string()).join("root").join(inside);
    let ballast = path.join("ballast");
    let mut file = std::fs::File::create(&ballast).unwrap();
    for size in [1 << 16, 1] {
        while std::io::Write::write_all(&mut file, &vec![0; size]).is_ok() {}
    }
    ballast
}

/// E15. A small disk for the data, another for the console's log; where the system gives an ordinary user no mount
/// namespace it says so, and checks nothing.
#[test]
fn full_disks_are_told_of_and_survived() {
    let Some(mut console) = Console::start_on_small_disks(3) else {
        eprintln!("not made: this system gives no mount namespace to an ordinary user");
        return;
    };
    console.wait_for("HEALTHY  quorum 3/3");
    let (data, logs) = (console.data().to_owned() + "/n1", console.data().to_owned() + "/logs");
    let ballast = fill(&console, &logs);
    // Each is a line for the log; the first go into what is left of its last page.
    console.type_keys("j");
    wait_until("the words about the log", || {
        console.type_keys("P");
        console.text().contains("the log cannot be written: No space left")
    });
    std::fs::remove_file(ballast).unwrap();
    console.type_keys(":revive n2\r");
    console.wait_for("HEALTHY  quorum 3/3");
    console.wait_for("the log is written again");
    let ballast = fill(&console, &data);
    // More than what the node has set aside in its log.
    console.type_keys(":load 200/s 60s n1 reads=0 size=200000\r\x1b");
    console.wait_for("disk full");
    console.wait_for("n1  the disk is full");
    console.wait_for("DEGRADED");
    std::fs::remove_file(ballast).unwrap();
    console.wait_for("the disk has space again");
    console.wait_until_gone("disk full ");
    assert!(!console.text().contains("tracing"), "nobody prints over the screen: {}", console.text());
    console.type_keys("\x1bq");
    console.type_keys("\x03");
    assert_eq!(console.exit_code(), 0);
}
