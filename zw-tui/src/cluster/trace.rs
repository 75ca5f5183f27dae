//! Reads the nodes' traces and hands the model a portion of what they tell now and then.
//!
//! ```text
//! node ── connection ── read (one task a node) ──> gather (one task, a Collector) ── a portion each 33 ms ──> the model
//! ```
//!
//! Invariants:
//! - What is frequent is asked for only while somebody looks at it: else a busy node need not record it.
//! - A queue that is full makes the reader wait, then the socket, then the node's ring: the node counts what it drops. The
//!   way to the model never waits: a portion that finds no room is taken back and replaced by the next, and counted.
//! - An event is taken once: a node's times rise, through its restarts too, for they are the host's.

use super::READ_TIMEOUT;
use crate::model::collector::{Collector, PORTION_NS};
use crate::model::message::Msg;
use std::time::Duration;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};
use zw_core::client::{ClientError, Connection};
use zw_core::wire::admin::{TraceBatch, TraceStart};
use zw_core::wire::client::{Answer, Operation};

/// After a node could not be asked.
const RETRY: Duration = Duration::from_millis(200);
/// Batches of all nodes that wait to be gathered.
const BATCHES_MAX: usize = 64;
/// Between two portions.
const PORTION_INTERVAL: Duration = Duration::from_nanos(PORTION_NS);

/// Starts the tasks on the current runtime. They end with the console.
pub(super) fn start(addresses: &[String], wants_frequent: &watch::Receiver<bool>, messages: mpsc::Sender<Msg>) {
    let (sender, batches) = mpsc::channel(BATCHES_MAX);
    for (node, address) in addresses.iter().enumerate() {
        let reader = Reader { node, address: address.clone(), wants_frequent: wants_frequent.clone(), newest_ns: 0 };
        tokio::spawn(reader.read(sender.clone()));
    }
    tokio::spawn(gather(Collector::new(addresses.len()), batches, messages));
}

/// The conversation with one node.
struct Reader {
    node: usize,
    address: String,
    wants_frequent: watch::Receiver<bool>,
    /// Of the newest event that was taken.
    newest_ns: u64,
}

impl Reader {
    /// Ends when the console does.
    async fn read(mut self, batches: mpsc::Sender<(usize, TraceBatch)>) {
        while let Err(error) = self.converse(&batches).await {
            tracing::debug!(node = self.node + 1, %error, "no trace");
            sleep(RETRY).await;
        }
    }

    /// Until the connection breaks; `Ok` when nobody listens to us any more.
    async fn converse(&mut self, batches: &mpsc::Sender<(usize, TraceBatch)>) -> Result<(), ClientError> {
        let mut connection = Connection::open(&self.address, READ_TIMEOUT).await?;
        // All that the node remembers: it may have been started anew, and count from one again.
        let mut from = 1;
        loop {
            let rare_only = !*self.wants_frequent.borrow_and_update();
            connection.send(Operation::TraceStart(TraceStart { from, rare_only })).await?;
            // What was dropped before the first batch was never asked for.
            let mut counts_dropped = from > 1;
            loop {
                let response = tokio::select! {
                    response = connection.recv() => response?,
                    changed = self.wants_frequent.changed() => match changed {
                        Ok(()) => break,
                        Err(_) => return Ok(()),
                    },
                };
                let Answer::Trace(mut batch) = response.answer else { continue };
                from = batch.events.last().map_or(from, |event| event.sequence + 1);
                batch.events.retain(|event| event.monotonic_ns > self.newest_ns);
                self.newest_ns = batch.events.last().map_or(self.newest_ns, |event| event.monotonic_ns);
                if !counts_dropped {
                    batch.dropped = 0;
                }
                counts_dropped = true;
                if batches.send((self.node, batch)).await.is_err() {
                    return Ok(());
                }
            }
        }
    }
}

/// Ends when the console does.
async fn gather(
    mut collector: Collector,
    mut batches: mpsc::Receiver<(usize, TraceBatch)>,
    messages: mpsc::Sender<Msg>,
) {
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
            batch = batches.recv() => match batch {
                Some((node, batch)) => collector.take(node, batch),
                None => return,
            },
        }
    }
}

/// The clock that all processes of a host share, and that the nodes' traces are in.
fn monotonic_ns() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(u64::try_from(time.tv_nsec).unwrap_or(0))
}
