//! The nodes' real traces: a real ensemble is written to and loses its leader, and the console tells how.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{Receiver, channel};
use zw_core::wire::admin::NodeRole;
use zw_tui::cluster::Cluster;
use zw_tui::member::Member;
use zw_tui::model::State;
use zw_tui::model::message::{Effect, Msg};
use zw_tui::model::transaction::{Lane, MessageKind, Tally};
use zw_tui::model::update::update;
use zw_tui::model::write::WriteOrder;
use zw_tui::supervisor::{Asked, Change, Exit, Report};

/// Far more than is ever needed: it only ends a test that has failed.
const DEADLINE: Duration = Duration::from_secs(60);

/// Real nodes.
struct Ensemble {
    children: Vec<Child>,
    addresses: Vec<String>,
    _directory: tempfile::TempDir,
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
        let start = |(index, address): (usize, &String)| {
            let (_, port) = address.split_once(':').unwrap();
            let mut command = Command::new(env!("CARGO_BIN_EXE_zw-tui"));
            command.args([
                "node",
                "--port",
                port,
                "--ensemble",
                &addresses.join(","),
                "--advertise",
                address,
                "--data",
            ]);
            command.arg(directory.path().join(format!("n{index}"))).args(["--segment-bytes", "16777216"]);
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
        };
        let children = addresses.iter().enumerate().map(start).collect();
        Ensemble { children, addresses, _directory: directory }
    }

    fn kill(&mut self, node: usize) {
        self.children[node].kill().unwrap();
        self.children[node].wait().unwrap();
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
}

impl Console {
    fn beside(ensemble: &Ensemble) -> Console {
        let (sender, messages) = channel(1_024);
        let cluster = Cluster::start(&ensemble.addresses, &[], sender);
        cluster.read_traces();
        cluster.want_messages(true);
        let mut console = Console {
            state: State::new(ensemble.addresses.clone(), Vec::new()),
            cluster,
            messages,
            began: Instant::now(),
        };
        for (index, child) in ensemble.children.iter().enumerate() {
            console.report(index, Change::Spawned { pid: child.id() });
            console.report(index, Change::Listening);
        }
        console
    }

    fn tell(&mut self, message: Msg) {
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
                node.sight.status.as_ref().is_some_and(|status| status.role == NodeRole::Leader)
                    && node.process.pid().is_some()
            })
        };
        self.wait_for("a leader", leads).await
    }
}

#[tokio::test]
async fn a_write_through_a_follower_is_followed_and_an_election_is_told() {
    let mut ensemble = Ensemble::start(3);
    let mut console = Console::beside(&ensemble);
    let leader = console.leader().await;
    let follower = (leader + 1) % 3;
    let is_there = |state: &State| state.nodes.iter().all(|node| node.sight.status.is_some()).then_some(());
    console.wait_for("all nodes", is_there).await;
    console.cluster.perform(Effect::Write(WriteOrder::put(follower, "/flow", "x")));
    let is_shown = |state: &State| {
        let write = &state.flow.shown.as_ref()?.transaction;
        let is_whole = write.words == "create /flow" && write.commits.len() == 2 && write.applied.len() == 3;
        is_whole.then(|| write.clone())
    };
    let write = console.wait_for("the write", is_shown).await;
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
