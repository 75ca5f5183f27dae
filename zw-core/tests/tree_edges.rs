//! The tree at its bounds: what is just allowed and what no longer, and what a page of children holds. The model of
//! `tree_model` does not come there.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use bytes::Bytes;
use std::time::Duration;
use zw_core::ids::{Epoch, NodeId, SessionId, Tick, Zxid};
use zw_core::limits::{
    CHILDREN_PAGE_BYTES_MAX, CHILDREN_PAGE_MAX, EXPIRIES_AT_ONCE_MAX, MULTI_OPERATIONS_MAX, SESSION_SECRET_BYTES_MAX,
    TTL_MS_MAX, ZNODE_DATA_BYTES_MAX,
};
use zw_core::tree::command::{
    Acl, Check, CloseSession, Command, Create, CreateMode, Envelope, Multi, OpenSession, Reap, Reply, TreeError,
};
use zw_core::tree::expiry::{Expiry, patience};
use zw_core::tree::{Applied, Tree};

/// A tree and the time of its next command.
struct World {
    tree: Tree,
    time_ms: u64,
}

impl World {
    fn new() -> World {
        let mut tree = Tree::new();
        let marker = zw_core::log::record::Entry::new(Zxid::marker(Epoch(1)), 0, b"");
        assert!(tree.apply_entry(&marker).is_none());
        World { tree, time_ms: 1_000 }
    }

    fn run(&mut self, command: Command) -> Result<Reply, TreeError> {
        let envelope = Envelope { origin: NodeId(1), tag: 1, session: SessionId::NONE, generation: 0, command };
        let zxid = self.tree.applied().successor().unwrap();
        let Applied { reply, .. } = self.tree.apply(zxid, self.time_ms, &envelope);
        reply
    }

    fn open_session(&mut self, timeout_ms: u32, secret_bytes: usize) -> Result<Reply, TreeError> {
        self.run(Command::OpenSession(OpenSession { timeout_ms, secret: vec![7; secret_bytes].into() }))
    }

    fn create(&mut self, path: &str) {
        self.run(create(path, CreateMode::Persistent, 0, 0)).unwrap();
    }
}

fn create(path: &str, mode: CreateMode, ttl_ms: u64, data_bytes: usize) -> Command {
    let data = Bytes::from(vec![0; data_bytes]);
    Command::Create(Create { path: path.to_owned(), data, acl: Acl::open(), mode, ttl_ms })
}

#[test]
fn what_is_as_large_as_its_limit_is_allowed() {
    let mut world = World::new();
    let check = Command::Check(Check { path: "/".to_owned(), version: -1 });
    let multi = |count| Command::Multi(Multi { operations: vec![check.clone(); count] });
    let ttl = |path, ttl_ms| create(path, CreateMode::PersistentTtl, ttl_ms, 0);
    for (allowed, refused) in [
        (multi(MULTI_OPERATIONS_MAX), multi(MULTI_OPERATIONS_MAX + 1)),
        (
            create("/a", CreateMode::Persistent, 0, ZNODE_DATA_BYTES_MAX),
            create("/b", CreateMode::Persistent, 0, ZNODE_DATA_BYTES_MAX + 1),
        ),
        (ttl("/c", TTL_MS_MAX), ttl("/d", TTL_MS_MAX + 1)),
        (ttl("/e", 1), ttl("/f", 0)),
    ] {
        assert!(world.run(allowed).is_ok());
        assert!(matches!(world.run(refused), Err(TreeError::Invalid(_))));
    }
    for (secret_bytes, allowed) in
        [(0, false), (1, true), (SESSION_SECRET_BYTES_MAX, true), (SESSION_SECRET_BYTES_MAX + 1, false)]
    {
        assert_eq!(world.open_session(5_000, secret_bytes).is_ok(), allowed, "{secret_bytes} bytes");
    }
}

/// A page ends where its names, and Stats if they are wanted, would be too many bytes; one child it always holds.
#[test]
fn a_page_of_children_is_bounded_in_bytes() {
    let mut world = World::new();
    let name_bytes = 4_000;
    let count = CHILDREN_PAGE_BYTES_MAX / name_bytes;
    for number in 0..=count {
        world.create(&format!("/{number:0name_bytes$}"));
    }
    let page = world.tree.children("/", "", 0, false).unwrap();
    assert_eq!((page.names.len(), page.stats.len(), page.more), (count, 0, true));
    let rest = world.tree.children("/", page.names.last().unwrap(), 0, false).unwrap();
    assert_eq!((rest.names.len(), rest.more), (1, false));
    let with_stats = world.tree.children("/", "", 0, true).unwrap();
    assert!(with_stats.names.len() < count && with_stats.more);
    assert_eq!(with_stats.stats.len(), with_stats.names.len());
}

#[test]
fn a_page_whose_names_fill_it_exactly_is_whole() {
    let mut world = World::new();
    let name_bytes = 4_096;
    let count = CHILDREN_PAGE_BYTES_MAX / name_bytes;
    world.create("/d");
    let short = name_bytes - 200;
    // Names that are too long for a path are made up by shorter ones; together they are exactly a page.
    let mut left = CHILDREN_PAGE_BYTES_MAX;
    let mut number = 0;
    while left > 0 {
        let bytes = short.min(left);
        world.create(&format!("/d/{number:0bytes$}"));
        left -= bytes;
        number += 1;
    }
    assert!(number > count);
    let page = world.tree.children("/d", "", 0, false).unwrap();
    assert_eq!((page.names.len(), page.more), (number, false));
}

#[test]
fn a_page_of_children_is_bounded_in_number() {
    let mut world = World::new();
    for number in 0..=CHILDREN_PAGE_MAX {
        world.create(&format!("/{number}"));
    }
    for (limit, expected) in [(0, CHILDREN_PAGE_MAX), (CHILDREN_PAGE_MAX + 9, CHILDREN_PAGE_MAX), (3, 3)] {
        let page = world.tree.children("/", "", limit, false).unwrap();
        assert_eq!((page.names.len(), page.more), (expected, true));
    }
}

/// What the leader proposes is what the tree accepts at that time.
#[test]
fn a_leader_proposes_to_reap_what_is_due() {
    let mut world = World::new();
    world.run(create("/later", CreateMode::PersistentTtl, 500, 0)).unwrap();
    world.run(create("/soon", CreateMode::PersistentTtl, 100, 0)).unwrap();
    let reap = |path: &str| Command::Reap(Reap { path: path.to_owned() });
    assert_eq!(world.tree.reaping(1_100, 9), []);
    assert_eq!(world.tree.reaping(1_101, 9), [reap("/soon")]);
    assert_eq!(world.tree.reaping(1_501, 9), [reap("/soon"), reap("/later")]);
    assert_eq!(world.tree.reaping(1_501, 1), [reap("/soon")], "those due longest come first");
    assert!(world.run(reap("/soon")).is_err(), "its time is not over");
    world.time_ms = 1_100;
    assert!(world.run(reap("/soon")).is_err());
    world.time_ms = 1_101;
    assert!(world.run(reap("/soon")).is_ok());
    world.time_ms = 1_501;
    world.create("/tick");
    assert_eq!(world.tree.reaping(0, 9), [reap("/later")], "a leader whose clock is behind goes by the tree's");
}

#[test]
fn sessions_are_part_of_the_digest() {
    let digest = |timeouts: &[(u32, usize)]| {
        let mut world = World::new();
        timeouts.iter().for_each(|(timeout_ms, secret)| drop(world.open_session(*timeout_ms, *secret).unwrap()));
        world.tree.digest()
    };
    let digests = [digest(&[]), digest(&[(5_000, 8)]), digest(&[(6_000, 8)]), digest(&[(5_000, 9)])];
    for (index, digest) in digests.iter().enumerate() {
        assert!(!digests[..index].contains(digest), "{digests:x?}");
    }
}

/// A session that was silent is ended in the generation that was silent, and so many at once.
#[test]
fn a_leader_proposes_to_end_silent_sessions() {
    let mut world = World::new();
    let mut expiry = Expiry::default();
    let now = Tick(0);
    for _ in 0..=EXPIRIES_AT_ONCE_MAX {
        let Ok(Reply::Session(opened)) = world.open_session(1_000, 8) else { panic!("no session") };
        expiry.opened(opened.session, patience(opened.timeout_ms), now);
    }
    // What the tree does not know any more is not proposed.
    expiry.opened(SessionId(7), Duration::from_secs(1), now);
    let silent = now.after(Duration::from_millis(1_000));
    let late = now.after(Duration::from_secs(2));
    assert!(patience(1_000) > Duration::from_secs(1), "the news of a sign of life takes a while");
    assert_eq!(expiry.closings(silent, &world.tree), [], "the one that is unknown is left out");
    let closings = expiry.closings(late, &world.tree);
    assert!(closings.len() >= EXPIRIES_AT_ONCE_MAX - 1 && closings.len() <= EXPIRIES_AT_ONCE_MAX);
    let expired =
        |command: &Command| matches!(command, Command::CloseSession(CloseSession { expired: true, generation: 1, .. }));
    assert!(closings.iter().all(expired));
    assert!(closings.into_iter().all(|close| world.run(close).is_ok()));
    expiry.clear();
    assert_eq!(expiry.next_deadline(), None, "who does not lead ends nothing");
}
