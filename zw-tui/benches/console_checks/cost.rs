//! What the console costs while it is looked at, and while it is not.

use crate::Measured;
use crate::harness::Bench;
use crate::load::Load;
use std::time::Duration;

/// Shortens the hour of the check of the memory.
const MEMORY_SECONDS: &str = "ZW_CHECK_MEMORY_SECONDS";

const IDLE: Duration = Duration::from_secs(30);
/// The flow is the liveliest of the panes.
const FLOW: &str = "3";

pub(crate) fn idle_processor() -> Measured {
    let (percent, _) = Bench::settled(5, 3).cost_over(IDLE);
    Measured::new(percent <= 1.0, format!("{percent:.2} % of a core"))
}

/// Frozen, and what that said has gone.
fn frozen() -> Bench {
    let mut bench = Bench::settled(5, 3);
    bench.console.type_keys("p");
    bench.console.wait_for("FROZEN");
    std::thread::sleep(Duration::from_secs(2));
    bench
}

pub(crate) fn frozen_cost() -> Measured {
    let (percent, bytes) = frozen().cost_over(IDLE);
    Measured::new(percent <= 0.2 && bytes == 0.0, format!("{percent:.2} % of a core, {bytes:.0} B/s"))
}

pub(crate) fn frozen_wakes() -> Measured {
    let bench = frozen();
    let before = bench.wakes();
    std::thread::sleep(Duration::from_secs(10));
    let wakes = bench.wakes() - before;
    // The eleventh may be of the second before.
    Measured::new(wakes <= 11, format!("the screen's thread is woken {wakes} times in 10 s"))
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
    let missed = bench.shown(" events missed", false).unwrap_or_default();
    let is_live = bench.console.text().contains("set /load/");
    Measured::new(
        percent <= 15.0 && bytes <= 60_000.0 && is_live,
        format!(
            "{percent:.1} % of a core, {:.1} kB/s, at {rate} writes/s; {missed} events missed, the flow {}",
            bytes / 1_000.0,
            if is_live { "shows the load" } else { "does not show the load" }
        ),
    )
}

pub(crate) fn memory() -> Measured {
    let time = std::env::var(MEMORY_SECONDS).ok().and_then(|seconds| seconds.parse().ok()).unwrap_or(3_600);
    let bench = Bench::settled(5, 3);
    let before = bench.resident_mb();
    let _load = Load::start(&bench.servers, 200);
    let mut after = [0.0; 2];
    for half in &mut after {
        std::thread::sleep(Duration::from_secs(time) / 2);
        *half = bench.resident_mb();
    }
    let [half, end] = after;
    let words = format!("{before:.1} MB, after {} s {half:.1} MB, after {time} s {end:.1} MB", time / 2);
    let hint = if time < 3_600 { format!(" ({MEMORY_SECONDS}={time})") } else { String::new() };
    Measured::new(before <= 40.0 && end - before <= 10.0 && end - half <= 5.0, words + &hint)
}
