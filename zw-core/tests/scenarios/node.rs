//! One node on the stage: the real protocol, a disk whose writes wait until they are durable, and the real tree.
//!
//! Fault model: a crash is a power cut. What the disk has made durable is there at the restart, all of it and nothing
//! else; a snapshot's file is durable before its record is written (rule S6).

use crate::words;
use std::collections::{BTreeMap, VecDeque};
use zw_core::ids::{NodeId, Ticket, Zxid};
use zw_core::log::Recovered;
use zw_core::log::record::{Entry, Record, SnapshotId};
use zw_core::tree::Tree;
use zw_core::zab::Zab;
use zw_core::zab::effects::{FetchId, Input};

/// A node of the stage.
pub(crate) struct Node {
    /// None while it is crashed.
    pub(crate) zab: Option<Zab>,
    pub(crate) disk: Disk,
    pub(crate) state: State,
    pub(crate) paused: bool,
    /// Inputs that do not come from peers, each with its place in the order of all events.
    pub(crate) inbox: VecDeque<(u64, Input)>,
    /// Fetches wait for the script.
    pub(crate) slow_fetch: bool,
    /// The fetch under way: from whom, and the least zxid. A later one takes its place.
    pub(crate) fetching: Option<(FetchId, NodeId, Zxid)>,
}

/// What a node has made of its deliveries.
#[derive(Clone)]
pub(crate) struct State {
    pub(crate) tree: Tree,
    /// All entries applied, from the first on, also those that came inside a snapshot.
    pub(crate) applied: Vec<Entry>,
}

impl Default for State {
    fn default() -> State {
        State { tree: Tree::new(), applied: Vec::new() }
    }
}

impl State {
    pub(crate) fn last(&self) -> Zxid {
        self.applied.last().map_or(Zxid::ZERO, Entry::zxid)
    }

    pub(crate) fn snapshot_id(&self) -> SnapshotId {
        SnapshotId { zxid: self.last(), digest: self.tree.digest() }
    }
}

impl Node {
    pub(crate) fn new() -> Node {
        Node {
            zab: None,
            disk: Disk::default(),
            state: State::default(),
            paused: false,
            inbox: VecDeque::new(),
            slow_fetch: false,
            fetching: None,
        }
    }

    /// Whether it takes inputs now.
    pub(crate) fn is_awake(&self) -> bool {
        self.zab.is_some() && !self.paused
    }

    /// The power cut.
    pub(crate) fn crash(&mut self) {
        self.zab = None;
        self.inbox.clear();
        self.paused = false;
        self.fetching = None;
        self.disk.lose_what_waits();
    }

    /// The state at a start: that of the newest snapshot.
    pub(crate) fn recovered_state(&self) -> Result<State, String> {
        let snapshot = self.disk.durable.snapshot;
        if snapshot == SnapshotId::default() { Ok(State::default()) } else { self.disk.read_file(snapshot) }
    }
}

/// A snapshot's file in the real format, and beside it what the tree does not remember.
struct File {
    bytes: Vec<u8>,
    applied: Vec<Entry>,
}

/// A log disk, and the snapshot files beside it.
#[derive(Default)]
pub(crate) struct Disk {
    /// What is on the disk for certain: all that a crash leaves.
    pub(crate) durable: Recovered,
    /// Whether writes wait for the script.
    pub(crate) slow: bool,
    pending: VecDeque<(Ticket, VecDeque<Record>)>,
    complete: Ticket,
    reported: Ticket,
    files: BTreeMap<(Zxid, u64), File>,
}

impl Disk {
    /// Takes records in; they are not durable yet. They travel as bytes, as to a real disk.
    pub(crate) fn write(&mut self, ticket: Ticket, records: &[Record]) -> Result<(), String> {
        let read_back = |record: &Record| Record::decode(&mut record.encode()).map_err(|error| error.to_string());
        let records: VecDeque<Record> = records.iter().map(read_back).collect::<Result<_, _>>()?;
        if self.pending.back().map_or(self.complete, |(last, _)| *last) >= ticket {
            return Err(format!("I7: ticket {ticket} was issued before"));
        }
        self.pending.push_back((ticket, records));
        Ok(())
    }

    /// Makes the next `count` records durable, in their order.
    pub(crate) fn sync(&mut self, count: usize) -> Result<Vec<Record>, String> {
        let mut done = Vec::new();
        while done.len() < count {
            let Some((ticket, records)) = self.pending.front_mut() else { break };
            if let Some(record) = records.pop_front() {
                self.durable.replay(record.clone()).map_err(|error| format!("I6: {error}"))?;
                done.push(record);
            }
            if records.is_empty() {
                self.complete = *ticket;
                self.pending.pop_front();
            }
        }
        Ok(done)
    }

    /// The ticket to report, if there is news.
    pub(crate) fn report(&mut self) -> Option<Ticket> {
        (self.complete > self.reported).then(|| {
            self.reported = self.complete;
            self.complete
        })
    }

    /// Whether the durable log holds `zxid`, itself or inside its snapshot.
    pub(crate) fn holds(&self, zxid: Zxid) -> bool {
        zxid <= self.durable.snapshot.zxid || self.durable.entries.iter().any(|entry| entry.zxid() == zxid)
    }

    /// A snapshot's file, complete and durable.
    pub(crate) fn put_file(&mut self, state: State) -> SnapshotId {
        let id = state.snapshot_id();
        let file = File { bytes: words::snapshot_bytes(&state.tree), applied: state.applied };
        self.files.insert((id.zxid, id.digest), file);
        id
    }

    /// What such a file holds.
    pub(crate) fn read_file(&self, id: SnapshotId) -> Result<State, String> {
        let file = self.files.get(&(id.zxid, id.digest));
        let file = file.ok_or_else(|| format!("S6: the file of snapshot {} is not on the disk", id.zxid))?;
        let tree = words::read_snapshot(&file.bytes)?;
        let state = State { tree, applied: file.applied.clone() };
        let same = state.snapshot_id() == id;
        if same { Ok(state) } else { Err(format!("S6: the file of snapshot {} holds another tree", id.zxid)) }
    }

    fn lose_what_waits(&mut self) {
        self.pending.clear();
        self.complete = Ticket(0);
        self.reported = Ticket(0);
    }
}
