//! The client against real nodes that are killed, paused and cut off from their quorum.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

// The ensemble of processes is shared with the tests of the ensemble, which use other parts of it.
#[allow(dead_code)]
#[path = "../ensemble/harness.rs"]
mod harness;

use harness::{Ensemble, PATIENCE};
use rustix::process::Signal;
use std::time::Duration;
use tokio::time::timeout;
use zw_core::client::{Client, ClientError, ClientOptions};
use zw_core::ids::Zxid;
use zw_core::tree::command::{Command, CreateMode, EventKind, SetData};
use zw_core::wire::client::{Answer, ErrorCode, Operation, Read};

async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.expect("this did not happen in time")
}

/// A client that starts with the node `index`.
async fn client_of(ensemble: &Ensemble, index: usize, session: Option<Duration>) -> Client {
    let options = ClientOptions {
        prefer: Some(ensemble.addresses[index].clone()),
        session_timeout: session,
        ..ClientOptions::to(&ensemble.addresses)
    };
    ensemble.client_with(options).await
}

#[tokio::test]
async fn a_session_outlives_the_node_that_it_was_opened_on() {
    let mut ensemble = Ensemble::start(3, &[]).await;
    let client = client_of(&ensemble, 0, Some(Duration::from_secs(20))).await;
    let session = client.session().unwrap();
    client.create("/base", "", CreateMode::Persistent).await.unwrap();
    client.create("/base/mine", "", CreateMode::Ephemeral).await.unwrap();
    let mut unknown = 0;
    for round in 0..60 {
        if round == 20 {
            ensemble.kill(0);
        }
        // What is refused or unknown is told; what is acknowledged must be there below.
        match client.create(&format!("/base/{round:02}"), "", CreateMode::Persistent).await {
            Ok(created) => assert_eq!(created.stat.ephemeral_owner.0, 0),
            Err(error) if !error.outcome_is_known() => unknown += 1,
            Err(error) => panic!("{error}\n{}", ensemble.logs()),
        }
    }
    assert!(unknown <= 1, "one write at a time was under way");
    assert_ne!(client.connected_to().as_deref(), Some(ensemble.addresses[0].as_str()));
    assert_eq!(client.session(), Some(session));
    let children = client.children("/base").await.unwrap();
    assert!(children.len() >= 61 - unknown && children.contains(&"mine".to_owned()), "{children:?}");
    let stat = client.exists("/base/mine").await.unwrap().unwrap();
    assert_eq!(stat.ephemeral_owner, session);
    let other = client_of(&ensemble, 1, None).await;
    soon(client.close()).await.unwrap();
    other.sync().await.unwrap();
    assert_eq!(other.exists("/base/mine").await.unwrap(), None, "an ephemeral znode goes with its session");
}

#[tokio::test]
async fn a_client_that_is_gone_without_a_word_loses_its_session() {
    let ensemble = Ensemble::start(1, &[]).await;
    let client = client_of(&ensemble, 0, Some(Duration::from_secs(1))).await;
    client.create("/mine", "", CreateMode::Ephemeral).await.unwrap();
    let other = client_of(&ensemble, 0, None).await;
    let (stat, watch) = other.exists_watch("/mine").await.unwrap();
    assert!(stat.is_some());
    drop(client);
    assert_eq!(soon(watch.fired()).await.unwrap().kind, EventKind::Deleted);
}

#[tokio::test]
async fn a_paused_node_is_left_and_reads_never_go_back() {
    let ensemble = Ensemble::start(3, &[]).await;
    let follower = (ensemble.wait_for_leader().await + 1) % 3;
    let client = client_of(&ensemble, follower, Some(Duration::from_secs(3))).await;
    client.create("/counter", "0", CreateMode::Persistent).await.unwrap();
    let mut latest = Zxid::ZERO;
    let mut highest = 0;
    for round in 1..=40_u32 {
        if round == 20 {
            ensemble.signal(follower, Signal::STOP);
        }
        match client.set("/counter", round.to_string(), -1).await {
            Ok(stat) => highest = u32::try_from(stat.version).unwrap(),
            Err(error) => assert!(!error.outcome_is_known(), "{error}\n{}", ensemble.logs()),
        }
        let read = Operation::Get(Read { path: "/counter".into(), watch: false });
        let (zxid, answer) = client.request(read).await.unwrap();
        let Answer::Data(data) = answer else { panic!("not data: {answer:?}") };
        assert!(zxid >= latest, "{zxid} after {latest}");
        let version = u32::try_from(data.stat.version).unwrap();
        assert!(version >= highest, "version {version} after {highest}");
        (latest, highest) = (zxid, version);
    }
    ensemble.signal(follower, Signal::CONT);
    assert_ne!(client.connected_to().as_deref(), Some(ensemble.addresses[follower].as_str()));
}

#[tokio::test]
async fn watches_fire_for_what_happened_while_there_was_no_connection() {
    let mut ensemble = Ensemble::start(3, &[]).await;
    let watcher = client_of(&ensemble, 0, None).await;
    let writer = client_of(&ensemble, 1, None).await;
    for path in ["/data", "/gone", "/parent", "/quiet"] {
        writer.create(path, "", CreateMode::Persistent).await.unwrap();
    }
    watcher.sync().await.unwrap();
    let (_, _, data) = watcher.get_watch("/data").await.unwrap();
    let (_, gone) = watcher.exists_watch("/gone").await.unwrap();
    let (_, children) = watcher.children_watch("/parent").await.unwrap();
    let (_, created) = watcher.exists_watch("/new").await.unwrap();
    let (_, _, quiet) = watcher.get_watch("/quiet").await.unwrap();
    let mut all = watcher.add_watch("/", true).await.unwrap();
    ensemble.kill(0);
    let changes = async {
        writer.set("/data", "changed", -1).await?;
        writer.delete("/gone", -1).await?;
        writer.create("/parent/child", "", CreateMode::Persistent).await?;
        writer.create("/new", "", CreateMode::Persistent).await
    };
    soon(changes).await.unwrap();
    assert_eq!(soon(data.fired()).await.unwrap().kind, EventKind::DataChanged);
    assert_eq!(soon(gone.fired()).await.unwrap().kind, EventKind::Deleted);
    assert_eq!(soon(children.fired()).await.unwrap().kind, EventKind::ChildrenChanged);
    assert_eq!(soon(created.fired()).await.unwrap().kind, EventKind::Created);
    // The stream is told that it may have missed something.
    while !matches!(soon(all.next()).await.unwrap(), gap if gap.kind == EventKind::ChildrenChanged && gap.path == "/") {
    }
    writer.set("/quiet", "changed", -1).await.unwrap();
    let event = soon(quiet.fired()).await.unwrap();
    assert_eq!((event.kind, event.path.as_str()), (EventKind::DataChanged, "/quiet"));
    while soon(all.next()).await.unwrap() != event {}
}

#[tokio::test]
async fn a_node_without_a_quorum_answers_reads_and_refuses_writes() {
    let mut ensemble = Ensemble::start(3, &[]).await;
    let leader = ensemble.wait_for_leader().await;
    let writer = client_of(&ensemble, leader, None).await;
    writer.create("/a", "kept", CreateMode::Persistent).await.unwrap();
    ensemble.wait_for_agreement().await;
    let last = (leader + 1) % 3;
    let reader = client_of(&ensemble, last, None).await;
    for index in (0..3).filter(|index| *index != last) {
        ensemble.kill(index);
    }
    let refused = soon(async {
        loop {
            // The first ones may have been on their way to the leader when it died.
            match reader.set("/a", "lost", -1).await.unwrap_err() {
                ClientError::OutcomeUnknown(_) => {}
                error => break error,
            }
        }
    })
    .await;
    assert_eq!(refused.code(), Some(ErrorCode::NoQuorum), "{refused}");
    let (data, _) = soon(reader.get("/a")).await.unwrap();
    assert!(data == "kept" || data == "lost", "{data:?}");
    assert_eq!(reader.connected_to().as_deref(), Some(ensemble.addresses[last].as_str()));
}

#[tokio::test]
async fn ten_thousand_writes_in_flight_keep_their_order() {
    let ensemble = Ensemble::start(3, &[]).await;
    let client = client_of(&ensemble, 0, None).await;
    client.create("/a", "", CreateMode::Persistent).await.unwrap();
    let set = |round: i32| {
        let set = SetData { path: "/a".into(), data: round.to_string().into(), version: round };
        client.send(Operation::Write(Command::SetData(set)))
    };
    // Each expects the version that the one before it leaves: one out of order would be refused.
    let sent: Vec<_> = (0..10_000).map(set).collect();
    for (round, answer) in sent.into_iter().enumerate() {
        if let Err(error) = soon(answer).await {
            panic!("write {round}: {error}\n{}", ensemble.logs());
        }
    }
    assert_eq!(client.get("/a").await.unwrap().0, "9999");
}
