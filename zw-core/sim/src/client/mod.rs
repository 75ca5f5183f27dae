//! Random clients: they open sessions, write, read, watch and read behind a barrier, several at once, and change their
//! node when it fails.
//!
//! Fault model: a client's connection breaks when its node dies, when the node closes it, when a request times out, and
//! at a whim. Then the outcome of everything outstanding is unknown, and the client goes to another node, attaches its
//! session again and arms its watches again. Its node learns of it late, or very late; requests that were on their way
//! arrive all the same. A client falls silent for longer than its session bears. Within one connection requests, and
//! everything that comes back, arrive in order.

mod connection;
mod lock;
mod operations;
mod options;
pub(crate) mod watches;

pub use options::{ClientOptions, SessionOptions};

use crate::clock::{MILLISECOND, Micros, SECOND};
use crate::event::Event;
use crate::history::{Look, ReadResult};
use crate::invariants::{Verdict, ensure};
use crate::prng::Prng;
use crate::world::World;
use bytes::Bytes;
use lock::Lock;
use std::collections::{BTreeMap, VecDeque};
use watches::OwnWatches;
use zw_core::ids::{ConnectionId, SessionId, Zxid};
use zw_core::tree::command::{Acl, CloseSession, Command, Create, CreateMode, Reply, TreeError, TreeEvent};
use zw_core::tree::watch::WatchKind;

/// What a client asks for.
#[derive(Clone, Debug)]
pub enum Operation {
    /// A replicated command; also the opening, attaching and closing of sessions.
    Write(Command),
    /// A read at or after what the session has seen; it may leave a watch.
    Read {
        /// Where.
        path: String,
        /// At what.
        look: Look,
        /// Whether it leaves a watch.
        watch: bool,
    },
    /// A linearizable read.
    BarrierRead(String),
    /// A watch that stays.
    AddWatch(WatchKind, String),
    /// Watches of an earlier connection, by a client that has heard of everything up to a zxid.
    SetWatches(Zxid, Vec<(WatchKind, String)>),
    /// A sign of life.
    Ping,
}

/// What a node answers.
#[derive(Clone, Debug)]
pub enum Answer {
    /// The write is applied.
    Written(Zxid, Result<Reply, TreeError>),
    /// The read's result, and the zxid of the tree it was made at.
    Read(Zxid, ReadResult),
    /// Done, at that zxid of the tree.
    Done(Zxid),
    /// Certainly not done.
    Refused,
    /// May be done now, later or never.
    Unknown,
}

impl Answer {
    /// The zxid of the tree that it shows.
    #[must_use]
    pub fn zxid(&self) -> Option<Zxid> {
        match self {
            Answer::Written(zxid, _) | Answer::Read(zxid, _) | Answer::Done(zxid) => Some(*zxid),
            Answer::Refused | Answer::Unknown => None,
        }
    }
}

/// A request on its way, or being served.
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
    /// The connection that it was sent on.
    pub connection: ConnectionId,
    /// Whether the client has left that connection.
    pub abandoned: bool,
}

/// What comes back to a client on its connection.
#[derive(Clone, Debug)]
pub(crate) enum Parcel {
    /// To the request of this number.
    Answer(u64, Box<Request>, Answer),
    /// A watch fired.
    Event(TreeEvent),
    /// The node closed the connection.
    Closed,
}

/// A connection as its client has it.
#[derive(Clone, Debug)]
struct Connection {
    number: ConnectionId,
    node: usize,
    incarnation: u32,
    /// Whether the session is bound to it.
    ready: bool,
}

/// A session as its client has it.
#[derive(Clone, Debug)]
struct OwnSession {
    id: SessionId,
    secret: Bytes,
}

/// One client.
pub struct Client {
    prng: Prng,
    node: usize,
    connection: Option<Connection>,
    last_request: u64,
    /// Requests that are not answered yet; also some of connections that were left.
    pub(crate) requests: BTreeMap<u64, Request>,
    incoming: VecDeque<Parcel>,
    seen: Zxid,
    last_arrival: Micros,
    last_return: Micros,
    last_sent: Micros,
    /// The timeout of its sessions, if it uses any.
    timeout: Option<Micros>,
    session: Option<OwnSession>,
    watches: OwnWatches,
    lock: Option<Lock>,
    silent_until: Micros,
    next_whim: Micros,
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
            connection: None,
            last_request: 0,
            requests: BTreeMap::new(),
            incoming: VecDeque::new(),
            seen: Zxid::ZERO,
            last_arrival: 0,
            last_return: 0,
            last_sent: 0,
            timeout: None,
            session: None,
            watches: OwnWatches::default(),
            lock: None,
            silent_until: 0,
            next_whim: 0,
            probe: None,
        }
    }

    /// A client with the habits that its world allows.
    #[must_use]
    pub fn random(prng: Prng, index: u64, options: &SessionOptions) -> Client {
        let mut client = Client::new(prng);
        if client.prng.chance(options.share_per_mille) {
            client.timeout = Some(client.prng.pick(&[1_000, 1_000, 1_500, 3_000]) * MILLISECOND);
            client.next_whim = client.prng.exponential(options.whim_mean);
            client.lock = client.prng.chance(options.lock_per_mille).then(|| Lock::new(index));
        }
        client
    }

    /// The node that it is connected to, or was last.
    pub(crate) fn node(&self) -> usize {
        self.node
    }

    fn under_way(&self) -> usize {
        self.requests.values().filter(|request| !request.abandoned).count() + self.incoming.len()
    }

    /// The session is gone, with everything that hung on it.
    fn lose_session(&mut self) {
        self.session = None;
        self.watches = OwnWatches::default();
        if let Some(lock) = &mut self.lock {
            lock.ended();
        }
    }
}

impl World {
    /// A client does its next thing.
    pub(crate) fn wake(&mut self, client: usize) {
        let now = self.agenda.now();
        if self.clients[client].silent_until <= now {
            if self.clients[client].connection.is_none() {
                self.connect(client);
            }
            if let Some(operation) = self.next_operation(client) {
                self.ask(client, operation);
            }
        }
        let me = &mut self.clients[client];
        let mut think = me.prng.exponential(self.options.clients.think_mean).max(1);
        if me.connection.is_none() {
            think += 20 * MILLISECOND;
        }
        if let Some(timeout) = me.timeout {
            think = think.min(timeout / 3);
        }
        let has_more = me.probe.as_ref().is_some_and(|wanted| !wanted.is_empty());
        if !self.healing || has_more || me.timeout.is_some() {
            self.agenda.after(think, Event::Wake { client });
        }
    }

    fn next_operation(&mut self, client: usize) -> Option<Operation> {
        let now = self.agenda.now();
        let options = &self.options.clients;
        let me = &mut self.clients[client];
        if !me.connection.as_ref()?.ready {
            return None;
        }
        let under_way = me.under_way();
        if let Some(wanted) = &me.probe {
            return wanted.last().filter(|_| under_way == 0).cloned();
        }
        if !self.healing && me.timeout.is_some() && now >= me.next_whim {
            return self.whim(client);
        }
        let operation = match &mut me.lock {
            _ if self.healing => None,
            Some(lock) if under_way == 0 => lock.next(&mut me.prng),
            Some(_) => None,
            None if under_way >= options.pipelining => None,
            None => {
                let random = operations::Random {
                    prng: &mut me.prng,
                    options,
                    sessions: &self.options.sessions,
                    name: (client, me.last_request),
                };
                Some(random.operation())
            }
        };
        let ping = me.timeout.is_some_and(|timeout| now - me.last_sent >= timeout / 3);
        operation.or(ping.then_some(Operation::Ping))
    }

    /// A client with a session does what clients do now and then.
    fn whim(&mut self, client: usize) -> Option<Operation> {
        let now = self.agenda.now();
        let me = &mut self.clients[client];
        me.next_whim = now + me.prng.exponential(self.options.sessions.whim_mean).max(1);
        let timeout = me.timeout?;
        match me.prng.below(4) {
            0 | 1 => {
                me.silent_until = now + timeout * me.prng.pick(&[1, 3, 6]) / 2;
                let leaves = me.prng.chance(500);
                self.counts.add("client silence");
                if leaves {
                    self.break_connection(client);
                }
                None
            }
            2 => {
                let session = me.session.as_ref()?.id;
                Some(Operation::Write(Command::CloseSession(CloseSession { session, expired: false, generation: 0 })))
            }
            _ => {
                self.counts.add("client moves");
                self.break_connection(client);
                None
            }
        }
    }

    fn ask(&mut self, client: usize, operation: Operation) {
        let now = self.agenda.now();
        let floor = self.invariants.agreement.last();
        let me = &mut self.clients[client];
        let Some(Connection { number, node, incarnation, .. }) = me.connection.clone() else { return };
        me.last_request += 1;
        me.last_sent = now;
        let (request, seen) = (me.last_request, me.seen);
        self.black_box.invoked(client, request, &operation);
        let asked = Request { operation, floor, seen, node, incarnation, connection: number, abandoned: false };
        let line = self.trace.wants_lines().then(|| format!("{number:?} asks {:?}", asked.operation));
        let me = &mut self.clients[client];
        me.requests.insert(request, asked);
        me.last_arrival = me.last_arrival.max(now + me.prng.exponential(2 * MILLISECOND));
        // A client that waits longer for its node would lose its session meanwhile.
        let patience = self.options.clients.timeout.min(me.timeout.map_or(u64::MAX, |timeout| timeout * 2 / 3));
        self.agenda.at(me.last_arrival, Event::Request { client, request });
        self.agenda.after(patience, Event::ClientTimeout { client, request });
        self.note(node, || line.unwrap_or_default());
    }

    fn answered(&mut self, client: usize, number: u64, request: Request, answer: Answer) -> Verdict {
        self.black_box.returned(client, number, &answer);
        let me = &mut self.clients[client];
        if let Some(zxid) = answer.zxid() {
            me.seen = me.seen.max(zxid);
        }
        let name = match (&answer, &request.operation) {
            (Answer::Written(..), _) => "write acknowledged",
            (Answer::Read(..), Operation::BarrierRead(_)) => "barrier read",
            (Answer::Read(..), _) => "session read",
            (Answer::Done(_), Operation::SetWatches(..)) => "watches armed again",
            (Answer::Done(_), _) => "sign of life",
            (Answer::Refused, _) => "request refused",
            (Answer::Unknown, _) => "outcome unknown",
        };
        self.counts.add(name);
        if let Some(wanted) = &mut me.probe
            && matches!(name, "write acknowledged" | "barrier read")
        {
            wanted.pop();
        }
        // What was missed before a session is bound again has not come yet.
        if me.connection.as_ref().is_some_and(|own| own.ready) {
            me.watches.answered(&request.operation, &answer);
        }
        if let Some(lock) = &mut me.lock
            && let Some((zxid, path)) = lock.answered(&mut me.prng, &request.operation, &answer)
        {
            self.counts.add("lock taken");
            self.invariants.locks.claims(zxid, &path)?;
        }
        match (&request.operation, &answer) {
            (Operation::Write(command), _) => self.wrote(client, command, &answer),
            // Connections break at the worst of times: here, when some of the watches are armed again.
            (Operation::SetWatches(..), Answer::Done(_)) if self.clients[client].prng.chance(50) => {
                self.break_connection(client);
            }
            (Operation::SetWatches(..), Answer::Refused) => {
                let attached = self.clients[client].session.is_some();
                ensure!(!attached, "AttachShowsWhatWasSeen", "client {client} is shown less than it has seen");
                self.break_connection(client);
            }
            _ => {}
        }
        Ok(())
    }

    /// What an answer to a write means for the session.
    fn wrote(&mut self, client: usize, command: &Command, answer: &Answer) {
        let me = &mut self.clients[client];
        let connects = matches!(command, Command::OpenSession(_) | Command::AttachSession(_));
        match (command, answer) {
            (Command::OpenSession(open), Answer::Written(_, Ok(Reply::Session(granted)))) => {
                me.session = Some(OwnSession { id: granted.session, secret: open.secret.clone() });
                self.ready(client);
            }
            (Command::AttachSession(_), Answer::Written(_, Ok(_))) => self.ready(client),
            (Command::CloseSession(_), Answer::Written(_, Ok(_)))
            | (_, Answer::Written(_, Err(TreeError::SessionExpired(_)))) => {
                me.lose_session();
                self.break_connection(client);
            }
            (_, Answer::Written(_, Err(TreeError::SessionMoved(_)))) => self.break_connection(client),
            _ if connects => self.break_connection(client),
            _ => {}
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
