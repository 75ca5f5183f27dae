//! The real program with real nodes in a real (pseudo) terminal: start, keys, signals, hang-up, and that nothing is ever
//! left behind: no process, no mode of the terminal.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use rustix::process::{Pid, Signal, kill_process};
use std::process::{Command, Stdio};
use std::time::Duration;
use support::{Console, free_ports, living_with, wait_until};

#[test]
fn it_starts_shows_the_ensemble_and_quits_without_a_trace() {
    let mut console = Console::start(3, 1);
    console.wait_for("HEALTHY  quorum 3/3");
    console.wait_for("b1 ");
    assert_eq!(living_with(console.data()).len(), 6, "the console, the keeper, three nodes and a broker");
    for (member, name) in [("n1", "zw-node"), ("n3", "zw-node"), ("b1", "zw-broker")] {
        let pid = living_with(&format!("{}/{member}", console.data()))[0];
        let read = |file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap();
        assert_eq!(read("comm").trim(), name, "what ps and top call {member}");
        assert!(read("cmdline").starts_with(&format!("{name}\0")), "{member}");
    }
    let modes = console.modes();
    assert!(modes.alternate_screen && modes.mouse && modes.paste && modes.cursor_hidden && !modes.canonical);
    console.type_keys("q");
    assert_eq!(console.exit_code(), 0);
    console.assert_nothing_left();
    console.wait_for("4 processes stopped; data and logs are in");
}

#[test]
fn keys_kill_pause_and_revive() {
    let mut console = Console::start(3, 0);
    console.wait_for("HEALTHY  quorum 3/3");
    console.type_keys(":kill leader\r");
    console.wait_for("exit 137 (you)");
    console.wait_for("quorum 2/3");
    // The selected line is n1, a follower or the leader: undo revives whoever was killed.
    console.type_keys("U");
    console.wait_for("HEALTHY  quorum 3/3");
    console.type_keys("P");
    console.wait_for("(you)");
    console.wait_for("PAUSED");
    console.wait_for("DEGRADED  quorum 2/3");
    console.type_keys("R");
    console.wait_for("HEALTHY  quorum 3/3");
    console.type_keys("jT");
    console.wait_for("exit 0 (you)");
    console.type_keys("R");
    console.wait_for("HEALTHY  quorum 3/3");
    console.type_keys("\x03");
    assert_eq!(console.exit_code(), 0);
    console.assert_nothing_left();
}

#[test]
fn a_write_is_acknowledged_and_shown_in_the_tree() {
    let mut console = Console::start(3, 0);
    console.wait_for("HEALTHY  quorum 3/3");
    console.type_keys(":write /missing/pty x\r");
    console.wait_for("no such znode: /missing; write that one first");
    console.type_keys(":write /pty the-value\r");
    console.wait_for("made /pty");
    console.type_keys("4Gk");
    console.wait_for("pty");
    console.type_keys(":write n2 /pty another-value\r");
    console.wait_for("set /pty  v1");
    // The form, with a value that is pasted: no key in it acts, whatever it says.
    console.type_keys("1W");
    console.wait_for("through ◂ n1 ▸");
    console.type_keys("form\r\x1b[200~K K\nq\x1b[201~");
    console.wait_for("K K ");
    console.type_keys("\r");
    console.wait_for("made /form");
    console.wait_for("HEALTHY  quorum 3/3");
    console.type_keys("q");
    assert_eq!(console.exit_code(), 0);
}

#[test]
fn the_tree_of_a_revived_node_shows_what_was_written_while_it_was_away() {
    let mut console = Console::start(3, 0);
    console.wait_for("HEALTHY  quorum 3/3");
    console.type_keys(":write n1 /before x\r");
    console.wait_for("made /before");
    console.type_keys("K");
    console.wait_for(" n1 is down ");
    console.wait_for("quorum 2/3");
    console.type_keys(":write /x 7\r");
    console.wait_for("n1 is down: R revives it, or write through");
    console.type_keys("\x1b");
    console.wait_until_gone("R revives it, or");
    console.type_keys("U");
    console.wait_for("HEALTHY  quorum 3/3");
    console.type_keys(":write n2 /after x\r");
    console.wait_for("made /after");
    console.wait_for("after      ");
    // Over a connection to its new life.
    console.type_keys(":write n1 /again x\r");
    console.wait_for("made /again");
    console.type_keys("q");
    assert_eq!(console.exit_code(), 0);
}

#[test]
fn a_leader_that_is_cut_off_is_replaced_and_comes_back() {
    let mut console = Console::start(3, 0);
    console.wait_for("HEALTHY  quorum 3/3  leader n3  epoch 1");
    console.type_keys(":cut leader 0\r");
    console.wait_for("n3 ⌿ CUT");
    console.wait_for("epoch 2");
    // The others go on, and what was cut off is back to them once it is killed, until it is healed.
    console.type_keys(":write n1 /while-cut x\r");
    console.wait_for("made /while-cut");
    console.type_keys(":kill n3\r");
    console.wait_for("exit 137 (you)");
    console.type_keys(":revive n3\r");
    console.wait_for("cut from n1,n2 (you)");
    console.wait_for("n3  started again");
    console.wait_for("quorum 2/3");
    console.type_keys("H");
    console.wait_for("HEALTHY  quorum 3/3");
    console.type_keys("q");
    assert_eq!(console.exit_code(), 0);
}

#[test]
fn signals_end_it_with_their_code() {
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130), (Signal::QUIT, 131), (Signal::HUP, 129)] {
        let mut console = Console::start(1, 0);
        console.wait_for("quorum 1/1");
        kill_process(console.pid(), signal).unwrap();
        assert_eq!(console.exit_code(), code, "{signal:?}");
        console.assert_nothing_left();
    }
}

#[test]
fn a_panic_anywhere_restores_the_terminal_and_stops_the_children() {
    for place in ["ui", "task", "draw"] {
        let mut console = Console::start(1, 0);
        console.wait_for("quorum 1/1");
        console.type_keys(&format!(":debug panic {place}\r"));
        assert_eq!(console.exit_code(), 101, "{place}");
        console.assert_nothing_left();
        console.wait_for("on purpose");
    }
}

#[test]
fn keys_that_were_typed_while_it_hung_count_in_their_order() {
    let mut console = Console::start(3, 0);
    console.wait_for("HEALTHY  quorum 3/3");
    console.type_keys(":debug hang ui 1s\r");
    console.type_keys("jjkj:mouse");
    console.wait_for(":mouse");
    console.type_keys("\r");
    console.wait_for("> n3");
    console.wait_for("mouse off");
    console.type_keys("q");
    assert_eq!(console.exit_code(), 0);
}

#[test]
fn a_node_that_is_stopped_from_outside_does_not_answer_and_is_not_called_paused() {
    let mut console = Console::start(3, 0);
    console.wait_for("HEALTHY  quorum 3/3");
    let node = living_with(&format!("{}/n1", console.data()))[0];
    kill_process(Pid::from_raw(node).unwrap(), Signal::STOP).unwrap();
    console.wait_for("DEGRADED  quorum 2/3");
    console.wait_for("no answer");
    assert!(!console.text().contains("PAUSED"), "{}", console.text());
    kill_process(Pid::from_raw(node).unwrap(), Signal::KILL).unwrap();
    console.wait_for("exit 137 (not you)");
    console.type_keys("R");
    console.wait_for("HEALTHY  quorum 3/3");
    // Twice: whoever still runs is killed at once.
    console.type_keys("\x03\x03");
    assert_eq!(console.exit_code(), 0);
    console.assert_nothing_left();
}

#[test]
fn a_terminal_that_goes_away_ends_it_with_and_without_the_signal() {
    for prefix in ["", "trap '' HUP; "] {
        let mut console = Console::start_in_shell(prefix, 3, 0);
        console.wait_for("quorum 3/3");
        let data = console.data().to_owned();
        console.hang_up();
        wait_until("the end of all processes", || living_with(&data).is_empty());
        // An orderly end is no error.
        let log = std::fs::read_to_string(format!("{data}/console.log")).unwrap();
        assert!(!log.contains("ERROR"), "{log}");
    }
}

#[test]
fn its_sudden_death_takes_even_stopped_children_along() {
    let console = Console::start(3, 1);
    console.wait_for("HEALTHY  quorum 3/3");
    console.wait_for("b1 ");
    let data = console.data().to_owned();
    let children: Vec<i32> =
        living_with(&data).into_iter().filter(|pid| *pid != console.pid().as_raw_nonzero().get()).collect();
    assert_eq!(children.len(), 5);
    // One of them is the keeper.
    for child in &children[..2] {
        kill_process(Pid::from_raw(*child).unwrap(), Signal::STOP).unwrap();
    }
    kill_process(console.pid(), Signal::KILL).unwrap();
    wait_until("the end of all children", || living_with(&data).is_empty());
}

#[test]
fn its_sudden_death_during_the_start_leaves_nobody() {
    for _ in 0..5 {
        let console = Console::start(3, 1);
        let data = console.data().to_owned();
        // As soon as the first child exists, the others are about to be spawned.
        wait_until("a child", || living_with(&data).len() > 1);
        kill_process(console.pid(), Signal::KILL).unwrap();
        wait_until("the end of all children", || living_with(&data).is_empty());
    }
}

#[test]
fn it_can_be_suspended_and_comes_back() {
    let mut console = Console::start(1, 0);
    console.wait_for("quorum 1/1");
    for stop in ["key", "signal"] {
        if stop == "key" {
            console.type_keys("\x1a");
        } else {
            kill_process(console.pid(), Signal::TSTP).unwrap();
        }
        let stat = format!("/proc/{}/stat", console.pid().as_raw_nonzero());
        wait_until("the stop", || std::fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(") T ")));
        console.wait_for_modes(|modes| !modes.alternate_screen && !modes.mouse && modes.canonical);
        kill_process(console.pid(), Signal::CONT).unwrap();
        console.wait_for_modes(|modes| modes.alternate_screen && modes.mouse && !modes.canonical);
        console.wait_for("HEALTHY  quorum 1/1");
    }
    console.type_keys("q");
    assert_eq!(console.exit_code(), 0);
}

#[test]
fn it_writes_nothing_while_nothing_changes() {
    let mut console = Console::start(3, 0);
    console.wait_for("HEALTHY  quorum 3/3");
    // Toasts go, rates settle, memory is measured; then there must be silence.
    console.wait_for_silence(Duration::from_millis(1_500));
    console.type_keys("j");
    console.wait_for("> n2");
    console.wait_for_silence(Duration::from_millis(1_500));
}

#[test]
fn any_size_and_keys_in_pieces() {
    let mut console = Console::start(1, 0);
    console.wait_for("quorum 1/1");
    for (width, height) in [(1, 1), (2, 2), (10, 3), (20, 5), (40, 12), (500, 200), (3, 100), (300, 2), (80, 24)] {
        console.resize(width, height);
    }
    console.wait_for("HEALTHY  quorum 1/1");
    console.type_keys("?");
    console.wait_for("Help: all actions");
    // An arrow whose bytes come one by one neither closes the help nor types letters into its search.
    for byte in ["\x1b", "[", "B"] {
        console.type_keys(byte);
    }
    console.wait_for("> :");
    console.type_keys("\x1b");
    console.wait_until_gone("Help: all actions");
    console.type_keys("q");
    assert_eq!(console.exit_code(), 0);
}

#[test]
fn a_port_that_is_taken_meanwhile_is_named_and_the_others_serve() {
    let base = free_ports(3);
    let mut console = Console::start_at(base, 3, 0);
    console.wait_for("HEALTHY  quorum 3/3");
    console.type_keys(":kill n3\r");
    console.wait_for("exit 137 (you)");
    let listener = std::net::TcpListener::bind(("127.0.0.1", base + 2)).unwrap();
    console.type_keys("GR");
    console.wait_for(&format!("port {} is taken by", base + 2));
    console.wait_for("FAILED");
    console.wait_for("DEGRADED  quorum 2/3");
    drop(listener);
    console.type_keys("R");
    console.wait_for("HEALTHY  quorum 3/3");
    console.type_keys("q");
    assert_eq!(console.exit_code(), 0);
    console.assert_nothing_left();
}

#[test]
fn taken_ports_are_named_before_the_first_screen_and_nothing_is_started() {
    let base = free_ports(3);
    let _listeners = [0, 2].map(|offset| std::net::TcpListener::bind(("127.0.0.1", base + offset)).unwrap());
    let mut console = Console::start_at(base, 3, 0);
    assert_eq!(console.exit_code(), 1);
    console.wait_for(&format!("zw-tui: port {base} is taken by"));
    console.wait_for(&format!(", and so is {}; free them, or choose other ports with --base-port", base + 2));
    console.assert_nothing_left();
    assert!(!std::path::Path::new(console.data()).join("n2").exists(), "a node was started");
    // Nor without a screen.
    let (code, text) = headless(base, 3, console.data());
    assert!(code == Some(1) && text.contains(&format!("port {base} is taken by")), "{code:?} {text}");
}

/// Runs without a screen, until it ends by itself.
fn headless(base: u16, nodes: u8, data: &str) -> (Option<i32>, String) {
    let (base, nodes) = (base.to_string(), nodes.to_string());
    let flags = ["--headless", "--nodes", &nodes, "--brokers", "0", "--base-port", &base, "--data", data];
    let output = Command::new(env!("CARGO_BIN_EXE_zw-tui")).args(flags).stdin(Stdio::null()).output().unwrap();
    assert_eq!(living_with(data), Vec::<i32>::new());
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn data_of_another_ensemble_is_refused_in_terms_of_the_flags() {
    let base = free_ports(3);
    let mut console = Console::start_at(base, 3, 0);
    console.wait_for("HEALTHY  quorum 3/3");
    console.type_keys("q");
    assert_eq!(console.exit_code(), 0);
    let moved = free_ports(3);
    for (base_now, nodes) in [(moved, 3), (base, 2)] {
        let (code, text) = headless(base_now, nodes, console.data());
        assert_eq!(code, Some(1), "{text}");
        let now = format!("the data of an ensemble of 3 nodes from port {base}, and the flags ask for {nodes} nodes");
        assert!(text.contains(&now) && text.contains(&format!("start it with --nodes 3 --base-port {base}")), "{text}");
        assert!(!text.contains("--ensemble"), "{text}");
    }
    let n1 = std::path::Path::new(console.data()).join("n1");
    std::fs::rename(&n1, n1.with_file_name("n0")).unwrap();
    std::fs::rename(n1.with_file_name("n2"), &n1).unwrap();
    let (code, text) = headless(base, 3, console.data());
    assert!(code == Some(1) && text.contains("is the data of node 2, not of n1"), "{code:?} {text}");
}

#[test]
fn a_node_with_a_damaged_log_says_so_on_the_screen_and_ends_it_without_one() {
    let base = free_ports(3);
    let mut console = Console::start_at(base, 3, 0);
    console.wait_for("HEALTHY  quorum 3/3");
    console.type_keys(":kill n2\r");
    console.wait_for("exit 137 (you)");
    std::fs::write(std::path::Path::new(console.data()).join("n2/identity"), "damaged").unwrap();
    console.type_keys("U");
    console.wait_for("FAILED");
    console.wait_for("identity is damaged");
    console.type_keys("!");
    // What the node advises, and not to start it as it is.
    console.wait_for("it gets everything from them");
    assert!(!console.text().contains("R revives"), "{}", console.text());
    console.type_keys("qq");
    assert_eq!(console.exit_code(), 0);
    let (code, text) = headless(base, 3, console.data());
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("zw-tui: n2 failed (exit 1)") && text.contains("move the directory away"), "{text}");
}

#[test]
fn a_second_console_on_the_same_data_is_refused() {
    let mut console = Console::start(1, 0);
    console.wait_for("quorum 1/1");
    let output = Command::new(env!("CARGO_BIN_EXE_zw-tui"))
        .args(["--headless", "--nodes", "1", "--brokers", "0", "--data", console.data()])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("in use by the console"), "{text}");
    // Who only wants to look is told how.
    assert!(text.contains("To look at what runs there: zw-tui attach 127.0.0.1:"), "{text}");
    console.type_keys("q");
    assert_eq!(console.exit_code(), 0);
}

#[test]
fn without_a_terminal_it_says_what_to_do_and_starts_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().to_str().unwrap().to_owned();
    let output =
        Command::new(env!("CARGO_BIN_EXE_zw-tui")).args(["--data", &data]).stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("--headless") && text.contains("scripts/deployment.sh"), "{text}");
    assert_eq!(living_with(&data), Vec::<i32>::new());
    assert!(std::fs::read_dir(directory.path()).unwrap().next().is_none(), "something was started");
}

#[test]
fn headless_keeps_running_where_a_hang_up_is_to_be_ignored() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().to_str().unwrap().to_owned();
    let flags = format!("--headless --nodes 1 --brokers 0 --base-port {} --data {data}", free_ports(1));
    let mut child = Command::new("sh")
        .args(["-c", &format!("trap '' HUP; exec {} {flags}", env!("CARGO_BIN_EXE_zw-tui"))])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap())).map(Result::unwrap);
    assert!(lines.any(|line| line.contains("HEALTHY")));
    kill_process(Pid::from_child(&child), Signal::HUP).unwrap();
    // The node is a witness: had the signal counted, it would be on its way out and never be seen to end unasked.
    let node = living_with(&format!("{data}/n1"))[0];
    kill_process(Pid::from_raw(node).unwrap(), Signal::KILL).unwrap();
    assert!(lines.any(|line| line.contains("exit 137 (not you)")), "it left");
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn headless_prints_what_happens_and_stops_on_a_signal() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().to_str().unwrap().to_owned();
    let base = free_ports(3).to_string();
    let mut child = Command::new(env!("CARGO_BIN_EXE_zw-tui"))
        .args(["--headless", "--nodes", "3", "--brokers", "0", "--base-port", &base, "--data", &data])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    let healthy = lines.map(Result::unwrap).find(|line| line.contains("HEALTHY  quorum 3/3"));
    assert!(healthy.is_some_and(|line| !line.contains('\x1b')), "it ended, or is not plain");
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(living_with(&data), Vec::<i32>::new());
}
