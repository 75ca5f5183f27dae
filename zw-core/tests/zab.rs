//! The protocol on a perfect network: a few ensembles that a reader can follow step by step. The simulator has the
//! imperfect ones.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use bytes::Bytes;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;
use zw_core::ensemble::{Address, Ensemble};
use zw_core::ids::{Epoch, LinkId, NodeId, Tick, Zxid};
use zw_core::log::Recovered;
use zw_core::log::record::{Entry, SnapshotId};
use zw_core::zab::effects::{Effect, Input, Now, Proposal, Role};
use zw_core::zab::{Config, Limits, Timing, Zab};

/// A node: the protocol, its disk, and what it delivered.
struct Node {
    zab: Zab,
    disk: Recovered,
    delivered: Vec<Entry>,
    answers: Vec<Effect>,
}

/// Nodes whose messages arrive at once and whose disks are instant.
struct Cluster {
    ensemble: Ensemble,
    nodes: BTreeMap<NodeId, Node>,
    links: BTreeMap<(NodeId, NodeId), LinkId>,
    next_link: u64,
    queue: VecDeque<(NodeId, Input)>,
    now: Now,
    limits: Limits,
    timing: Timing,
    /// What was delivered up to each snapshot that was fetched.
    fetched: HashMap<SnapshotId, Vec<Entry>>,
}

impl Cluster {
    fn new(size: u16) -> Cluster {
        Cluster::with_limits(size, Limits::default())
    }

    fn with_limits(size: u16, limits: Limits) -> Cluster {
        Cluster::with(size, limits, Timing::default())
    }

    fn with(size: u16, limits: Limits, timing: Timing) -> Cluster {
        let members = (0..size).map(|i| Address::new("localhost", 8080 + i)).collect();
        let ensemble = Ensemble::new(members).unwrap();
        let (nodes, links, queue) = (BTreeMap::new(), BTreeMap::new(), VecDeque::new());
        let mut cluster = Cluster {
            ensemble,
            nodes,
            links,
            next_link: 0,
            queue,
            now: Now::default(),
            limits,
            timing,
            fetched: HashMap::new(),
        };
        for id in cluster.ensemble.ids() {
            cluster.start(id, Recovered::default());
        }
        cluster
    }

    fn start(&mut self, id: NodeId, disk: Recovered) {
        let ensemble = self.ensemble.clone();
        let zab =
            Zab::new(Config { me: id, ensemble, timing: self.timing, seed: 7, limits: self.limits }, &disk, self.now);
        let others: Vec<NodeId> = self.nodes.keys().copied().collect();
        self.nodes.insert(id, Node { zab, disk, delivered: Vec::new(), answers: Vec::new() });
        self.queue.push_back((id, Input::Tick));
        others.into_iter().for_each(|other| self.connect(id, other));
        self.settle();
    }

    fn connect(&mut self, a: NodeId, b: NodeId) {
        self.next_link += 1;
        let link = LinkId(self.next_link);
        self.links.insert((a, b), link);
        self.links.insert((b, a), link);
        self.queue.push_back((a, Input::Connected { peer: b, link }));
        self.queue.push_back((b, Input::Connected { peer: a, link }));
    }

    fn cut(&mut self, a: NodeId, b: NodeId) {
        for (from, to) in [(a, b), (b, a)] {
            if let Some(link) = self.links.remove(&(from, to)) {
                self.queue.push_back((from, Input::Disconnected { peer: to, link }));
            }
        }
        self.settle();
    }

    fn kill(&mut self, id: NodeId) -> Recovered {
        let node = self.nodes.remove(&id).unwrap();
        self.queue.retain(|(to, _)| *to != id);
        let others: Vec<NodeId> = self.nodes.keys().copied().collect();
        others.into_iter().for_each(|other| self.cut(id, other));
        node.disk
    }

    /// Lets everything happen that needs no time.
    fn settle(&mut self) {
        while let Some((id, input)) = self.queue.pop_front() {
            let Some(node) = self.nodes.get_mut(&id) else { continue };
            let mut effects = Vec::new();
            node.zab.step(self.now, input, &mut effects);
            node.zab.flush(self.now, &mut effects);
            effects.into_iter().for_each(|effect| self.perform(id, effect));
        }
    }

    fn perform(&mut self, id: NodeId, effect: Effect) {
        let node = self.nodes.get_mut(&id).unwrap();
        match effect {
            Effect::Persist { ticket, records } => {
                records.into_iter().for_each(|record| node.disk.replay(record).unwrap());
                self.queue.push_back((id, Input::Durable { ticket }));
            }
            Effect::Send { peer, link, message } if self.links.get(&(id, peer)) == Some(&link) => {
                self.queue.push_back((peer, Input::Message { peer: id, link, message }));
            }
            Effect::Deliver { entries } => node.delivered.extend(entries),
            Effect::FetchSnapshot { fetch, peer, zxid } => {
                let state = self.nodes[&peer].delivered.clone();
                let snapshot = SnapshotId { zxid: state.last().unwrap().zxid(), digest: 0 };
                assert!(snapshot.zxid >= zxid, "the leader can give what it offers");
                self.fetched.insert(snapshot, state);
                self.queue.push_back((id, Input::SnapshotReceived { fetch, snapshot }));
            }
            Effect::Reset { snapshot } => node.delivered.clone_from(&self.fetched[&snapshot]),
            Effect::Close { reason, .. } => panic!("{id} closes a link on a perfect network: {reason}"),
            effect @ (Effect::Barrier { .. }
            | Effect::Reject { .. }
            | Effect::Serve { .. }
            | Effect::Suspend { .. }) => {
                node.answers.push(effect);
            }
            _ => {}
        }
    }

    /// Passes up to two seconds, until `done`.
    fn until(&mut self, what: &str, done: impl Fn(&Cluster) -> bool) {
        for _ in 0..2_000 {
            self.settle();
            if done(self) {
                return;
            }
            self.now.tick = Tick(self.now.tick.0 + 1_000);
            let ids: Vec<NodeId> = self.nodes.keys().copied().collect();
            self.queue.extend(ids.into_iter().map(|id| (id, Input::Tick)));
        }
        let states: Vec<_> = self.nodes.values().map(|node| (node.zab.role(), node.zab.last_zxid())).collect();
        panic!("not within 2 s: {what}; {states:?}");
    }

    fn all_serve(&self) -> bool {
        self.nodes.values().all(|node| node.zab.is_serving())
    }

    fn leader(&self) -> NodeId {
        *self.nodes.iter().find(|(_, node)| node.zab.role() == Role::Leading).expect("a leader").0
    }

    fn propose(&mut self, id: NodeId, payload: &'static str) {
        let proposal = Proposal { tag: 1, payload: Bytes::from_static(payload.as_bytes()) };
        self.queue.push_back((id, Input::Propose { proposals: vec![proposal] }));
    }

    fn commands(&self, id: NodeId) -> Vec<Bytes> {
        self.nodes[&id].delivered.iter().filter(|entry| !entry.is_marker()).map(Entry::payload).collect()
    }
}

const N1: NodeId = NodeId(1);
const N2: NodeId = NodeId(2);
const N3: NodeId = NodeId(3);

#[test]
fn ensembles_of_1_to_9_elect_the_highest_id_and_commit() {
    for size in 1..=9 {
        let mut cluster = Cluster::new(size);
        cluster.until("everybody serves", Cluster::all_serve);
        assert_eq!(cluster.leader(), NodeId(size));
        cluster.propose(NodeId(1), "by the lowest");
        cluster.propose(NodeId(size), "by the leader");
        cluster.until("both are everywhere", |c| c.nodes.keys().all(|id| c.commands(*id).len() == 2));
    }
}

#[test]
fn a_write_survives_its_leader() {
    let mut cluster = Cluster::new(3);
    cluster.until("everybody serves", Cluster::all_serve);
    cluster.propose(N1, "a");
    cluster.until("a is everywhere", |c| c.nodes.keys().all(|id| c.commands(*id) == ["a"]));
    let disk = cluster.kill(N3);
    cluster.until("the others serve again", Cluster::all_serve);
    cluster.propose(N1, "b");
    cluster.until("b is at both", |c| c.nodes.keys().all(|id| c.commands(*id) == ["a", "b"]));
    cluster.start(N3, disk);
    cluster.until("the old leader has both", |c| c.commands(N3) == ["a", "b"]);
    assert_eq!(cluster.leader(), N2, "a leader is not deposed by who comes back");
}

#[test]
fn an_unacknowledged_tail_is_truncated() {
    let mut cluster = Cluster::new(3);
    cluster.until("everybody serves", Cluster::all_serve);
    cluster.cut(N1, N3);
    cluster.cut(N2, N3);
    cluster.propose(N3, "lost");
    cluster.settle();
    assert!(cluster.nodes[&N3].zab.last_zxid().counter() > 0, "the cut leader has it in its log");
    cluster.until("the majority serves", |c| c.nodes[&N1].zab.is_serving() && c.nodes[&N1].zab.leader() == Some(N2));
    cluster.propose(N1, "kept");
    cluster.until("the old leader has given up", |c| c.nodes[&N3].zab.role() == Role::Looking);
    cluster.connect(N1, N3);
    cluster.connect(N2, N3);
    cluster.until("all agree", |c| c.nodes.keys().all(|id| c.commands(*id) == ["kept"]));
    let logs: Vec<Vec<Zxid>> =
        cluster.nodes.values().map(|n| n.disk.entries.iter().map(Entry::zxid).collect()).collect();
    assert!(logs.windows(2).all(|pair| pair[0] == pair[1]), "{logs:?}");
}

#[test]
fn nothing_is_promised_without_a_quorum() {
    let mut cluster = Cluster::new(3);
    cluster.until("everybody serves", Cluster::all_serve);
    cluster.kill(N1);
    cluster.kill(N2);
    cluster.until("the leader has given up", |c| c.nodes[&N3].zab.role() == Role::Looking);
    cluster.nodes.get_mut(&N3).unwrap().answers.clear();
    cluster.propose(N3, "refused");
    cluster.queue.push_back((N3, Input::ReadBarrier { tag: 2 }));
    cluster.settle();
    assert_eq!(cluster.nodes[&N3].answers.len(), 2);
    assert!(cluster.nodes[&N3].answers.iter().all(|answer| matches!(answer, Effect::Reject { .. })));
}

#[test]
fn a_barrier_needs_a_quorum_and_covers_what_was_acknowledged() {
    let mut cluster = Cluster::new(3);
    cluster.until("everybody serves", Cluster::all_serve);
    cluster.propose(N3, "a");
    cluster.until("a is committed", |c| c.commands(N3) == ["a"]);
    cluster.queue.push_back((N1, Input::ReadBarrier { tag: 9 }));
    cluster.settle();
    let zxid = Zxid::new(Epoch(1), 1);
    assert!(cluster.nodes[&N1].answers.contains(&Effect::Barrier { tag: 9, zxid }));
    cluster.cut(N1, N3);
    cluster.cut(N2, N3);
    cluster.queue.push_back((N3, Input::ReadBarrier { tag: 10 }));
    cluster.until("the barrier of the cut leader is refused", |c| {
        c.nodes[&N3].answers.iter().any(|answer| matches!(answer, Effect::Reject { tag: 10, .. }))
    });
    assert!(!cluster.nodes[&N3].answers.iter().any(|answer| matches!(answer, Effect::Barrier { tag: 10, .. })));
}

#[test]
fn a_stuck_promise_raises_the_epoch_without_an_election() {
    let mut cluster = Cluster::new(3);
    cluster.until("everybody serves", Cluster::all_serve);
    cluster.propose(N3, "a");
    cluster.until("a is everywhere", |c| c.nodes.keys().all(|id| c.commands(*id) == ["a"]));
    let mut disk = cluster.kill(N1);
    // It promised a candidate that then failed.
    disk.promise = zw_core::log::record::Promise { epoch: Epoch(5), leader: N2 };
    cluster.start(N1, disk);
    cluster.until("it serves under a higher epoch", |c| c.nodes[&N1].zab.is_serving());
    assert_eq!((cluster.leader(), cluster.nodes[&N3].zab.epoch()), (N3, Epoch(6)));
    assert!(!cluster.nodes[&N3].answers.iter().any(|answer| matches!(answer, Effect::Suspend { .. })));
    cluster.propose(N1, "b");
    cluster.until("b is everywhere", |c| c.nodes.keys().all(|id| c.commands(*id) == ["a", "b"]));
}

#[test]
fn a_candidate_that_never_met_a_dead_member_leads_before_its_followers_give_up() {
    let timing = Timing {
        heartbeat: Duration::from_millis(20),
        follower_timeout: Duration::from_millis(60),
        settle_at_start: Duration::from_millis(200),
        ..Timing::default()
    };
    let mut cluster = Cluster::with(3, Limits::default(), timing);
    cluster.until("everybody serves", Cluster::all_serve);
    cluster.kill(N1);
    let disk = cluster.kill(N3);
    cluster.start(N3, disk);
    // A follower that gives up closes its link, which no link of this cluster survives.
    cluster.until("both serve", Cluster::all_serve);
    assert_eq!(cluster.leader(), N3);
}

#[test]
fn a_member_that_missed_hundreds_of_epochs_goes_on_from_its_log() {
    let mut cluster = Cluster::with_limits(3, Limits { counter_max: 1, ..Limits::default() });
    cluster.until("everybody serves", Cluster::all_serve);
    cluster.propose(N3, "a");
    cluster.until("a is everywhere", |c| c.nodes.keys().all(|id| c.commands(*id) == ["a"]));
    cluster.cut(N1, N2);
    cluster.cut(N1, N3);
    let missed = u32::try_from(zw_core::limits::EPOCH_ENDS_MAX).unwrap() + 20;
    while cluster.nodes[&N3].zab.epoch().0 < missed {
        let before = cluster.nodes[&N3].zab.epoch();
        cluster.propose(N3, "b");
        cluster.propose(N3, "c");
        let serves = |c: &Cluster| c.nodes[&N2].zab.is_serving() && c.nodes[&N3].zab.is_serving();
        cluster.until("a new epoch serves", |c| serves(c) && c.nodes[&N3].zab.epoch() > before);
    }
    cluster.connect(N1, N2);
    cluster.connect(N1, N3);
    cluster.until("it has everything and serves", |c| c.all_serve() && c.commands(N1) == c.commands(N3));
    assert_eq!(cluster.nodes[&N1].disk.snapshot.zxid, Zxid::ZERO, "from the log, not from a snapshot");
}

#[test]
fn a_follower_behind_the_retained_log_gets_a_snapshot() {
    let mut cluster =
        Cluster::with_limits(3, Limits { retained_log_bytes: 0, pinned_log_bytes: 0, ..Limits::default() });
    cluster.until("everybody serves", Cluster::all_serve);
    let disk = cluster.kill(N1);
    cluster.propose(N2, "a");
    cluster.propose(N2, "b");
    cluster.until("both are at the others", |c| c.nodes.keys().all(|id| c.commands(*id) == ["a", "b"]));
    assert_eq!(cluster.nodes[&N3].zab.log_entries().len(), 0, "the leader keeps nothing");
    cluster.start(N1, disk);
    cluster.until("it has the state and serves", |c| c.commands(N1) == ["a", "b"] && c.all_serve());
    assert_eq!(cluster.nodes[&N1].disk.snapshot.zxid, Zxid::new(Epoch(1), 2));
    cluster.propose(N1, "c");
    cluster.until("the log goes on behind the snapshot", |c| c.nodes.keys().all(|id| c.commands(*id).len() == 3));
    // What is on its disk now is a snapshot and what follows; it starts from that.
    let disk = cluster.kill(N1);
    assert_eq!(disk.entries.iter().map(Entry::zxid).collect::<Vec<_>>(), [Zxid::new(Epoch(1), 3)]);
}

#[test]
fn a_full_epoch_is_followed_by_the_next() {
    let mut cluster = Cluster::with_limits(3, Limits { counter_max: 3, ..Limits::default() });
    cluster.until("everybody serves", Cluster::all_serve);
    for round in 1..=10 {
        cluster.propose(N1, "x");
        cluster.settle();
        cluster.until("everybody serves", Cluster::all_serve);
        assert!(cluster.commands(N1).len() <= round, "a refused command was done");
    }
    assert!(cluster.commands(N1).len() >= 7 && cluster.nodes[&N1].zab.epoch() >= Epoch(3));
}

#[test]
fn a_window_of_one_record_still_moves() {
    let mut cluster = Cluster::with_limits(3, Limits { window_records: 1, ..Limits::default() });
    cluster.until("everybody serves", Cluster::all_serve);
    (0..50).for_each(|_| cluster.propose(N1, "x"));
    cluster.until("all are everywhere", |c| c.nodes.keys().all(|id| c.commands(*id).len() == 50));
}
