//! Sessions: kept over connections, shown alive, ended.

use super::script::{Server, connect_session, data, refusal, within, zxid};
use std::time::Duration;
use zw_core::client::ClientError;
use zw_core::ids::SessionId;
use zw_core::tree::command::{CloseSession, Command, Done, Reply};
use zw_core::wire::client::{Answer, ErrorCode, Operation, Ping, Read, Request};

const LONG: Duration = Duration::from_secs(60);

fn get(path: &str) -> Operation {
    Operation::Get(Read { path: path.into(), watch: false })
}

#[tokio::test]
async fn a_new_connection_attaches_to_the_same_session() {
    let (one, two) = (Server::start().await, Server::start().await);
    let (client, mut peer) = connect_session(&[&one, &two], 5, LONG).await;
    assert_eq!(client.session(), Some(SessionId(5)));
    let read = client.send(get("/a"));
    let id = peer.get("/a").await;
    peer.answer(id, zxid(9), data("a")).await;
    assert!(within(read).await.is_ok());
    drop(peer);
    let (mut peer, connect) = two.accept_session(5, LONG).await;
    assert_eq!((connect.session, &connect.secret[..], connect.last_zxid), (SessionId(5), &b"the secret"[..], zxid(9)));
    let read = client.send(get("/b"));
    let id = peer.get("/b").await;
    peer.answer(id, zxid(9), data("b")).await;
    assert_eq!(within(read).await.unwrap().1, data("b"));
    assert_eq!(client.session(), Some(SessionId(5)));
}

#[tokio::test]
async fn an_expired_session_is_told_to_all() {
    let (one, two) = (Server::start().await, Server::start().await);
    let (client, mut peer) = connect_session(&[&one, &two], 5, LONG).await;
    let (watched, mut stream) = {
        let script = async {
            let id = peer.get("/a").await;
            peer.answer(id, zxid(1), data("a")).await;
            let id = peer.request().await.id;
            peer.answer(id, zxid(1), Answer::Done(Ping)).await;
        };
        let calls = async { (client.get_watch("/a").await.unwrap().2, client.add_watch("/", true).await.unwrap()) };
        within(async { tokio::join!(calls, script).0 }).await
    };
    let waiting = client.send(get("/b"));
    peer.get("/b").await;
    drop(peer);
    let mut peer = two.accept().await;
    let id = peer.next().await.id;
    peer.answer(id, zxid(2), refusal(ErrorCode::SessionExpired)).await;
    assert_eq!(within(waiting).await, Err(ClientError::SessionExpired));
    assert_eq!(within(watched.fired()).await, Err(ClientError::SessionExpired));
    assert_eq!(within(stream.next()).await, None);
    assert_eq!(within(client.get("/c")).await, Err(ClientError::SessionExpired));
    assert_eq!(client.session(), None);
    peer.closed().await;
}

#[tokio::test]
async fn a_write_that_finds_its_session_expired_ends_the_client() {
    let one = Server::start().await;
    let (client, mut peer) = connect_session(&[&one], 5, LONG).await;
    let script = async {
        let id = peer.request().await.id;
        peer.answer(id, zxid(2), refusal(ErrorCode::SessionExpired)).await;
    };
    let (result, ()) = within(async { tokio::join!(client.set("/a", "x", -1), script) }).await;
    assert_eq!(result, Err(ClientError::SessionExpired));
    assert_eq!(within(client.sync()).await, Err(ClientError::SessionExpired));
}

#[tokio::test]
async fn a_moved_session_is_attached_again() {
    let one = Server::start().await;
    let (client, mut peer) = connect_session(&[&one], 5, LONG).await;
    let script = async {
        let id = peer.request().await.id;
        peer.answer(id, zxid(2), refusal(ErrorCode::SessionMoved)).await;
        one.accept_session(5, LONG).await
    };
    let (result, (_peer, connect)) = within(async { tokio::join!(client.set("/a", "x", -1), script) }).await;
    assert_eq!(result.unwrap_err().code(), Some(ErrorCode::SessionMoved));
    assert_eq!(connect.session, SessionId(5));
}

#[tokio::test]
async fn an_idle_session_is_shown_alive() {
    let one = Server::start().await;
    let (_client, mut peer) = connect_session(&[&one], 5, Duration::from_millis(300)).await;
    for _ in 0..3 {
        let Request { id, operation } = peer.next().await;
        assert_eq!(operation, Operation::Ping(Ping));
        peer.answer(id, zxid(0), Answer::Done(Ping)).await;
    }
}

#[tokio::test]
async fn a_silent_server_is_left_before_the_session_expires() {
    let (one, two) = (Server::start().await, Server::start().await);
    let (client, mut peer) = connect_session(&[&one, &two], 5, Duration::from_millis(300)).await;
    let read = client.send(get("/a"));
    peer.get("/a").await;
    // The connection stays open: only the silence tells.
    let (mut next, connect) = two.accept_session(5, LONG).await;
    assert_eq!(connect.session, SessionId(5));
    let id = next.get("/a").await;
    next.answer(id, zxid(1), data("a")).await;
    assert_eq!(within(read).await.unwrap().1, data("a"));
    peer.closed().await;
}

#[tokio::test]
async fn close_ends_the_session_and_the_connection() {
    let one = Server::start().await;
    let (client, mut peer) = connect_session(&[&one], 5, LONG).await;
    let clone = client.clone();
    let script = async {
        let Request { id, operation } = peer.request().await;
        let close = CloseSession { session: SessionId(5), expired: false, generation: 0 };
        assert_eq!(operation, Operation::Write(Command::CloseSession(close)));
        peer.answer(id, zxid(3), Answer::Written(Reply::Done(Done))).await;
        peer
    };
    let (closed, peer) = within(async { tokio::join!(client.close(), script) }).await;
    assert_eq!(closed, Ok(()));
    assert_eq!(within(clone.get("/a")).await, Err(ClientError::Closed));
    peer.closed().await;
}
