//! The model notices wrong replies, Stats and events, and remembers the past.

use super::*;
use zw_core::ids::{Epoch, NodeId};
use zw_core::tree::Tree;
use zw_core::tree::command::{Command, Create, CreateMode, Delete, OpenSession, SetData};

fn zxid(counter: u64) -> Zxid {
    Zxid::new(Epoch(1), counter)
}

fn envelope(session: SessionId, command: Command) -> Envelope {
    Envelope { origin: NodeId(1), tag: 0, session, generation: u32::from(session != SessionId::NONE), command }
}

fn create(path: &str, mode: CreateMode) -> Command {
    Command::Create(Create { path: path.into(), data: Bytes::from_static(b"x"), acl: Acl::open(), mode, ttl_ms: 0 })
}

fn set(version: i32) -> Command {
    Command::SetData(SetData { path: "/a".into(), data: Bytes::from_static(b"x"), version })
}

#[test]
fn wrong_replies_stats_and_events_are_noticed() {
    let mut model = Model::default();
    let mut run = |counter, command: Command, reply: Outcome, events: Vec<TreeEvent>| {
        model.apply(zxid(counter), 0, &envelope(SessionId::NONE, command), &Applied { reply, events })
    };
    let missing = || Err(TreeError::NoNode("/a".into()));
    assert_eq!(run(1, set(-1), missing(), vec![]), Ok(()));
    assert!(run(2, set(-1), Ok(Reply::Stat(Stat::default())), vec![]).is_err());
    let delete = Command::Delete(Delete { path: "/a".into(), version: -1 });
    assert!(run(3, delete, Err(TreeError::NotEmpty("/a".into())), vec![]).is_err());
    let made = Err(TreeError::NodeExists("/a".into()));
    assert!(run(4, create("/a", CreateMode::Persistent), made, vec![]).is_err());
    let event = TreeEvent { kind: EventKind::Created, path: "/a".into(), zxid: zxid(5) };
    assert!(run(5, set(-1), missing(), vec![event]).is_err());
}

#[test]
fn the_past_stays_and_a_session_takes_its_ephemerals_with_it() {
    let mut model = Model::default();
    let mut tree = Tree::new();
    let mut session = SessionId::NONE;
    let open = Command::OpenSession(OpenSession { timeout_ms: 0, secret: Bytes::from_static(b"s") });
    let close = |session| {
        Command::CloseSession(zw_core::tree::command::CloseSession { session, expired: false, generation: 0 })
    };
    for counter in 1..=6 {
        let command = match counter {
            1 => open.clone(),
            2 => create("/p", CreateMode::Persistent),
            3 | 4 => create("/p/e-", CreateMode::EphemeralSequential),
            5 => create("/p/b", CreateMode::Persistent),
            _ => close(session),
        };
        let envelope = envelope(session, command);
        let applied = tree.apply(zxid(counter), 7, &envelope);
        assert_eq!(model.apply(zxid(counter), 7, &envelope, &applied), Ok(()));
        session = SessionId(zxid(1).0);
    }
    assert_eq!(model.children_at(zxid(4), "/p"), ["e-0000000000", "e-0000000001"]);
    assert_eq!(model.children_at(zxid(5), "/p"), ["b", "e-0000000000", "e-0000000001"]);
    assert_eq!(model.children_at(zxid(6), "/p"), ["b"]);
    assert_eq!(model.children_at(zxid(6), "/"), ["p"]);
    assert!(model.session(session).is_none() && model.at(zxid(2), "/p").is_some());
}
