//! Sessions (protocol.md 2.8), by true simulated time and by what the log says:
//!
//! - ExpiredEarly: a leader proposes the end of a session only after it has not heard of it for the session's whole
//!   timeout, less what its clock may drift, and less what its clock has jumped forward meanwhile: nobody can tell a short
//!   jump from time that passed. Its first word of the session is its own taking up of the lead. And when
//!   nothing was disturbed for long, never while nodes have had a sign of life in each half of its timeout for a whole
//!   timeout.
//! - ExpiredByLeader: an expiry in an epoch comes from that epoch's leader, never from a deposed one.
//! - OneConnection: after a session was bound to a connection, no command that another connection sent changes anything
//!   in its name.
//!
//! That a session is refused only when the log says so is checked with every reply, by the naive model.

use super::{Verdict, ensure};
use crate::clock::{MILLISECOND, Micros, SECOND};
use std::collections::BTreeMap;
use zw_core::ids::{ConnectionId, NodeId, SessionId, Zxid};
use zw_core::tree::command::{Command, Envelope, Reply, TreeError};

const EARLY: &str = "ExpiredEarly";
const LEADER: &str = "ExpiredByLeader";
const CONNECTION: &str = "OneConnection";

/// Most that a clock may go wrong, of a million: a little more than the simulated clocks do.
const DRIFT_PPM: u64 = 600;

/// What is known of all sessions.
#[derive(Default)]
pub struct Sessions {
    timeouts: BTreeMap<SessionId, Micros>,
    /// When each node took up its present lead, on its clock without the drift: true time and all jumps.
    leads: BTreeMap<usize, Micros>,
    /// When each leader last heard of a session, on the same clock.
    heard: BTreeMap<(usize, SessionId), Micros>,
    /// Since when nodes have had signs of life in short order, and the last one.
    alive: BTreeMap<SessionId, (Micros, Micros)>,
    senders: BTreeMap<(NodeId, u64), ConnectionId>,
    bound: BTreeMap<SessionId, ConnectionId>,
}

impl Sessions {
    /// A node begins to serve as leader: every session has its full timeout from now on. `now_there` is true time and
    /// how far the node's clock has jumped in all.
    pub fn leads(&mut self, node: usize, now_there: Micros) {
        self.leads.insert(node, now_there);
        self.heard.retain(|(leader, _), _| *leader != node);
    }

    /// A leader hears of sessions. See [`Sessions::leads`].
    pub fn heard(&mut self, node: usize, sessions: &[SessionId], now_there: Micros) {
        self.heard.extend(sessions.iter().map(|session| ((node, *session), now_there)));
    }

    /// A request of the session reaches a node.
    pub fn alive(&mut self, session: SessionId, now: Micros) {
        let half = self.timeouts.get(&session).map_or(0, |timeout| timeout / 2);
        let (since, last) = self.alive.entry(session).or_insert((now, now));
        if now - *last >= half {
            *since = now;
        }
        *last = now;
    }

    /// A command of a connection is proposed.
    pub fn proposes(&mut self, origin: NodeId, tag: u64, connection: ConnectionId) {
        self.senders.insert((origin, tag), connection);
    }

    /// A node, whose clock has jumped so far in all, proposes the end of a session for silence. `disturbed` is when
    /// anything was last out of order.
    ///
    /// # Errors
    /// It is too early.
    pub fn expires(
        &self,
        (node, jumped): (usize, Micros),
        session: SessionId,
        now: Micros,
        disturbed: Micros,
    ) -> Verdict {
        let Some(timeout) = self.timeouts.get(&session).copied() else { return Ok(()) };
        let heard = self.heard.get(&(node, session)).max(self.leads.get(&node)).copied().unwrap_or(0);
        let silent = now + jumped - heard;
        let least = timeout - timeout * DRIFT_PPM / 1_000_000;
        ensure!(
            silent >= least,
            EARLY,
            "node {} ends session {session} after {} ms of silence; its timeout is {} ms",
            node + 1,
            silent / MILLISECOND,
            timeout / MILLISECOND
        );
        let Some((since, alive)) = self.alive.get(&session).copied() else { return Ok(()) };
        let quiet = disturbed.saturating_add(timeout + 2 * SECOND) <= now;
        let lively = now - alive < timeout / 2 && now - since >= timeout;
        ensure!(
            !quiet || !lively,
            EARLY,
            "node {} ends session {session}, which gave signs of life all the time, the last {} ms ago; its timeout is \
             {} ms, and nothing was out of order for {} ms",
            node + 1,
            (now - alive) / MILLISECOND,
            timeout / MILLISECOND,
            (now - disturbed) / MILLISECOND
        );
        Ok(())
    }

    /// An entry is committed; `leader` led its epoch.
    ///
    /// # Errors
    /// See the module.
    pub fn committed(
        &mut self,
        zxid: Zxid,
        envelope: &Envelope,
        reply: &Result<Reply, TreeError>,
        leader: Option<NodeId>,
    ) -> Verdict {
        let sender = self.senders.get(&(envelope.origin, envelope.tag)).copied();
        if let Command::CloseSession(close) = &envelope.command
            && close.expired
        {
            let (session, origin) = (close.session, envelope.origin);
            let by_leader = leader == Some(origin);
            ensure!(by_leader, LEADER, "{zxid} ends session {session} by the word of {origin}; {leader:?} led then");
        }
        let Ok(reply) = reply else { return Ok(()) };
        if let Reply::Session(granted) = reply {
            self.timeouts.insert(granted.session, u64::from(granted.timeout_ms) * MILLISECOND);
            if let Some(sender) = sender {
                self.bound.insert(granted.session, sender);
            }
        } else if envelope.session != SessionId::NONE {
            let (session, bound) = (envelope.session, self.bound.get(&envelope.session).copied());
            let is_it = sender.is_some() && sender == bound;
            ensure!(is_it, CONNECTION, "{zxid} acts for {session} by {sender:?}, though {bound:?} has it since");
        }
        Ok(())
    }
}
