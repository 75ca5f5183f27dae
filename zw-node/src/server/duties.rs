//! What the core does by the clock: signs of life to the leader; on the leader, expiries and reaping.

use super::core::Core;
use super::locks::{lock, read};
use std::time::Duration;
use zw_core::ids::SessionId;
use zw_core::limits::APPLY_BATCH_MAX;
use zw_core::tree::command::{Command, Envelope};
use zw_core::zab::effects::{Input, Now, Proposal};

/// Between two reports of the sessions' signs of life.
const TOUCH_INTERVAL: Duration = Duration::from_millis(100);
/// Between two looks for containers and TTL znodes to reap.
const REAP_INTERVAL: Duration = Duration::from_secs(1);

impl Core {
    /// Does what is due.
    pub(super) fn perform_duties(&mut self, now: Now) {
        self.refuse_overdue(now.tick);
        if now.tick >= self.duties.touch {
            self.duties.touch = now.tick.after(TOUCH_INTERVAL);
            let mut sessions = std::mem::take(&mut *lock(&self.node.touches));
            sessions.sort_unstable();
            sessions.dedup();
            if !sessions.is_empty() {
                self.own.push(Input::Touched { sessions });
            }
            self.send_sessions_elsewhere(now);
        }
        if self.zab.is_serving() && self.zab.leader() == Some(self.node.config.me) {
            self.expire_sessions(now);
            if now.tick >= self.duties.reap {
                self.duties.reap = now.tick.after(REAP_INTERVAL);
                self.reap(now);
            }
        }
    }

    /// A node that has lost its quorum cannot know whether a session lives: the leader, where there is one, hears no
    /// signs of life from here. So the sessions' connections are closed while there is time to go on at another node;
    /// otherwise a client would be told that it holds what its session has lost.
    fn send_sessions_elsewhere(&mut self, now: Now) {
        let Some(since) = self.suspended_since else { return };
        for bound in self.sessions.values() {
            let third = Duration::from_millis(u64::from(bound.timeout_ms) / 3);
            if now.tick >= since.after(third) {
                bound.mailbox.close("this node has no quorum; the session can go on at another one");
            }
        }
    }

    fn expire_sessions(&mut self, now: Now) {
        let tree = read(&self.node.tree);
        let commands = self.expiry.closings(now.tick, &tree);
        drop(tree);
        self.propose_own(commands);
    }

    fn reap(&mut self, now: Now) {
        let tree = read(&self.node.tree);
        let commands = tree.reaping(now.wall_ms, APPLY_BATCH_MAX);
        drop(tree);
        self.propose_own(commands);
    }

    /// Proposes commands of this node itself: nobody waits for them.
    fn propose_own(&mut self, commands: Vec<Command>) {
        if commands.is_empty() {
            return;
        }
        let first = self.node.take_tags(commands.len() as u64);
        let origin = self.node.config.me;
        let proposals = commands.into_iter().zip(first..).map(|(command, tag)| {
            let envelope = Envelope { origin, tag, session: SessionId::NONE, generation: 0, command };
            Proposal { tag, payload: envelope.encode() }
        });
        self.own.push(Input::Propose { proposals: proposals.collect() });
    }
}
