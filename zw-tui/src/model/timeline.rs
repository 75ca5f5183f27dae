//! The session in one line: a cell for each slice of time, with the epoch that ruled or the gravest thing that happened.

use super::State;
use super::marks::MarkKind;
use std::time::Duration;
use zw_core::ids::Epoch;

/// Lengths of a slice that a person can count with, in seconds. Longer ones are whole hours.
const SLICES: [u64; 12] = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800];
const HOUR: u64 = 3_600;

/// Which times a line of so many cells shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scale {
    /// Where it begins.
    pub start: Duration,
    /// Where it ends; in its last cell.
    pub end: Duration,
    /// The time of one cell.
    pub slice: Duration,
}

/// A cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// The epoch that ruled at its end; none if nobody had led yet.
    pub epoch: Option<Epoch>,
    /// The gravest thing that happened.
    pub mark: Option<MarkKind>,
}

impl Scale {
    /// The times from `start` to `end` in at most `width` cells.
    #[must_use]
    pub fn new(start: Duration, end: Duration, width: u16) -> Scale {
        let end = end.max(start);
        let cells = u64::from(width.max(1));
        let needed = |slice: u64| (end - start).as_secs() / slice + 1;
        let hours = || ((end - start).as_secs() / HOUR / cells + 1) * HOUR;
        let slice = SLICES.into_iter().find(|slice| needed(*slice) <= cells).unwrap_or_else(hours);
        Scale { start, end, slice: Duration::from_secs(slice) }
    }

    /// The cell of a time.
    #[must_use]
    pub fn cell_of(&self, at: Duration) -> usize {
        let at = at.clamp(self.start, self.end);
        usize::try_from((at - self.start).as_secs() / self.slice.as_secs()).unwrap_or(usize::MAX)
    }

    /// The times of a cell: from one to before the other.
    #[must_use]
    pub fn times(&self, cell: usize) -> (Duration, Duration) {
        let from = self.start + self.slice * u32::try_from(cell).unwrap_or(u32::MAX);
        (from, from + self.slice)
    }

    /// How many cells there are.
    #[must_use]
    pub fn cells(&self) -> usize {
        self.cell_of(self.end) + 1
    }
}

/// How long the end of the timeline stands still while nothing happens: a quiet screen is not painted each second for it.
const GROWTH_INTERVAL: Duration = Duration::from_secs(10);

/// When the timeline grows next though nothing happens.
#[must_use]
pub fn next_growth(now: Duration) -> Duration {
    last_growth(now) + GROWTH_INTERVAL
}

fn last_growth(now: Duration) -> Duration {
    GROWTH_INTERVAL * u32::try_from(now.as_secs() / GROWTH_INTERVAL.as_secs()).unwrap_or(u32::MAX)
}

/// The times that the timeline shows. Its end moves with what happens, and now and then.
#[must_use]
pub fn scale(state: &State, now: Duration, width: u16) -> Scale {
    let newest = state.marks.iter().next_back().map_or(Duration::ZERO, |mark| mark.at);
    let end = if state.time.is_past() { state.time.newest.max(now) } else { newest.max(last_growth(now)).min(now) };
    Scale::new(state.time.oldest.min(end), end, width)
}

/// The cells of a scale, the earliest first.
#[must_use]
pub fn cells(state: &State, scale: &Scale) -> Vec<Cell> {
    let cell = |index| {
        let (from, to) = scale.times(index);
        let last = to.saturating_sub(Duration::from_nanos(1)).min(scale.end);
        Cell { epoch: state.marks.epoch_at(last), mark: state.marks.gravest(from, to) }
    };
    (0..scale.cells()).map(cell).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_though_nothing_happens_and_says_when() {
        let state = State::new(vec!["localhost:8080".into()], Vec::new());
        let mut now = Duration::ZERO;
        for step in 1..30 {
            now = next_growth(now);
            assert_eq!(now, GROWTH_INTERVAL * step);
            for at in [now, now + Duration::from_secs(9)] {
                assert_eq!((scale(&state, at, 500).end, next_growth(at)), (now, GROWTH_INTERVAL * (step + 1)));
            }
        }
    }
}
