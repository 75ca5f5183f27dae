//! Each oracle sees a history made wrong by hand, and passes the right one.

use crate::judge::{Evidence, judge};
use crate::operation::{Operation, Outcome, WatchSeen, What};
use crate::verdict::Failure;
use crate::workload::create;
use bytes::Bytes;
use zw_core::ids::{Epoch, NodeId, SessionId, Zxid};
use zw_core::log::record::Entry;
use zw_core::tree::command::{
    CloseSession, Command, CreateMode, Envelope, EventKind, OpenSession, Reply, SetData, TreeError, TreeEvent,
};
use zw_core::tree::watch::WatchKind;
use zw_core::tree::{Page, Tree};
use zw_core::wire::client::ErrorCode;
use zw_sim::history::{Look, ReadResult};

const TIMEOUT_MS: u32 = 4_000;

/// A right history, as it grows.
struct World {
    tree: Tree,
    evidence: Evidence,
    time_ms: u64,
    session: SessionId,
}

fn at(counter: u64) -> Zxid {
    Zxid::new(Epoch(1), counter)
}

fn set(path: &str, data: &'static str, version: i32) -> Command {
    Command::SetData(SetData { path: path.to_owned(), data: Bytes::from_static(data.as_bytes()), version })
}

impl World {
    /// `/a` was made by the session that is open: entries 1 and 2.
    fn new() -> World {
        let evidence = Evidence {
            operations: Vec::new(),
            watches: Vec::new(),
            sequence: vec![Entry::new(at(0), 0, b"")],
            digest: 0,
        };
        let mut world = World { tree: Tree::new(), evidence, time_ms: 1_000, session: SessionId::NONE };
        world.tree.apply_entry(&world.evidence.sequence[0]);
        let open = OpenSession { timeout_ms: TIMEOUT_MS, secret: Bytes::from_static(b"secret") };
        world.commit(SessionId::NONE, Command::OpenSession(open)).1.unwrap();
        world.session = SessionId(at(1).0);
        world.write(create("/a".to_owned(), "0", CreateMode::Persistent));
        world
    }

    fn commit(&mut self, session: SessionId, command: Command) -> (Zxid, Result<Reply, TreeError>) {
        let zxid = at(self.evidence.sequence.len() as u64);
        let generation = u32::from(session != SessionId::NONE);
        let envelope = Envelope { origin: NodeId(1), tag: zxid.0, session, generation, command };
        let entry = Entry::new(zxid, self.time_ms, &envelope.encode());
        let (_, applied) = self.tree.apply_entry(&entry).unwrap();
        self.evidence.sequence.push(entry);
        self.evidence.digest = self.tree.digest();
        (zxid, applied.reply)
    }

    /// Records an operation that began after everything before it.
    fn record(&mut self, what: What, outcome: Outcome, before: Zxid) {
        let start = self.evidence.operations.len() as u64;
        let operation =
            Operation { session: self.session, start, end: start, floor: before, seen: before, what, outcome };
        self.evidence.operations.push(operation);
    }

    /// A write that is answered as it should be.
    fn write(&mut self, command: Command) -> Zxid {
        let before = self.tree.applied();
        let (zxid, reply) = self.commit(self.session, command.clone());
        let outcome = match reply {
            Ok(reply) => Outcome::Written(zxid, reply),
            Err(error) => {
                let (code, text) = crate::operation::told(&error);
                Outcome::RefusedByTree(code, text)
            }
        };
        self.record(What::Write(command), outcome, before);
        zxid
    }

    fn read(&mut self, path: &str, look: Look, synced: bool, result: ReadResult) {
        let now = self.tree.applied();
        self.record(What::Read { path: path.to_owned(), look, synced }, Outcome::Read(now, result), now);
    }

    fn get(&mut self, path: &str, synced: bool) {
        let result = ReadResult::Data(self.tree.get(path));
        self.read(path, Look::Get, synced, result);
    }

    fn last(&mut self) -> &mut Operation {
        self.evidence.operations.last_mut().unwrap()
    }

    /// The property that is found broken; "" if none is.
    fn broken(&self) -> &'static str {
        match judge(&self.evidence) {
            Ok(_) => "",
            Err(Failure::Violation(violation)) => violation.property,
            Err(Failure::Harness(_)) => "no verdict",
        }
    }
}

/// The world after a right set of `/a` to `x`, acknowledged at the zxid that is returned too.
fn with_set() -> (World, Zxid) {
    let mut world = World::new();
    let zxid = world.write(set("/a", "x", 0));
    (world, zxid)
}

#[test]
fn a_right_history_passes() {
    let (mut world, zxid) = with_set();
    world.get("/a", false);
    world.get("/a", true);
    let stat = ReadResult::Stat(world.tree.stat("/b"));
    world.read("/b", Look::Exists, true, stat);
    let page = world.tree.children("/", "", 0, false).unwrap();
    world.read("/", Look::Children { after: String::new(), limit: 0 }, false, ReadResult::Children(Ok(page)));
    let now = world.tree.applied();
    world.record(What::Read { path: "/b".into(), look: Look::Get, synced: true }, Outcome::Missing, now);
    world.write(set("/a", "refused", 0));
    assert!(matches!(world.last().outcome, Outcome::RefusedByTree(ErrorCode::BadVersion, _)));
    world.record(What::Write(set("/a", "never", -1)), Outcome::Unknown(String::new()), zxid);
    world.record(What::Write(set("/a", "not taken", -1)), Outcome::NotDone(String::new()), zxid);
    let checked = judge(&world.evidence).unwrap();
    assert_eq!((checked.writes, checked.reads, checked.synced_reads, checked.sessions), (5, 5, 3, 1));
}

#[test]
fn a_lost_write_is_noticed() {
    let mut world = World::new();
    let stat = world.tree.stat("/a").unwrap().unwrap();
    world.record(What::Write(set("/a", "lost", -1)), Outcome::Written(at(3), Reply::Stat(stat)), at(2));
    assert_eq!(world.broken(), "AcknowledgedIsCommitted");
}

#[test]
fn a_write_at_another_place_or_with_another_reply_is_noticed() {
    let (mut world, zxid) = with_set();
    let Outcome::Written(_, reply) = world.last().outcome.clone() else { unreachable!() };
    world.last().outcome = Outcome::Written(Zxid(zxid.0 + 1), reply.clone());
    assert_eq!(world.broken(), "AcknowledgedIsCommitted");
    let Reply::Stat(mut stat) = reply else { unreachable!() };
    stat.version += 1;
    world.last().outcome = Outcome::Written(zxid, Reply::Stat(stat));
    assert_eq!(world.broken(), "AcknowledgedIsCommitted");
}

#[test]
fn a_refused_write_that_is_done_is_noticed() {
    let (mut world, _) = with_set();
    world.last().outcome = Outcome::NotDone("no leader".into());
    assert_eq!(world.broken(), "RefusedIsNotDone");
    world.last().outcome = Outcome::RefusedByTree(ErrorCode::BadVersion, "version".into());
    assert_eq!(world.broken(), "RefusedIsNotDone");
    world.last().outcome = Outcome::RefusedByTree(ErrorCode::SessionExpired, "the session has expired".into());
    assert_eq!(world.broken(), "RefusedIsNotDone");
    // What the tree refuses is refused by an entry.
    let mut world = World::new();
    world.record(What::Write(set("/a", "x", 7)), Outcome::RefusedByTree(ErrorCode::BadVersion, "v".into()), at(2));
    assert_eq!(world.broken(), "RefusedIsNotDone");
}

#[test]
fn a_write_that_is_done_twice_or_by_nobody_is_noticed() {
    let (mut world, _) = with_set();
    world.commit(world.session, set("/a", "x", 0)).1.unwrap_err();
    assert_eq!(world.broken(), "DeliveredOnce");
    let mut world = World::new();
    world.commit(world.session, set("/a", "nobody's", -1)).1.unwrap();
    assert_eq!(world.broken(), "OnlyWhatWasAsked");
    // Of unknown outcome, it may be there.
    world.record(What::Write(set("/a", "nobody's", -1)), Outcome::Unknown(String::new()), at(2));
    assert_eq!(judge(&world.evidence).unwrap().unknown_done, 1);
}

#[test]
fn equal_requests_of_a_session_are_a_fault_of_the_harness() {
    let mut world = World::new();
    for _ in 0..2 {
        world.record(What::Write(set("/a", "same", -1)), Outcome::Unknown(String::new()), at(2));
    }
    assert_eq!(world.broken(), "no verdict");
}

#[test]
fn a_write_before_what_was_seen_is_noticed() {
    let (mut world, zxid) = with_set();
    world.last().floor = zxid;
    assert_eq!(world.broken(), "RealTimeOrder");
    world.last().outcome = Outcome::Unknown(String::new());
    assert_eq!(world.broken(), "RealTimeOrder");
    let (mut world, zxid) = with_set();
    world.last().seen = zxid;
    assert_eq!(world.broken(), "SessionMonotoneReads");
}

#[test]
fn a_read_of_the_past_is_noticed() {
    let (mut world, zxid) = with_set();
    let before = Zxid(zxid.0 - 1);
    for (synced, property) in [(true, "LinearizableReads"), (false, "SessionMonotoneReads")] {
        world.get("/a", synced);
        let Outcome::Read(_, result) = world.last().outcome.clone() else { unreachable!() };
        world.last().outcome = Outcome::Read(before, result);
        // What others saw binds only a read behind a sync.
        world.last().seen = if synced { before } else { zxid };
        assert_eq!(world.broken(), property);
        world.evidence.operations.pop();
    }
}

#[test]
fn a_read_of_what_never_was_is_noticed() {
    let (mut world, _) = with_set();
    let stat = world.tree.stat("/a").unwrap().unwrap();
    let wrong = [
        ("/a", Look::Get, ReadResult::Data(Ok((Bytes::from_static(b"0"), stat)))),
        ("/a", Look::Exists, ReadResult::Stat(Ok(None))),
        ("/b", Look::Exists, ReadResult::Stat(Ok(Some(stat)))),
        (
            "/",
            Look::Children { after: String::new(), limit: 0 },
            ReadResult::Children(Ok(Page { names: Vec::new(), stats: Vec::new(), stat, more: false })),
        ),
    ];
    for (path, look, result) in wrong {
        world.read(path, look, false, result);
        assert_eq!(world.broken(), "ReadContent", "{path}");
        world.evidence.operations.pop();
    }
    let now = world.tree.applied();
    world.record(What::Read { path: "/a".into(), look: Look::Get, synced: false }, Outcome::Missing, now);
    assert_eq!(world.broken(), "ReadContent");
    world.last().outcome = Outcome::Read(Zxid(now.0 + 9), ReadResult::Stat(Ok(None)));
    assert_eq!(world.broken(), "ReadContent", "beyond the end");
}

#[test]
fn trees_that_are_not_what_the_logs_make_are_noticed() {
    let (mut world, _) = with_set();
    world.evidence.digest ^= 1;
    assert_eq!(world.broken(), "DigestAgreement");
}

#[test]
fn a_session_that_is_ended_early_is_noticed() {
    let expired = |world: &mut World, time_ms: u64| {
        world.time_ms = time_ms;
        let close = CloseSession { session: world.session, expired: true, generation: 1 };
        world.commit(SessionId::NONE, Command::CloseSession(close)).1.unwrap();
    };
    let timeout = u64::from(TIMEOUT_MS);
    let mut world = World::new();
    expired(&mut world, 1_000 + timeout);
    let checked = judge(&world.evidence).unwrap();
    assert_eq!((checked.sessions, checked.expiries), (1, 1));
    let mut world = World::new();
    expired(&mut world, 1_000 + timeout - 1);
    assert_eq!(world.broken(), "ExpiredEarly");
    // A write is a sign of life too.
    let mut world = World::new();
    world.time_ms = 4_000;
    world.write(set("/a", "alive", -1));
    expired(&mut world, 1_500 + timeout);
    assert_eq!(world.broken(), "ExpiredEarly");
}

#[test]
fn watches_that_are_silent_or_false_are_noticed() {
    let (mut world, zxid) = with_set();
    let armed = Zxid(zxid.0 - 1);
    let event = TreeEvent { kind: EventKind::DataChanged, path: "/a".into(), zxid };
    let kind = WatchKind::Data;
    let right =
        WatchSeen { kind, path: "/a".into(), after: armed, armed_by: armed, quiet_until: armed, event: Some(event) };
    world.evidence.watches = vec![right.clone()];
    assert_eq!(judge(&world.evidence).unwrap().watches_fired, 1);
    let silent = WatchSeen { quiet_until: zxid, event: None, ..right.clone() };
    let late = WatchSeen { quiet_until: zxid, ..right.clone() };
    let nothing_happened = WatchSeen { after: zxid, armed_by: zxid, ..right.clone() };
    let wrong_path = WatchSeen { path: "/b".into(), ..right.clone() };
    let properties = ["WatchFires", "WatchFires", "WatchSpurious", "WatchSpurious"];
    for (wrong, property) in [silent, late, nothing_happened, wrong_path].into_iter().zip(properties) {
        world.evidence.watches = vec![wrong];
        assert_eq!(world.broken(), property);
    }
    // It may be that the change came before the watch.
    world.evidence.watches = vec![WatchSeen { armed_by: zxid, event: None, quiet_until: zxid, ..right }];
    assert_eq!(world.broken(), "");
}
