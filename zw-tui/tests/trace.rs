//! The nodes' real traces: a real ensemble is written to and loses its leader, and the console tells how; the one that
//! started the nodes, and one that attached to them.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{Receiver, channel};
use zw_core::client::{Client, ClientOptions, Connection};
use zw_core::ids::Epoch;
use zw_core::limits::TRACE_SUBSCRIBERS_MAX;
use zw_core::tree::command::CreateMode;
use zw_core::wire::admin::{NodeRole, Status, TraceStart};
use zw_core::wire::client::Operation;
use zw_tui::cluster::Cluster;
use zw_tui::member::Member;
use zw_tui::model::State;
use zw_tui::model::collector::Told;
use zw_tui::model::election::Election;
use zw_tui::model::message::Msg;
use zw_tui::model::permission::Permission;
use zw_tui::model::transaction::{Lane, MessageKind, Tally, Transaction};
use zw_tui::model::update::update;
use zw_tui::supervisor::{Asked, Change, Exit, Report};

/// Far more than is ever needed: it only ends a test that has failed.
const DEADLINE: Duration = Duration::from_secs(60);

/// Real nodes.
struct Ensemble {
    children: Vec<Child>,
    addresses: Vec<String>,
    directory: tempfile::TempDir,
}

impl Ensemble {
    fn start(nodes: usize) -> Ensemble {
        let directory = tempfile::tempdir().unwrap();
        let free: Vec<TcpListener> = (0..nodes).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        // The nodes are numbered by their addresses.
        let mut ports: Vec<u16> = free.iter().map(|free| free.local_addr().unwrap().port()).collect();
        ports.sort_unstable();
        let addresses: Vec<String> = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        drop(free);
        let mut ensemble = Ensemble { children: Vec::new(), addresses, directory };
        ensemble.children = (0..nodes).map(|node| ensemble.run(node)).collect();
        ensemble
    }

    fn run(&self, node: usize) -> Child {
        let address = &self.addresses[node];
        let (_, port) = address.split_once(':').unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_zw-tui"));
        let ensemble = self.addresses.join(",");
        command.args(["node", "--port", port, "--ensemble", &ensemble, "--advertise", address, "--data"]);
        command.arg(self.directory.path().join(format!("n{node}"))).args(["--segment-bytes", "16777216"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    fn kill(&mut self, node: usize) {
        self.children[node].kill().unwrap();
        self.children[node].wait().unwrap();
    }

    fn revive(&mut self, node: usize) {
        self.children[node] = self.run(node);
    }
}

impl Drop for Ensemble {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The console's model beside it, fed as the loop feeds it.
struct Console {
    state: State,
    cluster: Cluster,
    messages: Receiver<Msg>,
    began: Instant,
    /// What was rare in the traces.
    rare: Vec<Told>,
    /// Writes so far.
    written: u64,
}

impl Console {
    fn beside(ensemble: &Ensemble) -> Console {
        let mut console = Console::with(State::new(ensemble.addresses.clone(), Vec::new()), &ensemble.addresses);
        for (index, child) in ensemble.children.iter().enumerate() {
            console.report(index, Change::Spawned { pid: child.id() });
            console.report(index, Change::Listening);
        }
        console
    }

    /// One that started nothing and may do nothing.
    fn attached(addresses: &[String]) -> Console {
        Console::with(State::attached(addresses.to_vec(), Permission::READ_ONLY), addresses)
    }

    fn with(state: State, addresses: &[String]) -> Console {
        let (sender, messages) = channel(1_024);
        let mut cluster = Cluster::start(addresses, &[], sender);
        cluster.read_traces(0);
        cluster.want_messages(true);
        Console { state, cluster, messages, began: Instant::now(), rare: Vec::new(), written: 0 }
    }

    fn tell(&mut self, message: Msg) {
        if let Msg::Trace(portion) = &message {
            self.rare.extend(portion.rare.iter().cloned());
        }
        for effect in update(&mut self.state, self.began.elapsed(), message) {
            self.cluster.perform(effect);
        }
    }

    fn report(&mut self, index: usize, change: Change) {
        let member = Some(Member::Node(u8::try_from(index + 1).unwrap()));
        self.tell(Msg::Supervisor(Report { member, change }));
    }

    async fn wait_for<T>(&mut self, what: &str, find: impl Fn(&State) -> Option<T>) -> T {
        loop {
            if let Some(found) = find(&self.state) {
                return found;
            }
            let left = DEADLINE.saturating_sub(self.began.elapsed());
            let message = tokio::time::timeout(left, self.messages.recv()).await;
            let message = message.unwrap_or_else(|_| {
                panic!("{what} did not come: {:#?} {:#?}", self.state.flow, self.state.elections.back(0))
            });
            self.tell(message.unwrap());
        }
    }

    async fn leader(&mut self) -> usize {
        let leads = |state: &State| {
            state.nodes.iter().position(|node| {
                let leads = |status: &Status| status.role == NodeRole::Leader;
                node.process.lives() && node.sight.silence.is_none() && node.sight.status.as_deref().is_some_and(leads)
            })
        };
        self.wait_for("a leader", leads).await
    }
}

impl Console {
    /// Writes through a node, as anybody may, until one of the writes is seen on its whole way. The first may be too early:
    /// a trace is read a little after its node is known.
    async fn followed_write(&mut self, ensemble: &Ensemble, node: usize) -> Transaction {
        let client = Client::connect(ClientOptions::to([&ensemble.addresses[node]])).await.unwrap();
        let nodes = ensemble.addresses.len();
        loop {
            let path = format!("/w{}", self.written);
            client.create(&path, "", CreateMode::Persistent).await.unwrap();
            self.written += 1;
            let words = format!("create {path}");
            let end = Instant::now() + Duration::from_secs(3);
            let seen = |state: &State| {
                let write = &state.flow.shown.as_ref()?.transaction;
                // The last acknowledgement may reach the leader after all have applied it.
                let is_whole = write.commits.len() == nodes - 1
                    && write.applied.len() == nodes
                    && write.rows(nodes).iter().all(|row| row.received.is_some());
                (write.words == words && is_whole).then(|| Some(write.clone()))
            };
            let seen = |state: &State| seen(state).or_else(|| (Instant::now() > end).then_some(None));
            if let Some(write) = self.wait_for("the write", seen).await {
                return write;
            }
        }
    }

    async fn next_election(&mut self, after: Option<Epoch>) -> Election {
        let is_over = |state: &State| {
            let election = state.elections.back(0).filter(|election| election.epoch() > after)?;
            let all_serve = !election.catches.is_empty() && election.catches.iter().all(|catch| catch.done.is_some());
            (election.established.is_some() && all_serve).then(|| election.clone())
        };
        self.wait_for("the election", is_over).await
    }
}

#[tokio::test]
async fn an_attached_console_follows_writes_and_elections_of_members_that_it_learns_of_and_of_their_next_lives() {
    let mut ensemble = Ensemble::start(3);
    // One address is enough, and n1 is not the first that is known.
    let mut console = Console::attached(&ensemble.addresses[2..]);
    let leader = console.leader().await;
    let follower = (leader + 1) % 3;
    let write = console.followed_write(&ensemble, follower).await;
    assert_eq!((write.origin, write.leader), (follower, Some(leader)), "members have their own numbers");
    let rows = write.rows(3);
    assert!(rows.iter().all(|row| row.received.is_some_and(|received| received >= row.sent)), "{rows:?}");
    assert_eq!(console.state.flow.clock_error_ns, 0, "one host has one clock");

    let before = console.state.nodes[leader].sight.status.as_ref().unwrap().epoch;
    ensemble.kill(leader);
    let election = console.next_election(Some(before)).await;
    let survivors: Vec<usize> = (0..3).filter(|node| *node != leader).collect();
    assert_eq!(election.last_votes().into_keys().collect::<Vec<_>>(), survivors);
    assert_eq!(election.before.unwrap().0, leader);
    assert!(console.state.causes.of(&election).is_none(), "who did not start it does not know why it ended");

    ensemble.revive(leader);
    let write = console.followed_write(&ensemble, leader).await;
    assert_eq!(write.origin, leader, "its next life is read too");
    let mut told: Vec<(usize, u64)> = console.rare.iter().map(|t| (t.node, t.event.monotonic_ns)).collect();
    told.sort_unstable();
    let all = told.len();
    told.dedup();
    assert_eq!(told.len(), all, "nothing was taken twice");
}

#[tokio::test]
async fn a_member_with_two_addresses_is_read_once() {
    let ensemble = Ensemble::start(1);
    let other_name = ensemble.addresses[0].replace("127.0.0.1", "localhost");
    let mut console = Console::attached(&[ensemble.addresses[0].clone(), other_name]);
    console.leader().await;
    let client = Client::connect(ClientOptions::to([&ensemble.addresses[0]]).with_session(DEADLINE)).await.unwrap();
    client.create("/a", "", CreateMode::Persistent).await.unwrap();
    console.followed_write(&ensemble, 0).await;
    let mut told: Vec<u64> = console.rare.iter().map(|told| told.event.sequence).collect();
    let all = told.len();
    assert!(all > 0);
    told.dedup();
    assert_eq!(told.len(), all);
}

#[tokio::test]
async fn a_node_that_refuses_its_trace_says_so_once_and_is_shown_all_the_same() {
    let ensemble = Ensemble::start(1);
    Console::attached(&ensemble.addresses).leader().await;
    let mut others = Vec::new();
    for _ in 0..TRACE_SUBSCRIBERS_MAX {
        let mut other = Connection::open(&ensemble.addresses[0], DEADLINE).await.unwrap();
        // The places of the console that has just gone may not be free yet.
        while other.request(Operation::TraceStart(TraceStart { from: 0, rare_only: true })).await.is_err() {
            other.status().await.unwrap();
        }
        others.push(other);
    }
    let mut console = Console::attached(&ensemble.addresses);
    let refusals = |state: &State| {
        state.events.iter().filter(|event| event.text.contains("the trace of n1 is not read: 64 others")).count()
    };
    console.wait_for("the refusal", |state| (refusals(state) > 0).then_some(())).await;
    console.leader().await;
    assert_eq!(refusals(&console.state), 1);
}

#[tokio::test]
async fn a_write_through_a_follower_is_followed_and_an_election_is_told() {
    let mut ensemble = Ensemble::start(3);
    let mut console = Console::beside(&ensemble);
    let leader = console.leader().await;
    let follower = (leader + 1) % 3;
    let is_there = |state: &State| state.nodes.iter().all(|node| node.sight.status.is_some()).then_some(());
    console.wait_for("all nodes", is_there).await;
    let write = console.followed_write(&ensemble, follower).await;
    assert_eq!((write.origin, write.leader), (follower, Some(leader)));
    assert_eq!(write.ended.as_ref().unwrap().1, "", "it was done");
    let rows = write.rows(3);
    for row in &rows {
        assert!(row.received.is_some_and(|received| received >= row.sent), "{row:?}");
    }
    let first = |kind: MessageKind| rows.iter().position(|row| row.kind == kind).unwrap();
    let order = [MessageKind::Request, MessageKind::Forward, MessageKind::Proposal, MessageKind::Ack].map(first);
    assert!(order.is_sorted(), "{rows:#?}");
    let count = |kind: MessageKind| rows.iter().filter(|row| row.kind == kind).count();
    assert_eq!([MessageKind::Proposal, MessageKind::Ack, MessageKind::Commit].map(count), [2, 2, 2]);
    let quorum: Vec<_> = rows.iter().filter(|row| matches!(row.tally, Some(Tally::Quorum(2)))).collect();
    assert_eq!(quorum.len(), 1, "one acknowledgement makes the quorum");
    assert!(quorum[0].received <= write.committed, "and then it is committed");
    assert_eq!(rows.iter().find(|row| row.kind == MessageKind::Forward).unwrap().to, Lane::Node(leader));

    ensemble.kill(leader);
    console.report(leader, Change::Exited { exit: Exit::Signal(9), asked: Asked::Kill, words: None });
    let is_over = |state: &State| {
        let election = state.elections.back(0).filter(|election| election.before.is_some())?;
        let all_serve = !election.catches.is_empty() && election.catches.iter().all(|catch| catch.done.is_some());
        (election.established.is_some() && all_serve).then(|| election.clone())
    };
    let election = console.wait_for("the election", is_over).await;
    let voters: Vec<usize> = election.last_votes().into_keys().collect();
    let survivors: Vec<usize> = (0..3).filter(|node| *node != leader).collect();
    assert_eq!(voters, survivors, "all ballots are there");
    assert!(election.ballots.iter().all(|ballot| !ballot.why.is_empty()));
    let (won_at, winner) = election.won.unwrap();
    assert!(election.began <= won_at && won_at <= election.established.unwrap().0);
    assert_eq!(election.tally()[0], (winner, 2));
    assert_eq!(election.before.unwrap().0, leader);
    let lost: Vec<usize> = election.losses.iter().map(|loss| loss.node).collect();
    assert!(survivors.iter().all(|node| lost.contains(node)), "{election:#?}");
    assert!(console.state.causes.of(&election).unwrap().words.contains("killed by you"));
    assert!(console.state.toast.as_ref().unwrap().text.contains("e shows the election"));
}
