//! Sessions and what goes with them.

use crate::harness::Ensemble;
use std::time::Duration;
use zw_core::client::ClientOptions;
use zw_core::tree::command::{CreateMode, EventKind};

const LONG: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_session_outlives_its_node_with_its_ephemerals() {
    let mut ensemble = Ensemble::start(3, &[]).await;
    let options = ClientOptions::to(&ensemble.addresses).with_session(LONG);
    let client = ensemble.client_with(options).await;
    let session = client.session().expect("a session was asked for");
    let created = client.create("/mine", "", CreateMode::Ephemeral).await.unwrap();
    assert_eq!(created.stat.ephemeral_owner, session);
    let home = client.connected_to().unwrap();
    ensemble.kill(ensemble.addresses.iter().position(|address| *address == home).unwrap());
    let stat = client.exists("/mine").await.unwrap();
    assert_eq!(stat.map(|stat| stat.ephemeral_owner), Some(session), "{}", ensemble.logs());
    client.create("/mine-too", "", CreateMode::Ephemeral).await.unwrap();
    assert_eq!(client.session(), Some(session));
    // A session that is closed takes its ephemerals along, everywhere.
    let watcher = ensemble.client().await;
    let (_, watch) = watcher.exists_watch("/mine").await.unwrap();
    client.close().await.unwrap();
    assert_eq!(watch.fired().await.unwrap().kind, EventKind::Deleted);
    watcher.sync().await.unwrap();
    assert_eq!(watcher.children("/").await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn a_silent_session_expires_and_an_active_one_does_not() {
    let ensemble = Ensemble::start(3, &[]).await;
    let short = ClientOptions::to(&ensemble.addresses).with_session(Duration::from_secs(1));
    let active = ensemble.client_with(short).await;
    active.create("/active", "", CreateMode::Ephemeral).await.unwrap();
    let watcher = ensemble.client().await;
    let mut silent = Silent::open(&ensemble.addresses[0]).await;
    silent.create_ephemeral("/silent").await;
    watcher.sync().await.unwrap();
    let (found, watch) = watcher.exists_watch("/silent").await.unwrap();
    assert!(found.is_some());
    // It keeps its connection, but says nothing any more.
    assert_eq!(watch.fired().await.unwrap().kind, EventKind::Deleted, "{}", ensemble.logs());
    assert!(watcher.exists("/active").await.unwrap().is_some(), "signs of life count on every node");
    silent.expect_close().await;
}

#[tokio::test]
async fn a_node_that_is_cut_off_does_not_keep_a_session_in_the_belief_that_it_lives() {
    use zw_core::wire::admin::{Fault, FaultKind};
    use zw_core::wire::client::Operation;
    let ensemble = Ensemble::start(3, &["--allow-faults"]).await;
    let cut_off = (ensemble.wait_for_leader().await + 1) % 3;
    let mut silent = Silent::open(&ensemble.addresses[cut_off]).await;
    silent.create_ephemeral("/lock").await;
    let mut console = zw_core::client::Connection::open(&ensemble.addresses[cut_off], LONG).await.unwrap();
    let cut = Fault {
        kind: FaultKind::CutLink,
        peer: zw_core::ids::NodeId(0),
        delay_ms: 0,
        ttl_ms: 3_600_000,
        with_connection: true,
    };
    console.request(Operation::Fault(cut)).await.unwrap();
    silent.expect_close().await;
    assert!(console.status().await.is_ok(), "connections without a session stay");
}

/// A client that sends no signs of life.
struct Silent {
    connection: zw_core::client::Connection,
}

impl Silent {
    async fn open(address: &str) -> Silent {
        use zw_core::wire::client::{Connect, Operation};
        let mut connection = zw_core::client::Connection::open(address, LONG).await.unwrap();
        let connect = Connect {
            session: zw_core::ids::SessionId::NONE,
            secret: bytes::Bytes::new(),
            timeout_ms: 1_000,
            last_zxid: zw_core::ids::Zxid::ZERO,
        };
        connection.request(Operation::Connect(connect)).await.unwrap();
        Silent { connection }
    }

    async fn create_ephemeral(&mut self, path: &str) {
        use zw_core::tree::command::{Acl, Command, Create};
        use zw_core::wire::client::Operation;
        let create = Create {
            path: path.to_owned(),
            data: bytes::Bytes::new(),
            acl: Acl::open(),
            mode: CreateMode::Ephemeral,
            ttl_ms: 0,
        };
        self.connection.request(Operation::Write(Command::Create(create))).await.unwrap();
    }

    /// The node ends the connection of an expired session.
    async fn expect_close(mut self) {
        let ended = tokio::time::timeout(LONG, self.connection.recv()).await.expect("the node closes the connection");
        assert!(ended.is_err());
    }
}
