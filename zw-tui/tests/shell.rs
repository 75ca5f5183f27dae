//! What is around the panes, without processes: an ensemble that the console did not start, what is allowed there, the
//! keys of a person's own, the themes.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod sample;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Color;
use std::time::Duration;
use zw_core::ids::{Epoch, NodeId, Zxid};
use zw_core::wire::admin::Status;
use zw_tui::action::keymap::{Keymap, Wish};
use zw_tui::action::table::{ACTIONS, Class, Id, enabled};
use zw_tui::key::{Code, Key};
use zw_tui::model::about::About;
use zw_tui::model::message::{Effect, Msg};
use zw_tui::model::overlay::Overlay;
use zw_tui::model::permission::Permission;
use zw_tui::model::question::SETTLE_TIME;
use zw_tui::model::select::{Face, node_face};
use zw_tui::model::update::update;
use zw_tui::model::verdict::{Word, judge};
use zw_tui::model::write::WriteOrder;
use zw_tui::model::{Pane, State};
use zw_tui::pane::draw;
use zw_tui::theme::{Depth, Name, Theme};

const ASCII: Theme = Theme::basic(false, true);
const UNICODE: Theme = Theme::basic(true, false);
const SIZES: [(u16, u16); 4] = [(160, 45), (80, 24), (40, 12), (20, 5)];
const LOOKS: Permission = Permission { is_attached: true, writes: false, faults: false };
const ACTS: Permission = Permission { is_attached: true, writes: true, faults: true };

/// A console on an ensemble at `10.0.0.K:8080`.
struct Script {
    state: State,
    now: Duration,
}

fn address(node: u16) -> String {
    format!("10.0.0.{node}:8080")
}

impl Script {
    fn attached(to: &[u16], permission: Permission) -> Script {
        let addresses = to.iter().map(|node| address(*node)).collect();
        Script { state: State::attached(addresses, permission), now: Duration::from_secs(1) }
    }

    fn tell(&mut self, message: Msg) -> Vec<Effect> {
        update(&mut self.state, self.now, message)
    }

    fn keys(&mut self, keys: &str) -> Vec<Effect> {
        keys.chars().flat_map(|key| self.tell(Msg::Key(Key::char(key)))).collect()
    }

    fn key(&mut self, code: Code) -> Vec<Effect> {
        self.tell(Msg::Key(Key::plain(code)))
    }

    fn after(&mut self, time: Duration) -> &mut Script {
        self.now += time;
        self
    }

    /// The node behind an address, counted from 0, says that it is `node` of an ensemble of so many.
    fn says(&mut self, line: usize, node: u16, members: u16) -> Vec<Effect> {
        let status = Box::new(status(node, members));
        self.tell(Msg::Status { node: line, status, round_trip: Duration::from_millis(1) })
    }

    /// The last of three leads, all answer.
    fn serving(mut self) -> Script {
        for node in 1..=3 {
            self.says(usize::from(node) - 1, node, 3);
        }
        self
    }

    fn strangers(&self) -> Vec<String> {
        self.state.stranger_words().collect()
    }

    fn addresses(&self) -> Vec<&str> {
        self.state.nodes.iter().map(|node| node.address.as_str()).collect()
    }

    fn buffer(&self, theme: &Theme, width: u16, height: u16) -> Buffer {
        let mut buffer = Buffer::empty(Rect::new(0, 0, width, height));
        draw(&self.state, theme, self.now, &mut buffer);
        buffer
    }

    fn screens(&self, theme: &Theme, sizes: &[(u16, u16)]) -> String {
        let mut text = String::new();
        for (width, height) in sizes {
            let mut terminal = Terminal::new(TestBackend::new(*width, *height)).unwrap();
            terminal.draw(|frame| draw(&self.state, theme, self.now, frame.buffer_mut())).unwrap();
            text.push_str(&format!("{width}x{height}\n{}", terminal.backend()));
        }
        text
    }
}

fn status(node: u16, members: u16) -> Status {
    let ensemble: Vec<String> = (1..=members).map(address).collect();
    let ordinary = sample::status(node, members, Zxid::new(Epoch(7), 1_042));
    Status { address: address(node), ensemble: ensemble.join(","), reads: 200, ..ordinary }
}

fn text(buffer: &Buffer) -> String {
    buffer.content().iter().map(|cell| cell.symbol()).collect()
}

#[test]
fn nodes_say_themselves_which_member_they_are() {
    // Given in an order that is not the ensemble's.
    let mut script = Script::attached(&[3, 1, 2], LOOKS);
    for (line, node) in [(0, 3), (1, 1), (2, 2)] {
        assert_eq!(script.says(line, node, 3).iter().filter(|effect| matches!(effect, Effect::Dial { .. })).count(), 0);
    }
    assert_eq!(script.addresses(), [address(1), address(2), address(3)]);
    let verdict = judge(&script.state, script.now);
    assert_eq!((verdict.word, verdict.leader), (Word::Healthy, Some(NodeId(3))));
    let faces: Vec<Face> = script.state.nodes.iter().map(|node| node_face(&script.state, node, script.now)).collect();
    assert_eq!(faces, [Face::Follower, Face::Follower, Face::Leader]);
    // What is asked of n1 goes to the address that is n1's, and its answer is n1's.
    let effects = script.keys("g");
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Children { node: 1, .. })), "{effects:?}");
    script.tell(Msg::Silent { node: 1, reason: "refused".into() });
    assert_eq!(script.state.nodes[0].sight.silence.as_deref(), Some("refused"));
}

#[test]
fn members_that_no_address_was_given_for_are_asked_too_and_count_for_the_quorum() {
    let mut script = Script::attached(&[4], LOOKS);
    let effects = script.says(0, 4, 5);
    let dialed: Vec<(usize, String)> = effects
        .into_iter()
        .filter_map(|effect| match effect {
            Effect::Dial { line, address } => Some((line, address)),
            _ => None,
        })
        .collect();
    assert_eq!(dialed, [(1, address(1)), (2, address(2)), (3, address(3)), (4, address(5))]);
    let verdict = judge(&script.state, script.now);
    assert_eq!((verdict.serving, verdict.members), (0, 5));
    assert_eq!(script.state.nodes[3].sight.status.as_ref().map(|status| status.node), Some(NodeId(4)));
    for (line, node) in [(1, 1), (2, 2), (3, 3), (4, 5)] {
        assert!(script.says(line, node, 5).iter().all(|effect| !matches!(effect, Effect::Dial { .. })));
    }
    assert_eq!(judge(&script.state, script.now).word, Word::Healthy);
}

#[test]
fn one_member_at_two_addresses_counts_once_and_a_wrong_address_does_not_count() {
    let mut script = Script::attached(&[1, 2, 3, 9], LOOKS);
    // The first address is n2, as the second says too; 9 answers nothing.
    script.says(1, 2, 3);
    script.says(0, 2, 3);
    script.says(2, 3, 3);
    assert_eq!(script.state.nodes.len(), 3);
    assert!(script.state.events.iter().any(|event| event.text.contains("are both n2")), "{:?}", script.state.events);
    assert_eq!(script.state.nodes[1].sight.status.as_ref().map(|status| status.node), Some(NodeId(2)));
    // Again and again: nothing grows and nobody takes anybody's place.
    for _ in 0..100 {
        for (line, node) in [(0, 2), (1, 2), (2, 3)] {
            script.says(line, node, 3);
        }
    }
    assert_eq!(script.state.nodes.len(), 3);
    assert!(script.state.lines.len() <= 2 * zw_core::limits::MEMBERS_MAX);
}

#[test]
fn a_silent_host_has_the_place_that_the_ensemble_lists_for_it_and_a_wrong_one_gives_way() {
    let mut script = Script::attached(&[2, 3], LOOKS);
    script.says(0, 2, 3);
    assert_eq!(script.addresses(), [address(1), address(2), address(3)]);
    // 9 is nobody's address, until it says whose.
    let mut script = Script::attached(&[2, 3, 9], LOOKS);
    let effects = script.says(0, 2, 3);
    assert_eq!(effects.iter().filter(|effect| matches!(effect, Effect::Dial { line: 3, .. })).count(), 1);
    assert_eq!(script.addresses(), [address(1), address(2), address(3)]);
    assert_eq!(script.state.node, 1, "the first that answered is looked at");
    assert_eq!(script.strangers(), ["address 10.0.0.9:8080: unknown member, connecting"]);
    // It says that it is n1, which its listed address is not heard at.
    script.says(2, 1, 3);
    assert_eq!(script.addresses(), [address(9), address(2), address(3)]);
    assert!(script.strangers().is_empty());
}

#[test]
fn an_address_is_no_member_unless_it_says_so() {
    let mut script = Script::attached(&[2, 9], LOOKS);
    // Before anybody answers nobody has a name.
    script.tell(Msg::Silent { node: 1, reason: "connection refused".into() });
    assert!(script.state.nodes.is_empty());
    let refused = "address 10.0.0.9:8080: no answer: connection refused";
    assert_eq!(script.strangers(), ["address 10.0.0.2:8080: connecting", refused]);
    assert_eq!(judge(&script.state, script.now).word, Word::Unknown);
    insta::assert_snapshot!("nobody_answers", script.screens(&ASCII, &SIZES));
    // n1 and n3 are silent: neither is what does not answer at a wrong address.
    script.says(0, 2, 3);
    assert_eq!(script.addresses(), [address(1), address(2), address(3)]);
    let unknown = "address 10.0.0.9:8080: unknown member, no answer: connection refused";
    assert_eq!(script.strangers(), [unknown]);
    insta::assert_snapshot!("a_wrong_address", script.screens(&ASCII, &SIZES));
    script.tell(Msg::Silent { node: 1, reason: "this is a broker".into() });
    assert!(script.strangers()[0].ends_with("no answer: this is a broker"), "{:?}", script.strangers());
    // A node of another ensemble takes nobody's place either.
    let other = Status { ensemble: "10.1.0.1:8080".into(), ..status(1, 3) };
    script.tell(Msg::Status { node: 1, status: Box::new(other), round_trip: Duration::ZERO });
    assert_eq!(script.state.nodes.len(), 3);
    assert!(script.strangers()[0].contains("of another ensemble"), "{:?}", script.strangers());
}

#[test]
fn what_was_before_the_console_is_no_news() {
    let mut script = Script::attached(&[1, 2, 3], LOOKS).serving();
    let texts = |script: &Script| script.state.events.iter().map(|event| event.text.clone()).collect::<Vec<_>>();
    assert!(texts(&script).iter().all(|text| !text.contains("LEADING") && !text.contains("FOLLOWING")));
    assert_eq!(script.state.marks.iter().len(), 0);
    // What changes from then on is.
    script.after(Duration::from_secs(1));
    let next = Status { epoch: Epoch(8), ..status(3, 3) };
    script.tell(Msg::Status { node: 2, status: Box::new(next), round_trip: Duration::ZERO });
    assert!(texts(&script).iter().any(|text| text == "LEADING epoch 8"), "{:?}", texts(&script));
    assert_eq!(script.state.marks.iter().len(), 1);
}

#[test]
fn hosts_that_do_not_answer_are_labelled_and_the_others_serve() {
    let mut script = Script::attached(&[1, 2, 3], LOOKS);
    for line in [0, 1] {
        script.tell(Msg::Silent { node: line, reason: "connection refused".into() });
    }
    script.says(2, 3, 3);
    let shown = text(&script.buffer(&ASCII, 160, 45));
    assert!(shown.contains("no answer: connection refused") && shown.contains("read-only"), "{shown}");
    assert_eq!(judge(&script.state, script.now).word, Word::Unknown, "two that are not heard may serve");
    insta::assert_snapshot!(script.screens(&ASCII, &SIZES));
}

#[test]
fn the_timeline_of_an_attached_console_has_epochs_and_elections() {
    let mut script = Script::attached(&[1, 2, 3], LOOKS).serving();
    let timeline = |script: &Script| {
        let text = text(&script.buffer(&ASCII, 160, 45));
        text.split("8 Timeline").nth(1).unwrap().to_owned()
    };
    assert_eq!(script.after(Duration::from_secs(3)).state.marks.iter().len(), 0, "nothing happened");
    script.tell(Msg::Silent { node: 2, reason: "connection reset".into() });
    assert!(timeline(&script).contains(".777E>"), "{}", timeline(&script));
    script.after(Duration::from_secs(5));
    for node in [1, 2] {
        let leads = sample::status(node, 2, Zxid::new(Epoch(8), 1));
        let status = Box::new(Status { address: address(node), ensemble: status(node, 3).ensemble, ..leads });
        script.tell(Msg::Status { node: usize::from(node) - 1, status, round_trip: Duration::ZERO });
    }
    assert_eq!(script.state.marks.epoch_at(script.now), Some(Epoch(8)));
}

#[test]
fn an_attached_console_changes_nothing_by_default_and_says_why() {
    for permission in [LOOKS, Permission::READ_ONLY] {
        let mut script = Script::attached(&[1, 2, 3], LOOKS).serving();
        script.state.permission = permission;
        for action in ACTIONS.iter().filter(|action| matches!(action.class, Class::Fault | Class::Data)) {
            let reason = enabled(action.id, &script.state).unwrap_err();
            assert!(reason.contains("read-only") || reason.contains("did not start"), "{:?}: {reason}", action.id);
        }
        for pane in Pane::ALL {
            for letter in 'A'..='Z' {
                script.state.focus_on(pane);
                let acts: Vec<Effect> = script.keys(&letter.to_string()).into_iter().filter(changes).collect();
                assert_eq!(acts, [], "{letter} in {pane:?}");
                assert_eq!(script.state.overlay, None, "{letter} in {pane:?}");
            }
        }
        for line in ["kill n1", "write /a x", "cut n1", "slow n1 80ms", "heal", "pause n2", "revive n1", "undo"] {
            let acts: Vec<Effect> = script.tell(Msg::Line(line.into())).into_iter().filter(changes).collect();
            assert_eq!(acts, [], "{line}");
            let toast = script.state.toast.take().unwrap().text;
            assert!(toast.contains("read-only") || toast.contains("did not start"), "{line}: {toast}");
        }
    }
}

fn changes(effect: &Effect) -> bool {
    match effect {
        Effect::Supervise(_) | Effect::Write { .. } | Effect::Break(_) => true,
        Effect::Faults { faults, .. } => !faults.is_empty(),
        _ => false,
    }
}

#[test]
fn what_is_allowed_elsewhere_is_asked_first_and_only_one_key_says_yes() {
    let mut script = Script::attached(&[1, 2, 3], ACTS).serving();
    let ask = |script: &mut Script| {
        script.keys(":write n2 /goals/7 x");
        assert_eq!(script.key(Code::Enter), []);
        let Some(Overlay::Question(question)) = &script.state.overlay else { panic!("{:?}", script.state.overlay) };
        assert!(question.words.concat().contains("/goals/7"), "{question:?}");
        assert!(question.words.concat().contains("n2 at 10.0.0.2:8080"), "{question:?}");
    };
    ask(&mut script);
    insta::assert_snapshot!(script.screens(&UNICODE, &SIZES));
    // A key that is still held down says nothing, not even yes.
    for code in [Code::Enter, Code::Char('y'), Code::Char('W'), Code::Char('n')] {
        assert_eq!(script.key(code), []);
        assert!(script.state.overlay.is_some(), "{code:?}");
    }
    for code in [Code::Enter, Code::Esc, Code::Char('n')] {
        script.after(SETTLE_TIME);
        assert_eq!(script.key(code), []);
        assert_eq!(script.state.overlay, None, "{code:?}");
        ask(&mut script);
    }
    script.after(SETTLE_TIME);
    for code in [Code::Char('W'), Code::Char('K'), Code::Char('Y'), Code::Tab] {
        assert_eq!(script.key(code), []);
        assert!(script.state.overlay.is_some(), "{code:?}");
    }
    assert_eq!(script.tell(Msg::Click(Pane::Nodes, Some(1))), []);
    assert_eq!(script.tell(Msg::Paste("y".into())), []);
    let effects = script.keys("y");
    let is_write = matches!(&effects[..], [Effect::Write(WriteOrder { node: 1, path, .. })] if path == "/goals/7");
    assert!(is_write && script.state.overlay.is_none(), "{effects:?}");
}

#[test]
fn a_fault_elsewhere_is_asked_first_and_so_is_its_end() {
    let mut script = Script::attached(&[1, 2, 3], ACTS).serving();
    for keys in ["C", "U", "C", "H"] {
        script.after(Duration::from_secs(1));
        script.keys(keys);
        let Some(Overlay::Question(question)) = &script.state.overlay else {
            panic!("{keys}: {:?}", script.state.toast)
        };
        assert!(keys != "C" || question.words.concat().contains("cut n1|n2,n3 for 30 s"), "{question:?}");
        let before = script.state.faults.active().len();
        script.after(SETTLE_TIME);
        script.keys("y");
        assert_ne!(script.state.faults.active().len(), before, "{keys}");
    }
    // Processes are nobody's business here, whatever is allowed.
    for keys in ["K", "T", "P", "R"] {
        assert_eq!(script.keys(keys), []);
        assert!(script.state.toast.as_ref().is_some_and(|toast| toast.text.contains("did not start")), "{keys}");
    }
}

#[test]
fn the_form_of_a_write_elsewhere_is_kept_when_the_answer_is_no() {
    let mut script = Script::attached(&[1, 2, 3], ACTS).serving();
    script.keys("W");
    script.keys("goals/7");
    script.key(Code::Enter);
    script.keys("58 Son");
    assert_eq!(script.key(Code::Enter), []);
    script.after(SETTLE_TIME);
    script.keys("n");
    let Some(Overlay::Write(form)) = &script.state.overlay else { panic!("{:?}", script.state.overlay) };
    assert_eq!((form.path.text(), form.value.text(), form.is_sent), ("/goals/7", "58 Son", false));
    script.key(Code::Enter);
    script.after(SETTLE_TIME);
    let effects = script.keys("y");
    assert!(matches!(&effects[..], [Effect::Write(WriteOrder { node: 0, .. })]), "{effects:?}");
    assert!(matches!(&script.state.overlay, Some(Overlay::Write(form)) if form.is_sent));
}

#[test]
fn no_size_breaks_a_warning_frame_or_a_question() {
    let mut script = Script::attached(&[1, 2, 3], ACTS).serving();
    let plain = Script { state: script.state.clone(), now: script.now };
    script.keys("C");
    for width in (1..=200).step_by(9).chain([18, 20, 34, 36, 64, 66, 100, 102, 140, 142]) {
        for height in (1..=60).step_by(4).chain([2, 3, 9, 11, 16, 18, 28, 30]) {
            for script in [&plain, &script] {
                let shown = text(&script.buffer(&ASCII, width, height));
                assert!(width < 20 || shown.contains("HEALTHY"), "{width}x{height}: {shown}");
            }
            let asked = text(&script.buffer(&ASCII, width, height));
            assert!(width < 36 || height < 11 || asked.contains(" y does it"), "{width}x{height}: {asked}");
        }
    }
}

#[test]
fn keys_of_ones_own_count_for_what_they_do_and_for_what_is_shown() {
    let mut script = Script::attached(&[1, 2, 3], ACTS).serving();
    let wish =
        |id: Id, keys: &[&str]| Wish { id, keys: keys.iter().map(|key| key.parse().unwrap()).collect(), line: 1 };
    let (keymap, refused) = Keymap::new(&[wish(Id::Why, &["F9"]), wish(Id::Mouse, &[]), wish(Id::Cut, &["A"])]);
    assert!(refused.is_empty(), "{refused:?}");
    script.state.keymap = keymap;
    let hints = text(&script.buffer(&ASCII, 160, 45));
    assert!(hints.contains("A cut") && hints.contains("F9 why") && !hints.contains("C cut"), "{hints}");
    script.keys("?why");
    assert!(text(&script.buffer(&ASCII, 160, 45)).contains("F9 "));
    script.key(Code::Esc);
    let mouse = script.state.mouse;
    script.keys("m!C");
    assert_eq!((script.state.mouse, &script.state.overlay), (mouse, &None));
    script.key(Code::Function(9));
    assert!(matches!(script.state.overlay, Some(Overlay::Text { .. })));
}

#[test]
fn the_page_about_the_console() {
    let mut script = Script::attached(&[1, 2, 3], LOOKS).serving();
    script.state.about = About {
        facts: vec![
            ("version".into(), "zw-tui 0.1.0".into()),
            ("settings".into(), "/home/me/.config/zw/tui.toml".into()),
            ("terminal".into(), "xterm-256color, 256 colours, Unicode, background taken as dark, local".into()),
        ],
        size: Some((160, 45)),
        complaints: vec!["/home/me/.config/zw/tui.toml, line 3: there is no setting them; did you mean theme?".into()],
        began: None,
    };
    script.state.theme = Name::Tritanopia;
    let (keymap, _) = Keymap::new(&[Wish { id: Id::Kill, keys: vec![Key::char('A')], line: 1 }]);
    script.state.keymap = keymap;
    script.keys(":info");
    script.key(Code::Enter);
    insta::assert_snapshot!(script.screens(&UNICODE, &[(160, 45), (80, 24), (40, 12)]));
    script.keys("q");
    assert_eq!(script.state.overlay, None);
}

#[test]
fn a_theme_is_taken_by_its_name_and_fills_the_screen() {
    let mut script = Script::attached(&[1, 2, 3], LOOKS).serving();
    script.keys(":theme light");
    assert_eq!(script.key(Code::Enter), [Effect::SetTheme(Name::Light)]);
    assert_eq!(script.state.theme, Name::Light);
    script.keys("?");
    for depth in [Depth::Sixteen, Depth::Indexed, Depth::True] {
        for name in Name::ALL {
            let theme = Theme { name, depth, ..UNICODE };
            let buffer = script.buffer(&theme, 160, 45);
            let has_own = !matches!(name, Name::Auto | Name::Mono);
            let bare = buffer.content().iter().filter(|cell| cell.bg == Color::Reset).count();
            assert_eq!(bare == 0, has_own, "{name} {depth:?}: {bare} cells without the background");
        }
    }
}

#[test]
fn lines_without_a_screen_are_commands_and_answers() {
    let mut script = Script::attached(&[1, 2, 3], ACTS).serving();
    assert_eq!(script.tell(Msg::Line("motion off".into())), []);
    script.tell(Msg::Line(":write n2 /a x".into()));
    assert!(matches!(script.state.overlay, Some(Overlay::Question(_))));
    assert_eq!(script.tell(Msg::Line("write n2 /b y".into())), [], "it is no answer");
    assert_eq!(script.state.overlay, None);
    script.tell(Msg::Line("write n2 /a x".into()));
    let effects = script.tell(Msg::Line(" yes ".into()));
    assert!(matches!(&effects[..], [Effect::Write(WriteOrder { node: 1, .. })]), "{effects:?}");
    script.tell(Msg::Line("kil n1".into()));
    assert!(script.state.toast.as_ref().is_some_and(|toast| toast.text.contains("did you mean kill")));
}
