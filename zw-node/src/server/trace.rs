//! The trace: what happened on this node of late, for those who watch it.
//!
//! Invariants:
//! - The ring is bounded; a subscriber that is too slow is told how many events it missed.
//! - Frequent events (proposals, acks, commits, applies) are only recorded while somebody subscribes, so that the trace
//!   costs nothing when nobody looks.

use super::clock::monotonic_ns;
use super::locks::lock;
use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use zw_core::ids::{NodeId, Zxid};
use zw_core::limits::{TRACE_BATCH_MAX, TRACE_QUEUE_MAX};
use zw_core::wire::admin::{TraceBatch, TraceEvent, TraceKind};

/// The ring of events.
#[derive(Default)]
pub(crate) struct Trace {
    ring: Mutex<Ring>,
    subscribers: AtomicUsize,
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
        self.subscribers.load(Ordering::Relaxed) > 0
    }

    /// Records an event, whether or not somebody watches.
    pub(crate) fn record(&self, kind: TraceKind, facts: Facts) {
        let monotonic_ns = monotonic_ns();
        let mut ring = lock(&self.ring);
        ring.sequence += 1;
        if ring.events.len() == TRACE_QUEUE_MAX {
            ring.events.pop_front();
        }
        let Facts { peer, zxid, number, text } = facts;
        let sequence = ring.sequence;
        ring.events.push_back(TraceEvent { sequence, monotonic_ns, kind, peer, zxid, number, text });
    }

    /// Records a frequent event if somebody watches.
    pub(crate) fn record_if_watched(&self, kind: TraceKind, facts: impl FnOnce() -> Facts) {
        if self.is_watched() {
            self.record(kind, facts());
        }
    }

    /// Begins a subscription with the event `from`, or with the next one if that is 0.
    pub(crate) fn subscribe(&self, from: u64) -> u64 {
        self.subscribers.fetch_add(1, Ordering::Relaxed);
        if from == 0 { lock(&self.ring).sequence + 1 } else { from }
    }

    /// Ends a subscription.
    pub(crate) fn unsubscribe(&self) {
        let before = self.subscribers.fetch_sub(1, Ordering::Relaxed);
        assert!(before > 0, "a subscription ends once");
    }

    /// Some events from `next` on, which then names the first that was not given; none if there is nothing new.
    pub(crate) fn batch(&self, next: &mut u64) -> Option<TraceBatch> {
        let ring = lock(&self.ring);
        let first = ring.events.front()?.sequence;
        let skip = usize::try_from(next.saturating_sub(first)).unwrap_or(usize::MAX);
        let events: Vec<TraceEvent> = ring.events.iter().skip(skip).take(TRACE_BATCH_MAX).cloned().collect();
        let dropped = first.saturating_sub(*next);
        *next = events.last()?.sequence + 1;
        Some(TraceBatch { events, dropped })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frequent_events_are_recorded_only_for_a_subscriber() {
        let trace = Trace::default();
        trace.record_if_watched(TraceKind::Apply, Facts::default);
        trace.record(TraceKind::Role, Facts::default());
        let mut next = trace.subscribe(0);
        assert_eq!(trace.batch(&mut next), None, "only new ones were asked for");
        trace.record_if_watched(TraceKind::Apply, Facts::default);
        let batch = trace.batch(&mut next).unwrap();
        assert_eq!((batch.events.len(), batch.events[0].sequence, batch.dropped), (1, 2, 0));
        assert_eq!(trace.batch(&mut next), None);
        let mut old = trace.subscribe(1);
        assert_eq!(trace.batch(&mut old).unwrap().events.len(), 2, "what the ring still has is given");
    }

    #[test]
    fn a_slow_subscriber_learns_what_it_missed() {
        let trace = Trace::default();
        let mut next = trace.subscribe(0);
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
