//! Time: the display frozen, the past shown as it was, the timeline, recordings.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod sample;

use bytes::Bytes;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use std::time::Duration;
use zw_core::ids::{Epoch, NodeId, Zxid};
use zw_core::tree::command::Stat;
use zw_core::wire::admin::{PeerStatus, Status};
use zw_core::wire::client::ChildrenPage;
use zw_tui::key::{Code, Key};
use zw_tui::layout::{arrange, hit};
use zw_tui::member::Member;
use zw_tui::model::message::{Effect, Msg, Recording, TapeOrder};
use zw_tui::model::session::Session;
use zw_tui::model::tape::{TAPE_BYTES_MAX, Tape};
use zw_tui::model::{Pane, State};
use zw_tui::pane::draw;
use zw_tui::supervisor::{Asked, Change, Exit, Order, Report};
use zw_tui::theme::Theme;

const ASCII: Theme = Theme::basic(false, true);
const UNICODE: Theme = Theme::basic(true, false);
const SIZES: [(u16, u16); 4] = [(160, 45), (80, 24), (40, 12), (20, 5)];
const SECOND: Duration = Duration::from_secs(1);

/// A console over time in a script.
struct Script {
    session: Session,
    now: Duration,
    applied: u64,
}

impl Script {
    fn new() -> Script {
        let addresses = |base: u16, count: u16| (0..count).map(|i| format!("127.0.0.1:{}", base + i)).collect();
        let session = Session::new(State::new(addresses(8080, 5), addresses(9090, 2)));
        Script { session, now: Duration::ZERO, applied: 1_000 }
    }

    fn tell(&mut self, message: Msg) -> Vec<Effect> {
        self.session.update(self.now, message)
    }

    fn change(&mut self, member: Member, change: Change) {
        self.tell(Msg::Supervisor(Report { member: Some(member), change }));
    }

    fn keys(&mut self, keys: &str) -> Vec<Effect> {
        keys.chars().flat_map(|key| self.tell(Msg::Key(Key::char(key)))).collect()
    }

    fn key(&mut self, code: Code) -> Vec<Effect> {
        self.tell(Msg::Key(Key::plain(code)))
    }

    fn command(&mut self, line: &str) -> Vec<Effect> {
        self.keys(":");
        self.keys(line);
        self.key(Code::Enter)
    }

    /// Statuses every 250 ms for so many seconds, of the nodes that run; `leader` leads.
    fn seconds(&mut self, seconds: u32, leader: u16, epoch: u32) {
        for _ in 0..seconds * 4 {
            self.now += SECOND / 4;
            self.applied += 30;
            for node in 0..5_u16 {
                let runs = self.session.live().nodes[usize::from(node)].process.can_work();
                if runs {
                    let status = Box::new(status(node + 1, leader, epoch, self.applied, self.now));
                    self.tell(Msg::Status { node: usize::from(node), status, round_trip: Duration::from_micros(412) });
                }
            }
        }
    }

    fn start(&mut self) {
        let members: Vec<Member> = self.session.live().members().collect();
        for (member, pid) in members.into_iter().zip(41_201..) {
            self.change(member, Change::Spawned { pid });
            self.change(member, Change::Listening);
        }
    }

    /// Twelve seconds: n5 leads, n2 is paused and goes on, n5 is killed, n4 leads, n5 comes back.
    fn story() -> Script {
        let mut script = Script::new();
        script.start();
        script.seconds(3, 5, 1);
        script.keys("jP");
        let stat = Stat { num_children: 2, ..Stat::default() };
        let names = vec!["brokers".to_owned(), "goals".to_owned()];
        let page = ChildrenPage { stats: vec![Stat::default(); 2], names, stat, more: false };
        script.tell(Msg::Children { node: 1, path: "/".into(), after: String::new(), result: Ok(page) });
        script.tell(Msg::Value { node: 1, path: "/".into(), result: Ok((Bytes::from_static(b"top"), stat)) });
        script.seconds(2, 5, 1);
        script.keys("P");
        script.seconds(1, 5, 1);
        script.command("kill n5");
        let killed = Change::Exited { exit: Exit::Signal(9), asked: Asked::Kill, words: None };
        script.change(Member::Node(5), killed);
        script.seconds(2, 4, 2);
        script.command("revive n5");
        script.change(Member::Node(5), Change::Spawned { pid: 50_000 });
        script.change(Member::Node(5), Change::Listening);
        script.seconds(4, 4, 2);
        script
    }

    fn text(&self, width: u16, height: u16) -> String {
        let mut buffer = Buffer::empty(Rect::new(0, 0, width, height));
        draw(self.session.shown(), &ASCII, self.session.shown_at(self.now), &mut buffer);
        let rows = buffer.content().chunks(usize::from(width));
        rows.map(|row| row.iter().map(|cell| cell.symbol()).collect::<String>() + "\n").collect()
    }

    /// What the panes show of the ensemble: the screen without the rows about time.
    fn facts(&self) -> Vec<String> {
        let text = self.text(160, 45);
        let rows: Vec<&str> = text.lines().collect();
        // A recording invites nobody to write.
        rows[1..39].iter().filter(|row| !row.contains("No write was seen")).map(|row| (*row).to_owned()).collect()
    }

    fn screens(&self, theme: &Theme) -> String {
        let mut text = String::new();
        for (width, height) in SIZES {
            let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
            let at = self.session.shown_at(self.now);
            terminal.draw(|frame| draw(self.session.shown(), theme, at, frame.buffer_mut())).unwrap();
            text.push_str(&format!("{width}x{height}\n{}\n", terminal.backend()));
        }
        text
    }
}

fn status(node: u16, leader: u16, epoch: u32, applied: u64, now: Duration) -> Status {
    let zxid = Zxid::new(Epoch(epoch), applied);
    let millis = u64::try_from(now.as_millis()).unwrap();
    let peer = |other: u16| PeerStatus {
        node: NodeId(other),
        connected: true,
        heard_ms_ago: (millis * 7 + u64::from(other) * 13) % 100,
        acked_zxid: zxid,
        problem: String::new(),
    };
    Status {
        ensemble: "127.0.0.1:8080,127.0.0.1:8081,127.0.0.1:8082,127.0.0.1:8083,127.0.0.1:8084".into(),
        last_zxid: Zxid::new(Epoch(epoch), applied + 3),
        peers: (1..=5).filter(|other| *other != node).map(peer).collect(),
        znodes: 12 + applied / 100,
        queue: applied % 5,
        writes: applied * 200,
        reads: applied * 300,
        fsync_p99_us: 700 + applied % 90,
        write_p99_us: 1_900 + applied % 190,
        rss_bytes: (18 << 20) + applied % 64 * 4_096,
        uptime_ms: millis,
        digest: applied.wrapping_mul(0x9e37_79b9_7f4a_7c15),
        epoch_ends: Vec::new(),
        ..sample::status(node, leader, zxid)
    }
}

#[test]
fn every_pane_shows_the_past_as_it_was_and_now_comes_back_without_a_gap() {
    let mut was = Vec::new();
    let mut story = Script::story();
    // What was shown when: told once more, with a look at each second.
    for second in 1..=12 {
        let state = story.session.tape().state_at(SECOND * second).unwrap();
        let mut buffer = Buffer::empty(Rect::new(0, 0, 160, 45));
        draw(&state, &ASCII, SECOND * second, &mut buffer);
        was.push(buffer);
    }
    story.keys("8");
    for second in (1..12).rev() {
        story.key(Code::Left);
        assert_eq!(story.session.shown_at(story.now), SECOND * second);
        let paused = (3..5).contains(&second);
        assert_eq!(story.text(160, 45).contains("PAUSED"), paused, "at {second} s\n{}", story.text(160, 45));
        let down = (6..8).contains(&second);
        assert_eq!(story.text(160, 45).contains("x137"), down, "at {second} s\n{}", story.text(160, 45));
        let state = story.session.shown();
        let mut buffer = Buffer::empty(Rect::new(0, 0, 160, 45));
        draw(state, &ASCII, SECOND * second, &mut buffer);
        // Focus and selection are those of now; the facts are those of then.
        for node in 0..5 {
            let row = |buffer: &Buffer| (2..100).map(|x| buffer[(x, 4 + node)].symbol()).collect::<String>();
            let then = row(&was[second as usize - 1]);
            assert_eq!(row(&buffer).replace('>', " "), then.replace('>', " "), "n{} at {second} s", node + 1);
        }
    }
    // Meanwhile the present goes on, and is all there afterwards.
    let events = story.session.live().events.total();
    story.tell(Msg::Note("meanwhile".into()));
    story.seconds(1, 4, 2);
    assert!(!story.text(160, 45).contains("meanwhile") && story.text(160, 45).contains("PAST"));
    story.keys(".");
    assert!(story.text(160, 45).contains("meanwhile") && !story.text(160, 45).contains("PAST"));
    assert_eq!(story.session.live().events.total(), events + 1);
    assert_eq!(story.session.live().focus(), Pane::Timeline, "the look stays");
}

#[test]
fn a_frozen_display_stands_still_while_all_is_recorded() {
    let mut script = Script::story();
    script.keys("p");
    let (frozen, version) = (script.text(160, 45), script.session.version());
    assert!(frozen.contains("FROZEN 00:12.0") && frozen.contains("0 events since"), "{frozen}");
    assert_eq!(script.session.next_change(script.now), None, "no timer");
    for second in 0..100 {
        script.seconds(1, 4, 2);
        script.tell(Msg::Note(format!("note {second}")));
        assert!(!script.session.is_due(script.now));
    }
    assert_eq!((script.session.version(), script.text(160, 45)), (version, frozen), "nothing to paint");
    // A key is answered, and the count is told.
    script.keys("7");
    let text = script.text(160, 45);
    assert!(text.contains("FROZEN 00:12.0") && text.contains("100 events since") && !text.contains("note 3"), "{text}");
    script.keys("p");
    let text = script.text(160, 45);
    assert!(!text.contains("FROZEN") && text.contains("note 99"), "{text}");
    assert_eq!(script.session.live().focus(), Pane::Events);
}

/// The present's faults end in their time, whatever is looked at.
#[test]
fn a_timed_pause_ends_while_the_display_is_frozen() {
    let mut script = Script::story();
    script.command("pause n2 2s");
    script.keys("p");
    let due = script.session.next_change(script.now).expect("the end of the pause");
    assert_eq!(due, script.now + 2 * SECOND);
    script.now = due;
    assert!(script.session.is_due(script.now));
    let effects = script.tell(Msg::Tick);
    assert!(effects.contains(&Effect::Supervise(Order::Resume(Member::Node(2)))), "{effects:?}");
}

/// One freezes in order to copy, and is told what became of it.
#[test]
fn a_copy_and_an_export_are_answered_in_the_past() {
    let mut script = Script::story();
    script.keys("p1");
    let effects = script.keys("yp");
    assert!(matches!(&effects[..], [Effect::Copy { .. }]), "{effects:?}");
    script.tell(Msg::Copied { what: "the path".into(), result: Ok("to tmux".into()) });
    assert!(script.text(160, 45).contains("copied the path: to tmux"), "{}", script.text(160, 45));
    script.tell(Msg::Exported(Err("x is there already".into())));
    assert!(script.text(160, 45).contains("x is there already"), "{}", script.text(160, 45));
}

#[test]
fn acts_and_reads_are_refused_in_the_past_with_the_reason() {
    let mut script = Script::story();
    for (go, reason) in
        [("p", "the display is frozen; . goes back to now"), ("{", "you look at the past; . goes back to now")]
    {
        script.keys(go);
        for act in ["K", "T", "P", "R", "C", "L", "H", "U", "W", "o"] {
            let effects = script.keys(act);
            assert_eq!(effects, [], "{act}");
            assert!(script.text(160, 45).contains(reason), "{act}\n{}", script.text(160, 45));
        }
        script.tell(Msg::Key(Key::ctrl('r')));
        assert!(script.text(160, 45).contains(reason));
        for line in ["kill n1", "cut n1", "write /a x", "heal", "pause all"] {
            assert_eq!(script.command(line), [], "{line}");
            assert!(script.text(160, 45).contains(reason), "{line}");
            script.key(Code::Esc);
        }
        let text = script.text(160, 45);
        let hints = text.lines().rev().take(2).collect::<String>();
        assert!(hints.contains(". now") && !hints.contains("K kill") && !hints.contains("W write"), "{hints}");
        script.keys(".");
        assert!(!script.session.shown().time.is_past());
    }
}

#[test]
fn marks_lead_through_the_session() {
    let mut script = Script::story();
    let mut seen = Vec::new();
    for _ in 0..10 {
        script.keys("{");
        seen.push(script.session.shown_at(script.now).as_millis());
    }
    // Started again; another epoch; the leader's end; goes on; paused. Before that nothing.
    assert_eq!(seen[..6], [8_000, 6_250, 6_000, 5_000, 3_000, 3_000]);
    assert!(script.text(160, 45).contains("there is no mark before this"));
    script.keys("}");
    assert_eq!(script.session.shown_at(script.now).as_millis(), 5_000);
    script.keys("}}}}");
    assert!(!script.session.shown().time.is_past(), "after the last mark comes now");
    script.keys("}");
    assert!(script.text(160, 45).contains("this is now"));
}

#[test]
fn a_time_is_gone_to_by_its_name() {
    let mut script = Script::story();
    script.command("at 0:04");
    assert_eq!(script.session.shown_at(script.now).as_millis(), 4_999);
    assert!(script.text(160, 45).contains("PAST 00:04.9  (-7s)"), "{}", script.text(160, 45));
    script.command("at -2s");
    assert_eq!(script.session.shown_at(script.now), SECOND * 10);
    script.command("at 1:00:00");
    assert!(script.text(160, 45).contains("1:00:00 since the start is yet to come: it is 00:12.0"));
    script.key(Code::Esc);
    script.command("at now");
    assert!(!script.session.shown().time.is_past());
    script.command("at soon");
    assert!(script.text(160, 45).contains("at 12:41"));
    script.key(Code::Esc);
    // Home and End of the timeline; q and Esc leave the past, not the console.
    script.keys("8");
    script.key(Code::Home);
    assert_eq!(script.session.shown_at(script.now), Duration::ZERO);
    script.key(Code::End);
    assert!(!script.session.shown().time.is_past());
    for code in [Code::Char('q'), Code::Esc] {
        script.keys("{");
        assert_eq!(script.key(code).iter().filter(|effect| matches!(effect, Effect::Supervise(_))).count(), 0);
        assert!(!script.session.shown().time.is_past());
    }
}

#[test]
fn a_click_on_the_timeline_goes_there() {
    let mut script = Script::story();
    let state = script.session.shown();
    let layout = arrange(Rect::new(0, 0, 160, 45), state);
    let place = layout.place(Pane::Timeline).unwrap().area;
    let (pane, item) = hit(&layout, state, script.now, place.x + 2 + 4, place.y + 1).unwrap();
    script.tell(Msg::Click(pane, item));
    assert_eq!(script.session.shown_at(script.now).as_millis(), 4_999);
    assert!(script.text(160, 45).contains("PAUSED"));
}

#[test]
fn texts_go_along_through_time() {
    let mut script = Script::story();
    script.keys("!");
    assert!(script.text(160, 45).contains("All members serve"));
    script.keys("{{{");
    let text = script.text(160, 45);
    assert!(text.contains("Why") && text.contains("n5 is down (exit 137)"), "{text}");
    script.keys(".");
    assert!(script.text(160, 45).contains("All members serve"));
}

#[test]
fn a_recording_replays_to_the_same_screen() {
    let mut script = Script::story();
    let effects = script.command("record on a file");
    let [Effect::Tape(TapeOrder::Begin { file: Some(file), bytes })] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!(file, "a file");
    let mut recording = bytes.clone();
    let collect = |effects: Vec<Effect>, recording: &mut Vec<u8>| {
        for effect in effects {
            if let Effect::Tape(TapeOrder::Append(bytes)) = effect {
                recording.extend(bytes);
            }
        }
    };
    let effects = script.tell(Msg::Recording(Recording::Began("/somewhere/a file".into())));
    collect(effects, &mut recording);
    let effects = script.keys("7jj4");
    collect(effects, &mut recording);
    // Time on the way changes nothing of it.
    let effects = script.keys("pjjj{{3.");
    collect(effects, &mut recording);
    script.now += SECOND * 2;
    let effects = script.tell(Msg::Note("the last".into()));
    collect(effects, &mut recording);
    assert!(script.text(160, 45).contains("rec "), "{}", script.text(160, 45));

    let (tape, left) = Tape::from_bytes(&recording).unwrap();
    assert_eq!(left, 0);
    let mut replay = Script { session: Session::replay(tape).unwrap(), now: Duration::ZERO, applied: 0 };
    let mut same = Script::story();
    same.command("record on a file");
    same.tell(Msg::Recording(Recording::Began("/somewhere/a file".into())));
    same.keys("7jj4pjjj{{3.");
    same.now += SECOND * 2;
    same.tell(Msg::Note("the last".into()));
    assert_eq!(replay.facts(), same.facts());
    assert!(replay.text(160, 45).contains("REPLAY 00:14.0  of 00:14.0"), "{}", replay.text(160, 45));

    // It can be scrubbed, nothing can be done, and q leaves.
    replay.keys("{{{");
    assert!(replay.text(160, 45).contains("x137"), "{}", replay.text(160, 45));
    assert_eq!(replay.keys("K"), []);
    assert!(replay.text(160, 45).contains("this is a recording: nothing runs"));
    replay.keys(".");
    assert_eq!(replay.facts()[..30], same.facts()[..30]);
    replay.keys("q");
    assert_eq!(replay.session.live().stopped, Some(0));
}

/// Whatever is told while a recording is looked at, it stays what it is.
#[test]
fn a_replay_keeps_its_length() {
    let script = Script::story();
    let (tape, _) = Tape::from_bytes(&script.session.tape().to_bytes()).unwrap();
    let newest = tape.newest();
    let mut session = Session::replay(tape).unwrap();
    for message in [Msg::Key(Key::plain(Code::Esc)), Msg::Tick, Msg::Note("n".into()), Msg::Key(Key::char('.'))] {
        session.update(2 * SECOND, message);
    }
    assert_eq!((session.shown_at(3 * SECOND), session.tape().newest()), (newest, newest));
}

#[test]
fn a_recording_begins_and_ends_once() {
    let mut script = Script::story();
    assert_eq!(script.command("record off"), []);
    assert!(
        script.text(160, 45).contains("nothing is recorded; record on writes the last 12s"),
        "{}",
        script.text(160, 45)
    );
    let is_begin = |effects: &[Effect]| matches!(effects, [Effect::Tape(TapeOrder::Begin { file: None, .. })]);
    assert!(is_begin(&script.command("record")));
    assert!(!is_begin(&script.command("record on")));
    assert!(script.command("record off").contains(&Effect::Tape(TapeOrder::End)));
    script.tell(Msg::Recording(Recording::Ended { file: "/x".into(), bytes: 1_234_567 }));
    let text = script.text(160, 45);
    assert!(
        text.contains("the recording is in /x, 1.2 MB: zw-tui replay shows it") && !text.contains("rec "),
        "{text}"
    );
    assert!(is_begin(&script.command("record")));
    script.tell(Msg::Recording(Recording::Failed("cannot write /x: the disk is full".into())));
    assert!(script.text(160, 45).contains("nothing is recorded: cannot write /x: the disk is full"));
    assert!(is_begin(&script.command("record")));
}

#[test]
fn an_hour_under_load_stays_within_the_limit() {
    let mut script = Script::new();
    script.start();
    let mut bytes_of_hour = 0;
    for minute in 1..=60 {
        script.seconds(60, 5, 1);
        let bytes = script.session.tape().bytes();
        assert!(bytes <= TAPE_BYTES_MAX, "{bytes} bytes after {minute} minutes");
        bytes_of_hour = bytes_of_hour.max(bytes);
    }
    let kept = script.now - script.session.tape().oldest().unwrap();
    assert!(kept >= SECOND * 1_000, "only {kept:?} in {bytes_of_hour} bytes");
}

#[test]
fn the_timeline_live_frozen_and_in_the_past() {
    let mut script = Script::story();
    let live = script.screens(&UNICODE);
    script.keys("p");
    let frozen = script.screens(&ASCII);
    script.keys("{{");
    insta::assert_snapshot!(format!("{live}\n{frozen}\n{}", script.screens(&UNICODE)));
}

#[test]
fn the_timeline_alone_explains_its_letters() {
    let mut script = Script::story();
    script.seconds(600, 4, 2);
    script.keys("8+{");
    insta::assert_snapshot!(script.screens(&ASCII));
}

#[test]
fn no_size_breaks_the_past() {
    let mut scripts = vec![Script::story(), Script::story(), Script::story()];
    scripts[0].keys("p8");
    scripts[1].keys("8{{+");
    scripts[2].keys("{!");
    for script in &scripts {
        for width in (1..=220).step_by(9).chain([1, 2, 3, 17, 18, 33, 34, 63, 64, 99, 100]) {
            for height in (1..=70).step_by(5).chain([1, 2, 3, 8, 9, 15, 16, 25, 26]) {
                let text = script.text(width, height);
                assert!(text.is_ascii(), "{width}x{height}");
                let says = ["PAST", "FROZEN"].iter().any(|word| text.contains(word));
                assert!(width < 20 || says, "{width}x{height} looks like now\n{text}");
            }
        }
    }
}
