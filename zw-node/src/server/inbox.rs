//! What waits for the core thread: one bounded queue, filled by sockets and threads, emptied in batches.
//!
//! Invariants:
//! - Sockets wait while the queue is full ([`Inbox::send_all`]), so it grows by at most one batch of each beyond
//!   [`CORE_INBOX_MAX`]. The node's own threads never wait here: the log's tickets are folded into one, and the others
//!   have at most one input under way each.
//! - Inputs of one sender arrive in order.

use super::locks::lock;
use crate::connection::mailbox::Mailbox;
use crate::peer::link::Link;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use zw_core::ids::{NodeId, SessionId, Ticket};
use zw_core::limits::CORE_INBOX_MAX;
use zw_core::log::record::SnapshotId;
use zw_core::tree::Tree;
use zw_core::zab::effects::{FetchId, Input, Proposal};

/// Something for the core thread.
pub(crate) enum CoreInput {
    /// For the protocol as it is.
    Zab(Input),
    /// A connection to a peer stands.
    Connected(Arc<Link>),
    /// Writes of one client.
    Propose(Batch),
    /// A client wants to read what is committed now.
    Barrier(Waiter),
    /// A client wants a snapshot taken.
    SnapshotNow(Waiter),
    /// The connection that a session was bound to, at a generation, is gone.
    Detached(SessionId, u32),
    /// The snapshot thread is done, with the snapshot's size in bytes, or with what went wrong.
    SnapshotTaken(Result<(SnapshotId, u64), String>),
    /// A fetch ended: a snapshot came from the leader, is durable, and has become this tree; or none came.
    Fetched(FetchId, Option<(SnapshotId, Box<Tree>)>),
    /// End in good order.
    Shutdown,
}

/// Writes of one client, in order.
pub(crate) struct Batch {
    /// Who gets the outcomes.
    pub(crate) mailbox: Arc<Mailbox>,
    /// Each write, and its place among the connection's requests.
    pub(crate) writes: Vec<(u64, Proposal)>,
}

/// A request that waits for something other than a write.
#[derive(Clone)]
pub(crate) struct Waiter {
    /// Who gets the outcome.
    pub(crate) mailbox: Arc<Mailbox>,
    /// The request's place among the connection's requests.
    pub(crate) sequence: u64,
    /// Of a write: what it holds of the node's room for writes, until it is answered.
    pub(crate) bytes: usize,
}

/// The queue of the core thread.
#[derive(Default)]
pub(crate) struct Inbox {
    state: Mutex<State>,
    filled: Condvar,
    space: Notify,
}

#[derive(Default)]
struct State {
    queue: VecDeque<CoreInput>,
    durable: Option<Ticket>,
    core_waits: bool,
}

impl Inbox {
    /// For the node's own threads: never waits.
    pub(crate) fn push(&self, input: CoreInput) {
        let mut state = lock(&self.state);
        state.queue.push_back(input);
        self.wake(state);
    }

    /// The records up to `ticket` are durable.
    pub(crate) fn durable(&self, ticket: Ticket) {
        let mut state = lock(&self.state);
        state.durable = Some(ticket);
        self.wake(state);
    }

    /// For sockets: waits while the queue is full. Leaves `inputs` empty.
    pub(crate) async fn send_all(&self, inputs: &mut Vec<CoreInput>) {
        while !self.try_send_all(inputs) {
            // Registered before the second look, so that space made in between is not missed.
            let space = self.space.notified();
            if self.try_send_all(inputs) {
                return;
            }
            space.await;
        }
    }

    /// See [`Inbox::send_all`].
    pub(crate) async fn send(&self, input: CoreInput) {
        self.send_all(&mut vec![input]).await;
    }

    fn try_send_all(&self, inputs: &mut Vec<CoreInput>) -> bool {
        let mut state = lock(&self.state);
        if state.queue.len() >= CORE_INBOX_MAX {
            return false;
        }
        state.queue.extend(inputs.drain(..));
        self.wake(state);
        true
    }

    /// Moves up to `limit` inputs to `into`, after waiting up to `timeout` for the first.
    pub(crate) fn receive(&self, into: &mut Vec<CoreInput>, limit: usize, timeout: Duration) {
        let mut state = lock(&self.state);
        if state.queue.is_empty() && state.durable.is_none() && !timeout.is_zero() {
            state.core_waits = true;
            let waited = self.filled.wait_timeout_while(state, timeout, |state| state.core_waits);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            state.core_waits = false;
        }
        into.extend(state.durable.take().map(|ticket| CoreInput::Zab(Input::Durable { ticket })));
        let was_full = state.queue.len() >= CORE_INBOX_MAX;
        let count = state.queue.len().min(limit);
        into.extend(state.queue.drain(..count));
        if was_full && state.queue.len() < CORE_INBOX_MAX {
            self.space.notify_waiters();
        }
    }

    /// Lets go of the queue and wakes the core thread if it sleeps: in this order, or it would wake only to wait for
    /// the lock.
    fn wake(&self, mut state: MutexGuard<'_, State>) {
        let core_waits = std::mem::take(&mut state.core_waits);
        drop(state);
        if core_waits {
            self.filled.notify_one();
        }
    }
}

impl CoreInput {
    /// A message of a peer.
    pub(crate) fn message(peer: NodeId, link: &Link, message: zw_core::zab::message::Message) -> CoreInput {
        CoreInput::Zab(Input::Message { peer, link: link.id, message })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tick() -> CoreInput {
        CoreInput::Zab(Input::Tick)
    }

    #[test]
    fn tickets_are_folded_and_come_first() {
        let inbox = Inbox::default();
        inbox.push(tick());
        inbox.durable(Ticket(1));
        inbox.durable(Ticket(2));
        let mut got = Vec::new();
        inbox.receive(&mut got, 10, Duration::ZERO);
        assert!(matches!(got[0], CoreInput::Zab(Input::Durable { ticket: Ticket(2) })));
        assert_eq!(got.len(), 2);
    }

    #[tokio::test]
    async fn a_full_inbox_makes_sockets_wait_until_it_is_emptied() {
        let inbox = Arc::new(Inbox::default());
        for _ in 0..CORE_INBOX_MAX {
            inbox.send(tick()).await;
        }
        assert!(!inbox.try_send_all(&mut vec![tick()]));
        let waiting = tokio::spawn({
            let inbox = inbox.clone();
            async move { inbox.send(tick()).await }
        });
        let mut got = Vec::new();
        while !waiting.is_finished() {
            inbox.receive(&mut got, 1, Duration::ZERO);
            tokio::task::yield_now().await;
        }
        waiting.await.unwrap();
        inbox.receive(&mut got, usize::MAX, Duration::ZERO);
        assert_eq!(got.len(), CORE_INBOX_MAX + 1, "nothing is lost");
    }

    #[test]
    fn the_core_is_woken() {
        let inbox = Arc::new(Inbox::default());
        let core = std::thread::spawn({
            let inbox = inbox.clone();
            move || {
                let mut got = Vec::new();
                inbox.receive(&mut got, 1, Duration::from_secs(30));
                got.len()
            }
        });
        inbox.push(tick());
        assert_eq!(core.join().unwrap(), 1);
    }
}
