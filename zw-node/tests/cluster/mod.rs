//! An ensemble of real processes in a temporary directory, for tests. Nothing of it outlives the test.

// Each test program uses its own part of this.
#![allow(dead_code)]

#[path = "../ports/mod.rs"]
mod ports;

pub(crate) use ports::free_ports;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a test waits for what must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Nodes, each a process.
pub(crate) struct Cluster {
    pub(crate) dir: TempDir,
    pub(crate) ports: Vec<u16>,
    pub(crate) servers: String,
    nodes: Vec<Option<Process>>,
}

impl Cluster {
    /// Starts `count` nodes and waits until all of them take part.
    pub(crate) fn start(count: usize) -> Cluster {
        let ports = free_ports(count);
        let servers = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect::<Vec<_>>().join(",");
        let nodes = (0..count).map(|_| None).collect();
        let mut cluster = Cluster { dir: tempfile::tempdir().unwrap(), ports, servers, nodes };
        (0..count).for_each(|index| cluster.start_node(index));
        cluster.wait_until_whole();
        cluster
    }

    pub(crate) fn start_node(&mut self, index: usize) {
        let port = self.ports[index].to_string();
        let mut command = Command::new(env!("CARGO_BIN_EXE_zw-node"));
        command.args(["--port", &port, "--ensemble", &self.servers, "--data"]).arg(self.dir.path().join(&port));
        self.nodes[index] = Some(Process::start(command));
    }

    /// SIGKILL.
    pub(crate) fn kill_node(&mut self, index: usize) {
        self.nodes[index] = None;
    }

    /// A process that was killed by somebody else is reaped.
    pub(crate) fn node_of_port(&self, port: u16) -> usize {
        self.ports.iter().position(|known| *known == port).unwrap()
    }

    /// Waits until every node that runs leads or follows.
    pub(crate) fn wait_until_whole(&self) {
        let running = self.nodes.iter().flatten().count();
        wait_for("all nodes take part", || {
            let status = self.status();
            status.iter().filter(|node| node["role"] == "leader").count() == 1
                && status.iter().filter(|node| node["role"] == "follower").count() == running - 1
        });
    }

    pub(crate) fn status(&self) -> Vec<Value> {
        let output = self.zw(&["status", "--json"]);
        serde_json::from_slice::<Vec<Value>>(&output.stdout).unwrap_or_default()
    }

    pub(crate) fn zw(&self, arguments: &[&str]) -> Output {
        zw(&self.servers, arguments)
    }

    /// The JSON that a verb which must succeed prints.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let output = self.zw(&[arguments, &["--json"]].concat());
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {output:?}"))
    }

    /// What a verb which must succeed prints.
    pub(crate) fn text(&self, arguments: &[&str]) -> String {
        let output = self.zw(arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The exit code and the reason of a verb which must not succeed.
    pub(crate) fn fails(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.zw(arguments);
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    }
}

pub(crate) fn zw(servers: &str, arguments: &[&str]) -> Output {
    zw_command(servers, arguments).output().unwrap()
}

pub(crate) fn zw_command(servers: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zw"));
    command.env("ZW_SERVERS", servers).args(arguments).stdin(Stdio::null());
    command
}

/// A process that prints `listening on ...`, and is killed when this is dropped.
pub(crate) struct Process(Child);

impl Process {
    pub(crate) fn start(mut command: Command) -> Process {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        let stdout = child.stdout.as_mut().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        let process = Process(child);
        assert!(line.starts_with("listening on "), "{command:?} said {line:?}");
        process
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// Waits for the end that somebody else asked for.
    pub(crate) fn wait(&mut self) -> Option<i32> {
        self.0.wait().unwrap().code()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits for a condition.
pub(crate) fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "gave up waiting until {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// One HTTP request; gives the status and the body.
pub(crate) fn http(port: u16, method: &str, path: &str, body: &str) -> (u16, String) {
    try_http(port, method, path, body).unwrap()
}

pub(crate) fn try_http(port: u16, method: &str, path: &str, body: &str) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "{method} {path} HTTP/1.0\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}", body.len())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(std::io::ErrorKind::UnexpectedEof)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok((status.ok_or(std::io::ErrorKind::InvalidData)?, body.to_owned()))
}

pub(crate) fn write_file(dir: &Path, name: &str, text: &str) -> String {
    let path = dir.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}
