//! Leaders that die, followers that come back.

use crate::harness::{Ensemble, PATIENCE};
use std::time::Instant;
use zw_core::client::{Client, ClientOptions, Connection};
use zw_core::limits::{CLIENT_WRITES_BYTES_MAX, ZNODE_DATA_BYTES_MAX};
use zw_core::tree::command::{Command, CreateMode, SetData};
use zw_core::wire::admin::NodeRole;
use zw_core::wire::client::{Answer, ErrorCode, Operation};

#[tokio::test]
async fn writes_go_on_after_the_leader_is_killed_and_it_catches_up() {
    let mut ensemble = Ensemble::start(3, &[]).await;
    let leader = ensemble.wait_for_leader().await;
    let client = ensemble.client().await;
    client.create("/goals", "", CreateMode::Persistent).await.unwrap();
    for goal in 0..50 {
        client.create(&format!("/goals/{goal}"), "before", CreateMode::Persistent).await.unwrap();
    }
    ensemble.kill(leader);
    let next = ensemble.wait_for_leader().await;
    assert_ne!(leader, next);
    let client = ensemble.client().await;
    for goal in 50..100 {
        client.create(&format!("/goals/{goal}"), "after", CreateMode::Persistent).await.unwrap();
    }
    assert_eq!(client.children("/goals").await.unwrap().len(), 100, "what was acknowledged is there");
    ensemble.start_node(leader);
    ensemble.wait_for_leader().await;
    let status = ensemble.wait_for_agreement().await;
    assert_eq!(status.znodes, 102);
}

#[tokio::test]
async fn a_node_that_missed_more_than_the_others_keep_gets_a_snapshot() {
    // Tiny limits: the others soon keep neither the log nor the entries that the missing node would need.
    let flags = ["--snapshot-interval-bytes", "20000", "--retained-log-bytes", "10000"];
    let mut ensemble = Ensemble::start(3, &flags).await;
    let leader = ensemble.wait_for_leader().await;
    let missing = (leader + 1) % 3;
    ensemble.kill(missing);
    let client = ensemble.client().await;
    client.create("/big", "", CreateMode::Persistent).await.unwrap();
    for number in 0..200 {
        client.create(&format!("/big/{number}"), vec![b'x'; 500], CreateMode::Persistent).await.unwrap();
    }
    ensemble.start_node(missing);
    ensemble.wait_for_leader().await;
    let status = ensemble.wait_for_agreement().await;
    assert_eq!(status.znodes, 202);
    let snapshots = std::fs::read_dir(ensemble.data(missing)).unwrap();
    let is_snapshot = |name: &str| name.ends_with(".snapshot");
    assert!(
        snapshots.flatten().any(|file| file.file_name().to_str().is_some_and(is_snapshot)),
        "it came as a file\n{}",
        ensemble.logs()
    );
    // What it installed is what it starts from.
    ensemble.kill(missing);
    client.create("/big/more", "", CreateMode::Persistent).await.unwrap();
    ensemble.start_node(missing);
    ensemble.wait_for_leader().await;
    assert_eq!(ensemble.wait_for_agreement().await.znodes, 203);
}

#[tokio::test]
async fn all_nodes_may_be_killed_at_once_and_what_was_acknowledged_is_there() {
    let mut ensemble = Ensemble::start(3, &[]).await;
    let client = ensemble.client().await;
    client.create("/kept", "", CreateMode::Persistent).await.unwrap();
    for number in 0..20 {
        client.create(&format!("/kept/{number}"), "", CreateMode::Persistent).await.unwrap();
    }
    drop(client);
    (0..3).for_each(|index| ensemble.kill(index));
    (0..3).for_each(|index| ensemble.start_node(index));
    ensemble.wait_for_leader().await;
    assert_eq!(ensemble.client().await.children("/kept").await.unwrap().len(), 20);
    assert_eq!(ensemble.wait_for_agreement().await.znodes, 22);
}

#[tokio::test]
async fn without_a_quorum_writes_are_refused_with_the_reason_and_reads_are_answered() {
    let mut ensemble = Ensemble::start(3, &[]).await;
    let client = ensemble.client().await;
    client.create("/a", "here", CreateMode::Persistent).await.unwrap();
    ensemble.wait_for_agreement().await;
    let leader = ensemble.wait_for_leader().await;
    let left = (leader + 1) % 3;
    ensemble.kill(leader);
    ensemble.kill((leader + 2) % 3);
    let client = ensemble.client_with(ClientOptions::to([&ensemble.addresses[left]])).await;
    let refused = client.set("/a", "gone", -1).await.unwrap_err();
    assert_eq!(refused.code(), Some(ErrorCode::NoQuorum), "{refused}");
    assert!(refused.outcome_is_known());
    assert!(refused.to_string().contains("no leader"), "it says why: {refused}");
    assert_eq!(client.get("/a").await.unwrap().0, "here");
    // Writes that wait are taken as soon as there is a quorum again.
    let waiting = client.set("/a", "back", -1);
    ensemble.start_node(leader);
    let (answer, _) = tokio::join!(waiting, ensemble.wait_for_leader());
    if let Err(error) = answer {
        assert_eq!(error.code(), Some(ErrorCode::NoQuorum), "the election took longer than the deadline: {error}");
    }
    client.set("/a", "again", -1).await.unwrap();
}

#[tokio::test]
async fn a_leader_that_is_asked_to_end_leaves_at_once() {
    let mut ensemble = Ensemble::start(3, &[]).await;
    let leader = ensemble.wait_for_leader().await;
    let client = ensemble.client().await;
    client.create("/a", "", CreateMode::Persistent).await.unwrap();
    let status = ensemble.terminate(leader).await;
    assert!(status.success(), "{status}\n{}", ensemble.logs());
    ensemble.wait_for_leader().await;
    client.set("/a", "on", -1).await.unwrap();
}

#[tokio::test]
async fn a_leader_that_was_stopped_finds_its_place_again() {
    let ensemble = Ensemble::start(3, &[]).await;
    let leader = ensemble.wait_for_leader().await;
    let others: Vec<usize> = (0..3).filter(|index| *index != leader).collect();
    ensemble.signal(leader, rustix::process::Signal::STOP);
    ensemble
        .wait_for("another leader", async |ensemble: &Ensemble| {
            for index in &others {
                let role = ensemble.status(*index).await.map(|status| status.role);
                if role == Some(NodeRole::Leader) {
                    return Some(());
                }
            }
            None
        })
        .await;
    let client = ensemble.client_with(ClientOptions::to(others.iter().map(|index| &ensemble.addresses[*index]))).await;
    client.create("/meanwhile", "", CreateMode::Persistent).await.unwrap();
    ensemble.signal(leader, rustix::process::Signal::CONT);
    ensemble.wait_for_leader().await;
    ensemble.wait_for_agreement().await;
    let old = ensemble.client_with(ClientOptions::to([&ensemble.addresses[leader]])).await;
    old.sync().await.unwrap();
    assert!(old.exists("/meanwhile").await.unwrap().is_some(), "a synced read is not of the past");
}

#[tokio::test]
async fn a_node_that_starts_without_a_quorum_does_not_show_its_past() {
    let mut ensemble = Ensemble::start(3, &[]).await;
    ensemble.client().await.create("/a", "", CreateMode::Persistent).await.unwrap();
    ensemble.wait_for_agreement().await;
    (0..3).for_each(|index| ensemble.kill(index));
    ensemble.start_node(0);
    let client = ensemble.client_with(ClientOptions::to([&ensemble.addresses[0]])).await;
    let refused = client.exists("/a").await.unwrap_err();
    assert_eq!(refused.code(), Some(ErrorCode::NoQuorum), "{refused}");
    ensemble.start_node(1);
    ensemble.wait_for_leader().await;
    assert!(client.exists("/a").await.unwrap().is_some());
}

#[tokio::test]
async fn a_node_that_was_in_no_quorum_since_its_start_refuses_in_time_and_says_why() {
    let mut ensemble = Ensemble::new(3, &[]);
    ensemble.start_node(0);
    ensemble.wait_for("the node to listen", async |ensemble: &Ensemble| ensemble.status(0).await).await;
    let server = ensemble.addresses[0].clone();
    let verbs: [&[&str]; 5] =
        [&["create", "/a", "x"], &["create", "-e", "/a", "x"], &["sync"], &["get", "/"], &["ls", "/"]];
    let asked = verbs.map(|verb| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_zw"));
        let command = command.env("ZW_SERVERS", &server).args(verb).stdin(std::process::Stdio::null());
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap()
    });
    for (asked, verb) in asked.into_iter().zip(verbs) {
        let output = asked.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{verb:?}: {said}");
        assert!(said.contains("no leader with a quorum within 3 s"), "{verb:?}: {said}");
    }
    // What comes together waits together: one after the other would be longer than the client waits.
    let client = Client::connect(ClientOptions::to([&server])).await.unwrap();
    let (root, read, write) = (client.get("/"), client.exists("/a"), client.set("/a", "y", -1));
    let (root, read, write, sync) = tokio::join!(root, read, write, client.sync());
    let refused = [root.map(drop), read.map(drop), write.map(drop), sync.map(drop)].map(Result::unwrap_err);
    for error in refused {
        assert_eq!(error.code(), Some(ErrorCode::NoQuorum), "{error}");
    }
    // The same connection serves once there is a quorum.
    ensemble.start_node(1);
    ensemble.wait_for_leader().await;
    client.create("/a", "", CreateMode::Persistent).await.unwrap();
    assert!(client.exists("/a").await.unwrap().is_some());
}

#[tokio::test]
async fn a_client_that_comes_again_holds_no_more_than_one_that_stays() {
    let mut ensemble = Ensemble::new(3, &[]);
    ensemble.start_node(0);
    ensemble.wait_for("the node to listen", async |ensemble: &Ensemble| ensemble.status(0).await).await;
    let set = || {
        let set = SetData { path: "/a".to_owned(), data: vec![7; ZNODE_DATA_BYTES_MAX].into(), version: -1 };
        Operation::Write(Command::SetData(set))
    };
    let open = async || Connection::open(&ensemble.addresses[0], PATIENCE).await.unwrap();
    let all_that_fit = CLIENT_WRITES_BYTES_MAX / ZNODE_DATA_BYTES_MAX - 1;
    // On a busy machine the first writes may be refused before the next connection comes: then it is done again.
    let since = Instant::now();
    loop {
        let mut first = open().await;
        for _ in 0..all_that_fit {
            first.send(set()).await.unwrap();
        }
        let taken = async |ensemble: &Ensemble| ensemble.status(0).await.filter(|status| status.queue > 0);
        ensemble.wait_for("the writes to be held", taken).await;
        drop(first);
        let left = async |ensemble: &Ensemble| ensemble.status(0).await.filter(|status| status.connections == 1);
        ensemble.wait_for("the connection to end", left).await;
        let mut second = open().await;
        for _ in 0..4 {
            second.send(set()).await.unwrap();
        }
        let mut codes = Vec::new();
        for _ in 0..4 {
            let Answer::Error(refused) = second.recv().await.unwrap().answer else { panic!("there is no leader") };
            codes.push(refused.code);
        }
        if codes.contains(&ErrorCode::Overloaded) {
            return;
        }
        assert!(since.elapsed() < PATIENCE, "the writes of a client that has left do not count: {codes:?}");
    }
}
