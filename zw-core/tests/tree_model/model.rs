//! A naive tree, written from ZooKeeper's documented behaviour: a sorted map from path to znode, cloned where the real
//! one is clever. It shares no code with the product but the types of commands and replies.

use bytes::Bytes;
use std::collections::BTreeMap;
use zw_core::ids::{SessionId, Zxid};
use zw_core::tree::command::{
    Acl, Command, Create, CreateMode, Created, Done, Envelope, EventKind, Reply, SessionReply, Stat, TreeError,
    TreeEvent,
};

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub(crate) data: Vec<u8>,
    pub(crate) acl: Vec<Acl>,
    pub(crate) stat: Stat,
    pub(crate) children_ever: u64,
    pub(crate) container: bool,
    pub(crate) ttl_ms: Option<u64>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Opened {
    pub(crate) timeout_ms: u32,
    pub(crate) generation: u32,
    pub(crate) secret: Bytes,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Model {
    pub(crate) nodes: BTreeMap<String, Node>,
    pub(crate) sessions: BTreeMap<SessionId, Opened>,
    pub(crate) time_ms: u64,
}

pub(crate) type Outcome = (Result<Reply, TreeError>, Vec<TreeEvent>);

/// The errors with free text carry none here: only their kind is compared.
fn invalid<T>() -> Result<T, TreeError> {
    Err(TreeError::Invalid(String::new()))
}

fn invalid_path<T>() -> Result<T, TreeError> {
    Err(TreeError::InvalidPath(String::new()))
}

pub(crate) fn parent_of(path: &str) -> String {
    let mut parts: Vec<&str> = path.split('/').collect();
    parts.pop();
    let parent = parts.join("/");
    if parent.is_empty() { "/".into() } else { parent }
}

fn looks_absolute(path: &str) -> bool {
    path.starts_with('/') && !path.contains('\0') && path.len() <= 4096
}

fn is_good(path: &str) -> bool {
    path == "/"
        || (looks_absolute(path)
            && path.split('/').skip(1).all(|name| !name.is_empty() && name != "." && name != "..")
            && path.chars().all(|character| !character.is_control() && character < '\u{e000}'))
}

impl Model {
    pub(crate) fn new() -> Model {
        let open = vec![Acl { permissions: 31, scheme: "world".into(), id: "anyone".into() }];
        let root =
            Node { data: vec![], acl: open, stat: Stat::default(), children_ever: 0, container: false, ttl_ms: None };
        Model { nodes: BTreeMap::from([("/".to_owned(), root)]), sessions: BTreeMap::new(), time_ms: 0 }
    }

    pub(crate) fn apply(&mut self, zxid: Zxid, time_ms: u64, envelope: &Envelope) -> Outcome {
        self.time_ms = self.time_ms.max(time_ms);
        let before = self.clone();
        let mut events = Vec::new();
        let result = self.command(zxid, envelope, &mut events);
        if result.is_err() {
            *self = before;
            events.clear();
        }
        (result, events)
    }

    fn command(&mut self, zxid: Zxid, envelope: &Envelope, events: &mut Vec<TreeEvent>) -> Result<Reply, TreeError> {
        match &envelope.command {
            Command::OpenSession(open) => {
                if open.secret.is_empty() || open.secret.len() > 64 {
                    return invalid();
                }
                let session = SessionId(zxid.0);
                let timeout_ms = open.timeout_ms.clamp(1_000, 3_600_000);
                let opened = Opened { timeout_ms, generation: 1, secret: open.secret.clone() };
                self.sessions.insert(session, opened);
                return Ok(Reply::Session(SessionReply { session, timeout_ms, generation: 1 }));
            }
            Command::AttachSession(attach) => {
                let session = attach.session;
                let opened = self.sessions.get_mut(&session).ok_or(TreeError::SessionExpired(session))?;
                if opened.secret != attach.secret {
                    return Err(TreeError::WrongSecret(session));
                }
                opened.generation += 1;
                let Opened { timeout_ms, generation, .. } = *opened;
                return Ok(Reply::Session(SessionReply { session, timeout_ms, generation }));
            }
            _ => {}
        }
        let session = envelope.session;
        if session != SessionId::NONE {
            let opened = self.sessions.get(&session).ok_or(TreeError::SessionExpired(session))?;
            if opened.generation != envelope.generation {
                return Err(TreeError::SessionMoved(session));
            }
        }
        match &envelope.command {
            Command::CloseSession(close) => {
                let opened = self.sessions.get(&close.session).ok_or(TreeError::SessionExpired(close.session))?;
                if close.expired && opened.generation != close.generation {
                    return Err(TreeError::SessionMoved(close.session));
                }
                if !close.expired && close.session != session {
                    return invalid();
                }
                let owned = |node: &Node| node.stat.ephemeral_owner == close.session;
                let mut doomed: Vec<String> =
                    self.nodes.iter().filter(|(_, node)| owned(node)).map(|(path, _)| path.clone()).collect();
                doomed.sort_by_key(|path| by_parent(path));
                for path in doomed {
                    self.remove(zxid, &path, events);
                }
                self.sessions.remove(&close.session);
                Ok(Reply::Done(Done))
            }
            Command::Multi(multi) => {
                let mut replies = Vec::new();
                for (index, operation) in multi.operations.iter().enumerate() {
                    match self.operation(zxid, session, operation, events) {
                        Ok(reply) => replies.push(reply),
                        Err(cause) => return Err(TreeError::Multi { index, cause: Box::new(cause) }),
                    }
                }
                Ok(Reply::Multi(replies))
            }
            Command::Reap(reap) => self.reap(zxid, &reap.path, events),
            other => self.operation(zxid, session, other, events),
        }
    }

    fn reap(&mut self, zxid: Zxid, path: &str, events: &mut Vec<TreeEvent>) -> Result<Reply, TreeError> {
        let node = self.node(path)?;
        let (stat, now) = (node.stat, self.time_ms);
        let over =
            node.container && node.children_ever > 0 || node.ttl_ms.is_some_and(|ttl_ms| now > stat.mtime_ms + ttl_ms);
        if stat.num_children > 0 {
            return Err(TreeError::NotEmpty(path.to_owned()));
        }
        if !over {
            return invalid();
        }
        self.remove(zxid, path, events);
        Ok(Reply::Done(Done))
    }

    fn operation(
        &mut self,
        zxid: Zxid,
        session: SessionId,
        command: &Command,
        events: &mut Vec<TreeEvent>,
    ) -> Result<Reply, TreeError> {
        match command {
            Command::Create(create) => self.create(zxid, session, create, events),
            Command::Delete(delete) => {
                if delete.path == "/" {
                    return invalid();
                }
                let stat = self.node(&delete.path)?.stat;
                expect(&delete.path, delete.version, stat.version)?;
                if stat.num_children > 0 {
                    return Err(TreeError::NotEmpty(delete.path.clone()));
                }
                self.remove(zxid, &delete.path, events);
                Ok(Reply::Done(Done))
            }
            Command::SetData(set) => {
                if !is_good(&set.path) {
                    return invalid_path();
                }
                if set.data.len() > 1 << 20 {
                    return invalid();
                }
                let version = self.node(&set.path)?.stat.version;
                expect(&set.path, set.version, version)?;
                let now = self.time_ms;
                let node = self.nodes.get_mut(&set.path).unwrap();
                node.data = set.data.to_vec();
                node.stat.data_length = u32::try_from(set.data.len()).unwrap();
                node.stat.version += 1;
                node.stat.mzxid = zxid;
                node.stat.mtime_ms = now;
                events.push(TreeEvent { kind: EventKind::DataChanged, path: set.path.clone(), zxid });
                Ok(Reply::Stat(node.stat))
            }
            Command::SetAcl(set) => {
                if !is_good(&set.path) {
                    return invalid_path();
                }
                let acl = without_repetition(&set.acl)?;
                let aversion = self.node(&set.path)?.stat.aversion;
                expect(&set.path, set.version, aversion)?;
                let node = self.nodes.get_mut(&set.path).unwrap();
                node.acl = acl;
                node.stat.aversion += 1;
                Ok(Reply::Stat(node.stat))
            }
            Command::Check(check) => {
                if !is_good(&check.path) {
                    return invalid_path();
                }
                expect(&check.path, check.version, self.node(&check.path)?.stat.version)?;
                Ok(Reply::Done(Done))
            }
            _ => invalid(),
        }
    }

    fn create(
        &mut self,
        zxid: Zxid,
        session: SessionId,
        create: &Create,
        events: &mut Vec<TreeEvent>,
    ) -> Result<Reply, TreeError> {
        use CreateMode::{
            Container, Ephemeral, EphemeralSequential, PersistentSequential, PersistentSequentialTtl, PersistentTtl,
        };
        let mode = create.mode;
        let ttl_ms = matches!(mode, PersistentTtl | PersistentSequentialTtl).then_some(create.ttl_ms);
        let is_ephemeral = matches!(mode, Ephemeral | EphemeralSequential);
        let is_sequential = matches!(mode, PersistentSequential | EphemeralSequential | PersistentSequentialTtl);
        let ttl_is_good = ttl_ms.map_or(create.ttl_ms == 0, |ttl_ms| ttl_ms > 0 && ttl_ms < 1 << 40);
        if !ttl_is_good || (is_ephemeral && session == SessionId::NONE) || create.data.len() > 1 << 20 {
            return invalid();
        }
        let acl = without_repetition(&create.acl)?;
        if !looks_absolute(&create.path) {
            return invalid_path();
        }
        let parent_path = parent_of(&create.path);
        let parent = self.node(&parent_path)?;
        let number = if is_sequential { format!("{:010}", parent.children_ever) } else { String::new() };
        let path = format!("{}{number}", create.path);
        let parent_is_ephemeral = parent.stat.ephemeral_owner != SessionId::NONE;
        if !is_good(&path) {
            return invalid_path();
        }
        if self.nodes.contains_key(&path) {
            return Err(TreeError::NodeExists(path));
        }
        if parent_is_ephemeral {
            return Err(TreeError::EphemeralParent(parent_path));
        }
        let stat = Stat {
            czxid: zxid,
            mzxid: zxid,
            pzxid: zxid,
            ctime_ms: self.time_ms,
            mtime_ms: self.time_ms,
            ephemeral_owner: if is_ephemeral { session } else { SessionId::NONE },
            data_length: u32::try_from(create.data.len()).unwrap(),
            ..Stat::default()
        };
        let container = mode == Container;
        let node = Node { data: create.data.to_vec(), acl, stat, children_ever: 0, container, ttl_ms };
        self.nodes.insert(path.clone(), node);
        let parent = self.nodes.get_mut(&parent_path).unwrap();
        parent.children_ever += 1;
        parent.stat.num_children += 1;
        parent.stat.cversion += 1;
        parent.stat.pzxid = zxid;
        events.push(TreeEvent { kind: EventKind::Created, path: path.clone(), zxid });
        events.push(TreeEvent { kind: EventKind::ChildrenChanged, path: parent_path, zxid });
        Ok(Reply::Created(Created { path, stat }))
    }

    fn remove(&mut self, zxid: Zxid, path: &str, events: &mut Vec<TreeEvent>) {
        self.nodes.remove(path).unwrap();
        let parent_path = parent_of(path);
        let parent = self.nodes.get_mut(&parent_path).unwrap();
        parent.stat.num_children -= 1;
        parent.stat.cversion += 1;
        parent.stat.pzxid = zxid;
        events.push(TreeEvent { kind: EventKind::Deleted, path: path.to_owned(), zxid });
        events.push(TreeEvent { kind: EventKind::ChildrenChanged, path: parent_path, zxid });
    }

    pub(crate) fn node(&self, path: &str) -> Result<&Node, TreeError> {
        if !looks_absolute(path) {
            return invalid_path();
        }
        self.nodes.get(path).ok_or_else(|| TreeError::NoNode(path.to_owned()))
    }

    pub(crate) fn children(&self, path: &str) -> Vec<String> {
        let children = self.nodes.keys().filter(|child| *child != "/" && parent_of(child) == path);
        children.map(|child| child.rsplit('/').next().unwrap().to_owned()).collect()
    }

    pub(crate) fn reapable(&self) -> Vec<String> {
        let due = |node: &Node| {
            node.stat.num_children == 0
                && (node.container && node.children_ever > 0
                    || node.ttl_ms.is_some_and(|ttl_ms| self.time_ms > node.stat.mtime_ms + ttl_ms))
        };
        self.nodes.iter().filter(|(_, node)| due(node)).map(|(path, _)| path.clone()).collect()
    }
}

/// The order in which a session's ephemerals go: by parent, then name.
pub(crate) fn by_parent(path: &str) -> (String, String) {
    let parent = parent_of(path);
    let parent = if parent == "/" { String::new() } else { parent };
    (parent, path.to_owned())
}

fn expect(path: &str, expected: i32, actual: i32) -> Result<(), TreeError> {
    if expected == -1 || expected == actual {
        return Ok(());
    }
    Err(TreeError::BadVersion { path: path.to_owned(), expected, actual })
}

fn without_repetition(acl: &[Acl]) -> Result<Vec<Acl>, TreeError> {
    let mut list = Vec::new();
    for entry in acl {
        if entry.permissions >= 32 {
            return Err(TreeError::InvalidAcl(String::new()));
        }
        if !list.contains(entry) {
            list.push(entry.clone());
        }
    }
    if list.is_empty() { Err(TreeError::InvalidAcl(String::new())) } else { Ok(list) }
}
