//! Leaders that die, followers that come back.

use crate::harness::Ensemble;
use zw_core::client::ClientOptions;
use zw_core::tree::command::CreateMode;
use zw_core::wire::admin::NodeRole;
use zw_core::wire::client::ErrorCode;

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
