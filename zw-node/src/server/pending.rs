//! Requests that wait: for a leader, for their entry to be applied, or for a barrier.
//!
//! Invariants:
//! - Each request is answered once: it is in one of the three places, and leaves it with its answer.
//! - What was proposed is answered by its entry, by a rejection, or (when the leader is lost) as of unknown outcome.
//! - What was not proposed waits for a leader until its deadline, then is refused for certain.

use super::inbox::{Batch, Waiter};
use std::collections::{BTreeMap, HashMap, VecDeque};
use zw_core::ids::{Tick, Zxid};
use zw_core::limits::REQUEST_DEADLINE;
use zw_core::zab::effects::Proposal;

/// The requests of a node's clients that are under way.
#[derive(Default)]
pub(crate) struct Pending {
    /// Not proposed yet, in order of arrival and hence of deadline.
    held: VecDeque<Held>,
    /// How many of these were there when the round began.
    held_before: usize,
    /// Proposed: by tag.
    proposed: HashMap<u64, Waiter>,
    /// Barriers asked for, by tag.
    barriers: HashMap<u64, Barrier>,
    /// Barriers that stand: to be answered once this zxid is applied.
    standing: BTreeMap<Zxid, Vec<Waiter>>,
}

/// A request that waits for a leader.
pub(crate) struct Held {
    deadline: Tick,
    pub(crate) what: HeldRequest,
}

/// What waits for a leader.
pub(crate) enum HeldRequest {
    /// A write.
    Write(Waiter, Proposal),
    /// A barrier.
    Barrier(Barrier),
}

/// A barrier that somebody waits for; it keeps its deadline however many leaders it outlives.
pub(crate) struct Barrier {
    deadline: Tick,
    waiter: Waiter,
}

impl Barrier {
    /// One that came at `now`.
    pub(crate) fn new(waiter: Waiter, now: Tick) -> Barrier {
        Barrier { deadline: now.after(REQUEST_DEADLINE), waiter }
    }
}

impl HeldRequest {
    /// Who waits.
    pub(crate) fn waiter(&self) -> &Waiter {
        match self {
            HeldRequest::Write(waiter, _) | HeldRequest::Barrier(Barrier { waiter, .. }) => waiter,
        }
    }
}

impl Pending {
    /// How many requests there are.
    pub(crate) fn len(&self) -> usize {
        self.held.len()
            + self.proposed.len()
            + self.barriers.len()
            + self.standing.values().map(Vec::len).sum::<usize>()
    }

    /// Barriers that wait for the leader's word.
    pub(crate) fn count_barriers(&self) -> usize {
        self.barriers.len()
    }

    /// Registers writes that are proposed now, and moves the proposals to `into`.
    pub(crate) fn propose(&mut self, batch: Batch, into: &mut Vec<Proposal>) {
        for (sequence, proposal) in batch.writes {
            let waiter = Waiter { mailbox: batch.mailbox.clone(), sequence, bytes: proposal.payload.len() };
            self.proposed.insert(proposal.tag, waiter);
            into.push(proposal);
        }
    }

    /// Begins a round of the core: what is held from now on came with it.
    pub(crate) fn begin_round(&mut self) {
        self.held_before = self.held.len();
    }

    /// Keeps writes until there is a leader.
    pub(crate) fn hold(&mut self, batch: Batch, now: Tick) {
        let deadline = now.after(REQUEST_DEADLINE);
        for (sequence, proposal) in batch.writes {
            let waiter = Waiter { mailbox: batch.mailbox.clone(), sequence, bytes: proposal.payload.len() };
            self.held.push_back(Held { deadline, what: HeldRequest::Write(waiter, proposal) });
        }
    }

    /// Keeps a barrier until there is a leader.
    pub(crate) fn hold_barrier(&mut self, barrier: Barrier) {
        self.held.push_back(Held { deadline: barrier.deadline, what: HeldRequest::Barrier(barrier) });
    }

    /// There is a leader: gives of what is held, oldest first, as many as came with this round and up to `surplus` more.
    /// While something is held, what comes is held behind it, so this must be more than comes: else it would never end,
    /// and requests would grow too old beside a leader that works.
    pub(crate) fn release(&mut self, surplus: usize) -> Vec<HeldRequest> {
        let came = self.held.len().saturating_sub(self.held_before);
        let count = self.held.len().min(came + surplus);
        self.held.drain(..count).map(|held| held.what).collect()
    }

    /// Whether something is held.
    pub(crate) fn has_held(&self) -> bool {
        !self.held.is_empty()
    }

    /// Registers a released write as proposed.
    pub(crate) fn proposed(&mut self, tag: u64, waiter: Waiter) {
        self.proposed.insert(tag, waiter);
    }

    /// Registers a barrier that is asked for now.
    pub(crate) fn barrier_asked(&mut self, tag: u64, barrier: Barrier) {
        self.barriers.insert(tag, barrier);
    }

    /// The entry of `tag` was applied: who waits for it here, if anybody does.
    pub(crate) fn applied(&mut self, tag: u64) -> Option<Waiter> {
        self.proposed.remove(&tag)
    }

    /// The barrier stands: its waiter is answered once `zxid` is applied.
    pub(crate) fn barrier_stands(&mut self, tag: u64, zxid: Zxid) {
        if let Some(barrier) = self.barriers.remove(&tag) {
            self.standing.entry(zxid).or_default().push(barrier.waiter);
        }
    }

    /// The barriers that stand at or below what is applied.
    pub(crate) fn synced(&mut self, applied: Zxid) -> Vec<Waiter> {
        let mut synced = Vec::new();
        while let Some(first) = self.standing.first_entry().filter(|first| *first.key() <= applied) {
            synced.append(&mut first.remove());
        }
        synced
    }

    /// A write or a barrier was not taken.
    pub(crate) fn rejected(&mut self, tag: u64) -> Option<Waiter> {
        self.proposed.remove(&tag).or_else(|| self.barriers.remove(&tag).map(|barrier| barrier.waiter))
    }

    /// The leader is lost: the writes whose outcome is unknown. Barriers change nothing, so they wait for the next
    /// leader.
    pub(crate) fn suspended(&mut self) -> Vec<Waiter> {
        let mut unknown: Vec<(u64, Waiter)> = self.proposed.drain().collect();
        unknown.sort_unstable_by_key(|(tag, _)| *tag);
        if !self.barriers.is_empty() {
            let mut barriers: Vec<(u64, Barrier)> = self.barriers.drain().collect();
            barriers.sort_unstable_by_key(|(tag, _)| std::cmp::Reverse(*tag));
            for (_, barrier) in barriers {
                self.held.push_front(Held { deadline: barrier.deadline, what: HeldRequest::Barrier(barrier) });
            }
            // What is held already may be older than they are; a stable sort keeps the order of what came together.
            self.held.make_contiguous().sort_by_key(|held| held.deadline);
        }
        unknown.into_iter().map(|(_, waiter)| waiter).collect()
    }

    /// When [`Pending::overdue`] is wanted next.
    pub(crate) fn next_deadline(&self) -> Option<Tick> {
        self.held.front().map(|held| held.deadline)
    }

    /// What was held until its deadline.
    pub(crate) fn overdue(&mut self, now: Tick) -> Vec<HeldRequest> {
        let count = self.held.iter().take_while(|held| held.deadline <= now).count();
        self.held.drain(..count).map(|held| held.what).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::mailbox::Mailbox;
    use std::sync::Arc;
    use zw_core::ids::{ConnectionId, Epoch};

    fn batch(tags: impl IntoIterator<Item = u64>) -> Batch {
        let mailbox = Arc::new(Mailbox::new(ConnectionId(1)));
        let writes = tags.into_iter().map(|tag| (tag, Proposal { tag, payload: bytes::Bytes::new() })).collect();
        Batch { mailbox, writes }
    }

    fn waiter(sequence: u64) -> Waiter {
        Waiter { mailbox: Arc::new(Mailbox::new(ConnectionId(1))), sequence, bytes: 0 }
    }

    fn barrier(sequence: u64, now: Tick) -> Barrier {
        Barrier::new(waiter(sequence), now)
    }

    fn sequences(waiters: &[Waiter]) -> Vec<u64> {
        waiters.iter().map(|waiter| waiter.sequence).collect()
    }

    #[test]
    fn each_request_is_answered_once() {
        let mut pending = Pending::default();
        let mut proposals = Vec::new();
        pending.propose(batch(1..=4), &mut proposals);
        assert_eq!((proposals.len(), pending.len()), (4, 4));
        assert_eq!(pending.applied(1).map(|waiter| waiter.sequence), Some(1));
        assert!(pending.applied(1).is_none(), "an entry is answered once");
        assert_eq!(pending.rejected(2).map(|waiter| waiter.sequence), Some(2));
        assert_eq!(sequences(&pending.suspended()), [3, 4], "the outcome of the others is unknown");
        assert!(pending.applied(3).is_none() && pending.len() == 0);
    }

    #[test]
    fn what_was_not_proposed_waits_in_order_until_its_deadline() {
        let mut pending = Pending::default();
        pending.hold(batch(1..=2), Tick(0));
        pending.hold_barrier(barrier(3, Tick(5)));
        assert_eq!(pending.next_deadline(), Some(Tick(0).after(REQUEST_DEADLINE)));
        assert!(pending.overdue(Tick(7)).is_empty());
        pending.begin_round();
        let first = pending.release(1);
        assert_eq!(first.iter().map(|request| request.waiter().sequence).collect::<Vec<_>>(), [1]);
        let overdue = pending.overdue(Tick(5).after(REQUEST_DEADLINE));
        assert_eq!(overdue.iter().map(|request| request.waiter().sequence).collect::<Vec<_>>(), [2, 3]);
        assert!(!pending.has_held());
    }

    #[test]
    fn a_barrier_outlives_its_leader_and_is_answered_once_its_zxid_is_applied() {
        let at = |counter| Zxid::new(Epoch(1), counter);
        let mut pending = Pending::default();
        pending.barrier_asked(7, barrier(1, Tick(0)));
        assert!(pending.suspended().is_empty(), "nothing of a barrier is unknown");
        assert!(matches!(&pending.release(9)[..], [HeldRequest::Barrier(held)] if held.waiter.sequence == 1));
        pending.barrier_asked(8, barrier(1, Tick(0)));
        pending.barrier_asked(9, barrier(2, Tick(0)));
        pending.barrier_stands(8, at(5));
        pending.barrier_stands(9, at(6));
        assert!(pending.synced(at(4)).is_empty());
        assert_eq!(sequences(&pending.synced(at(5))), [1]);
        assert_eq!(sequences(&pending.synced(at(9))), [2]);
        assert_eq!(pending.len(), 0);
    }

    #[test]
    fn what_is_held_drains_however_much_comes_meanwhile() {
        let mut pending = Pending::default();
        pending.hold(batch(1..=100), Tick(0));
        pending.begin_round();
        assert_eq!(pending.release(10).len(), 10, "what was held before there was a leader goes in portions");
        for _ in 0..9 {
            pending.begin_round();
            pending.hold(batch(1..=1_000), Tick(2));
            pending.release(10);
        }
        assert!(!pending.has_held(), "{} are held", pending.len());
    }

    #[test]
    fn a_barrier_keeps_its_place_and_its_deadline_when_its_leader_is_lost() {
        let mut pending = Pending::default();
        pending.hold(batch(1..=2), Tick(10));
        pending.barrier_asked(7, barrier(3, Tick(0)));
        pending.barrier_asked(8, barrier(4, Tick(20)));
        pending.barrier_asked(9, barrier(5, Tick(20)));
        assert!(pending.suspended().is_empty());
        assert_eq!(pending.next_deadline(), Some(Tick(0).after(REQUEST_DEADLINE)));
        let overdue = pending.overdue(Tick(10).after(REQUEST_DEADLINE));
        assert_eq!(overdue.iter().map(|request| request.waiter().sequence).collect::<Vec<_>>(), [3, 1, 2]);
        let left = pending.release(9);
        assert_eq!(left.iter().map(|request| request.waiter().sequence).collect::<Vec<_>>(), [4, 5]);
        for request in left {
            let HeldRequest::Barrier(barrier) = request else { panic!("a barrier") };
            pending.barrier_asked(9, barrier);
        }
        pending.suspended();
        assert_eq!(pending.next_deadline(), Some(Tick(20).after(REQUEST_DEADLINE)), "a new leader gives no new time");
    }
}
