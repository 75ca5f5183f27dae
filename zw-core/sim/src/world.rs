//! The world: nodes, links, disks and clients on one agenda; every event is followed by the checks it needs.
//!
//! Fault model: see `fault`, `network`, `disk`, `process`, `client` and `transfer`. Nothing here is random but the
//! seeded streams, and nothing iterates over a hash: one seed is one run.

use crate::blackbox::{BlackBox, Oracles};
use crate::client::Client;
use crate::clock::{Agenda, Clock, MILLISECOND, Micros, SECOND};
use crate::counts::Counts;
use crate::disk::Disk;
use crate::event::Event;
use crate::fault::{Fault, Undo};
use crate::history::History;
use crate::invariants::{Invariants, Verdict, Violation};
use crate::network::Network;
use crate::prng::Prng;
use crate::process::{Node, id_of};
use crate::sabotage::Sabotage;
use crate::swarm::Options;
use crate::trace::Trace;
use std::collections::BTreeMap;
use zw_core::ensemble::{Address, Ensemble};
use zw_core::zab::effects::{self, Effect, Input};

/// One simulated ensemble with its clients.
pub struct World {
    /// What the seed decided.
    pub options: Options,
    /// The present and what is to come.
    pub agenda: Agenda,
    /// The nodes.
    pub nodes: Vec<Node>,
    /// The clients; the probes of the liveness phase come last.
    pub clients: Vec<Client>,
    /// What must hold.
    pub invariants: Invariants,
    /// What clients saw.
    pub history: History,
    /// What clients saw, for a judgement without zxids.
    pub black_box: BlackBox,
    /// Which of the two may fail the world.
    pub oracles: Oracles,
    /// What happened how often.
    pub counts: Counts,
    /// What happened.
    pub trace: Trace,
    pub(crate) ensemble: Ensemble,
    pub(crate) network: Network,
    pub(crate) prng: Prng,
    pub(crate) fault_prng: Prng,
    pub(crate) fault_number: u64,
    pub(crate) undo: BTreeMap<u64, Undo>,
    pub(crate) healing: bool,
    pub(crate) effects: Vec<Effect>,
    pub(crate) last_connection: u64,
    /// When anything was last out of order.
    disturbed: Micros,
    failure: Option<Violation>,
}

impl World {
    /// The world of these options, with nothing running yet.
    #[must_use]
    pub fn new(options: Options, trace: Trace) -> World {
        let prng = Prng::new(options.seed);
        let mut clocks = prng.split("clock", 0);
        let node = |index: usize| Node {
            disk: Disk::new(id_of(index), options.disk.clone(), prng.split("disk", index as u64), options.sabotage),
            clock: Clock::new(&mut clocks, options.skewed_clocks),
            process: None,
            prng: prng.split("node", index as u64),
            incarnations: 0,
            crash_armed: false,
        };
        let members = (0..options.voters).map(|index| Address::new("node", 8_080 + u16::try_from(index).expect("few")));
        let ensemble = Ensemble::new(members.collect()).expect("one to seven distinct members");
        World {
            agenda: Agenda::default(),
            nodes: (0..options.voters).map(node).collect(),
            clients: (0..options.client_count as u64)
                .map(|index| Client::random(prng.split("client", index), index, &options.sessions))
                .collect(),
            invariants: Invariants::default(),
            history: History::default(),
            black_box: BlackBox::default(),
            oracles: Oracles { silenced: None, is_zxid_silent: options.is_zxid_silent },
            counts: Counts::default(),
            trace,
            ensemble,
            network: Network::new(options.network.clone(), options.voters, &prng),
            fault_prng: prng.split("fault", 0),
            fault_number: 0,
            undo: BTreeMap::new(),
            healing: false,
            effects: Vec::new(),
            last_connection: 0,
            disturbed: 0,
            failure: None,
            prng,
            options,
        }
    }

    /// Runs both phases.
    ///
    /// # Errors
    /// The first property that did not hold.
    pub fn run_to_end(&mut self) -> Verdict {
        for node in 0..self.nodes.len() {
            let at = self.fault_prng.below(SECOND);
            self.agenda.at(at, Event::Restart { node, incarnation: 0 });
        }
        for client in 0..self.clients.len() {
            let at = self.fault_prng.below(SECOND);
            self.agenda.at(at, Event::Wake { client });
        }
        for (fault, mean) in self.options.faults.clone() {
            let at = self.fault_prng.exponential(mean);
            self.agenda.at(at, Event::Fault(fault));
        }
        self.counts.add_many("world of rivals", u64::from(self.options.has_rivals));
        self.run_until(self.options.safety)?;
        self.recover()
    }

    /// Handles everything that is due before `end`.
    pub(crate) fn run_until(&mut self, end: Micros) -> Verdict {
        while let Some(event) = self.agenda.next_before(end) {
            self.trace.note(&(self.agenda.now(), event));
            self.handle(event)?;
            if let Some(violation) = self.failure.take() {
                return Err(violation);
            }
        }
        self.agenda.rest_until(end);
        Ok(())
    }

    /// Something is out of order.
    pub(crate) fn disturb(&mut self) {
        self.disturbed = self.agenda.now();
    }

    /// Since when everything has been in order.
    pub(crate) fn disturbed_since(&self) -> Micros {
        let always = self.options.network.loss_per_mille > 0 || !self.undo.is_empty();
        if always { self.agenda.now() } else { self.disturbed }
    }

    /// Fails the run at the end of the present event.
    pub(crate) fn fail(&mut self, violation: Violation) {
        self.failure.get_or_insert(violation);
    }

    fn handle(&mut self, event: Event) -> Verdict {
        self.counts.add("event");
        match event {
            Event::Run { node, incarnation } if self.lives(node, incarnation) => self.run(node)?,
            Event::Timer { node, incarnation } if self.lives(node, incarnation) => self.timer(node),
            Event::Dial { low, high } => self.dial(low, high),
            Event::Arrive { connection, from_dialer } => self.arrive(connection, from_dialer),
            Event::Synced { node, incarnation } if self.lives(node, incarnation) => self.synced(node)?,
            Event::SnapshotWritten { node, incarnation } if self.lives(node, incarnation) => {
                self.snapshot_written(node);
            }
            Event::Transfer { node, incarnation, fetch } if self.lives(node, incarnation) => {
                self.transfer(node, fetch);
            }
            Event::RequestDeadline { node, incarnation, tag } if self.lives(node, incarnation) => {
                self.request_deadline(node, tag);
            }
            Event::Resume { node, incarnation } if self.lives(node, incarnation) => self.resume(node),
            Event::Wake { client } => self.wake(client),
            Event::Request { client, request } => self.request(client, request),
            Event::Return { client, connection } => self.returned(client, connection)?,
            Event::Detached { node, incarnation, connection } if self.lives(node, incarnation) => {
                self.close_client(node, connection);
            }
            Event::ClientTimeout { client, request } => self.client_timeout(client, request),
            Event::Fault(fault) => self.strike(fault),
            Event::Heal { fault } => self.heal(fault),
            Event::LeaderDies { node, incarnation } if self.lives(node, incarnation) && !self.healing => {
                self.counts.add(Fault::CrashNewLeader.name());
                self.crash(node, "new leader");
            }
            Event::Restart { node, incarnation } if self.is_down_since(node, incarnation) => self.start(node)?,
            Event::Probe => self.probe()?,
            // For a process that is gone.
            _ => {}
        }
        Ok(())
    }

    fn is_down_since(&self, node: usize, incarnation: u32) -> bool {
        self.nodes[node].process.is_none() && self.nodes[node].incarnations == incarnation
    }

    fn lives(&self, node: usize, incarnation: u32) -> bool {
        self.nodes[node].process.as_ref().is_some_and(|process| process.incarnation == incarnation)
    }

    /// A client's request reaches its node.
    fn request(&mut self, client: usize, request: u64) {
        let Some(asked) = self.clients[client].requests.get(&request) else { return };
        let (node, incarnation) = (asked.node, asked.incarnation);
        if self.lives(node, incarnation) {
            let process = self.nodes[node].process.as_mut().expect("it lives");
            process.inbox.push_back(crate::process::Work::Request { client, request });
            self.schedule_run(node);
        }
    }

    pub(crate) fn arm_crash(&mut self, node: usize) -> bool {
        let home = &mut self.nodes[node];
        home.crash_armed = home.process.is_some();
        home.crash_armed
    }

    pub(crate) fn pause(&mut self, node: usize) -> bool {
        let lasts = self.fault_prng.exponential(self.options.pause_mean).max(MILLISECOND);
        let Some(process) = &mut self.nodes[node].process else { return false };
        if std::mem::replace(&mut process.paused, true) {
            return false;
        }
        let incarnation = process.incarnation;
        self.agenda.after(lasts, Event::Resume { node, incarnation });
        self.note(node, || format!("is paused for {} ms", lasts / MILLISECOND));
        true
    }

    pub(crate) fn resume(&mut self, node: usize) {
        if let Some(process) = &mut self.nodes[node].process
            && std::mem::take(&mut process.paused)
        {
            self.disturb();
            self.note(node, || "goes on".to_owned());
            self.push(node, Input::Tick);
        }
    }

    pub(crate) fn stall_disk(&mut self, node: usize) -> bool {
        let until = self.agenda.now() + self.fault_prng.exponential(SECOND);
        self.nodes[node].disk.stall(until);
        true
    }

    pub(crate) fn disk_space(&mut self, node: usize, full: bool) {
        self.push(node, Input::DiskFull { full });
    }

    /// Whether this defect is built in.
    pub(crate) fn sabotaged(&self, sabotage: Sabotage) -> bool {
        self.options.sabotage == Some(sabotage)
    }

    /// Counts what the protocol shows of itself.
    pub(crate) fn observe(&mut self, node: usize, event: &effects::Event) {
        if let effects::Event::Role { role, .. } = event {
            self.disturb();
            if *role == effects::Role::Looking {
                self.forget_deadlines(node);
                self.skip_drain(node);
            }
        }
        self.counts.add(match event {
            effects::Event::Role { .. } => "event role",
            effects::Event::Vote { .. } => "event vote",
            effects::Event::Lost { .. } => "event lost",
            effects::Event::Truncated { .. } => "event truncated",
            effects::Event::Sync { how: "append", .. } => "event sync by append",
            effects::Event::Sync { how: "truncate", .. } => "event sync by truncate",
            effects::Event::Sync { how: "snapshot", .. } => "event sync by snapshot",
            effects::Event::Sync { .. } => "event sync otherwise",
            effects::Event::Committed { .. } => "event committed",
        });
        self.note(node, || format!("{event:?}"));
    }

    /// A node that looks for a leader takes its log for durable, as the sabotage wants.
    fn skip_drain(&mut self, node: usize) {
        if self.sabotaged(Sabotage::SkipDrain)
            && let Some(ticket) = self.nodes[node].disk.last_ticket()
        {
            self.push(node, Input::Durable { ticket });
        }
    }

    /// A line of the trace, if it is wanted.
    pub(crate) fn note(&mut self, node: usize, text: impl FnOnce() -> String) {
        if self.trace.wants_lines() {
            let now = self.agenda.now();
            let line = format!("{:>5}.{:06} node {} {}", now / SECOND, now % SECOND, node + 1, text());
            self.trace.line(line);
        }
    }
}
