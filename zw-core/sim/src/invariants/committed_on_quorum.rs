//! CommittedOnQuorum (openraft; rule B3): when an entry is first delivered anywhere, it is on a quorum of true disks.

use super::{Verdict, ensure, find};
use zw_core::ensemble::Ensemble;
use zw_core::ids::NodeId;
use zw_core::log::Recovered;
use zw_core::log::record::Entry;

/// Checks the first delivery of `entry` against all disks, in the order of the members.
///
/// # Errors
/// Too few disks hold it.
pub fn check<'a>(entry: &Entry, ensemble: &Ensemble, disks: impl Iterator<Item = &'a Recovered>) -> Verdict {
    let zxid = entry.zxid();
    let on_disk = |log: &Recovered| zxid <= log.snapshot.zxid || find(&log.entries, zxid) == Some(entry);
    let holders: Vec<NodeId> = ensemble.ids().zip(disks).filter(|(_, log)| on_disk(log)).map(|(id, _)| id).collect();
    ensure!(
        ensemble.contains_quorum(holders.iter().copied()),
        "CommittedOnQuorum",
        "{zxid} is delivered, but only on the disks of {holders:?} of {} members",
        ensemble.size()
    );
    Ok(())
}
