//! Random clients: they write, read and read behind a barrier, several at once, and change their node when it fails.
//!
//! Fault model: a client's connection breaks when its node dies and when a request times out. Then the outcome of
//! everything outstanding is unknown, and the client goes to another node. Requests and answers of one connection
//! arrive in order.

use crate::clock::{MILLISECOND, Micros, SECOND};
use crate::event::Event;
use crate::history::ReadResult;
use crate::prng::Prng;
use crate::world::World;
use bytes::Bytes;
use std::collections::BTreeMap;
use zw_core::ids::Zxid;
use zw_core::tree::command::{Acl, Check, Command, Create, CreateMode, Delete, Multi, Reply, SetData, TreeError};

/// How clients behave in this world.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// Mean time between two requests of a client.
    pub think_mean: Micros,
    /// Most requests of a client at once.
    pub pipelining: usize,
    /// Of a thousand requests, how many are plain reads.
    pub read_per_mille: u64,
    /// Of a thousand requests, how many are reads behind a barrier.
    pub barrier_per_mille: u64,
    /// When a client gives up on a request.
    pub timeout: Micros,
    /// How many paths the clients use.
    pub paths: u64,
}

/// What a client asks for.
#[derive(Clone, Debug)]
pub enum Operation {
    /// A replicated command.
    Write(Command),
    /// A read at or after what the session has seen.
    Read(String),
    /// A linearizable read.
    BarrierRead(String),
}

/// What a node answers.
#[derive(Clone, Debug)]
pub enum Answer {
    /// The write is applied.
    Written(Zxid, Result<Reply, TreeError>),
    /// The read's result, and the zxid of the tree it was made at.
    Read(Zxid, ReadResult),
    /// Certainly not done.
    Refused,
    /// May be done now, later or never.
    Unknown,
}

/// A request on its way, being served, or on its way back.
#[derive(Clone, Debug)]
pub struct Request {
    /// What is asked.
    pub operation: Operation,
    /// The greatest zxid delivered anywhere when it began.
    pub floor: Zxid,
    /// What the session had seen when it began.
    pub seen: Zxid,
    /// The node that was asked, and the incarnation of its process.
    pub node: usize,
    /// See `node`.
    pub incarnation: u32,
    /// The answer, once there is one.
    pub answer: Option<Answer>,
}

/// One client.
pub struct Client {
    prng: Prng,
    node: usize,
    /// The process that the connection was made to; none while not connected.
    incarnation: Option<u32>,
    last_request: u64,
    /// Requests of the present connection.
    pub(crate) outstanding: BTreeMap<u64, Request>,
    seen: Zxid,
    last_arrival: Micros,
    last_return: Micros,
    /// Writes and barrier reads that the liveness phase still wants from this client.
    pub(crate) probe: Option<Vec<Operation>>,
}

impl Client {
    /// A client that is not connected.
    #[must_use]
    pub fn new(prng: Prng) -> Client {
        Client {
            prng,
            node: 0,
            incarnation: None,
            last_request: 0,
            outstanding: BTreeMap::new(),
            seen: Zxid::ZERO,
            last_arrival: 0,
            last_return: 0,
            probe: None,
        }
    }

    fn break_connection(&mut self) {
        self.incarnation = None;
        self.outstanding.clear();
        // What the session has seen stays: the next node must catch up with it first.
    }
}

impl World {
    /// A client does its next thing.
    pub(crate) fn wake(&mut self, client: usize) {
        let now = self.agenda.now();
        let options = self.options.clients.clone();
        let me = &mut self.clients[client];
        if me.incarnation.is_none() {
            if me.probe.is_none() {
                me.node = me.prng.index(self.nodes.len());
            }
            me.incarnation = self.nodes[me.node].process.as_ref().map(|process| process.incarnation);
            me.last_arrival = now;
            me.last_return = now;
        }
        let think = me.prng.exponential(options.think_mean).max(1);
        let Some(incarnation) = me.incarnation else {
            self.agenda.after(think + 20 * MILLISECOND, Event::Wake { client });
            return;
        };
        let operation = match &mut me.probe {
            Some(wanted) if me.outstanding.is_empty() => wanted.last().cloned(),
            Some(_) => None,
            None if self.healing => None,
            None if me.outstanding.len() >= options.pipelining => None,
            None => Some(random_operation(&mut me.prng, &options, client, me.last_request)),
        };
        if let Some(operation) = operation {
            me.last_request += 1;
            let request = me.last_request;
            let floor = self.invariants.agreement.last();
            let (seen, node) = (me.seen, me.node);
            me.outstanding.insert(request, Request { operation, floor, seen, node, incarnation, answer: None });
            me.last_arrival = me.last_arrival.max(now + me.prng.exponential(2 * MILLISECOND));
            self.agenda.at(me.last_arrival, Event::Request { client, request });
            self.agenda.after(options.timeout, Event::ClientTimeout { client, request });
        }
        if !self.healing || me.probe.as_ref().is_some_and(|wanted| !wanted.is_empty()) {
            self.agenda.after(think, Event::Wake { client });
        }
    }

    /// A node answers; the answer travels back.
    pub(crate) fn answer(&mut self, client: usize, request: u64, answer: Answer) {
        let me = &mut self.clients[client];
        let Some(asked) = me.outstanding.get_mut(&request) else { return };
        asked.answer = Some(answer);
        me.last_return = me.last_return.max(self.agenda.now() + me.prng.exponential(2 * MILLISECOND));
        self.agenda.at(me.last_return, Event::Reply { client, request });
    }

    /// An answer arrives at its client.
    pub(crate) fn reply(&mut self, client: usize, request: u64) {
        let me = &mut self.clients[client];
        let Some(done) = me.outstanding.remove(&request) else { return };
        let name = match (done.answer, &done.operation) {
            (Some(Answer::Written(zxid, _)), _) => {
                me.seen = me.seen.max(zxid);
                "write acknowledged"
            }
            (Some(Answer::Read(zxid, _)), Operation::BarrierRead(_)) => {
                me.seen = me.seen.max(zxid);
                "barrier read"
            }
            (Some(Answer::Read(zxid, _)), _) => {
                me.seen = me.seen.max(zxid);
                "session read"
            }
            (Some(Answer::Refused), _) => "request refused",
            (Some(Answer::Unknown), _) => "outcome unknown",
            (None, _) => unreachable!("an answer travels only once it is there"),
        };
        self.counts.add(name);
        let served = matches!(name, "write acknowledged" | "barrier read");
        if let Some(wanted) = &mut self.clients[client].probe
            && served
        {
            wanted.pop();
        }
    }

    /// A client has waited long enough.
    pub(crate) fn client_timeout(&mut self, client: usize, request: u64) {
        let me = &mut self.clients[client];
        if me.outstanding.contains_key(&request) {
            self.counts.add_many("client timeout", me.outstanding.len() as u64);
            me.break_connection();
        }
    }

    /// A node's process is gone: its clients notice.
    pub(crate) fn break_clients_of(&mut self, node: usize) {
        for client in self.clients.iter_mut().filter(|client| client.node == node && client.incarnation.is_some()) {
            self.counts.add_many("client disconnected", client.outstanding.len() as u64);
            client.break_connection();
        }
    }

    /// Stops the random clients, and lets one client per node write and read behind a barrier.
    pub(crate) fn start_probes(&mut self) {
        for node in 0..self.nodes.len() {
            let client = self.clients.len();
            let mut probe = Client::new(self.prng.split("probe", node as u64));
            let create = Create {
                path: format!("/probe-{}", node + 1),
                data: Bytes::from_static(b"alive"),
                acl: Acl::open(),
                mode: CreateMode::Persistent,
                ttl_ms: 0,
            };
            probe.node = node;
            probe.probe =
                Some(vec![Operation::BarrierRead(create.path.clone()), Operation::Write(Command::Create(create))]);
            self.clients.push(probe);
            self.agenda.after(SECOND, Event::Wake { client });
        }
    }
}

fn random_operation(prng: &mut Prng, options: &ClientOptions, client: usize, request: u64) -> Operation {
    let path = random_path(prng, options.paths);
    let kind = prng.below(1_000);
    if kind < options.read_per_mille {
        Operation::Read(path)
    } else if kind < options.read_per_mille + options.barrier_per_mille {
        Operation::BarrierRead(path)
    } else if prng.chance(60) {
        let mut operations = vec![random_command(prng, options.paths, client, request)];
        while operations.len() < 4 && prng.chance(600) {
            operations.push(random_command(prng, options.paths, client, request));
        }
        Operation::Write(Command::Multi(Multi { operations }))
    } else {
        Operation::Write(random_command(prng, options.paths, client, request))
    }
}

fn random_path(prng: &mut Prng, paths: u64) -> String {
    match (prng.below(paths), prng.chance(250)) {
        (parent, false) => format!("/p{parent}"),
        (parent, true) => format!("/p{parent}/c{}", prng.below(paths)),
    }
}

fn random_command(prng: &mut Prng, paths: u64, client: usize, request: u64) -> Command {
    let path = random_path(prng, paths);
    let version = if prng.chance(800) { -1 } else { i32::try_from(prng.below(4)).expect("small") };
    let padding = if prng.chance(20) { 600 } else { prng.index(24) };
    let data = Bytes::from([format!("{client}.{request} ").as_bytes(), &vec![b'.'; padding]].concat());
    match prng.below(100) {
        0..30 => {
            let mode = CreateMode::Persistent;
            Command::Create(Create { path, data, acl: Acl::open(), mode, ttl_ms: 0 })
        }
        30..33 => {
            let path = format!("/p{}/s-", prng.below(paths));
            let mode = CreateMode::PersistentSequential;
            Command::Create(Create { path, data, acl: Acl::open(), mode, ttl_ms: 0 })
        }
        33..80 => Command::SetData(SetData { path, data, version }),
        80..95 => Command::Delete(Delete { path, version }),
        _ => Command::Check(Check { path, version }),
    }
}
