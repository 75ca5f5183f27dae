//! The log: what a node must not forget, as one ordered stream of records, and how bytes become records again.
//!
//! Everything here is pure: bytes in, records out. Files belong to `zw-node`.

pub mod block;
pub mod memory;
pub mod outline;
pub mod record;
pub mod recover;
pub mod tail;

use crate::ids::Zxid;
use record::{Entry, Promise, Record, SnapshotId};
use thiserror::Error;

/// What the records of a log amount to: where a node stands when it starts.
///
/// Invariants:
/// - `entries` are contiguous, and the first follows `snapshot.zxid` (I6).
/// - `promise.epoch` is at least the epoch of every entry: nothing is accepted that was not promised first (I9).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Recovered {
    /// The last promise.
    pub promise: Promise,
    /// The newest snapshot, or the empty tree at zxid zero.
    pub snapshot: SnapshotId,
    /// All entries after the snapshot.
    pub entries: Vec<Entry>,
}

/// Records that no correct node could have written in this order: a defect, or a log put together by hand.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ReplayError {
    /// A hole, or an entry that was there before.
    #[error("the log goes from {last} to {next}: a record is missing or repeated")]
    Gap {
        /// The entry before.
        last: Zxid,
        /// The entry found.
        next: Zxid,
    },
    /// A promise went back.
    #[error("the log takes back its promise {earlier:?} for {later:?}")]
    Promise {
        /// The promise before.
        earlier: Promise,
        /// The promise found.
        later: Promise,
    },
    /// A snapshot older than one before it.
    #[error("the log goes back from the snapshot {earlier} to {later}")]
    Snapshot {
        /// The snapshot before.
        earlier: Zxid,
        /// The snapshot found.
        later: Zxid,
    },
    /// A truncation beyond the end, or into a snapshot.
    #[error("the log is truncated after {after}, outside {from} to {last}")]
    Truncate {
        /// The last entry that was to stand.
        after: Zxid,
        /// The newest snapshot.
        from: Zxid,
        /// The last entry.
        last: Zxid,
    },
}

impl Recovered {
    /// The last entry, or the snapshot where there is none after it.
    #[must_use]
    pub fn last_zxid(&self) -> Zxid {
        self.entries.last().map_or(self.snapshot.zxid, Entry::zxid)
    }

    /// Takes in the next record of the stream.
    ///
    /// # Errors
    /// The record cannot follow what came before.
    pub fn replay(&mut self, record: Record) -> Result<(), ReplayError> {
        let last = self.last_zxid();
        match record {
            Record::Promise(later) => {
                let earlier = self.promise;
                if later.epoch < earlier.epoch || (later.epoch == earlier.epoch && later != earlier) {
                    return Err(ReplayError::Promise { earlier, later });
                }
                self.promise = later;
            }
            Record::Entry(entry) => {
                if !last.precedes(entry.zxid()) {
                    return Err(ReplayError::Gap { last, next: entry.zxid() });
                }
                self.entries.push(entry);
            }
            Record::Truncate { after } => {
                let from = self.snapshot.zxid;
                let keep = self.entries.partition_point(|entry| entry.zxid() <= after);
                let stands = keep.checked_sub(1).map_or(from, |index| self.entries[index].zxid());
                if stands != after {
                    return Err(ReplayError::Truncate { after, from, last });
                }
                self.entries.truncate(keep);
            }
            Record::Snapshot(snapshot) => {
                // A snapshot of this node's own tree keeps the entries after it; one that was installed lies beyond
                // the log's end, or beside a tail that it replaces, and starts the log anew.
                if snapshot.zxid < self.snapshot.zxid {
                    return Err(ReplayError::Snapshot { earlier: self.snapshot.zxid, later: snapshot.zxid });
                }
                let at = self.entries.partition_point(|entry| entry.zxid() <= snapshot.zxid);
                let own = at > 0 && self.entries[at - 1].zxid() == snapshot.zxid;
                let keep = if own || snapshot.zxid == self.snapshot.zxid { at } else { self.entries.len() };
                self.entries.drain(..keep);
                self.snapshot = snapshot;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Epoch, NodeId};

    fn zxid(epoch: u32, counter: u64) -> Zxid {
        Zxid::new(Epoch(epoch), counter)
    }

    fn entry(epoch: u32, counter: u64) -> Record {
        Record::Entry(Entry::new(zxid(epoch, counter), 0, b""))
    }

    fn promise(epoch: u32, leader: u16) -> Record {
        Record::Promise(Promise { epoch: Epoch(epoch), leader: NodeId(leader) })
    }

    fn snapshot(epoch: u32, counter: u64) -> Record {
        Record::Snapshot(SnapshotId { zxid: zxid(epoch, counter), digest: 1 })
    }

    fn replayed(records: Vec<Record>) -> Result<Recovered, ReplayError> {
        let mut recovered = Recovered::default();
        records.into_iter().try_for_each(|record| recovered.replay(record)).map(|()| recovered)
    }

    #[test]
    fn a_truncated_tail_is_replaced() {
        let records = vec![promise(1, 1), entry(1, 0), entry(1, 1), entry(1, 2), promise(2, 2)];
        let after = Record::Truncate { after: zxid(1, 1) };
        let recovered = replayed([records, vec![after, entry(2, 0)]].concat()).unwrap();
        assert_eq!(recovered.entries.iter().map(Entry::zxid).collect::<Vec<_>>(), [zxid(1, 0), zxid(1, 1), zxid(2, 0)]);
        assert_eq!(recovered.promise, Promise { epoch: Epoch(2), leader: NodeId(2) });
    }

    #[test]
    fn an_own_snapshot_keeps_what_follows_and_an_installed_one_does_not() {
        let records = vec![promise(1, 1), entry(1, 0), entry(1, 1), entry(1, 2)];
        let own = replayed([records.clone(), vec![snapshot(1, 1)]].concat()).unwrap();
        assert_eq!((own.snapshot.zxid, own.last_zxid(), own.entries.len()), (zxid(1, 1), zxid(1, 2), 1));
        let installed = replayed([records, vec![snapshot(3, 7), entry(3, 8)]].concat()).unwrap();
        assert_eq!((installed.snapshot.zxid, installed.last_zxid()), (zxid(3, 7), zxid(3, 8)));
    }

    #[test]
    fn a_promise_may_be_written_again() {
        assert!(replayed(vec![promise(2, 1), promise(2, 1), promise(3, 1)]).is_ok());
    }

    #[test]
    fn impossible_orders_are_errors() {
        let start = || vec![promise(2, 1), entry(2, 0)];
        for wrong in [
            vec![entry(2, 0)],
            vec![entry(2, 2)],
            vec![entry(3, 1)],
            vec![promise(1, 1)],
            vec![promise(2, 2)],
            vec![Record::Truncate { after: zxid(2, 1) }],
            vec![snapshot(2, 0), Record::Truncate { after: Zxid::ZERO }],
            vec![snapshot(2, 0), snapshot(1, 9)],
        ] {
            assert!(replayed([start(), wrong.clone()].concat()).is_err(), "{wrong:?} was accepted");
        }
    }
}
