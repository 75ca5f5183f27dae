//! Which server to try next, and after which pause.
//!
//! The order is random, so that the clients of a service spread over its servers, but a preferred server comes first.
//! The first round goes without pauses; between later rounds the pause doubles, with jitter, so that clients that
//! lost the same server do not return in step.

use crate::limits::{RECONNECT_PAUSE_MAX, RECONNECT_PAUSE_MIN};
use std::time::Duration;

/// The servers of a client and its luck with them.
#[derive(Debug)]
pub(super) struct Servers {
    order: Vec<String>,
    next: usize,
    /// Attempts in a row without a useful connection.
    failures: usize,
    /// The last failure of each server, in the order of the attempts.
    tried: Vec<(String, String)>,
    random: u64,
}

impl Servers {
    /// `servers` in an order that `seed` decides, `prefer` first if it is one of them.
    pub(super) fn new(mut servers: Vec<String>, prefer: Option<&str>, seed: u64) -> Servers {
        let mut random = seed;
        for end in (1..servers.len()).rev() {
            servers.swap(end, below(&mut random, end as u64 + 1));
        }
        if let Some(at) = servers.iter().position(|server| Some(server.as_str()) == prefer) {
            servers[..=at].rotate_right(1);
        }
        Servers { order: servers, next: 0, failures: 0, tried: Vec::new(), random }
    }

    /// The server to try now, and the pause before.
    pub(super) fn next(&mut self) -> (String, Duration) {
        let server = self.order[self.next].clone();
        self.next = (self.next + 1) % self.order.len();
        let rounds = self.failures / self.order.len();
        if rounds == 0 || !self.failures.is_multiple_of(self.order.len()) {
            return (server, Duration::ZERO);
        }
        let doublings = u32::try_from(rounds - 1).unwrap_or(u32::MAX).min(16);
        let pause = (RECONNECT_PAUSE_MIN * (1 << doublings)).min(RECONNECT_PAUSE_MAX);
        let half = u64::try_from(pause.as_micros() / 2).unwrap_or(u64::MAX);
        let jitter = below(&mut self.random, half + 1);
        (server, Duration::from_micros(half + jitter as u64))
    }

    /// The attempt failed, or the connection broke before it was useful.
    pub(super) fn failed(&mut self, server: &str, reason: String) {
        self.failures = self.failures.saturating_add(1);
        self.tried.retain(|(tried, _)| tried != server);
        self.tried.push((server.to_owned(), reason));
    }

    /// A request was answered.
    pub(super) fn useful(&mut self) {
        if self.failures > 0 {
            self.failures = 0;
            self.tried.clear();
        }
    }

    /// Whether every server was tried in vain.
    pub(super) fn round_is_over(&self) -> bool {
        self.failures >= self.order.len()
    }

    /// Whether the attempt that has just failed was the last one of its round.
    pub(super) fn round_ends(&self) -> bool {
        self.failures > 0 && self.failures.is_multiple_of(self.order.len())
    }

    /// Each server that failed, with its last reason.
    pub(super) fn tried(&self) -> &[(String, String)] {
        &self.tried
    }
}

/// A number below `bound`, from a generator good enough to spread load (splitmix64).
fn below(state: &mut u64, bound: u64) -> usize {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    usize::try_from((mixed ^ (mixed >> 31)) % bound).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|index| format!("host{index}:1")).collect()
    }

    #[test]
    fn the_preferred_server_comes_first_and_all_have_their_turn() {
        for seed in 0..50 {
            let mut servers = Servers::new(names(5), Some("host3:1"), seed);
            let mut order: Vec<String> = (0..5).map(|_| servers.next().0).collect();
            assert_eq!(order[0], "host3:1");
            order.sort();
            assert_eq!(order, names(5));
        }
        let firsts = |seed| Servers::new(names(5), None, seed).next().0;
        assert!((0..50).map(firsts).any(|first| first != firsts(0)), "the order does not depend on the seed");
    }

    #[test]
    fn pauses_grow_between_rounds_only() {
        let mut servers = Servers::new(names(2), None, 7);
        let mut pauses = Vec::new();
        for _ in 0..40 {
            let (server, pause) = servers.next();
            pauses.push(pause);
            servers.failed(&server, "refused".into());
        }
        assert!(pauses[..2].iter().all(Duration::is_zero), "the first round waits for nothing");
        assert!(pauses.iter().skip(1).step_by(2).all(Duration::is_zero), "a round waits once");
        assert!((RECONNECT_PAUSE_MIN / 2..=RECONNECT_PAUSE_MIN).contains(&pauses[2]), "{:?}", pauses[2]);
        assert!((RECONNECT_PAUSE_MAX / 2..=RECONNECT_PAUSE_MAX).contains(&pauses[38]), "{:?}", pauses[38]);
        assert_eq!(servers.tried().len(), 2, "the last reason of each");
        servers.useful();
        assert!(servers.next().1.is_zero() && servers.tried().is_empty() && !servers.round_is_over());
    }
}
