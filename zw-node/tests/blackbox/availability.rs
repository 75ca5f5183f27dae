//! How long nobody's write was acknowledged although a majority was up and connected.

use crate::operation::Micros;

/// When a connected majority was there, and when not.
#[derive(Clone, Debug, Default)]
pub(crate) struct Timeline {
    /// From when on it was so; ascending.
    changes: Vec<(Micros, bool)>,
}

impl Timeline {
    /// From `at` on there is a connected majority, or there is none.
    pub(crate) fn note(&mut self, at: Micros, available: bool) {
        if self.changes.last().is_none_or(|(_, before)| *before != available) {
            self.changes.push((at, available));
        }
    }

    /// The longest time between two of `acknowledged`, which are ascending, within one period with a majority; the run
    /// ended at `end`.
    pub(crate) fn longest_gap(&self, acknowledged: &[Micros], end: Micros) -> Micros {
        let ends = self.changes.iter().skip(1).map(|(at, _)| *at).chain([end]);
        let periods = self.changes.iter().zip(ends).filter(|((_, available), _)| *available);
        let gaps = periods.map(|((from, _), to)| {
            let inside = acknowledged.iter().copied().filter(|at| (*from..to).contains(at));
            let marks: Vec<Micros> = [*from].into_iter().chain(inside).chain([to.max(*from)]).collect();
            marks.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(0)
        });
        gaps.max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_time_with_a_majority_counts() {
        let mut timeline = Timeline::default();
        for (at, available) in [(0, true), (100, false), (150, false), (500, true)] {
            timeline.note(at, available);
        }
        assert_eq!(timeline.longest_gap(&[10, 90, 520, 530], 560), 80);
        assert_eq!(timeline.longest_gap(&[10, 50, 90, 560], 700), 140, "to the end");
        assert_eq!(timeline.longest_gap(&[], 510), 100, "from the beginning");
        assert_eq!(Timeline::default().longest_gap(&[], 9), 0);
    }
}
