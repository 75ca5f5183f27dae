//! Reads the nodes' traces and hands the model a portion of what they tell now and then.
//!
//! ```text
//! node ── connection ── read (one task an address) ──> gather (one task, a Collector) ── a portion each 33 ms ──> the model
//! ```
//!
//! Invariants:
//! - What is frequent is asked for only while somebody looks at it: else a busy node need not record it.
//! - A queue that is full makes the reader wait, then the socket, then the node's ring: the node counts what it drops. The
//!   way to the model never waits: a portion that finds no room is taken back and replaced by the next, and counted.
//! - Nodes say themselves who they are, and since when: an event is taken once, whatever connections break, and however
//!   many addresses a member has. Of what is frequent only that is taken which was told since it was asked for: before
//!   that, half of it was not recorded.
//! - All times that leave here are in this host's clock.

use super::READ_TIMEOUT;
use crate::clock::monotonic_ns;
use crate::model::collector::{Collector, PORTION_NS};
use crate::model::message::Msg;
use crate::model::node_clock::NodeClock;
use std::ops::ControlFlow::{self, Break, Continue};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Mutex, OwnedMutexGuard, mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use zw_core::client::{ClientError, Connection};
use zw_core::limits::MEMBERS_MAX;
use zw_core::wire::admin::{Status, TraceBatch, TraceStart};
use zw_core::wire::client::{Answer, Operation, Ping};

/// After a node could not be asked.
const RETRY: Duration = Duration::from_millis(200);
/// After a node refused.
const REFUSED_RETRY: Duration = Duration::from_secs(10);
/// Between two questions to a node that is read: for the clock of another host, or whether it still answers.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);
/// Batches of all nodes that wait to be gathered.
const BATCHES_MAX: usize = 64;
/// Between two portions.
const PORTION_INTERVAL: Duration = Duration::from_nanos(PORTION_NS);

/// What the readers share.
#[derive(Debug)]
pub(super) struct Traces {
    batches: mpsc::Sender<Heard>,
    /// How far each member's trace is read. Who reads it holds the lock.
    members: Arc<[Arc<Mutex<Progress>>]>,
    wants_frequent: watch::Receiver<bool>,
    messages: mpsc::Sender<Msg>,
    /// What is older, in our clock, was told before.
    known_until_ns: u64,
}

/// What a member told, in our clock.
struct Heard {
    node: usize,
    batch: TraceBatch,
    clock_error_ns: u64,
}

/// How far the trace of a member's present life is read.
#[derive(Debug, Default)]
struct Progress {
    /// The first event that was not taken yet.
    next: u64,
    /// Whether everything was asked for until then.
    had_all: bool,
    /// When it last said since when it lives.
    heard: Option<Instant>,
}

impl Progress {
    /// Who lived for less time than had passed since it was heard, when it was asked, is another life, and counts from one
    /// again. How long its answer took says nothing: its age may be from the beginning of that time.
    fn meet(&mut self, uptime: Duration, asked: Instant) {
        if self.heard.is_none_or(|heard| uptime < asked.saturating_duration_since(heard)) {
            (self.next, self.had_all) = (1, false);
        }
        self.heard = Some(Instant::now());
    }
}

impl Traces {
    /// Gathers on the current runtime what readers will read, until the console ends.
    pub(super) fn start(
        wants_frequent: watch::Receiver<bool>,
        messages: mpsc::Sender<Msg>,
        known_until_ns: u64,
    ) -> Traces {
        let (batches, heard) = mpsc::channel(BATCHES_MAX);
        tokio::spawn(gather(Collector::new(0), heard, messages.clone()));
        let members = (0..MEMBERS_MAX).map(|_| Arc::default()).collect();
        Traces { batches, members, wants_frequent, messages, known_until_ns }
    }

    /// What reads the trace of the node at an address, until the console ends.
    pub(super) fn reader(&self, address: String) -> Reader {
        Reader {
            address,
            batches: self.batches.clone(),
            members: Arc::clone(&self.members),
            wants_frequent: self.wants_frequent.clone(),
            messages: self.messages.clone(),
            known_until_ns: self.known_until_ns,
            said: None,
        }
    }
}

/// The conversation with the node at one address.
pub(super) struct Reader {
    address: String,
    batches: mpsc::Sender<Heard>,
    members: Arc<[Arc<Mutex<Progress>>]>,
    wants_frequent: watch::Receiver<bool>,
    messages: mpsc::Sender<Msg>,
    known_until_ns: u64,
    /// Why there is no trace, as it was said last.
    said: Option<String>,
}

/// One subscription, from its request on.
struct Subscription {
    id: u32,
    /// Our clock when it was asked for.
    asked: u64,
    /// Whether the node has said yes; the batch after that tells its clock.
    is_accepted: bool,
    /// Whether what was dropped before the first batch had been asked for.
    counts_dropped: bool,
    /// Frequent events up to then, in the node's clock, are of no use.
    frequent_after: Option<u64>,
    /// Events up to then, in our clock, are known.
    known_until_ns: u64,
}

impl Reader {
    /// Ends when the console does.
    pub(super) async fn read(mut self) {
        loop {
            match self.converse().await {
                Ok(Continue(())) => {}
                Ok(Break(())) => return,
                Err(error) => {
                    tracing::debug!(address = self.address, %error, "no trace");
                    sleep(RETRY).await;
                }
            }
        }
    }

    /// Until the connection breaks or is silent for too long; `Break` when nobody listens to us any more.
    async fn converse(&mut self) -> Result<ControlFlow<()>, ClientError> {
        let mut connection = Connection::open(&self.address, READ_TIMEOUT).await?;
        let asked = Instant::now();
        let status = connection.status().await?;
        let place = usize::from(status.node.0).checked_sub(1).filter(|place| *place < MEMBERS_MAX);
        let Some(node) = place else { return Ok(self.do_without(&status, "it has no place in the ensemble").await) };
        let member = Arc::clone(&self.members[node]);
        let Ok(mut progress) = Arc::clone(&member).try_lock_owned() else {
            // Another address of a member that is being read: it is needed when that one fails.
            drop(connection);
            // It may become another member meanwhile.
            let _ = timeout(CHECK_INTERVAL, member.lock()).await;
            return Ok(Continue(()));
        };
        progress.meet(Duration::from_millis(status.uptime_ms), asked);
        let mut clock = NodeClock::default();
        loop {
            let mut subscription = self.subscribe(&mut connection, &mut progress).await?;
            let mut check_at = Instant::now() + CHECK_INTERVAL;
            // Since it was asked for something.
            let mut has_heard = false;
            loop {
                let response = tokio::select! {
                    biased;
                    changed = self.wants_frequent.changed() => match changed {
                        Ok(()) => break,
                        Err(_) => return Ok(Break(())),
                    },
                    () = sleep_until(check_at), if has_heard => {
                        if !clock.is_shared() {
                            break;
                        }
                        connection.send(Operation::Ping(Ping)).await?;
                        (check_at, has_heard) = (Instant::now() + CHECK_INTERVAL, false);
                        continue;
                    }
                    // What came counts, even if it is looked at late.
                    response = connection.recv() => response?,
                    () = sleep_until(check_at) => return Err(ClientError::Timeout { after: CHECK_INTERVAL }),
                };
                has_heard = true;
                match response.answer {
                    Answer::Error(error) if response.id == subscription.id => {
                        drop(progress);
                        return Ok(self.do_without(&status, &error.message).await);
                    }
                    Answer::Done(_) if response.id == subscription.id => subscription.is_accepted = true,
                    Answer::Trace(batch) if batch.now_ns == 0 => {
                        drop(progress);
                        let why = format!("its version {} does not tell by what clock", status.build);
                        return Ok(self.do_without(&status, &why).await);
                    }
                    Answer::Trace(batch) => {
                        self.said = None;
                        let heard = subscription.take(node, batch, &mut progress, &mut clock);
                        if self.batches.send(heard).await.is_err() {
                            return Ok(Break(()));
                        }
                    }
                    _ => {}
                }
            }
        }
    }

    async fn subscribe(
        &mut self,
        connection: &mut Connection,
        progress: &mut OwnedMutexGuard<Progress>,
    ) -> Result<Subscription, ClientError> {
        let rare_only = !*self.wants_frequent.borrow_and_update();
        let asked = monotonic_ns();
        let id = connection.send(Operation::TraceStart(TraceStart { from: progress.next, rare_only })).await?;
        let counts_dropped = progress.had_all && !rare_only;
        progress.had_all = !rare_only;
        let frequent_after = counts_dropped.then_some(0);
        let known_until_ns = self.known_until_ns;
        Ok(Subscription { id, asked, is_accepted: false, counts_dropped, frequent_after, known_until_ns })
    }

    /// Says once why a node's trace is not read, and waits before it is asked again.
    async fn do_without(&mut self, status: &Status, why: &str) -> ControlFlow<()> {
        let words = format!("the trace of n{} is not read: {why}", status.node);
        if self.said.as_ref() != Some(&words) {
            self.said = Some(words.clone());
            if self.messages.send(Msg::Note(words)).await.is_err() {
                return Break(());
            }
        }
        // Nobody to wait for but the end of the console.
        match timeout(REFUSED_RETRY, self.batches.closed()).await {
            Ok(()) => Break(()),
            Err(_) => Continue(()),
        }
    }
}

impl Subscription {
    /// Takes what is new in a batch. One of the subscription before may still be on its way.
    fn take(&mut self, node: usize, mut batch: TraceBatch, progress: &mut Progress, clock: &mut NodeClock) -> Heard {
        let now_ns = batch.now_ns;
        if std::mem::take(&mut self.is_accepted) {
            clock.measure(self.asked, now_ns, monotonic_ns());
            self.frequent_after.get_or_insert(now_ns);
            if !self.counts_dropped {
                batch.dropped = 0;
            }
        }
        let frequent_after = self.frequent_after.unwrap_or(now_ns);
        batch.events.retain(|event| event.sequence >= progress.next);
        progress.next = batch.events.last().map_or(progress.next, |event| event.sequence + 1);
        batch.events.retain_mut(|event| {
            let is_wanted = !event.kind.is_frequent() || event.monotonic_ns > frequent_after;
            // What was before our clock began has no time in it.
            let ours = clock.ours(event.monotonic_ns).filter(|at| is_wanted && *at > self.known_until_ns);
            event.monotonic_ns = ours.unwrap_or_default();
            ours.is_some()
        });
        Heard { node, batch, clock_error_ns: clock.error_ns() }
    }
}

/// Ends when the console does.
async fn gather(mut collector: Collector, mut heard: mpsc::Receiver<Heard>, messages: mpsc::Sender<Msg>) {
    let mut next = Instant::now();
    loop {
        let has_news = collector.has_news();
        tokio::select! {
            biased;
            () = sleep_until(next), if has_news => {
                next = Instant::now() + PORTION_INTERVAL;
                let Some(portion) = collector.portion(monotonic_ns()) else { continue };
                match messages.try_send(Msg::Trace(Box::new(portion))) {
                    Ok(()) => {}
                    Err(TrySendError::Full(Msg::Trace(portion))) => collector.take_back(*portion),
                    Err(_) => return,
                }
            }
            heard = heard.recv() => match heard {
                Some(Heard { node, batch, clock_error_ns }) => {
                    collector.take(node, batch);
                    collector.set_clock_error(node, clock_error_ns);
                }
                None => return,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake_node;
    use super::*;

    /// Answers a status and the first of each subscription; then it is silent, and its connection stays.
    fn fall_silent(operation: Operation) -> Vec<Answer> {
        match operation {
            Operation::Status(_) => vec![Answer::Status(Box::new(fake_node::status(1)))],
            Operation::TraceStart(_) => {
                let batch = TraceBatch { events: Vec::new(), dropped: 0, now_ns: monotonic_ns() };
                vec![Answer::Done(Ping), Answer::Trace(batch)]
            }
            _ => Vec::new(),
        }
    }

    #[tokio::test]
    async fn who_falls_silent_is_left_for_another_address() {
        let (silent, _asked) = fake_node::start(fall_silent).await;
        let (other, mut asked) = fake_node::start(fall_silent).await;
        let (_wants, wants_frequent) = watch::channel(true);
        let (messages, _heard) = mpsc::channel(BATCHES_MAX);
        let traces = Traces::start(wants_frequent, messages, 0);
        let first = tokio::spawn(traces.reader(silent).read());
        while traces.members[0].try_lock().is_ok() {
            tokio::task::yield_now().await;
        }
        let second = tokio::spawn(traces.reader(other).read());
        let is_read = async { while !matches!(asked.recv().await, Some(Operation::TraceStart(_))) {} };
        timeout(Duration::from_secs(60), is_read).await.unwrap();
        first.abort();
        second.abort();
    }

    #[tokio::test]
    async fn an_address_that_waits_for_its_member_may_become_another() {
        let mut asks = 0;
        let (address, mut asked) = fake_node::start(move |operation| {
            asks += u16::from(matches!(operation, Operation::Status(_)));
            match operation {
                Operation::Status(_) => vec![Answer::Status(Box::new(fake_node::status(asks.min(2))))],
                other => fall_silent(other),
            }
        })
        .await;
        let (_wants, wants_frequent) = watch::channel(true);
        let (messages, _heard) = mpsc::channel(BATCHES_MAX);
        let traces = Traces::start(wants_frequent, messages, 0);
        // Somebody else reads the first member, and goes on.
        let _first = traces.members[0].lock().await;
        let reader = tokio::spawn(traces.reader(address).read());
        let is_read = async { while !matches!(asked.recv().await, Some(Operation::TraceStart(_))) {} };
        timeout(Duration::from_secs(60), is_read).await.unwrap();
        reader.abort();
    }

    #[test]
    fn a_slow_answer_makes_no_other_life() {
        let heard = Instant::now();
        let read = || Progress { next: 7, had_all: true, heard: Some(heard) };
        let asked = heard + Duration::from_secs(5);
        // It began just before it was heard.
        let mut same = read();
        same.meet(Duration::from_secs(5), asked);
        assert_eq!((same.next, same.had_all), (7, true));
        let mut other = read();
        other.meet(Duration::from_secs(4), asked);
        assert_eq!((other.next, other.had_all), (1, false));
    }
}
