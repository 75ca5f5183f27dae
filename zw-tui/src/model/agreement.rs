//! Whether the replicas are equal: digests of the trees at one zxid, from whichever nodes were seen there.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use zw_core::ids::Zxid;

/// Zxids whose digests are remembered.
const ZXIDS_MAX: usize = 64;

/// The digests that were seen.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Agreement {
    /// The digest at a zxid, and who was seen with it first.
    seen: BTreeMap<Zxid, (u64, usize)>,
    compared: u64,
    violations: u64,
    first: Option<String>,
}

impl Agreement {
    /// Takes what a node, counted from 0, says it has applied; gives the evidence if another had something else there.
    pub fn take(&mut self, node: usize, zxid: Zxid, digest: u64) -> Option<String> {
        match self.seen.get(&zxid) {
            None => {
                self.seen.insert(zxid, (digest, node));
                if self.seen.len() > ZXIDS_MAX {
                    self.seen.pop_first();
                }
                None
            }
            Some((_, other)) if *other == node => None,
            Some((known, _)) if *known == digest => {
                self.compared += 1;
                None
            }
            Some((known, other)) => {
                self.violations += 1;
                let (node, other) = (node + 1, other + 1);
                let evidence = format!(
                    "the trees differ at {zxid}: n{other} has the digest {known:016x}, n{node} has {digest:016x}"
                );
                self.first.get_or_insert_with(|| evidence.clone());
                Some(evidence)
            }
        }
    }

    /// How often two nodes were seen at the same zxid with the same digest.
    #[must_use]
    pub fn compared(&self) -> u64 {
        self.compared
    }

    /// How often they had different ones.
    #[must_use]
    pub fn violations(&self) -> u64 {
        self.violations
    }

    /// The evidence of the first time.
    #[must_use]
    pub fn first(&self) -> Option<&str> {
        self.first.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zw_core::ids::Epoch;

    #[test]
    fn two_trees_at_one_zxid_are_compared_and_the_list_is_bounded() {
        let at = |counter| Zxid::new(Epoch(1), counter);
        let mut agreement = Agreement::default();
        assert_eq!(agreement.take(0, at(5), 7), None);
        assert_eq!(agreement.take(0, at(5), 7), None);
        assert_eq!(agreement.compared(), 0, "a node is not compared with itself");
        assert_eq!(agreement.take(1, at(5), 7), None);
        assert_eq!((agreement.compared(), agreement.violations()), (1, 0));
        let evidence = agreement.take(2, at(5), 8).unwrap();
        assert!(evidence.contains("differ at 1:5: n1 has") && evidence.contains("n3 has"), "{evidence}");
        assert_eq!((agreement.violations(), agreement.first()), (1, Some(evidence.as_str())));
        (0..2_000).for_each(|counter| drop(agreement.take(0, at(counter), counter)));
        assert!(agreement.seen.len() <= ZXIDS_MAX);
    }
}
