//! What a command does to the tree: the same on every node, in the order of the zxids.
//!
//! Invariants:
//! - A command that fails changes nothing and has no events.
//! - A command checks everything before its first change. Only a multi can fail in its middle; it keeps what it
//!   replaced, and puts it back.
//! - All changes of an entry carry its zxid and its time; the time never goes back, whatever the leaders' clocks do.

use super::command::{
    Check, Command, Create, CreateMode, Created, Delete, Done, Envelope, EventKind, Multi, Reap, Reply, SetAcl,
    SetData, TreeError, TreeEvent,
};
use super::znode::{AclList, Kind, Znode, checked_acl, next_version};
use super::{Tree, path};
use crate::ids::{SessionId, Zxid};
use crate::limits::{MULTI_OPERATIONS_MAX, TTL_MS_MAX, ZNODE_DATA_BYTES_MAX};
use crate::log::record::Entry;
use bytes::Bytes;
use std::sync::Arc;

/// What came of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// What its client is told.
    pub reply: Result<Reply, TreeError>,
    /// What watches may be waiting for, in order.
    pub events: Vec<TreeEvent>,
}

/// What stood under a key before it was changed.
type Replaced = (Vec<u8>, Option<Arc<Znode>>);

/// One entry at work.
pub(super) struct Transaction<'a> {
    pub(super) tree: &'a mut Tree,
    pub(super) zxid: Zxid,
    time_ms: u64,
    session: SessionId,
    events: Vec<TreeEvent>,
    /// In a multi: what to put back if it fails, in the order of the changes.
    undo: Option<Vec<Replaced>>,
}

impl Tree {
    /// Applies the command of the entry `zxid`, made at the leader's wall clock `time_ms`.
    ///
    /// # Panics
    /// If the zxid is not above the last one: entries are applied once and in order.
    pub fn apply(&mut self, zxid: Zxid, time_ms: u64, envelope: &Envelope) -> Applied {
        self.advance(zxid);
        self.time_ms = self.time_ms.max(time_ms);
        let time_ms = self.time_ms;
        let session = envelope.session;
        let mut transaction = Transaction { tree: self, zxid, time_ms, session, events: Vec::new(), undo: None };
        let reply = transaction.run(envelope);
        let events = transaction.events;
        assert!(reply.is_ok() || events.is_empty(), "a command that failed changed something");
        Applied { reply, events }
    }

    /// Applies an entry of the log. An epoch's marker only moves [`Tree::applied`].
    ///
    /// # Panics
    /// If the payload is no command: only a defect can have made it durable, and every node has it.
    pub fn apply_entry(&mut self, entry: &Entry) -> Option<(Envelope, Applied)> {
        if entry.is_marker() {
            self.advance(entry.zxid());
            return None;
        }
        let envelope = Envelope::decode(&entry.payload()).unwrap_or_else(|error| {
            panic!("entry {} holds no command ({error}): written by a newer version, or a defect", entry.zxid())
        });
        let applied = self.apply(entry.zxid(), entry.time_ms(), &envelope);
        Some((envelope, applied))
    }

    fn advance(&mut self, zxid: Zxid) {
        assert!(zxid > self.applied, "entry {zxid} comes after {} was applied", self.applied);
        self.applied = zxid;
    }
}

impl Transaction<'_> {
    fn run(&mut self, envelope: &Envelope) -> Result<Reply, TreeError> {
        match &envelope.command {
            Command::OpenSession(open) => return self.open_session(open),
            Command::AttachSession(attach) => return self.attach_session(attach),
            _ => self.check_session(envelope)?,
        }
        match &envelope.command {
            Command::CloseSession(close) => self.close_session(envelope, close),
            Command::Multi(multi) => self.multi(multi),
            Command::Reap(reap) => self.reap(reap),
            other => self.operation(other),
        }
    }

    /// The commands that a multi may hold.
    fn operation(&mut self, command: &Command) -> Result<Reply, TreeError> {
        match command {
            Command::Create(create) => self.create(create),
            Command::Delete(delete) => self.delete(delete),
            Command::SetData(set) => self.set_data(set),
            Command::SetAcl(set) => self.set_acl(set),
            Command::Check(check) => self.check(check),
            _ => Err(TreeError::Invalid("a multi holds only create, delete, set data, set ACL and check".into())),
        }
    }

    fn multi(&mut self, multi: &Multi) -> Result<Reply, TreeError> {
        let count = multi.operations.len();
        if count > MULTI_OPERATIONS_MAX {
            return Err(TreeError::Invalid(format!("a multi of {count} operations; at most {MULTI_OPERATIONS_MAX}")));
        }
        self.undo = Some(Vec::new());
        let mut replies = Vec::with_capacity(count);
        for (index, operation) in multi.operations.iter().enumerate() {
            match self.operation(operation) {
                Ok(reply) => replies.push(reply),
                Err(cause) => {
                    self.roll_back();
                    return Err(TreeError::Multi { index, cause: Box::new(cause) });
                }
            }
        }
        Ok(Reply::Multi(replies))
    }

    fn roll_back(&mut self) {
        let undo = self.undo.take().expect("only a multi rolls back");
        for (key, znode) in undo.into_iter().rev() {
            self.tree.put_znode(&key, znode);
        }
        self.events.clear();
    }

    fn create(&mut self, create: &Create) -> Result<Reply, TreeError> {
        // The order of the checks is ZooKeeper's: clients see it in the errors.
        let kind = self.kind_of(create)?;
        check_data(&create.data)?;
        let acl = checked_acl(&create.acl)?;
        path::validate_lookup(&create.path)?;
        let parent_path = path::parent(&create.path);
        let parent = self.tree.znode(parent_path)?;
        let path = match create.mode {
            CreateMode::PersistentSequential
            | CreateMode::EphemeralSequential
            | CreateMode::PersistentSequentialTtl => {
                format!("{}{:010}", create.path, parent.created_children)
            }
            CreateMode::Persistent | CreateMode::Ephemeral | CreateMode::Container | CreateMode::PersistentTtl => {
                create.path.clone()
            }
        };
        path::validate(&path)?;
        let ephemeral_parent = parent.owner().is_some();
        if self.tree.znodes.get(&path::key(&path)).is_some() {
            return Err(TreeError::NodeExists(path));
        }
        if ephemeral_parent {
            return Err(TreeError::EphemeralParent(parent_path.to_owned()));
        }
        let acl: Arc<AclList> = self.tree.acls.share(acl);
        let znode = Znode::new(kind, Bytes::copy_from_slice(&create.data), acl, self.zxid, self.time_ms);
        let stat = znode.stat();
        self.put(path::key(&path), Some(Arc::new(znode)));
        self.change_parent(parent_path, |parent| {
            parent.created_children += 1;
            parent.num_children += 1;
        });
        self.event(EventKind::Created, &path);
        self.event(EventKind::ChildrenChanged, parent_path);
        Ok(Reply::Created(Created { path, stat }))
    }

    fn kind_of(&self, create: &Create) -> Result<Kind, TreeError> {
        let is_ttl = matches!(create.mode, CreateMode::PersistentTtl | CreateMode::PersistentSequentialTtl);
        if is_ttl && !(1..=TTL_MS_MAX).contains(&create.ttl_ms) {
            let text = format!("a TTL of {} ms; it must be 1 to {TTL_MS_MAX} ms", create.ttl_ms);
            return Err(TreeError::Invalid(text));
        }
        if !is_ttl && create.ttl_ms != 0 {
            return Err(TreeError::Invalid("a TTL is only for the TTL modes".into()));
        }
        match create.mode {
            CreateMode::Persistent | CreateMode::PersistentSequential => Ok(Kind::Persistent),
            CreateMode::Ephemeral | CreateMode::EphemeralSequential if self.session == SessionId::NONE => {
                Err(TreeError::Invalid("an ephemeral znode needs a session; connect with one".into()))
            }
            CreateMode::Ephemeral | CreateMode::EphemeralSequential => Ok(Kind::Ephemeral(self.session)),
            CreateMode::Container => Ok(Kind::Container),
            CreateMode::PersistentTtl | CreateMode::PersistentSequentialTtl => Ok(Kind::Ttl(create.ttl_ms)),
        }
    }

    fn delete(&mut self, delete: &Delete) -> Result<Reply, TreeError> {
        let path = delete.path.as_str();
        if path == path::ROOT {
            return Err(TreeError::Invalid("the root cannot be deleted".into()));
        }
        let znode = self.tree.znode(path)?;
        check_version(path, delete.version, znode.version)?;
        if znode.num_children > 0 {
            return Err(TreeError::NotEmpty(path.to_owned()));
        }
        self.remove_znode(path);
        Ok(Reply::Done(Done))
    }

    fn set_data(&mut self, set: &SetData) -> Result<Reply, TreeError> {
        path::validate(&set.path)?;
        check_data(&set.data)?;
        let (zxid, time_ms) = (self.zxid, self.time_ms);
        let stat = self.change(&set.path, |znode| {
            check_version(&set.path, set.version, znode.version)?;
            znode.put_data(Bytes::copy_from_slice(&set.data));
            znode.version = next_version(znode.version);
            znode.mzxid = zxid;
            znode.mtime_ms = time_ms;
            Ok(znode.stat())
        })?;
        self.event(EventKind::DataChanged, &set.path);
        Ok(Reply::Stat(stat))
    }

    fn set_acl(&mut self, set: &SetAcl) -> Result<Reply, TreeError> {
        path::validate(&set.path)?;
        let acl = checked_acl(&set.acl)?;
        let acl = self.tree.acls.share(acl);
        let stat = self.change(&set.path, |znode| {
            check_version(&set.path, set.version, znode.aversion)?;
            znode.acl = acl;
            znode.aversion = next_version(znode.aversion);
            Ok(znode.stat())
        })?;
        Ok(Reply::Stat(stat))
    }

    fn check(&mut self, check: &Check) -> Result<Reply, TreeError> {
        path::validate(&check.path)?;
        check_version(&check.path, check.version, self.tree.znode(&check.path)?.version)?;
        Ok(Reply::Done(Done))
    }

    /// The leader's opinion that a znode has had its time is checked again here, where it is a fact.
    fn reap(&mut self, reap: &Reap) -> Result<Reply, TreeError> {
        let znode = self.tree.znode(&reap.path)?;
        if znode.num_children > 0 {
            return Err(TreeError::NotEmpty(reap.path.clone()));
        }
        match znode.reapable_from_ms() {
            Some(from_ms) if from_ms <= self.time_ms => {
                self.remove_znode(&reap.path);
                Ok(Reply::Done(Done))
            }
            Some(_) => Err(TreeError::Invalid(format!("the time of {} is not over", reap.path))),
            None => {
                Err(TreeError::Invalid(format!("{} is no container that had children, nor has it a TTL", reap.path)))
            }
        }
    }

    /// Removes a znode that exists, is not the root and has no children.
    pub(super) fn remove_znode(&mut self, path: &str) {
        let parent_path = path::parent(path);
        self.put(path::key(path), None);
        self.change_parent(parent_path, |parent| parent.num_children -= 1);
        self.event(EventKind::Deleted, path);
        self.event(EventKind::ChildrenChanged, parent_path);
    }

    fn put(&mut self, key: Vec<u8>, znode: Option<Arc<Znode>>) {
        let old = self.tree.put_znode(&key, znode);
        if let Some(undo) = &mut self.undo {
            undo.push((key, old));
        }
    }

    /// Changes a znode, unless there is none or `change` refuses; `change` must refuse before it changes anything.
    fn change<T>(
        &mut self,
        path: &str,
        change: impl FnOnce(&mut Znode) -> Result<T, TreeError>,
    ) -> Result<T, TreeError> {
        let key = path::key(path);
        if let Some(undo) = &mut self.undo
            && let Some(old) = self.tree.znodes.get(&key)
        {
            undo.push((key.clone(), Some(Arc::clone(old))));
        }
        self.tree.change_znode(&key, change).unwrap_or_else(|| Err(TreeError::NoNode(path.to_owned())))
    }

    /// Counts a child that came or went.
    fn change_parent(&mut self, path: &str, count: impl FnOnce(&mut Znode)) {
        let zxid = self.zxid;
        let changed = self.change(path, |parent| {
            count(parent);
            parent.cversion = parent.cversion.wrapping_add(1);
            parent.pzxid = zxid;
            Ok(())
        });
        assert_eq!(changed, Ok(()), "every znode has a parent");
    }

    fn event(&mut self, kind: EventKind, path: &str) {
        self.events.push(TreeEvent { kind, path: path.to_owned(), zxid: self.zxid });
    }
}

fn check_data(data: &Bytes) -> Result<(), TreeError> {
    if data.len() <= ZNODE_DATA_BYTES_MAX {
        return Ok(());
    }
    Err(TreeError::Invalid(format!("{} bytes of data; a znode holds at most {ZNODE_DATA_BYTES_MAX}", data.len())))
}

fn check_version(path: &str, expected: i32, actual: i32) -> Result<(), TreeError> {
    if expected == -1 || expected == actual {
        return Ok(());
    }
    Err(TreeError::BadVersion { path: path.to_owned(), expected, actual })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::NodeId;
    use crate::tree::command::{Acl, AttachSession, CloseSession, OpenSession, Stat};

    /// A tree that numbers its entries itself; `session` and `generation` are those of the commands.
    struct World {
        tree: Tree,
        session: SessionId,
        generation: u32,
        time_ms: u64,
    }

    impl World {
        fn new() -> World {
            World { tree: Tree::new(), session: SessionId::NONE, generation: 0, time_ms: 1_000 }
        }

        fn apply(&mut self, command: Command) -> Applied {
            let zxid = Zxid(self.tree.applied().0 + 1);
            let (session, generation) = (self.session, self.generation);
            let envelope = Envelope { origin: NodeId(1), tag: 0, session, generation, command };
            self.tree.apply(zxid, self.time_ms, &envelope)
        }

        fn run(&mut self, command: Command) -> Result<Reply, TreeError> {
            self.apply(command).reply
        }

        fn open(&mut self) -> SessionId {
            let secret = Bytes::from_static(b"secret");
            match self.run(Command::OpenSession(OpenSession { timeout_ms: 0, secret })) {
                Ok(Reply::Session(reply)) => reply.session,
                other => panic!("{other:?}"),
            }
        }

        fn stat(&self, path: &str) -> Stat {
            self.tree.stat(path).unwrap().unwrap_or_else(|| panic!("no {path}"))
        }
    }

    fn create_as(path: &str, mode: CreateMode, ttl_ms: u64) -> Command {
        Command::Create(Create { path: path.into(), data: Bytes::from_static(b"x"), acl: Acl::open(), mode, ttl_ms })
    }

    fn create(path: &str) -> Command {
        create_as(path, CreateMode::Persistent, 0)
    }

    fn delete(path: &str) -> Command {
        Command::Delete(Delete { path: path.into(), version: -1 })
    }

    fn set(path: &str, version: i32) -> Command {
        Command::SetData(SetData { path: path.into(), data: Bytes::from_static(b"yy"), version })
    }

    fn path_of(reply: Result<Reply, TreeError>) -> String {
        match reply {
            Ok(Reply::Created(created)) => created.path,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn stats_tell_the_history_of_a_znode() {
        let mut world = World::new();
        world.run(create("/a")).unwrap();
        world.time_ms = 5;
        world.run(create("/a/b")).unwrap();
        world.time_ms = 2_000;
        world.run(set("/a", 0)).unwrap();
        world.run(delete("/a/b")).unwrap();
        let expected = Stat {
            czxid: Zxid(1),
            mzxid: Zxid(3),
            ctime_ms: 1_000,
            mtime_ms: 2_000,
            version: 1,
            cversion: 2,
            data_length: 2,
            pzxid: Zxid(4),
            ..Stat::default()
        };
        assert_eq!(world.stat("/a"), expected);
        assert_eq!((world.stat("/").cversion, world.stat("/").num_children, world.stat("/").pzxid), (1, 1, Zxid(1)));
    }

    #[test]
    fn sequential_names_count_every_child_ever_made() {
        let mut world = World::new();
        world.run(create("/q")).unwrap();
        world.run(create("/q/other")).unwrap();
        let sequential = |path| create_as(path, CreateMode::PersistentSequential, 0);
        assert_eq!(path_of(world.run(sequential("/q/n-"))), "/q/n-0000000001");
        world.run(delete("/q/n-0000000001")).unwrap();
        assert_eq!(path_of(world.run(sequential("/q/"))), "/q/0000000002");
        assert_eq!(path_of(world.run(sequential("/"))), "/0000000001");
    }

    #[test]
    fn a_failed_multi_leaves_no_trace() {
        let mut world = World::new();
        world.session = world.open();
        world.generation = 1;
        world.run(create_as("/e", CreateMode::Ephemeral, 0)).unwrap();
        world.run(create_as("/t", CreateMode::PersistentTtl, 10)).unwrap();
        let before = world.tree.clone();
        let operations =
            vec![delete("/e"), create("/t/x"), set("/t", 0), create_as("/n", CreateMode::Ephemeral, 0), set("/t", 0)];
        let applied = world.apply(Command::Multi(Multi { operations: operations.clone() }));
        let cause = Box::new(TreeError::BadVersion { path: "/t".into(), expected: 0, actual: 1 });
        assert_eq!(applied.reply, Err(TreeError::Multi { index: 4, cause }));
        assert!(applied.events.is_empty());
        assert_eq!(world.tree.digest(), before.digest());
        assert_eq!(world.tree.ephemerals(world.session), ["/e"]);
        assert_eq!(world.tree.reapable(u64::MAX, 9), ["/t"]);

        let applied = world.apply(Command::Multi(Multi { operations: operations[..4].to_vec() }));
        assert!(matches!(applied.reply, Ok(Reply::Multi(replies)) if replies.len() == 4));
        assert_eq!(applied.events.len(), 7);
        assert_eq!(world.tree.ephemerals(world.session), ["/n"]);
        assert_eq!(world.stat("/t/x").czxid, world.stat("/n").czxid);
    }

    /// What is put back in place of a changed znode is still that session's.
    #[test]
    fn a_failed_multi_that_changed_an_ephemeral_leaves_it_to_its_session() {
        let mut world = World::new();
        world.session = world.open();
        world.generation = 1;
        world.run(create_as("/e", CreateMode::Ephemeral, 0)).unwrap();
        let operations = vec![set("/e", 0), delete("/none")];
        assert!(world.run(Command::Multi(Multi { operations })).is_err());
        assert_eq!(world.tree.ephemerals(world.session), ["/e"]);
        let (session, generation) = (world.session, 1);
        world.run(Command::CloseSession(CloseSession { session, expired: false, generation })).unwrap();
        assert_eq!(world.tree.stat("/e").unwrap(), None);
    }

    #[test]
    fn a_session_takes_its_ephemerals_with_it() {
        let mut world = World::new();
        let session = world.open();
        assert!(world.run(create_as("/e", CreateMode::Ephemeral, 0)).is_err(), "no session, no ephemeral");
        (world.session, world.generation) = (session, 1);
        world.run(create_as("/e", CreateMode::Ephemeral, 0)).unwrap();
        assert_eq!(world.run(create("/e/x")), Err(TreeError::EphemeralParent("/e".into())));
        let secret = Bytes::from_static(b"secret");
        world.run(Command::AttachSession(AttachSession { session, secret })).unwrap();
        assert_eq!(world.run(create("/x")), Err(TreeError::SessionMoved(session)), "the old connection is out");

        let expire = |generation| Command::CloseSession(CloseSession { session, expired: true, generation });
        (world.session, world.generation) = (SessionId::NONE, 0);
        assert_eq!(world.run(expire(1)), Err(TreeError::SessionMoved(session)), "attached again meanwhile");
        let applied = world.apply(expire(2));
        let kinds: Vec<_> = applied.events.iter().map(|event| (event.kind, event.path.as_str())).collect();
        assert_eq!(kinds, [(EventKind::Deleted, "/e"), (EventKind::ChildrenChanged, "/")]);
        assert_eq!(world.run(expire(2)), Err(TreeError::SessionExpired(session)));
        assert_eq!(world.tree.sessions().count(), 0);
    }

    #[test]
    fn containers_and_ttl_znodes_are_reaped_when_their_time_has_come() {
        let mut world = World::new();
        let reap = |path: &str| Command::Reap(Reap { path: path.into() });
        world.run(create_as("/c", CreateMode::Container, 0)).unwrap();
        world.run(create_as("/t", CreateMode::PersistentTtl, 100)).unwrap();
        assert!(
            world.tree.reapable(1_100, 9).is_empty()
                && world.run(reap("/c")).is_err()
                && world.run(reap("/t")).is_err()
        );
        world.run(create("/c/x")).unwrap();
        assert_eq!(world.run(reap("/c")), Err(TreeError::NotEmpty("/c".into())));
        world.run(delete("/c/x")).unwrap();
        assert_eq!(world.tree.reapable(1_101, 9), ["/c", "/t"]);
        assert_eq!(world.tree.reapable(1_101, 1), ["/c"]);
        world.time_ms = 1_101;
        assert_eq!((world.run(reap("/c")), world.run(reap("/t"))), (Ok(Reply::Done(Done)), Ok(Reply::Done(Done))));
        assert_eq!(world.tree.znodes(), 1);
    }

    #[test]
    fn what_is_too_large_is_refused() {
        let mut world = World::new();
        let data = Bytes::from(vec![0; ZNODE_DATA_BYTES_MAX + 1]);
        let set = |data| Command::SetData(SetData { path: "/".into(), data, version: -1 });
        assert!(matches!(world.run(set(data.clone())), Err(TreeError::Invalid(_))));
        world.run(set(data.slice(1..))).unwrap();
        let Command::Create(mut create) = create("/a") else { unreachable!() };
        create.data = data;
        assert!(matches!(world.run(Command::Create(create)), Err(TreeError::Invalid(_))));
        let operations = vec![delete("/x"); MULTI_OPERATIONS_MAX + 1];
        assert!(matches!(world.run(Command::Multi(Multi { operations })), Err(TreeError::Invalid(_))));
        let secret = Bytes::from(vec![1; 65]);
        let open = Command::OpenSession(OpenSession { timeout_ms: 0, secret });
        assert!(matches!(world.run(open), Err(TreeError::Invalid(_))));
    }

    #[test]
    fn a_marker_moves_only_the_zxid() {
        let mut tree = Tree::new();
        let digest = tree.digest();
        assert!(tree.apply_entry(&Entry::new(Zxid(7 << 40), 9, b"")).is_none());
        assert_eq!((tree.applied(), tree.digest(), tree.time_ms()), (Zxid(7 << 40), digest, 0));
    }

    #[test]
    #[should_panic(expected = "comes after")]
    fn an_entry_is_never_applied_twice() {
        let mut world = World::new();
        world.run(create("/a")).unwrap();
        let command = create("/b");
        let envelope = Envelope { origin: NodeId(1), tag: 0, session: SessionId::NONE, generation: 0, command };
        world.tree.apply(Zxid(1), 0, &envelope);
    }
}
