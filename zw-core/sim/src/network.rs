//! The links between nodes: one connection per pair, kept by the node with the lower number.
//!
//! Fault model (that of TCP over a network that fails): what one side sends arrives in order, after a random delay,
//! or the connection breaks and a suffix of it is lost, in each direction at its own place. A blocked direction holds
//! everything back, handshakes and farewells included; when it opens again the held bytes arrive, or the connection
//! breaks. A process that dies may or may not leave a farewell. Nothing is duplicated, altered or reordered within a
//! connection; across connections there is no order at all.

use crate::clock::{Agenda, MILLISECOND, Micros, SECOND};
use crate::event::Event;
use crate::prng::Prng;
use std::collections::{BTreeMap, VecDeque};
use zw_core::zab::message::Message;

/// How links behave in this world.
#[derive(Clone, Debug)]
pub struct NetworkOptions {
    /// Least delay of a packet.
    pub delay_min: Micros,
    /// Mean of what comes on top.
    pub delay_mean: Micros,
    /// Of a thousand packets, how many are sent again after a loss.
    pub loss_per_mille: u64,
    /// Of a thousand connections that were held back, how many break when the way opens again.
    pub break_per_mille: u64,
    /// Whether each message goes through its bytes.
    pub codec: bool,
}

/// What travels on a connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Packet {
    /// The dialer asks.
    Open,
    /// The acceptor agrees.
    Accept,
    /// A message.
    Data(Message),
    /// The sender knows of no such connection, or closed it.
    Close,
}

/// A packet at its receiver.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// The connection.
    pub connection: u64,
    /// The receiver.
    pub node: usize,
    /// The sender.
    pub peer: usize,
    /// What came.
    pub packet: Packet,
}

#[derive(Clone, Debug, Default)]
struct Lane {
    queue: VecDeque<(Micros, Packet)>,
    last_arrival: Micros,
    scheduled: bool,
    /// The sender has closed: nothing may follow its farewell.
    closing: bool,
}

#[derive(Clone, Debug)]
struct Connection {
    low: usize,
    high: usize,
    from_low: Lane,
    from_high: Lane,
}

/// All links.
pub struct Network {
    options: NetworkOptions,
    prngs: Vec<Prng>,
    size: usize,
    blocked: Vec<u32>,
    connections: BTreeMap<u64, Connection>,
    last_connection: u64,
}

impl Network {
    /// A network of `size` nodes without connections.
    #[must_use]
    pub fn new(options: NetworkOptions, size: usize, prng: &Prng) -> Network {
        let prngs = (0..size * size).map(|link| prng.split("link", link as u64)).collect();
        let blocked = vec![0; size * size];
        Network { options, prngs, size, blocked, connections: BTreeMap::new(), last_connection: 0 }
    }

    /// Begins a handshake from `low` to `high`; answers the new connection's number.
    pub fn open(&mut self, low: usize, high: usize, agenda: &mut Agenda) -> u64 {
        assert!(low < high, "the lower number dials");
        self.last_connection += 1;
        let connection = Connection { low, high, from_low: Lane::default(), from_high: Lane::default() };
        self.connections.insert(self.last_connection, connection);
        self.send(self.last_connection, low, Packet::Open, agenda);
        self.last_connection
    }

    /// Puts a packet on its way, if the connection still exists.
    pub fn send(&mut self, number: u64, from: usize, packet: Packet, agenda: &mut Agenda) {
        let Some(connection) = self.connections.get_mut(&number) else { return };
        let from_dialer = from == connection.low;
        let to = if from_dialer { connection.high } else { connection.low };
        let lane = if from_dialer { &mut connection.from_low } else { &mut connection.from_high };
        if lane.closing {
            return;
        }
        lane.closing = packet == Packet::Close;
        let prng = &mut self.prngs[from * self.size + to];
        let mut delay = self.options.delay_min + prng.exponential(self.options.delay_mean);
        if prng.chance(self.options.loss_per_mille) {
            delay += prng.between(20, 200) * MILLISECOND;
        }
        let packet = match packet {
            Packet::Data(message) if self.options.codec => Packet::Data(through_bytes(&message)),
            other => other,
        };
        let arrival = (agenda.now() + delay).max(lane.last_arrival);
        lane.last_arrival = arrival;
        lane.queue.push_back((arrival, packet));
        if !lane.scheduled {
            lane.scheduled = true;
            agenda.at(arrival, Event::Arrive { connection: number, from_dialer });
        }
    }

    /// Takes the packet that is due, unless its direction is blocked or the connection is gone.
    pub fn arrive(&mut self, number: u64, from_dialer: bool, agenda: &mut Agenda) -> Option<Arrival> {
        let connection = self.connections.get_mut(&number)?;
        let (from, to) =
            if from_dialer { (connection.low, connection.high) } else { (connection.high, connection.low) };
        let lane = if from_dialer { &mut connection.from_low } else { &mut connection.from_high };
        lane.scheduled = false;
        if self.blocked[from * self.size + to] > 0 {
            return None;
        }
        let (_, packet) = lane.queue.pop_front()?;
        if let Some((next, _)) = lane.queue.front() {
            lane.scheduled = true;
            agenda.at(*next, Event::Arrive { connection: number, from_dialer });
        }
        let other_way = if from_dialer { &connection.from_high } else { &connection.from_low };
        let other_side_knows = other_way.queue.iter().all(|(_, packet)| *packet != Packet::Close);
        if packet == Packet::Close && other_side_knows {
            self.connections.remove(&number);
        }
        Some(Arrival { connection: number, node: to, peer: from, packet })
    }

    /// `node` died: what it sent last may be lost, and its peers may or may not be told.
    pub fn node_died(&mut self, node: usize, prng: &mut Prng, agenda: &mut Agenda) {
        let farewell = prng.chance(700);
        let affected = self.connections.iter().filter(|(_, c)| c.low == node || c.high == node);
        for number in affected.map(|(number, _)| *number).collect::<Vec<_>>() {
            let connection = self.connections.get_mut(&number).expect("it was just listed");
            // A connection that broke before is broken for the peer in any case: no death takes that back.
            let is_broken = connection.from_low.closing && connection.from_high.closing;
            let lane = if connection.low == node { &mut connection.from_low } else { &mut connection.from_high };
            lose_suffix(lane, prng);
            if farewell || is_broken {
                self.send(number, node, Packet::Close, agenda);
            }
        }
    }

    /// Breaks a random connection, if there is one.
    pub fn reset_any(&mut self, prng: &mut Prng, agenda: &mut Agenda) -> bool {
        if self.connections.is_empty() {
            return false;
        }
        let at = prng.index(self.connections.len());
        let number = *self.connections.keys().nth(at).expect("the index is below the length");
        self.reset(number, prng, agenda);
        true
    }

    /// Blocks one direction; as often as it is blocked it must be unblocked.
    pub fn block(&mut self, from: usize, to: usize) {
        self.blocked[from * self.size + to] += 1;
    }

    /// Whether one direction is not blocked.
    #[must_use]
    pub fn is_open(&self, from: usize, to: usize) -> bool {
        self.blocked[from * self.size + to] == 0
    }

    /// Opens one direction again: what was held back arrives, or the connection breaks.
    pub fn unblock(&mut self, from: usize, to: usize, agenda: &mut Agenda) {
        let blocked = &mut self.blocked[from * self.size + to];
        *blocked = blocked.checked_sub(1).expect("a direction is unblocked only after it was blocked");
        if *blocked > 0 {
            return;
        }
        let mut prng = self.prngs[from * self.size + to].clone();
        let held =
            self.connections.iter().filter(|(_, c)| (c.low, c.high) == (from, to) || (c.high, c.low) == (from, to));
        for number in held.map(|(number, _)| *number).collect::<Vec<_>>() {
            if prng.chance(self.options.break_per_mille) {
                self.reset(number, &mut prng, agenda);
            }
            self.resume(number, from, prng.exponential(50 * MILLISECOND), agenda);
        }
        self.prngs[from * self.size + to] = prng;
    }

    fn resume(&mut self, number: u64, from: usize, delay: Micros, agenda: &mut Agenda) {
        let Some(connection) = self.connections.get_mut(&number) else { return };
        let from_dialer = connection.low == from;
        let lane = if from_dialer { &mut connection.from_low } else { &mut connection.from_high };
        if !lane.scheduled && !lane.queue.is_empty() {
            lane.scheduled = true;
            agenda.after(delay, Event::Arrive { connection: number, from_dialer });
        }
    }

    fn reset(&mut self, number: u64, prng: &mut Prng, agenda: &mut Agenda) {
        let Some(connection) = self.connections.get_mut(&number) else { return };
        lose_suffix(&mut connection.from_low, prng);
        lose_suffix(&mut connection.from_high, prng);
        let (low, high) = (connection.low, connection.high);
        // Either side learns of it at its own time.
        self.send(number, low, Packet::Close, agenda);
        self.send(number, high, Packet::Close, agenda);
    }

    /// Less delay for the liveness phase: a world that is slower than the protocol's timeouts need not make progress.
    pub fn calm(&mut self) {
        self.options.delay_min = self.options.delay_min.min(5 * MILLISECOND);
        self.options.delay_mean = self.options.delay_mean.min(10 * MILLISECOND);
        self.options.loss_per_mille = 0;
    }

    /// The wait before a redial, after `failures` in a row: 50 ms, doubling to a second.
    #[must_use]
    pub fn back_off(failures: u32) -> Micros {
        ((50 * MILLISECOND) << failures.min(5)).min(SECOND)
    }
}

fn lose_suffix(lane: &mut Lane, prng: &mut Prng) {
    let keep = prng.index(lane.queue.len() + 1);
    lane.queue.truncate(keep);
    lane.closing = lane.queue.back().is_some_and(|(_, packet)| *packet == Packet::Close);
}

fn through_bytes(message: &Message) -> Message {
    let mut frame = Vec::new();
    message.encode_frame(&mut frame);
    let read = Message::decode_frame(&frame).expect("a message reads back from its own bytes");
    assert_eq!(&read, message, "a message changed on its way through bytes");
    read
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_connection_is_noticed_by_the_peer_of_a_node_that_dies() {
        let options =
            NetworkOptions { delay_min: 10, delay_mean: 100, loss_per_mille: 0, break_per_mille: 0, codec: false };
        for seed in 0..50 {
            let mut prng = Prng::new(seed);
            let (mut agenda, mut network) = (Agenda::default(), Network::new(options.clone(), 2, &prng));
            let number = network.open(0, 1, &mut agenda);
            network.reset_any(&mut prng, &mut agenda);
            network.node_died(1, &mut prng, &mut agenda);
            let mut noticed = false;
            while let Some(event) = agenda.next_before(SECOND) {
                let Event::Arrive { connection, from_dialer } = event else { continue };
                assert_eq!(connection, number);
                let arrival = network.arrive(connection, from_dialer, &mut agenda);
                noticed |= arrival.is_some_and(|arrival| arrival.node == 0 && arrival.packet == Packet::Close);
            }
            assert!(noticed, "seed {seed}: node 0 is never told");
        }
    }
}
