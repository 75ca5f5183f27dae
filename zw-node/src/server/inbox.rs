//! What waits for the core: one bounded queue, filled by sockets and threads, emptied in rounds; and whose turn it is to
//! run the next round.
//!
//! The core has a thread of its own. But waking a sleeping thread takes longer than most rounds, so while that thread
//! rests, a socket's thread or the log's runs the round for what it brings ([`Turn::Lent`]). A node without much to do
//! answers sooner for it; one that is busy lends nothing ([`Rest::lent_from`]).
//!
//! Invariants:
//! - Sockets wait while the queue is full ([`Inbox::send_all`]), so it grows by at most one batch of each beyond
//!   [`CORE_INBOX_MAX`]. The node's own threads never wait here: the log's tickets are folded into one, and the others
//!   have at most one input under way each.
//! - Inputs of one sender arrive in order: one thread at a time has the turn, and only that one takes inputs.
//! - The core never rests while there is an input.

use super::locks::lock;
use crate::connection::mailbox::Mailbox;
use crate::peer::link::Link;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use zw_core::ids::{NodeId, SessionId, Ticket};
use zw_core::limits::CORE_INBOX_MAX;
use zw_core::log::record::SnapshotId;
use zw_core::tree::Tree;
use zw_core::zab::effects::{FetchId, Input, Proposal};

/// The core thread's longest sleep while a round is lent; it is woken when that ends.
const LENT_MAX: Duration = Duration::from_secs(3600);

/// Something for the core.
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

/// What the inputs are for: the core.
pub(crate) trait Rounds: Send {
    /// Takes inputs and works on them; none if there is more to do at once.
    fn round(&mut self) -> Option<Rest>;
}

/// When the next round is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rest {
    /// At the latest.
    pub(crate) due: Instant,
    /// From when on it may be lent; none if not at all.
    pub(crate) lent_from: Option<Instant>,
}

/// The queue of the core.
pub(crate) struct Inbox {
    state: Mutex<State>,
    core: OnceLock<Weak<Mutex<dyn Rounds>>>,
    /// For the core thread: that it is its turn, or has to rest for a shorter time.
    turned: Condvar,
    space: Notify,
}

struct State {
    queue: VecDeque<CoreInput>,
    durable: Option<Ticket>,
    turn: Turn,
    /// When the core thread, if it sleeps, wakes by itself.
    alarm: Instant,
}

/// Whose turn it is to run a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// The core thread's.
    Thread,
    /// Nobody's, until there is an input or the time has come.
    Rest(Rest),
    /// The one's who brought an input while the core rested.
    Lent,
}

impl Default for Inbox {
    fn default() -> Inbox {
        let state = State { queue: VecDeque::new(), durable: None, turn: Turn::Thread, alarm: Instant::now() };
        Inbox { state: Mutex::new(state), core: OnceLock::new(), turned: Condvar::new(), space: Notify::new() }
    }
}

impl Inbox {
    /// Says who runs the rounds that are lent. Without it none are.
    ///
    /// # Panics
    /// If it was said before.
    pub(crate) fn lend(&self, core: &Arc<Mutex<impl Rounds + 'static>>) {
        let core: Arc<Mutex<dyn Rounds>> = core.clone();
        assert!(self.core.set(Arc::downgrade(&core)).is_ok(), "a node has one core");
    }

    /// For the node's own threads, and for whoever holds a lock: never waits, never runs a round.
    pub(crate) fn push(&self, input: CoreInput) {
        let mut state = lock(&self.state);
        state.queue.push_back(input);
        self.give_turn(state, false);
    }

    /// The records up to `ticket` are durable. `may_run`: the log's thread has nothing else to do.
    pub(crate) fn durable(&self, ticket: Ticket, may_run: bool) {
        let mut state = lock(&self.state);
        state.durable = Some(ticket);
        self.give_turn(state, may_run);
    }

    /// For sockets, and holding no lock: waits while the queue is full; may run a round. Leaves `inputs` empty.
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
        self.give_turn(state, true);
        true
    }

    /// For the one whose turn it is: moves up to `limit` inputs to `into`.
    pub(crate) fn take(&self, into: &mut Vec<CoreInput>, limit: usize) {
        let mut state = lock(&self.state);
        into.extend(state.durable.take().map(|ticket| CoreInput::Zab(Input::Durable { ticket })));
        let was_full = state.queue.len() >= CORE_INBOX_MAX;
        let count = state.queue.len().min(limit);
        into.extend(state.queue.drain(..count));
        if was_full && state.queue.len() < CORE_INBOX_MAX {
            self.space.notify_waiters();
        }
    }

    /// For the core thread, after its round: sleeps until it is its turn again.
    pub(crate) fn rest(&self, rest: Rest) {
        let mut state = lock(&self.state);
        if !state.is_empty() {
            return;
        }
        state.turn = Turn::Rest(rest);
        loop {
            let now = Instant::now();
            let due = match state.turn {
                Turn::Thread => return,
                Turn::Rest(rest) if rest.due <= now => break,
                Turn::Rest(rest) => rest.due,
                Turn::Lent => now + LENT_MAX,
            };
            state.alarm = due;
            state = self.turned.wait_timeout(state, due - now).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.turn = Turn::Thread;
    }

    /// Lets go of the queue, in which there is an input, and sees to it that somebody works on it.
    fn give_turn(&self, mut state: MutexGuard<'_, State>, may_run: bool) {
        let Turn::Rest(rest) = state.turn else { return };
        if may_run
            && rest.lent_from.is_some_and(|from| from <= Instant::now())
            && let Some(core) = self.core.get().and_then(Weak::upgrade)
        {
            state.turn = Turn::Lent;
            drop(state);
            self.run_lent(&core);
            return;
        }
        state.turn = Turn::Thread;
        // In this order, or the core thread would wake only to wait for the lock.
        drop(state);
        self.turned.notify_one();
    }

    fn run_lent(&self, core: &Mutex<dyn Rounds>) {
        let rest = lock(core).round();
        let mut state = lock(&self.state);
        let has_to_turn = match rest {
            Some(rest) if state.is_empty() => {
                state.turn = Turn::Rest(rest);
                rest.due < state.alarm
            }
            // More came meanwhile: the one that brought the first has other things to do.
            _ => {
                state.turn = Turn::Thread;
                true
            }
        };
        drop(state);
        if has_to_turn {
            self.turned.notify_one();
        }
    }
}

impl State {
    fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.durable.is_none()
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

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(30)
    }

    fn rest() -> Rest {
        Rest { due: soon(), lent_from: Some(Instant::now()) }
    }

    #[test]
    fn tickets_are_folded_and_come_first() {
        let inbox = Inbox::default();
        inbox.push(tick());
        inbox.durable(Ticket(1), false);
        inbox.durable(Ticket(2), false);
        let mut got = Vec::new();
        inbox.take(&mut got, 10);
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
            inbox.take(&mut got, 1);
            tokio::task::yield_now().await;
        }
        waiting.await.unwrap();
        inbox.take(&mut got, usize::MAX);
        assert_eq!(got.len(), CORE_INBOX_MAX + 1, "nothing is lost");
    }

    /// A core that counts its inputs, and notes which thread ran a round with some.
    struct Counting {
        inbox: Arc<Inbox>,
        taken: Arc<Mutex<Vec<std::thread::ThreadId>>>,
        /// Another input comes during the first round that has one.
        is_interrupted: bool,
    }

    impl Rounds for Counting {
        fn round(&mut self) -> Option<Rest> {
            let mut got = Vec::new();
            self.inbox.take(&mut got, 3);
            lock(&self.taken).extend(got.iter().map(|_| std::thread::current().id()));
            if !got.is_empty() && std::mem::take(&mut self.is_interrupted) {
                self.inbox.push(tick());
            }
            // As a core that has taken as much as it may, and has more to do.
            (got.len() < 3).then(rest)
        }
    }

    struct Running {
        inbox: Arc<Inbox>,
        taken: Arc<Mutex<Vec<std::thread::ThreadId>>>,
        core: Arc<Mutex<Counting>>,
    }

    impl Running {
        /// With a thread that works until it has seen `count` inputs.
        fn start(count: usize) -> (Running, std::thread::JoinHandle<()>) {
            let (inbox, taken) = (Arc::new(Inbox::default()), Arc::default());
            let core = Counting { inbox: Arc::clone(&inbox), taken: Arc::clone(&taken), is_interrupted: false };
            let running = Running { inbox, taken, core: Arc::new(Mutex::new(core)) };
            running.inbox.lend(&running.core);
            let (inbox, taken, core) = (running.inbox.clone(), running.taken.clone(), running.core.clone());
            let thread = std::thread::spawn(move || {
                while lock(&taken).len() < count {
                    let rest = lock(&core).round();
                    if let Some(rest) = rest.filter(|_| lock(&taken).len() < count) {
                        inbox.rest(rest);
                    }
                }
            });
            (running, thread)
        }

        fn wait_until_it_rests(&self) {
            let deadline = soon();
            while !matches!(lock(&self.inbox.state).turn, Turn::Rest(_)) {
                assert!(Instant::now() < deadline, "the core does not rest");
                std::thread::yield_now();
            }
        }
    }

    #[test]
    fn a_resting_core_is_run_by_who_brings_an_input_and_by_its_thread_for_others() {
        let (running, thread) = Running::start(2);
        running.wait_until_it_rests();
        assert!(running.inbox.try_send_all(&mut vec![tick()]));
        assert_eq!(*lock(&running.taken), [std::thread::current().id()], "done when the call returns");
        running.wait_until_it_rests();
        running.inbox.push(tick());
        let core = thread.thread().id();
        thread.join().unwrap();
        assert_eq!(*lock(&running.taken), [std::thread::current().id(), core]);
    }

    #[test]
    fn what_comes_during_a_lent_round_is_for_the_core_thread() {
        let (running, thread) = Running::start(2);
        running.wait_until_it_rests();
        lock(&running.core).is_interrupted = true;
        assert!(running.inbox.try_send_all(&mut vec![tick()]));
        let deadline = soon() - Duration::from_secs(20);
        while !thread.is_finished() {
            assert!(Instant::now() < deadline, "the core rests though there is an input");
            std::thread::yield_now();
        }
        assert_eq!(*lock(&running.taken), [std::thread::current().id(), thread.thread().id()]);
    }

    #[test]
    fn nothing_is_forgotten_whoever_runs_it() {
        const SENDERS: usize = 4;
        const EACH: usize = 4_000;
        const _: () = assert!(SENDERS * EACH <= CORE_INBOX_MAX, "the queue has room for all of them");
        let (running, thread) = Running::start(SENDERS * EACH);
        std::thread::scope(|scope| {
            for sender in 0..SENDERS {
                let inbox = &running.inbox;
                scope.spawn(move || {
                    for round in 0..EACH {
                        if sender == 0 {
                            inbox.push(tick());
                        } else {
                            assert!(inbox.try_send_all(&mut vec![tick()]));
                        }
                        if round % 16 == 0 {
                            std::thread::yield_now();
                        }
                    }
                });
            }
        });
        // With nothing more coming: who forgot one leaves the thread asleep.
        let deadline = soon() - Duration::from_secs(20);
        while !thread.is_finished() && lock(&running.taken).len() < SENDERS * EACH {
            assert!(Instant::now() < deadline, "{} inputs were taken", lock(&running.taken).len());
            std::thread::yield_now();
        }
        assert_eq!(lock(&running.taken).len(), SENDERS * EACH);
        running.inbox.push(tick());
        thread.join().unwrap();
    }
}
