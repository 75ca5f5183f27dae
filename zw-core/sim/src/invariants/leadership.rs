//! Leadership1/2 and PrimaryIntegrity (`Zab.tla`; rules D5, D6): an epoch has at most one established leader, one
//! process of it, and that leader begins with everything that was committed in earlier epochs. What a later epoch has
//! committed meanwhile, of whatever epoch the entry is, nobody expects of a leader that comes too late: nobody follows it.

use super::agreement::Agreement;
use super::{Verdict, ensure, find};
use std::collections::BTreeMap;
use zw_core::ids::{Epoch, Zxid};
use zw_core::log::Recovered;

/// Who led which epoch: the node and the incarnation of its process.
#[derive(Default)]
pub struct Leadership {
    leaders: BTreeMap<Epoch, (usize, u32)>,
    /// The last entry that was first delivered in each epoch.
    committed_in: BTreeMap<Epoch, Zxid>,
}

impl Leadership {
    /// An entry is delivered for the first time, by a node that has promised `epoch`.
    pub fn delivers(&mut self, epoch: Epoch, zxid: Zxid) {
        self.committed_in.insert(epoch, zxid);
    }

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
        let Some(last) = self.committed_in.range(..epoch).map(|(_, last)| *last).max() else { return Ok(()) };
        let Some(last) = agreement.get(last) else { return Ok(()) };
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

    /// The node that leads or led an epoch.
    #[must_use]
    pub fn leader_of(&self, epoch: Epoch) -> Option<usize> {
        self.leaders.get(&epoch).map(|(node, _)| *node)
    }

    /// How many epochs had a leader.
    #[must_use]
    pub fn epochs(&self) -> usize {
        self.leaders.len()
    }
}
