//! The world: nodes, links, disks and clients on one agenda; every event is followed by the checks it needs.
//!
//! Fault model: see `fault`, `network`, `disk`, `process`, `client` and `transfer`. Nothing here is random but the
//! seeded streams, and nothing iterates over a hash: one seed is one run.

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
            clients: (0..options.client_count as u64).map(|index| Client::new(prng.split("client", index))).collect(),
            invariants: Invariants::default(),
            history: History::default(),
            counts: Counts::default(),
            trace,
            ensemble,
            network: Network::new(options.network.clone(), options.voters, &prng),
            fault_prng: prng.split("fault", 0),
            fault_number: 0,
            undo: BTreeMap::new(),
            healing: false,
            effects: Vec::new(),
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
            Event::Transfer { node, incarnation, number } if self.lives(node, incarnation) => {
                self.transfer(node, number);
            }
            Event::RequestDeadline { node, incarnation, tag } if self.lives(node, incarnation) => {
                self.request_deadline(node, tag);
            }
            Event::Resume { node, incarnation } if self.lives(node, incarnation) => self.resume(node),
            Event::Wake { client } => self.wake(client),
            Event::Request { client, request } => self.request(client, request),
            Event::Reply { client, request } => self.reply(client, request),
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
        let Some(asked) = self.clients[client].outstanding.get(&request) else { return };
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
        self.counts.add(match event {
            effects::Event::Role { .. } => "event role",
            effects::Event::Vote { .. } => "event vote",
            effects::Event::Truncated { .. } => "event truncated",
            effects::Event::Sync { how: "append", .. } => "event sync by append",
            effects::Event::Sync { how: "truncate", .. } => "event sync by truncate",
            effects::Event::Sync { how: "snapshot", .. } => "event sync by snapshot",
            effects::Event::Sync { .. } => "event sync otherwise",
            effects::Event::Committed { .. } => "event committed",
        });
        self.note(node, || format!("{event:?}"));
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
