//! The metrics, the trends of the nodes and the logs side by side, in several states and sizes.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod sample;

use bytes::Bytes;
use ratatui::buffer::Buffer;
use sample::script::{ASCII, Script, UNICODE};
use std::time::Duration;
use zw_core::ids::{Epoch, SessionId, Zxid};
use zw_core::tree::command::Stat;
use zw_core::wire::admin::{NodeRole, SessionInfo, Status};
use zw_tui::member::Member;
use zw_tui::model::broker::BrokerStatus;
use zw_tui::model::diff::{DiffEnd, DiffReport, Difference, Side};
use zw_tui::model::events::Level;
use zw_tui::model::measured::Cost;
use zw_tui::model::message::Msg;
use zw_tui::model::replication::{Cell, strips};
use zw_tui::model::verdict::{Word, judge};
use zw_tui::supervisor::{Asked, Change, Exit};

fn zxid(epoch: u32, counter: u64) -> Zxid {
    Zxid::new(Epoch(epoch), counter)
}

/// What a node says that has all up to `last`.
fn status(node: u16, leader: u16, last: Zxid) -> Status {
    let epoch_ends = if last.epoch() == Epoch(8) { vec![zxid(7, 2_950), last] } else { vec![zxid(6, 991), last] };
    Status { epoch_ends, ..sample::status(node, leader, last) }
}

/// Five nodes and three brokers that run.
fn running() -> Script {
    Script::running(5, 3)
}

/// A minute of load that rises and falls, with a stall of the ensemble in it; n3 is silent in the end.
fn loaded() -> Script {
    let mut script = running();
    let mut counter = 1_000;
    for step in 0..240_u64 {
        script.after(250);
        counter += [5, 10, 30, 60, 90, 60, 20, 5][usize::try_from(step / 30).unwrap()];
        let (epoch, leader) = if step < 100 { (7, 5) } else { (8, 4) };
        if (100..104).contains(&step) {
            script.tell(Msg::Silent { node: 4, reason: "no answer".into() });
            continue;
        }
        for node in 1..=5 {
            if node == 3 && step > 200 || node == 5 && step >= 100 {
                continue;
            }
            let mut status = status(node, leader, zxid(epoch, counter));
            (status.reads, status.queue) = (counter * 3, counter % 7);
            status.write_p99_us = 1_500 + counter % 11 * 400;
            script.says(status);
        }
    }
    script.tell(Msg::Cost(Cost {
        bytes_per_second: 1_130,
        frame: Duration::from_micros(1_430),
        cpu_permille: Some(6),
    }));
    script
}

fn text(buffer: &Buffer) -> String {
    buffer.content().iter().map(|cell| cell.symbol()).collect()
}

/// n1 follows n5; n2 has not committed the last two; n3 is behind; n4 led an epoch that nobody followed.
fn unlike_logs() -> Script {
    let mut script = running();
    script.after(500).says(status(5, 5, zxid(7, 20))).says(status(1, 5, zxid(7, 20)));
    script.says(Status {
        committed_zxid: zxid(7, 18),
        applied_zxid: zxid(7, 18),
        digest: zxid(7, 18).0,
        ..status(2, 5, zxid(7, 20))
    });
    script.says(status(3, 5, zxid(7, 9)));
    let last = zxid(6, 995);
    let alone = Status {
        committed_zxid: zxid(6, 991),
        applied_zxid: zxid(6, 991),
        epoch_ends: vec![last],
        ..status(4, 0, last)
    };
    script.says(Status { role: NodeRole::Looking, digest: zxid(6, 991).0, ..alone });
    script
}

#[test]
fn the_metrics_of_a_loaded_ensemble() {
    let mut script = loaded();
    script.keys("5");
    let unicode = script.screens(&UNICODE);
    script.keys("t");
    insta::assert_snapshot!(format!("{unicode}\n{}", script.screens(&ASCII)));
}

#[test]
fn the_metrics_as_charts() {
    let mut script = loaded();
    script.keys("5").keys("\r");
    insta::assert_snapshot!(format!("{}\n{}", script.screens(&UNICODE), script.screens(&ASCII)));
    script.keys("\r");
    assert!(!script.state.zoomed);
}

#[test]
fn logs_side_by_side() {
    let mut script = unlike_logs();
    script.keys("6");
    insta::assert_snapshot!(format!("{}\n{}", script.screens(&UNICODE), script.screens(&ASCII)));
}

#[test]
fn a_strip_says_who_has_what() {
    let script = unlike_logs();
    let verdict = judge(&script.state, script.now);
    let strips = strips(&script.state, &verdict, script.now, 24).unwrap();
    assert_eq!((strips.scale[0], strips.scale[3], strips.reference), (zxid(6, 989), zxid(7, 0), 4));
    let drawn = |node: usize| -> String {
        let letter = |cell: &Cell| match cell {
            Cell::Committed => '#',
            Cell::Logged => 'o',
            Cell::Missing => '-',
            Cell::Forked => '!',
        };
        strips.strips[node].cells.iter().map(letter).collect()
    };
    assert_eq!(drawn(0), "########################");
    assert_eq!(drawn(1), "######################oo");
    assert_eq!(drawn(2), "#############-----------");
    assert_eq!(drawn(3), "###!!!!-----------------");
}

#[test]
fn a_forked_log_is_in_the_verdict_and_in_the_events_until_it_is_dropped() {
    let mut script = unlike_logs();
    assert_eq!(script.state.nodes[3].forked, 4);
    let reasons = judge(&script.state, script.now).reasons.join("\n");
    assert!(reasons.contains("n4 holds 4 entries that the others went on without"), "{reasons}");
    let told = |script: &Script, words: &str| script.state.events.iter().filter(|e| e.text.contains(words)).count();
    assert_eq!((told(&script, "forked: 4 entries"), told(&script, "dropped 4 entries")), (1, 0));
    script.after(250).says(status(4, 5, zxid(7, 20)));
    assert_eq!((told(&script, "forked: 4 entries"), told(&script, "dropped 4 entries")), (1, 1));
    assert!(!judge(&script.state, script.now).reasons.join("\n").contains("went on without"));
}

#[test]
fn unlike_trees_at_one_zxid_are_diverged_until_the_node_begins_anew() {
    let mut script = running();
    script.after(500);
    for node in 1..=5 {
        script.says(status(node, 5, zxid(7, 20))).after(10);
    }
    assert_eq!(judge(&script.state, script.now).word, Word::Healthy, "all agree");
    // The others have passed that zxid long since when n3 tells of its tree there.
    for node in [1, 2, 4, 5] {
        script.says(status(node, 5, zxid(7, 22)));
    }
    script.says(status(3, 5, zxid(7, 21))).after(250);
    script.says(Status { digest: 1, ..status(3, 5, zxid(7, 22)) });
    let verdict = judge(&script.state, script.now);
    assert_eq!(verdict.word, Word::Diverged);
    assert!(verdict.reasons.join("\n").contains("n3 DIVERGED: at 7:22 its tree is not that of n1"), "{verdict:?}");
    let event = script.state.events.iter().find(|event| event.text.contains("DIVERGED")).unwrap();
    assert_eq!((event.level, event.text.as_str()), (Level::Bad, "DIVERGED: at 7:22 its tree is not that of n1"));
    script.keys("6");
    for (width, height) in [(160, 45), (80, 24), (40, 12)] {
        let screen = text(&script.buffer(&ASCII, (width, height)));
        assert!(screen.contains("DIVERGED from n"), "{width}x{height}: {screen}");
        assert!(screen.contains("#!"), "{width}x{height}: {screen}");
    }
    // Next answers that agree mend nothing.
    script.says(status(3, 5, zxid(7, 23)));
    assert_eq!(judge(&script.state, script.now).word, Word::Diverged);
    for node in [1, 3] {
        let exited = Change::Exited { exit: Exit::Signal(9), asked: Asked::Kill, words: None };
        script.change(Member::Node(node), exited).change(Member::Node(node), Change::Spawned { pid: 7 });
    }
    assert_ne!(judge(&script.state, script.now).word, Word::Diverged);
}

#[test]
fn a_quiet_ensemble_changes_nothing_on_the_screen() {
    let mut script = running();
    for step in 0..400 {
        script.after(250);
        for node in 1..=5 {
            let status = Status { uptime_ms: step, ..status(node, 5, zxid(7, 20)) };
            let round_trip = Duration::from_micros(12_000 + step * 370 % 2_000);
            script.tell(Msg::Status { node: usize::from(node) - 1, status: Box::new(status), round_trip });
        }
        for index in 0..3 {
            script.tell(Msg::Broker { broker: index, status: Some(broker(1, 20, "a")) });
        }
        let bytes_per_second = 8 + step % 5;
        let frame = Duration::from_micros(900 + step % 7 * 100);
        script.tell(Msg::Cost(Cost { bytes_per_second, frame, cpu_permille: Some(step % 4) }));
    }
    let screens: Vec<Buffer> = (0..40)
        .map(|step| {
            script.after(50 + step % 3);
            for node in 1..=5 {
                script.says(status(node, 5, zxid(7, 20)));
            }
            script.buffer(&UNICODE, (160, 45))
        })
        .collect();
    for pair in screens[20..].windows(2) {
        assert_eq!(pair[0].diff(&pair[1]).len(), 0, "{}\n{}", text(&pair[0]), text(&pair[1]));
    }
}

fn broker(node: u16, events: u64, checksum: &str) -> BrokerStatus {
    BrokerStatus {
        in_touch: node > 0,
        node: (node > 0).then(|| format!("127.0.0.1:{}", 8079 + node)),
        events,
        zxid: zxid(7, events).0,
        checksum: checksum.into(),
        order_p99_us: 8_040,
        registered: vec!["9090".into(), "9091".into()],
    }
}

/// b1 and b2 agree, b3 is out of touch with the ensemble.
fn with_brokers() -> Script {
    let mut script = running();
    script.after(500);
    for node in 1..=5 {
        script.says(status(node, 5, zxid(7, 20)));
    }
    for (index, status) in [broker(1, 4_127, "a"), broker(2, 4_127, "a"), broker(0, 3_980, "b")].into_iter().enumerate()
    {
        script.tell(Msg::Broker { broker: index, status: Some(status) });
    }
    script
}

#[test]
fn brokers_tell_of_their_events_and_their_order() {
    let mut script = with_brokers();
    let fine = script.screens(&UNICODE);
    script.tell(Msg::Broker { broker: 1, status: Some(broker(2, 4_127, "other")) });
    let exited = Change::Exited { exit: Exit::Signal(9), asked: Asked::Kill, words: None };
    script.change(Member::Broker(3), exited).keys("2");
    let reasons = judge(&script.state, script.now).reasons.join("\n");
    assert!(reasons.contains("b2 shows other events"), "{reasons}");
    let differs = script.screens(&ASCII);
    script.keys("d");
    insta::assert_snapshot!(format!("{fine}\n{differs}\n{}", script.screens(&ASCII)));
    script.after(3_100);
    assert!(!text(&script.buffer(&ASCII, (160, 45))).contains("4127   DIFFERS"), "an old answer says nothing of now");
}

#[test]
fn a_diff_says_what_differs_and_where_it_was_read() {
    let mut script = with_brokers();
    script.command("diff n2 n5");
    let number = script.state.diff.as_ref().unwrap().number;
    let begun = script.screens(&ASCII);
    let side = |data: &'static str, version| {
        let stat = Stat { version, data_length: data.len() as u32, mzxid: zxid(7, 18), ..Stat::default() };
        Some(Side::new(&Bytes::from_static(data.as_bytes()), stat))
    };
    let changed = Difference {
        path: "/goals/7".into(),
        sides: [side("{\"Minute\":58,\"Score\":\"1-2\"}", 2), side("{\"Minute\":58,\"Score\":\"1-1\"}", 1)],
    };
    let missing = Difference { path: "/brokers/b3\x1b[2J".into(), sides: [None, side("", 0)] };
    let mut report = DiffReport { end: Some(DiffEnd::Whole), requests: 12, ..DiffReport::default() };
    report.differences.extend([changed, missing]);
    report.read(0, zxid(7, 18));
    report.read(1, zxid(7, 20));
    let stale = Msg::Diff { number: number + 1, report: Box::new(DiffReport::default()) };
    script.tell(Msg::Diff { number, report: Box::new(report.clone()) }).tell(stale);
    insta::assert_snapshot!(format!("{begun}\n{}\n{}", script.screens(&ASCII), script.screens(&UNICODE)));
    report.read_at[0] = report.read_at[1];
    script.tell(Msg::Diff { number, report: Box::new(report) });
    assert!(text(&script.buffer(&ASCII, (160, 45))).contains("the nodes have DIVERGED"));
}

#[test]
fn the_key_compares_with_the_leader_or_with_whom_it_differs() {
    let mut script = with_brokers();
    let nodes = |script: &mut Script| {
        script.keys("=");
        let nodes = script.state.diff.as_ref().unwrap().nodes;
        script.keys("\x1b");
        nodes
    };
    assert_eq!(nodes(&mut script), [0, 4]);
    script.keys("G");
    assert_eq!(nodes(&mut script), [4, 0], "the leader with another one");
    script.keys("gj").says(Status { digest: 1, ..status(2, 5, zxid(7, 20)) });
    let other = usize::from(script.state.nodes[1].diverged.unwrap().other.0) - 1;
    assert_eq!(nodes(&mut script), [1, other]);
}

#[test]
fn sessions_and_watches() {
    let mut script = with_brokers();
    script.command("sessions");
    let sessions = (1..=600).map(|number| SessionInfo {
        session: SessionId(0x70 + number),
        timeout_ms: 4_000,
        generation: 1,
        ephemerals: if number == 9 { 2 } else { 0 },
    });
    script.tell(Msg::Sessions { node: 0, result: Ok(sessions.collect()) });
    let shown = script.screens(&ASCII);
    script.after(5_000).tell(Msg::Sessions { node: 0, result: Err("no answer\x1b".into()) });
    insta::assert_snapshot!(format!("{shown}\n{}", script.screens(&ASCII)));
}

#[test]
fn many_nodes_and_brokers_scroll_with_the_selection() {
    let mut script = Script::running(15, 9);
    script.after(500);
    for node in 1..=15 {
        script.says(status(node, 15, zxid(7, 20)));
    }
    for (width, height) in [(160, 45), (100, 30), (80, 24)] {
        for (keys, shown, hidden) in [("1g", "n1  f", "n15 L"), ("1G", "n15 L", "n1  f")] {
            script.keys(keys).keys("6");
            let screen = text(&script.buffer(&ASCII, (width, height)));
            assert!(screen.contains(&format!("{shown} ###")), "{width}x{height}: {screen}");
            assert!(!screen.contains(&format!("{hidden} ###")), "{width}x{height}: {screen}");
        }
        script.keys("2G");
        let screen = text(&script.buffer(&ASCII, (width, height)));
        assert!(screen.contains("> b9") || screen.contains(">b9"), "{width}x{height}: {screen}");
    }
}

#[test]
fn no_size_breaks_them() {
    let mut diverged = unlike_logs();
    diverged.says(Status { digest: 9, ..status(1, 5, zxid(7, 20)) });
    for mut script in [running(), loaded(), unlike_logs(), diverged, with_brokers()] {
        for keys in ["5", "+", "_6", "+", "_2", "+", "_1="] {
            script.keys(keys);
            for width in (1..=220).step_by(17).chain([1, 2, 18, 34, 64, 100, 140]) {
                for height in (1..=70).step_by(8).chain([1, 2, 4, 9, 16, 28, 38]) {
                    assert!(text(&script.buffer(&ASCII, (width, height))).is_ascii(), "{width}x{height}");
                    script.buffer(&UNICODE, (width, height));
                }
            }
        }
    }
}
