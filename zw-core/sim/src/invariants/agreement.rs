//! Agreement, TotalOrder and PrefixConsistency (Zab paper, section on properties; `Zab.tla`): there is one sequence of
//! committed entries, and every node delivers it in order, without a hole, from its snapshot on.

use super::{Verdict, ensure, find};
use std::collections::BTreeMap;
use zw_core::ids::Zxid;
use zw_core::log::record::Entry;

const AGREEMENT: &str = "Agreement";
const PREFIX: &str = "PrefixConsistency";

/// The committed sequence, as first delivered by any node, and how far each node is in it.
#[derive(Default)]
pub struct Agreement {
    committed: Vec<Entry>,
    delivered: BTreeMap<usize, Zxid>,
}

impl Agreement {
    /// The committed sequence.
    #[must_use]
    pub fn committed(&self) -> &[Entry] {
        &self.committed
    }

    /// Its end.
    #[must_use]
    pub fn last(&self) -> Zxid {
        self.committed.last().map_or(Zxid::ZERO, Entry::zxid)
    }

    /// The committed entry of `zxid`.
    #[must_use]
    pub fn get(&self, zxid: Zxid) -> Option<&Entry> {
        find(&self.committed, zxid)
    }

    /// How far `node` has delivered.
    #[must_use]
    pub fn delivered_by(&self, node: usize) -> Zxid {
        self.delivered.get(&node).copied().unwrap_or(Zxid::ZERO)
    }

    /// A node starts, or installs a snapshot: its next delivery follows `zxid`.
    ///
    /// # Errors
    /// Nothing committed has this zxid.
    pub fn starts(&mut self, node: usize, zxid: Zxid) -> Verdict {
        let known = zxid == Zxid::ZERO || self.get(zxid).is_some();
        ensure!(known, PREFIX, "node {} has a snapshot of {zxid}, which nobody delivered", node + 1);
        self.delivered.insert(node, zxid);
        Ok(())
    }

    /// A node delivers `entry`; answers whether it is the first to do so.
    ///
    /// # Errors
    /// The entry differs from the committed one, or is not the next for this node.
    pub fn delivers(&mut self, node: usize, entry: &Entry) -> Result<bool, super::Violation> {
        let before = self.delivered_by(node);
        let zxid = entry.zxid();
        let next = self.committed.partition_point(|committed| committed.zxid() <= before);
        self.delivered.insert(node, zxid);
        if let Some(expected) = self.committed.get(next) {
            ensure!(
                expected == entry,
                if expected.zxid() == zxid { AGREEMENT } else { PREFIX },
                "node {} delivers {entry:?} after {before}; committed there is {expected:?}",
                node + 1
            );
            return Ok(false);
        }
        ensure!(before.precedes(zxid), PREFIX, "node {} delivers {zxid} after {before}: a hole", node + 1);
        self.committed.push(entry.clone());
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zw_core::ids::Epoch;

    fn entry(epoch: u32, counter: u64, payload: &[u8]) -> Entry {
        Entry::new(Zxid::new(Epoch(epoch), counter), 0, payload)
    }

    #[test]
    fn other_entries_and_holes_are_noticed() {
        let mut agreement = Agreement::default();
        assert_eq!(agreement.delivers(0, &entry(1, 0, b"")), Ok(true));
        assert_eq!(agreement.delivers(0, &entry(1, 1, b"a")), Ok(true));
        assert_eq!(agreement.delivers(1, &entry(1, 0, b"")), Ok(false));
        assert_eq!(agreement.delivers(1, &entry(1, 1, b"b")).unwrap_err().property, AGREEMENT);
        assert_eq!(agreement.delivers(2, &entry(1, 1, b"a")).unwrap_err().property, PREFIX);
        assert_eq!(agreement.delivers(0, &entry(1, 3, b"c")).unwrap_err().property, PREFIX);
        assert!(agreement.starts(3, Zxid::new(Epoch(1), 9)).is_err());
    }
}
