//! What a person can do and how it is found: pauses with a time, the jobs, completion, menus, help and hints; as screens
//! and as effects.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use std::time::Duration;
use zw_core::ids::{Epoch, NodeId, Zxid};
use zw_core::tree::command::Stat;
use zw_core::wire::admin::{NodeRole, Status};
use zw_core::wire::client::ChildrenPage;
use zw_tui::action::command::parse;
use zw_tui::action::table::{ACTIONS, Class, Id, Scope, enabled, hints};
use zw_tui::key::{Code, Key};
use zw_tui::layout::{arrange, menu_area, menu_hit, menu_lines};
use zw_tui::member::Member;
use zw_tui::model::message::{Effect, Msg, WriteFailure, Written};
use zw_tui::model::overlay::{Choice, Overlay};
use zw_tui::model::permission::Permission;
use zw_tui::model::text::TextPage;
use zw_tui::model::update::{help_lines, update};
use zw_tui::model::{Pane, State};
use zw_tui::pane::draw;
use zw_tui::supervisor::{Asked, Change, Exit, Order, Report};
use zw_tui::theme::Theme;

const ASCII: Theme = Theme::basic(false, true);
const UNICODE: Theme = Theme::basic(true, false);
const SIZES: [(u16, u16); 4] = [(160, 45), (80, 24), (40, 12), (20, 5)];

/// A console of three nodes and two brokers that run, in a script of messages at times.
struct Script {
    state: State,
    now: Duration,
    /// What the newest message wanted done.
    effects: Vec<Effect>,
}

impl Script {
    fn new() -> Script {
        let addresses = |base: u16, count: u16| (0..count).map(|i| format!("127.0.0.1:{}", base + i)).collect();
        let state = State::new(addresses(8080, 3), addresses(9090, 2));
        let mut script = Script { state, now: Duration::ZERO, effects: Vec::new() };
        let members: Vec<Member> = script.state.members().collect();
        for (member, pid) in members.into_iter().zip(41_201..) {
            script.change(member, Change::Spawned { pid }).change(member, Change::Listening);
        }
        script.status();
        script.after(1_000)
    }

    fn after(mut self, millis: u64) -> Script {
        self.wait(millis);
        self
    }

    fn wait(&mut self, millis: u64) -> &mut Script {
        self.now += Duration::from_millis(millis);
        self
    }

    fn tell(&mut self, message: Msg) -> &mut Script {
        self.effects = update(&mut self.state, self.now, message);
        self
    }

    fn change(&mut self, member: Member, change: Change) -> &mut Script {
        self.tell(Msg::Supervisor(Report { member: Some(member), change }))
    }

    /// All nodes answer: n2 leads.
    fn status(&mut self) {
        let zxid = Zxid::new(Epoch(7), 1_042);
        for node in 0..3 {
            let role = if node == 1 { NodeRole::Leader } else { NodeRole::Follower };
            let status = Status {
                node: NodeId(u16::try_from(node).unwrap() + 1),
                address: String::new(),
                ensemble: String::new(),
                role,
                epoch: Epoch(7),
                last_zxid: zxid,
                committed_zxid: zxid,
                applied_zxid: zxid,
                leader: NodeId(2),
                peers: Vec::new(),
                sessions: 0,
                watches: 0,
                connections: 0,
                znodes: 5,
                queue: 0,
                writes: 0,
                reads: 0,
                fsync_p99_us: 700,
                write_p99_us: 1_900,
                rss_bytes: 18 << 20,
                uptime_ms: 1_000,
                digest: 0,
                pid: 1,
                build: String::new(),
                disk_full: false,
                faults: Vec::new(),
                epoch_ends: vec![zxid],
            };
            self.tell(Msg::Status { node, status: Box::new(status), round_trip: Duration::ZERO });
        }
    }

    fn key(&mut self, key: Key) -> &mut Script {
        self.tell(Msg::Key(key))
    }

    fn keys(&mut self, keys: &str) -> &mut Script {
        for key in keys.chars() {
            self.key(match key {
                '\r' => Key::plain(Code::Enter),
                '\x1b' => Key::plain(Code::Esc),
                '\t' => Key::plain(Code::Tab),
                key => Key::char(key),
            });
        }
        self
    }

    fn line(&mut self, line: &str) -> &mut Script {
        self.tell(Msg::Line(line.to_owned()))
    }

    /// The tree's pane with a few znodes, the cursor on /goals.
    fn tree(&mut self) -> &mut Script {
        self.key(Key::ctrl('r'));
        let names = ["brokers", "config", "goals", "zooweeper"];
        let page = ChildrenPage {
            names: names.map(str::to_owned).to_vec(),
            stats: vec![Stat::default(); names.len()],
            stat: Stat::default(),
            more: false,
        };
        self.tell(Msg::Children { node: 0, path: "/".into(), after: String::new(), result: Ok(page) });
        self.keys("4jjj")
    }

    fn toast(&self) -> String {
        self.state.toast.as_ref().map_or_else(String::new, |toast| toast.text.clone())
    }

    fn typed(&self) -> String {
        match &self.state.overlay {
            Some(Overlay::Command { input, .. }) => input.text().to_owned(),
            other => panic!("{other:?}"),
        }
    }

    fn buffer(&self, theme: &Theme, width: u16, height: u16) -> Buffer {
        let mut buffer = Buffer::empty(Rect::new(0, 0, width, height));
        draw(&self.state, theme, self.now, &mut buffer);
        buffer
    }

    fn screen(&self, theme: &Theme, width: u16, height: u16) -> String {
        let buffer = self.buffer(theme, width, height);
        let rows = buffer.content().chunks(usize::from(width));
        rows.map(|row| row.iter().map(|cell| cell.symbol()).collect::<String>().trim_end().to_owned() + "\n").collect()
    }

    fn screens(&self, theme: &Theme) -> String {
        SIZES.map(|(width, height)| format!("{width}x{height}\n{}", self.screen(theme, width, height))).join("\n")
    }

    fn jobs(&self) -> Vec<String> {
        TextPage::Jobs.lines(&self.state, self.now).into_iter().map(|(line, _)| line).collect()
    }

    /// Presses a button on what is drawn there, as the console does.
    fn press(&mut self, is_right: bool, width: u16, height: u16, column: u16, row: u16) -> &mut Script {
        let layout = arrange(Rect::new(0, 0, width, height), &self.state);
        if let Some(Overlay::Menu(menu)) = &self.state.overlay
            && !is_right
        {
            let hit = menu_hit(layout.body, menu, column, row);
            return match hit {
                Some(item) => self.tell(Msg::MenuClick(item)),
                None => self,
            };
        }
        let hit = zw_tui::layout::hit(&layout, &self.state, self.now, column, row);
        let Some((pane, item)) = hit else { return self };
        let message = if is_right { Msg::RightClick(pane, item, (column, row)) } else { Msg::Click(pane, item) };
        self.tell(message)
    }
}

/// A console that did something of every kind.
fn busy() -> Script {
    let mut script = Script::new();
    script.line("kill n3").wait(12);
    script.change(Member::Node(3), Change::Exited { exit: Exit::Signal(9), asked: Asked::Kill, words: None });
    script.wait(1_000).line("kill n3").wait(500).line("revive n3").wait(400);
    script.change(Member::Node(3), Change::Spawned { pid: 41_300 }).change(Member::Node(3), Change::Listening);
    script.wait(1_000).line("cut n1|n2 2s").wait(2_000).tell(Msg::Tick).wait(1_000).status();
    script.line("pause leader 20s").wait(10);
    script.change(Member::Node(2), Change::Paused);
    script.wait(1_000).line("write n1 /goals/7 1-2").wait(2);
    let written = Written {
        created: false,
        version: 3,
        zxid: Zxid::new(Epoch(7), 1_043),
        took: Duration::from_millis(2),
        last: "/goals/7".into(),
        count: 1,
    };
    script.tell(Msg::Written { node: 0, path: "/goals/7".into(), result: Ok(written) });
    script.wait(900).line("write --create n1 /goals/8 'x").wait(300);
    let failure = WriteFailure { reason: "no quorum".into(), may_be_done: true, done: 0 };
    script.tell(Msg::Written { node: 0, path: "/goals/8".into(), result: Err(failure) });
    script.wait(500).line("slow n1>n3 80ms 0").wait(500).line("load 200/s 60s random").wait(2_000).keys("@");
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
    let mut refused = Script::new();
    refused.state.permission = Permission::READ_ONLY;
    refused.keys("K").line("write /a x");
    let rows = refused.jobs();
    assert!(rows.len() == 2 && rows.iter().all(|row| row.contains("refused") && row.contains("read-only")), "{rows:?}");
}

#[test]
fn a_job_of_a_process_ends_with_what_the_process_does() {
    let mut script = Script::new();
    let row = |script: &Script| script.jobs().first().cloned().unwrap();
    script.line("stop n1");
    assert!(row(&script).contains("running"));
    script.wait(700).change(Member::Node(2), Change::Exited { exit: Exit::Code(0), asked: Asked::Stop, words: None });
    assert!(row(&script).contains("running"), "another one ended");
    script.change(Member::Node(1), Change::Exited { exit: Exit::Code(0), asked: Asked::Stop, words: None });
    assert!(row(&script).contains("done") && row(&script).contains("700ms"), "{}", row(&script));
    script.line("revive n1").change(Member::Node(1), Change::Failed("port 8080 is taken".into()));
    assert!(row(&script).contains("refused") && row(&script).contains("port 8080 is taken"), "{}", row(&script));
}

#[test]
fn tab_goes_through_the_candidates_and_back() {
    let mut script = Script::new();
    let back = Key::plain(Code::BackTab);
    script.keys(":kill n\t");
    assert_eq!(script.typed(), "kill n", "the first Tab shows them");
    let shown = script.screen(&ASCII, 80, 24);
    assert!(shown.contains("n1 n2 n3 nodes"), "{shown}");
    for expected in ["kill n1", "kill n2", "kill n3", "kill nodes", "kill n1"] {
        script.keys("\t");
        assert_eq!(script.typed(), expected);
    }
    assert!(script.screen(&ASCII, 80, 24).contains("[n1] n2 n3 nodes"));
    script.key(back).key(back);
    assert_eq!(script.typed(), "kill n3");
    script.keys(",");
    assert_eq!(script.typed(), "kill n3,");
    script.key(back);
    assert_eq!(script.typed(), "kill n3,nodes", "what is typed begins anew");
    script.keys("\x1b:ki\t");
    assert_eq!(script.typed(), "kill ", "the only one is taken at once");
    script.keys("\x1b:xyz\t");
    assert_eq!((script.typed().as_str(), script.state.overlay.is_some()), ("xyz", true), "nothing to choose from");
}

#[test]
fn tab_knows_verbs_members_paths_scenarios_and_themes() {
    let mut script = Script::new();
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
        let mut script = Script::new();
        let layout = arrange(Rect::new(0, 0, width, height), &script.state);
        match layout.place(Pane::Nodes) {
            Some(nodes) => {
                let head = if nodes.is_framed { 2 } else { 0 };
                script.press(true, width, height, nodes.area.x + 9, nodes.area.y + head + 2);
                assert_eq!(script.state.selected(), Some(Member::Node(3)), "the item under the pointer is selected");
            }
            // Without a list to point at there is the key.
            None => {
                script.keys("a");
            }
        }
        assert!(matches!(script.state.overlay, Some(Overlay::Menu(_))));
        screens.push_str(&format!("{width}x{height}\n{}\n", script.screen(theme, width, height)));
    }
    insta::assert_snapshot!(screens);
}

#[test]
fn menus_of_znodes_and_events_are_about_them() {
    let mut script = Script::new();
    script.tree();
    let (width, height) = (160, 45);
    let tree = arrange(Rect::new(0, 0, width, height), &script.state).place(Pane::Tree).unwrap().area;
    script.press(true, width, height, tree.x + 6, tree.y + 3);
    assert_eq!(script.state.tree.selected(), "/config");
    let shown = script.screen(&ASCII, width, height);
    assert!(shown.contains("- /config ") && shown.contains("Delete the selected znode"), "{shown}");
    script.keys("\x1b");
    script.line("kill b1");
    let events = arrange(Rect::new(0, 0, width, height), &script.state).place(Pane::Events).unwrap().area;
    let last = u16::try_from(script.state.events.iter().len()).unwrap();
    script.press(true, width, height, events.x + 6, events.y + last);
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
        let mut script = Script::new();
        let nodes = arrange(Rect::new(0, 0, width, height), &script.state).place(Pane::Nodes).unwrap().area;
        script.press(true, width, height, nodes.x + 9, nodes.y + 3);
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
    script.press(false, width, height, area.x, area.y);
    assert!(matches!(script.state.overlay, Some(Overlay::Menu(_))), "the frame is neither");
    script.tell(Msg::Wheel(Pane::Nodes, 3)).tell(Msg::Wheel(Pane::Events, -3));
    assert_eq!((script.effects.len(), script.state.selected()), (0, Some(Member::Node(2))), "the wheel does nothing");
    script.press(false, width, height, column, row);
    assert_eq!(script.effects, [Effect::Supervise(Order::Kill(Member::Node(2)))]);
    assert_eq!(script.state.overlay, None);
    // Beside it: nothing but its end.
    let mut script = open();
    script.press(false, width, height, 0, 0);
    script.press(false, width, height, 3, 6);
    let mut script = open();
    script.tell(Msg::MenuClick(None));
    assert_eq!((script.effects.len(), script.state.overlay.clone(), script.state.node), (0, None, 1));
    // What cannot be done says why, and stays.
    let mut script = open();
    let (column, row, _) = line(&script, Id::Revive);
    script.press(false, width, height, column, row);
    assert!(script.toast().contains("n2 runs") && script.effects.is_empty(), "{}", script.toast());
    assert!(matches!(script.state.overlay, Some(Overlay::Menu(_))));
}

#[test]
fn the_keys_of_a_menu_are_those_of_its_actions() {
    let mut script = Script::new();
    script.keys("a");
    assert!(matches!(script.state.overlay, Some(Overlay::Menu(_))));
    script.keys("zw?:5");
    assert!(matches!(script.state.overlay, Some(Overlay::Menu(_))), "what is not in it does nothing");
    script.keys("jjk\x1b");
    assert_eq!((script.state.overlay.clone(), script.state.node), (None, 0));
    script.keys("aP");
    assert_eq!(script.effects, [Effect::Supervise(Order::Pause(Member::Node(1)))]);
    // Opened twice and answered by accident, it only looks.
    let mut script = Script::new();
    script.keys("a\r");
    assert!(script.effects.is_empty() && matches!(script.state.overlay, Some(Overlay::Text { .. })));
    for pane in Pane::ALL {
        let mut script = Script::new();
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
            let mut script = Script::new();
            script.state.focus_on(pane);
            let pane_item = Msg::RightClick(pane, Some(0), (width - 1, height - 1));
            script.tell(pane_item).keys("jj");
            script.buffer(&UNICODE, width, height);
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
    let mut script = Script::new();
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

/// Check G5.
#[test]
fn the_help_has_every_action_with_its_key_and_its_line() {
    let mut script = Script::new();
    script.keys("?");
    let screen = script.screen(&UNICODE, 200, 200);
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
        let mut script = Script::new();
        script.keys("?").keys(letters).keys("\r");
        assert_eq!(script.effects.first(), effect.as_ref(), "{letters}");
    }
    let mut script = Script::new();
    script.keys("?why\r");
    assert!(matches!(script.state.overlay, Some(Overlay::Text { page: TextPage::Why, .. })));
    script.keys("\x1b?cut\r");
    assert_eq!(script.state.faults.active().len(), 1);
    // Whatever is called by a word is the first that its letters find, or among the first.
    let script = Script::new();
    for action in ACTIONS.iter().filter(|action| action.command.len() >= 3) {
        let found = help_lines(&script.state, &action.command[..3]);
        let place = found.iter().position(|found| found.id == action.id).unwrap();
        assert!(place < 7, "{:?} is number {place} for {}", action.id, &action.command[..3]);
    }
}

/// Consoles in many states.
fn situations() -> Vec<(&'static str, Script)> {
    let with = |name, change: &dyn Fn(&mut Script)| {
        let mut script = Script::new();
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
