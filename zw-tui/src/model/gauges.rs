//! The rows of the metrics: what is now, the greatest of the range, and the range itself.

use super::history::{End, Measure, Range, SLOTS, combined};
use super::select::{micros, percentile, short};
use super::{Node, State};
use std::time::Duration;

/// A row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gauge {
    /// What it is.
    pub name: &'static str,
    /// Its value now; `?` if nothing is known.
    pub current: String,
    /// The greatest of the range; none if nothing is known of it.
    pub greatest: Option<String>,
    /// Over time, oldest first.
    pub cells: Vec<Option<u64>>,
    /// The greatest of the range, so that a chart reads the same however wide it is.
    pub scale: u64,
}

/// All rows, the most useful first.
#[must_use]
pub fn gauges(state: &State, now: Duration, cells: usize) -> Vec<Gauge> {
    let range = state.measured.range;
    let end = End::of(state.nodes.iter().map(|node| &node.past), range, now);
    let known = |value: fn(&Node, Duration) -> Option<u64>, is_sum: bool| {
        let values = state.nodes.iter().filter_map(move |node| value(node, now));
        values.reduce(|a, b| if is_sum { a.saturating_add(b) } else { a.max(b) })
    };
    let writes = known(|node, now| node.sight.current(now).and(node.sight.rates()).map(|(writes, _)| writes), false);
    let reads = known(|node, now| node.sight.current(now).and(node.sight.rates()).map(|(_, reads)| reads), true);
    let commit = known(|node, now| Some(node.sight.current(now)?.write_p99_us), false);
    let fsync = known(|node, now| Some(node.sight.current(now)?.fsync_p99_us), false);
    let queue = known(|node, now| Some(node.sight.current(now)?.queue), true);
    let memory = known(|node, now| Some(node.sight.current(now)?.rss_bytes), true);
    let of_nodes = |name, measure, current: Option<u64>, text: fn(u64) -> String| {
        let over_time = |cells: usize| {
            let rows: Vec<_> = state.nodes.iter().map(|node| node.past.cells(range, measure, end, cells)).collect();
            combined(&rows, measure)
        };
        gauge(name, current.map(text), over_time, cells, text)
    };
    vec![
        of_nodes("writes/s", Measure::Writes, writes, short),
        of_nodes("reads/s", Measure::Reads, reads, short),
        of_nodes("commit p99", Measure::Commit, commit, percentile),
        of_nodes("fsync p99", Measure::Fsync, fsync, percentile),
        elections(state, range, end, cells),
        of_nodes("queue", Measure::Queue, queue, short),
        of_nodes("memory", Measure::Memory, memory, mebibytes),
    ]
}

/// How often another leader came, and for how long nobody could write.
fn elections(state: &State, range: Range, end: End, cells: usize) -> Gauge {
    let reigns = &state.measured.reigns;
    let over_time = |cells: usize| reigns.history.cells(range, Measure::Stall, end, cells);
    let text = |millis: u64| if millis == 0 { "-".to_owned() } else { micros(millis.saturating_mul(1_000)) };
    gauge("elections", Some(short(reigns.elections)), over_time, cells, text)
}

fn gauge(
    name: &'static str,
    current: Option<String>,
    over_time: impl Fn(usize) -> Vec<Option<u64>>,
    cells: usize,
    text: fn(u64) -> String,
) -> Gauge {
    // A cell may stand for many slots and be the mean of them: the greatest is that of the slots, in any width.
    let slots = over_time(usize::try_from(SLOTS).unwrap_or(usize::MAX));
    let cells = over_time(cells);
    let greatest = slots.iter().chain(&cells).flatten().max().copied();
    Gauge {
        name,
        current: current.unwrap_or_else(|| "?".into()),
        greatest: greatest.map(text),
        scale: greatest.unwrap_or(0),
        cells,
    }
}

fn mebibytes(bytes: u64) -> String {
    format!("{}M", short(bytes >> 20))
}

/// What the console itself costs, in a line.
#[must_use]
pub fn cost_line(state: &State) -> String {
    let cost = state.measured.cost;
    let bytes = cost.bytes_per_second;
    let cpu = cost.cpu_permille.map_or_else(|| "?".into(), |part| format!("{}.{}%", part / 10, part % 10));
    let frame = micros(u64::try_from(cost.frame.as_micros()).unwrap_or(u64::MAX));
    format!("console   {}.{} kB/s to the terminal  cpu {cpu}  frame {frame}", bytes / 1_000, bytes % 1_000 / 100)
}
