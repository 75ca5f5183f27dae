//! When sessions expire: the leader's opinion, which the log makes a fact (protocol.md 2.8).
//!
//! Invariants:
//! - Only a leader has deadlines. With each epoch every session gets its full timeout anew.
//! - A sign of life moves a deadline only forward; the deadline counts from when the leader hears of it, so a session
//!   never expires early, only late by the time the news took.
//! - A silence of the leader itself is not held against the sessions: see [`Expiry::notice_gap`].

use super::Tree;
use super::command::{CloseSession, Command};
use crate::ids::{SessionId, Tick};
use crate::limits::EXPIRIES_AT_ONCE_MAX;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// An expiry that was proposed and did not come back is proposed again after this time.
const RETRY: Duration = Duration::from_secs(1);

/// Signs of life are gathered, by the connection, by its node and with the heartbeat, before the leader hears of them;
/// none of that may cost a session its life.
const NEWS_DELAY: Duration = Duration::from_millis(400);

/// A gap between two rounds of a leader's loop that means that its process was stopped or starved. The loop looks round
/// several times in this time even when nothing happens.
pub const STANDSTILL_MIN: Duration = Duration::from_millis(900);

/// Given to the sessions on top of the time of a standstill: what lay unread meanwhile must be read first.
const STANDSTILL_GRACE: Duration = Duration::from_millis(400);

/// How long a leader waits for a session that asked for `timeout_ms`.
pub fn patience(timeout_ms: u32) -> Duration {
    Duration::from_millis(timeout_ms.into()) + NEWS_DELAY
}

/// The sessions' deadlines.
#[derive(Debug, Default)]
pub struct Expiry {
    sessions: BTreeMap<SessionId, Deadline>,
    /// The deadlines in order, each perhaps earlier than the true one in `sessions`: moved when it is met.
    queue: BTreeSet<(Tick, SessionId)>,
}

#[derive(Debug)]
struct Deadline {
    /// When it expires, unless it is touched.
    at: Tick,
    /// Where `queue` has it.
    queued: Tick,
    timeout: Duration,
}

impl Expiry {
    /// Begins to watch a session, or gives it its full timeout again.
    pub fn opened(&mut self, session: SessionId, timeout: Duration, now: Tick) {
        self.closed(session);
        let at = now.after(timeout);
        self.queue.insert((at, session));
        self.sessions.insert(session, Deadline { at, queued: at, timeout });
    }

    /// A sign of life.
    pub fn touched(&mut self, session: SessionId, now: Tick) {
        if let Some(deadline) = self.sessions.get_mut(&session) {
            deadline.at = deadline.at.max(now.after(deadline.timeout));
        }
    }

    /// The session is gone.
    pub fn closed(&mut self, session: SessionId) {
        if let Some(deadline) = self.sessions.remove(&session) {
            self.queue.remove(&(deadline.queued, session));
        }
    }

    /// This node leads no more.
    pub fn clear(&mut self) {
        *self = Expiry::default();
    }

    /// So much time passed between two rounds of the loop. If that means that the process stood still, signs of life may
    /// lie unread, and the time is given back. Whether it was so.
    pub fn notice_gap(&mut self, gap: Duration) -> bool {
        let stood_still = gap > STANDSTILL_MIN;
        if stood_still {
            self.postpone(gap + STANDSTILL_GRACE);
        }
        stood_still
    }

    fn postpone(&mut self, pause: Duration) {
        self.queue.clear();
        for (session, deadline) in &mut self.sessions {
            deadline.at = deadline.at.after(pause);
            deadline.queued = deadline.at;
            self.queue.insert((deadline.at, *session));
        }
    }

    /// When [`Expiry::due`] is wanted next.
    pub fn next_deadline(&self) -> Option<Tick> {
        self.queue.first().map(|(at, _)| *at)
    }

    /// What a serving leader proposes now: the end of the sessions whose time has passed, some at a time. Each names the
    /// generation that was silent, so that an attachment that is on its way wins.
    pub fn closings(&mut self, now: Tick, tree: &Tree) -> Vec<Command> {
        let close = |session: SessionId| {
            let generation = tree.session(session)?.generation;
            Some(Command::CloseSession(CloseSession { session, expired: true, generation }))
        };
        self.due(now, EXPIRIES_AT_ONCE_MAX).into_iter().filter_map(close).collect()
    }

    /// Up to `limit` sessions whose time has passed. Each comes again later if nothing closes or touches it.
    fn due(&mut self, now: Tick, limit: usize) -> Vec<SessionId> {
        let mut due = Vec::new();
        while due.len() < limit {
            let Some((queued, session)) = self.queue.first().copied().filter(|(at, _)| *at <= now) else { break };
            self.queue.remove(&(queued, session));
            let deadline = self.sessions.get_mut(&session).expect("what is queued is known");
            if deadline.at <= now {
                due.push(session);
                deadline.at = now.after(RETRY);
            }
            deadline.queued = deadline.at;
            self.queue.insert((deadline.at, session));
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_millis(10);

    fn at(ms: u64) -> Tick {
        Tick(ms * 1_000)
    }

    #[test]
    fn a_silent_session_expires_and_a_touched_one_does_not() {
        let mut expiry = Expiry::default();
        expiry.opened(SessionId(1), TIMEOUT, at(0));
        expiry.opened(SessionId(2), TIMEOUT, at(0));
        expiry.touched(SessionId(2), at(6));
        assert_eq!(expiry.next_deadline(), Some(at(10)));
        assert_eq!(expiry.due(at(9), 10), []);
        assert_eq!(expiry.due(at(10), 10), [SessionId(1)]);
        assert_eq!(expiry.due(at(15), 10), [], "an expiry that is under way is not repeated at once");
        expiry.closed(SessionId(1));
        assert_eq!(expiry.due(at(16), 10), [SessionId(2)]);
        assert_eq!(expiry.due(at(2_000), 10), [SessionId(2)], "a lost proposal is made again");
        expiry.closed(SessionId(2));
        assert_eq!(expiry.next_deadline(), None);
    }

    #[test]
    fn a_pause_of_the_leader_is_given_back() {
        let mut expiry = Expiry::default();
        expiry.opened(SessionId(1), TIMEOUT, at(0));
        assert!(!expiry.notice_gap(STANDSTILL_MIN));
        assert_eq!(expiry.next_deadline(), Some(at(10)), "the loop's usual rests are no standstill");
        assert!(expiry.notice_gap(Duration::from_secs(5)));
        assert_eq!(expiry.due(at(5_009), 10), []);
        assert_eq!(expiry.due(at(5_410), 10), [SessionId(1)]);
    }
}
