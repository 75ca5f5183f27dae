//! Time: one simulated clock for the world, the heap of what is to come, and a skewed clock for each node.
//!
//! Fault model: a node's monotonic clock starts anywhere and drifts up to 500 parts per million; its wall clock is off
//! by up to some seconds. Both may jump forward. Neither ever goes back within a process. Nothing but the heap moves time.

use crate::event::Event;
use crate::prng::Prng;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use zw_core::ids::Tick;
use zw_core::zab::effects::Now;

/// Simulated microseconds since the start of the world.
pub type Micros = u64;

/// A second.
pub const SECOND: Micros = 1_000_000;
/// A millisecond.
pub const MILLISECOND: Micros = 1_000;

/// What is to come, ordered by time and then by the order of scheduling.
#[derive(Default)]
pub struct Agenda {
    now: Micros,
    sequence: u64,
    heap: BinaryHeap<Reverse<(Micros, u64, Event)>>,
}

impl Agenda {
    /// The present.
    #[must_use]
    pub fn now(&self) -> Micros {
        self.now
    }

    /// Schedules `event` at `at`, or now if that is past.
    pub fn at(&mut self, at: Micros, event: Event) {
        self.sequence += 1;
        self.heap.push(Reverse((at.max(self.now), self.sequence, event)));
    }

    /// Schedules `event` in `delay`.
    pub fn after(&mut self, delay: Micros, event: Event) {
        self.at(self.now.saturating_add(delay), event);
    }

    /// Takes the next event that is due before `end`, and moves to its time.
    pub fn next_before(&mut self, end: Micros) -> Option<Event> {
        if self.heap.peek().is_none_or(|Reverse((at, ..))| *at >= end) {
            return None;
        }
        let Reverse((at, _, event)) = self.heap.pop()?;
        assert!(at >= self.now, "time goes back");
        self.now = at;
        Some(event)
    }

    /// Moves to `time` if nothing is due before it.
    pub fn rest_until(&mut self, time: Micros) {
        assert!(self.heap.peek().is_none_or(|Reverse((at, ..))| *at >= time), "an event was passed over");
        self.now = self.now.max(time);
    }
}

/// A node's own clocks.
#[derive(Clone, Debug)]
pub struct Clock {
    start_tick: u64,
    drift_ppm: i64,
    wall_ms: u64,
    jumped: Micros,
}

impl Clock {
    /// A clock that is off by chance; `skewed` worlds have drift and wrong wall clocks.
    #[must_use]
    pub fn new(prng: &mut Prng, skewed: bool) -> Clock {
        let start_tick = prng.below(1_000 * SECOND);
        let drift = i64::try_from(prng.below(1_001)).expect("small") - 500;
        let wall_off = prng.below(5_000);
        Clock {
            start_tick,
            drift_ppm: if skewed { drift } else { 0 },
            wall_ms: 1_700_000_000_000 + if skewed { wall_off } else { 0 },
            jumped: 0,
        }
    }

    /// What this node's clocks show.
    #[must_use]
    pub fn read(&self, now: Micros) -> Now {
        let drift = i128::from(now) * i128::from(self.drift_ppm) / 1_000_000;
        let elapsed = u64::try_from(i128::from(now) + drift).expect("a drift is far smaller than the time");
        Now { tick: Tick(self.start_tick + elapsed), wall_ms: self.wall_ms + now / MILLISECOND }
    }

    /// Both clocks go forward by so many microseconds at once.
    pub fn jump(&mut self, by: Micros) {
        self.start_tick += by;
        self.wall_ms += by / MILLISECOND;
        self.jumped += by;
    }

    /// How far both clocks have jumped in all.
    #[must_use]
    pub fn jumped(&self) -> Micros {
        self.jumped
    }

    /// The earliest world time at which this clock shows `tick` or later.
    #[must_use]
    pub fn time_of(&self, tick: Tick) -> Micros {
        let elapsed = i128::from(tick.0.saturating_sub(self.start_tick));
        let scale = 1_000_000 + i128::from(self.drift_ppm);
        let mut time = u64::try_from(elapsed * 1_000_000 / scale).unwrap_or(u64::MAX / 4);
        while self.read(time).tick < tick && time < u64::MAX / 4 {
            time += 1;
        }
        time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_in_order_of_time_and_scheduling() {
        let mut agenda = Agenda::default();
        agenda.at(20, Event::Probe);
        agenda.at(10, Event::Wake { client: 1 });
        agenda.at(10, Event::Wake { client: 2 });
        let order: Vec<_> = std::iter::from_fn(|| agenda.next_before(15)).collect();
        assert_eq!(order, [Event::Wake { client: 1 }, Event::Wake { client: 2 }]);
        assert_eq!(agenda.now(), 10);
        assert_eq!(agenda.next_before(21), Some(Event::Probe));
    }

    #[test]
    fn a_jump_moves_both_clocks_forward() {
        let mut clock = Clock::new(&mut Prng::new(1), true);
        let before = clock.read(SECOND);
        clock.jump(5 * SECOND);
        let after = clock.read(SECOND);
        assert_eq!((after.tick.0 - before.tick.0, after.wall_ms - before.wall_ms), (5 * SECOND, 5_000));
        assert!(clock.time_of(after.tick) <= SECOND + 1);
    }

    #[test]
    fn a_skewed_clock_finds_the_time_of_its_ticks() {
        for seed in 0..50 {
            let clock = Clock::new(&mut Prng::new(seed), true);
            for time in [1, 999, 123_456_789] {
                let tick = clock.read(time).tick;
                let found = clock.time_of(tick);
                assert!(clock.read(found).tick >= tick && found <= time + 1, "seed {seed}, time {time}: {found}");
            }
        }
    }
}
