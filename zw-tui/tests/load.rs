//! What the load and the scenarios look like, in several states and sizes; and that no size breaks them.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod sample;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use std::time::Duration;
use zw_core::ids::{Epoch, Zxid};
use zw_core::wire::admin::Status;
use zw_tui::key::{Code, Key};
use zw_tui::member::Member;
use zw_tui::model::State;
use zw_tui::model::load::{LoadReport, Phase};
use zw_tui::model::message::{Effect, Msg};
use zw_tui::model::update::update;
use zw_tui::pane::draw;
use zw_tui::supervisor::{Change, Report};
use zw_tui::theme::Theme;

const ASCII: Theme = Theme::basic(false, true);
const UNICODE: Theme = Theme::basic(true, false);
const SIZES: [(u16, u16); 4] = [(160, 45), (80, 24), (40, 12), (20, 5)];

/// A healthy ensemble of three nodes and a broker.
struct Script {
    state: State,
    now: Duration,
    effects: Vec<Effect>,
}

impl Script {
    fn healthy() -> Script {
        let addresses = |base: u16, count: u16| (0..count).map(|i| format!("127.0.0.1:{}", base + i)).collect();
        let state = State::new(addresses(8080, 3), addresses(9090, 1));
        let mut script = Script { state, now: Duration::ZERO, effects: Vec::new() };
        let members: Vec<Member> = script.state.members().collect();
        for (member, pid) in members.into_iter().zip(41_201..) {
            script.tell(Msg::Supervisor(Report { member: Some(member), change: Change::Spawned { pid } }));
            script.tell(Msg::Supervisor(Report { member: Some(member), change: Change::Listening }));
        }
        script.statuses(7);
        script
    }

    fn tell(&mut self, message: Msg) -> &mut Script {
        self.effects = update(&mut self.state, self.now, message);
        self
    }

    fn statuses(&mut self, applied: u64) -> &mut Script {
        self.now += Duration::from_millis(250);
        for node in 0..3 {
            self.tell_status(node, applied);
        }
        self
    }

    fn tell_status(&mut self, node: usize, applied: u64) -> &mut Script {
        let status = Box::new(status(node, applied));
        self.tell(Msg::Status { node, status, round_trip: Duration::from_millis(1) })
    }

    fn keys(&mut self, keys: &str) -> &mut Script {
        keys.chars().for_each(|key| {
            self.tell(Msg::Key(Key::char(key)));
        });
        self
    }

    fn key(&mut self, code: Code) -> &mut Script {
        self.tell(Msg::Key(Key::plain(code)))
    }

    fn command(&mut self, line: &str) -> &mut Script {
        self.keys(":").keys(line).key(Code::Enter)
    }

    fn load(&mut self, run: u32, report: LoadReport) -> &mut Script {
        self.tell(Msg::Load { run, report: Box::new(report) })
    }

    fn text(&self, theme: &Theme, width: u16, height: u16) -> String {
        let mut buffer = Buffer::empty(Rect::new(0, 0, width, height));
        draw(&self.state, theme, self.now, &mut buffer);
        let row = |y: u16| -> String { (0..width).map(|x| buffer[(x, y)].symbol()).collect() };
        (0..height).map(|y| row(y).trim_end().to_owned() + "\n").collect()
    }

    fn pictures(&self) -> String {
        let mut pictures = String::new();
        for theme in [&UNICODE, &ASCII] {
            for (width, height) in SIZES {
                pictures += &format!("-- {width}x{height}\n{}", self.text(theme, width, height));
            }
        }
        pictures
    }
}

fn status(node: usize, applied: u64) -> Status {
    let ordinary = sample::status(u16::try_from(node + 1).unwrap(), 3, Zxid::new(Epoch(4), applied));
    Status { fsync_p99_us: 2_100, write_p99_us: 3_400, ..ordinary }
}

fn report(phase: Phase, seconds: u64, operations: u64) -> LoadReport {
    LoadReport {
        phase,
        at: Duration::from_secs(seconds),
        writes: operations * 4 / 5,
        reads: operations / 5,
        errors: 0,
        unknown: 0,
        reconnects: 0,
        p50: Duration::from_micros(1_900),
        p99: Duration::from_micros(7_200),
        longest: Duration::from_millis(31),
        longest_gap: Duration::from_millis(28),
        checked: operations,
        violations: 0,
        first_violation: None,
        reasons: Vec::new(),
    }
}

/// A load that ran, and one that runs.
fn loaded() -> Script {
    let mut script = Script::healthy();
    script.command("load 100/s 10s leader").load(1, report(Phase::Running, 10, 1_000));
    script.load(1, report(Phase::Verified, 10, 1_000)).key(Code::Esc);
    script.command("load 200/s 60s random").load(2, report(Phase::Preparing(None), 0, 0));
    for second in 1..=5 {
        script.statuses(100 * second).load(2, report(Phase::Running, second, second * 200));
    }
    script
}

#[test]
fn a_load_that_runs_beside_the_one_before() {
    insta::assert_snapshot!(loaded().pictures());
}

#[test]
fn a_load_that_found_a_violation() {
    let mut script = loaded();
    let bad = LoadReport {
        errors: 12,
        unknown: 3,
        reconnects: 2,
        violations: 1,
        longest_gap: Duration::from_millis(812),
        first_violation: Some(
            "NothingLost: k3: version 7 of 4:91 was there at 4:99, though version 8 was made before".into(),
        ),
        reasons: vec![("NoQuorum".into(), 12), ("the connection broke".into(), 3)],
        ..report(Phase::Verified, 60, 11_900)
    };
    script.load(2, bad);
    insta::assert_snapshot!(script.pictures());
    // It is told wherever one looks.
    script.key(Code::Esc).keys("!");
    assert!(
        script.text(&ASCII, 80, 24).contains("the load's check failed: NothingLost"),
        "{}",
        script.text(&ASCII, 80, 24)
    );
    assert!(script.text(&ASCII, 160, 45).contains("1 VIOLATION in 11k operations"));
    assert!(script.text(&ASCII, 160, 45).contains("VIOLATION: NothingLost: k3"));
}

#[test]
fn b_begins_ends_and_begins_the_same_again() {
    let mut script = Script::healthy();
    script.keys("B");
    assert!(matches!(script.effects[..], [Effect::Load { run: 1, .. }]), "{:?}", script.effects);
    script.keys("B");
    assert_eq!(script.effects, [Effect::StopLoad]);
    script.load(1, report(Phase::Verified, 3, 500)).key(Code::Esc).command("load 50/s 5s n2");
    script.load(1, report(Phase::Running, 99, 99)).load(2, report(Phase::Verified, 5, 250)).keys("B");
    let again = match &script.effects[..] {
        [Effect::Load { run: 3, plan }] => plan.to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!(again, "50/s 5s n2");
    assert_eq!(
        script.state.loads.former.as_ref().map(|former| former.run),
        Some(2),
        "an old run's report is not taken"
    );
    // A look at it changes nothing.
    script.key(Code::Esc).keys("b");
    assert!(script.effects.is_empty() && script.text(&ASCII, 160, 45).contains("load 50/s 5s n2"));
}

#[test]
fn the_scenarios_to_choose_from() {
    let mut script = Script::healthy();
    script.keys("Xjjj");
    insta::assert_snapshot!(script.pictures());
}

#[test]
fn a_scenario_that_runs() {
    let mut script = Script::healthy();
    script.keys("Xjjjjjj").key(Code::Enter).statuses(8);
    script.load(1, report(Phase::Running, 1, 210)).statuses(60);
    insta::assert_snapshot!(script.pictures());
    // X ends it, and its load with it, when the ensemble is heard next.
    script.keys("X").tell_status(0, 61);
    assert!(script.effects.contains(&Effect::StopLoad), "{:?}", script.effects);
}

#[test]
fn the_verdict_is_in_the_title_only_while_a_load_runs() {
    let mut script = loaded();
    script.key(Code::Esc);
    for (width, height) in [(160, 45), (100, 28), (80, 24)] {
        let text = script.text(&UNICODE, width, height);
        assert!(text.lines().next().unwrap().contains("0 violations in 1000 operations"), "{text}");
    }
    script.load(2, report(Phase::Verified, 60, 12_000));
    assert!(!script.text(&UNICODE, 160, 45).lines().next().unwrap().contains("violations"));
}

#[test]
fn no_size_breaks_them() {
    let mut list = Script::healthy();
    list.keys("XG");
    let mut running = Script::healthy();
    running.command("scenario rolling-restart").statuses(8);
    for script in [&list, &running, &loaded()] {
        for width in (1..=170).step_by(7) {
            for height in (1..=50).step_by(3) {
                script.text(&UNICODE, width, height);
                assert!(script.text(&ASCII, width, height).is_ascii(), "{width}x{height}");
            }
        }
    }
}
