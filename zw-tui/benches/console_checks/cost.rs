//! What the console costs while it is looked at, and while it is not.

use crate::Measured;
use crate::harness::Bench;
use crate::load::Load;
use std::time::Duration;

const IDLE: Duration = Duration::from_secs(30);
/// The flow is the liveliest of the panes.
const FLOW: &str = "3";

pub(crate) fn idle_processor() -> Measured {
    let (percent, _) = Bench::settled(5, 3).cost_over(IDLE);
    Measured::new(percent <= 1.0, format!("{percent:.2} % of a core"))
}

pub(crate) fn idle_bytes() -> Measured {
    let (_, bytes) = Bench::settled(5, 3).cost_over(IDLE);
    Measured::new(bytes <= 2_000.0, format!("{bytes:.0} B/s"))
}

pub(crate) fn unfocused() -> Measured {
    let mut bench = Bench::settled(5, 3);
    let _load = Load::start(&bench.servers, 200);
    let (_, focused) = bench.cost_over(Duration::from_secs(10));
    bench.console.type_keys("\x1b[O");
    let (_, unfocused) = bench.cost_over(Duration::from_secs(10));
    Measured::new(unfocused <= focused / 4.0, format!("{focused:.0} B/s, then {unfocused:.0} B/s"))
}

pub(crate) fn busy() -> Measured {
    let mut bench = Bench::settled(5, 3);
    bench.console.type_keys(FLOW);
    let load = Load::start(&bench.servers, 1_000);
    let (percent, bytes) = bench.cost_over(Duration::from_secs(60));
    let rate = load.written() / 60;
    Measured::new(
        percent <= 15.0 && bytes <= 60_000.0,
        format!("{percent:.1} % of a core, {:.1} kB/s, at {rate} writes/s", bytes / 1_000.0),
    )
}

pub(crate) fn memory() -> Measured {
    let bench = Bench::settled(5, 3);
    let before = bench.resident_mb();
    let _load = Load::start(&bench.servers, 1_000);
    std::thread::sleep(Duration::from_secs(120));
    let after = bench.resident_mb();
    let words = format!("{before:.0} MB, then {after:.0} MB");
    Measured::new(before <= 40.0 && after - before <= 10.0, words)
}
