//! Integrity (Zab paper): what is delivered was proposed, and is delivered at most once; LocalPrimaryOrder: what one
//! process proposed is committed in the order it was proposed. Ours: what was refused is never committed.

use super::{Verdict, ensure};
use std::collections::{BTreeMap, BTreeSet};
use zw_core::ids::{NodeId, Zxid};

const INTEGRITY: &str = "Integrity";
const ORDER: &str = "LocalPrimaryOrder";
const REFUSED: &str = "RefusedNeverCommitted";

/// The names of all writes: the node that took it, and its tag there.
#[derive(Default)]
pub struct Integrity {
    proposed: BTreeSet<(NodeId, u64)>,
    refused: BTreeSet<(NodeId, u64)>,
    committed: BTreeMap<(NodeId, u64), Zxid>,
    /// Per node and incarnation (the tag's high half), the last tag committed.
    last: BTreeMap<(NodeId, u64), u64>,
}

impl Integrity {
    /// A process gives a write to the protocol.
    pub fn proposes(&mut self, node: NodeId, tag: u64) {
        self.proposed.insert((node, tag));
    }

    /// Whether this is a write, not a barrier.
    #[must_use]
    pub fn knows(&self, node: NodeId, tag: u64) -> bool {
        self.proposed.contains(&(node, tag))
    }

    /// The protocol refuses a write for certain.
    ///
    /// # Errors
    /// It was committed, or never proposed.
    pub fn refuses(&mut self, node: NodeId, tag: u64) -> Verdict {
        self.refused.insert((node, tag));
        ensure!(self.proposed.contains(&(node, tag)), INTEGRITY, "node {node} refuses tag {tag:x}, never proposed");
        let zxid = self.committed.get(&(node, tag));
        ensure!(zxid.is_none(), REFUSED, "node {node} refuses tag {tag:x}, committed as {zxid:?}");
        Ok(())
    }

    /// A write is committed.
    ///
    /// # Errors
    /// Nobody proposed it, it was refused, it was committed before, or one that was proposed later was.
    pub fn commits(&mut self, node: NodeId, tag: u64, zxid: Zxid) -> Verdict {
        ensure!(self.proposed.contains(&(node, tag)), INTEGRITY, "{zxid} has tag {tag:x} of {node}, never proposed");
        ensure!(!self.refused.contains(&(node, tag)), REFUSED, "{zxid} has tag {tag:x} of {node}, which was refused");
        let before = self.committed.insert((node, tag), zxid);
        ensure!(before.is_none(), INTEGRITY, "tag {tag:x} of {node} is committed as {zxid} and as {before:?}");
        let last = self.last.insert((node, tag >> 32), tag).unwrap_or(0);
        ensure!(last < tag, ORDER, "{zxid} commits tag {tag:x} of {node} after its later tag {last:x}");
        Ok(())
    }

    /// Where a write was committed.
    #[must_use]
    pub fn zxid_of(&self, node: NodeId, tag: u64) -> Option<Zxid> {
        self.committed.get(&(node, tag)).copied()
    }
}
