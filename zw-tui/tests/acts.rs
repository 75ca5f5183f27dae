//! What a person can do: the jobs, completion, menus, exports; as screens and as effects.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod sample;

use ratatui::layout::Rect;
use sample::script::{ASCII, Script, UNICODE, newest};
use std::time::Duration;
use zw_core::ids::{Epoch, Zxid};
use zw_tui::action::command::parse;
use zw_tui::action::table::{Class, Id, Scope};
use zw_tui::key::{Code, Key};
use zw_tui::layout::{arrange, menu_area, menu_hit, menu_lines};
use zw_tui::member::Member;
use zw_tui::model::Pane;
use zw_tui::model::message::{Effect, Msg, WriteFailure, Written};
use zw_tui::model::overlay::{Choice, Overlay};
use zw_tui::model::permission::Permission;
use zw_tui::supervisor::{Asked, Change, Exit, Order};

/// A console that did something of every kind.
fn busy() -> Script {
    let mut script = Script::small();
    script.line("kill n3").after(12);
    script.change(Member::Node(3), Change::Exited { exit: Exit::Signal(9), asked: Asked::Kill, words: None });
    script.after(1_000).line("kill n3").after(500).line("revive n3").after(400);
    script.change(Member::Node(3), Change::Spawned { pid: 41_300 }).change(Member::Node(3), Change::Listening);
    script.after(1_000).line("cut n1|n2 2s").after(2_000).tell(Msg::Tick).after(1_000).serve_under(2, newest());
    script.line("pause leader 20s").after(10);
    script.change(Member::Node(2), Change::Paused);
    script.after(1_000).line("write n1 /goals/7 1-2").after(2);
    let written = Written {
        created: false,
        version: 3,
        zxid: Zxid::new(Epoch(7), 1_043),
        took: Duration::from_millis(2),
        last: "/goals/7".into(),
        count: 1,
    };
    script.tell(Msg::Written { node: 0, path: "/goals/7".into(), result: Ok(written) });
    script.after(900).line("write --create n1 /goals/8 'x").after(300);
    let failure = WriteFailure { reason: "no quorum".into(), may_be_done: true, done: 0 };
    script.tell(Msg::Written { node: 0, path: "/goals/8".into(), result: Err(failure) });
    script.after(500).line("slow n1>n3 80ms 0").after(500).line("load 200/s 60s random").after(2_000).keys("@");
    script
}

#[test]
fn the_jobs_say_when_how_long_and_how_they_ended() {
    let script = busy();
    insta::assert_snapshot!(script.screens(&ASCII));
}

#[test]
fn every_job_is_a_line_that_does_it_again() {
    let script = busy();
    let lines = script.jobs();
    assert_eq!(lines.len(), 9, "{lines:#?}");
    for row in &lines {
        let (_, line) = row.split_once("  :").or(row.split_once("  zw ")).unwrap();
        let line = line.split("   ").next().unwrap();
        if row.contains("  zw ") {
            assert_eq!(line, r"create /goals/8 ''\''x' --servers 127.0.0.1:8080");
            continue;
        }
        let parsed = parse(line, &script.state, script.now);
        assert!(parsed.is_ok(), "{line}: {parsed:?}");
    }
    let begun: Vec<&str> = lines.iter().map(|line| &line[..7]).collect();
    assert!(begun.is_sorted_by(|newer, older| newer >= older), "newest first: {begun:?}");
}

#[test]
fn the_jobs_are_searched_closed_by_their_key_and_bounded() {
    let mut script = busy();
    script.keys("/kill\r");
    assert!(script.state.search.in_text.is_some() && matches!(script.state.overlay, Some(Overlay::Text { .. })));
    script.keys("@");
    assert_eq!(script.state.overlay, None);
    for _ in 0..1_000 {
        script.line("revive n1");
    }
    assert!(script.jobs().len() <= 200 + 50, "{}", script.jobs().len());
    let mut refused = Script::small();
    refused.state.permission = Permission::READ_ONLY;
    refused.keys("K").line("write /a x");
    let rows = refused.jobs();
    assert!(rows.len() == 2 && rows.iter().all(|row| row.contains("refused") && row.contains("read-only")), "{rows:?}");
}

#[test]
fn a_job_of_a_process_ends_with_what_the_process_does() {
    let mut script = Script::small();
    let row = |script: &Script| script.jobs().first().cloned().unwrap();
    script.line("stop n1");
    assert!(row(&script).contains("running"));
    script.after(700).change(Member::Node(2), Change::Exited { exit: Exit::Code(0), asked: Asked::Stop, words: None });
    assert!(row(&script).contains("running"), "another one ended");
    script.change(Member::Node(1), Change::Exited { exit: Exit::Code(0), asked: Asked::Stop, words: None });
    assert!(row(&script).contains("done") && row(&script).contains("700ms"), "{}", row(&script));
    script.line("revive n1").change(Member::Node(1), Change::Failed("port 8080 is taken".into()));
    assert!(row(&script).contains("refused") && row(&script).contains("port 8080 is taken"), "{}", row(&script));
}

#[test]
fn tab_goes_through_the_candidates_and_back() {
    let mut script = Script::small();
    let back = Key::plain(Code::BackTab);
    script.keys(":kill n\t");
    assert_eq!(script.typed(), "kill n", "the first Tab shows them");
    let shown = script.screen(&ASCII, (80, 24));
    assert!(shown.contains("n1 n2 n3 nodes"), "{shown}");
    for expected in ["kill n1", "kill n2", "kill n3", "kill nodes", "kill n1"] {
        script.keys("\t");
        assert_eq!(script.typed(), expected);
    }
    assert!(script.screen(&ASCII, (80, 24)).contains("[n1] n2 n3 nodes"));
    script.key(back).key(back);
    assert_eq!(script.typed(), "kill n3");
    script.keys(",");
    assert_eq!(script.typed(), "kill n3,");
    script.key(back);
    assert_eq!(script.typed(), "kill n3,nodes", "what is typed begins anew");
    script.keys("\x1b:ki\t");
    assert_eq!(script.typed(), "kill ", "the only one is taken at once");
    script.keys("\x1b:xyz\t");
    assert_eq!((script.typed(), script.state.overlay.is_some()), ("xyz", true), "nothing to choose from");
}

#[test]
fn tab_knows_verbs_members_paths_scenarios_and_themes() {
    let mut script = Script::small();
    script.tree();
    for (typed, completed) in [
        (":rev\t", "revive "),
        (":kill b\t\t", "kill b1"),
        (":kill lea\t", "kill leader "),
        (":write n2 /go\t", "write n2 /goals"),
        (":delete /c\t", "delete /config"),
        (":scenario kill-l\t", "scenario kill-leader "),
        (":theme mo\t", "theme mono "),
        (":set motion o\t", "set motion off "),
        (":sort z\t", "sort zxid "),
    ] {
        script.keys("\x1b\x1b").keys(typed);
        assert_eq!(script.typed(), completed, "{typed:?}");
    }
}

#[test]
fn many_candidates_are_shown_around_the_chosen_one() {
    let words: Vec<String> = (0..40).map(|number| format!("w{number}")).collect();
    let mut choice = Choice { typed: "x w".into(), words, at: None };
    assert!(choice.text(12).starts_with("w0 w1") && choice.text(12).ends_with("(40 in all)"));
    choice.step(false);
    assert!(choice.text(12).contains("w28 ") && choice.text(12).contains("[w39]"), "{}", choice.text(12));
}

#[test]
fn the_right_button_shows_what_can_be_done() {
    let mut screens = String::new();
    for (theme, (width, height)) in [(&UNICODE, (160, 45)), (&ASCII, (80, 24)), (&ASCII, (40, 12)), (&ASCII, (20, 5))] {
        let mut script = Script::small();
        let layout = arrange(Rect::new(0, 0, width, height), &script.state);
        match layout.place(Pane::Nodes) {
            Some(nodes) => {
                let head = if nodes.is_framed { 2 } else { 0 };
                script.press(true, (width, height), nodes.area.x + 9, nodes.area.y + head + 2);
                assert_eq!(script.state.selected(), Some(Member::Node(3)), "the item under the pointer is selected");
            }
            // Without a list to point at there is the key.
            None => {
                script.keys("a");
            }
        }
        assert!(matches!(script.state.overlay, Some(Overlay::Menu(_))));
        screens.push_str(&format!("{width}x{height}\n{}\n", script.screen(theme, (width, height))));
    }
    insta::assert_snapshot!(screens);
}

#[test]
fn menus_of_znodes_and_events_are_about_them() {
    let mut script = Script::small();
    script.tree();
    let (width, height) = (160, 45);
    let tree = arrange(Rect::new(0, 0, width, height), &script.state).place(Pane::Tree).unwrap().area;
    script.press(true, (width, height), tree.x + 6, tree.y + 3);
    assert_eq!(script.state.tree.selected(), "/config");
    let shown = script.screen(&ASCII, (width, height));
    assert!(shown.contains("- /config ") && shown.contains("Delete the selected znode"), "{shown}");
    script.keys("\x1b");
    script.line("kill b1");
    let events = arrange(Rect::new(0, 0, width, height), &script.state).place(Pane::Events).unwrap().area;
    let last = u16::try_from(script.state.events.iter().len()).unwrap();
    script.press(true, (width, height), events.x + 6, events.y + last);
    assert!(script.state.events.selected().is_some_and(|event| event.text == "kill b1"));
    script.tell(Msg::Note("another event".into()));
    assert!(script.state.events.selected().is_some_and(|event| event.text == "kill b1"), "it stays the chosen one");
    script.keys("\r");
    assert_eq!((script.state.focus(), script.state.overlay.is_none()), (Pane::Brokers, true));
}

#[test]
fn a_click_runs_a_line_and_one_beside_it_closes() {
    let (width, height) = (80, 24);
    let open = || {
        let mut script = Script::small();
        let nodes = arrange(Rect::new(0, 0, width, height), &script.state).place(Pane::Nodes).unwrap().area;
        script.press(true, (width, height), nodes.x + 9, nodes.y + 3);
        script
    };
    let line = |script: &Script, id: Id| {
        let Some(Overlay::Menu(menu)) = &script.state.overlay else { panic!() };
        let body = arrange(Rect::new(0, 0, width, height), &script.state).body;
        let (list, first) = menu_lines(body, menu);
        let at = menu.actions().position(|action| action.id == id).unwrap();
        (list.x + 3, list.y + u16::try_from(at - first).unwrap(), menu_area(body, menu))
    };
    let mut script = open();
    let (column, row, area) = line(&script, Id::Kill);
    script.press(false, (width, height), area.x, area.y);
    assert!(matches!(script.state.overlay, Some(Overlay::Menu(_))), "the frame is neither");
    script.tell(Msg::Wheel(Pane::Nodes, 3)).tell(Msg::Wheel(Pane::Events, -3));
    assert_eq!((script.effects.len(), script.state.selected()), (0, Some(Member::Node(2))), "the wheel does nothing");
    script.press(false, (width, height), column, row);
    assert_eq!(script.effects, [Effect::Supervise(Order::Kill(Member::Node(2)))]);
    assert_eq!(script.state.overlay, None);
    // Beside it: nothing but its end.
    let mut script = open();
    script.press(false, (width, height), 0, 0);
    script.press(false, (width, height), 3, 6);
    let mut script = open();
    script.tell(Msg::MenuClick(None));
    assert_eq!((script.effects.len(), script.state.overlay.clone(), script.state.node), (0, None, 1));
    // What cannot be done says why, and stays.
    let mut script = open();
    let (column, row, _) = line(&script, Id::Revive);
    script.press(false, (width, height), column, row);
    assert!(script.toast().contains("n2 runs") && script.effects.is_empty(), "{}", script.toast());
    assert!(matches!(script.state.overlay, Some(Overlay::Menu(_))));
}

#[test]
fn the_keys_of_a_menu_are_those_of_its_actions() {
    let mut script = Script::small();
    script.keys("a");
    assert!(matches!(script.state.overlay, Some(Overlay::Menu(_))));
    script.keys("zw?:5");
    assert!(matches!(script.state.overlay, Some(Overlay::Menu(_))), "what is not in it does nothing");
    script.keys("jjk\x1b");
    assert_eq!((script.state.overlay.clone(), script.state.node), (None, 0));
    script.keys("aP");
    assert_eq!(script.effects, [Effect::Supervise(Order::Pause(Member::Node(1)))]);
    // Opened twice and answered by accident, it only looks.
    let mut script = Script::small();
    script.keys("a\r");
    assert!(script.effects.is_empty() && matches!(script.state.overlay, Some(Overlay::Text { .. })));
    for pane in Pane::ALL {
        let mut script = Script::small();
        script.state.focus_on(pane);
        script.keys("a");
        let Some(Overlay::Menu(menu)) = &script.state.overlay else { continue };
        let first = menu.actions().next().unwrap();
        assert_eq!(first.class, Class::Look, "{pane:?}");
        assert!(menu.actions().all(|action| !matches!(action.scope, Scope::In(other) if other != pane)), "{pane:?}");
    }
    script.keys("\x1b3a");
    assert!(script.toast().contains("menus are for"), "{}", script.toast());
}

#[test]
fn no_size_breaks_a_menu_and_no_click_misses_it() {
    for (width, height) in
        (1..170u16).step_by(7).flat_map(|width| (1..50u16).step_by(3).map(move |height| (width, height)))
    {
        for pane in [Pane::Nodes, Pane::Brokers, Pane::Events] {
            let mut script = Script::small();
            script.state.focus_on(pane);
            let pane_item = Msg::RightClick(pane, Some(0), (width - 1, height - 1));
            script.tell(pane_item).keys("jj");
            script.buffer(&UNICODE, (width, height));
            let Some(Overlay::Menu(menu)) = &script.state.overlay else { panic!("{pane:?}") };
            let layout = arrange(Rect::new(0, 0, width, height), &script.state);
            let area = menu_area(layout.body, menu);
            assert_eq!(area.intersection(layout.body), area, "{width}x{height}");
            let (list, first) = menu_lines(layout.body, menu);
            for row in 0..list.height.min(u16::try_from(menu.actions().len()).unwrap()) {
                let hit = menu_hit(layout.body, menu, list.x, list.y + row);
                assert_eq!(hit, Some(Some(first + usize::from(row))), "{width}x{height}");
            }
        }
    }
}

#[test]
fn the_events_are_exported_as_lines_of_json() {
    let mut script = Script::small();
    script.line("kill n3").line("export my events.jsonl");
    let [Effect::Export { file, text }] = &script.effects[..] else { panic!("{:?}", script.effects) };
    assert_eq!((file.as_str(), text.lines().count()), ("my events.jsonl", script.state.events.iter().len()));
    let last: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!(last, serde_json::json!({ "at_ms": 1000, "source": "you", "level": "info", "text": "kill n3" }));
    script.tell(Msg::Exported(Ok("my events.jsonl, 9 lines".into())));
    assert!(script.toast().contains("my events.jsonl, 9 lines") && script.jobs()[0].contains("done"));
    script.line("export x").tell(Msg::Exported(Err("x is there already".into())));
    assert!(script.jobs()[0].contains("refused") && script.jobs()[0].contains("x is there already"));
}
