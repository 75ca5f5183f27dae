//! What a node says about itself, and faults on request.

use crate::harness::Ensemble;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;
use zw_core::client::Connection;
use zw_core::ids::{NodeId, Zxid};
use zw_core::tree::command::CreateMode;
use zw_core::wire::admin::{Fault, FaultKind, NodeRole, TraceKind, TraceStart};
use zw_core::wire::client::{Answer, ErrorCode, Operation, Ping};

const PATIENCE: Duration = Duration::from_secs(30);

fn http(address: &str, request: &str) -> String {
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(socket, "{request} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    answer
}

#[tokio::test]
async fn http_tells_status_health_metrics_and_metadata() {
    let ensemble = Ensemble::start(3, &[]).await;
    let leader = ensemble.wait_for_leader().await;
    let client = ensemble.client().await;
    client.create("/clients", "", CreateMode::Persistent).await.unwrap();
    client.create("/clients/9090", "", CreateMode::Persistent).await.unwrap();
    let row = r#"{"SenderIp":"9090","ReceiverIp":"8080","Clients":"9090","Version":0,"Timestamp":"now"}"#;
    client.create("/clients/9090/v0000000000", row, CreateMode::Persistent).await.unwrap();
    ensemble.wait_for_agreement().await;
    for (index, address) in ensemble.addresses.iter().enumerate() {
        let port = |index: usize| ensemble.addresses[index].rsplit(':').next().unwrap();
        let metadata = http(address, "GET /metadata");
        assert!(metadata.contains(&format!("\"NodePort\":\"{}\"", port(index))), "{metadata}");
        assert!(metadata.contains(&format!("\"Leader\":\"{}\"", port(leader))), "{metadata}");
        assert!(metadata.contains("\"SenderIp\":\"9090\""), "{metadata}");
        let role = if index == leader { "leader" } else { "follower" };
        assert!(http(address, "GET /status").contains(&format!("\"role\": \"{role}\"")));
        assert!(http(address, "GET /health").starts_with("HTTP/1.1 200"));
        assert!(http(address, "GET /metrics").contains("zooweeper_znodes 4"));
        assert!(http(address, "GET /nothing").starts_with("HTTP/1.1 404"));
        assert!(http(address, "POST /metadata").starts_with("HTTP/1.1 405"));
        assert!(!http(address, "HEAD /status").contains("znodes"), "HEAD has no body");
    }
}

#[tokio::test]
async fn a_cut_leader_is_replaced_and_the_lease_heals_the_link() {
    let ensemble = Ensemble::start(3, &["--allow-faults"]).await;
    let leader = ensemble.wait_for_leader().await;
    let client = ensemble.client().await;
    client.create("/a", "", CreateMode::Persistent).await.unwrap();
    let mut console = Connection::open(&ensemble.addresses[leader], PATIENCE).await.unwrap();
    let cut = |ttl_ms| {
        Operation::Fault(Fault {
            kind: FaultKind::CutLink,
            peer: NodeId(0),
            delay_ms: 0,
            ttl_ms,
            with_connection: true,
        })
    };
    console.request(cut(3_600_000)).await.unwrap();
    assert_eq!(console.status().await.unwrap().faults.len(), 1);
    let next = ensemble
        .wait_for("another leader", async |ensemble: &Ensemble| {
            for index in (0..3).filter(|index| *index != leader) {
                if ensemble.status(index).await?.role == NodeRole::Leader {
                    return Some(index);
                }
            }
            None
        })
        .await;
    let status = ensemble.status(leader).await.unwrap();
    assert!(status.peers.iter().all(|peer| !peer.connected), "a cut link shows as one");
    let client = ensemble.client_with(zw_core::client::ClientOptions::to([&ensemble.addresses[next]])).await;
    client.set("/a", "without it", -1).await.unwrap();
    // The console is gone, so the fault is too.
    drop(console);
    ensemble.wait_for_leader().await;
    ensemble.wait_for_agreement().await;
}

#[tokio::test]
async fn faults_are_refused_unless_they_were_allowed() {
    let ensemble = Ensemble::start(1, &[]).await;
    let mut connection = Connection::open(&ensemble.addresses[0], PATIENCE).await.unwrap();
    let fault =
        Fault { kind: FaultKind::SlowDisk, peer: NodeId(0), delay_ms: 1, ttl_ms: 1_000, with_connection: false };
    let refused = connection.request(Operation::Fault(fault)).await.unwrap_err();
    assert_eq!(refused.code(), Some(ErrorCode::NotAllowed));
    assert!(refused.to_string().contains("--allow-faults"));
}

#[tokio::test]
async fn the_trace_tells_what_happens_while_somebody_looks() {
    let ensemble = Ensemble::start(3, &[]).await;
    let leader = ensemble.wait_for_leader().await;
    let mut trace = Connection::open(&ensemble.addresses[leader], PATIENCE).await.unwrap();
    trace.request(Operation::TraceStart(TraceStart { from: 1 })).await.unwrap();
    let client = ensemble.client().await;
    client.create("/a", "", CreateMode::Persistent).await.unwrap();
    let mut missing = vec![
        TraceKind::Role,
        TraceKind::Fsync,
        TraceKind::ProposalSent,
        TraceKind::AckReceived,
        TraceKind::Commit,
        TraceKind::Apply,
    ];
    let mut last = 0;
    while !missing.is_empty() {
        let response = tokio::time::timeout(PATIENCE, trace.recv()).await;
        let response = response.unwrap_or_else(|_| panic!("no {missing:?} in the trace")).unwrap();
        let Answer::Trace(batch) = response.answer else { continue };
        for event in batch.events {
            assert!(event.sequence > last, "events are counted");
            last = event.sequence;
            missing.retain(|kind| *kind != event.kind);
        }
    }
}

#[tokio::test]
async fn a_snapshot_on_request_and_digests_that_agree() {
    let ensemble = Ensemble::start(3, &[]).await;
    let client = ensemble.client().await;
    client.create("/a", "", CreateMode::Persistent).await.unwrap();
    client.create("/a/b", "x", CreateMode::Persistent).await.unwrap();
    let status = ensemble.wait_for_agreement().await;
    let mut digests = Vec::new();
    for address in &ensemble.addresses {
        let mut connection = Connection::open(address, PATIENCE).await.unwrap();
        let (_, Answer::Digest(own)) = connection.request(Operation::DigestAt(Zxid::ZERO)).await.unwrap() else {
            panic!("no digest")
        };
        assert_eq!((own.zxid, own.digest), (status.applied_zxid, status.digest));
        let subtree = Operation::SubtreeDigest(zw_core::wire::client::Read { path: "/a".into(), watch: false });
        let (_, Answer::Digest(subtree)) = connection.request(subtree).await.unwrap() else { panic!("no digest") };
        assert_eq!(subtree.znodes, 2);
        digests.push(subtree.digest);
        let (_, Answer::Snapshot(snapshot)) = connection.request(Operation::Snapshot(Ping)).await.unwrap() else {
            panic!("no snapshot")
        };
        assert_eq!(snapshot.zxid, status.applied_zxid);
    }
    assert!(digests.windows(2).all(|pair| pair[0] == pair[1]));
}
