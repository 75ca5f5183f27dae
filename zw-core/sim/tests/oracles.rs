//! The oracles of sessions, ephemerals, watches and locks accept what is right and refuse the least thing that is wrong.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use bytes::Bytes;
use zw_core::ids::{ConnectionId, Epoch, NodeId, SessionId, Zxid};
use zw_core::tree::command::{
    Acl, Check, CloseSession, Command, Create, CreateMode, Created, Delete, Done, Envelope, EventKind, Multi,
    OpenSession, Reply, SessionReply, SetData, Stat, TreeEvent,
};
use zw_core::tree::watch::WatchKind;
use zw_core::tree::{Applied, Tree};
use zw_sim::clock::{Micros, SECOND};
use zw_sim::invariants::ephemerals;
use zw_sim::invariants::locks::{GUARDED, Locks};
use zw_sim::invariants::sessions::Sessions;
use zw_sim::invariants::watches::Watching;
use zw_sim::model::Model;

const C: ConnectionId = ConnectionId(7);
const N1: NodeId = NodeId(1);
const N2: NodeId = NodeId(2);

fn zxid(counter: u64) -> Zxid {
    Zxid::new(Epoch(1), counter)
}

fn event(kind: EventKind, path: &str, counter: u64) -> TreeEvent {
    TreeEvent { kind, path: path.into(), zxid: zxid(counter) }
}

fn envelope(tag: u64, session: SessionId, command: Command) -> Envelope {
    Envelope { origin: N1, tag, session, generation: u32::from(session != SessionId::NONE), command }
}

fn create(path: &str, mode: CreateMode) -> Command {
    Command::Create(Create { path: path.into(), data: Bytes::new(), acl: Acl::open(), mode, ttl_ms: 0 })
}

fn expire(session: SessionId) -> Command {
    Command::CloseSession(CloseSession { session, expired: true, generation: 1 })
}

/// The oracle with a session of one second that connection `C` has opened.
fn sessions() -> (Sessions, SessionId) {
    let mut sessions = Sessions::default();
    let session = SessionId(zxid(1).0);
    let open = Command::OpenSession(OpenSession { timeout_ms: 1_000, secret: Bytes::from_static(b"s") });
    sessions.proposes(N1, 1, C);
    let granted = Ok(Reply::Session(SessionReply { session, timeout_ms: 1_000, generation: 1 }));
    sessions.committed(zxid(1), &envelope(1, SessionId::NONE, open), &granted, Some(N1)).unwrap();
    (sessions, session)
}

#[test]
fn a_session_must_be_silent_for_its_whole_timeout() {
    let (mut sessions, session) = sessions();
    let early =
        |sessions: &Sessions, now: Micros, disturbed| sessions.expires((0, 0), session, now, disturbed).is_err();
    let hour = 3_600 * SECOND;
    sessions.leads(0, hour);
    assert!(early(&sessions, hour + 999 * SECOND / 1_000, hour), "the lead is younger than the timeout");
    assert!(!early(&sessions, hour + SECOND, hour));
    let jumped = |by| sessions.expires((0, by), session, hour + SECOND / 2, hour).is_ok();
    assert!(jumped(SECOND / 2) && !jumped(SECOND / 4), "a jump of its clock is time for the leader, and no more");
    sessions.heard(0, &[session], hour + SECOND / 2);
    assert!(early(&sessions, hour + SECOND, hour));
    assert!(!early(&sessions, hour + 3 * SECOND / 2, hour));
    sessions.alive(session, hour + 5 * SECOND);
    assert!(!early(&sessions, hour + 5 * SECOND, hour), "it comes back from a silence");
    for third in 1..=3 {
        sessions.alive(session, hour + 5 * SECOND + third * SECOND / 3);
    }
    assert!(!early(&sessions, hour + 6 * SECOND, hour + 5 * SECOND), "news may be lost while links break");
    assert!(early(&sessions, hour + 6 * SECOND, hour), "news may not be lost while all is well");
}

#[test]
fn only_the_epochs_leader_ends_a_silent_session() {
    let (mut sessions, session) = sessions();
    let mut expires = |origin, leader| {
        let envelope = Envelope { origin, ..envelope(2, SessionId::NONE, expire(session)) };
        sessions.committed(zxid(2), &envelope, &Ok(Reply::Done(Done)), Some(leader)).is_ok()
    };
    assert!(expires(N1, N1) && !expires(N1, N2));
}

#[test]
fn a_session_acts_only_by_its_last_connection() {
    let (mut sessions, session) = sessions();
    let deletes = |tag| envelope(tag, session, Command::Delete(Delete { path: "/a".into(), version: -1 }));
    let done = Ok(Reply::Done(Done));
    sessions.proposes(N1, 2, C);
    sessions.proposes(N1, 3, ConnectionId(8));
    assert!(sessions.committed(zxid(2), &deletes(2), &done, Some(N1)).is_ok());
    assert!(sessions.committed(zxid(3), &deletes(3), &done, Some(N1)).is_err(), "of another connection");
    assert!(sessions.committed(zxid(4), &deletes(4), &done, Some(N1)).is_err(), "of nobody");
}

#[test]
fn an_ephemeral_without_its_session_is_noticed() {
    let mut tree = Tree::new();
    let session = SessionId(zxid(1).0);
    let open = Command::OpenSession(OpenSession { timeout_ms: 0, secret: Bytes::from_static(b"s") });
    tree.apply(zxid(1), 0, &envelope(1, SessionId::NONE, open));
    tree.apply(zxid(2), 0, &envelope(2, session, create("/p", CreateMode::Persistent)));
    tree.apply(zxid(3), 0, &envelope(3, session, create("/p/e", CreateMode::Ephemeral)));
    assert!(ephemerals::check(0, &tree).is_ok());
    assert!(ephemerals::ended(0, &tree, session).is_err());
    tree.apply(zxid(4), 0, &envelope(4, SessionId::NONE, expire(session)));
    assert!(ephemerals::check(0, &tree).is_ok() && ephemerals::ended(0, &tree, session).is_ok());
}

#[test]
fn a_watch_fires_once_and_before_the_answer() {
    let events = [event(EventKind::DataChanged, "/a", 5), event(EventKind::Deleted, "/a", 6)];
    let watching = |kind| {
        let mut watching = Watching::default();
        watching.answers(C, zxid(4), &events).unwrap();
        watching.registers(C, kind, "/a");
        watching
    };
    let mut once = watching(WatchKind::Data);
    assert!(once.fires(C, &events[0], &events).is_ok());
    assert!(once.answers(C, zxid(5), &events).is_ok());
    assert!(once.fires(C, &events[0], &events).is_err(), "twice");
    assert!(watching(WatchKind::Data).answers(C, zxid(5), &events).is_err(), "answered before it was told");
    assert!(watching(WatchKind::Data).fires(C, &events[1], &events).is_err(), "the first one is missing");
    assert!(watching(WatchKind::Children).fires(C, &events[0], &events).is_err(), "not what it waits for");
    let mut stays = watching(WatchKind::Recursive);
    assert!(stays.fires(C, &events[0], &events).is_ok());
    assert!(stays.answers(C, zxid(6), &events).is_err(), "the second one is missing");
}

#[test]
fn a_watch_that_comes_back_tells_what_it_has_missed() {
    let (mut model, mut tree) = (Model::default(), Tree::new());
    let mut events = Vec::new();
    for (counter, path) in [(1, "/a"), (2, "/b")] {
        let envelope = envelope(counter, SessionId::NONE, create(path, CreateMode::Persistent));
        let applied = tree.apply(zxid(counter), 0, &envelope);
        model.apply(zxid(counter), 0, &envelope, &applied).unwrap();
        events.extend(applied.events);
    }
    let watches = [(WatchKind::Exists, "/a".to_owned()), (WatchKind::Exists, "/b".to_owned())];
    let rearmed = |seen, watches: &[_]| {
        let mut watching = Watching::default();
        watching.rearms(C, (zxid(seen), zxid(2)), watches, (&model, &events)).map(|()| watching)
    };
    let created = |path, counter| event(EventKind::Created, path, counter);
    let mut both = rearmed(0, &watches).unwrap();
    assert!(both.fires(C, &created("/b", 2), &events).is_err(), "in the order of the entries");
    assert!(both.fires(C, &created("/a", 1), &events).is_ok());
    assert!(both.answers(C, zxid(2), &events).is_err(), "one is missing");
    assert!(both.fires(C, &created("/b", 2), &events).is_ok() && both.answers(C, zxid(2), &events).is_ok());
    let mut nothing = rearmed(2, &[(WatchKind::Data, "/a".to_owned())]).unwrap();
    assert!(nothing.fires(C, &event(EventKind::DataChanged, "/a", 1), &events).is_err(), "the client knows that");
    assert!(rearmed(3, &watches).is_err(), "an old state is shown");
}

#[test]
fn the_first_of_the_queue_holds_the_lock() {
    let mut locks = Locks::default();
    let places = ["/lock/c1-0000000000", "/lock/c0-0000000001"];
    for (counter, path) in [(1, places[0]), (2, places[1])] {
        let wish = create(&path[..path.len() - 10], CreateMode::EphemeralSequential);
        let reply = Ok(Reply::Created(Created { path: path.into(), stat: Stat::default() }));
        let applied = Applied { reply, events: vec![event(EventKind::Created, path, counter)] };
        locks.committed(zxid(counter), &envelope(counter, SessionId::NONE, wish), &applied).unwrap();
    }
    assert!(locks.claims(zxid(2), places[0]).is_ok() && locks.claims(zxid(2), places[1]).is_err());
    let writes = |locks: &mut Locks, counter, path: &str| {
        let check = Command::Check(Check { path: path.into(), version: -1 });
        let set = Command::SetData(SetData { path: GUARDED.into(), data: Bytes::new(), version: -1 });
        let multi = Command::Multi(Multi { operations: vec![check, set] });
        let applied = Applied { reply: Ok(Reply::Multi(Vec::new())), events: Vec::new() };
        locks.committed(zxid(counter), &envelope(counter, SessionId::NONE, multi), &applied).is_ok()
    };
    assert!(writes(&mut locks, 3, places[0]) && !writes(&mut locks, 4, places[1]));
    let delete = Command::Delete(Delete { path: places[0].into(), version: -1 });
    let applied = Applied { reply: Ok(Reply::Done(Done)), events: vec![event(EventKind::Deleted, places[0], 5)] };
    locks.committed(zxid(5), &envelope(5, SessionId::NONE, delete), &applied).unwrap();
    assert!(locks.claims(zxid(4), places[0]).is_ok(), "it held the lock then");
    assert!(locks.claims(zxid(5), places[1]).is_ok() && locks.claims(zxid(5), places[0]).is_err());
    assert!(writes(&mut locks, 6, places[1]) && !writes(&mut locks, 7, places[0]));
}
