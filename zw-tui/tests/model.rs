//! The model under any messages in any order: it never panics, never grows without bound, and keeps its promises.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod sample;
mod strategies;

use proptest::prelude::*;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use std::time::Duration;
use zw_core::ids::{Epoch, NodeId, Zxid};
use zw_core::wire::admin::{NodeRole, Status};
use zw_tui::key::{Code, Key};
use zw_tui::member::Member;
use zw_tui::model::events::EVENTS_MAX;
use zw_tui::model::message::{Effect, Msg, WriteFailure, Written};
use zw_tui::model::overlay::Overlay;
use zw_tui::model::select::node_line;
use zw_tui::model::session::Session;
use zw_tui::model::tape::Tape;
use zw_tui::model::update::update;
use zw_tui::model::verdict::{Word, judge};
use zw_tui::model::write::WriteOrder;
use zw_tui::model::{Desired, Pane, State};
use zw_tui::pane::draw;
use zw_tui::supervisor::{Asked, Change, Exit, Order, Report};
use zw_tui::theme::Theme;

use strategies::{key, message, status};

const NODES: usize = 5;

fn state() -> State {
    let addresses = |base: u16, count: u16| (0..count).map(|i| format!("127.0.0.1:{}", base + i)).collect();
    State::new(addresses(8080, 5), addresses(9090, 2))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    /// No order of messages panics, breaks a bound, or leaves the screen without its verdict.
    #[test]
    fn any_messages_in_any_order(messages in prop::collection::vec((0..700u64, message()), 0..120)) {
        let mut state = state();
        let mut now = Duration::ZERO;
        for (millis, message) in messages {
            now += Duration::from_millis(millis);
            let before = state.version;
            for effect in update(&mut state, now, message) {
                if let Effect::Children { node, .. } | Effect::Value { node, .. } | Effect::Write(WriteOrder { node, .. }) = effect {
                    prop_assert!(node < NODES);
                }
            }
            prop_assert!(state.version >= before);
            prop_assert!(state.node < NODES && state.broker < 2);
            prop_assert!(state.tree.cursor() < state.tree.count());
            prop_assert!(state.events.iter().len() <= EVENTS_MAX && state.undo.len() <= 32);
        }
        for (width, height) in [(160, 45), (80, 24), (40, 12), (20, 5), (1, 1)] {
            let mut buffer = Buffer::empty(Rect::new(0, 0, width, height));
            draw(&state, &Theme::basic(false, false), now, &mut buffer);
            let row = if height < 6 { 0 } else { usize::from(width) };
            let text: String = buffer.content()[row..].iter().map(|cell| cell.symbol()).collect();
            let word = if state.leaving.is_some() && height > 5 { "LEAVING" } else { judge(&state, now).word.text() };
            prop_assert!(width < 20 || text.contains(word), "{}x{} lacks {}", width, height, word);
        }
    }

    /// What a person types by accident in lower case, with digits and marks, changes nothing in the ensemble.
    #[test]
    fn lower_case_never_acts(text in "[a-z0-9!?/ \\[\\]{}<>.,=+_-]{0,60}", pane in 1..9usize) {
        let mut state = state();
        let members: Vec<Member> = state.members().collect();
        for (member, pid) in members.into_iter().zip(100..) {
            let change = Change::Spawned { pid };
            update(&mut state, Duration::ZERO, Msg::Supervisor(Report { member: Some(member), change }));
        }
        state.focus_on(Pane::ALL[pane - 1]);
        // q leaves, which is what it is for; in the help one can type it.
        for key in text.chars().filter(|key| *key != 'q') {
            for effect in update(&mut state, Duration::ZERO, Msg::Key(Key::char(key))) {
                prop_assert!(!matches!(effect, Effect::Supervise(_) | Effect::Write(_) | Effect::Delete { .. } | Effect::Faults { .. }), "{} did {:?}", key, effect);
            }
        }
    }

    /// The same answer again is nothing new: the screen is not painted for it.
    #[test]
    fn the_same_status_again_changes_nothing(status in status()) {
        let mut state = state();
        let change = Change::Spawned { pid: 7 };
        update(&mut state, Duration::ZERO, Msg::Supervisor(Report { member: Some(Member::Node(1)), change }));
        let message = || Msg::Status { node: 0, status: Box::new(status.clone()), round_trip: Duration::ZERO };
        let mut now = Duration::ZERO;
        for _ in 0..3 {
            now += Duration::from_millis(250);
            update(&mut state, now, message());
        }
        let version = state.version;
        for _ in 0..20 {
            now += Duration::from_millis(250);
            update(&mut state, now, message());
        }
        prop_assert_eq!(state.version, version);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// The past is what it was: a tape gives the state at every time between two messages, byte for byte.
    #[test]
    fn the_past_is_exactly_what_was(messages in prop::collection::vec((0..700u64, message()), 1..120)) {
        let (mut live, mut now) = (state(), Duration::ZERO);
        // Many segments, and none of them goes.
        let mut tape = Tape::with_limits(usize::MAX, 0);
        let mut states = Vec::new();
        for (millis, message) in messages {
            now += Duration::from_millis(millis);
            tape.record(&live, now, &message);
            update(&mut live, now, message);
            states.retain(|(at, _): &(Duration, State)| *at != now);
            states.push((now, live.clone()));
        }
        let (read_back, left) = Tape::from_bytes(&tape.to_bytes()).unwrap();
        prop_assert_eq!(left, 0);
        let gaps = states.windows(2).map(|pair| (pair[1].0 - pair[0].0) / 2);
        for ((at, was), gap) in states.iter().zip(gaps.chain([Duration::from_secs(9)])).step_by(7) {
            prop_assert_eq!(facts(&tape.state_at(*at).unwrap()), facts(was));
            prop_assert_eq!(facts(&read_back.state_at(*at + gap).unwrap()), facts(was));
        }
    }

    /// A tape that is full forgets its beginning, and nothing else.
    #[test]
    fn a_full_tape_keeps_its_limit_and_its_end(messages in prop::collection::vec(message(), 1..200)) {
        let (mut live, mut now) = (state(), Duration::ZERO);
        let mut tape = Tape::with_limits(64_000, 1_000);
        for (index, message) in messages.into_iter().enumerate() {
            now += Duration::from_millis(100);
            tape.record(&live, now, &message);
            update(&mut live, now, message);
            // What is being written is never cut off.
            prop_assert!(tape.bytes() <= 64_000 || tape.oldest().unwrap() + Duration::from_secs(10) >= now);
            if index % 20 == 0 {
                prop_assert_eq!(facts(&tape.state_at(now).unwrap()), facts(&live));
            }
        }
        let oldest = tape.oldest().unwrap();
        prop_assert!(tape.state_at(oldest).is_ok() && tape.state_at(Duration::ZERO).is_ok());
    }

    /// Whatever is pressed while the past is shown: nothing is done to the ensemble, and the present does not change but
    /// by what happens in it.
    #[test]
    fn nothing_acts_in_the_past(keys in prop::collection::vec(key(), 0..60), freezes in any::<bool>()) {
        let mut session = Session::new(started());
        session.update(SECOND, Msg::Key(Key::char('j')));
        session.update(SECOND * 60, Msg::Note("later".into()));
        session.update(SECOND * 61, Msg::Key(Key::char(if freezes { 'p' } else { '8' })));
        session.update(SECOND * 61, Msg::Key(Key::plain(Code::Left)));
        prop_assert!(session.shown().time.is_past());
        let live = facts(session.live());
        for key in keys {
            let effects = session.update(SECOND * 62, Msg::Key(key));
            if !session.shown().time.is_past() {
                break;
            }
            prop_assert_eq!(&facts(session.live()), &live);
            let is_harmless = |effect: &Effect| {
                matches!(effect, Effect::SetMouse(_) | Effect::SetTheme(_) | Effect::Dump | Effect::Copy { .. } | Effect::Repaint | Effect::Suspend | Effect::Tape(_) | Effect::Break(_))
            };
            prop_assert!(effects.iter().all(is_harmless), "{:?}", effects);
            for member in session.shown().members() {
                let desired = session.shown().process(member).map(|process| process.desired);
                prop_assert_eq!(desired, Some(Desired::Up));
            }
        }
    }
}

/// All of a state, to compare.
fn facts(state: &State) -> String {
    format!("{state:?}")
}

fn tell(state: &mut State, now: Duration, node: usize, role: NodeRole, leader: u16) {
    let leader = if role == NodeRole::Looking { 0 } else { leader };
    let ordinary = sample::status(u16::try_from(node).unwrap() + 1, leader, Zxid::ZERO);
    let status = Status { role, epoch: Epoch(2), ..ordinary };
    update(state, now, Msg::Status { node, status: Box::new(status), round_trip: Duration::ZERO });
}

fn type_keys(state: &mut State, keys: &str) {
    for character in keys.chars() {
        update(state, SECOND, Msg::Key(Key::char(character)));
    }
}

fn started() -> State {
    let mut state = state();
    let members: Vec<Member> = state.members().collect();
    for (member, pid) in members.into_iter().zip(100..) {
        for change in [Change::Spawned { pid }, Change::Listening] {
            update(&mut state, Duration::ZERO, Msg::Supervisor(Report { member: Some(member), change }));
        }
    }
    state
}

fn serving(state: &mut State, now: Duration, followers: &[usize]) {
    tell(state, now, 4, NodeRole::Leader, 5);
    for node in followers {
        tell(state, now, *node, NodeRole::Follower, 5);
    }
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn the_verdict_follows_what_is_seen() {
    let mut state = started();
    assert_eq!(judge(&self::state(), SECOND).word, Word::Unknown, "nobody was started yet: nobody is missing");
    assert_eq!(judge(&state, SECOND).word, Word::Unknown, "nobody has answered");
    serving(&mut state, SECOND, &[0, 1, 2, 3]);
    let verdict = judge(&state, SECOND);
    assert_eq!((verdict.word, verdict.serving, verdict.leader), (Word::Healthy, 5, Some(NodeId(5))));

    // Paused from outside: its process lives, it only stops answering.
    let later = SECOND * 4;
    serving(&mut state, later, &[0, 1, 2]);
    let verdict = judge(&state, later);
    assert_eq!((verdict.word, verdict.serving), (Word::Degraded, 4));
    assert!(verdict.reasons[0].contains("n4 does not answer"), "{:?}", verdict.reasons);

    // All lost from sight is not the same as down.
    let verdict = judge(&state, later + SECOND * 3);
    assert_eq!((verdict.word, verdict.leader), (Word::Unknown, None));
}

#[test]
fn a_killed_leader_means_an_election_and_three_dead_nodes_no_quorum() {
    let mut state = started();
    serving(&mut state, SECOND, &[0, 1, 2, 3]);
    let dead = |state: &mut State, node| {
        let change = Change::Exited { exit: Exit::Signal(9), asked: Asked::Kill, words: None };
        update(state, SECOND, Msg::Supervisor(Report { member: Some(Member::Node(node)), change }));
    };
    dead(&mut state, 5);
    assert_eq!(judge(&state, SECOND).word, Word::Electing);
    for node in 0..4 {
        tell(&mut state, SECOND, node, NodeRole::Looking, 0);
    }
    assert_eq!(judge(&state, SECOND).word, Word::Electing);
    dead(&mut state, 4);
    dead(&mut state, 3);
    let verdict = judge(&state, SECOND);
    assert_eq!(verdict.word, Word::NoQuorum);
    assert!(verdict.reasons.iter().any(|reason| reason.contains("n5 is down (exit 137)")), "{:?}", verdict.reasons);
}

fn ended(state: &mut State, member: Member, exit: Exit, asked: Asked, words: Option<&str>) {
    let change = Change::Exited { exit, asked, words: words.map(str::to_owned) };
    update(state, SECOND, Msg::Supervisor(Report { member: Some(member), change }));
}

#[test]
fn a_node_that_failed_speaks_for_itself_and_no_revival_is_proposed() {
    let mut state = started();
    serving(&mut state, SECOND, &[0, 1, 2, 3]);
    let words = "/data/n1/identity is damaged: move the directory away";
    ended(&mut state, Member::Node(1), Exit::Code(1), Asked::Nothing, Some(words));
    ended(&mut state, Member::Node(2), Exit::Signal(9), Asked::Nothing, None);
    ended(&mut state, Member::Broker(1), Exit::Code(3), Asked::Nothing, None);
    let verdict = judge(&state, SECOND);
    let own = format!("n1 failed (exit 1): {words}");
    assert!(verdict.reasons.contains(&own), "{:?}", verdict.reasons);
    assert!(verdict.reasons.contains(&"n2 is down (exit 137): R revives it".to_owned()), "somebody else's doing");
    let silent = "b1 failed (exit 3) and said nothing".to_owned();
    assert!(verdict.reasons.contains(&silent), "{:?}", verdict.reasons);
    let line = node_line(&state, &state.nodes[0], &verdict, SECOND);
    assert_eq!((line.face.word(), line.state.as_str()), ("FAILED", "identity is damaged: move the directory away"));
    assert_eq!(node_line(&state, &state.nodes[1], &verdict, SECOND).face.word(), "DOWN");
    assert!(state.events.iter().any(|event| event.text == format!("said last: {words}")));

    // When only failed nodes are missing, the quorum does not come back with R either.
    let mut state = started();
    for node in 1..=3 {
        ended(&mut state, Member::Node(node), Exit::Code(1), Asked::Nothing, Some("the log is damaged"));
    }
    let verdict = judge(&state, SECOND);
    assert_eq!(verdict.word, Word::NoQuorum);
    assert!(verdict.reasons.iter().all(|reason| !reason.contains("R revives")), "{:?}", verdict.reasons);

    // A new life begins without the old one's complaint.
    let change = Change::Spawned { pid: 7 };
    update(&mut state, SECOND, Msg::Supervisor(Report { member: Some(Member::Node(1)), change }));
    assert_eq!(state.nodes[0].process.failure(), None);
}

#[test]
fn an_act_on_several_answers_for_each() {
    let mut state = started();
    ended(&mut state, Member::Node(2), Exit::Signal(9), Asked::Kill, None);
    let type_line = |state: &mut State, line: &str| {
        line.chars().for_each(|key| {
            update(state, SECOND, Msg::Key(Key::char(key)));
        });
        update(state, SECOND, Msg::Key(Key::plain(Code::Enter)))
    };
    let effects = type_line(&mut state, ":kill n1 n2 b1");
    let kill = |member| Effect::Supervise(Order::Kill(member));
    assert_eq!(effects, [kill(Member::Node(1)), kill(Member::Broker(1))]);
    let toast = state.toast.as_ref().unwrap();
    assert!(toast.text.contains("kill n1 b1") && toast.text.ends_with("n2 does not run"), "{}", toast.text);
    assert_eq!(toast.until, None, "it waits to be read");
}

#[test]
fn a_wrong_command_stays_with_what_is_expected() {
    for (line, help) in
        [("write", "write [n2] /path data"), ("write goals 3", "write /goals 3"), ("stop x", "n1 to n5")]
    {
        let mut state = started();
        for key in format!(":{line}").chars() {
            update(&mut state, SECOND, Msg::Key(Key::char(key)));
        }
        assert_eq!(update(&mut state, SECOND, Msg::Key(Key::plain(Code::Enter))), []);
        match &state.overlay {
            Some(Overlay::Command { input, error: Some(error), .. }) => {
                assert!(input.text() == line && error.contains(help), "{line}: {error}");
            }
            other => panic!("{line}: {other:?}"),
        }
    }
}

#[test]
fn q_closes_what_lies_on_top_before_it_leaves() {
    for key in ['?', '!'] {
        let mut state = started();
        update(&mut state, SECOND, Msg::Key(Key::char(key)));
        assert_eq!(update(&mut state, SECOND, Msg::Key(Key::char('q'))), []);
        assert_eq!((&state.overlay, state.leaving), (&None, None), "{key}");
        update(&mut state, SECOND, Msg::Key(Key::char('q')));
        assert!(state.leaving.is_some());
    }
    // Where text is typed it is a letter.
    for key in [':', 'W'] {
        let mut state = started();
        update(&mut state, SECOND, Msg::Key(Key::char(key)));
        update(&mut state, SECOND, Msg::Key(Key::char('q')));
        assert!(state.overlay.is_some() && state.leaving.is_none(), "{key}");
    }
}

#[test]
fn acts_work_over_a_text_and_only_its_own_keys_close_it() {
    let mut state = started();
    serving(&mut state, SECOND, &[0, 1, 2, 3]);
    for open in ["d", "o", "!"] {
        type_keys(&mut state, open);
        type_keys(&mut state, "zj");
        assert!(state.overlay.is_some(), "{open} is closed by what means nothing");
        type_keys(&mut state, open);
        assert!(state.overlay.is_none() && state.leaving.is_none(), "{open} closes what it opened");
        type_keys(&mut state, open);
        type_keys(&mut state, "P");
        assert!(state.overlay.is_some(), "{open}");
        assert_eq!(state.nodes[0].process.desired, Desired::Paused, "{open}");
        type_keys(&mut state, "P:");
        assert!(matches!(state.overlay, Some(Overlay::Command { .. })), "{open}");
        update(&mut state, SECOND, Msg::Key(Key::plain(Code::Esc)));
        type_keys(&mut state, open);
        type_keys(&mut state, "q");
        assert!(state.overlay.is_none() && state.leaving.is_none(), "{open}");
    }
}

#[test]
fn what_was_known_stays_known_when_all_nodes_are_down() {
    let mut state = state();
    assert_eq!((judge(&state, SECOND).epoch, judge(&state, SECOND).committed), (None, None));
    state = started();
    serving(&mut state, SECOND, &[0, 1, 2, 3]);
    for node in 1..=5 {
        ended(&mut state, Member::Node(node), Exit::Signal(9), Asked::Kill, None);
    }
    let verdict = judge(&state, SECOND * 60);
    assert_eq!((verdict.epoch, verdict.committed), (Some(Epoch(2)), Some(Zxid::ZERO)));
    let advice = "too few nodes for a quorum: writes are refused after 3 s; R revives or resumes nodes";
    assert_eq!(verdict.reasons[0], advice);
}

#[test]
fn a_write_through_a_node_that_is_down_says_so_and_who_would_take_it() {
    let mut state = started();
    serving(&mut state, SECOND, &[1, 2, 3]);
    ended(&mut state, Member::Node(1), Exit::Signal(9), Asked::Kill, None);
    let type_keys = |state: &mut State, keys: &str| {
        keys.chars().for_each(|key| {
            update(state, SECOND, Msg::Key(Key::char(key)));
        });
        update(state, SECOND, Msg::Key(Key::plain(Code::Enter)))
    };
    assert_eq!(type_keys(&mut state, ":write /x 7"), []);
    match &state.overlay {
        Some(Overlay::Command { error: Some(error), .. }) => {
            assert_eq!(error, "n1 is down: R revives it, or write through n2: write n2 /x 7");
        }
        other => panic!("{other:?}"),
    }
    update(&mut state, SECOND, Msg::Key(Key::plain(Code::Esc)));
    type_keys(&mut state, "Wx");
    assert_eq!(type_keys(&mut state, "7"), []);
    match &state.overlay {
        Some(Overlay::Write(form)) => {
            assert_eq!(form.error.as_deref(), Some("n1 is down: R revives it, or write through n2"));
            assert!(!form.is_sent);
        }
        other => panic!("{other:?}"),
    }
    update(&mut state, SECOND, Msg::Key(Key::plain(Code::Esc)));
    let effects = type_keys(&mut state, ":write n2 /x 7");
    assert_eq!(effects, [Effect::Write(WriteOrder::put(1, "/x", "7"))]);
}

#[test]
fn the_tree_of_a_revived_node_is_read_again_by_itself() {
    let mut state = started();
    serving(&mut state, SECOND, &[0, 1, 2, 3]);
    let refused = |state: &mut State| {
        let (path, after) = ("/".to_owned(), String::new());
        let result = Err("the server closed the connection".to_owned());
        update(state, SECOND, Msg::Children { node: 0, path: path.clone(), after, result });
        update(state, SECOND, Msg::Value { node: 0, path, result: Err("no answer".into()) });
    };
    refused(&mut state);
    ended(&mut state, Member::Node(1), Exit::Signal(9), Asked::Kill, None);
    let change = Change::Spawned { pid: 7 };
    let effects = update(&mut state, SECOND, Msg::Supervisor(Report { member: Some(Member::Node(1)), change }));
    assert_eq!(effects, [Effect::Redial { node: 0 }]);
    assert_eq!(state.tree.error, None);
    let asked = |state: &mut State| {
        let status = Box::new(state.nodes[1].sight.status.as_deref().unwrap().clone());
        update(state, SECOND, Msg::Status { node: 0, status, round_trip: Duration::ZERO })
    };
    let effects = asked(&mut state);
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Children { node: 0, .. })), "{effects:?}");
    assert_eq!(asked(&mut state), [], "once at a time");
    refused(&mut state);
    let effects = asked(&mut state);
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Children { node: 0, .. })), "{effects:?}");
}

#[test]
fn acts_say_what_they_want_done_and_undo_takes_them_back() {
    let mut state = started();
    let key = |state: &mut State, key: char| update(state, SECOND, Msg::Key(Key::char(key)));
    assert_eq!(key(&mut state, 'P'), [Effect::Supervise(Order::Pause(Member::Node(1)))]);
    assert_eq!(key(&mut state, 'P'), [Effect::Supervise(Order::Resume(Member::Node(1)))]);
    assert_eq!(key(&mut state, 'R'), [], "it runs");
    key(&mut state, 'j');
    assert_eq!(key(&mut state, 'K'), [Effect::Supervise(Order::Kill(Member::Node(2)))]);
    let change = Change::Exited { exit: Exit::Signal(9), asked: Asked::Kill, words: None };
    update(&mut state, SECOND, Msg::Supervisor(Report { member: Some(Member::Node(2)), change }));
    assert_eq!(key(&mut state, 'K'), [], "it is dead already");
    assert_eq!(key(&mut state, 'U'), [Effect::Supervise(Order::Start(Member::Node(2)))]);
    key(&mut state, '2');
    assert_eq!(key(&mut state, 'T'), [Effect::Supervise(Order::Stop(Member::Broker(1)))]);
}

#[test]
fn leaving_is_polite_once_and_then_not() {
    let mut state = started();
    serving(&mut state, SECOND, &[0, 1, 2, 3]);
    let key = |state: &mut State, key: Key| update(state, SECOND, Msg::Key(key));
    key(&mut state, Key::char('W'));
    assert_eq!(key(&mut state, Key::ctrl('c')), [], "what is typed is left first");
    let last = Some(Member::Node(5));
    assert_eq!(key(&mut state, Key::ctrl('c')), [Effect::Supervise(Order::StopAll { last })]);
    assert_eq!(key(&mut state, Key::char('K')), [], "nothing acts any more");
    assert_eq!(key(&mut state, Key::ctrl('c')), [Effect::Supervise(Order::KillAll)]);
}

#[test]
fn a_write_keeps_its_text_until_it_succeeded() {
    let mut state = started();
    let key = |state: &mut State, key: Key| update(state, SECOND, Msg::Key(key));
    key(&mut state, Key::char('W'));
    for character in "/a".chars() {
        key(&mut state, Key::char(character));
    }
    key(&mut state, Key::plain(Code::Enter));
    update(&mut state, SECOND, Msg::Paste("K\nq".into()));
    let effects = key(&mut state, Key::plain(Code::Enter));
    assert_eq!(effects, [Effect::Write(WriteOrder::put(0, "/a", "K\nq"))]);
    assert_eq!(key(&mut state, Key::plain(Code::Enter)), [], "it is sent once");
    let failure = WriteFailure { reason: "no quorum".into(), may_be_done: false, done: 0 };
    update(&mut state, SECOND, Msg::Written { node: 0, path: "/a".into(), result: Err(failure) });
    let again = key(&mut state, Key::plain(Code::Enter));
    assert_eq!(again, effects, "the text is still there");
    let (last, took) = ("/a".to_owned(), SECOND);
    let written = Written { created: true, version: 0, zxid: Zxid::ZERO, took, last, count: 1 };
    update(&mut state, SECOND, Msg::Written { node: 0, path: "/a".into(), result: Ok(written) });
    assert_eq!(state.overlay, None);
}
