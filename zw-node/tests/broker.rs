//! Brokers as real processes on an ensemble of real processes: one order, nothing lost, nothing doubled.

#![allow(clippy::unwrap_used, reason = "a test ends at what is wrong")]

mod cluster;

use cluster::{Cluster, PATIENCE, Process, free_ports, http, try_http, wait_for};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Instant;
use zw_core::limits::{HTTP_HEAD_BYTES_MAX, SHUTDOWN_DEADLINE};

struct Brokers {
    cluster: Cluster,
    ports: Vec<u16>,
    processes: Vec<Option<Process>>,
}

impl Brokers {
    fn start(nodes: usize, brokers: usize) -> Brokers {
        let cluster = Cluster::start(nodes);
        let ports = free_ports(brokers);
        let mut brokers = Brokers { cluster, ports, processes: (0..brokers).map(|_| None).collect() };
        (0..brokers.ports.len()).for_each(|index| brokers.start_broker(index));
        wait_for("all brokers are registered", || {
            let status = status(brokers.ports[0]);
            status["InTouch"] == true
                && status["Brokers"].as_array().is_some_and(|list| list.len() == brokers.ports.len())
        });
        brokers
    }

    fn start_broker(&mut self, index: usize) {
        let port = self.ports[index].to_string();
        let mut command = Command::new(env!("CARGO_BIN_EXE_zw-broker"));
        command.args(["--port", &port, "--servers", &self.cluster.servers, "--data"]);
        command.arg(self.cluster.dir.path().join(format!("broker-{port}")));
        self.processes[index] = Some(Process::start(command));
    }

    fn clients(&self, indexes: &[usize]) -> String {
        indexes.iter().map(|index| self.ports[*index].to_string()).collect::<Vec<_>>().join(",")
    }

    fn data(&self, index: usize) -> Vec<Value> {
        serde_json::from_str(&http(self.ports[index], "GET", "/data", "").1).unwrap()
    }

    /// Waits until each of these brokers shows `count` events, and gives them: they must be the same.
    fn same_data(&self, indexes: &[usize], count: usize) -> Vec<Value> {
        for index in indexes {
            wait_for(&format!("broker {index} shows {count} events"), || self.data(*index).len() >= count);
        }
        let first = self.data(indexes[0]);
        assert_eq!(first.len(), count);
        for index in indexes {
            assert_eq!(self.data(*index), first, "broker {index} shows other events, or another order");
        }
        assert!(
            first.windows(2).all(|pair| pair[0]["Zxid"].as_u64() < pair[1]["Zxid"].as_u64()),
            "not in order of zxid"
        );
        first
    }
}

fn status(port: u16) -> Value {
    try_http(port, "GET", "/status", "").ok().and_then(|(_, body)| serde_json::from_str(&body).ok()).unwrap_or_default()
}

fn event(clients: &str, minute: usize, id: &str) -> String {
    json!({
        "metadata": { "Clients": clients, "RequestId": id },
        "gameResults": { "Minute": minute, "Player": "Messi", "Club": "FCB", "Score": "2-1" },
    })
    .to_string()
}

fn add(port: u16, clients: &str, minute: usize, id: &str) -> Value {
    let (code, body) = http(port, "POST", "/addScore", &event(clients, minute, id));
    assert_eq!(code, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}

#[test]
fn a_hundred_events_have_one_order_on_both_brokers() {
    let brokers = Brokers::start(3, 2);
    let all = brokers.clients(&[0, 1]);
    std::thread::scope(|scope| {
        for sender in 0..2 {
            let (port, all) = (brokers.ports[sender], &all);
            scope
                .spawn(move || (1..=50).for_each(|minute| drop(add(port, all, minute, &format!("{sender}-{minute}")))));
        }
    });
    let events = brokers.same_data(&[0, 1], 100);
    let mut ids: Vec<&str> = events.iter().map(|event| event["RequestId"].as_str().unwrap()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 100, "nothing is lost or doubled");

    let said: Vec<Value> = brokers.ports.iter().map(|port| status(*port)).collect();
    assert_eq!((&said[0]["Zxid"], &said[0]["Checked"]), (&said[1]["Zxid"], &said[1]["Checked"]));
    assert_eq!(said[0]["Checked"]["Events"], 100);
    for status in &said {
        assert!(brokers.cluster.servers.split(',').any(|server| status["Node"] == server), "{status}");
        assert!(status["OrderP99Us"].as_u64().unwrap() > 0, "{status}");
    }

    let again = add(brokers.ports[1], &all, 1, "0-1");
    assert_eq!(again["Repeated"], true);
    let first = events.iter().find(|event| event["RequestId"] == "0-1").unwrap();
    assert_eq!(again["Zxid"], first["Zxid"], "the same place as the first time");
    assert_eq!(brokers.same_data(&[0, 1], 100), events);
    let page = http(brokers.ports[0], "GET", "/", "").1;
    assert!(page.contains("50 mins - Messi (FCB) - Score: 2-1"), "{page}");
}

#[test]
fn a_broker_that_was_down_catches_up() {
    let mut brokers = Brokers::start(3, 2);
    let all = brokers.clients(&[0, 1]);
    (1..=5).for_each(|minute| drop(add(brokers.ports[0], &all, minute, &format!("a{minute}"))));
    brokers.same_data(&[0, 1], 5);
    brokers.processes[1] = None;
    (6..=20).for_each(|minute| drop(add(brokers.ports[0], &all, minute, &format!("b{minute}"))));
    brokers.start_broker(1);
    brokers.same_data(&[0, 1], 20);
}

#[test]
fn a_changed_list_takes_effect_and_can_be_taken_back() {
    let brokers = Brokers::start(1, 3);
    let (all, two) = (brokers.clients(&[0, 1, 2]), brokers.clients(&[0, 1]));
    add(brokers.ports[0], &all, 1, "a");
    brokers.same_data(&[0, 1, 2], 1);
    add(brokers.ports[0], &two, 2, "b");
    add(brokers.ports[0], &two, 3, "c");
    brokers.same_data(&[0, 1], 3);
    wait_for("the third broker knows the new list", || {
        status(brokers.ports[2])["Clients"][brokers.ports[0].to_string()]["Version"] == 1
    });
    assert_eq!(brokers.data(2).len(), 1, "it keeps what it had and gets nothing new");
    add(brokers.ports[0], &all, 4, "d");
    brokers.same_data(&[0, 1, 2], 4);

    let rows = brokers.cluster.json(&["metadata"]);
    let versions: Vec<(u64, u64, &str)> = rows.as_array().unwrap()[1..]
        .iter()
        .map(|row| {
            (row["Version"].as_u64().unwrap(), row["ParentId"].as_u64().unwrap(), row["Clients"].as_str().unwrap())
        })
        .collect();
    let mut sorted = brokers.ports.clone();
    sorted.sort_unstable();
    assert_eq!(versions.iter().map(|row| (row.0, row.1)).collect::<Vec<_>>(), [(0, 1), (1, 2), (2, 2)]);
    assert_eq!(versions[0].2, sorted.iter().map(u16::to_string).collect::<Vec<_>>().join(","));
}

#[test]
fn wrong_requests_are_told_what_is_wrong() {
    let brokers = Brokers::start(1, 1);
    let port = brokers.ports[0];
    let good = event("9090", 1, "x");
    for (body, reason) in [
        ("{", "wrong JSON"),
        ("[]", "write an object with metadata, gameResults"),
        (&good.replace("Minute", "Minutes"), "unknown field"),
        (&good.replace("\"Player\":\"Messi\",", ""), "missing field"),
        (&good.replace("2-1", "two"), "Score"),
        (&good.replace("\"9090\"", "\"\""), "Clients"),
        (&good.replace("{\"Clients\"", "{\"ReceiverIp\":\"1\",\"Clients\""), "the nodes are"),
        (&good.replace("{\"Clients\"", "{\"ReceiverIp\":\"localhost:1\",\"Clients\""), "write a node's port alone"),
    ] {
        let (code, answer) = http(port, "POST", "/addScore", body);
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert!(code == 400 && answer["Error"].as_str().unwrap().contains(reason), "{body}: {code} {answer}");
    }
    assert_eq!(http(port, "POST", "/addScore", &" ".repeat(2 << 20)).0, 413);
    assert_eq!(http(port, "GET", "/addScore", "").0, 405);
    assert_eq!(http(port, "GET", "/nothing", "").0, 404);
    assert_eq!(http(port, "GET", "/data", ""), (200, "[]".to_owned()), "nothing of it was taken");
    for port in [port, brokers.cluster.ports[0]] {
        assert_eq!(status_of_endless_headers(port), "HTTP/1.1 431", "port {port}");
    }
}

/// Sends a head that goes on for ever, slowly enough for the answer to come; gives the first words of that.
fn status_of_endless_headers(port: u16) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let mut reader = stream.try_clone().unwrap();
    reader.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"GET /status HTTP/1.1\r\nHost: x\r\nEndless: ").unwrap();
    // A little above the limit, and no more: what comes after the answer would have the connection reset.
    stream.write_all(&vec![b'x'; HTTP_HEAD_BYTES_MAX]).unwrap();
    let mut first = [0; 12];
    reader.read_exact(&mut first).unwrap();
    String::from_utf8(first.to_vec()).unwrap()
}

#[test]
fn a_broker_without_an_ensemble_says_what_to_do() {
    let (port, nobody) = (free_ports(1)[0], format!("127.0.0.1:{}", free_ports(1)[0]));
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let mut command = Command::new(env!("CARGO_BIN_EXE_zw-broker"));
    command.args(["--port", &port.to_string(), "--servers", &nobody, "--data"]).arg(dir.path());
    command.stderr(std::fs::File::create(&log).unwrap());
    let mut broker = Process::start(command);
    let logged = || std::fs::read_to_string(&log).unwrap();
    wait_for("the broker says what to do", || logged().contains("--servers") && logged().contains(&nobody));
    assert!(!logged().contains('\u{1b}'), "no colours in a file: {:?}", logged());

    let pid = rustix::process::Pid::from_raw(i32::try_from(broker.id()).unwrap()).unwrap();
    let begin = Instant::now();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(broker.wait(), Some(0));
    assert!(begin.elapsed() < SHUTDOWN_DEADLINE / 2, "it waits for nodes that are not there: {:?}", begin.elapsed());
}

#[test]
fn what_somebody_writes_by_hand_stops_no_broker() {
    let brokers = Brokers::start(1, 2);
    let all = brokers.clients(&[0, 1]);
    add(brokers.ports[0], &all, 1, "a");
    for path in ["/events/zzz", "/events/e9999999999", "/events/a", "/clients/somebody"] {
        brokers.cluster.text(&["create", path, "no event"]);
    }
    brokers.cluster.text(&["create", "-s", "/events/e", "no event"]);
    add(brokers.ports[1], &all, 2, "b");
    add(brokers.ports[0], &all, 3, "c");
    brokers.same_data(&[0, 1], 3);
}

#[test]
fn without_a_quorum_the_answer_is_honest_and_the_data_stay() {
    let mut brokers = Brokers::start(3, 1);
    let all = brokers.clients(&[0]);
    add(brokers.ports[0], &all, 1, "a");
    brokers.cluster.kill_node(0);
    brokers.cluster.kill_node(1);
    let (code, body) = http(brokers.ports[0], "POST", "/addScore", &event(&all, 2, "b"));
    let answer: Value = serde_json::from_str(&body).unwrap();
    let outcome = answer["Outcome"].as_str().unwrap();
    assert!((code, outcome) == (503, "not done") || (code, outcome) == (504, "unknown"), "{code} {body}");
    assert_eq!(brokers.data(0).len(), 1);
    // The node that is left is one that shows nothing: that it was reached and why it refuses is the reason.
    brokers.cluster.kill_node(2);
    brokers.cluster.start_node(2);
    let (code, body) = http(brokers.ports[0], "POST", "/addScore", &event(&all, 2, "b"));
    assert!(code == 503 && body.contains("no leader with a quorum") && !body.contains("no server"), "{code} {body}");
    brokers.cluster.start_node(0);
    brokers.cluster.start_node(1);
    brokers.cluster.wait_until_whole();
    add(brokers.ports[0], &all, 2, "b");
    brokers.same_data(&[0], 2);
}

#[test]
fn a_broker_ends_in_order_and_its_znode_goes_at_once() {
    let mut brokers = Brokers::start(1, 2);
    let mut process = brokers.processes[1].take().unwrap();
    let pid = rustix::process::Pid::from_raw(i32::try_from(process.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(process.wait(), Some(0));
    assert_eq!(brokers.cluster.json(&["ls", "/brokers"]), json!([brokers.ports[0].to_string()]));
}
