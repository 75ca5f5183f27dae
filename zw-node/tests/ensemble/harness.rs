//! Real nodes as child processes on free ports of the loopback, and waiting for what they should come to.
//!
//! Nothing sleeps for a fixed time: a test waits for a condition, and fails with the nodes' logs if it does not come.

#[path = "../ports/mod.rs"]
mod ports;

pub(crate) use ports::free_ports;
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use zw_core::client::{Client, ClientOptions, Connection};
use zw_core::wire::admin::{NodeRole, Status};

/// Longest wait for anything. Far above what is needed: the machine may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(10);

/// An ensemble of child processes. They end with it.
pub(crate) struct Ensemble {
    pub(crate) addresses: Vec<String>,
    flags: Vec<String>,
    children: Vec<Option<Child>>,
    directory: tempfile::TempDir,
}

/// The program under test.
pub(crate) fn node_command() -> Command {
    Command::new(env!("CARGO_BIN_EXE_zw-node"))
}

impl Ensemble {
    /// `size` members that are not started yet, with more flags for each.
    pub(crate) fn new(size: usize, flags: &[&str]) -> Ensemble {
        Ensemble {
            addresses: free_ports(size).iter().map(|port| format!("127.0.0.1:{port}")).collect(),
            flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
            children: (0..size).map(|_| None).collect(),
            directory: tempfile::tempdir().unwrap(),
        }
    }

    /// `size` members, started and with a leader.
    pub(crate) async fn start(size: usize, flags: &[&str]) -> Ensemble {
        let mut ensemble = Ensemble::new(size, flags);
        (0..size).for_each(|index| ensemble.start_node(index));
        ensemble.wait_for_leader().await;
        ensemble
    }

    pub(crate) fn data(&self, index: usize) -> PathBuf {
        self.directory.path().join(format!("data-{index}"))
    }

    fn log(&self, index: usize) -> PathBuf {
        self.directory.path().join(format!("log-{index}"))
    }

    pub(crate) fn start_node(&mut self, index: usize) {
        assert!(self.children[index].is_none(), "node {index} runs already");
        let log = File::options().create(true).append(true).open(self.log(index)).unwrap();
        let port = self.addresses[index].rsplit(':').next().unwrap();
        let child = node_command()
            .args(["--port", port, "--ensemble", &self.addresses.join(","), "--data"])
            .arg(self.data(index))
            .args(&self.flags)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.children[index] = Some(child);
    }

    /// SIGKILL: what was not durable is gone.
    pub(crate) fn kill(&mut self, index: usize) {
        let mut child = self.children[index].take().expect("the node runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    pub(crate) fn signal(&self, index: usize, signal: rustix::process::Signal) {
        let child = self.children[index].as_ref().expect("the node runs");
        let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// SIGTERM, and the exit that follows.
    pub(crate) async fn terminate(&mut self, index: usize) -> ExitStatus {
        self.signal(index, rustix::process::Signal::TERM);
        self.exit(index).await
    }

    /// Waits for the node to end by itself.
    pub(crate) async fn exit(&mut self, index: usize) -> ExitStatus {
        let mut child = self.children[index].take().expect("the node runs");
        let since = Instant::now();
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return status;
            }
            if since.elapsed() > PATIENCE {
                child.kill().unwrap();
                panic!("node {index} does not end\n{}", self.logs());
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// A node's status, if it answers.
    pub(crate) async fn status(&self, index: usize) -> Option<Status> {
        let mut connection = Connection::open(&self.addresses[index], Duration::from_secs(2)).await.ok()?;
        connection.status().await.ok()
    }

    /// Waits until `find` finds something.
    pub(crate) async fn wait_for<T>(&self, what: &str, mut find: impl AsyncFnMut(&Ensemble) -> Option<T>) -> T {
        let since = Instant::now();
        loop {
            if let Some(found) = find(self).await {
                return found;
            }
            assert!(since.elapsed() < PATIENCE, "waited in vain for {what}\n{}", self.logs());
            tokio::time::sleep(POLL).await;
        }
    }

    /// Waits until one node leads and every running one follows it; gives its index.
    pub(crate) async fn wait_for_leader(&self) -> usize {
        self.wait_for("a leader that all follow", async |ensemble: &Ensemble| {
            let mut leaders = Vec::new();
            for index in ensemble.running() {
                let status = ensemble.status(index).await?;
                match status.role {
                    NodeRole::Leader => leaders.push(index),
                    NodeRole::Follower => {}
                    _ => return None,
                }
            }
            (leaders.len() == 1).then(|| leaders[0])
        })
        .await
    }

    /// Waits until every running node has applied the same, with the same digest.
    pub(crate) async fn wait_for_agreement(&self) -> Status {
        self.wait_for("the same tree everywhere", async |ensemble: &Ensemble| {
            let mut found: Option<Status> = None;
            for index in ensemble.running() {
                let status = ensemble.status(index).await?;
                let is_same = found.as_ref().is_none_or(|other| {
                    (other.applied_zxid, other.digest) == (status.applied_zxid, status.digest)
                        && status.applied_zxid == status.last_zxid
                });
                if !is_same {
                    return None;
                }
                found = Some(status);
            }
            found
        })
        .await
    }

    /// The nodes that run.
    pub(crate) fn running(&self) -> Vec<usize> {
        (0..self.children.len()).filter(|index| self.children[*index].is_some()).collect()
    }

    /// A client of all nodes, without a session.
    pub(crate) async fn client(&self) -> Client {
        self.client_with(ClientOptions::to(&self.addresses)).await
    }

    pub(crate) async fn client_with(&self, options: ClientOptions) -> Client {
        let options = ClientOptions { request_timeout: PATIENCE, ..options };
        Client::connect(options).await.unwrap_or_else(|error| panic!("{error}\n{}", self.logs()))
    }

    /// The end of each node's log.
    pub(crate) fn logs(&self) -> String {
        let mut all = String::new();
        for index in 0..self.children.len() {
            let mut text = String::new();
            if let Ok(mut file) = File::open(self.log(index)) {
                let _ = file.read_to_string(&mut text);
            }
            let lines: Vec<&str> = text.lines().collect();
            let end = lines[lines.len().saturating_sub(30)..].join("\n");
            all += &format!("--- node {index} at {}\n{end}\n", self.addresses[index]);
        }
        all
    }
}

impl Drop for Ensemble {
    fn drop(&mut self) {
        for child in self.children.iter_mut().flatten() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
