//! How an action is found: the help has all of them and runs them, and the hints promise nothing that a key does not do.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod sample;

use sample::script::{Script, UNICODE};
use std::time::Duration;
use zw_tui::action::table::{ACTIONS, enabled, hints};
use zw_tui::member::Member;
use zw_tui::model::message::{Effect, Msg};
use zw_tui::model::overlay::Overlay;
use zw_tui::model::permission::Permission;
use zw_tui::model::text::TextPage;
use zw_tui::model::update::{help_lines, update};
use zw_tui::model::{Pane, State};
use zw_tui::supervisor::{Asked, Change, Exit, Order};

/// Check G5.
#[test]
fn the_help_has_every_action_with_its_key_and_its_line() {
    let mut script = Script::small();
    script.keys("?");
    let screen = script.screen(&UNICODE, (200, 200));
    for action in ACTIONS {
        let key = script.state.keymap.names(action).into_iter().next();
        let row = screen.lines().find(|row| row.contains(&action.sentence[..action.sentence.len().min(60)]));
        let row = row.unwrap_or_else(|| panic!("{:?} is not in the help", action.id));
        assert!(row.contains(&format!(":{}", action.command)), "{row}");
        assert!(key.is_none_or(|key| row.contains(&key)), "{row}");
    }
}

/// Check G5.
#[test]
fn three_letters_and_enter_run_an_action() {
    for (letters, effect) in [
        ("kil", Some(Effect::Supervise(Order::Kill(Member::Node(1))))),
        ("pau", Some(Effect::Supervise(Order::Pause(Member::Node(1))))),
        ("sto", Some(Effect::Supervise(Order::Stop(Member::Node(1))))),
        ("dum", Some(Effect::Dump)),
    ] {
        let mut script = Script::small();
        script.keys("?").keys(letters).keys("\r");
        assert_eq!(script.effects.first(), effect.as_ref(), "{letters}");
    }
    let mut script = Script::small();
    script.keys("?why\r");
    assert!(matches!(script.state.overlay, Some(Overlay::Text { page: TextPage::Why, .. })));
    script.keys("\x1b?cut\r");
    assert_eq!(script.state.faults.active().len(), 1);
    // Whatever is called by a word is the first that its letters find, or among the first.
    let script = Script::small();
    for action in ACTIONS.iter().filter(|action| action.command.len() >= 3) {
        let found = help_lines(&script.state, &action.command[..3]);
        let place = found.iter().position(|found| found.id == action.id).unwrap();
        assert!(place < 7, "{:?} is number {place} for {}", action.id, &action.command[..3]);
    }
}

/// Consoles in many states.
fn situations() -> Vec<(&'static str, Script)> {
    let with = |name, change: &dyn Fn(&mut Script)| {
        let mut script = Script::small();
        change(&mut script);
        (name, script)
    };
    vec![
        with("well", &|_| {}),
        with("dead", &|script| {
            script.change(Member::Node(1), Change::Exited { exit: Exit::Signal(9), asked: Asked::Kill, words: None });
        }),
        with("paused", &|script| {
            script.line("pause n1 20s");
        }),
        with("marked", &|script| {
            script.keys(" j ");
        }),
        with("cut", &|script| {
            script.line("cut n1");
        }),
        with("tree", &|script| {
            script.tree();
        }),
        with("zoomed", &|script| {
            script.keys("+");
        }),
        with("read-only", &|script| script.state.permission = Permission::READ_ONLY),
        with("filtered", &|script| {
            script.keys("7/zzz\r");
        }),
        with("loaded", &|script| {
            script.line("load 5/s 9s").keys("\x1b");
        }),
        with("page", &|script| {
            script.keys("!");
        }),
        with("output", &|script| {
            script.keys("o");
        }),
        with("help", &|script| {
            script.keys("?");
        }),
        with("command", &|script| {
            script.keys(":");
        }),
        with("search", &|script| {
            script.keys("7/");
        }),
        with("form", &|script| {
            script.keys("W");
        }),
        with("menu", &|script| {
            script.keys("a");
        }),
        with("list", &|script| {
            script.keys("X");
        }),
        ("empty", {
            let state = State::new(vec!["127.0.0.1:1".into()], Vec::new());
            Script { state, now: Duration::ZERO, effects: Vec::new() }
        }),
    ]
}

/// Check G6.
#[test]
fn no_hint_is_a_key_that_does_nothing() {
    // All but what may change without anything having been done.
    let looks = |state: &State| {
        let mut state = state.clone();
        (state.version, state.toast) = (0, None);
        format!("{state:?}")
    };
    let mut tried = 0;
    for pane in Pane::ALL {
        for (name, mut script) in situations() {
            script.state.focus_on(pane);
            let hinted: Vec<_> = hints(&script.state).collect();
            for action in hinted {
                let key = script.state.keymap.keys(action.id)[0];
                let mut state = script.state.clone();
                assert_eq!(enabled(action.id, &state), Ok(()));
                let (before, jobs) = (looks(&state), TextPage::Jobs.lines(&state, script.now).len());
                let effects = update(&mut state, script.now, Msg::Key(key));
                let refused = TextPage::Jobs.lines(&state, script.now);
                let is_refused = refused.len() > jobs && refused[0].0.contains("refused");
                let does = (!effects.is_empty() || looks(&state) != before) && !is_refused;
                assert!(does, "{name}, {pane:?}: {key} {:?} does nothing", action.id);
                tried += 1;
            }
        }
    }
    assert!(tried > 500, "{tried}");
}
