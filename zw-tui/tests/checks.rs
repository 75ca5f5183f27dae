//! What the console promises whatever happens, without processes: nobody is called healthy who is not seen, a view that is
//! read does not move, nothing is done by accident, late answers of a terminal are no keys.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod sample;

use sample::script::{ASCII, SIZES, Script, UNICODE, newest};
use std::time::Duration;
use zw_core::wire::admin::Status;
use zw_tui::action::command::line_of;
use zw_tui::action::table::ACTIONS;
use zw_tui::input::decoder::{Decoder, Input};
use zw_tui::key::{Code, Key};
use zw_tui::model::message::{Effect, Msg};
use zw_tui::model::overlay::Overlay;
use zw_tui::model::update::help_lines;
use zw_tui::model::verdict::{Word, judge};
use zw_tui::model::{Desired, Pane};
use zw_tui::theme::Theme;

const ALL_LOOKS: [&Theme; 2] = [&UNICODE, &ASCII];

/// The row of a node in the nodes' pane.
fn node_row(screen: &str, name: &str) -> String {
    let is_it = |row: &&str| row.chars().skip(3).take(3).collect::<String>() == format!("{name} ");
    screen.lines().find(is_it).unwrap_or_else(|| panic!("{name} is not on\n{screen}")).to_owned()
}

fn row<'s>(screen: &'s str, text: &str) -> &'s str {
    screen.lines().find(|row| row.contains(text)).unwrap_or_else(|| panic!("{text:?} is not on\n{screen}"))
}

/// F2.
#[test]
fn who_is_paused_here_is_shown_so_at_once() {
    let mut script = Script::healthy(5, 3);
    script.keys("P");
    let first = script.screen(&ASCII, (160, 45));
    assert!(row(&first, "> n1").contains("PAUSED") && first.contains("paused -30s (you)"), "{first}");
    assert!(first.contains("DEGRADED  quorum 4/5"), "{first}");
    // Its old numbers do not make it serve.
    script.after(7_000).serve();
    assert!(script.screen(&ASCII, (160, 45)).contains("paused -23s (you)"));
    script.keys("P").serve();
    assert!(script.screen(&ASCII, (160, 45)).contains("HEALTHY  quorum 5/5"));
    // Without a time it says since when.
    script.keys(":pause n1 0").tell(Msg::Key(Key::plain(Code::Enter))).after(7_000).serve();
    assert!(script.screen(&ASCII, (160, 45)).contains("paused +7s (you)"));
    script.keys("P").serve();
    assert!(script.screen(&ASCII, (160, 45)).contains("HEALTHY  quorum 5/5"));
}

/// F7.
#[test]
fn who_is_not_seen_is_not_called_healthy_and_what_was_known_has_its_age() {
    let mut script = Script::healthy(5, 3);
    for node in 0..5 {
        script.tell(Msg::Silent { node, reason: "no answer within 400 ms".into() });
    }
    let mut last = Word::Healthy;
    for second in 1..=30 {
        script.after(1_000);
        last = judge(&script.state, script.now).word;
        for (theme, size) in ALL_LOOKS.into_iter().zip([(160, 45), (80, 24)]) {
            let screen = script.screen(theme, size);
            if second < 2 {
                continue;
            }
            assert!(screen.contains("UNKNOWN") && !screen.contains("HEALTHY"), "{screen}");
            for node in 1..=5 {
                let row = node_row(&screen, &format!("n{node}"));
                assert!(row.contains("UNKNOWN") && row.contains(&format!("no answer {second}s")), "{row}");
                // The last that was heard, with its age; not what would be true only now.
                assert!(row.contains("7:1042") && row.contains(" ? "), "{row}");
            }
        }
        for size in SIZES {
            assert!(second < 2 || !script.screen(&ASCII, size).contains("HEALTHY"), "{size:?}");
        }
    }
    assert_eq!(last, Word::Unknown);
    // In the past tense everywhere: also on the page of a node.
    let page = script.keys("d").screen(&ASCII, (160, 45));
    assert!(page.contains("What it said 30s ago:"), "{page}");
}

/// F8, with what a node says; `checks_pty` holds it against real nodes.
#[test]
fn what_is_shown_is_what_the_node_says_or_has_its_age() {
    let mut script = Script::healthy(3, 0);
    let said = Status {
        applied_zxid: zw_core::ids::Zxid(newest().0 + 7),
        committed_zxid: zw_core::ids::Zxid(newest().0 + 7),
        queue: 31,
        rss_bytes: 77 << 20,
        write_p99_us: 45_000,
        ..sample::status(1, 3, newest())
    };
    script.says(said);
    let fresh = script.screen(&ASCII, (160, 45));
    let fresh = row(&fresh, "> n1").to_owned();
    for part in ["7:1049", "31", "77M", "45.0ms", " ok"] {
        assert!(fresh.contains(part), "{part} is missing in {fresh}");
    }
    script.after(4_000);
    let stale = script.screen(&ASCII, (160, 45));
    let stale = row(&stale, "> n1").to_owned();
    assert!(stale.contains("7:1049") && stale.contains("no answer 4s") && stale.contains("UNKNOWN"), "{stale}");
    // What means the present is not known any more.
    assert!(!stale.contains(" 31 ") && !stale.contains("45.0ms") && !stale.contains(" ok"), "{stale}");
}

/// F10.
#[test]
fn events_that_are_read_stand_still_while_others_come() {
    let mut script = Script::healthy(3, 0);
    let note = |script: &mut Script, number: u32| {
        script.after(10).tell(Msg::Note(format!("event number {number:04}")));
    };
    (0..100).for_each(|number| note(&mut script, number));
    script.keys("7kkk");
    let numbers = |screen: &str| -> Vec<String> {
        let rows = screen.lines().filter(|row| row.contains("event number"));
        rows.map(|row| row.split("event number ").nth(1).unwrap()[..4].to_owned()).collect()
    };
    for size in [(160, 45), (80, 24), (40, 12)] {
        for theme in ALL_LOOKS {
            let before = script.screen(theme, size);
            for number in 100..200 {
                note(&mut script, number);
                let now = script.screen(theme, size);
                assert_eq!(numbers(&now), numbers(&before), "{size:?}");
            }
        }
    }
    let read = script.screen(&ASCII, (160, 45));
    assert!(read.contains("600 new, f follows"), "{read}");
    script.tell(Msg::Key(Key::plain(Code::End)));
    let end = script.screen(&ASCII, (160, 45));
    assert!(numbers(&end).last().unwrap() == "0199" && !end.contains(" new, "), "{end}");
    note(&mut script, 200);
    assert_eq!(numbers(&script.screen(&ASCII, (160, 45))).last().unwrap(), "0200", "it follows again");
}

fn acts(effects: &[Effect]) -> bool {
    let is_act = |effect: &Effect| {
        matches!(
            effect,
            Effect::Supervise(_)
                | Effect::Write(_)
                | Effect::Delete { .. }
                | Effect::Faults { .. }
                | Effect::Load { .. }
        )
    };
    effects.iter().any(is_act)
}

/// C8.
#[test]
fn a_word_that_is_pasted_as_keys_changes_nothing() {
    for pane in '1'..='8' {
        for word in ["restart", "restart\r", "kill n1\r", "please delete /goals y\r", "rm -rf /\ny\n"] {
            let mut script = Script::healthy(5, 3);
            script.goals().keys(&pane.to_string());
            let before = (script.state.nodes.clone(), script.state.faults.clone());
            script.keys(word);
            assert!(!acts(&script.effects), "{word:?} in pane {pane}: {:?}", script.effects);
            let wanted = script.state.nodes.iter().all(|node| node.process.desired == Desired::Up);
            assert!(
                wanted && script.state.undo.is_empty() && script.state.leaving.is_none(),
                "{word:?} in pane {pane}"
            );
            let after = (script.state.nodes.clone(), script.state.faults.clone());
            assert_eq!(format!("{before:?}"), format!("{after:?}"), "{word:?} in pane {pane}");
        }
    }
}

/// G2.
#[test]
fn a_question_about_data_is_answered_by_nothing_but_its_answer() {
    let asked = |counted: u64| {
        let mut script = Script::healthy(3, 0);
        script.goals().keys("D");
        script.tell(Msg::Counted { node: 0, path: "/goals".into(), result: Ok(counted) });
        assert!(matches!(script.state.overlay, Some(Overlay::Question(_))));
        script
    };
    let after = Duration::from_millis(400);
    for (wait, answer) in [
        // The trigger held down, then what it would answer with: too early.
        (Duration::ZERO, "DDDDDDDD"),
        (Duration::ZERO, "y"),
        (Duration::from_millis(299), "y"),
        (after, "\r"),
        (after, "D"),
        (after, "DDDD\r"),
        (after, "\x1b"),
        (after, "q"),
        (after, "n"),
        (after, " "),
    ] {
        let mut script = asked(2);
        script.now += wait;
        script.keys(answer);
        assert!(!acts(&script.effects), "{answer:?} after {wait:?}: {:?}", script.effects);
    }
    for pane in Pane::ALL {
        for item in [None, Some(0), Some(2)] {
            let mut script = asked(2);
            script.now += after;
            assert!(!acts(&script.tell(Msg::Click(pane, item)).effects), "a click on {pane:?}");
        }
    }
    // Many want their name; Enter alone or y is not it.
    for answer in ["\r", "y", "y\r", "goal\r", "yes\r"] {
        let mut script = asked(9_999);
        script.now += after;
        assert!(!acts(&script.keys(answer).effects), "{answer:?}");
    }
    let mut script = asked(2);
    script.now += after;
    assert!(acts(&script.keys("y").effects), "the answer itself");
}

/// G5.
#[test]
fn the_help_has_every_action_and_runs_what_is_found() {
    let mut script = Script::healthy(3, 1);
    let all = help_lines(&script.state, "");
    assert_eq!(all.len(), ACTIONS.len());
    // Every one of them is somewhere on the screen when one goes through the list, with its key and its command.
    script.keys("?");
    let mut seen = String::new();
    for _ in &all {
        seen += &script.screen(&ASCII, (160, 45));
        script.tell(Msg::Key(Key::plain(Code::Down)));
    }
    for action in all {
        // The end of a long one may be cut off.
        let begin: String = action.sentence.chars().take(40).collect();
        let row = seen.lines().find(|row| row.contains(&begin)).unwrap_or_else(|| panic!("{action:?}"));
        let first = script.state.keymap.keys(action.id).first().map(ToString::to_string).unwrap_or_default();
        assert!(row.contains(&first) && row.contains(&line_of(action.id)), "{row}");
    }
    script.tell(Msg::Key(Key::plain(Code::Esc))).keys("?fre\r");
    assert!(script.effects.iter().any(|effect| matches!(effect, Effect::Travel(_))), "{:?}", script.effects);
    assert_eq!(script.state.overlay, None);
}

/// What a terminal may say long after it was asked, by this console or by the program before it.
const LATE: [&str; 9] = [
    "\x1b[?62;22;52c",
    "\x1b[>84;0;0c",
    "\x1b[12;40R",
    "\x1b[?2026;2$y",
    "\x1b[?1u",
    "\x1b[8;45;160t",
    "\x1b]11;rgb:1616/1818/1d1d\x1b\\",
    "\x1b]10;rgb:d8d8/dede/e9e9\x07",
    "\x1bP>|tmux 3.3a\x1b\\",
];

/// H8; the script starts it below tmux.
#[test]
fn late_answers_of_a_terminal_are_no_keys() {
    for answer in LATE {
        for size in 1..=answer.len() {
            let mut decoder = Decoder::new(false);
            let mut inputs = Vec::new();
            for (step, piece) in (0..).zip(answer.as_bytes().chunks(size)) {
                inputs.extend(decoder.push(piece, Duration::from_millis(step)));
            }
            inputs.extend(decoder.expire(Duration::from_secs(1)));
            inputs.extend(decoder.push(b"x", Duration::from_secs(2)));
            assert_eq!(inputs, [Input::Key(Key::char('x'))], "{answer:?} in pieces of {size}");
        }
    }
}
