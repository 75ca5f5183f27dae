//! When to paint: pure arithmetic on times, no clock of its own.
//!
//! A lone change is painted at once. A burst is painted at the frame rate. A terminal that is slow to take a frame, or
//! that nobody looks at, gets fewer.

use std::time::Duration;

/// Between two frames of a burst on a local terminal: 60 a second.
pub const FRAME_INTERVAL_LOCAL: Duration = Duration::from_millis(16);
/// Over a network: 30 a second.
pub const FRAME_INTERVAL_REMOTE: Duration = Duration::from_millis(33);
/// When the terminal has lost the focus: two in three seconds, which is enough for a glance from elsewhere.
pub const FRAME_INTERVAL_UNFOCUSED: Duration = Duration::from_millis(1_500);
/// A frame whose write takes longer than this means that output piles up.
pub const SLOW_WRITE: Duration = Duration::from_millis(20);
/// The longest interval that slow writes lead to.
const FRAME_INTERVAL_MAX: Duration = Duration::from_millis(500);

/// Times are since the start of the console.
#[derive(Clone, Debug)]
pub struct Limiter {
    base: Duration,
    interval: Duration,
    is_focused: bool,
    last: Option<Duration>,
}

impl Limiter {
    /// Nothing painted yet.
    #[must_use]
    pub fn new(is_remote: bool) -> Limiter {
        let base = if is_remote { FRAME_INTERVAL_REMOTE } else { FRAME_INTERVAL_LOCAL };
        Limiter { base, interval: base, is_focused: true, last: None }
    }

    /// The earliest time for the next frame; in the past if it may be painted now.
    #[must_use]
    pub fn allowed_at(&self) -> Duration {
        let interval = if self.is_focused { self.interval } else { self.interval.max(FRAME_INTERVAL_UNFOCUSED) };
        self.last.map_or(Duration::ZERO, |last| last + interval)
    }

    /// A frame was painted at `now`; its write took `write`.
    pub fn painted(&mut self, now: Duration, write: Duration) {
        self.last = Some(now);
        self.interval = if write > SLOW_WRITE {
            (self.interval * 2).min(FRAME_INTERVAL_MAX)
        } else {
            (self.interval / 2).max(self.base)
        };
    }

    /// The terminal gained or lost the focus.
    pub fn set_focused(&mut self, is_focused: bool) {
        self.is_focused = is_focused;
    }

    /// The next frame may come at once: a key must show its effect.
    pub fn hurry(&mut self) {
        if self.interval == self.base {
            self.last = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_lone_change_is_painted_at_once_and_a_burst_at_the_frame_rate() {
        let mut limiter = Limiter::new(false);
        assert_eq!(limiter.allowed_at(), Duration::ZERO);
        let (mut now, mut frames) = (ms(1_000), 0);
        for _ in 0..1_000 {
            now += ms(1);
            if limiter.allowed_at() <= now {
                limiter.painted(now, Duration::ZERO);
                frames += 1;
            }
        }
        assert_eq!(frames, 63);
        assert!(limiter.allowed_at() <= now + ms(500), "after a pause the next change is painted at once");
    }

    #[test]
    fn slow_writes_and_a_lost_focus_slow_it_down_and_it_recovers() {
        let mut limiter = Limiter::new(false);
        limiter.painted(ms(100), ms(30));
        assert_eq!(limiter.allowed_at(), ms(132));
        for _ in 0..20 {
            limiter.painted(ms(200), ms(30));
        }
        assert_eq!(limiter.allowed_at(), ms(700), "bounded");
        for _ in 0..20 {
            limiter.painted(ms(300), ms(1));
        }
        assert_eq!(limiter.allowed_at(), ms(316));
        limiter.set_focused(false);
        assert_eq!(limiter.allowed_at(), ms(1_800));
    }

    #[test]
    fn a_key_shows_at_once_unless_output_piles_up() {
        let mut limiter = Limiter::new(true);
        limiter.painted(ms(100), ms(1));
        limiter.hurry();
        assert_eq!(limiter.allowed_at(), Duration::ZERO);
        limiter.painted(ms(100), ms(100));
        limiter.hurry();
        assert_eq!(limiter.allowed_at(), ms(166));
    }
}
