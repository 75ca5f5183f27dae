//! What the disks must amount to at the end of a world, all of them together.
//!
//! - Where two logs hold an entry of the same zxid, they hold the same bytes.
//! - A snapshot and the committed entries after it lead to the tree that everybody has.
//! - Reading a log twice is reading it once (see `Disk::check_recovery`; and after each power loss once more with a
//!   recovery that is itself cut short).

use crate::invariants::{Verdict, Violation, ensure};
use crate::world::World;
use std::collections::BTreeMap;
use zw_core::ids::Zxid;

impl World {
    /// Checks all disks that nothing has damaged.
    pub(crate) fn check_disks(&self) -> Verdict {
        self.logs_hold_equal_bytes()?;
        for (node, home) in self.nodes.iter().enumerate().filter(|(_, home)| !home.disk.is_damaged()) {
            home.disk.check_recovery().map_err(|wrong| Violation::new("LogRecovery", wrong))?;
            self.snapshot_and_log_lead_to_the_tree(node)?;
        }
        Ok(())
    }

    fn logs_hold_equal_bytes(&self) -> Verdict {
        let mut known: BTreeMap<Zxid, (usize, &[u8])> = BTreeMap::new();
        for (node, home) in self.nodes.iter().enumerate() {
            for entry in
                home.disk.durable().entries.iter().filter(|entry| entry.zxid() <= self.invariants.agreement.last())
            {
                // What is committed: beyond it a log may hold what nobody will ever see.
                if self.invariants.agreement.get(entry.zxid()) != Some(entry) {
                    continue;
                }
                let (first, bytes) = *known.entry(entry.zxid()).or_insert((node, entry.record()));
                ensure!(
                    bytes == &entry.record()[..],
                    "LogBytes",
                    "nodes {} and {} hold {} in different bytes",
                    first + 1,
                    node + 1,
                    entry.zxid()
                );
            }
        }
        Ok(())
    }

    fn snapshot_and_log_lead_to_the_tree(&self, node: usize) -> Verdict {
        let home = &self.nodes[node];
        let (last, log) = (self.invariants.agreement.last(), home.disk.durable());
        let Some(mut tree) = home.disk.snapshot(log.snapshot) else {
            return Err(Violation::new("SnapshotDurable", format!("node {} lost {:?}", node + 1, log.snapshot)));
        };
        for entry in log.entries.iter().filter(|entry| entry.zxid() <= last) {
            tree.apply_entry(entry);
            self.invariants.digests.claims(node, entry.zxid(), tree.digest())?;
        }
        // The oldest file that is still there, with everything that was committed since.
        let Some((snapshot, mut tree)) = home.disk.oldest_snapshot() else { return Ok(()) };
        let committed = self.invariants.agreement.committed();
        let after = committed.partition_point(|entry| entry.zxid() <= snapshot.zxid);
        committed[after..].iter().for_each(|entry| drop(tree.apply_entry(entry)));
        self.invariants.digests.claims(node, last, tree.digest())
    }
}
