//! What a world remembers: the committed sequence and the leaders; and the properties that need it (protocol.md 2.6).

use super::node::Node;
use super::{NODES, Violation, ensure};
use std::rc::Rc;
use zw_core::ids::{Epoch, NodeId, Zxid};
use zw_core::log::record::Entry;

/// What was ever delivered, and who ever led.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct History {
    /// Each entry, with the epoch in which it was delivered first: an entry may be older than the epoch that commits it.
    committed: Vec<(Entry, Epoch)>,
    /// Each epoch's leader, and the zxids of its log below its marker.
    leaders: Vec<(Epoch, NodeId, Vec<Zxid>)>,
}

impl History {
    /// A history in which nothing was delivered.
    pub(crate) fn of_leaders(leaders: Vec<(Epoch, NodeId, Vec<Zxid>)>) -> History {
        History { committed: Vec::new(), leaders }
    }

    /// How many epochs had a leader.
    pub(crate) fn epochs(&self) -> usize {
        self.leaders.len()
    }

    /// Agreement, PrefixConsistency, CommittedOnQuorum: `node` delivers `entries` after `before`, in `epoch`.
    pub(crate) fn deliver(
        &mut self,
        node: NodeId,
        epoch: Epoch,
        before: Zxid,
        entries: &[Entry],
        nodes: &[Rc<Node>; NODES],
    ) -> Result<(), Violation> {
        let mut before = before;
        for entry in entries {
            let zxid = entry.zxid();
            ensure!(before.precedes(zxid), "PrefixConsistency", "node {node} delivers {zxid} after {before}");
            let at = self.committed.partition_point(|(committed, _)| committed.zxid() <= before);
            match self.committed.get(at) {
                Some((expected, _)) => {
                    ensure!(expected == entry, "Agreement", "node {node} delivers {entry:?}, others {expected:?}");
                }
                None => self.commit(node, epoch, entry, nodes)?,
            }
            before = zxid;
        }
        Ok(())
    }

    /// The first delivery of an entry.
    fn commit(
        &mut self,
        node: NodeId,
        epoch: Epoch,
        entry: &Entry,
        nodes: &[Rc<Node>; NODES],
    ) -> Result<(), Violation> {
        let zxid = entry.zxid();
        let holders = nodes.iter().filter(|node| node.disk.entries.contains(entry)).count();
        let text = "is delivered first while only";
        ensure!(holders > NODES / 2, "CommittedOnQuorum", "{zxid} {text} {holders} disks hold it, by node {node}");
        let lacks = self.leaders.iter().find(|(led, _, log)| *led > epoch && !log.contains(&zxid));
        ensure!(lacks.is_none(), "PrimaryIntegrity", "{zxid} is delivered, but this leader lacks it: {lacks:?}");
        self.committed.push((entry.clone(), epoch));
        Ok(())
    }

    /// Leadership, PrimaryIntegrity: `node` writes the marker of `epoch` behind the entries of `log`.
    pub(crate) fn establish(&mut self, node: NodeId, epoch: Epoch, log: &[Entry]) -> Result<(), Violation> {
        let other = self.leaders.iter().find(|(led, _, _)| *led == epoch);
        ensure!(other.is_none(), "Leadership", "node {node} leads epoch {epoch}, which was led before: {other:?}");
        let missing = self.committed.iter().find(|(entry, at)| *at < epoch && !log.contains(entry));
        ensure!(missing.is_none(), "PrimaryIntegrity", "node {node} leads epoch {epoch} without {missing:?}");
        self.leaders.push((epoch, node, log.iter().map(Entry::zxid).collect()));
        Ok(())
    }

    /// CommittedImmutable: `node` drops `dropped` from its log.
    pub(crate) fn truncate(&self, node: NodeId, dropped: &[Entry]) -> Result<(), Violation> {
        let gone = dropped.iter().find(|entry| self.committed.iter().any(|(committed, _)| committed == *entry));
        ensure!(gone.is_none(), "CommittedImmutable", "node {node} drops the committed {gone:?}");
        Ok(())
    }
}

/// LogMatching: where two logs hold an entry of the same zxid, it is the same entry after the same predecessor.
pub(crate) fn logs_match(one: &Node, other: &Node) -> Result<(), Violation> {
    let (mine, theirs) = (one.log(), other.log());
    for (at, entry) in mine.iter().enumerate() {
        let Some(there) = theirs.iter().position(|e| e.zxid() == entry.zxid()) else { continue };
        let same = theirs[there] == *entry
            && (there == 0 && at == 0 || there > 0 && at > 0 && { theirs[there - 1].zxid() == mine[at - 1].zxid() });
        ensure!(same, "LogMatching", "nodes {} and {} differ at {entry:?}: {mine:?}, {theirs:?}", one.me, other.me);
    }
    Ok(())
}
