//! Measures what the console costs: bytes to the terminal, the time of a frame, processor time.

use crate::model::measured::Cost;
use rustix::time::{ClockId, clock_gettime};
use std::time::{Duration, Instant};

/// Over how long it is measured.
const WINDOW: Duration = Duration::from_secs(5);

/// The window under way.
#[derive(Debug)]
pub(crate) struct Meter {
    since: Instant,
    cpu: Duration,
    bytes: u64,
    frame: Duration,
}

impl Meter {
    pub(crate) fn start() -> Meter {
        Meter { since: Instant::now(), cpu: cpu_time(), bytes: 0, frame: Duration::ZERO }
    }

    /// Counts a frame; gives what the window cost when it is over.
    pub(crate) fn take(&mut self, bytes: usize, frame: Duration) -> Option<Cost> {
        self.bytes += bytes as u64;
        self.frame = self.frame.max(frame);
        let time = self.since.elapsed();
        if time < WINDOW {
            return None;
        }
        let done = std::mem::replace(self, Meter::start());
        let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let cpu = u64::try_from(self.cpu.saturating_sub(done.cpu).as_micros()).unwrap_or(u64::MAX);
        Some(Cost {
            bytes_per_second: done.bytes.saturating_mul(1_000) / millis,
            frame: done.frame,
            cpu_permille: Some(cpu / millis),
        })
    }
}

/// Of all threads of this process since it started.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let part = |part: i64| u64::try_from(part).unwrap_or(0);
    Duration::from_secs(part(time.tv_sec)) + Duration::from_nanos(part(time.tv_nsec))
}
