//! What a client sees, in which order.

use crate::harness::Ensemble;
use std::time::Duration;
use zw_core::client::{ClientOptions, Connection};
use zw_core::tree::command::{Acl, Command, Create, CreateMode, Delete, EventKind, SetData};
use zw_core::wire::client::{Answer, Operation, Ping, Read};

const PATIENCE: Duration = Duration::from_secs(30);

fn create(path: &str) -> Operation {
    let (path, data, acl, mode) = (path.to_owned(), bytes::Bytes::new(), Acl::open(), CreateMode::Persistent);
    Operation::Write(Command::Create(Create { path, data, acl, mode, ttl_ms: 0 }))
}

fn set(path: &str, data: &'static [u8]) -> Operation {
    Operation::Write(Command::SetData(SetData { path: path.to_owned(), data: data.into(), version: -1 }))
}

fn delete(path: &str) -> Operation {
    Operation::Write(Command::Delete(Delete { path: path.to_owned(), version: -1 }))
}

fn exists(path: &str) -> Operation {
    Operation::Exists(Read { path: path.to_owned(), watch: false })
}

#[tokio::test]
async fn pipelined_requests_take_effect_and_are_answered_in_their_order() {
    let ensemble = Ensemble::start(3, &[]).await;
    for address in &ensemble.addresses {
        let mut connection = Connection::open(address, PATIENCE).await.unwrap();
        let mut ids = Vec::new();
        for _ in 0..100 {
            for operation in [create("/a"), exists("/a"), delete("/a"), exists("/a"), Operation::Ping(Ping)] {
                ids.push(connection.send(operation).await.unwrap());
            }
        }
        for (index, id) in ids.into_iter().enumerate() {
            let response = connection.recv().await.unwrap();
            assert_eq!(response.id, id);
            let is_right = match index % 5 {
                0 | 2 => matches!(response.answer, Answer::Written(_)),
                1 => matches!(response.answer, Answer::Stat(Some(_))),
                3 => matches!(response.answer, Answer::Stat(None)),
                _ => matches!(response.answer, Answer::Done(_)),
            };
            assert!(is_right, "request {index} was answered {:?}", response.answer);
        }
    }
}

#[tokio::test]
async fn a_watch_event_comes_before_any_answer_that_shows_its_change() {
    let ensemble = Ensemble::start(3, &[]).await;
    let writer = ensemble.client().await;
    writer.create("/watched", "0", CreateMode::Persistent).await.unwrap();
    for address in &ensemble.addresses {
        let mut reader = Connection::open(address, PATIENCE).await.unwrap();
        reader.request(Operation::Sync(Ping)).await.unwrap();
        let read = || Operation::Get(Read { path: "/watched".into(), watch: true });
        let (_, Answer::Data(mut last)) = reader.request(read()).await.unwrap() else { panic!("no data") };
        let writing = async {
            for _ in 0..50 {
                writer.set("/watched", "x", -1).await.unwrap();
            }
        };
        let reading = async {
            let (mut events, mut reads) = (0, 0);
            let end = last.stat.version + 50;
            while last.stat.version < end {
                let id = reader.send(read()).await.unwrap();
                let mut fired = false;
                loop {
                    let response = reader.recv().await.unwrap();
                    match response.answer {
                        Answer::Event(event) => {
                            assert_eq!((event.kind, event.path.as_str()), (EventKind::DataChanged, "/watched"));
                            fired = true;
                            events += 1;
                        }
                        Answer::Data(data) => {
                            assert_eq!(response.id, id);
                            let has_changed = data.stat.mzxid > last.stat.mzxid;
                            assert!(!has_changed || fired, "data of {} came before its event", data.stat.mzxid);
                            last = data;
                            break;
                        }
                        other => panic!("{other:?}"),
                    }
                }
                reads += 1;
            }
            assert!(events > 0 && events <= reads + 1, "{events} events for {reads} one-shot watches");
        };
        tokio::time::timeout(PATIENCE, async { tokio::join!(writing, reading) }).await.expect("it ends");
    }
}

#[tokio::test]
async fn a_synced_read_on_any_node_sees_what_was_written_on_another() {
    let ensemble = Ensemble::start(3, &[]).await;
    let mut clients = Vec::new();
    for address in &ensemble.addresses {
        clients.push(ensemble.client_with(ClientOptions::to([address])).await);
    }
    clients[0].create("/n", "", CreateMode::Persistent).await.unwrap();
    for round in 0..30_usize {
        let text = round.to_string();
        clients[round % 3].set("/n", text.clone(), -1).await.unwrap();
        let reader = &clients[(round + 1) % 3];
        reader.sync().await.unwrap();
        assert_eq!(reader.get("/n").await.unwrap().0, text);
    }
}

#[tokio::test]
async fn a_write_that_is_larger_than_allowed_is_refused_in_its_turn() {
    let ensemble = Ensemble::start(1, &[]).await;
    let mut connection = Connection::open(&ensemble.addresses[0], PATIENCE).await.unwrap();
    static LARGE: [u8; (1 << 20) + 1] = [0; (1 << 20) + 1];
    let first = connection.send(create("/a")).await.unwrap();
    let large = connection.send(set("/a", &LARGE)).await.unwrap();
    let full = connection.send(set("/a", &LARGE[1..])).await.unwrap();
    for (id, refused) in [(first, false), (large, true), (full, false)] {
        let response = connection.recv().await.unwrap();
        assert_eq!((response.id, matches!(response.answer, Answer::Error(_))), (id, refused));
    }
}
