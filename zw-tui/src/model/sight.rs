//! What a node says of itself, with its age.

use super::{LATE_AFTER, STALE_AFTER};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::time::Duration;
use zw_core::ids::{Epoch, NodeId};
use zw_core::wire::admin::{NodeRole, Status};

/// Samples from which rates are computed: two seconds of them.
const SAMPLES_MAX: usize = 9;

/// The newest answer of a node and how old it is.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Sight {
    /// The newest answer.
    pub status: Option<Box<Status>>,
    /// When it came in.
    pub heard: Option<Duration>,
    /// Why the newest question has no answer; none if it has.
    pub silence: Option<String>,
    samples: VecDeque<Sample>,
    /// See [`Sight::round_trip_ms`].
    round_trip_ms: Option<u64>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Sample {
    at: Duration,
    writes: u64,
    reads: u64,
    round_trip: Duration,
}

/// How old a value is, as it is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// As good as now.
    Fresh,
    /// Drawn dim.
    Late,
    /// Drawn dim with its age.
    Stale(Duration),
    /// Never heard.
    Never,
}

/// What changed with an answer, for the feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It answers again after a silence.
    Answers,
    /// Its role, leader or epoch is another.
    Role(NodeRole, NodeId, Epoch),
    /// Its disk became full, or has space again.
    DiskFull(bool),
}

impl Sight {
    /// Takes an answer; gives what changed.
    pub fn take(&mut self, now: Duration, status: Box<Status>, round_trip: Duration) -> Vec<Turn> {
        let mut turns = Vec::new();
        if self.silence.take().is_some() && self.status.is_some() {
            turns.push(Turn::Answers);
        }
        let old = self.status.as_deref();
        if old.is_none_or(|old| (old.role, old.leader, old.epoch) != (status.role, status.leader, status.epoch)) {
            turns.push(Turn::Role(status.role, status.leader, status.epoch));
        }
        if old.is_some_and(|old| old.disk_full) != status.disk_full {
            turns.push(Turn::DiskFull(status.disk_full));
        }
        // A restarted process counts from zero.
        if self.samples.back().is_some_and(|last| last.writes > status.writes || last.reads > status.reads) {
            self.samples.clear();
        }
        if self.samples.len() == SAMPLES_MAX {
            self.samples.pop_front();
        }
        self.samples.push_back(Sample { at: now, writes: status.writes, reads: status.reads, round_trip });
        self.settle_round_trip();
        self.heard = Some(now);
        self.status = Some(status);
        turns
    }

    /// The shortest round trip of the last samples; a value that is shown stays until it is clearly another one, so that
    /// a quiet screen stays quiet.
    fn settle_round_trip(&mut self) {
        let Some(least) = self.samples.iter().map(|sample| sample.round_trip).min() else { return };
        let least = u64::try_from(least.as_millis()).unwrap_or(u64::MAX);
        if self.round_trip_ms.is_none_or(|shown| least.abs_diff(shown) > shown / 4) {
            self.round_trip_ms = Some(least);
        }
    }

    /// Milliseconds from a question to its answer; 0 for less than one.
    #[must_use]
    pub fn round_trip_ms(&self) -> Option<u64> {
        self.round_trip_ms
    }

    /// Forgets a former process.
    pub fn forget(&mut self) {
        *self = Sight::default();
    }

    /// How old the newest answer is.
    #[must_use]
    pub fn freshness(&self, now: Duration) -> Freshness {
        match self.heard.map(|heard| now.saturating_sub(heard)) {
            None => Freshness::Never,
            Some(age) if age < LATE_AFTER => Freshness::Fresh,
            Some(age) if age < STALE_AFTER => Freshness::Late,
            Some(age) => Freshness::Stale(age),
        }
    }

    /// The newest answer, unless it is stale.
    #[must_use]
    pub fn current(&self, now: Duration) -> Option<&Status> {
        match self.freshness(now) {
            Freshness::Fresh | Freshness::Late => self.status.as_deref(),
            Freshness::Stale(_) | Freshness::Never => None,
        }
    }

    /// Writes and reads a second over the last samples; none before there are two.
    #[must_use]
    pub fn rates(&self) -> Option<(u64, u64)> {
        let (first, last) = (self.samples.front()?, self.samples.back()?);
        let millis = u64::try_from(last.at.saturating_sub(first.at).as_millis()).unwrap_or(u64::MAX);
        let rate = |count: u64| (count.saturating_mul(1_000)).checked_div(millis);
        Some((rate(last.writes - first.writes)?, rate(last.reads - first.reads)?))
    }
}
