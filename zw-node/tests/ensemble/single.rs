//! One node alone.

use crate::harness::Ensemble;
use zw_core::tree::command::CreateMode;
use zw_core::wire::client::ErrorCode;

#[tokio::test]
async fn a_single_node_writes_reads_and_keeps_what_it_has() {
    let mut ensemble = Ensemble::start(1, &[]).await;
    let client = ensemble.client().await;
    client.create("/a", "one", CreateMode::Persistent).await.unwrap();
    let created = client.create("/a/n-", "", CreateMode::PersistentSequential).await.unwrap();
    assert_eq!(created.path, "/a/n-0000000000");
    client.set("/a", "two", 0).await.unwrap();
    let stale = client.set("/a", "three", 0).await.unwrap_err();
    assert_eq!(stale.code(), Some(ErrorCode::BadVersion));
    let missing = client.delete("/none", -1).await.unwrap_err();
    assert_eq!(missing.code(), Some(ErrorCode::NoNode));

    let status = ensemble.terminate(0).await;
    assert!(status.success(), "a graceful stop is a success: {status}\n{}", ensemble.logs());
    ensemble.start_node(0);
    let client = ensemble.client().await;
    let (data, stat) = client.get("/a").await.unwrap();
    assert_eq!((&data[..], stat.version, stat.num_children), (&b"two"[..], 1, 1));
    ensemble.kill(0);
    ensemble.start_node(0);
    assert_eq!(ensemble.client().await.children("/a").await.unwrap(), ["n-0000000000"]);
}
