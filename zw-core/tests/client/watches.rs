//! Watches: fired once, streamed, armed again on a new connection.

use super::script::{Peer, Server, changed, connect, data, refusal, within, zxid};
use zw_core::client::Client;
use zw_core::tree::command::{EventKind, Stat, TreeEvent};
use zw_core::wire::client::{Answer, ErrorCode, Operation, Ping, RemoveWatches, Request, SetWatches};

async fn answer_next(peer: &mut Peer, at: u64, answer: Answer) -> Operation {
    let Request { id, operation } = peer.request().await;
    peer.answer(id, zxid(at), answer).await;
    operation
}

async fn both<A, B>(one: impl Future<Output = A>, other: impl Future<Output = B>) -> (A, B) {
    within(async { tokio::join!(one, other) }).await
}

#[tokio::test]
async fn a_read_leaves_a_watch_that_fires_once() {
    let server = Server::start().await;
    let (client, mut peer) = connect(&[&server]).await;
    let (read, _) = both(client.get_watch("/a"), answer_next(&mut peer, 1, data("old"))).await;
    let (_, _, watch) = read.unwrap();
    peer.event(changed("/b", 2)).await;
    peer.event(changed("/a", 3)).await;
    peer.event(changed("/a", 4)).await;
    assert_eq!(within(watch.fired()).await, Ok(changed("/a", 3)));
}

#[tokio::test]
async fn an_event_that_overtakes_the_answer_fires_the_watch() {
    let server = Server::start().await;
    let (client, mut peer) = connect(&[&server]).await;
    let script = async {
        let Request { id, .. } = peer.request().await;
        peer.event(changed("/a", 3)).await;
        peer.event(changed("/a", 8)).await;
        peer.answer(id, zxid(3), data("of 3")).await;
    };
    let (read, ()) = both(client.get_watch("/a"), script).await;
    let fired = within(read.unwrap().2.fired()).await;
    assert_eq!(fired, Ok(changed("/a", 8)), "the change that the read saw is no news");
}

#[tokio::test]
async fn a_watch_on_what_does_not_exist() {
    let server = Server::start().await;
    let (client, mut peer) = connect(&[&server]).await;
    let (read, _) = both(client.get_watch("/a"), answer_next(&mut peer, 1, refusal(ErrorCode::NoNode))).await;
    assert_eq!(read.unwrap_err().code(), Some(ErrorCode::NoNode));
    let (exists, _) = both(client.exists_watch("/a"), answer_next(&mut peer, 1, Answer::Stat(None))).await;
    let (stat, watch) = exists.unwrap();
    assert_eq!(stat, None);
    let created = TreeEvent { kind: EventKind::Created, path: "/a".into(), zxid: zxid(2) };
    peer.event(created.clone()).await;
    assert_eq!(within(watch.fired()).await, Ok(created));
}

#[tokio::test]
async fn watches_are_armed_again_with_what_was_seen() {
    let (one, two) = (Server::start().await, Server::start().await);
    let (client, mut peer) = connect(&[&one, &two]).await;
    let (data_watch, _) = both(client.get_watch("/data"), answer_next(&mut peer, 5, data("x"))).await;
    let (exists_watch, _) = both(client.exists_watch("/exists"), answer_next(&mut peer, 6, Answer::Stat(None))).await;
    let found = Answer::Stat(Some(Stat::default()));
    let (found_watch, _) = both(client.exists_watch("/found"), answer_next(&mut peer, 6, found)).await;
    let (gone, _) = both(client.exists_watch("/gone"), answer_next(&mut peer, 6, Answer::Stat(None))).await;
    drop(gone);
    let (stream, _) = both(client.add_watch("/all", true), answer_next(&mut peer, 7, Answer::Done(Ping))).await;
    let (fired, _) = both(client.get_watch("/fired"), answer_next(&mut peer, 7, data("x"))).await;
    peer.event(changed("/fired", 9)).await;
    assert!(within(fired.unwrap().2.fired()).await.is_ok());
    drop(peer);

    let mut peer = two.accept().await;
    let Request { id, operation: Operation::Exists(_) } = peer.next().await else { panic!("no look at the root") };
    peer.answer(id, zxid(9), Answer::Stat(None)).await;
    let Request { id, operation } = peer.next().await;
    let expected = SetWatches {
        // Entry 9 may have had more events than the one that came.
        seen: zxid(8),
        // An existence watch on what exists is a data watch.
        data: vec!["/data".into(), "/found".into()],
        exists: vec!["/exists".into()],
        children: vec![],
        persistent: vec![],
        recursive: vec!["/all".into()],
    };
    assert_eq!(operation, Operation::SetWatches(expected), "neither the fired one nor the dropped one");
    peer.event(changed("/data", 10)).await;
    peer.answer(id, zxid(11), Answer::Done(Ping)).await;
    peer.event(changed("/all/below", 12)).await;
    assert_eq!(within(data_watch.unwrap().2.fired()).await, Ok(changed("/data", 10)));
    let mut stream = stream.unwrap();
    let gap = TreeEvent { kind: EventKind::ChildrenChanged, path: "/all".into(), zxid: zxid(11) };
    assert_eq!(within(stream.next()).await, Some(gap), "what happened below meanwhile was missed");
    assert_eq!(within(stream.next()).await, Some(changed("/all/below", 12)));
    drop((exists_watch, found_watch));
}

#[tokio::test]
async fn watches_that_were_not_armed_again_in_time_miss_nothing() {
    let (one, two) = (Server::start().await, Server::start().await);
    let (client, mut peer) = connect(&[&one, &two]).await;
    let mut watches = Vec::new();
    // More than one request holds.
    let path = |number: u64| format!("/{number:03}{}", "x".repeat(4_000));
    for number in 0..100 {
        let (read, _) = both(client.get_watch(&path(number)), answer_next(&mut peer, 5, data("x"))).await;
        watches.push(read.unwrap().2);
    }
    drop(peer);
    let look = |request: Request| match request {
        Request { id, operation: Operation::Exists(_) } => id,
        other => panic!("no look at the root: {other:?}"),
    };
    let mut peer = two.accept().await;
    let id = look(peer.next().await);
    peer.answer(id, zxid(9), Answer::Stat(None)).await;
    let first = peer.next().await;
    let second = peer.next().await;
    assert!(matches!(&second.operation, Operation::SetWatches(set) if set.seen == zxid(5)));
    peer.event(changed(&path(0), 8)).await;
    peer.answer(first.id, zxid(9), Answer::Done(Ping)).await;
    assert_eq!(within(watches.remove(0).fired()).await, Ok(changed(&path(0), 8)));
    drop(peer);

    let mut peer = one.accept().await;
    let id = look(peer.next().await);
    peer.answer(id, zxid(9), Answer::Stat(None)).await;
    let Operation::SetWatches(set) = peer.next().await.operation else { panic!("no watches") };
    assert_eq!(set.seen, zxid(5), "what the second half has missed since then was not told");
}

#[tokio::test]
async fn a_read_with_a_watch_whose_connection_broke_arms_it_on_the_next() {
    let (one, two) = (Server::start().await, Server::start().await);
    let (client, mut peer) = connect(&[&one, &two]).await;
    let script = async {
        peer.get("/a").await;
        drop(peer);
        let mut peer = two.accept().await;
        let id = peer.get("/a").await;
        peer.answer(id, zxid(3), data("a")).await;
        peer.event(changed("/a", 4)).await;
        peer
    };
    let (read, _peer) = both(client.get_watch("/a"), script).await;
    assert_eq!(within(read.unwrap().2.fired()).await, Ok(changed("/a", 4)));
}

#[tokio::test]
async fn a_stream_gives_every_event_and_the_server_is_told_when_it_is_dropped() {
    let server = Server::start().await;
    let (client, mut peer) = connect(&[&server]).await;
    let (stream, _) = both(client.add_watch("/a", false), answer_next(&mut peer, 1, Answer::Done(Ping))).await;
    let mut stream = stream.unwrap();
    for counter in 2..100 {
        peer.event(changed("/a", counter)).await;
    }
    for counter in 2..100 {
        assert_eq!(within(stream.next()).await, Some(changed("/a", counter)));
    }
    drop(stream);
    peer.event(changed("/a", 100)).await;
    let forget = Operation::RemoveWatches(RemoveWatches { path: "/a".into() });
    assert_eq!(answer_next(&mut peer, 100, Answer::Done(Ping)).await, forget);
    still_answers(&client, &mut peer).await;
}

async fn still_answers(client: &Client, peer: &mut Peer) {
    let (read, _) = both(client.get("/b"), answer_next(peer, 101, data("b"))).await;
    assert_eq!(read.unwrap().0, "b");
}
