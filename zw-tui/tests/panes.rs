//! What the panes look like, in several states and sizes; and that no size breaks them.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod sample;

use bytes::Bytes;
use ratatui::buffer::Buffer;
use ratatui::style::{Color, Modifier};
use sample::script::{ASCII, Script, UNICODE};
use std::time::Duration;
use zw_core::ids::{Epoch, NodeId, Zxid};
use zw_core::tree::command::Stat;
use zw_core::wire::admin::{NodeRole, PeerStatus, Status};
use zw_core::wire::client::ChildrenPage;
use zw_tui::member::Member;
use zw_tui::model::Pane;
use zw_tui::model::message::{Msg, Written};
use zw_tui::supervisor::{Asked, Change, Exit};

/// n3 is out of sight, n4 has another list.
fn peer(other: usize) -> PeerStatus {
    let problem = if other == 3 { "the lists of members differ".to_owned() } else { String::new() };
    PeerStatus {
        node: NodeId(u16::try_from(other).unwrap() + 1),
        connected: other != 2,
        heard_ms_ago: 80,
        acked_zxid: if other == 0 { Zxid::new(Epoch(7), 1_042) } else { Zxid::ZERO },
        problem,
    }
}

fn status(node: usize, role: NodeRole, leader: u16, applied: u64) -> Status {
    let peers = (0..5).filter(|other| *other != node).map(peer).collect();
    let number = u16::try_from(node).unwrap() + 1;
    Status { role, peers, reads: 200, digest: 1, ..sample::status(number, leader, Zxid::new(Epoch(7), applied)) }
}

/// n5 leads, all follow.
fn serving(script: &mut Script) -> &mut Script {
    for node in 0..4 {
        script.says(status(node, NodeRole::Follower, 5, 1_042));
    }
    script.says(status(4, NodeRole::Leader, 5, 1_042))
}

fn healthy() -> Script {
    let mut script = Script::running(5, 3);
    serving(serving(script.after(900)).goals().keys("1").after(250));
    script
}

/// n3 paused, n4 killed, b3 died.
fn degraded() -> Script {
    let mut script = healthy();
    script.keys("jj").keys("P").keys("j").after(1_000).keys("K");
    script.change(Member::Node(3), Change::Paused);
    script.change(Member::Node(4), Change::Stopping);
    script.change(Member::Node(4), Change::Exited { exit: Exit::Signal(9), asked: Asked::Kill, words: None });
    script.change(Member::Broker(3), Change::Exited { exit: Exit::Code(101), asked: Asked::Nothing, words: None });
    script.after(8_000);
    for node in [0, 1] {
        script.says(status(node, NodeRole::Follower, 5, 1_058));
    }
    script.says(status(4, NodeRole::Leader, 5, 1_060));
    script
}

#[test]
fn starting() {
    insta::assert_snapshot!(Script::new(5, 3).screens(&ASCII));
}

#[test]
fn healthy_in_unicode() {
    insta::assert_snapshot!(healthy().screens(&UNICODE));
}

#[test]
fn degraded_in_ascii() {
    insta::assert_snapshot!(degraded().screens(&ASCII));
}

#[test]
fn a_failed_start_names_the_port() {
    let mut script = Script::new(3, 0);
    script.change(Member::Node(2), Change::Failed("port 8081 is taken by nginx (pid 4711); end it".into()));
    insta::assert_snapshot!(script.screens(&ASCII));
}

#[test]
fn help() {
    let mut script = healthy();
    script.keys("?kill");
    insta::assert_snapshot!(script.screens(&ASCII));
}

#[test]
fn help_of_everything() {
    let mut script = healthy();
    script.keys("?");
    insta::assert_snapshot!(script.screens(&UNICODE));
}

#[test]
fn why() {
    let mut script = degraded();
    script.keys("!");
    insta::assert_snapshot!(script.screens(&ASCII));
}

#[test]
fn faults_are_labelled_at_both_ends_and_listed() {
    let mut script = healthy();
    script.command("cut n1,n2|n3,n4,n5 20s");
    serving(script.command("slow n5 80ms 0").after(3_000));
    let nodes = script.screens(&UNICODE);
    script.keys("U").command("faults");
    insta::assert_snapshot!(format!("{nodes}\n{}", script.screens(&ASCII)));
}

#[test]
fn the_page_of_a_node_and_of_a_broker() {
    let mut script = degraded();
    script.keys("kkd");
    let paused = script.screens(&UNICODE);
    script.keys("\x1b").keys("2Gd");
    insta::assert_snapshot!(format!("{paused}\n{}", script.screens(&ASCII)));
}

#[test]
fn the_output_of_a_process_is_followed_until_it_is_scrolled() {
    let mut script = healthy();
    let printed = |count: u64| {
        let lines = (0..count).map(|line| match line % 20 {
            3 => format!("10:00:{line:02} ERROR {line}\x1b[2J is wrong"),
            7 => format!("10:00:{line:02}  WARN {line} {}", "long ".repeat(100)),
            _ => format!("10:00:{line:02}  INFO line {line}"),
        });
        Msg::Output { member: Member::Node(1), lines: lines.collect(), total: count }
    };
    script.keys("o").tell(printed(60));
    let following = script.screens(&ASCII);
    script.keys("kk").tell(printed(70));
    insta::assert_snapshot!(format!("{following}\n{}", script.screens(&ASCII)));
}

/// What a node prints of a damaged log.
const DAMAGED: &str = "/var/lib/zooweeper/data/n2/0000000000000001.wal: the block at 4096 is damaged, and blocks after \
    it are not. This log cannot be used. The node does not start with it, because it could forget what it has \
    acknowledged. If the other members hold a quorum without this one, move the directory away and start the node with \
    an empty one: it gets everything from them. Never do that on several members at once";

#[test]
fn why_with_a_node_that_failed() {
    let mut script = healthy();
    let exited = Change::Exited { exit: Exit::Code(1), asked: Asked::Nothing, words: Some(DAMAGED.into()) };
    serving(script.change(Member::Node(2), exited).after(200));
    let nodes = script.screens(&ASCII);
    script.keys("!");
    insta::assert_snapshot!(format!("{nodes}\n{}", script.screens(&ASCII)));
}

#[test]
fn a_long_explanation_scrolls() {
    let mut script = healthy();
    for node in 1..=4 {
        let exited = Change::Exited { exit: Exit::Code(1), asked: Asked::Nothing, words: Some(DAMAGED.into()) };
        script.change(Member::Node(node), exited);
    }
    script.keys("!");
    assert!(!text(&script.buffer(&ASCII, (80, 24))).contains("n4 failed"));
    script.keys("jjjjjjjj");
    assert!(text(&script.buffer(&ASCII, (80, 24))).contains("n4 failed"));
    script.keys("kkkkkkkk");
    assert!(text(&script.buffer(&ASCII, (80, 24))).contains("n1 failed"));
    script.keys("\x1b");
    assert!(!text(&script.buffer(&ASCII, (80, 24))).contains("Why"));
}

/// The words on a screen, wherever its lines are broken.
fn words(buffer: &Buffer) -> String {
    let rows = buffer.content().chunks(usize::from(buffer.area.width));
    let rows = rows.map(|row| row.iter().map(|cell| cell.symbol()).collect::<String>().trim().to_owned());
    rows.collect::<Vec<_>>().join(" ")
}

#[test]
fn a_message_is_whole_at_any_width() {
    let mut command = healthy();
    command.command("write goals 3");
    let mut toast = healthy();
    let failure = zw_tui::model::message::WriteFailure {
        reason: "no such znode: /missing; write that one first".into(),
        may_be_done: false,
        done: 0,
    };
    toast.tell(Msg::Written { node: 0, path: "/missing/a".into(), result: Err(failure) });
    for (width, height) in [(160, 45), (80, 24), (64, 16), (50, 20), (40, 12), (34, 9), (20, 8)] {
        let screen = words(&command.buffer(&ASCII, (width, height)));
        assert!(screen.contains("a path begins with /: write /goals 3"), "{width}x{height}: {screen}");
        let screen = words(&toast.buffer(&ASCII, (width, height)));
        assert!(screen.contains("no such znode: /missing; write that one first"), "{width}x{height}: {screen}");
    }
}

#[test]
fn write_form_and_its_failure() {
    let mut script = healthy();
    script.keys("W").keys("goals/7\r").keys("58 Son\r");
    let failure = zw_tui::model::message::WriteFailure { reason: "no quorum".into(), may_be_done: false, done: 0 };
    script.tell(Msg::Written { node: 0, path: "/goals/7".into(), result: Err(failure) });
    insta::assert_snapshot!(script.screens(&ASCII));
}

#[test]
fn command_line_and_toast() {
    let mut script = healthy();
    let written = Written {
        created: true,
        version: 0,
        zxid: Zxid::new(Epoch(7), 9),
        took: Duration::from_micros(1_950),
        last: "/a".into(),
        count: 1,
    };
    script.tell(Msg::Written { node: 1, path: "/a".into(), result: Ok(written) });
    let toast = script.screens(&ASCII);
    script.command("kil n3");
    insta::assert_snapshot!(format!("{toast}\n{}", script.screens(&ASCII)));
}

#[test]
fn tree_and_events_take_the_keys() {
    let mut script = healthy();
    script.keys("4");
    let tree = script.screens(&UNICODE);
    script.keys("7k");
    insta::assert_snapshot!(format!("{tree}\n{}", script.screens(&UNICODE)));
}

/// One letter for the look of a cell: what a snapshot of the text cannot show.
fn styles(buffer: &Buffer) -> String {
    let letter = |column: u16, row: u16| {
        let cell = &buffer[(column, row)];
        if cell.modifier.contains(Modifier::REVERSED) {
            'R'
        } else if cell.fg != Color::Reset {
            format!("{:?}", cell.fg).chars().next().unwrap()
        } else if cell.modifier.contains(Modifier::BOLD) {
            'b'
        } else if cell.modifier.contains(Modifier::DIM) {
            'd'
        } else if cell.modifier.contains(Modifier::UNDERLINED) {
            'u'
        } else {
            '.'
        }
    };
    let line = |row| (0..buffer.area.width).map(|column| letter(column, row)).collect::<String>();
    (0..buffer.area.height).map(|row| line(row).trim_end_matches('.').to_owned() + "\n").collect()
}

#[test]
fn styles_with_and_without_colour() {
    let script = degraded();
    let plain = styles(&script.buffer(&ASCII, (80, 24)));
    assert!(!plain.contains(|letter: char| letter.is_uppercase() && letter != 'R'), "a colour without colours");
    insta::assert_snapshot!(format!("{}\n{plain}", styles(&script.buffer(&UNICODE, (80, 24)))));
}

fn text(buffer: &Buffer) -> String {
    buffer.content().iter().map(|cell| cell.symbol()).collect()
}

#[test]
fn no_size_breaks_a_screen_and_the_verdict_is_always_there() {
    let scripts: Vec<Script> = ["", "?", "W", "!", ":kill", "3", "4", "5", "6+", "7+", "8"]
        .into_iter()
        .map(|keys| {
            let mut script = degraded();
            script.keys(keys);
            script
        })
        .collect();
    for script in &scripts {
        for width in (1..=220).step_by(7).chain([1, 2, 10, 17, 18, 33, 34, 63, 64, 99, 100]) {
            for height in (1..=70).step_by(3).chain([1, 2, 3, 8, 9, 15, 16, 25, 26]) {
                let text = text(&script.buffer(&ASCII, (width, height)));
                assert!(width < 20 || text.contains("DEGRADED"), "{width}x{height} has no verdict");
                assert!(text.is_ascii(), "{width}x{height}");
            }
        }
    }
}

#[test]
fn the_smallest_screens_show_every_node() {
    let text = text(&degraded().buffer(&ASCII, (20, 5)));
    for shown in ["DEGRADED", "q3/5", "n1f", "n2f", "n3=", "n4x", "n5L"] {
        assert!(text.contains(shown), "{shown} is missing: {text}");
    }
}

#[test]
fn the_tree_of_a_node_that_is_down_says_so_and_no_raw_error() {
    let mut script = healthy();
    script.change(Member::Node(1), Change::Exited { exit: Exit::Signal(9), asked: Asked::Kill, words: None });
    let raw = || "Connection refused (os error 111)".to_owned();
    script.tell(Msg::Children { node: 0, path: "/".into(), after: String::new(), result: Err(raw()) });
    script.tell(Msg::Value { node: 0, path: "/goals".into(), result: Err(raw()) });
    for (width, height) in [(160, 45), (80, 24)] {
        let shown = text(&script.buffer(&ASCII, (width, height)));
        assert!(shown.contains(" n1 is down ") && !shown.contains("os error"), "{width}x{height} {shown}");
    }
}

#[test]
fn the_mark_is_where_the_acts_go() {
    for brokers in [3, 20] {
        let mut script = Script::new(5, brokers);
        serving(script.started());
        for size in [(160, 45), (80, 24), (40, 12)] {
            let shown = text(&script.buffer(&ASCII, size));
            assert!(shown.contains("> n1") && !shown.contains(">b1") && !shown.contains("> b1"), "{size:?} {shown}");
        }
        script.keys("2").keys(&"j".repeat(usize::from(brokers) - 1));
        for size in [(160, 45), (80, 24), (40, 12)] {
            let shown = text(&script.buffer(&ASCII, size));
            let marked = [format!("> b{brokers}"), format!(">b{brokers}")];
            assert!(marked.iter().any(|mark| shown.contains(mark)), "{size:?} {shown}");
            assert!(!shown.contains("> n1"), "{size:?}: K does not act on n1: {shown}");
        }
    }
}

#[test]
fn what_comes_from_outside_never_steers_the_terminal() {
    let mut script = healthy();
    let evil = "a\u{1b}]0;x\u{7}\u{202e}\u{9b}31m日本語e\u{301}\n";
    let page = ChildrenPage {
        names: vec![evil.into()],
        stats: vec![Stat::default()],
        stat: Stat { num_children: 1, ..Stat::default() },
        more: false,
    };
    script.tell(Msg::Children { node: 0, path: "/".into(), after: String::new(), result: Ok(page) });
    script.keys("4gj");
    let value = (Bytes::from(evil), Stat::default());
    script.tell(Msg::Value { node: 0, path: format!("/{evil}"), result: Ok(value) });
    script.tell(Msg::Silent { node: 0, reason: evil.into() });
    script.tell(Msg::Note(evil.into()));
    for (width, height) in [(160, 45), (80, 24), (40, 12)] {
        let text = text(&script.buffer(&UNICODE, (width, height)));
        assert!(!text.chars().any(|c| c.is_control() || c == '\u{202e}'), "{width}x{height}: {text:?}");
    }
    assert_eq!(script.state.focus(), Pane::Tree);
}
