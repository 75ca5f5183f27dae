//! What the log knows about itself while it runs: where it stands, and which segments it can do without.
//!
//! Invariants:
//! - `runs` are the entries that stand after `base`, ascending, one run of contiguous zxids per element.
//! - A segment that [`Segment::can_start`] can be the first of the log: replaying from its start gives the same result
//!   as replaying from the beginning, once a snapshot at or above [`Segment::last`] is recorded.

use super::block::Start;
use super::record::{Promise, Record, SnapshotId};
use crate::ids::{NodeId, Zxid};

/// The state of a log, without its entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outline {
    promise: Promise,
    snapshot: SnapshotId,
    second: Option<SnapshotId>,
    base: Zxid,
    runs: Vec<Run>,
    segments: Vec<Segment>,
}

/// A segment as the outline sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Its place in the order of segments.
    pub sequence: u64,
    /// The last entry that stood when it began.
    pub last: Zxid,
    /// Whether the log can be replayed from here: nothing in or after it went back below `last`.
    pub can_start: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    first: Zxid,
    last: Zxid,
}

impl Outline {
    /// The outline of a log whose first segment is `sequence` and begins with `start`.
    #[must_use]
    pub fn new(sequence: u64, start: &Start) -> Outline {
        Outline {
            promise: start.promise,
            snapshot: start.snapshot,
            second: None,
            base: start.last,
            runs: Vec::new(),
            segments: vec![Segment { sequence, last: start.last, can_start: true }],
        }
    }

    /// The last entry that stands.
    #[must_use]
    pub fn last(&self) -> Zxid {
        self.runs.last().map_or(self.base, |run| run.last)
    }

    /// The newest snapshot recorded.
    #[must_use]
    pub fn snapshot(&self) -> SnapshotId {
        self.snapshot
    }

    /// The snapshot recorded before the newest, if it is known.
    #[must_use]
    pub fn second_snapshot(&self) -> Option<SnapshotId> {
        self.second
    }

    /// The segments, oldest first.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// What a segment that begins now must say.
    #[must_use]
    pub fn start(&self, node: NodeId) -> Start {
        Start { node, promise: self.promise, last: self.last(), snapshot: self.snapshot }
    }

    /// A segment begins.
    ///
    /// # Panics
    /// If it is not the next one.
    pub fn begin_segment(&mut self, sequence: u64) {
        let newest = self.segments.last().map_or(0, |segment| segment.sequence);
        assert_eq!(sequence, newest + 1, "segments follow one another");
        self.segments.push(Segment { sequence, last: self.last(), can_start: true });
    }

    /// Takes in the next record.
    pub fn apply(&mut self, record: &Record) {
        match record {
            Record::Promise(promise) => self.promise = *promise,
            Record::Entry(entry) => self.push(entry.zxid()),
            Record::Truncate { after } => self.go_back(*after),
            Record::Snapshot(snapshot) => self.record_snapshot(*snapshot),
        }
    }

    /// The segments that are not needed to replay everything after `snapshot`, oldest first. The newest always stays.
    #[must_use]
    pub fn purgeable(&self, snapshot: SnapshotId) -> Vec<u64> {
        let first = self.segments.iter().rposition(|s| s.can_start && s.last <= snapshot.zxid).unwrap_or(0);
        self.segments[..first].iter().map(|segment| segment.sequence).collect()
    }

    /// Forgets a segment that was dropped.
    pub fn forget(&mut self, sequence: u64) {
        self.segments.retain(|segment| segment.sequence != sequence);
    }

    fn push(&mut self, zxid: Zxid) {
        match self.runs.last_mut() {
            Some(run) if run.last.successor() == Some(zxid) => run.last = zxid,
            _ => self.runs.push(Run { first: zxid, last: zxid }),
        }
    }

    fn contains(&self, zxid: Zxid) -> bool {
        zxid == self.base || self.runs.iter().any(|run| (run.first..=run.last).contains(&zxid))
    }

    /// Everything after `zxid` is void, and perhaps `zxid` lies before what is known here.
    fn go_back(&mut self, zxid: Zxid) {
        self.runs.retain(|run| run.first <= zxid);
        if let Some(run) = self.runs.last_mut() {
            run.last = run.last.min(zxid);
        }
        self.base = self.base.min(zxid);
        for segment in self.segments.iter_mut().filter(|segment| segment.last > zxid) {
            segment.can_start = false;
        }
    }

    fn record_snapshot(&mut self, snapshot: SnapshotId) {
        if snapshot.zxid < self.snapshot.zxid {
            return;
        }
        if self.contains(snapshot.zxid) {
            self.runs.retain(|run| run.last > snapshot.zxid);
            if let Some(run) = self.runs.first_mut().filter(|run| run.first <= snapshot.zxid) {
                run.first = snapshot.zxid.successor().expect("the run goes on after the snapshot");
            }
        } else {
            self.go_back(snapshot.zxid);
            self.runs.clear();
        }
        self.base = snapshot.zxid;
        if snapshot.zxid > self.snapshot.zxid {
            self.second = (self.snapshot.zxid > Zxid::ZERO).then_some(self.snapshot);
        }
        self.snapshot = snapshot;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Epoch;
    use crate::log::record::Entry;

    fn zxid(epoch: u32, counter: u64) -> Zxid {
        Zxid::new(Epoch(epoch), counter)
    }

    fn entry(epoch: u32, counter: u64) -> Record {
        Record::Entry(Entry::new(zxid(epoch, counter), 0, b""))
    }

    fn snapshot(epoch: u32, counter: u64) -> SnapshotId {
        SnapshotId { zxid: zxid(epoch, counter), digest: 1 }
    }

    fn empty() -> Outline {
        let start =
            Start { node: NodeId(1), promise: Promise::default(), last: Zxid::ZERO, snapshot: SnapshotId::default() };
        Outline::new(1, &start)
    }

    /// Segments of the entries (1,0) .. (1,9), (1,10) .. (1,19), and so on.
    fn filled(segments: u64) -> Outline {
        let mut outline = empty();
        for segment in 0..segments {
            if segment > 0 {
                outline.begin_segment(segment + 1);
            }
            (0..10).for_each(|counter| outline.apply(&entry(1, segment * 10 + counter)));
        }
        outline
    }

    #[test]
    fn segments_wholly_below_the_snapshot_can_go() {
        let mut outline = filled(4);
        for (counter, expected) in [(8, 0), (9, 1), (18, 1), (19, 2), (39, 3)] {
            let expected: Vec<u64> = (1..=expected).collect();
            assert_eq!(outline.purgeable(snapshot(1, counter)), expected, "below {counter}");
        }
        outline.apply(&Record::Snapshot(snapshot(1, 19)));
        outline.apply(&Record::Snapshot(snapshot(1, 25)));
        assert_eq!(outline.second_snapshot(), Some(snapshot(1, 19)));
        assert_eq!(outline.last(), zxid(1, 39));
    }

    #[test]
    fn a_segment_that_goes_back_behind_its_start_cannot_be_the_first() {
        let mut outline = filled(3);
        outline.apply(&Record::Truncate { after: zxid(1, 15) });
        outline.apply(&entry(2, 0));
        assert_eq!(outline.last(), zxid(2, 0));
        let purgeable = outline.purgeable(snapshot(2, 0));
        assert_eq!(purgeable, [1], "segment 3 begins at 1:19, which did not last");
    }

    #[test]
    fn a_segment_that_goes_back_to_its_start_still_can_be_the_first() {
        let mut outline = filled(3);
        outline.apply(&Record::Truncate { after: zxid(1, 19) });
        assert_eq!(outline.purgeable(snapshot(1, 19)), [1, 2]);
    }

    /// Else the outline would be as large as the log.
    #[test]
    fn entries_that_follow_one_another_are_one_run() {
        let mut outline = filled(3);
        outline.apply(&entry(2, 0));
        assert_eq!(outline.runs.len(), 2);
        outline.apply(&Record::Snapshot(snapshot(2, 0)));
        assert_eq!(outline.runs.len(), 0, "nothing is left after the snapshot");
    }

    #[test]
    fn the_two_newest_snapshots_are_known() {
        let mut outline = filled(2);
        let mut known = |snapshot| {
            outline.apply(&Record::Snapshot(snapshot));
            (outline.snapshot(), outline.second_snapshot())
        };
        let [first, second] = [snapshot(1, 3), snapshot(1, 5)];
        assert_eq!(known(first), (first, None));
        assert_eq!(known(second), (second, Some(first)));
        assert_eq!(known(second), (second, Some(first)), "it is recorded twice, and still one");
        assert_eq!(known(first), (second, Some(first)), "one that comes late is none");
        let installed = SnapshotId { digest: 2, ..second };
        assert_eq!(known(installed), (installed, Some(first)), "the one that was recorded last counts");
    }

    #[test]
    fn a_segment_that_is_forgotten_is_gone() {
        let mut outline = filled(3);
        outline.forget(1);
        assert_eq!(outline.segments().iter().map(|segment| segment.sequence).collect::<Vec<_>>(), [2, 3]);
        assert_eq!(outline.purgeable(snapshot(1, 29)), [2]);
    }

    #[test]
    fn an_installed_snapshot_replaces_the_tail_and_an_own_one_keeps_it() {
        let mut own = filled(3);
        own.apply(&Record::Snapshot(snapshot(1, 15)));
        assert_eq!((own.last(), own.contains(zxid(1, 16)), own.contains(zxid(1, 14))), (zxid(1, 29), true, false));
        let mut installed = filled(2);
        installed.apply(&entry(5, 0));
        installed.begin_segment(3);
        installed.apply(&Record::Snapshot(snapshot(4, 9)));
        assert_eq!(installed.last(), zxid(4, 9));
        assert_eq!(installed.purgeable(snapshot(4, 9)), [1], "segment 3 begins at 5:0, which did not last");
    }
}
