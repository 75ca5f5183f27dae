//! The client against a scripted server: order, loss of connections, unknown outcomes, sessions, watches, wrong frames.

#![cfg(feature = "client")]
#![allow(clippy::unwrap_used, missing_docs, reason = "a test may stop at the first surprise")]

mod failover;
mod script;
mod session;
mod watches;

use script::{Server, closed_port, connect, data, options, refusal, within, zxid};
use std::time::Duration;
use zw_core::client::{Client, ClientError, ClientOptions, Connection};
use zw_core::limits::CLIENT_QUEUE_MAX;
use zw_core::tree::command::{Acl, Check, Command, Create, CreateMode, Created, Delete, Reply, SetData, Stat};
use zw_core::wire::client::{Answer, ChildrenPage, ErrorCode, Operation, Ping, Read, Request};

#[tokio::test]
async fn requests_are_pipelined_and_answered_in_order() {
    let server = Server::start().await;
    let (client, mut peer) = connect(&[&server]).await;
    let read = |path: &str| Operation::Get(Read { path: path.into(), watch: false });
    // Sent by the call, before any of the futures is polled.
    let (third, second, first) = {
        let first = client.send(read("/1"));
        let second = client.send(read("/2"));
        (client.send(read("/3")), second, first)
    };
    let mut ids = Vec::new();
    for path in ["/1", "/2", "/3"] {
        ids.push(peer.get(path).await);
    }
    for (id, text) in ids.into_iter().zip(["one", "two", "three"]) {
        peer.answer(id, zxid(u64::from(id)), data(text)).await;
    }
    assert_eq!(within(third).await.unwrap().1, data("three"));
    assert_eq!(within(first).await.unwrap().1, data("one"));
    assert_eq!(within(second).await.unwrap().1, data("two"));
    assert_eq!(client.connected_to(), Some(server.address));
    assert_eq!(client.session(), None);
}

#[tokio::test]
async fn more_requests_than_a_connection_may_owe_are_all_answered() {
    let server = Server::start().await;
    let (client, mut peer) = connect(&[&server]).await;
    let count: usize = 10_000;
    let answers = async {
        for index in 0..count {
            let id = peer.get(&format!("/{index}")).await;
            peer.answer(id, zxid(1), data(&index.to_string())).await;
        }
        peer
    };
    let read = |index| Operation::Get(Read { path: format!("/{index}"), watch: false });
    let sends: Vec<_> = (0..count).map(|index| client.send(read(index))).collect();
    let check = async {
        for (index, result) in sends.into_iter().enumerate() {
            assert_eq!(result.await.unwrap().1, data(&index.to_string()));
        }
    };
    within(async { tokio::join!(check, answers) }).await;
}

#[tokio::test]
async fn what_the_queues_do_not_hold_is_refused_and_changes_nothing() {
    let server = Server::start().await;
    let options = ClientOptions { request_timeout: Duration::from_secs(1), ..options(&[&server]) };
    let (client, peer) = tokio::join!(Client::connect(options), server.accept());
    let client = client.unwrap();
    // The test has one thread: nothing is taken from the queue before the next await.
    let set = SetData { path: "/a".into(), data: "x".into(), version: -1 };
    let write = || client.send(Operation::Write(Command::SetData(set.clone())));
    let queued: Vec<_> = (0..CLIENT_QUEUE_MAX).map(|_| write()).collect();
    let refused = within(write()).await.unwrap_err();
    assert!(refused.code() == Some(ErrorCode::Overloaded) && refused.outcome_is_known(), "{refused}");
    let mut known = 0;
    for result in queued {
        known += usize::from(within(result).await.unwrap_err().outcome_is_known());
    }
    assert!(known >= CLIENT_QUEUE_MAX - 1_024, "only what was sent is unknown: {known} are known");
    drop(peer);
}

#[tokio::test]
async fn the_methods_ask_and_read_what_they_say() {
    let server = Server::start().await;
    let (client, mut peer) = connect(&[&server]).await;
    let stat = Stat { version: 3, ..Stat::default() };
    let script = async {
        let Request { id, operation: Operation::Write(Command::Create(create)) } = peer.request().await else {
            panic!("no Create")
        };
        let created = Created { path: create.path + "0000000001", stat };
        peer.answer(id, zxid(1), Answer::Written(Reply::Created(created))).await;
        let Request { id, operation: Operation::Children(first) } = peer.request().await else { panic!() };
        let page = |names: &[&str], more| {
            let names = names.iter().map(|name| (*name).to_owned()).collect();
            Answer::Children(ChildrenPage { names, stats: vec![], stat, more })
        };
        peer.answer(id, zxid(1), page(&["a", "b"], true)).await;
        let Request { id, operation: Operation::Children(next) } = peer.request().await else { panic!() };
        assert_eq!((first.after.as_str(), next.after.as_str()), ("", "b"));
        peer.answer(id, zxid(1), page(&["c"], false)).await;
        let Request { id, .. } = peer.request().await;
        peer.answer(id, zxid(1), Answer::Stat(None)).await;
        let Request { id, .. } = peer.request().await;
        peer.answer(id, zxid(8), Answer::Done(Ping)).await;
        let Request { id, .. } = peer.request().await;
        peer.answer(id, zxid(8), Answer::Done(Ping)).await;
    };
    let calls = async {
        let created = client.create("/q-", "data", CreateMode::PersistentSequential).await.unwrap();
        assert_eq!((created.path.as_str(), created.stat), ("/q-0000000001", stat));
        assert_eq!(client.children("/").await.unwrap(), ["a", "b", "c"]);
        assert_eq!(client.exists("/none").await.unwrap(), None);
        assert_eq!(client.sync().await.unwrap(), zxid(8));
        let wrong = client.get("/a").await.unwrap_err();
        assert!(matches!(wrong, ClientError::Protocol(_)), "an answer that does not fit: {wrong}");
    };
    within(async { tokio::join!(script, calls) }).await;
}

#[tokio::test]
async fn a_path_that_cannot_be_one_is_refused_before_it_is_sent() {
    let server = Server::start().await;
    let (client, mut peer) = connect(&[&server]).await;
    let wrong = |outcome: Result<(), ClientError>, code, reason: &str| {
        let error = outcome.unwrap_err();
        assert!(error.code() == Some(code) && error.to_string().contains(reason), "{reason}: {error}");
    };
    let invalid = ErrorCode::InvalidPath;
    wrong(client.get("/a//b").await.map(drop), invalid, "empty name");
    wrong(client.exists("/tr/").await.map(drop), invalid, "end with a slash");
    wrong(client.children("a").await.map(drop), invalid, "start with a slash");
    wrong(client.acl("/a/.").await.map(drop), invalid, "relative");
    wrong(client.exists_watch("/a/..").await.map(drop), invalid, "relative");
    wrong(client.add_watch("/a\u{7}", true).await.map(drop), invalid, "forbidden");
    wrong(client.delete("/tr/", -1).await, invalid, "end with a slash");
    wrong(client.create("/q/", "", CreateMode::Persistent).await.map(drop), invalid, "end with a slash");
    let check = Command::Check(Check { path: "/fine".into(), version: 0 });
    let delete = Command::Delete(Delete { path: "//".into(), version: -1 });
    wrong(client.multi(vec![check, delete]).await.map(drop), ErrorCode::MultiFailed, "operation 1");

    // The node's number makes this one whole; and nothing was sent before it.
    drop(client.send(Operation::Write(Command::Create(Create {
        path: "/q/".into(),
        data: "".into(),
        acl: Acl::open(),
        mode: CreateMode::PersistentSequential,
        ttl_ms: 0,
    }))));
    let first = peer.request().await;
    assert!(matches!(first.operation, Operation::Write(Command::Create(_))), "{first:?}");
}

#[tokio::test]
async fn refusals_pass_through_and_leave_the_connection() {
    let server = Server::start().await;
    let (client, mut peer) = connect(&[&server]).await;
    for code in [ErrorCode::NoQuorum, ErrorCode::NoNode, ErrorCode::OutcomeUnknown, ErrorCode::SessionExpired] {
        let script = async {
            let id = peer.request().await.id;
            peer.answer(id, zxid(1), refusal(code)).await;
        };
        let (result, ()) = within(async { tokio::join!(client.set("/a", "x", -1), script) }).await;
        let error = result.unwrap_err();
        assert_eq!(error.code(), Some(code));
        assert_eq!(error.outcome_is_known(), code != ErrorCode::OutcomeUnknown);
    }
}

#[tokio::test]
async fn a_request_over_the_limit_is_refused_here_and_the_next_one_goes_on() {
    let server = Server::start().await;
    let (client, mut peer) = connect(&[&server]).await;
    let error = within(client.set("/a", vec![0; 2 << 20], -1)).await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::TooLarge));
    let script = async {
        let id = peer.get("/a").await;
        peer.answer(id, zxid(1), data("a")).await;
    };
    assert_eq!(within(async { tokio::join!(client.get("/a"), script).0 }).await.unwrap().0, "a");
}

#[tokio::test]
async fn what_belongs_to_one_connection_is_refused() {
    let server = Server::start().await;
    let (client, _peer) = connect(&[&server]).await;
    let operation = Operation::TraceStart(zw_core::wire::admin::TraceStart { from: 0, rare_only: false });
    assert_eq!(within(client.request(operation)).await.unwrap_err().code(), Some(ErrorCode::Invalid));
}

#[tokio::test]
async fn a_late_answer_gives_a_timeout_and_a_late_write_an_unknown_outcome() {
    let server = Server::start().await;
    let options = ClientOptions { request_timeout: Duration::from_millis(200), ..options(&[&server]) };
    let (client, mut peer) = tokio::join!(Client::connect(options), server.accept());
    let client = client.unwrap();
    let set = SetData { path: "/a".into(), data: "x".into(), version: -1 };
    let read = client.send(Operation::Get(Read { path: "/a".into(), watch: false }));
    let write = client.send(Operation::Write(Command::SetData(set)));
    let (read_id, write_id) = (peer.get("/a").await, peer.request().await.id);
    assert_eq!(within(read).await, Err(ClientError::Timeout { after: Duration::from_millis(200) }));
    assert!(!within(write).await.unwrap_err().outcome_is_known());
    // The late answers still have their place in the order.
    let script = async {
        let id = peer.get("/b").await;
        peer.answer(read_id, zxid(1), data("late")).await;
        peer.answer(write_id, zxid(2), Answer::Written(Reply::Stat(Stat::default()))).await;
        peer.answer(id, zxid(2), data("in time")).await;
    };
    assert_eq!(within(async { tokio::join!(client.get("/b"), script).0 }).await.unwrap().0, "in time");
}

#[tokio::test]
async fn without_a_server_each_is_named_with_its_reason() {
    let servers = [closed_port().await, closed_port().await];
    let request_timeout = Duration::from_millis(300);
    let options = ClientOptions { request_timeout, ..ClientOptions::to(servers.clone()) };
    let Err(ClientError::NotConnected { tried }) = within(Client::connect(options)).await else {
        panic!("connected to nothing");
    };
    for server in &servers {
        let (_, reason) = tried.iter().find(|(tried, _)| tried == server).unwrap();
        assert!(reason.contains("refused"), "{reason}");
    }
}

#[tokio::test]
async fn a_refused_greeting_is_told_if_every_server_refuses() {
    let server = Server::start().await;
    let client = Client::connect(options(&[&server]));
    let (client, ()) = within(async { tokio::join!(client, server.refuse("too many connections")) }).await;
    let ClientError::Refused { reason, .. } = client.unwrap_err() else { panic!("another error") };
    assert_eq!(reason, "too many connections");
}

#[tokio::test]
async fn the_last_handle_ends_the_connection_after_the_answers() {
    let server = Server::start().await;
    let (client, mut peer) = connect(&[&server]).await;
    let read = client.send(Operation::Get(Read { path: "/a".into(), watch: false }));
    drop(client);
    let id = peer.get("/a").await;
    peer.answer(id, zxid(1), data("a")).await;
    assert_eq!(within(read).await.unwrap().1, data("a"));
    peer.closed().await;
}

#[tokio::test]
async fn a_raw_connection_speaks_to_one_server() {
    let server = Server::start().await;
    let open = Connection::open(&server.address, Duration::from_secs(5));
    let (connection, mut peer) = tokio::join!(open, server.accept());
    let mut connection = connection.unwrap();
    assert_eq!(connection.welcome().ensemble, server.address);
    let script = async {
        let id = peer.get("/a").await;
        peer.event(script::changed("/a", 3)).await;
        peer.answer(id, zxid(3), data("a")).await;
        peer.event(script::changed("/a", 4)).await;
    };
    let get = Operation::Get(Read { path: "/a".into(), watch: false });
    let (answer, ()) = within(async { tokio::join!(connection.request(get), script) }).await;
    assert_eq!(answer.unwrap(), (zxid(3), data("a")));
    let event = within(connection.recv()).await.unwrap();
    assert_eq!((event.id, event.answer), (0, Answer::Event(script::changed("/a", 4))));
    drop(peer);
    let lost = within(connection.recv()).await.unwrap_err();
    assert!(matches!(lost, ClientError::NotConnected { .. }), "{lost}");
    let error = within(Connection::open(&closed_port().await, Duration::from_secs(5))).await.unwrap_err();
    assert!(matches!(error, ClientError::NotConnected { .. }), "{error}");
}
