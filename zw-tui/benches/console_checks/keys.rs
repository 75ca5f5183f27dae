//! Keys, pastes and the wheel: how soon they show, and that none is lost.

use crate::Measured;
use crate::harness::{Bench, millis, percentile};
use crate::load::{Load, children};
use std::time::{Duration, Instant};

const KEYS: usize = 200;

/// Down and up the nodes' list, so that each key changes something.
fn latencies(bench: &mut Bench) -> (f64, f64) {
    let mut times = Vec::new();
    for index in 0..KEYS {
        times.push(bench.millis_to_paint(if index % 2 == 0 { "j" } else { "k" }));
        std::thread::sleep(Duration::from_millis(20));
    }
    (percentile(&mut times, 50), percentile(&mut times, 99))
}

pub(crate) fn latency_idle() -> Measured {
    let (p50, p99) = latencies(&mut Bench::settled(5, 3));
    Measured::new(p50 <= 16.0 && p99 <= 40.0, format!("p50 {p50:.1} ms, p99 {p99:.1} ms"))
}

pub(crate) fn latency_busy() -> Measured {
    let mut bench = Bench::serving(5, 3);
    bench.console.type_keys(":pause n2 0\r:kill n3\r");
    bench.console.wait_for("quorum 3/5");
    let _load = Load::start(&bench.servers, 1_000);
    std::thread::sleep(Duration::from_secs(2));
    let (p50, p99) = latencies(&mut bench);
    Measured::new(p99 <= 80.0, format!("p50 {p50:.1} ms, p99 {p99:.1} ms (to the next bytes, whatever caused them)"))
}

/// Nine and nine, with as much to do as the machine can; the writes are as many as the console says.
pub(crate) fn latency_of_many() -> Measured {
    let mut bench = Bench::serving(9, 9);
    bench.console.type_keys("3");
    let load = Load::start(&bench.servers, 10_000);
    std::thread::sleep(Duration::from_secs(5));
    let (began, before) = (Instant::now(), load.written());
    bench.console.type_keys("1");
    let (p50, p99) = latencies(&mut bench);
    let rest = Duration::from_secs(10).saturating_sub(began.elapsed());
    std::thread::sleep(rest);
    let rate = (load.written() - before) as f64 / began.elapsed().as_secs_f64();
    let shown = bench.shown("  w/s ", true).unwrap_or_default();
    let missed = bench.shown(" events missed", false).unwrap_or_default();
    // What is shown is of the last seconds, and shortened from 10k on.
    let is_honest = (shown - rate).abs() <= rate * 0.25 + 1_000.0 * f64::from(u8::from(shown >= 10_000.0));
    Measured::new(
        p99 <= 80.0 && is_honest,
        format!(
            "p50 {p50:.1} ms, p99 {p99:.1} ms at {rate:.0} writes/s; the header says w/s {shown}, {missed} events missed"
        ),
    )
}

pub(crate) fn burst() -> Measured {
    let mut bench = Bench::serving(3, 0);
    children(&bench.servers, "/rows", 600);
    bench.console.type_keys("4\x12");
    bench.console.wait_for("600 ch");
    bench.console.type_keys("gj");
    bench.console.wait_for(" /rows ");
    bench.millis_until("l", |text| text.contains("c0000003"));
    bench.console.type_keys("j");
    bench.console.wait_for("/rows/c0000000");
    let time = bench.millis_until(&"j".repeat(500), |text| text.contains("/rows/c0000500"));
    Measured::new(true, format!("500 rows down after {time:.0} ms"))
}

pub(crate) fn escape() -> Measured {
    let mut bench = Bench::serving(1, 0);
    let mut worst = 0.0_f64;
    for _ in 0..20 {
        bench.millis_until("?", |text| text.contains("Help: all actions"));
        worst = worst.max(bench.millis_until("\x1b", |text| !text.contains("Help: all actions")));
    }
    Measured::new(worst <= 60.0, format!("worst of 20: {worst:.0} ms"))
}

pub(crate) fn paste() -> Measured {
    let mut bench = Bench::serving(3, 0);
    let line = "KqR the value that is pasted\n";
    let text = line.repeat(65_536 / line.len());
    bench.console.type_keys("W");
    bench.console.wait_for("through ◂");
    bench.console.type_keys("pasted\t");
    let time = bench.millis_until(&format!("\x1b[200~{text}END\x1b[201~"), |screen| screen.contains("END"));
    let holds = time <= 300.0 && bench.console.text().contains("quorum 3/3");
    Measured::new(holds, format!("{time:.0} ms for {} bytes", text.len() + 3))
}

pub(crate) fn wheel() -> Measured {
    let mut bench = Bench::serving(3, 0);
    bench.console.type_keys("?");
    bench.console.wait_for("Help: all actions");
    let began = Instant::now();
    bench.console.type_keys(&"\x1b[<65;10;10M".repeat(1_000));
    // What comes behind the wheel's turns has been waited for by then.
    bench.console.type_keys("zzz");
    bench.console.wait_for("zzz");
    let time = millis(began);
    let stays = bench.console.text().contains("Help: all actions");
    Measured::new(time <= 300.0 && stays, format!("{time:.0} ms, help {}", if stays { "stays" } else { "closed" }))
}

pub(crate) fn many_kills() -> Measured {
    let mut bench = Bench::serving(5, 3);
    bench.console.type_keys("KKKK");
    bench.console.wait_for("quorum 4/5");
    std::thread::sleep(Duration::from_secs(1));
    let killed = bench.console.text().matches("exit 137 (you)").count();
    let time = bench.millis_until("U", |text| text.contains("HEALTHY"));
    // One line in the nodes' list, one in the feed.
    Measured::new((1..=2).contains(&killed), format!("{killed} lines of one kill, back after {time:.0} ms"))
}
