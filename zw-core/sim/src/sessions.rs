//! A process's side of sessions and watches: connections, bindings, signs of life, expiry and reaping by the leader,
//! watch events. It follows the runtime's own rules (`zw-node/src/server`) and runs the same `Expiry` and `Watches`.
//!
//! - Signs of life are gathered and told to the leader with the heartbeats; only a serving leader ends sessions.
//! - The events of an entry are sent before any answer that shows it.
//! - A node that cannot serve sends the sessions bound to it elsewhere; a node that installs a snapshot, everybody.

use crate::client::{Answer, Parcel};
use crate::clock::SECOND;
use crate::invariants::{Verdict, ensure, ephemerals};
use crate::process::id_of;
use crate::sabotage::Sabotage;
use crate::world::World;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use zw_core::ids::{ConnectionId, Epoch, NodeId, SessionId, Tick, Zxid};
use zw_core::limits::APPLY_BATCH_MAX;
use zw_core::tree::Applied;
use zw_core::tree::command::{Command, Envelope, EventKind, Multi, Reply, SessionReply, TreeError, TreeEvent};
use zw_core::tree::expiry::{Expiry, patience};
use zw_core::tree::watch::{WatchKind, Watches};
use zw_core::zab::effects::{Input, Proposal};

/// As the runtime's own: see `zw-node/src/server/duties.rs`.
const TOUCH_INTERVAL: Duration = Duration::from_millis(100);
/// See [`TOUCH_INTERVAL`].
const REAP_INTERVAL: Duration = Duration::from_secs(1);

/// A connection as its node has it.
pub(crate) struct Served {
    pub(crate) client: usize,
    pub(crate) session: Option<(SessionId, u32)>,
    touched: Option<Tick>,
}

impl Served {
    /// Of a client that has shown no session yet.
    pub(crate) fn new(client: usize) -> Served {
        Served { client, session: None, touched: None }
    }
}

/// A session bound to a connection of this node.
struct Bound {
    connection: ConnectionId,
    timeout_ms: u32,
}

/// What a process knows of its clients beside their requests.
#[derive(Default)]
pub(crate) struct SessionSide {
    pub(crate) connections: BTreeMap<ConnectionId, Served>,
    pub(crate) watches: Watches,
    bound: BTreeMap<SessionId, Bound>,
    expiry: Expiry,
    touches: BTreeSet<SessionId>,
    /// For the next round, before anything else.
    own: Vec<Command>,
    own_touches: Vec<SessionId>,
    /// Events that a sabotage sends too late.
    late: Vec<(usize, ConnectionId, TreeEvent)>,
    touch_at: Tick,
    reap_at: Tick,
    last_round: Option<Tick>,
    suspended_since: Option<Tick>,
}

impl SessionSide {
    /// Whether the next round has something to do of its own.
    pub(crate) fn has_work(&self) -> bool {
        !self.own.is_empty() || !self.own_touches.is_empty()
    }

    /// When the process must look round next.
    pub(crate) fn next_deadline(&self) -> Tick {
        self.expiry.next_deadline().map_or(self.touch_at, |expiry| expiry.min(self.touch_at))
    }
}

impl World {
    fn side(&mut self, node: usize) -> &mut SessionSide {
        &mut self.nodes[node].process.as_mut().expect("a running process serves").side
    }

    /// A request of this connection is a sign of life of its session.
    pub(crate) fn touch(&mut self, node: usize, connection: ConnectionId) {
        let now = self.agenda.now();
        let tick = self.nodes[node].clock.read(now).tick;
        let side = self.side(node);
        let Some(served) = side.connections.get_mut(&connection) else { return };
        let Some((session, _)) = served.session else { return };
        if served.touched.is_none_or(|last| tick >= last.after(TOUCH_INTERVAL)) {
            served.touched = Some(tick);
            side.touches.insert(session);
        }
        self.invariants.sessions.alive(session, now);
    }

    /// The process begins a round: what it does of its own comes first. Gives the inputs for it.
    pub(crate) fn begin_round(&mut self, node: usize) -> Vec<Input> {
        let tick = self.nodes[node].clock.read(self.agenda.now()).tick;
        let side = self.side(node);
        let gap = side.last_round.replace(tick).map_or(0, |last| tick.0 - last.0);
        side.expiry.notice_gap(Duration::from_micros(gap));
        let commands = std::mem::take(&mut side.own);
        let sessions = std::mem::take(&mut side.own_touches);
        let late = std::mem::take(&mut side.late);
        for (client, connection, event) in late {
            self.post(node, client, connection, event);
        }
        let mut inputs = Vec::new();
        if !sessions.is_empty() {
            inputs.push(Input::Touched { sessions });
        }
        let origin = id_of(node);
        let proposals: Vec<Proposal> = commands
            .into_iter()
            .map(|command| {
                let tag = self.nodes[node].process.as_mut().expect("it runs").next_tag();
                self.invariants.integrity.proposes(origin, tag);
                let envelope = Envelope { origin, tag, session: SessionId::NONE, generation: 0, command };
                Proposal { tag, payload: envelope.encode() }
            })
            .collect();
        if !proposals.is_empty() {
            inputs.push(Input::Propose { proposals });
        }
        inputs
    }

    /// The process ends a round: it does what is due by its clock.
    pub(crate) fn perform_duties(&mut self, node: usize) -> Verdict {
        let now = self.agenda.now();
        let clock = self.nodes[node].clock.read(now);
        let tick = clock.tick;
        let deposed = self.sabotaged(Sabotage::ExpireDeposed);
        let Some(process) = &mut self.nodes[node].process else { return Ok(()) };
        if tick >= process.side.touch_at {
            process.side.touch_at = tick.after(TOUCH_INTERVAL);
            process.side.own_touches.extend(std::mem::take(&mut process.side.touches));
            self.send_sessions_elsewhere(node, tick);
        }
        let Some(process) = &mut self.nodes[node].process else { return Ok(()) };
        let leads = process.zab.leader() == Some(id_of(node));
        if process.zab.is_serving() && (leads || deposed) {
            let closings = process.side.expiry.closings(tick, &process.tree);
            let (disturbed, jumped) = (self.disturbed_since(), self.nodes[node].clock.jumped());
            for command in &closings {
                if let Command::CloseSession(close) = command {
                    self.counts.add("expiry proposed");
                    if disturbed + 4 * SECOND < now {
                        self.counts.add("expiry proposed in quiet");
                    }
                    self.invariants.sessions.expires((node, jumped), close.session, now, disturbed)?;
                }
            }
            let process = self.nodes[node].process.as_mut().expect("it was there");
            process.side.own.extend(closings);
            if tick >= process.side.reap_at {
                process.side.reap_at = tick.after(REAP_INTERVAL);
                let reaping = process.tree.reaping(clock.wall_ms, APPLY_BATCH_MAX);
                process.side.own.extend(reaping);
            }
        }
        Ok(())
    }

    fn send_sessions_elsewhere(&mut self, node: usize, tick: Tick) {
        let side = self.side(node);
        let Some(since) = side.suspended_since else { return };
        let third = |bound: &Bound| Duration::from_millis(u64::from(bound.timeout_ms) / 3);
        let over = side.bound.values().filter(|bound| tick >= since.after(third(bound)));
        let connections: Vec<ConnectionId> = over.map(|bound| bound.connection).collect();
        for connection in connections {
            self.counts.add("session sent elsewhere");
            self.close_client(node, connection);
        }
    }

    /// The node serves from now on.
    pub(crate) fn serve_sessions(&mut self, node: usize, leader: NodeId, epoch: Epoch) {
        let now = self.agenda.now();
        self.note(node, || format!("serves under {leader} in epoch {epoch}"));
        let tick = self.nodes[node].clock.read(now).tick;
        let now_there = now + self.nodes[node].clock.jumped();
        let leads = leader == id_of(node);
        self.forget_deadlines(node);
        let process = self.nodes[node].process.as_mut().expect("a running process serves");
        process.side.suspended_since = None;
        if leads {
            process.side.expiry.clear();
            for (id, session) in process.tree.sessions() {
                process.side.expiry.opened(id, patience(session.timeout_ms), tick);
            }
            self.invariants.sessions.leads(node, now_there);
        }
    }

    /// The node serves no more.
    pub(crate) fn suspend_sessions(&mut self, node: usize) {
        let tick = self.nodes[node].clock.read(self.agenda.now()).tick;
        self.forget_deadlines(node);
        self.side(node).suspended_since = Some(tick);
    }

    /// Only a leader has deadlines.
    pub(crate) fn forget_deadlines(&mut self, node: usize) {
        if !self.sabotaged(Sabotage::ExpireDeposed) {
            self.side(node).expiry.clear();
        }
    }

    /// The leader hears of sessions.
    pub(crate) fn sessions_touched(&mut self, node: usize, sessions: &[SessionId]) {
        let now = self.agenda.now();
        self.counts.add_many("touched sessions", sessions.len() as u64);
        let jumped = self.nodes[node].clock.jumped();
        self.invariants.sessions.heard(node, sessions, now + jumped);
        if !self.sabotaged(Sabotage::ExpireEarly) {
            let tick = self.nodes[node].clock.read(now).tick;
            let expiry = &mut self.side(node).expiry;
            sessions.iter().for_each(|session| expiry.touched(*session, tick));
        }
    }

    /// The node ends a client's connection, or learns that the client did.
    pub(crate) fn close_client(&mut self, node: usize, connection: ConnectionId) {
        let Some(process) = &mut self.nodes[node].process else { return };
        let side = &mut process.side;
        let Some(served) = side.connections.remove(&connection) else { return };
        side.watches.remove_connection(connection);
        if let Some((session, _)) = served.session
            && side.bound.get(&session).is_some_and(|bound| bound.connection == connection)
        {
            side.bound.remove(&session);
        }
        self.invariants.watches.closes(connection);
        self.send_back(served.client, connection, Parcel::Closed);
    }

    /// Ends every connection of a client.
    pub(crate) fn close_clients(&mut self, node: usize) {
        let connections: Vec<ConnectionId> = self.side(node).connections.keys().copied().collect();
        connections.into_iter().for_each(|connection| self.close_client(node, connection));
    }

    /// What an applied entry means for sessions, on this node.
    pub(crate) fn sessions_changed(&mut self, node: usize, envelope: &Envelope, applied: &Applied) -> Verdict {
        match (&envelope.command, &applied.reply) {
            (_, Ok(Reply::Session(granted))) => self.bind(node, envelope, granted),
            (Command::CloseSession(close), Ok(_)) => {
                let session = close.session;
                let process = self.nodes[node].process.as_mut().expect("a running process applies");
                ephemerals::ended(node, &process.tree, session)?;
                process.side.expiry.closed(session);
                if let Some(bound) = process.side.bound.remove(&session) {
                    if close.expired {
                        self.close_client(node, bound.connection);
                    } else if let Some(served) = process.side.connections.get_mut(&bound.connection) {
                        served.session = None;
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn bind(&mut self, node: usize, envelope: &Envelope, granted: &SessionReply) {
        let now = self.agenda.now();
        let tick = self.nodes[node].clock.read(now).tick;
        let now_there = now + self.nodes[node].clock.jumped();
        let process = self.nodes[node].process.as_mut().expect("a running process applies");
        let session = granted.session;
        if process.zab.leader() == Some(id_of(node)) {
            process.side.expiry.opened(session, patience(granted.timeout_ms), tick);
            self.invariants.sessions.heard(node, &[session], now_there);
        }
        let asked = process.proposed.get(&envelope.tag).filter(|_| envelope.origin == id_of(node));
        let asked = asked.and_then(|(client, request)| self.clients[*client].requests.get(request));
        let connection = asked.map(|asked| asked.connection);
        if let Some(old) = process.side.bound.remove(&session)
            && Some(old.connection) != connection
        {
            self.close_client(node, old.connection);
        }
        let side = self.side(node);
        if let Some(connection) = connection
            && let Some(served) = side.connections.get_mut(&connection)
        {
            served.session = Some((session, granted.generation));
            side.bound.insert(session, Bound { connection, timeout_ms: granted.timeout_ms });
        }
    }

    /// Sends an entry's events to those who watch for them.
    pub(crate) fn fire(&mut self, node: usize, events: &[TreeEvent]) {
        for event in events {
            for connection in self.side(node).watches.fire(event) {
                let Some(client) = self.side(node).connections.get(&connection).map(|served| served.client) else {
                    continue;
                };
                match self.options.sabotage {
                    Some(Sabotage::DropEvent) if self.fault_prng.chance(100) => {}
                    Some(Sabotage::LateEvent) => {
                        self.side(node).late.push((client, connection, event.clone()));
                    }
                    Some(Sabotage::RepeatEvent) => {
                        self.post(node, client, connection, event.clone());
                        self.post(node, client, connection, event.clone());
                    }
                    _ => self.post(node, client, connection, event.clone()),
                }
            }
        }
    }

    fn post(&mut self, node: usize, client: usize, connection: ConnectionId, event: TreeEvent) {
        if !self.side(node).connections.contains_key(&connection) {
            return;
        }
        self.counts.add("watch event");
        if let Err(violation) = self.invariants.watches.fires(connection, &event, self.history.events()) {
            self.fail(violation);
        }
        self.send_back(client, connection, Parcel::Event(event));
    }

    /// A client's watches come back: those that missed something fire at once.
    pub(crate) fn rearm(
        &mut self,
        node: usize,
        (client, request): (usize, u64),
        seen: Zxid,
        watches: &[(WatchKind, String)],
    ) -> Verdict {
        let Some(connection) = self.clients[client].requests.get(&request).map(|asked| asked.connection) else {
            return Ok(());
        };
        let process = self.nodes[node].process.as_mut().expect("a running process answers");
        if !process.side.connections.contains_key(&connection) {
            return Ok(());
        }
        let applied = process.tree.applied();
        if seen > applied {
            self.answer(client, request, Answer::Refused);
            return Ok(());
        }
        let truth = (self.history.model(), self.history.events());
        self.invariants.watches.rearms(connection, (seen, applied), watches, truth)?;
        let all = watches.iter().map(|(kind, path)| (*kind, path.as_str()));
        let (events, armed) = process.side.watches.rearm(&process.tree, connection, seen, all);
        ensure!(armed.is_ok(), "WatchRearmed", "{connection:?} cannot arm its watches: {armed:?}");
        self.counts.add_many("watch event on arming again", events.len() as u64);
        for event in events {
            self.post(node, client, connection, event);
        }
        self.answer(client, request, Answer::Done(applied));
        Ok(())
    }

    /// Counts what the commands of sessions come to.
    pub(crate) fn count_command(&mut self, envelope: &Envelope, applied: &Applied) {
        let name = match (&envelope.command, &applied.reply) {
            (Command::OpenSession(_), Ok(_)) => "session opened",
            (Command::AttachSession(_), Ok(_)) => "session attached",
            (Command::CloseSession(close), Ok(_)) if close.expired => "session expired",
            (Command::CloseSession(_), Ok(_)) => "session closed",
            (Command::Reap(_), Ok(_)) => "znode reaped",
            (_, Err(TreeError::SessionExpired(_))) => "refused: session expired",
            (_, Err(TreeError::SessionMoved(_))) => "refused: session moved",
            (Command::Multi(multi), Ok(_)) if is_fenced(multi) => "fenced write",
            _ => return,
        };
        self.counts.add(name);
        if matches!(envelope.command, Command::CloseSession(_)) {
            let deleted = applied.events.iter().filter(|event| event.kind == EventKind::Deleted).count();
            self.counts.add_many("ephemeral ended with its session", deleted as u64);
        }
    }
}

fn is_fenced(multi: &Multi) -> bool {
    matches!(multi.operations.as_slice(), [Command::Check(_), Command::SetData(set)] if set.path == crate::invariants::locks::GUARDED)
}
