//! The console's conversation with the nodes: every node has its own tasks with deadlines, and none waits for another.
//!
//! Invariant: an unreachable node is a normal state. No task ends for it, and the screen never waits for a task.

mod ask;
mod brokers;
mod delete;
mod diff;
#[cfg(test)]
mod fake_node;
mod faults;
mod poll;
mod trace;
mod write;

use crate::load;
use crate::model::message::{Effect, Msg};
use crate::model::write::WriteOrder;
use faults::Wanted;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::mpsc::{Sender, channel, error::TrySendError};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until};
use trace::Traces;

/// How long a node may take for a greeting, a status or a read.
pub const READ_TIMEOUT: Duration = Duration::from_secs(1);
/// Questions that wait for one node.
const QUESTIONS_MAX: usize = 256;

/// The tasks of all nodes.
#[derive(Debug)]
pub struct Cluster {
    readers: Vec<Sender<Effect>>,
    writers: Vec<Sender<Effect>>,
    faults: Vec<watch::Sender<Wanted>>,
    wants_frequent: watch::Sender<bool>,
    /// Present if traces are read.
    traces: Option<Traces>,
    messages: Sender<Msg>,
    pace: Pace,
    is_calm: watch::Sender<bool>,
    nodes: Vec<String>,
    brokers: Vec<String>,
    /// Ends the load that runs.
    load: Mutex<watch::Sender<bool>>,
    /// Where the tasks run.
    runtime: Handle,
    /// The comparison under way; a new one takes its place.
    diff: Option<AbortHandle>,
}

impl Cluster {
    /// Starts the tasks on the current runtime, where those that come later run too; what they learn goes to `messages`.
    #[must_use]
    pub fn start(addresses: &[String], brokers: &[String], messages: Sender<Msg>) -> Cluster {
        let (is_calm, calm) = watch::channel(false);
        let pace = Pace { began: Instant::now(), is_calm: calm };
        for (broker, address) in brokers.iter().enumerate() {
            tokio::spawn(brokers::poll(broker, address.clone(), pace.clone(), messages.clone()));
        }
        let (wants_frequent, _) = watch::channel(false);
        let (readers, writers, faults) = (Vec::new(), Vec::new(), Vec::new());
        let mut cluster = Cluster {
            readers,
            writers,
            faults,
            wants_frequent,
            traces: None,
            messages,
            pace,
            is_calm,
            nodes: Vec::new(),
            brokers: brokers.to_vec(),
            load: Mutex::new(watch::Sender::new(true)),
            runtime: Handle::current(),
            diff: None,
        };
        addresses.iter().for_each(|address| cluster.dial(address));
        cluster
    }

    /// Reads the traces of all nodes from now on, of those that come later too; of what is rare only what they told after a time
    /// of this host's clock.
    pub fn read_traces(&mut self, known_until_ns: u64) {
        let _inside = self.runtime.enter();
        let traces = Traces::start(self.wants_frequent.subscribe(), self.messages.clone(), known_until_ns);
        for address in &self.nodes {
            self.runtime.spawn(traces.reader(address.clone()).read());
        }
        self.traces = Some(traces);
    }

    /// Starts the tasks of one more node; they have the next number.
    fn dial(&mut self, address: &str) {
        self.nodes.push(address.to_owned());
        let (node, address, messages) = (self.readers.len(), address.to_owned(), &self.messages);
        self.runtime.spawn(poll::poll(node, address.clone(), self.pace.clone(), messages.clone()));
        let (reader, questions) = channel(QUESTIONS_MAX);
        self.runtime.spawn(ask::read(node, address.clone(), questions, messages.clone()));
        self.readers.push(reader);
        let (writer, writes) = channel(QUESTIONS_MAX);
        self.runtime.spawn(write::write(node, address.clone(), writes, messages.clone()));
        self.writers.push(writer);
        let (keeper, wanted) = watch::channel(Wanted::nothing());
        self.runtime.spawn(faults::keep(node, address, wanted, messages.clone()));
        self.faults.push(keeper);
        if let (Some(traces), Some(address)) = (&self.traces, self.nodes.last()) {
            self.runtime.spawn(traces.reader(address.clone()).read());
        }
    }

    /// Whether the frequent events of the nodes' traces are wanted from now on.
    pub fn want_messages(&self, are_wanted: bool) {
        self.wants_frequent.send_if_modified(|wanted| std::mem::replace(wanted, are_wanted) != are_wanted);
    }

    /// Whether nobody waits for news: who has none is asked less often.
    pub fn set_calm(&self, is_calm: bool) {
        self.is_calm.send_if_modified(|calm| std::mem::replace(calm, is_calm) != is_calm);
    }

    /// Carries a question or a write out. Never waits.
    pub fn perform(&mut self, effect: Effect) {
        if let Effect::Dial { line, address } = &effect {
            debug_assert_eq!(*line, self.readers.len(), "the model counts the addresses");
            return self.dial(address);
        }
        if let Effect::Redial { node } = effect {
            // A full queue has been failing for long: its connection is made anew in any case.
            for queue in [self.readers.get(node), self.writers.get(node)].into_iter().flatten() {
                let _ = queue.try_send(Effect::Redial { node });
            }
            return;
        }
        if let Effect::Faults { node, faults } = effect {
            if let Some(keeper) = self.faults.get(node) {
                keeper.send_replace(Wanted { faults, since: Instant::now() });
            }
            return;
        }
        let effect = match effect {
            Effect::Load { .. } | Effect::StopLoad | Effect::Feed { .. } | Effect::Pages { .. } => {
                return self.perform_load(effect);
            }
            effect => effect,
        };
        if let Effect::Diff { number, nodes } = effect {
            return self.compare(number, nodes);
        }
        let queue = match &effect {
            Effect::Children { node, .. }
            | Effect::Value { node, .. }
            | Effect::Exists { node, .. }
            | Effect::Count { node, .. }
            | Effect::Sessions { node } => self.readers.get(*node),
            Effect::Write(WriteOrder { node, .. }) | Effect::Delete { node, .. } => self.writers.get(*node),
            _ => None,
        };
        let Some(queue) = queue else { return };
        if let Err(TrySendError::Full(effect) | TrySendError::Closed(effect)) = queue.try_send(effect)
            && let Some(message) = ask::failed(effect, "too many questions wait for this node", false)
        {
            // The same holds for the way back: the model asks again when it hears nothing.
            let _ = self.messages.try_send(message);
        }
    }

    fn perform_load(&self, effect: Effect) {
        let messages = self.messages.clone();
        let mut stop = self.load.lock().unwrap_or_else(PoisonError::into_inner);
        match effect {
            Effect::Load { run, plan } => {
                stop.send_replace(true);
                *stop = watch::Sender::new(false);
                self.runtime.spawn(load::run(run, plan, self.nodes.clone(), stop.subscribe(), messages));
            }
            Effect::StopLoad => drop(stop.send_replace(true)),
            Effect::Feed { run, plan } => {
                self.runtime.spawn(load::feed::run(run, plan, self.brokers.clone(), messages));
            }
            Effect::Pages { brokers } => {
                let named = |broker: usize| Some((format!("b{}", broker + 1), self.brokers.get(broker)?.clone()));
                self.runtime.spawn(load::feed::pages(brokers.into_iter().filter_map(named).collect(), messages));
            }
            _ => {}
        }
    }

    /// Compares two nodes' trees; a comparison that is under way ends.
    fn compare(&mut self, number: u64, nodes: [usize; 2]) {
        if let Some(former) = self.diff.take() {
            former.abort();
        }
        let [Some(left), Some(right)] = nodes.map(|node| self.nodes.get(node).cloned()) else { return };
        let task = self.runtime.spawn(diff::compare(number, [left, right], self.messages.clone()));
        self.diff = Some(task.abort_handle());
    }
}

/// When nodes and brokers are asked: all at the same moments, for one wake of the processor for all costs less than one for
/// each.
#[derive(Clone, Debug)]
struct Pace {
    /// From when the moments are counted.
    began: Instant,
    is_calm: watch::Receiver<bool>,
}

impl Pace {
    /// Waits for the next moment of this interval, or of the longer one while it is calm; not beyond the end of the calm.
    async fn wait(&mut self, interval: Duration, calm: Duration) {
        let is_calm = *self.is_calm.borrow_and_update();
        let interval = if is_calm { calm } else { interval };
        let passed = self.began.elapsed().as_nanos() / interval.as_nanos();
        let next = self.began + interval * u32::try_from(passed + 1).unwrap_or(u32::MAX);
        tokio::select! {
            () = sleep_until(next) => {}
            _ = self.is_calm.wait_for(|is_calm| !is_calm), if is_calm => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The test ends long before, or not at all.
    const LONG: Duration = Duration::from_secs(3_600);
    const SHORT: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn all_are_asked_at_the_same_moments_and_the_end_of_the_calm_is_not_slept_over() {
        let (calm, is_calm) = watch::channel(false);
        let mut pace = Pace { began: Instant::now(), is_calm };
        pace.wait(SHORT, LONG).await;
        let passed = pace.began.elapsed();
        assert!(passed >= SHORT, "{passed:?}");
        calm.send_replace(true);
        let mut other = pace.clone();
        let waits = tokio::spawn(async move { other.wait(SHORT, LONG).await });
        // Longer than the short interval: it keeps the long one.
        pace.wait(LONG, SHORT).await;
        pace.wait(LONG, SHORT).await;
        assert!(!waits.is_finished());
        calm.send_replace(false);
        waits.await.unwrap();
    }
}
