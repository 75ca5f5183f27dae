//! Snapshots of the tree, taken by a thread of their own while the node goes on.
//!
//! Invariants:
//! - A snapshot is of one zxid: the tree is cloned, which shares what does not change, and the clone is written.
//! - One at a time. The next begins when the log since the last one is longer than the interval and than that snapshot,
//!   so that writing snapshots never costs more than writing the log.
//! - Members wait for different lengths, so that they do not all write snapshots at once (as ZooKeeper's `snapCount`,
//!   of which each server takes a random part).

use super::inbox::{CoreInput, Waiter};
use super::locks::read;
use super::node::Node;
use super::trace::Facts;
use crate::snapshots::SnapshotStore;
use std::sync::Arc;
use zw_core::ids::NodeId;
use zw_core::limits::MEMBERS_MAX;
use zw_core::log::record::SnapshotId;
use zw_core::wire::admin::TraceKind;

/// The core's side of it.
pub(super) struct Snapshotter {
    store: Arc<SnapshotStore>,
    /// This node's own: see [`staggered`].
    interval_bytes: u64,
    /// Log bytes since the last snapshot began.
    logged_bytes: u64,
    /// Log bytes that the size of the last snapshot demands before the next, staggered like the interval.
    last_bytes: u64,
    me: NodeId,
    running: bool,
    /// The newest snapshot that the log builds on, or may build on.
    current: SnapshotId,
    waiters: Vec<Waiter>,
}

impl Snapshotter {
    /// Of the node `me`; `current` is the snapshot that it started from.
    pub(super) fn new(store: SnapshotStore, interval_bytes: u64, me: NodeId, current: SnapshotId) -> Snapshotter {
        let store = Arc::new(store);
        Snapshotter {
            store,
            interval_bytes: staggered(interval_bytes, me),
            logged_bytes: 0,
            last_bytes: 0,
            me,
            running: false,
            current,
            waiters: Vec::new(),
        }
    }

    /// The files.
    pub(super) fn store(&self) -> Arc<SnapshotStore> {
        self.store.clone()
    }

    /// Counts bytes that went to the log. Whether it is time for a snapshot.
    pub(super) fn logged(&mut self, bytes: u64) -> bool {
        self.logged_bytes += bytes;
        !self.running && self.logged_bytes > self.interval_bytes.max(self.last_bytes)
    }

    /// Begins a snapshot, unless one is under way.
    pub(super) fn ask(&mut self, node: &Arc<Node>, waiter: Option<Waiter>) {
        self.waiters.extend(waiter);
        if self.running {
            return;
        }
        self.running = true;
        self.logged_bytes = 0;
        let (failing, node, store) = (node.clone(), node.clone(), self.store.clone());
        let work = move || {
            let tree = read(&node.tree).clone();
            let taken = store.write(tree).map_err(|error| error.to_string());
            if let Ok((snapshot, _)) = &taken {
                let facts = Facts { zxid: snapshot.zxid, text: "taken".into(), ..Facts::default() };
                node.trace.record(TraceKind::Snapshot, facts);
            }
            node.inbox.push(CoreInput::SnapshotTaken(taken));
        };
        let spawned = std::thread::Builder::new().name("snapshot".into()).spawn(work);
        if let Err(error) = spawned {
            // As any other failure: logged, and told to those who wait.
            failing.inbox.push(CoreInput::SnapshotTaken(Err(format!("no thread can be started: {error}"))));
        }
    }

    /// The snapshot under way ended. Who waited for it.
    pub(super) fn taken(&mut self, taken: &Result<(SnapshotId, u64), String>) -> Vec<Waiter> {
        self.running = false;
        match taken {
            Ok((snapshot, bytes)) => {
                self.last_bytes = staggered(*bytes, self.me);
                self.note_current(*snapshot);
                tracing::info!(zxid = %snapshot.zxid, bytes, "snapshot taken");
            }
            Err(error) => tracing::error!(error, "no snapshot taken; the log is kept instead"),
        }
        std::mem::take(&mut self.waiters)
    }

    /// A snapshot of another node became the tree.
    pub(super) fn installed(&mut self, snapshot: SnapshotId) {
        self.note_current(snapshot);
        self.logged_bytes = 0;
    }

    fn note_current(&mut self, snapshot: SnapshotId) {
        if snapshot.zxid > self.current.zxid {
            self.current = snapshot;
        }
    }

    /// A received snapshot is of no use. One that the log may build on stays: the store removes old files by itself.
    pub(super) fn discard(&self, snapshot: SnapshotId) {
        if snapshot.zxid <= self.current.zxid {
            return;
        }
        if let Err(error) = self.store.remove(snapshot) {
            tracing::warn!(%error, "cannot delete a snapshot that is of no use");
        }
    }
}

/// `bytes` and up to a half more, another part of it for each member: equal logs reach these lengths at different times.
fn staggered(bytes: u64, me: NodeId) -> u64 {
    let steps = MEMBERS_MAX as u64;
    bytes.saturating_add(bytes / 2 / steps * (u64::from(me.0) % steps))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use zw_core::limits::SNAPSHOT_INTERVAL_BYTES;

    #[test]
    fn members_take_snapshots_at_different_lengths_of_the_log() {
        let lengths: BTreeSet<u64> = (1..=15).map(|id| staggered(SNAPSHOT_INTERVAL_BYTES, NodeId(id))).collect();
        assert_eq!(lengths.len(), MEMBERS_MAX);
        assert!(
            lengths.iter().all(|length| (SNAPSHOT_INTERVAL_BYTES..SNAPSHOT_INTERVAL_BYTES * 3 / 2).contains(length))
        );
        assert_eq!(staggered(u64::MAX, NodeId(3)), u64::MAX);
    }
}
