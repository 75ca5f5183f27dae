//! Leadership1/2 and PrimaryIntegrity (`Zab.tla`; rules D5, D6): an epoch has at most one established leader, one
//! process of it, and that leader begins with everything that earlier epochs have committed.

use super::agreement::Agreement;
use super::{Verdict, ensure, find};
use std::collections::BTreeMap;
use zw_core::ids::Epoch;
use zw_core::log::Recovered;

/// Who led which epoch: the node and the incarnation of its process.
#[derive(Default)]
pub struct Leadership {
    leaders: BTreeMap<Epoch, (usize, u32)>,
}

impl Leadership {
    /// A leader writes its marker; `log` is what it has handed to its disk before.
    ///
    /// # Errors
    /// The epoch has another leader, or this one lacks a committed entry.
    pub fn established(
        &mut self,
        node: usize,
        incarnation: u32,
        epoch: Epoch,
        log: &Recovered,
        agreement: &Agreement,
    ) -> Verdict {
        let leader = *self.leaders.entry(epoch).or_insert((node, incarnation));
        ensure!(
            leader == (node, incarnation),
            "Leadership",
            "epoch {epoch} is led by node {} and by node {} (or by two of its processes)",
            leader.0 + 1,
            node + 1
        );
        // A leader that comes too late, when a later epoch has committed already, is harmless: nobody follows it.
        let before = agreement.committed().partition_point(|entry| entry.zxid().epoch() < epoch);
        let Some(last) = agreement.committed()[..before].last() else { return Ok(()) };
        let has = last.zxid() <= log.snapshot.zxid || find(&log.entries, last.zxid()) == Some(last);
        ensure!(
            has,
            "PrimaryIntegrity",
            "node {} leads epoch {epoch} with a log up to {}, without the committed {last:?}",
            node + 1,
            log.last_zxid()
        );
        Ok(())
    }

    /// How many epochs had a leader.
    #[must_use]
    pub fn epochs(&self) -> usize {
        self.leaders.len()
    }
}
