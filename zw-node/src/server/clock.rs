//! The clocks of a process, read in one place.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use zw_core::ids::Tick;
use zw_core::zab::effects::Now;

/// A monotonic clock that starts with the process, and the wall clock.
#[derive(Debug)]
pub(crate) struct Clock {
    start: Instant,
}

impl Clock {
    pub(crate) fn start() -> Clock {
        Clock { start: Instant::now() }
    }

    /// Both clocks.
    pub(crate) fn now(&self) -> Now {
        Now { tick: self.tick(), wall_ms: wall_ms() }
    }

    /// The monotonic clock.
    pub(crate) fn tick(&self) -> Tick {
        Tick::default().after(self.uptime())
    }

    /// Since the process started.
    pub(crate) fn uptime(&self) -> Duration {
        self.start.elapsed()
    }

    /// Since the process started, in milliseconds.
    pub(crate) fn uptime_ms(&self) -> u64 {
        u64::try_from(self.uptime().as_millis()).unwrap_or(u64::MAX)
    }
}

/// From `now` until `deadline`; zero if it has passed.
pub(crate) fn until(deadline: Tick, now: Tick) -> Duration {
    Duration::from_micros(deadline.0.saturating_sub(now.0))
}

/// Milliseconds since 1970.
pub(crate) fn wall_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// The machine's CLOCK_MONOTONIC, which all processes of a host share.
pub(crate) fn monotonic_ns() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(u64::try_from(time.tv_nsec).unwrap_or(0))
}
