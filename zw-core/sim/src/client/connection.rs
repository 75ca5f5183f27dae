//! A client's connections: made, bound to its session, used in order, left.

use super::{Connection, Operation, OwnSession, Parcel};
use crate::clock::MILLISECOND;
use crate::event::Event;
use crate::invariants::Verdict;
use crate::invariants::watches::Watching;
use crate::sabotage::Sabotage;
use crate::sessions::Served;
use crate::world::World;
use bytes::Bytes;
use zw_core::ids::ConnectionId;
use zw_core::tree::command::{AttachSession, Command, OpenSession};

impl World {
    /// Connects to a node, and says who this is.
    pub(super) fn connect(&mut self, client: usize) {
        let now = self.agenda.now();
        let me = &mut self.clients[client];
        if me.probe.is_none() {
            me.node = me.prng.index(self.nodes.len());
        }
        let Some(process) = &mut self.nodes[me.node].process else { return };
        self.last_connection += 1;
        let number = ConnectionId(self.last_connection);
        process.side.connections.insert(number, Served::new(client));
        let (node, incarnation) = (me.node, process.incarnation);
        me.connection = Some(Connection { number, node, incarnation, ready: false });
        (me.last_arrival, me.last_return) = (now, now);
        let Some(timeout) = me.timeout else { return self.ready(client) };
        let command = match &me.session {
            Some(OwnSession { id, secret }) => {
                Command::AttachSession(AttachSession { session: *id, secret: secret.clone() })
            }
            None => {
                let timeout_ms = u32::try_from(timeout / MILLISECOND).expect("some seconds");
                let secret = Bytes::copy_from_slice(&me.prng.draw().to_be_bytes());
                Command::OpenSession(OpenSession { timeout_ms, secret })
            }
        };
        self.ask(client, Operation::Write(command));
    }

    /// The connection can be used: watches of the earlier one come first.
    pub(super) fn ready(&mut self, client: usize) {
        let me = &mut self.clients[client];
        if let Some(connection) = &mut me.connection {
            connection.ready = true;
        }
        let (seen, brought) = (me.watches.seen, me.watches.all());
        if let Err(violation) = Watching::brings(client, seen, brought, self.history.events()) {
            return self.fail(violation);
        }
        self.clients[client].watches.hasty = self.sabotaged(Sabotage::HastyRearm);
        for operation in self.clients[client].watches.rearm(self.options.sessions.rearm_batch) {
            self.ask(client, operation);
        }
    }

    /// A node sends something back on a connection.
    pub(crate) fn send_back(&mut self, client: usize, connection: ConnectionId, parcel: Parcel) {
        if self.trace.wants_lines() {
            let what = match &parcel {
                Parcel::Answer(_, request, answer) => format!("{answer:?} to {:?}", request.operation),
                other => format!("{other:?}"),
            };
            self.note(self.clients[client].node, || format!("sends {connection:?} {what}"));
        }
        let me = &mut self.clients[client];
        if me.connection.as_ref().is_some_and(|own| own.number == connection) {
            me.incoming.push_back(parcel);
            me.last_return = me.last_return.max(self.agenda.now() + me.prng.exponential(2 * MILLISECOND));
            self.agenda.at(me.last_return, Event::Return { client, connection });
        }
    }

    /// What was sent back arrives.
    pub(crate) fn returned(&mut self, client: usize, connection: ConnectionId) -> Verdict {
        let me = &mut self.clients[client];
        if me.connection.as_ref().is_none_or(|own| own.number != connection) {
            return Ok(());
        }
        match me.incoming.pop_front() {
            Some(Parcel::Answer(number, request, answer)) => self.answered(client, number, *request, answer),
            Some(Parcel::Event(event)) => {
                me.seen = me.seen.max(event.zxid);
                me.watches.fire(&event);
                if let Some(lock) = &mut me.lock {
                    lock.heard(&event);
                }
                Ok(())
            }
            Some(Parcel::Closed) => {
                self.counts.add("connection closed by its node");
                self.break_connection(client);
                Ok(())
            }
            None => unreachable!("each return brings a parcel"),
        }
    }

    /// A client has waited long enough.
    pub(crate) fn client_timeout(&mut self, client: usize, request: u64) {
        if self.clients[client].requests.get(&request).is_some_and(|request| !request.abandoned) {
            self.counts.add_many("client timeout", self.clients[client].under_way() as u64);
            self.break_connection(client);
        }
    }

    /// The client leaves its connection; half of what was not answered arrives all the same. What it has seen stays:
    /// the next node must catch up with that first.
    pub(super) fn break_connection(&mut self, client: usize) {
        let now = self.agenda.now();
        let me = &mut self.clients[client];
        let Some(Connection { number, node, incarnation, .. }) = me.connection.take() else { return };
        me.incoming.clear();
        if let Some(lock) = &mut me.lock {
            lock.interrupted();
        }
        let lives = self.nodes[node].process.as_ref().is_some_and(|process| process.incarnation == incarnation);
        let prng = &mut me.prng;
        me.requests.retain(|_, request| lives && request.connection == number && prng.chance(500));
        me.requests.values_mut().for_each(|request| request.abandoned = true);
        // Some nodes hear of it only when the session moves, or never.
        let mean = me.prng.pick(&[1, 5, 50, 10_000]) * MILLISECOND;
        let heard = me.last_arrival.max(now + me.prng.exponential(mean));
        self.agenda.at(heard, Event::Detached { node, incarnation, connection: number });
    }

    /// A node's process is gone: its clients notice, some of them after what was on its way to them.
    pub(crate) fn break_clients_of(&mut self, node: usize) {
        for client in 0..self.clients.len() {
            let me = &mut self.clients[client];
            let Some(number) = me.connection.as_ref().filter(|own| own.node == node).map(|own| own.number) else {
                continue;
            };
            self.counts.add_many("client disconnected", me.requests.len() as u64);
            if me.prng.chance(500) {
                self.send_back(client, number, Parcel::Closed);
            } else {
                self.break_connection(client);
            }
        }
    }
}
