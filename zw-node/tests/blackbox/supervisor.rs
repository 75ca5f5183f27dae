//! The nodes as processes: started, killed, stopped, watched.
//!
//! Fault model: SIGKILL at any moment (what was written stays in the system's cache, so unsynced bytes survive: losing
//! those is the simulator's part), SIGSTOP and SIGCONT, restart with the same directory. A node that ends when nobody
//! killed it is a violation: it found a defect of its own, or gave up.

use crate::proxy::Network;
use crate::small_disk::SmallDisks;
use crate::verdict::{Failure, ensure, harness};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use zw_core::client::Connection;
use zw_core::ids::NodeId;
use zw_core::wire::admin::{Fault, FaultKind, Status};
use zw_core::wire::client::Operation;
use zw_sim::invariants::{Verdict, Violation};
use zw_sim::prng::Prng;

/// How long a node may take to listen. It may have to read a log on a busy machine.
const START_DEADLINE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);
/// Below the ports that the system gives to outgoing connections: those could take a dead node's place.
const PORTS: std::ops::Range<u64> = 10_000..32_000;

/// Nodes, each a process. They end with this.
pub(crate) struct Cluster {
    pub(crate) addresses: Vec<String>,
    pub(crate) network: Network,
    pub(crate) small_disks: Option<SmallDisks>,
    directory: PathBuf,
    flags: Vec<String>,
    nodes: Vec<Option<Running>>,
}

struct Running {
    child: Child,
    is_stopped: bool,
}

impl Cluster {
    /// `size` members that are not started yet; logs and data go below `directory`.
    pub(crate) async fn new(
        size: usize,
        flags: Vec<String>,
        directory: &Path,
        small_disks: Option<SmallDisks>,
        prng: &mut Prng,
    ) -> Result<Cluster, Failure> {
        let addresses: Vec<String> = free_ports(size, prng)?.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        let network = Network::start(&addresses).await?;
        let nodes = (0..size).map(|_| None).collect();
        Ok(Cluster { addresses, network, small_disks, directory: directory.to_owned(), flags, nodes })
    }

    pub(crate) fn size(&self) -> usize {
        self.nodes.len()
    }

    /// Where the harness finds a node's data.
    pub(crate) fn data(&self, index: usize) -> PathBuf {
        match &self.small_disks {
            Some(disks) => disks.outside(index),
            None => self.directory.join(format!("data-{}", index + 1)),
        }
    }

    fn log(&self, index: usize) -> PathBuf {
        self.directory.join(format!("log-{}", index + 1))
    }

    /// Whether the node runs and is not stopped.
    pub(crate) fn is_up(&self, index: usize) -> bool {
        self.nodes[index].as_ref().is_some_and(|node| !node.is_stopped)
    }

    /// Whether there is a process, stopped or not.
    pub(crate) fn is_running(&self, index: usize) -> bool {
        self.nodes[index].is_some()
    }

    /// Whether some majority is up and connected, each with each.
    pub(crate) fn has_connected_quorum(&self) -> bool {
        let size = self.size();
        let joined = |members: u32| {
            let in_it = |index: &usize| members >> index & 1 == 1;
            (0..size).filter(in_it).all(|one| {
                self.is_up(one)
                    && (0..size).filter(in_it).all(|other| one == other || self.network.connects(one, other))
            })
        };
        (0..1_u32 << size).any(|members| members.count_ones() as usize > size / 2 && joined(members))
    }

    /// Starts a node and waits until it listens.
    pub(crate) async fn start(&mut self, index: usize) -> Result<(), Failure> {
        let deadline = Instant::now() + START_DEADLINE;
        self.spawn(index)?;
        loop {
            if Connection::open(&self.addresses[index], Duration::from_secs(2)).await.is_ok() {
                return Ok(());
            }
            if let Some(status) = self.reap(index)? {
                // The only end of a start that is the harness's doing: another process has the port.
                if !self.tail(index).contains("cannot listen") {
                    return Err(self.died(index, status).into());
                }
                self.spawn(index)?;
            }
            if Instant::now() > deadline {
                let text = format!("node {} does not listen within {START_DEADLINE:?}", index + 1);
                return Err(Failure::Harness(format!("{text}\n{}", self.tail(index))));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    fn spawn(&mut self, index: usize) -> Result<(), Failure> {
        let log = File::options().create(true).append(true).open(self.log(index)).map_err(harness("a node's log"))?;
        let address = &self.addresses[index];
        let port = address.rsplit(':').next().unwrap_or_default();
        let program = env!("CARGO_BIN_EXE_zw-node");
        let (mut command, data) = match &self.small_disks {
            Some(disks) => (disks.command(program), disks.inside(index)),
            None => (Command::new(program), self.data(index)),
        };
        command.args(["--port", port, "--ensemble", &self.addresses.join(","), "--die-with-parent", "--allow-faults"]);
        command.arg("--data").arg(data).args(&self.flags);
        for other in (0..self.size()).filter(|other| *other != index) {
            command.arg("--via").arg(format!("{}=127.0.0.1:{}", other + 1, self.network.port(index, other)));
        }
        // Its standard input is a pipe that ends with the harness, and the node with it.
        let child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log).spawn();
        let child = child.map_err(harness("starting zw-node"))?;
        self.nodes[index] = Some(Running { child, is_stopped: false });
        Ok(())
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self, index: usize) -> Result<(), Failure> {
        if let Some(mut node) = self.nodes[index].take() {
            node.child.kill().and_then(|()| node.child.wait()).map_err(harness("killing a node"))?;
        }
        Ok(())
    }

    /// SIGSTOP or SIGCONT.
    pub(crate) fn stop(&mut self, index: usize, stops: bool) -> Result<(), Failure> {
        let Some(node) = &mut self.nodes[index] else { return Ok(()) };
        let pid = i32::try_from(node.child.id()).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| Failure::Harness("a process without a number".to_owned()))?;
        kill_process(pid, if stops { Signal::STOP } else { Signal::CONT }).map_err(harness("signalling a node"))?;
        node.is_stopped = stops;
        Ok(())
    }

    /// Has the node's disk take that much longer, for a while; nothing happens if it does not answer.
    pub(crate) async fn slow_disk(&self, index: usize, delay: Duration, lasts: Duration) {
        let ms = |duration: Duration| u32::try_from(duration.as_millis()).unwrap_or(u32::MAX);
        let (delay_ms, ttl_ms) = (ms(delay), ms(lasts));
        let fault = Fault { kind: FaultKind::SlowDisk, peer: NodeId(0), delay_ms, ttl_ms, with_connection: false };
        if let Ok(mut connection) = Connection::open(&self.addresses[index], Duration::from_secs(1)).await {
            let _ = connection.request(Operation::Fault(fault)).await;
        }
    }

    /// No process has ended that nobody killed.
    pub(crate) fn all_live(&mut self) -> Result<(), Failure> {
        for index in 0..self.size() {
            if let Some(status) = self.reap(index)? {
                return Err(self.died(index, status).into());
            }
        }
        Ok(())
    }

    fn reap(&mut self, index: usize) -> Result<Option<ExitStatus>, Failure> {
        let Some(node) = &mut self.nodes[index] else { return Ok(None) };
        let status = node.child.try_wait().map_err(harness("looking after a node"))?;
        if status.is_some() {
            self.nodes[index] = None;
        }
        Ok(status)
    }

    fn died(&self, index: usize, status: ExitStatus) -> Violation {
        Violation::new("NodeLives", format!("node {} ended by itself: {status}\n{}", index + 1, self.tail(index)))
    }

    /// A node's status, if it answers.
    pub(crate) async fn status(&self, index: usize) -> Option<Status> {
        let mut connection = Connection::open(&self.addresses[index], Duration::from_secs(2)).await.ok()?;
        connection.status().await.ok()
    }

    /// How many lines of the nodes' logs have this text.
    pub(crate) fn count(&self, text: &str) -> u64 {
        let logs = (0..self.size()).map(|index| std::fs::read(self.log(index)).unwrap_or_default());
        logs.map(|log| String::from_utf8_lossy(&log).lines().filter(|line| line.contains(text)).count() as u64).sum()
    }

    /// The end of a node's log.
    pub(crate) fn tail(&self, index: usize) -> String {
        let text = std::fs::read(self.log(index)).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        let end = lines[lines.len().saturating_sub(15)..].join("\n");
        format!("--- node {} at {}\n{end}\n", index + 1, self.addresses[index])
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for node in self.nodes.iter_mut().flatten() {
            let _ = node.child.kill();
            let _ = node.child.wait();
        }
    }
}

/// Every node that should run does, and no text in a node's log tells of a panic.
pub(crate) fn no_panics(cluster: &Cluster) -> Verdict {
    for index in 0..cluster.size() {
        let text = std::fs::read(cluster.log(index)).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let panic = text.lines().find(|line| line.contains("panicked at"));
        ensure!(panic.is_none(), "NodeLives", "node {} has panicked\n{}", index + 1, cluster.tail(index));
    }
    Ok(())
}

/// Ports that are free now, ascending: the order of the list is then the order of the ids.
fn free_ports(count: usize, prng: &mut Prng) -> Result<Vec<u16>, Failure> {
    let mut ports = std::collections::BTreeSet::new();
    for _ in 0..10_000 {
        let port = u16::try_from(prng.between(PORTS.start, PORTS.end - 1)).unwrap_or(u16::MAX);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            ports.insert(port);
        }
        if ports.len() == count {
            return Ok(ports.into_iter().collect());
        }
    }
    Err(Failure::Harness(format!("no {count} free ports in {PORTS:?}")))
}
