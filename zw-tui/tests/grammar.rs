//! What the keys mean everywhere: questions before deletions, filters, marks, chords, the composer; as screens and as
//! effects.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod sample;

use sample::script::{ASCII, SIZES, Script, UNICODE};
use std::time::Duration;
use zw_core::ids::{Epoch, Zxid};
use zw_tui::key::{Code, Key};
use zw_tui::member::Member;
use zw_tui::model::message::{DeleteFailure, Deleted, Effect, Msg, WriteFailure, Written};
use zw_tui::model::write::{Mode, WriteOrder};
use zw_tui::theme::Theme;

fn ready() -> Script {
    let mut script = Script::running(3, 2);
    script.after(1_000);
    script
}

/// The box with this title, as it is at all sizes.
fn boxes(script: &Script, theme: &Theme, title: &str) -> String {
    let cut = |(width, height): &(u16, u16)| {
        let screen = script.screen(theme, (*width, *height));
        let rows: Vec<Vec<char>> = screen.lines().map(|row| row.chars().collect()).collect();
        let text = |row: &Vec<char>| row.iter().collect::<String>();
        let top = rows.iter().position(|row| text(row).contains(title)).unwrap();
        let before: String = text(&rows[top]).split(title).next().unwrap().to_owned();
        let left = before.chars().count() - 3;
        let corners = [('┐', '└'), ('+', '+')];
        let (right_corner, low_corner) = corners[usize::from(theme.ascii)];
        let right = left + 1 + rows[top][left + 1..].iter().position(|cell| *cell == right_corner).unwrap();
        let height = 1 + rows[top + 1..].iter().position(|row| row[left] == low_corner).unwrap();
        let lines = rows[top..=top + height].iter().map(|row| row.iter().take(right + 1).skip(left));
        let lines: String = lines.map(|line| line.collect::<String>() + "\n").collect();
        format!("{width}x{}\n{lines}", screen.lines().count())
    };
    SIZES.iter().map(cut).collect()
}

fn counted(script: &mut Script, below: u64) {
    script.tell(Msg::Counted { node: 0, path: "/goals".into(), result: Ok(below) });
}

#[test]
fn a_deletion_counts_asks_and_only_then_deletes() {
    let mut script = ready();
    script.tree().keys("D");
    assert_eq!(script.effects, [Effect::Count { node: 0, path: "/goals".into() }]);
    script.after(400).keys("y");
    assert_eq!(script.effects, [], "it is not counted yet");
    counted(&mut script, 7);
    insta::assert_snapshot!(boxes(&script, &ASCII, "Delete /goals"));
    script.after(400).keys("y");
    assert_eq!(script.effects, [Effect::Delete { node: 0, path: "/goals".into(), at_most: 8 }]);
    let deleted = Deleted { znodes: 8, zxid: Zxid::new(Epoch(7), 1_050), took: Duration::from_micros(2_300) };
    script.tell(Msg::Deleted { node: 0, path: "/goals".into(), result: Ok(deleted) });
    assert_eq!(script.toast(), "deleted /goals, 8 znodes  7:1050  2.3ms");
    assert!(script.effects.contains(&Effect::Children { node: 0, path: "/".into(), after: String::new() }));
}

/// The count of another question answers nothing, and a question that has just changed takes no key.
#[test]
fn the_count_is_of_this_question_and_is_read_before_it_is_answered() {
    let mut script = ready();
    script.tree().keys("D").after(400);
    script.tell(Msg::Counted { node: 1, path: "/goals".into(), result: Ok(0) });
    script.keys("y");
    assert_eq!(script.effects, [], "node 2 was not asked");
    counted(&mut script, 7);
    script.keys("y");
    assert_eq!(script.effects, [], "nobody has read it yet");
    script.after(400).keys("y");
    assert_eq!(script.effects, [Effect::Delete { node: 0, path: "/goals".into(), at_most: 8 }]);
}

#[test]
fn nothing_but_a_deliberate_answer_deletes() {
    let answers = ["\r", "\x1b", "n", "q", "DDDDy", "DDDD\r", "Y", " ", "\t"];
    for answer in answers {
        let mut script = ready();
        script.tree().keys("D");
        counted(&mut script, 7);
        if !answer.starts_with('D') {
            script.after(400);
        }
        for key in answer.chars() {
            script.keys(&key.to_string());
            assert!(!script.effects.iter().any(|effect| matches!(effect, Effect::Delete { .. })), "{answer:?}");
        }
        script.tell(Msg::Click(zw_tui::model::Pane::Tree, Some(1)));
        assert!(!script.effects.iter().any(|effect| matches!(effect, Effect::Delete { .. })));
    }
}

#[test]
fn a_large_deletion_wants_the_name() {
    let mut script = ready();
    script.tree().keys("D");
    counted(&mut script, 21);
    script.after(400).keys("y\r");
    assert_eq!(script.effects, [], "that is not the name");
    script.key(Key::plain(Code::Backspace)).keys("goal");
    insta::assert_snapshot!(boxes(&script, &UNICODE, "Delete /goals"));
    script.keys("s\r");
    assert_eq!(script.effects, [Effect::Delete { node: 0, path: "/goals".into(), at_most: 22 }]);
    let failure = DeleteFailure { znodes: 3, reason: "no answer".into(), may_be_done: true };
    script.tell(Msg::Deleted { node: 0, path: "/goals".into(), result: Err(failure) });
    assert!(script.toast().ends_with("(the last of it may be done all the same); 3 znodes are gone"));
}

#[test]
fn what_cannot_be_deleted_is_not_asked_about() {
    let mut script = ready();
    script.tree().keys("gD");
    assert_eq!(script.effects, []);
    assert!(script.toast().contains("the root"), "{}", script.toast());
    script.keys("1D");
    assert_eq!(script.effects, [], "no znode is selected in the nodes' pane");
    script.keys(":delete /goals/x\r");
    assert_eq!(script.effects, [Effect::Count { node: 0, path: "/goals/x".into() }]);
    script.tell(Msg::Counted { node: 0, path: "/goals/x".into(), result: Err("no such znode: /goals/x".into()) });
    script.after(400).keys("y");
    assert_eq!(script.effects, []);
}

#[test]
fn the_composer_says_how_where_and_how_often() {
    let mut script = ready();
    script.keys("Wqueue/t\rone").key(Key::ctrl('j')).keys("two").keys("\t");
    // From create or set: create, set, sequence.
    script.key(Key::plain(Code::Right)).key(Key::plain(Code::Right)).keys(" \t").key(Key::plain(Code::Left));
    script.keys("\t").key(Key::plain(Code::Backspace)).keys("20");
    insta::assert_snapshot!(boxes(&script, &UNICODE, "Write "));
    script.keys("\r");
    let order = WriteOrder { mode: Mode::Sequence, count: 20, ..WriteOrder::put(2, "/queue/t", "one\ntwo") };
    assert_eq!(script.effects, [Effect::Write(order)]);
    let failure = WriteFailure { reason: "no quorum".into(), may_be_done: true, done: 3 };
    script.keys("x").tell(Msg::Written { node: 2, path: "/queue/t".into(), result: Err(failure) });
    let screen = script.screen(&ASCII, (80, 24));
    assert!(screen.contains("no quorum (it may be done all the same); 3 writes before it were done"), "{screen}");
    assert!(screen.contains("one") && screen.contains("two"), "the text is kept\n{screen}");
    script.keys("\r");
    let (last, took) = ("/queue/t0000000022".to_owned(), Duration::from_millis(40));
    let written = Written { created: true, version: 0, zxid: Zxid::new(Epoch(7), 9), took, last, count: 20 };
    script.tell(Msg::Written { node: 2, path: "/queue/t".into(), result: Ok(written) });
    assert_eq!(script.toast(), "20 writes, the last: made /queue/t0000000022  v0  7:9 via n3  40.0ms");
    assert_eq!(script.state.overlay, None);
}

#[test]
fn the_composer_deletes_only_after_the_question() {
    let mut script = ready();
    script.tree().keys("W\t\t").key(Key::plain(Code::Left)).keys("\r");
    assert_eq!(script.effects, [Effect::Count { node: 0, path: "/goals".into() }]);
    counted(&mut script, 7);
    script.after(400).keys("y");
    assert_eq!(script.effects, [Effect::Delete { node: 0, path: "/goals".into(), at_most: 8 }]);
}

#[test]
fn a_large_paste_is_whole_and_no_key_in_it_acts() {
    let mut script = ready();
    script.keys("Wbig\r");
    let text = "K P T D y\r\n\x1b[2J".repeat(64 * 1_024 / 16);
    script.tell(Msg::Paste(text.clone()));
    assert_eq!(script.effects, []);
    assert!(!script.screen(&UNICODE, (80, 24)).contains('\x1b'));
    script.keys("\r");
    let [Effect::Write(order)] = &script.effects[..] else { panic!("{:?}", script.effects) };
    assert_eq!(order.data, text.replace("\r\n", "\n").into_bytes());
}

fn row_with(script: &Script, text: &str) -> String {
    let screen = script.screen(&ASCII, (160, 45));
    screen.lines().find(|row| row.contains(text)).unwrap_or_else(|| panic!("no {text:?} on\n{screen}")).to_owned()
}

#[test]
fn a_filter_of_the_tree_shows_what_matches_until_esc() {
    let mut script = ready();
    script.tree().keys("/O");
    let tree = |script: &Script| -> Vec<String> { script.state.tree.window(1, 9).map(|row| row.path).collect() };
    assert_eq!(tree(&script), ["/brokers", "/config", "/goals", "/zooweeper"]);
    script.keys("n");
    assert_eq!(tree(&script), ["/config"]);
    assert_eq!(script.state.tree.selected(), "/config");
    assert!(row_with(&script, " /On").contains("Esc ends it"));
    script.key(Key::plain(Code::Backspace)).keys("\r");
    assert!(row_with(&script, "4 Tree").contains("/o  4 of 4"));
    // The filter stays; n goes on, and letters are keys again.
    script.keys("nn");
    assert_eq!(script.state.tree.selected(), "/zooweeper");
    script.keys("N\x1b");
    assert_eq!((script.state.tree.found(), script.state.tree.selected()), (None, "/goals".into()));
    script.keys("/xyz\x1b");
    assert_eq!(tree(&script).len(), 4, "Esc while it is typed ends it too");
    script.keys("1/");
    assert!(script.toast().contains("nothing to look through"), "{}", script.toast());
}

#[test]
fn events_are_filtered_and_lead_to_their_member() {
    let mut script = ready();
    script.keys("jK").keys("2K").keys("7/n2\r");
    assert!(row_with(&script, "7 Events").contains("/n2  1 of 4"));
    assert!(row_with(&script, "kill n2").contains("you"));
    script.keys("\r");
    assert_eq!((script.state.focus(), script.state.node), (zw_tui::model::Pane::Nodes, 1));
    script.keys("7\x1b").keys("kk");
    assert_eq!(script.state.events.selected().unwrap().text, "listens");
    script.keys("\r");
    assert_eq!((script.state.focus(), script.state.broker), (zw_tui::model::Pane::Brokers, 1));
    // Stopped where it is, the feed counts what it misses.
    script.keys("7f").keys("f");
    for _ in 0..3 {
        script.tell(Msg::Note("something".into()));
    }
    assert!(row_with(&script, "7 Events").contains("3 new, f follows"));
}

/// What is typed after a `/` is meant for no action, also where there is nothing to look through.
#[test]
fn a_search_of_nothing_takes_its_letters_all_the_same() {
    let mut script = ready();
    script.keys("1/");
    assert!(script.toast().contains("nothing to look through"), "{}", script.toast());
    script.keys("Kafka\r");
    assert!(script.effects.is_empty() && script.state.undo.is_empty(), "nobody was killed");
    script.keys("K");
    assert_eq!(script.state.undo.len(), 1, "after Enter keys act again");
}

/// Also where it is not under the cursor, and for commands as for keys.
#[test]
fn acts_go_to_the_only_marked_member() {
    let troubles = |script: &Script| -> Vec<String> {
        script.state.faults.active().iter().map(|lease| lease.trouble.words()).collect()
    };
    let mut script = ready();
    script.keys("j kC");
    assert_eq!(troubles(&script), ["cut n2|n1,n3"], "{}", script.toast());
    script.keys("H").keys(":slow 80ms\r");
    assert!(troubles(&script)[0].contains("n2"), "{:?}", troubles(&script));
    // A right click elsewhere is about what was clicked.
    script.keys("H").tell(Msg::RightClick(zw_tui::model::Pane::Nodes, Some(2), (3, 5)));
    assert_eq!(script.state.targets(), [Member::Node(3)]);
}

#[test]
fn acts_go_to_all_marked_members() {
    let mut script = ready();
    script.keys(" jj ");
    assert!(row_with(&script, "1 Nodes").contains("mark 2"));
    assert!(row_with(&script, "n1 ").contains("|>*n1") || row_with(&script, "n1 ").contains("| *n1"));
    script.keys("C");
    let faults: Vec<String> = script.state.faults.active().iter().map(|lease| lease.trouble.words()).collect();
    assert_eq!(faults, ["cut n1,n3|n2"], "{}", script.toast());
    script.keys("H").keys("K");
    let killed =
        |script: &Script| script.effects.iter().filter(|effect| matches!(effect, Effect::Supervise(_))).count();
    let undos = script.state.undo.len();
    assert_eq!((killed(&script), undos), (2, 3), "each has its undo, and the cut");
    // The marks of nodes are not those of brokers.
    script.keys("2P");
    assert_eq!(killed(&script), 1);
    script.keys("1\x1b");
    assert!(!row_with(&script, "1 Nodes").contains("mark"));
    script.keys("gvj");
    assert!(row_with(&script, "1 Nodes").contains("mark 2, v ends the range"));
    script.keys("vj ");
    assert!(row_with(&script, "1 Nodes").contains("mark 3 "));
    script.keys("C");
    assert!(script.toast().contains("all nodes are marked"));
}

#[test]
fn a_first_key_waits_for_the_second() {
    let mut script = ready();
    script.tree().value("/goals", b"seven").keys("y");
    let strip = "y ...  v value   p path   z zxid   j JSON   c command";
    assert!(!script.screen(&ASCII, (160, 45)).contains(strip));
    assert_eq!(
        zw_tui::model::select::next_change(&script.state, script.now),
        Some(script.now + Duration::from_millis(300))
    );
    script.after(300);
    assert!(script.screen(&ASCII, (160, 45)).contains(strip));
    for (keys, what, text) in [
        ("v", "the value of /goals", "seven"),
        ("yy", "the value of /goals", "seven"),
        ("yp", "the path", "/goals"),
        ("yz", "the zxid of /goals", "7:1041"),
        ("yc", "the command", "zw get /goals --servers 127.0.0.1:8080"),
        ("c", "the name", "goals"),
        ("1yp", "the address of n1", "127.0.0.1:8080"),
        ("7yn", "", ""),
    ] {
        script.keys(keys);
        let copy = Effect::Copy { what: what.into(), text: text.into() };
        let expected = if what.is_empty() { Vec::new() } else { vec![copy] };
        assert_eq!(script.effects, expected, "{keys}");
    }
    assert_eq!(script.toast(), "y n means nothing");
    script.keys("4yj");
    let [Effect::Copy { text, .. }] = &script.effects[..] else { panic!("{:?}", script.effects) };
    assert!(text.contains("\"data\":\"seven\"") && text.contains("\"mzxid\":\"7:1041\""), "{text}");
    let result = Ok("5 bytes to the terminal's clipboard (OSC 52)".into());
    script.tell(Msg::Copied { what: "the value".into(), result });
    assert_eq!(script.toast(), "copied the value: 5 bytes to the terminal's clipboard (OSC 52)");
    script.keys("sz").keys("sz");
    assert!(row_with(&script, "1 Nodes").contains("sort: zxid, turned"));
    script.keys(":sort id\r:sort colour\r");
    assert!(script.screen(&ASCII, (160, 45)).contains("sort takes no \"colour\", but id, role, zxid"));
}

#[test]
fn a_text_is_searched_and_what_is_found_is_set_off() {
    let mut script = ready();
    let line = |number: u64| format!("line {number} {}", if number % 10 == 3 { "Needle" } else { "hay" });
    script.keys("o");
    let lines = (0..100).map(line).collect();
    script.tell(Msg::Output { member: Member::Node(1), lines, total: 100 });
    script.keys("/needle");
    assert!(script.screen(&ASCII, (80, 24)).contains("line 3 Needle"), "around the end: from the newest line on");
    script.keys("\rN");
    let screen = script.screen(&ASCII, (80, 24));
    assert!(screen.contains("line 93 Needle") && !screen.contains("line 94"), "{screen}");
    script.keys("N");
    assert!(!script.screen(&ASCII, (80, 24)).contains("line 84"));
    script.keys("n");
    assert!(script.screen(&ASCII, (80, 24)).contains("line 93 Needle"));
    script.keys("f");
    assert!(script.screen(&ASCII, (80, 24)).contains("line 99"));
}

#[test]
fn five_hundred_keys_move_five_hundred_lines() {
    let mut script = ready();
    script.key(Key::ctrl('r'));
    let names: Vec<String> = (0..1_000).map(|number| format!("z{number:04}")).collect();
    let children: Vec<(&str, u32)> = names.iter().map(|name| (name.as_str(), 0)).collect();
    script.children("/", &children).keys("4").keys(&"j".repeat(500));
    assert_eq!(script.state.tree.selected(), "/z0499");
}
