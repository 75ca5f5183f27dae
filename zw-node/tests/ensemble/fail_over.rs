//! Leaders that die, followers that come back.

use crate::harness::Ensemble;
use zw_core::tree::command::CreateMode;

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
