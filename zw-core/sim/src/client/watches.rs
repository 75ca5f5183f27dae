//! A client's watches, kept by the rules of the product's own client: what fires, and what must be armed again.

use super::{Answer, Operation};
use crate::history::{Look, ReadResult};
use std::collections::BTreeMap;
use zw_core::ids::Zxid;
use zw_core::tree::command::{EventKind, TreeEvent};
use zw_core::tree::watch::WatchKind;

/// See the module.
#[derive(Default)]
pub(super) struct OwnWatches {
    /// Each with the zxid of the answer that armed it last.
    watches: BTreeMap<(WatchKind, String), Zxid>,
    /// Up to here all events have come.
    pub(super) seen: Zxid,
    /// Requests under way that arm watches again.
    rearming: usize,
    /// A sabotage: believes to have heard everything before all of these are answered.
    pub(super) hasty: bool,
}

impl OwnWatches {
    /// Notes what an answer means for the watches.
    pub(super) fn answered(&mut self, operation: &Operation, answer: &Answer) {
        if matches!(operation, Operation::SetWatches(..)) {
            self.rearming -= 1;
        }
        // What the watches of the next requests have missed has not come yet.
        if let Some(zxid) = answer.zxid().filter(|_| self.rearming == 0 || self.hasty) {
            self.seen = self.seen.max(zxid);
        }
        match (operation, answer) {
            (Operation::SetWatches(_, watches), Answer::Done(zxid)) => {
                for watch in watches {
                    if let Some(since) = self.watches.get_mut(watch) {
                        *since = *zxid;
                    }
                }
            }
            (Operation::Read { path, look, watch: true }, Answer::Read(zxid, result)) => {
                if let Some(kind) = left_by(look, result) {
                    // Armed again as an existence watch it would tell of a creation that is known.
                    let is_there = matches!(result, ReadResult::Stat(Ok(Some(_))));
                    let kind = if is_there { WatchKind::Data } else { kind };
                    self.watches.entry((kind, path.clone())).or_insert(*zxid);
                }
            }
            (Operation::AddWatch(kind, path), Answer::Done(zxid)) => {
                self.watches.entry((*kind, path.clone())).or_insert(*zxid);
            }
            _ => {}
        }
    }

    /// An event comes: one-shot watches are spent.
    pub(super) fn fire(&mut self, event: &TreeEvent) {
        // More events of the same entry may follow.
        if self.rearming == 0 || self.hasty {
            self.seen = self.seen.max(Zxid(event.zxid.0.saturating_sub(1)));
        }
        let spent: &[WatchKind] = match event.kind {
            EventKind::Created | EventKind::DataChanged => &[WatchKind::Data, WatchKind::Exists],
            EventKind::Deleted => &[WatchKind::Data, WatchKind::Exists, WatchKind::Children],
            EventKind::ChildrenChanged => &[WatchKind::Children],
        };
        for kind in spent {
            self.watches.remove(&(*kind, event.path.clone()));
        }
    }

    /// What must be armed on a new connection, in requests for so many watches each.
    pub(super) fn rearm(&mut self, batch: usize) -> Vec<Operation> {
        let watches: Vec<_> = self.watches.keys().cloned().collect();
        self.rearming = watches.len().div_ceil(batch);
        watches.chunks(batch).map(|some| Operation::SetWatches(self.seen, some.to_vec())).collect()
    }

    /// All watches, each with the zxid of the answer that armed it last.
    pub(super) fn all(&self) -> impl Iterator<Item = (WatchKind, &str, Zxid)> {
        self.watches.iter().map(|((kind, path), since)| (*kind, path.as_str(), *since))
    }
}

/// The watch that a node leaves when it answers a read so.
pub(crate) fn left_by(look: &Look, result: &ReadResult) -> Option<WatchKind> {
    match (look, result) {
        (Look::Get, ReadResult::Data(Ok(_))) => Some(WatchKind::Data),
        (Look::Exists, ReadResult::Stat(Ok(_))) => Some(WatchKind::Exists),
        (Look::Children { .. }, ReadResult::Children(Ok(_))) => Some(WatchKind::Children),
        _ => None,
    }
}
