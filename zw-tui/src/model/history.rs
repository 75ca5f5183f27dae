//! What was measured, over time: three rings of slots for each node, the finest for the last minute.
//!
//! Invariants:
//! - The memory does not grow: a ring holds at most [`SLOTS`] slots, whatever comes in.
//! - A time of which nothing is known is an empty slot, never a zero.
//! - Slots begin at multiples of their width since the start of the console, so those of several nodes lie side by side.

use super::STALE_AFTER;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::time::Duration;
use zw_core::wire::admin::Status;

/// Slots of a ring: as many as a wide sparkline has cells.
pub const SLOTS: u64 = 120;
/// Measures that are kept.
const MEASURES: usize = 7;

/// How far back a chart goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Range {
    /// The last minute.
    #[default]
    Minute,
    /// The last ten minutes.
    TenMinutes,
    /// The last hour.
    Hour,
}

impl Range {
    /// From the finest.
    pub const ALL: [Range; 3] = [Range::Minute, Range::TenMinutes, Range::Hour];

    /// The one after, round and round.
    #[must_use]
    pub fn next(self) -> Range {
        Range::ALL[(self as usize + 1) % Range::ALL.len()]
    }

    /// As it is printed.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Range::Minute => "60 s",
            Range::TenMinutes => "10 min",
            Range::Hour => "1 h",
        }
    }

    /// How long one slot lasts.
    #[must_use]
    pub fn slot(self) -> Duration {
        // Two answers fall into the finest slot, so that a late one leaves no hole.
        match self {
            Range::Minute => Duration::from_millis(500),
            Range::TenMinutes => Duration::from_secs(5),
            Range::Hour => Duration::from_secs(30),
        }
    }
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Writes a second that the node applied.
    Writes,
    /// Reads a second that it answered.
    Reads,
    /// 99th percentile of the writes of its clients, in microseconds.
    Commit,
    /// 99th percentile of its fdatasync, in microseconds.
    Fsync,
    /// Requests that wait.
    Queue,
    /// Resident memory.
    Memory,
    /// How long nobody could write, in milliseconds; of the ensemble only.
    Stall,
}

impl Measure {
    /// Whether several measurements of one slot are averaged; else the greatest counts.
    fn is_rate(self) -> bool {
        matches!(self, Measure::Writes | Measure::Reads)
    }
}

const ALL: [Measure; MEASURES] =
    [Measure::Writes, Measure::Reads, Measure::Commit, Measure::Fsync, Measure::Queue, Measure::Memory, Measure::Stall];

/// One slot: what was measured in it, and how often.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Slot {
    /// Of rates the sum, of the rest the greatest.
    values: [u64; MEASURES],
    counts: [u32; MEASURES],
}

impl Slot {
    fn add(&mut self, measure: Measure, value: u64) {
        let (held, count) = (&mut self.values[measure as usize], &mut self.counts[measure as usize]);
        *held = if measure.is_rate() { held.saturating_add(value) } else { value.max(*held) };
        *count = count.saturating_add(1);
    }

    /// None if it was not measured.
    fn value(&self, measure: Measure) -> Option<u64> {
        let (value, count) = (self.values[measure as usize], u64::from(self.counts[measure as usize]));
        if measure.is_rate() { value.checked_div(count) } else { (count > 0).then_some(value) }
    }
}

/// The slots of one range, the newest last.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Ring {
    range: Range,
    slots: VecDeque<Slot>,
    /// The number of the newest slot, counted from the start of the console.
    newest: u64,
}

fn number(range: Range, at: Duration) -> u64 {
    u64::try_from(at.as_millis() / range.slot().as_millis()).unwrap_or(u64::MAX)
}

impl Ring {
    fn new(range: Range) -> Ring {
        Ring { range, slots: VecDeque::new(), newest: 0 }
    }

    /// The slot with this number; none if it is too old.
    fn at_mut(&mut self, number: u64) -> Option<&mut Slot> {
        if self.slots.is_empty() || number >= self.newest.saturating_add(SLOTS) {
            self.slots.clear();
            self.slots.push_back(Slot::default());
            self.newest = number;
        }
        while self.newest < number {
            if self.slots.len() as u64 == SLOTS {
                self.slots.pop_front();
            }
            self.slots.push_back(Slot::default());
            self.newest += 1;
        }
        let back = usize::try_from(self.newest - number).ok()?;
        let index = self.slots.len().checked_sub(back + 1)?;
        self.slots.get_mut(index)
    }

    fn at(&self, number: u64) -> Option<&Slot> {
        let back = usize::try_from(self.newest.checked_sub(number)?).ok()?;
        self.slots.get(self.slots.len().checked_sub(back + 1)?)
    }

    /// Adds a measurement to all slots from one time to another.
    fn put(&mut self, from: Duration, to: Duration, measure: Measure, value: u64) {
        for number in number(self.range, from)..=number(self.range, to) {
            if let Some(slot) = self.at_mut(number) {
                slot.add(measure, value);
            }
        }
    }
}

/// The rings of one node, or of the ensemble.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct History {
    rings: [Ring; 3],
    /// When the newest answer came, with its counters of writes and reads.
    last: Option<(Duration, u64, u64)>,
}

impl Default for History {
    fn default() -> History {
        History { rings: Range::ALL.map(Ring::new), last: None }
    }
}

impl History {
    /// Takes an answer in.
    pub fn take(&mut self, now: Duration, status: &Status) {
        let last = self.last.replace((now, status.writes, status.reads));
        let gauges = [
            (Measure::Commit, status.write_p99_us),
            (Measure::Fsync, status.fsync_p99_us),
            (Measure::Queue, status.queue),
            (Measure::Memory, status.rss_bytes),
        ];
        for (measure, value) in gauges {
            self.put(now, measure, value);
        }
        let Some((at, writes, reads)) = last else { return };
        let millis = u64::try_from(now.saturating_sub(at).as_millis()).unwrap_or(u64::MAX);
        // A restarted process counts from zero; and what came in one burst has no rate.
        let rate = |is: u64, was: u64| is.checked_sub(was)?.saturating_mul(1_000).checked_div(millis);
        // A rate holds for the whole time since the answer before; unless that is so long ago that nothing is known of
        // the time between but its mean.
        let from = if now.saturating_sub(at) < STALE_AFTER { at + Duration::from_millis(1) } else { now };
        for (measure, rate) in
            [(Measure::Writes, rate(status.writes, writes)), (Measure::Reads, rate(status.reads, reads))]
        {
            if let Some(rate) = rate {
                self.rings.iter_mut().for_each(|ring| ring.put(from, now, measure, rate));
            }
        }
    }

    /// Adds one measurement.
    pub fn put(&mut self, now: Duration, measure: Measure, value: u64) {
        self.rings.iter_mut().for_each(|ring| ring.put(now, now, measure, value));
    }

    /// The process was started anew: its counters begin at zero.
    pub fn begin_life(&mut self) {
        self.last = None;
    }

    /// At most so many cells of a range, oldest first, up to the slot `end`. A cell holds one slot or more: of rates
    /// their mean, of the rest the greatest. Cells change their places only all at once, when the next one begins.
    #[must_use]
    pub fn cells(&self, range: Range, measure: Measure, end: End, cells: usize) -> Vec<Option<u64>> {
        let group = SLOTS.div_ceil((cells as u64).clamp(1, SLOTS));
        let cells = SLOTS / group;
        let last = end.0 / group;
        let ring = &self.rings[range as usize];
        let cell = |cell: u64| {
            let numbers = cell * group..(cell + 1) * group;
            let mut sum = Slot::default();
            for value in numbers.filter_map(|number| ring.at(number)?.value(measure)) {
                sum.add(measure, value);
            }
            sum.value(measure)
        };
        // What lies before the start of the console is as unknown as any other time without an answer.
        (0..cells).rev().map(|back| last.checked_sub(back).and_then(cell)).collect()
    }

    /// Slots that are held, of all ranges: what a test bounds.
    #[must_use]
    pub fn held(&self) -> usize {
        self.rings.iter().map(|ring| ring.slots.len()).sum()
    }
}

/// The last slot of a chart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End(u64);

impl End {
    /// The newest slot of any of these, if it is as good as now; else the slot of now. So a slot that has just begun is
    /// not drawn as unknown until the next answer comes.
    #[must_use]
    pub fn of<'a>(histories: impl IntoIterator<Item = &'a History>, range: Range, now: Duration) -> End {
        let newest = histories.into_iter().map(|history| history.rings[range as usize].newest).max().unwrap_or(0);
        let now_number = number(range, now);
        let recent = number(range, now.saturating_sub(STALE_AFTER));
        End(if newest >= recent { newest } else { now_number })
    }
}

/// Several rows of cells as one: side by side, by the greatest or by the sum.
#[must_use]
pub fn combined(rows: &[Vec<Option<u64>>], measure: Measure) -> Vec<Option<u64>> {
    // Every node applies every write, but each answers its own reads and holds its own queue.
    let is_sum = matches!(measure, Measure::Reads | Measure::Queue | Measure::Memory);
    let cells = rows.iter().map(Vec::len).max().unwrap_or(0);
    let cell = |index: usize| {
        let known = rows.iter().filter_map(|row| row.get(index).copied().flatten());
        known.reduce(|a, b| if is_sum { a.saturating_add(b) } else { a.max(b) })
    };
    (0..cells).map(cell).collect()
}

const _: () = assert!(ALL.len() == MEASURES && ALL[MEASURES - 1] as usize == MEASURES - 1);

#[cfg(test)]
mod tests {
    use super::*;

    impl History {
        fn seen(&self, range: Range, measure: Measure, now: Duration, cells: usize) -> Vec<Option<u64>> {
            self.cells(range, measure, End(number(range, now)), cells)
        }
    }

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn the_memory_is_constant() {
        let mut history = History::default();
        for poll in 0..20_000 {
            history.put(at(poll * 250), Measure::Queue, poll);
        }
        assert_eq!(history.held() as u64, 3 * SLOTS);
        history.put(at(u64::MAX / 2), Measure::Queue, 1);
        assert_eq!(history.held(), 3, "a leap leaves nothing but its end");
    }

    #[test]
    fn what_is_unknown_is_no_zero() {
        let mut history = History::default();
        history.put(at(10_000), Measure::Queue, 0);
        history.put(at(20_000), Measure::Queue, 7);
        let cells = history.seen(Range::Minute, Measure::Queue, at(20_000), 120);
        assert_eq!((cells[119], cells[99], cells[100], cells[98]), (Some(7), Some(0), None, None));
        assert_eq!(history.seen(Range::Minute, Measure::Writes, at(20_000), 4), [None; 4]);
        assert!(history.seen(Range::Minute, Measure::Queue, at(90_000), 120).iter().all(Option::is_none));
    }

    #[test]
    fn few_cells_hold_many_slots() {
        let mut history = History::default();
        for second in 0..60 {
            history.put(at(second * 1_000), Measure::Queue, second);
            history.put(at(second * 1_000), Measure::Writes, second % 2 * 100);
        }
        let queue = history.seen(Range::Minute, Measure::Queue, at(59_999), 12);
        assert_eq!(queue, (1..=12).map(|cell| Some(cell * 5 - 1)).collect::<Vec<_>>(), "the greatest of five");
        let writes = history.seen(Range::Minute, Measure::Writes, at(59_999), 6);
        assert!(writes.iter().all(|cell| *cell == Some(50)), "the mean of ten: {writes:?}");
        let coarse = history.seen(Range::TenMinutes, Measure::Queue, at(59_999), 120);
        assert_eq!(coarse.iter().flatten().count(), 12);
    }

    #[test]
    fn cells_do_not_change_while_time_passes_within_one() {
        let mut history = History::default();
        history.put(at(30_000), Measure::Queue, 9);
        let place = |now| history.seen(Range::Minute, Measure::Queue, at(now), 12).iter().position(Option::is_some);
        assert_eq!((place(30_000), place(34_999), place(35_000)), (Some(11), Some(11), Some(10)));
    }

    #[test]
    fn a_slot_that_has_just_begun_is_not_unknown() {
        let (mut history, other) = (History::default(), History::default());
        history.put(at(30_400), Measure::Queue, 9);
        let end = |now| End::of([&history, &other], Range::Minute, at(now)).0;
        assert_eq!((end(30_450), end(30_600), end(31_900), end(32_500)), (60, 60, 60, 65));
    }

    #[test]
    fn rows_are_combined_by_what_they_mean() {
        let rows = [vec![Some(3), None, None], vec![Some(4), Some(5), None]];
        assert_eq!(combined(&rows, Measure::Writes), [Some(4), Some(5), None]);
        assert_eq!(combined(&rows, Measure::Reads), [Some(7), Some(5), None]);
        assert_eq!(combined(&[], Measure::Reads), []);
    }
}
