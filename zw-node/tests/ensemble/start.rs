//! How nodes start, and what stops them: wrong flags, wrong directories, wrong peers, garbage.

use crate::harness::{Ensemble, free_ports, node_command};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};
use zw_core::client::Connection;
use zw_core::tree::command::CreateMode;
use zw_core::wire::admin::Status;

const PATIENCE: Duration = Duration::from_secs(30);

/// Runs a node that should not start; gives the one line that it says why.
fn refusal(arguments: &[&str]) -> String {
    let output = node_command().args(arguments).stdin(Stdio::null()).output().unwrap();
    assert!(!output.status.success(), "{arguments:?} was accepted");
    assert!(output.stdout.is_empty(), "it never listened");
    let stderr = String::from_utf8(output.stderr).unwrap();
    stderr.lines().last().unwrap_or_default().to_owned()
}

#[test]
fn a_node_that_cannot_start_says_why_in_one_line() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().to_str().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let refused = refusal(&["--port", &port, "--data", data]);
    assert!(refused.contains(&port) && refused.contains("choose another with --port"), "{refused}");
    let list = "127.0.0.1:1,127.0.0.1:2";
    let refused = refusal(&["--port", "3", "--ensemble", list, "--data", data]);
    assert!(refused.contains("--ensemble"), "{refused}");
    let refused = refusal(&["--log-level", "zw=loud", "--data", data]);
    assert!(refused.contains("--log-level"), "{refused}");
    let output = node_command().arg("--nonsense").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[tokio::test]
async fn a_data_directory_belongs_to_one_process_of_one_node() {
    let mut ensemble = Ensemble::start(1, &[]).await;
    let port = free_ports(1)[0].to_string();
    let data = ensemble.data(0);
    let refused = refusal(&["--port", &port, "--data", data.to_str().unwrap()]);
    assert!(refused.contains("in use by another process"), "{refused}");
    assert!(ensemble.terminate(0).await.success());
    let refused = refusal(&["--port", &port, "--data", data.to_str().unwrap()]);
    assert!(refused.contains("this is the log of node 1"), "{refused}");
}

#[tokio::test]
async fn a_damaged_log_is_not_started_with() {
    let mut ensemble = Ensemble::start(1, &[]).await;
    let client = ensemble.client().await;
    for number in 0..10 {
        client.create(&format!("/{number}"), vec![7; 1_000], CreateMode::Persistent).await.unwrap();
    }
    assert!(ensemble.terminate(0).await.success());
    let segment = ensemble.data(0).join("0000000000000001.wal");
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes[3_000] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    let port = ensemble.addresses[0].rsplit(':').next().unwrap().to_owned();
    let refused = refusal(&["--port", &port, "--data", ensemble.data(0).to_str().unwrap()]);
    assert!(refused.contains("0000000000000001.wal") && refused.contains("move the directory away"), "{refused}");
}

#[tokio::test]
async fn a_peer_with_another_list_of_members_is_refused_with_both_lists() {
    let ports = free_ports(3);
    let address = |index: usize| format!("127.0.0.1:{}", ports[index]);
    let lists = [format!("{},{}", address(0), address(1)), format!("{},{},{}", address(0), address(1), address(2))];
    let directory = tempfile::tempdir().unwrap();
    let mut nodes: Vec<(Child, BufReader<std::process::ChildStderr>)> = Vec::new();
    for (index, list) in lists.iter().enumerate() {
        let mut child = node_command()
            .args(["--port", &ports[index].to_string(), "--ensemble", list, "--data"])
            .arg(directory.path().join(index.to_string()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        nodes.push((child, stderr));
    }
    // Both say so; a test that fails here waits for a line that never comes, and the runner's limit ends it.
    for (child, stderr) in &mut nodes {
        let said = stderr.lines().map_while(Result::ok).find(|line| line.contains("the lists of members differ"));
        let said = said.expect("it says what is wrong");
        assert!(lists.iter().all(|list| said.contains(list.as_str())), "{said}");
        assert!(child.try_wait().unwrap().is_none(), "it goes on, so that the other one can be put right");
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

#[tokio::test]
async fn different_lists_are_told_once_at_both_ends_whoever_dials_whom() {
    let ports = free_ports(3);
    let [a, b, c] = [0, 1, 2].map(|index| format!("127.0.0.1:{}", ports[index]));
    // In the first pair each waits to be dialled by the other; in the second the upper one is no member of the lower's.
    let pairs = [[(0, a.clone()), (1, format!("{a},{b}"))], [(1, format!("{a},{b}")), (2, format!("{a},{b},{c}"))]];
    for lists in pairs {
        let directory = tempfile::tempdir().unwrap();
        let log = |port: u16| directory.path().join(format!("log-{port}"));
        let mut children: Vec<Child> = Vec::new();
        for (index, list) in &lists {
            let child = node_command()
                .args(["--port", &ports[*index].to_string(), "--ensemble", list, "--data"])
                .arg(directory.path().join(index.to_string()))
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(std::fs::File::create(log(ports[*index])).unwrap())
                .spawn()
                .unwrap();
            children.push(child);
        }
        // Several attempts later.
        let upper = format!("127.0.0.1:{}", ports[lists[1].0]);
        let status = status_when(&upper, |status| {
            status.uptime_ms > 3_500
                && status.peers.iter().any(|peer| peer.problem.contains("the lists of members differ"))
        });
        let status = status.await;
        for (index, _) in &lists {
            let text = std::fs::read_to_string(log(ports[*index])).unwrap();
            let said: Vec<&str> = text.lines().filter(|line| line.contains("the lists of members differ")).collect();
            assert_eq!(said.len(), 1, "{text}");
            assert!(
                said[0].contains("ERROR") && said[0].contains("start all members with the same list"),
                "{}",
                said[0]
            );
            assert!(lists.iter().all(|(_, list)| said[0].contains(&format!("--ensemble {list}"))), "{}", said[0]);
        }
        let peer = status.peers.iter().find(|peer| !peer.problem.is_empty()).unwrap();
        assert!(!peer.connected);
        for verb in [&["status"][..], &["check"], &["get", "/"], &["create", "/x"]] {
            let zw =
                std::process::Command::new(env!("CARGO_BIN_EXE_zw")).args(["--servers", &upper]).args(verb).output();
            let zw = zw.unwrap();
            let shown = format!("{}{}", String::from_utf8_lossy(&zw.stdout), String::from_utf8_lossy(&zw.stderr));
            assert_eq!(shown.matches(&peer.problem).count(), 1, "{verb:?}: {shown}");
        }
        for mut child in children {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

async fn status_when(address: &str, is_so: impl Fn(&Status) -> bool) -> Status {
    let since = Instant::now();
    loop {
        if let Ok(mut connection) = Connection::open(address, Duration::from_secs(2)).await
            && let Ok(status) = connection.status().await
        {
            if is_so(&status) {
                return status;
            }
            assert!(since.elapsed() < PATIENCE, "{status:?}");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn garbage_ends_its_connection_and_nothing_else() {
    let ensemble = Ensemble::start(1, &[]).await;
    let hello = {
        use zw_core::wire::hello::{Greeting, Hello, PROTOCOL_VERSION, Purpose};
        let mut bytes = Vec::new();
        let hello = Hello {
            version: PROTOCOL_VERSION,
            purpose: Purpose::Client,
            node: zw_core::ids::NodeId(0),
            ensemble: String::new(),
            zxid: zw_core::ids::Zxid::ZERO,
        };
        zw_core::wire::frame::append(&mut bytes, |out| Greeting::Hello(hello).encode_frame(out));
        bytes
    };
    let deep = {
        // A request whose body nests ten thousand arrays.
        let mut bytes = vec![3, 1, 0x92, 1];
        bytes.extend(std::iter::repeat_n(0x91, 10_000));
        let mut frame = (bytes.len() as u32).to_be_bytes().to_vec();
        frame.append(&mut bytes);
        frame
    };
    let garbage: [Vec<u8>; 9] = [
        vec![0xff; 64],
        vec![0, 0, 0, 5, 0x5a, 1, 0xc1, 0, 0],
        vec![0, 0, 0, 44, 0, 0, 0, 0],
        b"ruok".to_vec(),
        b"GET \x00\x01\x02\r\n\r\n".to_vec(),
        [&hello[..], &[0xff, 0xff, 0xff, 0xff]].concat(),
        [&hello[..], &[0, 0, 0, 2, 99, 1]].concat(),
        [&hello[..], &deep].concat(),
        [0, 0, 0, 16].to_vec(),
    ];
    for bytes in garbage {
        let mut socket = TcpStream::connect(&ensemble.addresses[0]).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.write_all(&bytes).unwrap();
        // The node may have closed already.
        let _ = socket.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let ended = socket.read_to_end(&mut answer);
        let is_timeout = ended.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock);
        assert!(!is_timeout, "the connection of {bytes:02x?} stays open");
    }
    let client = ensemble.client().await;
    client.create("/alive", "", CreateMode::Persistent).await.unwrap();
}

#[test]
fn a_node_says_where_it_listens_and_ends_with_its_parent() {
    let directory = tempfile::tempdir().unwrap();
    let port = free_ports(1)[0];
    let mut child = node_command()
        .args(["--port", &port.to_string(), "--die-with-parent", "--data"])
        .arg(directory.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, format!("listening on 127.0.0.1:{port}\n"));
    drop(child.stdin.take());
    child.wait().unwrap();
}
