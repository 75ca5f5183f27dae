//! The part of the log that a node keeps in memory: what is not applied yet, and what followers may still need.
//!
//! Invariants:
//! - The entries are contiguous (I6), and `base` is the zxid directly before the first of them. Everything up to
//!   `base` was committed and applied.
//! - `epoch_ends` ascends by epoch and ends with the last zxid. It knows every epoch of the retained log, and some from
//!   before `base`: an epoch that it forgot while its entries were there could not be found in common with anybody.

use super::Recovered;
use super::record::Entry;
use crate::ids::Zxid;
use crate::limits::EPOCH_ENDS_MAX;
use std::collections::VecDeque;

/// The retained log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct MemoryLog {
    base: Zxid,
    entries: VecDeque<Entry>,
    bytes: usize,
    epoch_ends: Vec<Zxid>,
}

impl MemoryLog {
    /// The log of a node that starts.
    #[must_use]
    pub fn new(recovered: &Recovered) -> MemoryLog {
        let mut log = MemoryLog::default();
        log.reset(recovered.snapshot.zxid);
        recovered.entries.iter().for_each(|entry| log.append(entry.clone()));
        log
    }

    /// The last entry, or what came before the first if there is none.
    #[must_use]
    pub fn last_zxid(&self) -> Zxid {
        self.entries.back().map_or(self.base, Entry::zxid)
    }

    /// The zxid before the first retained entry: a follower that has less needs a snapshot.
    #[must_use]
    pub fn start(&self) -> Zxid {
        self.base
    }

    /// The retained entries, in order.
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = &Entry> + ExactSizeIterator {
        self.entries.iter()
    }

    /// Adds an entry.
    ///
    /// # Panics
    /// If the entry does not follow the last one (I6).
    pub fn append(&mut self, entry: Entry) {
        let (last, next) = (self.last_zxid(), entry.zxid());
        assert!(last.precedes(next), "I6: the log would go from {last} to {next}");
        self.note_end(next);
        self.bytes += entry.record().len();
        self.entries.push_back(entry);
    }

    /// Drops everything after `after`.
    ///
    /// # Panics
    /// If `after` is not in the retained log.
    pub fn truncate(&mut self, after: Zxid) {
        assert!(self.contains(after), "I8: cannot truncate after {after}: the log holds {} on", self.base);
        while self.last_zxid() > after {
            let dropped = self.entries.pop_back().expect("the base is not above a zxid the log contains");
            self.bytes -= dropped.record().len();
        }
        self.epoch_ends.retain(|end| end.epoch() <= after.epoch());
        self.note_end(after);
    }

    /// Starts anew after a snapshot of `zxid`.
    pub fn reset(&mut self, zxid: Zxid) {
        *self = MemoryLog { base: zxid, ..MemoryLog::default() };
        self.note_end(zxid);
    }

    /// Forgets applied entries, up to `applied` at most, until no more than `retain_bytes` are kept.
    pub fn trim(&mut self, applied: Zxid, retain_bytes: usize) {
        while self.bytes > retain_bytes && self.entries.front().is_some_and(|entry| entry.zxid() <= applied) {
            if let Some(dropped) = self.entries.pop_front() {
                self.bytes -= dropped.record().len();
                self.base = dropped.zxid();
            }
        }
        self.forget_old_ends();
    }

    /// Whether the log can be continued from `zxid`: it is `start()` or a retained entry.
    #[must_use]
    pub fn contains(&self, zxid: Zxid) -> bool {
        zxid == self.base
            || self.entries.get(self.position_after(zxid).wrapping_sub(1)).is_some_and(|e| e.zxid() == zxid)
    }

    /// The entries after `after` up to `upto`.
    pub fn range(&self, after: Zxid, upto: Zxid) -> impl ExactSizeIterator<Item = &Entry> {
        let from = self.position_after(after);
        self.entries.range(from..self.position_after(upto).max(from))
    }

    /// The last zxid of the newest epochs, ascending: what a follower tells of its log (rule D4).
    #[must_use]
    pub fn newest_epoch_ends(&self) -> &[Zxid] {
        &self.epoch_ends[self.epoch_ends.len().saturating_sub(EPOCH_ENDS_MAX)..]
    }

    /// The last zxid of each epoch known, ascending.
    #[must_use]
    pub fn epoch_ends(&self) -> &[Zxid] {
        &self.epoch_ends
    }

    /// The point up to which this log and one with `other_ends` are equal (rule S1): the highest epoch present in
    /// both, and within it the smaller counter. Zero if none is known.
    #[must_use]
    pub fn common_point(&self, other_ends: &[Zxid]) -> Zxid {
        let mine = |epoch| self.epoch_ends.iter().find(|end| end.epoch() == epoch);
        let common = other_ends.iter().filter_map(|other| mine(other.epoch()).map(|mine| *mine.min(other)));
        common.max().unwrap_or(Zxid::ZERO)
    }

    fn position_after(&self, zxid: Zxid) -> usize {
        self.entries.partition_point(|entry| entry.zxid() <= zxid)
    }

    fn note_end(&mut self, zxid: Zxid) {
        match self.epoch_ends.last_mut() {
            Some(end) if end.epoch() == zxid.epoch() => *end = zxid,
            _ if zxid > Zxid::ZERO => self.epoch_ends.push(zxid),
            _ => {}
        }
        self.forget_old_ends();
    }

    fn forget_old_ends(&mut self) {
        let too_many = self.epoch_ends.len().saturating_sub(EPOCH_ENDS_MAX);
        if too_many > 0 {
            let before_base = self.epoch_ends.partition_point(|end| end.epoch() < self.base.epoch());
            self.epoch_ends.drain(..too_many.min(before_base));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Epoch;

    fn zxid(epoch: u32, counter: u64) -> Zxid {
        Zxid::new(Epoch(epoch), counter)
    }

    /// A log with the given number of entries, markers included, in each epoch.
    fn log(epochs: &[(u32, u64)]) -> MemoryLog {
        let mut log = MemoryLog::default();
        for (epoch, count) in epochs {
            (0..*count).for_each(|counter| log.append(Entry::new(zxid(*epoch, counter), 0, b"")));
        }
        log
    }

    #[test]
    fn the_common_point_is_the_true_longest_common_prefix() {
        let cases: [(&[_], &[_], Zxid); 6] = [
            (&[(1, 5)], &[(1, 3)], zxid(1, 2)),
            (&[(1, 5), (2, 2)], &[(1, 9)], zxid(1, 4)),
            (&[(1, 5), (3, 2)], &[(1, 4), (2, 7)], zxid(1, 3)),
            (&[(1, 5), (3, 2)], &[(1, 5), (3, 9), (4, 1)], zxid(3, 1)),
            (&[(2, 1)], &[(1, 1)], Zxid::ZERO),
            (&[(1, 1)], &[], Zxid::ZERO),
        ];
        for (mine, other, expected) in cases {
            assert_eq!(log(mine).common_point(log(other).epoch_ends()), expected, "{mine:?} and {other:?}");
            assert_eq!(log(other).common_point(log(mine).epoch_ends()), expected);
        }
    }

    #[test]
    fn epochs_of_the_retained_log_are_not_forgotten_however_many_there_are() {
        let epochs: Vec<(u32, u64)> = (1..=1_000).map(|epoch| (epoch, 2)).collect();
        let mut leader = log(&epochs);
        let follower = log(&epochs[..300]);
        assert_eq!(follower.newest_epoch_ends().len(), EPOCH_ENDS_MAX);
        assert_eq!(leader.common_point(follower.newest_epoch_ends()), zxid(300, 1));
        leader.trim(zxid(500, 1), 0);
        assert_eq!(leader.common_point(&[zxid(500, 1)]), zxid(500, 1), "where the log begins is in it");
        leader.trim(zxid(900, 1), 0);
        assert_eq!((leader.start(), leader.epoch_ends().len()), (zxid(900, 1), EPOCH_ENDS_MAX));
    }

    #[test]
    fn truncation_may_lower_the_epoch() {
        let mut log = log(&[(1, 5), (2, 3)]);
        log.truncate(zxid(1, 2));
        assert_eq!((log.last_zxid(), log.epoch_ends()), (zxid(1, 2), &[zxid(1, 2)][..]));
        log.append(Entry::new(zxid(3, 0), 0, b""));
        assert_eq!(log.epoch_ends(), [zxid(1, 2), zxid(3, 0)]);
        log.truncate(zxid(1, 2));
        log.truncate(Zxid::ZERO);
        assert_eq!((log.last_zxid(), log.epoch_ends().len()), (Zxid::ZERO, 0));
    }

    #[test]
    fn trimming_keeps_what_is_not_applied() {
        let mut log = log(&[(1, 5)]);
        log.trim(zxid(1, 2), 0);
        assert_eq!((log.start(), log.last_zxid()), (zxid(1, 2), zxid(1, 4)));
        assert!(log.contains(zxid(1, 2)) && log.contains(zxid(1, 4)));
        assert!(!log.contains(zxid(1, 1)) && !log.contains(zxid(1, 5)) && !log.contains(Zxid::ZERO));
        assert_eq!(log.range(zxid(1, 3), zxid(9, 9)).map(Entry::zxid).collect::<Vec<_>>(), [zxid(1, 4)]);
        assert_eq!(log.epoch_ends(), [zxid(1, 4)]);
    }

    /// What was truncated is no reason to forget what stands.
    #[test]
    fn as_much_is_kept_as_may_be() {
        let mut log = log(&[(1, 5)]);
        log.truncate(zxid(1, 2));
        let bytes = log.entries().map(|entry| entry.record().len()).sum();
        log.trim(zxid(1, 2), bytes);
        assert_eq!((log.start(), log.entries().len()), (Zxid::ZERO, 3));
        log.trim(zxid(1, 2), bytes - 1);
        assert_eq!((log.start(), log.entries().len()), (zxid(1, 0), 2));
    }

    #[test]
    #[should_panic(expected = "I6")]
    fn a_hole_is_refused() {
        log(&[(1, 2)]).append(Entry::new(zxid(1, 3), 0, b""));
    }
}
