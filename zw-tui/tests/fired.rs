//! Watches that fire are marked in the tree for a second, and not without motion.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
#![allow(dead_code, reason = "the sample serves other tests too")]

mod sample;

use sample::script::{ASCII, SIZES, Script, UNICODE};
use std::time::Duration;
use zw_core::ids::{NodeId, Zxid};
use zw_core::wire::admin::{TraceBatch, TraceEvent, TraceKind};
use zw_tui::key::{Code, Key};
use zw_tui::model::collector::{Collector, Portion};
use zw_tui::model::message::Msg;
use zw_tui::model::select::next_change;

/// What the traces tell when watches on these fired, so many milliseconds before.
fn portion(fired: &[(&str, u64)]) -> Portion {
    let now_ns = 60_000_000_000;
    let mut collector = Collector::new(3);
    let events = fired.iter().zip(1..).map(|((path, ago), sequence)| TraceEvent {
        sequence,
        monotonic_ns: now_ns - ago * 1_000_000,
        kind: TraceKind::Watch,
        peer: NodeId(0),
        zxid: Zxid::ZERO,
        number: 1,
        text: (*path).to_owned(),
    });
    collector.take(1, TraceBatch { events: events.collect(), dropped: 0, now_ns });
    let portion = collector.portion(now_ns).unwrap();
    assert_eq!(collector.portion(now_ns + 1), None, "each is told once");
    portion
}

fn script() -> Script {
    let mut script = Script::healthy(3, 0);
    script.children("/", &[("goals", 2), ("queue", 0)]).keys("4");
    script
}

fn marked(script: &mut Script, size: (u16, u16)) -> Vec<String> {
    let screen = script.screen(&ASCII, size);
    let names = ["goals", "queue"].into_iter();
    names.filter(|name| screen.lines().any(|row| row.contains('*') && row.contains(name))).map(str::to_owned).collect()
}

#[test]
fn a_watch_that_fires_marks_its_line_for_a_second() {
    let mut script = script();
    let before: Vec<String> = SIZES.iter().map(|size| script.screen(&UNICODE, *size)).collect();
    let fired = portion(&[("/goals", 300), ("/queue", 1_500), ("/not/shown", 0), ("", 0)]);
    script.tell(Msg::Trace(Box::new(fired)));
    for size in [(160, 45), (80, 24), (40, 12)] {
        assert_eq!(marked(&mut script, size), ["goals"], "the other one fired too long ago");
    }
    let change = next_change(&script.state, script.now).unwrap();
    assert!(change <= script.now + Duration::from_millis(700), "the screen wakes for its end");
    script.after(700);
    assert_eq!(marked(&mut script, (160, 45)), [""; 0]);
    // The marks leave the place of every word as it is.
    let after: Vec<String> = SIZES.iter().map(|size| script.screen(&UNICODE, *size)).collect();
    assert_eq!(before.len(), after.len());
    let tree = |screens: &[String]| -> Vec<String> {
        screens[0].lines().filter(|row| row.contains("goals")).map(str::to_owned).collect()
    };
    assert_eq!(tree(&before), tree(&after));
}

#[test]
fn without_motion_nothing_is_marked() {
    let mut script = script();
    script.keys(":motion off").tell(Msg::Key(Key::plain(Code::Enter)));
    script.tell(Msg::Trace(Box::new(portion(&[("/goals", 0)]))));
    assert_eq!(marked(&mut script, (160, 45)), [""; 0]);
}
