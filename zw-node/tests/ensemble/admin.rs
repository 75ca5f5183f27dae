//! What a node says about itself, and faults on request.

use crate::harness::Ensemble;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;
use zw_core::client::{ClientOptions, Connection};
use zw_core::ids::{NodeId, Zxid};
use zw_core::limits::TRACE_SUBSCRIBERS_MAX;
use zw_core::tree::command::CreateMode;
use zw_core::wire::admin::{Fault, FaultKind, NodeRole, TraceEvent, TraceKind, TraceStart};
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
    let client = ensemble.client_with(ClientOptions::to([&ensemble.addresses[next]])).await;
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
    trace.request(Operation::TraceStart(TraceStart { from: 1, rare_only: false })).await.unwrap();
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

/// Reads a subscription until `is_enough` of all that it gave.
async fn trace_until(trace: &mut Connection, is_enough: impl Fn(&[TraceEvent]) -> bool) -> Vec<TraceEvent> {
    let mut events = Vec::new();
    while !is_enough(&events) {
        let response = tokio::time::timeout(PATIENCE, trace.recv()).await;
        let response = response.unwrap_or_else(|_| panic!("not enough in {events:#?}")).unwrap();
        if let Answer::Trace(batch) = response.answer {
            events.extend(batch.events);
        }
    }
    events
}

#[tokio::test]
async fn the_traces_tell_the_way_of_a_write_through_a_follower() {
    let ensemble = Ensemble::start(3, &[]).await;
    let leader = ensemble.wait_for_leader().await;
    let follower = (leader + 1) % 3;
    let ids = [leader, follower].map(|index| NodeId(u16::try_from(index + 1).unwrap()));
    let client = ensemble.client_with(ClientOptions::to([&ensemble.addresses[follower]])).await;
    let mut traces = Vec::new();
    for index in [leader, follower] {
        let mut trace = Connection::open(&ensemble.addresses[index], PATIENCE).await.unwrap();
        trace.request(Operation::TraceStart(TraceStart { from: 0, rare_only: false })).await.unwrap();
        traces.push(trace);
    }
    client.create("/a", "", CreateMode::Persistent).await.unwrap();
    let there = trace_until(&mut traces[1], |events| events.iter().any(|event| event.kind == TraceKind::Written)).await;
    let find = |events: &[TraceEvent], kind: TraceKind, is_it: &dyn Fn(&TraceEvent) -> bool| -> TraceEvent {
        let found = events.iter().find(|event| event.kind == kind && is_it(event));
        found.unwrap_or_else(|| panic!("no {kind:?} in {events:#?}")).clone()
    };
    let write = find(&there, TraceKind::Write, &|event| event.text == "create /a");
    let written = find(&there, TraceKind::Written, &|event| event.number == write.number);
    assert_eq!(written.text, "");
    let zxid = written.zxid;
    let here = trace_until(&mut traces[0], |events| {
        let is_told = |event: &TraceEvent| event.kind == TraceKind::CommitSent && event.zxid >= zxid;
        events.iter().any(|event| is_told(event) && event.peer == ids[1])
    })
    .await;
    let way = [
        write.clone(),
        find(&there, TraceKind::Forward, &|event| event.peer == ids[0] && event.number >= write.number),
        find(&here, TraceKind::ForwardReceived, &|event| event.peer == ids[1] && event.number >= write.number),
        find(&here, TraceKind::Proposed, &|event| {
            (event.peer, event.number, event.zxid) == (ids[1], write.number, zxid)
        }),
        find(&here, TraceKind::ProposalSent, &|event| event.peer == ids[1] && event.zxid >= zxid),
        find(&there, TraceKind::ProposalReceived, &|event| event.peer == ids[0] && event.zxid >= zxid),
        find(&there, TraceKind::AckSent, &|event| event.zxid >= zxid),
        find(&here, TraceKind::AckReceived, &|event| event.peer == ids[1] && event.zxid >= zxid),
    ];
    for pair in way.windows(2) {
        assert!(pair[0].monotonic_ns <= pair[1].monotonic_ns, "{pair:#?} are out of order");
    }
    let commit = find(&here, TraceKind::Commit, &|event| event.zxid >= zxid);
    let told = find(&here, TraceKind::CommitSent, &|event| event.peer == ids[1] && event.zxid >= zxid);
    let heard = find(&there, TraceKind::CommitReceived, &|event| event.zxid >= zxid);
    assert!(commit.monotonic_ns <= told.monotonic_ns && told.monotonic_ns <= heard.monotonic_ns);
    find(&here, TraceKind::Durable, &|event| event.zxid >= zxid);
}

#[tokio::test]
async fn the_trace_tells_why_a_leader_was_lost_and_how_votes_went() {
    let mut ensemble = Ensemble::start(3, &[]).await;
    let leader = ensemble.wait_for_leader().await;
    let survivor = (leader + 1) % 3;
    let mut trace = Connection::open(&ensemble.addresses[survivor], PATIENCE).await.unwrap();
    trace.request(Operation::TraceStart(TraceStart { from: 0, rare_only: true })).await.unwrap();
    ensemble.kill(leader);
    let is_over =
        |event: &TraceEvent| event.kind == TraceKind::Role && ["leader", "follower"].contains(&event.text.as_str());
    let events = trace_until(&mut trace, |events| events.iter().any(is_over)).await;
    assert!(events.iter().all(|event| !event.kind.is_frequent()), "{events:#?}");
    let lost = events.iter().find(|event| event.kind == TraceKind::Lost).unwrap();
    assert_eq!(usize::from(lost.peer.0), leader + 1);
    assert!(!lost.text.is_empty());
    let kinds: Vec<TraceKind> = events.iter().map(|event| event.kind).collect();
    for kind in [TraceKind::Link, TraceKind::Role, TraceKind::Vote, TraceKind::VoteReceived] {
        assert!(kinds.contains(&kind), "no {kind:?} in {events:#?}");
    }
}

#[tokio::test]
async fn a_trace_has_so_many_readers_and_ends_with_the_connection() {
    let ensemble = Ensemble::start(1, &[]).await;
    ensemble.wait_for_leader().await;
    let subscribe = async || {
        let mut trace = Connection::open(&ensemble.addresses[0], PATIENCE).await.unwrap();
        let start = TraceStart { from: 1, rare_only: false };
        trace.request(Operation::TraceStart(start)).await.map(|_| trace)
    };
    let before = ensemble.status(0).await.unwrap();
    let mut readers = Vec::new();
    for _ in 0..TRACE_SUBSCRIBERS_MAX {
        readers.push(subscribe().await.unwrap());
    }
    let refused = subscribe().await.unwrap_err();
    assert_eq!(refused.code(), Some(ErrorCode::Overloaded));
    // Asking anew on the same connection takes no second place.
    let again = TraceStart { from: 0, rare_only: true };
    readers[0].request(Operation::TraceStart(again)).await.unwrap();
    let after = ensemble.status(0).await.unwrap();
    assert_eq!((before.last_zxid, before.sessions, before.digest), (after.last_zxid, after.sessions, after.digest));
    readers.pop();
    ensemble.wait_for("a free place", async |_: &Ensemble| subscribe().await.ok()).await;
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
