//! Small promises: what is offered can be done, what is cut off is marked, what is said holds at any width and any time.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod sample;

use sample::script::{ASCII, Script, UNICODE};
use std::time::Duration;
use zw_tui::action::table::{Id, enabled, hints};
use zw_tui::key::{Code, Key};
use zw_tui::member::Member;
use zw_tui::model::gauges::gauges;
use zw_tui::model::history::Range;
use zw_tui::model::message::{Effect, Msg};
use zw_tui::model::overlay::Overlay;
use zw_tui::model::session::Session;
use zw_tui::model::time::Travel;
use zw_tui::model::{Pane, State};
use zw_tui::supervisor::{Asked, Change, Exit};

fn hinted(state: &State) -> Vec<Id> {
    hints(state).map(|action| action.id).collect()
}

/// A write rate that is high for half a second and nothing else.
fn with_a_peak() -> Script {
    let mut script = Script::healthy(3, 0);
    for second in 0..40_u64 {
        script.after(500);
        for mut status in (1..=3).map(|node| sample::status(node, 3, sample::script::newest())) {
            status.writes = if second < 20 { 0 } else { 9_000 };
            script.says(status);
        }
    }
    script
}

#[test]
fn the_greatest_of_a_range_is_the_same_at_any_width() {
    let script = with_a_peak();
    let greatest = |cells| gauges(&script.state, script.now, cells)[0].greatest.clone();
    assert!(greatest(120).is_some_and(|greatest| greatest != "0"));
    for cells in 1..=120 {
        assert_eq!(greatest(cells), greatest(120), "{cells} cells");
    }
}

#[test]
fn a_title_never_says_half_of_what_it_means() {
    let mut script = Script::healthy(5, 3);
    script.keys("5t");
    assert_eq!(script.state.measured.range, Range::TenMinutes);
    for width in (64..=200).step_by(3).chain([100]) {
        for height in [20, 30, 45] {
            let screen = script.screen(&ASCII, (width, height));
            let Some(title) = screen.lines().find(|line| line.contains("5 Metrics")) else { continue };
            assert!(!title.contains("range") || title.contains("t range  10 min"), "{width}x{height}: {title}");
            assert!(title.contains("10 min") || !title.contains(" min"), "{width}x{height}: {title}");
        }
    }
    let medium = script.screen(&ASCII, (100, 45));
    assert!(medium.lines().any(|line| line.contains("5 Metrics") && line.contains("- 10 min -")), "{medium}");
}

#[test]
fn one_steps_through_time_while_a_page_is_open() {
    let mut script = Script::healthy(3, 0);
    let mut session = Session::new(script.state.clone());
    let mut now = script.now;
    let mut tell = |session: &mut Session, message: Msg| {
        now += Duration::from_secs(5);
        session.update(now, message);
    };
    for key in ['8', 'p', '!'] {
        tell(&mut session, Msg::Key(Key::char(key)));
    }
    let before = session.shown_at(Duration::MAX);
    assert!(hinted(session.shown()).contains(&Id::StepBack));
    tell(&mut session, Msg::Key(Key::plain(Code::Left)));
    assert_eq!(session.shown_at(Duration::MAX) + Duration::from_secs(1), before);
    assert!(matches!(session.shown().overlay, Some(Overlay::Text { .. })), "the page stays");
    // What is typed into something is no step, so none is offered.
    script.keys("8");
    for keys in [":", "W", "?"] {
        script.keys(keys);
        assert!(!hinted(&script.state).contains(&Id::StepBack), "{keys}");
        let screen = script.screen(&UNICODE, (160, 45));
        assert!(!screen.contains("Left 1 s back"), "{screen}");
        script.tell(Msg::Key(Key::plain(Code::Esc)));
    }
    script.keys("!").tell(Msg::Key(Key::plain(Code::Left)));
    assert!(matches!(script.effects[..], [Effect::Travel(Travel::Back(_))]), "{:?}", script.effects);
}

#[test]
fn the_key_that_leaves_the_console_leaves_a_line_first() {
    let mut script = Script::healthy(3, 0);
    for keys in [":kill n1", "7/abc"] {
        script.keys(keys).tell(Msg::Key(Key::ctrl('c')));
        assert!(script.state.overlay.is_none() && script.state.search.typing.is_none(), "{keys}");
        assert!(script.state.leaving.is_none(), "{keys}");
    }
    // What is looked for in a page leaves the page.
    script.keys("!/x").tell(Msg::Key(Key::ctrl('c')));
    assert!(script.state.overlay.is_some() && script.state.search.typing.is_none());
    script.keys("\x1b:");
    let last = script.screen(&ASCII, (80, 24)).lines().last().map(str::to_owned).unwrap();
    assert!(last.contains("Esc back") && !last.contains("Ctrl-c"), "{last}");
    script.keys("\x1b").tell(Msg::Key(Key::ctrl('c')));
    assert!(script.state.leaving.is_some(), "at the top it leaves");
}

#[test]
fn what_was_wrong_with_a_line_goes_with_the_next_key() {
    let mut script = Script::healthy(3, 0);
    let error = |script: &Script| match &script.state.overlay {
        Some(Overlay::Command { error, .. }) => error.clone(),
        other => panic!("{other:?}"),
    };
    for next in ["x", "\t"] {
        script.keys(":kill n9\r");
        assert!(error(&script).is_some());
        script.keys(next);
        assert_eq!(error(&script), None, "{next:?}");
        script.keys("\x1b");
    }
    script.keys(":kill n9\r").tell(Msg::Paste("1".into()));
    assert_eq!(error(&script), None, "a paste is typing too");
}

#[test]
fn the_size_of_the_screen_is_that_of_now() {
    let mut session = Session::new(Script::healthy(3, 0).state);
    let shown = |session: &Session| {
        let lines = zw_tui::model::about::lines(session.shown());
        lines.into_iter().find(|(line, _)| line.starts_with("screen")).unwrap().0
    };
    session.set_size(160, 45);
    assert!(shown(&session).ends_with(" 160x45"));
    session.update(Duration::from_secs(9), Msg::Key(Key::char('p')));
    session.set_size(80, 24);
    assert!(shown(&session).ends_with(" 80x24"), "in a frozen display too: {}", shown(&session));
    session.update(Duration::from_secs(9), Msg::Key(Key::char('.')));
    assert!(shown(&session).ends_with(" 80x24"));
}

#[test]
fn a_path_that_does_not_fit_has_a_mark() {
    let mut script = Script::healthy(3, 0);
    script.keys("W").tell(Msg::Paste("a/rather/long/path/to/a/znode".into()));
    let shown = |script: &Script| {
        let screen = script.screen(&ASCII, (20, 5));
        screen.lines().find(|line| line.contains("path")).unwrap().to_owned()
    };
    assert!(shown(&script).contains("~znode"), "{}", shown(&script));
    script.keys("\t");
    assert!(shown(&script).contains('~'), "{}", shown(&script));
    script.tell(Msg::Key(Key::plain(Code::BackTab))).tell(Msg::Key(Key::plain(Code::Home)));
    assert!(shown(&script).contains("/a/r") && shown(&script).contains('~'), "{}", shown(&script));
    assert!(script.screen(&UNICODE, (20, 5)).contains('…'));
}

#[test]
fn an_undo_is_offered_only_while_there_is_something_to_undo() {
    let mut script = Script::healthy(3, 0);
    let offers =
        |script: &Script| (hinted(&script.state).contains(&Id::Undo), enabled(Id::Undo, &script.state).is_ok());
    assert_eq!(offers(&script), (false, false));
    script.keys("K").change(Member::Node(1), Change::Exited { exit: Exit::Signal(9), asked: Asked::Kill, words: None });
    assert_eq!(offers(&script), (true, true));
    // It was revived meanwhile.
    script.keys("R").change(Member::Node(1), Change::Spawned { pid: 7 }).change(Member::Node(1), Change::Listening);
    assert_eq!(offers(&script), (false, false));
    assert_eq!(enabled(Id::Undo, &script.state), Err("nothing to undo".into()));
    // The menu keeps its place and says why.
    script.keys("7a");
    let screen = script.screen(&ASCII, (160, 45));
    assert!(screen.contains("nothing to undo"), "{screen}");
}

#[test]
fn the_hints_of_a_question_have_the_key_that_says_yes() {
    let mut script = Script::healthy(3, 0);
    script.tree().keys("D");
    let last = |script: &Script| script.screen(&ASCII, (80, 24)).lines().last().map(str::to_owned).unwrap();
    assert!(!last(&script).contains("does it"), "it is counted first: {}", last(&script));
    script.tell(Msg::Counted { node: 0, path: "/goals".into(), result: Ok(2) });
    assert!(last(&script).contains("y does it"), "{}", last(&script));
    script.tell(Msg::Counted { node: 0, path: "/goals".into(), result: Ok(9_999) });
    assert!(!last(&script).contains("does it"), "{}", last(&script));
    script.after(400).keys("goals");
    assert!(last(&script).contains("Enter does it"), "{}", last(&script));
    assert_eq!(script.state.focus(), Pane::Tree);
}

#[test]
fn a_polite_stop_that_ended_as_a_kill_says_so() {
    let end = |exit, asked| {
        let mut script = Script::healthy(3, 0);
        script.keys("T").change(Member::Node(1), Change::Stopping);
        script.change(Member::Node(1), Change::Exited { exit, asked, words: None });
        let said = script.state.events.iter().last().unwrap().text.clone();
        let screen = script.screen(&ASCII, (160, 45));
        assert!(screen.contains(&said), "{said}: {screen}");
        said
    };
    assert_eq!(end(Exit::Code(0), Asked::Stop), "exit 0 (you)");
    assert_eq!(end(Exit::Signal(9), Asked::KillAfterGrace), "exit 137 (you, forced)");
}

#[test]
fn a_recording_invites_nobody_to_act() {
    let mut script = Script::healthy(3, 0);
    script.change(Member::Node(1), Change::Exited { exit: Exit::Signal(9), asked: Asked::Nothing, words: None });
    script.keys(":cut n2\r");
    let why = |script: &Script| zw_tui::model::verdict::judge(&script.state, script.now).reasons.join("; ");
    assert!(why(&script).contains("R revives it") && why(&script).contains("H heals all"), "{}", why(&script));
    script.state.time.seen = zw_tui::model::time::Seen::Replay;
    assert!(why(&script).contains("n1 is down") && why(&script).contains("cut n2"), "{}", why(&script));
    for word in ["R revives", "H heals", "P resumes", "U the"] {
        assert!(!why(&script).contains(word), "{}", why(&script));
    }
    for (keys, word) in [("3", "W writes"), (":faults\r", "H heals"), ("b", "B begins"), ("x", "X chooses")] {
        script.keys("\x1b").keys(keys);
        let screen = script.screen(&ASCII, (160, 45));
        assert!(!screen.contains(word), "{keys}: {screen}");
    }
}
