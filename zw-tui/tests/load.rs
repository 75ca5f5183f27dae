//! What the load and the scenarios look like, in several states and sizes; and that no size breaks them.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod sample;

use sample::script::{ASCII, Script, UNICODE};
use std::time::Duration;
use zw_core::ids::{Epoch, Zxid};
use zw_core::wire::admin::Status;
use zw_tui::model::load::{LoadReport, Phase};
use zw_tui::model::message::{Effect, Msg};

/// What is told of a load and of its ensemble.
trait Told {
    /// All nodes have applied so many entries, a moment later.
    fn statuses(&mut self, applied: u64) -> &mut Script;
    fn load(&mut self, run: u32, report: LoadReport) -> &mut Script;
    /// The screens of all sizes, in Unicode and ASCII.
    fn pictures(&self) -> String;
}

impl Told for Script {
    fn statuses(&mut self, applied: u64) -> &mut Script {
        self.after(250);
        for node in 1..=3 {
            self.says(status(node, applied));
        }
        self
    }

    fn load(&mut self, run: u32, report: LoadReport) -> &mut Script {
        self.tell(Msg::Load { run, report: Box::new(report) })
    }

    fn pictures(&self) -> String {
        self.screens(&UNICODE) + &self.screens(&ASCII)
    }
}

/// A healthy ensemble of three nodes and a broker.
fn healthy() -> Script {
    let mut script = Script::running(3, 1);
    script.statuses(7);
    script
}

fn status(node: u16, applied: u64) -> Status {
    let ordinary = sample::status(node, 3, Zxid::new(Epoch(4), applied));
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
    let mut script = healthy();
    script.command("load 100/s 10s leader").load(1, report(Phase::Running, 10, 1_000));
    script.load(1, report(Phase::Verified, 10, 1_000)).keys("\x1b");
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
    script.keys("\x1b").keys("!");
    assert!(
        script.screen(&ASCII, (80, 24)).contains("the load's check failed: NothingLost"),
        "{}",
        script.screen(&ASCII, (80, 24))
    );
    assert!(script.screen(&ASCII, (160, 45)).contains("1 VIOLATION in 11k operations"));
    assert!(script.screen(&ASCII, (160, 45)).contains("VIOLATION: NothingLost: k3"));
}

#[test]
fn b_begins_ends_and_begins_the_same_again() {
    let mut script = healthy();
    script.keys("B");
    assert!(matches!(script.effects[..], [Effect::Load { run: 1, .. }]), "{:?}", script.effects);
    script.keys("B");
    assert_eq!(script.effects, [Effect::StopLoad]);
    script.load(1, report(Phase::Verified, 3, 500)).keys("\x1b").command("load 50/s 5s n2");
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
    script.keys("\x1b").keys("b");
    assert!(script.effects.is_empty() && script.screen(&ASCII, (160, 45)).contains("load 50/s 5s n2"));
}

#[test]
fn the_scenarios_to_choose_from() {
    let mut script = healthy();
    script.keys("Xjjj");
    insta::assert_snapshot!(script.pictures());
}

#[test]
fn a_scenario_that_runs() {
    let mut script = healthy();
    script.keys("Xjjjjjj\r").statuses(8);
    script.load(1, report(Phase::Running, 1, 210)).statuses(60);
    insta::assert_snapshot!(script.pictures());
    // X ends it, and its load with it, when the ensemble is heard next.
    script.keys("X").says(status(1, 61));
    assert!(script.effects.contains(&Effect::StopLoad), "{:?}", script.effects);
}

#[test]
fn the_verdict_is_in_the_title_only_while_a_load_runs() {
    let mut script = loaded();
    script.keys("\x1b");
    for (width, height) in [(160, 45), (100, 28), (80, 24)] {
        let text = script.screen(&UNICODE, (width, height));
        assert!(text.lines().next().unwrap().contains("0 violations in 1000 operations"), "{text}");
    }
    script.load(2, report(Phase::Verified, 60, 12_000));
    assert!(!script.screen(&UNICODE, (160, 45)).lines().next().unwrap().contains("violations"));
}

#[test]
fn no_size_breaks_them() {
    let mut list = healthy();
    list.keys("XG");
    let mut running = healthy();
    running.command("scenario rolling-restart").statuses(8);
    for script in [&list, &running, &loaded()] {
        for width in (1..=170).step_by(7) {
            for height in (1..=50).step_by(3) {
                script.screen(&UNICODE, (width, height));
                assert!(script.screen(&ASCII, (width, height)).is_ascii(), "{width}x{height}");
            }
        }
    }
}
