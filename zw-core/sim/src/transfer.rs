//! Snapshots: a node's own, and those fetched from the leader on a connection of their own (rule S6).
//!
//! Fault model: a transfer fails when either end dies or the way is blocked, at its beginning or in its middle; a
//! node may die after the file is durable and before its log says so. A fetch that is given up for a later one says so
//! late.

use crate::event::Event;
use crate::process::Process;
use crate::world::World;
use zw_core::ids::Zxid;
use zw_core::log::record::SnapshotId;
use zw_core::tree::Tree;
use zw_core::tree::snapshot::{Decoder, encode};
use zw_core::zab::effects::{FetchId, Input};

/// A fetch in progress.
#[derive(Clone)]
pub(crate) struct Transfer {
    fetch: FetchId,
    peer: usize,
    zxid: Zxid,
    stage: Stage,
}

#[derive(Clone)]
enum Stage {
    Asking,
    Streaming { snapshot: SnapshotId, tree: Tree, incarnation: u32 },
    Writing { snapshot: SnapshotId, tree: Tree },
}

impl World {
    /// Takes a snapshot of the node's own tree if it is time.
    pub(crate) fn consider_snapshot(&mut self, node: usize) {
        let now = self.agenda.now();
        let home = &mut self.nodes[node];
        let process = home.process.as_mut().expect("a running process delivers");
        let due = self.options.snapshot_interval.is_some_and(|interval| process.since_snapshot >= interval);
        if due && process.own_snapshot.is_none() {
            process.since_snapshot = 0;
            let tree = process.tree.clone();
            process.own_snapshot = Some((SnapshotId { zxid: tree.applied(), digest: tree.digest() }, tree));
            let takes = home.disk.snapshot_time(now);
            let incarnation = process.incarnation;
            self.agenda.after(takes, Event::SnapshotWritten { node, incarnation });
        }
    }

    /// The node's own snapshot is on disk.
    pub(crate) fn snapshot_written(&mut self, node: usize) {
        let home = &mut self.nodes[node];
        let Some((snapshot, tree)) = home.process.as_mut().and_then(|process| process.own_snapshot.take()) else {
            return;
        };
        if home.disk.has_snapshot_failed() {
            // The log goes on without it; the next one is due after as many entries.
            self.counts.add("own snapshot failed");
            return;
        }
        home.disk.keep_snapshot(snapshot, tree);
        self.counts.add("own snapshot");
        self.push(node, Input::SnapshotTaken { snapshot });
    }

    /// The protocol wants a snapshot; an earlier wish is forgotten, and a fetch under way is given up.
    pub(crate) fn fetch_snapshot(&mut self, node: usize, fetch: FetchId, peer: usize, zxid: Zxid) {
        let process = self.nodes[node].process.as_mut().expect("a running process fetches");
        process.wish = Some(Transfer { fetch, peer, zxid, stage: Stage::Asking });
        if let Some(Transfer { fetch, .. }) = process.transfer.take() {
            self.counts.add("snapshot fetch given up");
            self.push(node, Input::SnapshotFailed { fetch });
        }
    }

    /// Begins the fetch that is wanted, unless the one before has not been dealt with.
    pub(crate) fn begin_fetch(&mut self, node: usize) {
        let Some(process) = self.nodes[node].process.as_mut().filter(|process| process.fetching.is_none()) else {
            return;
        };
        let Some(wish) = process.wish.take() else { return };
        let (fetch, incarnation) = (wish.fetch, process.incarnation);
        (process.fetching, process.transfer) = (Some(fetch), Some(wish));
        self.counts.add("snapshot fetch");
        let takes = self.fault_prng.exponential(self.options.network.delay_mean).max(1);
        self.agenda.after(takes, Event::Transfer { node, incarnation, fetch });
    }

    /// The transfer makes its next step, or fails.
    pub(crate) fn transfer(&mut self, node: usize, fetch: FetchId) {
        let Some(process) = &mut self.nodes[node].process else { return };
        let Some(transfer) = process.transfer.take_if(|transfer| transfer.fetch == fetch) else { return };
        let incarnation = process.incarnation;
        let mean = self.options.disk.snapshot_mean;
        match transfer.stage {
            Stage::Asking => match self.offer(node, &transfer) {
                Some(stage) => {
                    let takes = self.fault_prng.exponential(mean).max(1);
                    self.go_on(node, Transfer { stage, ..transfer }, takes, incarnation);
                }
                None => self.transfer_failed(node, fetch),
            },
            Stage::Streaming { snapshot, tree, incarnation: of_peer } => {
                let peer = self.nodes[transfer.peer].process.as_ref();
                if peer.is_none_or(|peer| peer.incarnation != of_peer) || !self.network.is_open(transfer.peer, node) {
                    return self.transfer_failed(node, fetch);
                }
                let tree = if self.options.network.codec { through_bytes(tree) } else { tree };
                let now = self.agenda.now();
                let takes = self.nodes[node].disk.snapshot_time(now);
                let stage = Stage::Writing { snapshot, tree };
                self.go_on(
                    node,
                    Transfer { fetch, peer: transfer.peer, zxid: transfer.zxid, stage },
                    takes,
                    incarnation,
                );
            }
            Stage::Writing { .. } if self.nodes[node].disk.has_snapshot_failed() => {
                self.transfer_failed(node, fetch);
            }
            Stage::Writing { snapshot, tree } => {
                self.nodes[node].disk.keep_snapshot(snapshot, tree);
                self.counts.add("snapshot received");
                self.push(node, Input::SnapshotReceived { fetch, snapshot });
            }
        }
    }

    /// What the peer answers to a wish: its present tree, if that is new enough.
    fn offer(&self, node: usize, transfer: &Transfer) -> Option<Stage> {
        let way = self.network.is_open(node, transfer.peer) && self.network.is_open(transfer.peer, node);
        let peer = self.nodes[transfer.peer].process.as_ref().filter(|peer| way && !peer.paused)?;
        let tree = peer.tree.clone();
        let snapshot = SnapshotId { zxid: tree.applied(), digest: tree.digest() };
        (tree.applied() >= transfer.zxid).then(|| Stage::Streaming { snapshot, tree, incarnation: peer.incarnation })
    }

    fn go_on(&mut self, node: usize, transfer: Transfer, takes: u64, incarnation: u32) {
        let fetch = transfer.fetch;
        self.nodes[node].process.as_mut().expect("it was there").transfer = Some(transfer);
        self.agenda.after(takes, Event::Transfer { node, incarnation, fetch });
    }

    fn transfer_failed(&mut self, node: usize, fetch: FetchId) {
        self.counts.add("snapshot transfer failed");
        self.push(node, Input::SnapshotFailed { fetch });
    }
}

impl Process {
    /// Notes, of what the protocol is told, that a fetch has ended.
    pub(crate) fn note_end_of_fetch(&mut self, input: &Input) {
        if let Input::SnapshotReceived { fetch, .. } | Input::SnapshotFailed { fetch } = input {
            assert_eq!(self.fetching.take(), Some(*fetch), "fetches come one after the other, and end once");
        }
    }
}

fn through_bytes(tree: Tree) -> Tree {
    let mut decoder = Decoder::new();
    for piece in encode(tree) {
        decoder.push(&piece).expect("a snapshot's own pieces are read back");
    }
    decoder.finish().expect("a snapshot that arrived whole is whole")
}
