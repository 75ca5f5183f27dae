//! Monotonic{Promise, Commit, Applied} (openraft; I9, B4): within one process none of them goes back; a promise not
//! even across processes; and a node never believes more than is so.

use super::{Verdict, ensure, find, holds};
use std::collections::BTreeMap;
use zw_core::ids::{Epoch, Zxid};
use zw_core::log::Recovered;
use zw_core::log::record::Promise;
use zw_core::zab::Zab;

/// Where each node stood when last seen.
#[derive(Default)]
pub struct Monotonic {
    nodes: BTreeMap<usize, Seen>,
}

#[derive(Clone, Copy, Default)]
struct Seen {
    promise: Promise,
    durable_promise: Promise,
    committed: Zxid,
    delivered: Zxid,
}

impl Monotonic {
    /// A process starts from `recovered`.
    ///
    /// # Errors
    /// It has forgotten a promise that was durable.
    pub fn starts(&mut self, node: usize, recovered: &Recovered) -> Verdict {
        let seen = self.nodes.entry(node).or_default();
        let (before, after) = (seen.durable_promise, recovered.promise);
        ensure!(
            after == before || after.epoch > before.epoch,
            "MonotonicPromise",
            "node {} starts with {after:?}, {before:?} was durable",
            node + 1
        );
        let snapshot = recovered.snapshot.zxid;
        *seen = Seen { promise: after, durable_promise: after, committed: snapshot, delivered: snapshot };
        Ok(())
    }

    /// A process has taken a step.
    ///
    /// # Errors
    /// Something went back, or the node believes more than is so.
    pub fn stepped(&mut self, node: usize, zab: &Zab, disk: &Recovered, appended: &Recovered) -> Verdict {
        let seen = self.nodes.entry(node).or_default();
        let name = node + 1;
        let promise = zab.promise();
        let kept = promise == seen.promise || promise.epoch > seen.promise.epoch;
        ensure!(kept, "MonotonicPromise", "node {name} goes from {:?} to {promise:?}", seen.promise);
        let (committed, delivered) = (zab.committed(), zab.delivered());
        ensure!(committed >= seen.committed, "MonotonicCommit", "node {name}: {} to {committed}", seen.committed);
        ensure!(delivered >= seen.delivered, "MonotonicApplied", "node {name}: {} to {delivered}", seen.delivered);
        ensure!(delivered <= committed, "MonotonicApplied", "node {name} delivers {delivered} beyond {committed}");
        let durable = zab.durable_zxid();
        // A truncation may have reached the disk while the news of it still waits in the inbox.
        let there = holds(disk, durable) || find(&appended.entries, durable).is_none();
        ensure!(there, "AckImpliesDurable", "node {name} believes that {durable} is on its disk");
        *seen = Seen { promise, durable_promise: disk.promise, committed, delivered };
        Ok(())
    }

    /// A process opens for writes in `epoch` (rule S5).
    ///
    /// # Errors
    /// It has not applied what the leader began with.
    pub fn serves(node: usize, epoch: Epoch, applied: Zxid) -> Verdict {
        ensure!(
            applied >= Zxid::marker(epoch),
            "ServeImpliesApplied",
            "node {} serves in epoch {epoch} having applied {applied}",
            node + 1
        );
        Ok(())
    }
}
