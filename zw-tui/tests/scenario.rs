//! Scenarios on a pretended ensemble: that they pass when all is well, and fail for the right reason when it is not.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod sample;

use bytes::Bytes;
use std::collections::VecDeque;
use std::time::Duration;
use zw_core::ids::{Epoch, NodeId, SessionId, Zxid};
use zw_core::tree::command::Stat;
use zw_core::wire::admin::{NodeRole, PeerStatus, Status};
use zw_tui::member::Member;
use zw_tui::model::State;
use zw_tui::model::feed::{FeedReport, PageEvent};
use zw_tui::model::load::{LoadReport, Phase};
use zw_tui::model::message::{Effect, Msg, Written};
use zw_tui::model::scenario::{self, Outcome, Verdict};
use zw_tui::model::update::update;
use zw_tui::model::write::WriteOrder;
use zw_tui::supervisor::{Asked, Change, Exit, Order, Report};

/// What the pretended ensemble does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Defect {
    None,
    /// Whoever dies, there is an election.
    ElectsForNothing,
    /// Nobody takes the place of a dead leader.
    ElectsNobody,
    /// A load finds a lost write.
    LosesWrites,
    /// The longest gap is this long.
    Gap(Duration),
    /// The last node has another tree.
    Diverges,
    /// The last broker shows the events in another order.
    MixesPages,
    /// The last node does not show what was written.
    HidesWrite,
    /// Who was killed does not start again.
    StaysDown,
}

/// Every node, broker, load and feed, as far as a scenario sees them.
struct World {
    state: State,
    now: Duration,
    defect: Defect,
    leader: usize,
    epoch: u32,
    /// Entries of the epoch.
    entries: u64,
    alive: Vec<bool>,
    paused: Vec<bool>,
    /// Who is cut off.
    cut: Vec<bool>,
    load: Option<(u32, LoadReport)>,
    orders: Vec<Order>,
}

impl World {
    fn new(nodes: u16, brokers: u16, defect: Defect) -> World {
        let addresses = |base: u16, count: u16| (0..count).map(|i| format!("127.0.0.1:{}", base + i)).collect();
        let nodes = usize::from(nodes);
        let state = State::new(addresses(8080, u16::try_from(nodes).unwrap()), addresses(9090, brokers));
        let mut world = World {
            state,
            now: Duration::ZERO,
            defect,
            leader: nodes - 1,
            epoch: 1,
            entries: 1,
            alive: vec![true; nodes],
            paused: vec![false; nodes],
            cut: vec![false; nodes],
            load: None,
            orders: Vec::new(),
        };
        let members: Vec<Member> = world.state.members().collect();
        members.into_iter().for_each(|member| world.start(member));
        world
    }

    fn start(&mut self, member: Member) {
        self.change(member, Change::Spawned { pid: 4_000 + u32::try_from(member.index()).unwrap() });
        self.change(member, Change::Listening);
    }

    fn change(&mut self, member: Member, change: Change) {
        self.tell(Msg::Supervisor(Report { member: Some(member), change }));
    }

    fn tell(&mut self, message: Msg) {
        let mut effects: VecDeque<Effect> = update(&mut self.state, self.now, message).into();
        while let Some(effect) = effects.pop_front() {
            self.perform(effect);
        }
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Supervise(order) => {
                self.orders.push(order);
                self.obey(order);
            }
            Effect::Write(WriteOrder { node, path, .. }) => {
                self.entries += 1;
                let zxid = self.zxid();
                let (last, took) = (path.clone(), Duration::from_millis(2));
                let result = Ok(Written { created: true, version: 0, zxid, took, last, count: 1 });
                self.tell(Msg::Written { node, path, result });
            }
            Effect::Value { node, path } => {
                let is_hidden = self.defect == Defect::HidesWrite && node == 0;
                let data: &[u8] = if is_hidden { b"old" } else { b"sent to the leader" };
                let stat = stat(self.zxid());
                self.tell(Msg::Value { node, path, result: Ok((Bytes::from_static(data), stat)) });
            }
            Effect::Faults { node, faults } => self.cut[node] = faults.len() >= self.alive.len() - 1,
            Effect::Load { run, .. } => self.load = Some((run, load_report(self.defect))),
            Effect::StopLoad => {
                if let Some((_, report)) = &mut self.load {
                    report.phase = Phase::Verified;
                }
            }
            Effect::Feed { run, plan } => {
                self.entries += u64::from(plan.count);
                let report = Box::new(feed_report(plan.count));
                self.tell(Msg::Feed { run, report });
            }
            Effect::Pages { brokers } => {
                let last = self.state.brokers.len() - 1;
                let page = |broker: usize| {
                    let mut events: Vec<PageEvent> = (1..=100).map(page_event).collect();
                    if self.defect == Defect::MixesPages && broker == last {
                        events.swap(3, 4);
                    }
                    (format!("b{}", broker + 1), Ok(events))
                };
                let pages = brokers.into_iter().map(page).collect();
                self.tell(Msg::Pages(pages));
            }
            _ => {}
        }
    }

    fn obey(&mut self, order: Order) {
        let killed = Change::Exited { exit: Exit::Signal(9), asked: Asked::Kill, words: None };
        match order {
            Order::Kill(member) | Order::Stop(member) => {
                if member.is_node() {
                    self.alive[member.index()] = false;
                    self.gone(member.index());
                }
                self.change(member, killed);
            }
            Order::Start(_) if self.defect == Defect::StaysDown => {}
            Order::Start(member) => {
                if member.is_node() {
                    self.alive[member.index()] = true;
                }
                self.start(member);
            }
            Order::Pause(member) => {
                self.paused[member.index()] = true;
                self.gone(member.index());
            }
            Order::Resume(member) => self.paused[member.index()] = false,
            Order::StopAll { .. } | Order::KillAll => {}
        }
    }

    /// A node can do no more.
    fn gone(&mut self, node: usize) {
        let elects = node == self.leader && self.defect != Defect::ElectsNobody;
        if elects || self.defect == Defect::ElectsForNothing {
            self.elect();
        }
    }

    fn elect(&mut self) {
        let can = |node: &usize| self.alive[*node] && !self.paused[*node] && !self.cut[*node];
        if let Some(leader) = (0..self.alive.len()).find(can) {
            (self.leader, self.entries) = (leader, 1);
            self.epoch += 1;
        }
    }

    fn zxid(&self) -> Zxid {
        Zxid::new(Epoch(self.epoch), self.entries)
    }

    /// A quarter of a second later: nodes and load report.
    fn tick(&mut self) {
        self.now += Duration::from_millis(250);
        if self.cut[self.leader] {
            self.elect();
        }
        for node in 0..self.alive.len() {
            if self.alive[node] && !self.paused[node] {
                let status = Box::new(self.status(node));
                self.tell(Msg::Status { node, status, round_trip: Duration::from_millis(1) });
            } else {
                self.tell(Msg::Silent { node, reason: "refused".into() });
            }
        }
        if let Some((run, report)) = &mut self.load {
            report.at += Duration::from_millis(250);
            report.writes += 60;
            self.entries += 60;
            report.checked += 60;
            let message = Msg::Load { run: *run, report: Box::new(report.clone()) };
            self.tell(message);
        }
    }

    fn status(&self, node: usize) -> Status {
        let id = |node: usize| NodeId(u16::try_from(node + 1).unwrap());
        let leads = |node: usize| self.alive[node] && !self.paused[node];
        let role = match node == self.leader {
            _ if self.cut[node] || !leads(self.leader) => NodeRole::Looking,
            true => NodeRole::Leader,
            false => NodeRole::Follower,
        };
        // Not from the beginning: a scenario begins only with equal replicas.
        let is_other = self.defect == Defect::Diverges && node == 0 && self.zxid().counter() > 3;
        let peer = |other: usize| PeerStatus {
            node: id(other),
            connected: true,
            heard_ms_ago: 20,
            acked_zxid: Zxid::ZERO,
            problem: String::new(),
        };
        let zxid = self.zxid();
        Status {
            role,
            peers: (0..self.alive.len()).filter(|other| *other != node).map(peer).collect(),
            digest: zxid.0 ^ u64::from(is_other),
            ..sample::status(id(node).0, id(self.leader).0, zxid)
        }
    }

    /// Runs a scenario to its end.
    fn run(&mut self, name: &str) -> Outcome {
        scenario::begin(&mut self.state, name).unwrap();
        for _ in 0..2_000 {
            self.tick();
            if !self.state.scenarios.is_running() {
                return self.state.scenarios.outcome_of(name).unwrap().clone();
            }
        }
        panic!("{name} does not end");
    }
}

fn stat(zxid: Zxid) -> Stat {
    Stat {
        czxid: zxid,
        mzxid: zxid,
        ctime_ms: 0,
        mtime_ms: 0,
        version: 0,
        cversion: 0,
        aversion: 0,
        ephemeral_owner: SessionId::NONE,
        data_length: 3,
        num_children: 0,
        pzxid: zxid,
    }
}

fn load_report(defect: Defect) -> LoadReport {
    let is_lost = defect == Defect::LosesWrites;
    LoadReport {
        phase: Phase::Running,
        at: Duration::ZERO,
        writes: 0,
        reads: 0,
        errors: 0,
        unknown: 0,
        reconnects: 0,
        p50: Duration::from_millis(2),
        p99: Duration::from_millis(9),
        longest: Duration::from_millis(30),
        longest_gap: if let Defect::Gap(gap) = defect { gap } else { Duration::from_millis(40) },
        checked: 0,
        violations: u64::from(is_lost),
        first_violation: is_lost.then(|| "NothingLost: k3 is gone".into()),
        reasons: Vec::new(),
    }
}

fn feed_report(count: u32) -> FeedReport {
    FeedReport {
        name: "f-".into(),
        acknowledged: count,
        repeated: 0,
        longest_gap: Duration::from_millis(12),
        took: Duration::from_millis(400),
        is_over: true,
        failure: None,
        trouble: None,
    }
}

fn page_event(minute: u32) -> PageEvent {
    PageEvent { zxid: u64::from(minute) + 7, minute, request: format!("f-{minute}") }
}

fn outcome(name: &str, defect: Defect) -> Outcome {
    World::new(3, 2, defect).run(name)
}

fn reason(name: &str, defect: Defect) -> String {
    match outcome(name, defect).verdict {
        Verdict::Failed(reason) => reason,
        other => panic!("{name} with {defect:?}: {other:?}"),
    }
}

#[test]
fn scenarios_pass_on_an_ensemble_that_does_what_it_should() {
    for name in [
        "sync-to-leader",
        "health-check",
        "join-one",
        "join-many",
        "follower-dies",
        "hundred-random",
        "kill-leader",
        "kill-and-revive-leader",
        "kill-client",
        "isolate-leader",
        "pause-leader",
        "rolling-restart",
        "slow-disk",
        "all-down-and-up",
        "scaling",
    ] {
        for (nodes, brokers) in [(3, 2), (5, 3)] {
            let mut world = World::new(nodes, brokers, Defect::None);
            let outcome = world.run(name);
            if name == "scaling" {
                // Its load ends by itself, and this one does not.
                continue;
            }
            assert_eq!(outcome.verdict, Verdict::Passed, "{name} on {nodes}");
            assert!(outcome.violations == 0 && world.alive.iter().all(|alive| *alive), "{name}");
            assert!(!world.paused.contains(&true) && !world.cut.contains(&true), "{name}");
        }
    }
}

#[test]
fn each_expectation_fails_when_it_should() {
    for (name, defect, why) in [
        ("follower-dies", Defect::ElectsForNothing, "expect $leader leads"),
        ("join-one", Defect::ElectsForNothing, "expect no election: there was an election: the epoch went from 1 to"),
        ("kill-leader", Defect::ElectsNobody, "wait until another leads: not within 60 s: nobody leads"),
        ("join-one", Defect::LosesWrites, "NothingLost: k3 is gone"),
        ("slow-disk", Defect::Gap(Duration::from_secs(1)), "no write was acknowledged for 1000ms, longer than 1000ms"),
        ("join-one", Defect::Diverges, "the trees differ at 1:"),
        ("hundred-random", Defect::MixesPages, "b2 shows minute 5 before minute 4"),
        ("sync-to-leader", Defect::HidesWrite, "expect every node shows it: not within 15 s: n1 shows what"),
        ("join-one", Defect::StaysDown, "wait until healthy: not within 60 s: the ensemble is DEGRADED: n"),
    ] {
        let reason = reason(name, defect);
        // The words name who plays the part.
        let why = why.replace("$leader", "n3");
        assert!(reason.contains(&why), "{name} with {defect:?}: {reason}");
    }
}

#[test]
fn a_failed_scenario_leaves_the_ensemble_whole() {
    let mut world = World::new(3, 2, Defect::LosesWrites);
    let outcome = world.run("pause-leader");
    assert!(matches!(outcome.verdict, Verdict::Failed(_)) && outcome.violations == 1, "{outcome:?}");
    assert!(!world.paused.contains(&true) && !world.state.loads.is_running());
    let mut world = World::new(3, 2, Defect::ElectsNobody);
    assert!(matches!(world.run("kill-leader").verdict, Verdict::Failed(_)));
    assert!(world.alive.iter().all(|alive| *alive), "who was killed is revived: {:?}", world.orders);
    assert!(world.state.faults.active().is_empty());
}

#[test]
fn a_scenario_can_be_ended_and_one_that_needs_more_is_skipped() {
    let mut world = World::new(3, 0, Defect::None);
    scenario::begin(&mut world.state, "isolate-leader").unwrap();
    while world.state.faults.active().is_empty() {
        world.tick();
    }
    scenario::stop(&mut world.state);
    while world.state.scenarios.is_running() {
        world.tick();
    }
    let outcome = world.state.scenarios.outcome_of("isolate-leader").unwrap();
    assert_eq!(outcome.verdict, Verdict::Failed("it was stopped".into()));
    assert!(world.state.faults.active().is_empty());
    assert_eq!(world.run("kill-broker").verdict, Verdict::Skipped("it needs 2 brokers".into()));
    let mut world = World::new(1, 1, Defect::None);
    assert_eq!(world.run("split").verdict, Verdict::Skipped("it needs 3 nodes".into()));
    assert_eq!(world.run("sync-to-leader").verdict, Verdict::Passed);
}

#[test]
fn the_parts_are_decided_by_the_seed() {
    let killed = |seed: u64| {
        let mut world = World::new(5, 0, Defect::None);
        world.state.scenarios.seed = seed;
        world.run("follower-dies");
        world.orders.iter().find(|order| matches!(order, Order::Kill(_))).copied()
    };
    assert_eq!(killed(1), killed(1));
    assert_eq!(killed(0), Some(Order::Kill(Member::Node(1))));
    assert_eq!(killed(2), Some(Order::Kill(Member::Node(3))));
}
