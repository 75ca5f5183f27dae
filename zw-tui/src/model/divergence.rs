//! Whether all nodes hold the same tree: digests of one zxid are held against each other, whenever they came in.
//!
//! The tree at a zxid is the same for ever, so an answer of now may be held against one of long ago. Two digests of one
//! zxid that differ are a defect or a damaged memory; the mark stays until the node is started anew.

use super::replication::Divergence;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use zw_core::ids::{NodeId, Zxid};

/// Zxids whose digests are kept: as many as the nodes pass in a few seconds of answers.
const KEPT: usize = 256;

/// The digests that the nodes told.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Digests(BTreeMap<Zxid, (u64, NodeId)>);

impl Digests {
    /// Takes a digest; gives the node that told another one of the same zxid.
    pub fn take(&mut self, node: NodeId, zxid: Zxid, digest: u64) -> Option<Divergence> {
        if let Some((known, by)) = self.0.get(&zxid) {
            return (*known != digest && *by != node).then_some(Divergence { zxid, other: *by });
        }
        if self.0.len() == KEPT {
            // A node that is far behind must not push out what the others pass now.
            if self.0.first_key_value().is_some_and(|(oldest, _)| zxid < *oldest) {
                return None;
            }
            self.0.pop_first();
        }
        self.0.insert(zxid, (digest, node));
        None
    }

    /// Forgets what a node told: it begins anew, with another tree perhaps.
    pub fn forget(&mut self, node: NodeId) {
        self.0.retain(|_, (_, by)| *by != node);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unlike_digests_of_one_zxid_are_found_whenever_they_come() {
        let mut digests = Digests::default();
        assert_eq!(digests.take(NodeId(1), Zxid(5), 10), None);
        assert_eq!(digests.take(NodeId(2), Zxid(6), 11), None);
        assert_eq!(digests.take(NodeId(3), Zxid(5), 10), None);
        let found = digests.take(NodeId(3), Zxid(6), 12);
        assert_eq!(found, Some(Divergence { zxid: Zxid(6), other: NodeId(2) }));
        digests.forget(NodeId(2));
        assert_eq!(digests.take(NodeId(3), Zxid(6), 12), None, "the other begins anew");
    }

    #[test]
    fn they_are_bounded_and_a_laggard_pushes_nothing_out() {
        let mut digests = Digests::default();
        for zxid in 1_000..2_000 {
            digests.take(NodeId(1), Zxid(zxid), zxid);
        }
        assert_eq!(digests.0.len(), KEPT);
        assert_eq!(digests.take(NodeId(2), Zxid(3), 7), None);
        assert_eq!(digests.0.len(), KEPT);
        assert!(digests.take(NodeId(2), Zxid(1_999), 7).is_some());
    }
}
