//! Connections that break: what is sent again, what is unknown, and what a client never shows.

use super::script::{Server, closed_port, connect, data, options, within, zxid};
use std::time::Duration;
use zw_core::client::{Client, ClientError, ClientOptions};
use zw_core::tree::command::{Command, Reply, SetData, Stat};
use zw_core::wire::client::{Answer, Operation, Read, Request};

fn set(path: &str) -> Operation {
    Operation::Write(Command::SetData(SetData { path: path.into(), data: "x".into(), version: -1 }))
}

fn get(path: &str) -> Operation {
    Operation::Get(Read { path: path.into(), watch: false })
}

#[tokio::test]
async fn a_broken_connection_leaves_writes_unknown_and_sends_reads_again_in_order() {
    let (one, two) = (Server::start().await, Server::start().await);
    let (client, mut peer) = connect(&[&one, &two]).await;
    let first = client.send(get("/1"));
    let write = client.send(set("/w"));
    let second = client.send(get("/2"));
    peer.get("/1").await;
    assert!(matches!(peer.request().await.operation, Operation::Write(_)));
    peer.get("/2").await;
    drop(peer);
    let error = within(write).await.unwrap_err();
    assert!(matches!(&error, ClientError::OutcomeUnknown(why) if why.contains(&one.address)), "{error}");
    let mut peer = two.accept().await;
    let later = client.send(set("/later"));
    for path in ["/1", "/2"] {
        let id = peer.get(path).await;
        peer.answer(id, zxid(1), data(path)).await;
    }
    let Request { id, operation } = peer.request().await;
    assert_eq!(operation, set("/later"), "the unknown write is not sent again");
    peer.answer(id, zxid(2), Answer::Written(Reply::Stat(Stat::default()))).await;
    assert_eq!(within(first).await.unwrap().1, data("/1"));
    assert_eq!(within(second).await.unwrap().1, data("/2"));
    assert!(within(later).await.is_ok());
    assert_eq!(client.connected_to(), Some(two.address));
}

#[tokio::test]
async fn requests_that_wait_for_a_connection_time_out_with_each_server_named() {
    let (one, dead) = (Server::start().await, closed_port().await);
    let mut options = ClientOptions { request_timeout: Duration::from_millis(400), ..options(&[&one]) };
    options.servers.push(dead.clone());
    let (client, peer) = tokio::join!(Client::connect(options), one.accept());
    let client = client.unwrap();
    let address = one.address.clone();
    drop((one, peer));
    // The first calls may meet the connection as it breaks.
    let error = loop {
        match within(client.request(set("/a"))).await.unwrap_err() {
            ClientError::OutcomeUnknown(_) => {}
            error => break error,
        }
    };
    let ClientError::NotConnected { tried } = &error else { panic!("{error}") };
    for server in [&address, &dead] {
        assert!(tried.iter().any(|(name, _)| name == server), "{server} is missing in {error}");
    }
    assert!(error.outcome_is_known());
}

#[tokio::test]
async fn wrong_frames_break_the_connection_and_the_next_server_answers() {
    let oversized = u32::MAX.to_be_bytes().to_vec();
    let unknown = vec![0, 0, 0, 3, 99, 1, 0x90];
    let garbage = vec![0, 0, 0, 4, 4, 1, 0x93, 0xc1];
    let empty = vec![0, 0, 0, 0];
    let answer_to_nothing = vec![0, 0, 0, 6, 2, 1, 0x93, 77, 0, 0x90];
    for bytes in [oversized, unknown, garbage, empty, answer_to_nothing] {
        let (one, two) = (Server::start().await, Server::start().await);
        let (client, mut peer) = connect(&[&one, &two]).await;
        let read = client.send(get("/a"));
        let write = client.send(set("/a"));
        peer.get("/a").await;
        peer.request().await;
        peer.raw(&bytes).await;
        let error = within(write).await.unwrap_err();
        assert!(!error.outcome_is_known() && error.to_string().contains("not a ZooWeeper server"), "{error}");
        peer.closed().await;
        let mut peer = two.accept().await;
        let id = peer.get("/a").await;
        peer.answer(id, zxid(1), data("right")).await;
        assert_eq!(within(read).await.unwrap().1, data("right"));
    }
}

#[tokio::test]
async fn a_server_that_refuses_is_passed_over() {
    let (one, two) = (Server::start().await, Server::start().await);
    let client = Client::connect(options(&[&one, &two]));
    let script = async {
        one.refuse("shutting down").await;
        two.accept().await
    };
    let (client, _peer) = within(async { tokio::join!(client, script) }).await;
    assert_eq!(client.unwrap().connected_to(), Some(two.address));
}

#[tokio::test]
async fn a_server_that_does_not_greet_is_passed_over() {
    let (one, two) = (Server::start().await, Server::start().await);
    let options = ClientOptions { connect_timeout: Duration::from_millis(200), ..options(&[&one, &two]) };
    // The first server's port takes the connection, and nobody answers.
    let (client, _peer) = within(async { tokio::join!(Client::connect(options), two.accept()) }).await;
    assert_eq!(client.unwrap().connected_to(), Some(two.address));
}

#[tokio::test]
async fn a_server_behind_what_the_client_saw_must_catch_up_first() {
    let (one, two) = (Server::start().await, Server::start().await);
    let (client, mut peer) = connect(&[&one, &two]).await;
    let read = client.send(get("/a"));
    let id = peer.get("/a").await;
    peer.answer(id, zxid(50), data("new")).await;
    assert!(within(read).await.is_ok());
    drop(peer);
    let mut peer = two.accept().await;
    let read = client.send(get("/a"));
    for applied in [10, 49, 50] {
        let Request { id, operation } = peer.next().await;
        let root = Read { path: "/".into(), watch: false };
        assert_eq!(operation, Operation::Exists(root), "nothing else is asked of a server that is behind");
        peer.answer(id, zxid(applied), Answer::Stat(None)).await;
    }
    let id = peer.get("/a").await;
    peer.answer(id, zxid(50), data("still new")).await;
    assert_eq!(within(read).await.unwrap().1, data("still new"));
}
