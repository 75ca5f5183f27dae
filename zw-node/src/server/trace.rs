//! The trace: what happened on this node of late, for those who watch it.
//!
//! Invariants:
//! - The ring is bounded; a subscriber that is too slow is told how many events it missed.
//! - Frequent events (proposals, acks, commits, applies) are only recorded while somebody subscribes to them, so that the
//!   trace costs nothing when nobody looks.
//! - Who subscribes reads, and changes nothing; at most [`TRACE_SUBSCRIBERS_MAX`] do at a time.
//! - Of watches that fired a sample is told: at most [`WATCHES_TOLD_MAX`] in [`WATCH_INTERVAL_NS`].
//! - Of clients' writes a sample is told, at most one in [`WRITE_INTERVAL_NS`]; of each of those also how it ended.

use super::clock::monotonic_ns;
use super::locks::lock;
use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use zw_core::ids::{NodeId, Zxid};
use zw_core::limits::{TRACE_BATCH_MAX, TRACE_QUEUE_MAX, TRACE_SUBSCRIBERS_MAX};
use zw_core::tree::command::Command;
use zw_core::wire::admin::{TraceBatch, TraceEvent, TraceKind, TraceStart};

/// Between two writes that are told of.
const WRITE_INTERVAL_NS: u64 = 1_000_000;
/// Between two times at which watches that fired are told of.
const WATCH_INTERVAL_NS: u64 = 20_000_000;
/// Watches that are told of at such a time.
pub(crate) const WATCHES_TOLD_MAX: usize = 8;
/// A longer path is not told.
const WATCH_PATH_BYTES_MAX: usize = 1_024;
/// Writes that were told of and have no answer yet.
const SAMPLED_MAX: usize = 256;
/// Of a path, in the words of a write.
const PATH_CHARS_MAX: usize = 64;

/// The ring of events.
#[derive(Default)]
pub(crate) struct Trace {
    ring: Mutex<Ring>,
    /// All who subscribed.
    subscribers: AtomicUsize,
    /// Those among them who want the frequent events too.
    watchers: AtomicUsize,
    /// The tags of the writes that were told of and have no answer yet, ascending.
    sampled: Mutex<VecDeque<u64>>,
    /// When the latest of them came.
    sampled_at: AtomicU64,
    /// When watches that fired were told of.
    fired_at: AtomicU64,
}

/// A subscription: where it stands and what it leaves out.
#[derive(Debug)]
pub(crate) struct Subscription {
    next: u64,
    rare_only: bool,
    /// Whether its first batch was made.
    has_begun: bool,
}

#[derive(Default)]
struct Ring {
    events: VecDeque<TraceEvent>,
    /// Of the newest event.
    sequence: u64,
}

/// What an event is about, beside its kind.
#[derive(Default)]
pub(crate) struct Facts {
    pub(crate) peer: NodeId,
    pub(crate) zxid: Zxid,
    pub(crate) number: u64,
    pub(crate) text: String,
}

impl Trace {
    /// Whether frequent events are wanted.
    pub(crate) fn is_watched(&self) -> bool {
        self.watchers.load(Ordering::Relaxed) > 0
    }

    /// Whether anybody wants anything.
    pub(crate) fn has_subscribers(&self) -> bool {
        self.subscribers.load(Ordering::Relaxed) > 0
    }

    /// Records an event, whether or not somebody watches.
    pub(crate) fn record(&self, kind: TraceKind, facts: Facts) {
        let Facts { peer, zxid, number, text } = facts;
        let mut ring = lock(&self.ring);
        // Under the lock, so that times rise with the sequence.
        let monotonic_ns = monotonic_ns();
        ring.sequence += 1;
        if ring.events.len() == TRACE_QUEUE_MAX {
            ring.events.pop_front();
        }
        let sequence = ring.sequence;
        ring.events.push_back(TraceEvent { sequence, monotonic_ns, kind, peer, zxid, number, text });
    }

    /// Records a frequent event if somebody watches.
    pub(crate) fn record_if_watched(&self, kind: TraceKind, facts: impl FnOnce() -> Facts) {
        if self.is_watched() {
            self.record(kind, facts());
        }
    }

    /// Tells of a client's write, if somebody watches and the sample has room for it.
    pub(crate) fn write(&self, tag: u64, words: impl FnOnce() -> String) {
        if !self.is_watched() {
            return;
        }
        if is_time(&self.sampled_at, WRITE_INTERVAL_NS) {
            let mut sampled = lock(&self.sampled);
            if sampled.len() == SAMPLED_MAX {
                sampled.pop_front();
            }
            sampled.push_back(tag);
            drop(sampled);
            self.record(TraceKind::Write, Facts { number: tag, text: words(), ..Facts::default() });
        }
    }

    /// Tells of watches that fired, with how many did for each path, if somebody watches: a sample.
    pub(crate) fn watches_fired(&self, fired: &[(String, u64)]) {
        if fired.is_empty() || !self.is_watched() || !is_time(&self.fired_at, WATCH_INTERVAL_NS) {
            return;
        }
        for (path, number) in fired.iter().filter(|(path, _)| path.len() <= WATCH_PATH_BYTES_MAX).take(WATCHES_TOLD_MAX)
        {
            self.record(TraceKind::Watch, Facts { number: *number, text: path.clone(), ..Facts::default() });
        }
    }

    /// Tells how a write ended, if it was told of: with an entry, or why not.
    pub(crate) fn written(&self, tag: u64, zxid: Zxid, why_not: impl FnOnce() -> String) {
        if !self.has_subscribers() {
            return;
        }
        let mut sampled = lock(&self.sampled);
        let Some(place) = sampled.iter().position(|sample| *sample == tag) else { return };
        sampled.remove(place);
        drop(sampled);
        self.record(TraceKind::Written, Facts { zxid, number: tag, text: why_not(), ..Facts::default() });
    }

    /// The leader was lost: of the writes under way nobody knows how they ended.
    pub(crate) fn writes_lost(&self, reason: &str) {
        let lost = std::mem::take(&mut *lock(&self.sampled));
        for tag in lost {
            let text = format!("outcome unknown: {reason}");
            self.record(TraceKind::Written, Facts { number: tag, text, ..Facts::default() });
        }
    }

    /// Begins a subscription with the event `from`, or with the next one if that is 0; none if there are too many.
    pub(crate) fn subscribe(&self, start: TraceStart) -> Option<Subscription> {
        let TraceStart { from, rare_only } = start;
        let one_more = |count: usize| (count < TRACE_SUBSCRIBERS_MAX).then_some(count + 1);
        self.subscribers.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).ok()?;
        if !rare_only {
            self.watchers.fetch_add(1, Ordering::Relaxed);
        }
        let next = if from == 0 { lock(&self.ring).sequence + 1 } else { from };
        Some(Subscription { next, rare_only, has_begun: false })
    }

    /// Ends a subscription.
    pub(crate) fn unsubscribe(&self, subscription: &Subscription) {
        let before = self.subscribers.fetch_sub(1, Ordering::Relaxed);
        assert!(before > 0, "a subscription ends once");
        if !subscription.rare_only {
            self.watchers.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Some events that the subscription has not seen; none if there is nothing new, but for the first time.
    pub(crate) fn batch(&self, subscription: &mut Subscription) -> Option<TraceBatch> {
        let is_first = !std::mem::replace(&mut subscription.has_begun, true);
        let news = self.news(subscription);
        let (events, dropped) = if is_first { news.unwrap_or_default() } else { news? };
        Some(TraceBatch { events, dropped, now_ns: monotonic_ns() })
    }

    /// What the subscription has not seen, and how much of it is lost.
    fn news(&self, subscription: &mut Subscription) -> Option<(Vec<TraceEvent>, u64)> {
        let ring = lock(&self.ring);
        let next = subscription.next;
        let first = ring.events.front()?.sequence;
        let skip = usize::try_from(next.saturating_sub(first)).unwrap_or(usize::MAX);
        let mut last = None;
        let wanted = |event: &&TraceEvent| {
            last = Some(event.sequence);
            !(subscription.rare_only && event.kind.is_frequent())
        };
        let events: Vec<TraceEvent> =
            ring.events.iter().skip(skip).filter(wanted).take(TRACE_BATCH_MAX).cloned().collect();
        subscription.next = last? + 1;
        let dropped = first.saturating_sub(next);
        (!events.is_empty() || dropped > 0).then_some((events, dropped))
    }
}

/// Whether the interval since `last` is over; then it begins anew.
fn is_time(last: &AtomicU64, interval_ns: u64) -> bool {
    let (now, before) = (monotonic_ns(), last.load(Ordering::Relaxed));
    now.saturating_sub(before) >= interval_ns
        && last.compare_exchange(before, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
}

/// What a command does, short enough for a line.
pub(crate) fn words(command: &Command) -> String {
    let path = |verb: &str, path: &str| {
        let end = path.char_indices().nth(PATH_CHARS_MAX).map_or(path.len(), |(end, _)| end);
        format!("{verb} {}", &path[..end])
    };
    match command {
        Command::OpenSession(_) => "open session".into(),
        Command::AttachSession(_) => "attach session".into(),
        Command::CloseSession(_) => "close session".into(),
        Command::Create(create) => path("create", &create.path),
        Command::Delete(delete) => path("delete", &delete.path),
        Command::SetData(set) => path("set", &set.path),
        Command::SetAcl(set) => path("set acl", &set.path),
        Command::Check(check) => path("check", &check.path),
        Command::Multi(multi) => format!("multi of {}", multi.operations.len()),
        Command::Reap(reap) => path("reap", &reap.path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_from(from: u64) -> TraceStart {
        TraceStart { from, rare_only: false }
    }

    fn kinds(batch: Option<TraceBatch>) -> Vec<TraceKind> {
        batch.map_or_else(Vec::new, |batch| batch.events.iter().map(|event| event.kind).collect())
    }

    #[test]
    fn who_wants_only_what_is_rare_makes_the_node_record_no_more() {
        let trace = Trace::default();
        let mut rare = trace.subscribe(TraceStart { from: 1, rare_only: true }).unwrap();
        trace.record_if_watched(TraceKind::Apply, Facts::default);
        trace.write(1, || "set /a".into());
        trace.record(TraceKind::Role, Facts::default());
        assert_eq!(kinds(trace.batch(&mut rare)), [TraceKind::Role]);
        let mut all = trace.subscribe(all_from(0)).unwrap();
        trace.record_if_watched(TraceKind::Apply, Facts::default);
        trace.record(TraceKind::Vote, Facts::default());
        assert_eq!(kinds(trace.batch(&mut rare)), [TraceKind::Vote]);
        assert_eq!(kinds(trace.batch(&mut rare)), []);
        assert_eq!(kinds(trace.batch(&mut all)), [TraceKind::Apply, TraceKind::Vote]);
        trace.unsubscribe(&all);
        assert!(!trace.is_watched() && trace.has_subscribers());
    }

    #[test]
    fn a_write_that_was_told_of_is_told_of_to_its_end() {
        let trace = Trace::default();
        let mut all = trace.subscribe(all_from(0)).unwrap();
        trace.write(7, || "set /a".into());
        trace.write(8, || panic!("the sample is full for this moment"));
        trace.written(8, Zxid(5), || panic!("it was not told of"));
        trace.written(7, Zxid(5), String::new);
        trace.written(7, Zxid(5), || panic!("it has ended"));
        let events = trace.batch(&mut all).unwrap().events;
        let told: Vec<_> = events.iter().map(|event| (event.kind, event.number, event.zxid.0)).collect();
        assert_eq!(told, [(TraceKind::Write, 7, 0), (TraceKind::Written, 7, 5)]);
    }

    #[test]
    fn of_watches_that_fired_so_many_are_told_and_only_to_who_looks() {
        let trace = Trace::default();
        let many: Vec<(String, u64)> = (0..100).map(|number| (format!("/{number}"), 2)).collect();
        trace.watches_fired(&many);
        let mut all = trace.subscribe(all_from(0)).unwrap();
        trace.watches_fired(&[("/".repeat(WATCH_PATH_BYTES_MAX + 1), 1), ("/a".to_owned(), 3)]);
        trace.watches_fired(&many);
        let events = trace.batch(&mut all).unwrap().events;
        let told: Vec<_> = events.iter().map(|event| (event.kind, event.number, event.text.as_str())).collect();
        assert_eq!(told, [(TraceKind::Watch, 3, "/a")], "the next ones came too soon");
        trace.fired_at.store(0, Ordering::Relaxed);
        trace.watches_fired(&many);
        assert_eq!(trace.batch(&mut all).unwrap().events.len(), WATCHES_TOLD_MAX);
    }

    #[test]
    fn frequent_events_are_recorded_only_for_a_subscriber() {
        let trace = Trace::default();
        trace.record_if_watched(TraceKind::Apply, Facts::default);
        trace.record(TraceKind::Role, Facts::default());
        let mut next = trace.subscribe(all_from(0)).unwrap();
        let first = trace.batch(&mut next).unwrap();
        assert_eq!((first.events.len(), first.dropped), (0, 0), "only new ones were asked for");
        assert!(first.now_ns > 0, "and it tells the clock at once");
        assert_eq!(trace.batch(&mut next), None);
        trace.record_if_watched(TraceKind::Apply, Facts::default);
        let batch = trace.batch(&mut next).unwrap();
        assert_eq!((batch.events.len(), batch.events[0].sequence, batch.dropped), (1, 2, 0));
        assert_eq!(trace.batch(&mut next), None);
        let mut old = trace.subscribe(all_from(1)).unwrap();
        assert_eq!(trace.batch(&mut old).unwrap().events.len(), 2, "what the ring still has is given");
    }

    #[test]
    fn so_many_subscribe_at_a_time_and_no_more() {
        let trace = Trace::default();
        let rare = TraceStart { from: 1, rare_only: true };
        let all: Vec<Subscription> = (0..TRACE_SUBSCRIBERS_MAX).map(|_| trace.subscribe(rare).unwrap()).collect();
        assert!(trace.subscribe(rare).is_none() && trace.subscribe(all_from(0)).is_none());
        assert!(!trace.is_watched(), "who was refused wants nothing");
        trace.unsubscribe(&all[0]);
        assert!(trace.subscribe(rare).is_some());
    }

    #[test]
    fn a_slow_subscriber_learns_what_it_missed() {
        let trace = Trace::default();
        let mut next = trace.subscribe(all_from(0)).unwrap();
        for _ in 0..TRACE_QUEUE_MAX + 5 {
            trace.record_if_watched(TraceKind::Apply, Facts::default);
        }
        let (mut events, mut dropped) = (0, 0);
        while let Some(batch) = trace.batch(&mut next) {
            events += batch.events.len();
            dropped += batch.dropped;
        }
        assert_eq!((events, dropped), (TRACE_QUEUE_MAX, 5));
    }
}
