//! The commands that the ensemble replicates, and what they answer.
//!
//! Commands travel, not their effects (protocol decision 5): every node applies the same commands in the same order
//! and must reach the same tree, the same reply and the same events.

use crate::ids::{NodeId, SessionId, Zxid};
use crate::{kinds, numbered};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A command with its author, as it lies in an entry's payload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// The node whose client sent the command; it answers when it applies the entry.
    pub origin: NodeId,
    /// That node's number for the request.
    pub tag: u64,
    /// The session that acts, or [`SessionId::NONE`].
    pub session: SessionId,
    /// The generation of the session that the connection attached to; an older one is refused as moved.
    pub generation: u32,
    /// What to do.
    pub command: Command,
}

impl Envelope {
    /// The bytes of an entry's payload.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        Bytes::from(rmp_serde::to_vec(self).expect("encoding into memory cannot fail"))
    }

    /// Reads what `encode` wrote.
    ///
    /// # Errors
    /// The bytes are no envelope. In a committed entry that is a defect, the same on every node.
    pub fn decode(payload: &[u8]) -> Result<Envelope, rmp_serde::decode::Error> {
        rmp_serde::from_slice(payload)
    }
}

kinds! {
    /// A change of the tree or of the sessions. The number of a kind is for ever.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum Command {
        /// Opens a session; its id is the entry's zxid.
        1 => OpenSession(OpenSession),
        /// Binds the session to a new connection: its generation rises.
        2 => AttachSession(AttachSession),
        /// Ends a session and deletes the ephemerals it has then.
        3 => CloseSession(CloseSession),
        /// Makes a znode.
        4 => Create(Create),
        /// Removes a znode without children.
        5 => Delete(Delete),
        /// Replaces a znode's data.
        6 => SetData(SetData),
        /// Replaces a znode's access control list.
        7 => SetAcl(SetAcl),
        /// Succeeds only if the znode has the version.
        8 => Check(Check),
        /// All of Create, Delete, SetData, SetAcl, Check in it, or none.
        9 => Multi(Multi),
        /// The leader's: removes a container that lost its last child, or a TTL znode that expired.
        10 => Reap(Reap),
    }
}

/// See [`Command::OpenSession`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenSession {
    /// The wish, clamped to the limits.
    pub timeout_ms: u32,
    /// What proves later that a client owns the session: 16 random bytes made by the node that took the connection.
    pub secret: Bytes,
}

/// See [`Command::AttachSession`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachSession {
    /// The session.
    pub session: SessionId,
    /// Its secret.
    pub secret: Bytes,
}

/// See [`Command::CloseSession`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CloseSession {
    /// The session.
    pub session: SessionId,
    /// Whether the leader ended it for silence, not the client itself.
    pub expired: bool,
    /// For an expiry: the generation that was silent; a session that was attached again since lives on.
    pub generation: u32,
}

/// See [`Command::Create`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Create {
    /// Where; for a sequential mode the name's number is appended.
    pub path: String,
    /// The data.
    pub data: Bytes,
    /// The access control list; stored with the znode.
    pub acl: Vec<Acl>,
    /// What kind of znode.
    pub mode: CreateMode,
    /// For the TTL modes: lifetime without change and without children, in milliseconds; else 0.
    pub ttl_ms: u64,
}

/// See [`Command::Delete`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delete {
    /// Which znode.
    pub path: String,
    /// The version it must have; -1 for any.
    pub version: i32,
}

/// See [`Command::SetData`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetData {
    /// Which znode.
    pub path: String,
    /// The new data.
    pub data: Bytes,
    /// The version it must have; -1 for any.
    pub version: i32,
}

/// See [`Command::SetAcl`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetAcl {
    /// Which znode.
    pub path: String,
    /// The new list.
    pub acl: Vec<Acl>,
    /// The ACL version it must have; -1 for any.
    pub version: i32,
}

/// See [`Command::Check`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// Which znode.
    pub path: String,
    /// The version it must have; -1 for any.
    pub version: i32,
}

/// See [`Command::Multi`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Multi {
    /// The operations, in order.
    pub operations: Vec<Command>,
}

/// See [`Command::Reap`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reap {
    /// Which znode.
    pub path: String,
}

/// What kind of znode a create makes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum CreateMode {
    /// Stays until it is deleted.
    #[default]
    Persistent,
    /// Persistent, with a number of its parent's appended to its name.
    PersistentSequential,
    /// Goes with its session.
    Ephemeral,
    /// Ephemeral, with a number appended.
    EphemeralSequential,
    /// Goes some time after its last child.
    Container,
    /// Goes when it was neither changed nor had children for its TTL.
    PersistentTtl,
    /// TTL, with a number appended.
    PersistentSequentialTtl,
}

/// One entry of an access control list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Acl {
    /// ZooKeeper's bits: read 1, write 2, create 4, delete 8, admin 16.
    pub permissions: u32,
    /// How the id is to be read: "world", "digest", "ip", ...
    pub scheme: String,
    /// Who.
    pub id: String,
}

impl Acl {
    /// The list that lets everybody do everything.
    #[must_use]
    pub fn open() -> Vec<Acl> {
        vec![Acl { permissions: 31, scheme: "world".into(), id: "anyone".into() }]
    }
}

/// What is known of a znode beside its data: ZooKeeper's Stat, field by field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Stat {
    /// The entry that made it.
    pub czxid: Zxid,
    /// The entry that last changed its data.
    pub mzxid: Zxid,
    /// Leader's wall clock at its creation, in milliseconds since 1970, made monotone by `apply`.
    pub ctime_ms: u64,
    /// The same of its last data change.
    pub mtime_ms: u64,
    /// How often its data was changed.
    pub version: i32,
    /// How often its children changed.
    pub cversion: i32,
    /// How often its access control list was changed.
    pub aversion: i32,
    /// The session that it goes with, or none.
    pub ephemeral_owner: SessionId,
    /// Bytes of data.
    pub data_length: u32,
    /// Children.
    pub num_children: u32,
    /// The entry that last changed its children; its own creation at first.
    pub pzxid: Zxid,
}

kinds! {
    /// What a command that succeeded answers.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum Reply {
        /// To OpenSession and AttachSession.
        1 => Session(SessionReply),
        /// To Create: the path with its number, and the new Stat.
        2 => Created(Created),
        /// To SetData and SetAcl.
        3 => Stat(Stat),
        /// To Delete, Check, CloseSession, Reap.
        4 => Done(Done),
        /// To Multi: one reply for each operation.
        5 => Multi(Vec<Reply>),
    }
}

/// See [`Reply::Session`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionReply {
    /// The session.
    pub session: SessionId,
    /// The timeout granted.
    pub timeout_ms: u32,
    /// The generation that this connection must show in its commands.
    pub generation: u32,
}

/// See [`Reply::Created`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Created {
    /// Its path.
    pub path: String,
    /// Its Stat.
    pub stat: Stat,
}

/// See [`Reply::Done`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done;

/// Why a command or a read was refused by the tree: the same on every node.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum TreeError {
    /// The path is not a path; the text says what is wrong with it.
    #[error("invalid path: {0}")]
    InvalidPath(String),
    /// There is no such znode, or no such parent.
    #[error("no such znode: {0}")]
    NoNode(String),
    /// There is one already.
    #[error("znode exists already: {0}")]
    NodeExists(String),
    /// The version differs.
    #[error("version of {path} is {actual}, not {expected}; read it again")]
    BadVersion {
        /// The znode.
        path: String,
        /// What the command asked for.
        expected: i32,
        /// What the znode has.
        actual: i32,
    },
    /// It has children.
    #[error("znode has children: {0}; delete them first")]
    NotEmpty(String),
    /// Its parent is ephemeral.
    #[error("ephemeral znodes have no children: {0}")]
    EphemeralParent(String),
    /// The session does not exist, or no longer.
    #[error("session {0} has expired or never existed; open a new one")]
    SessionExpired(SessionId),
    /// The session was attached to another connection since.
    #[error("session {0} has moved to another connection")]
    SessionMoved(SessionId),
    /// The secret is not that of the session.
    #[error("wrong secret for session {0}")]
    WrongSecret(SessionId),
    /// An access control list is empty, too long, or has an unknown permission.
    #[error("invalid access control list: {0}")]
    InvalidAcl(String),
    /// Something else is wrong with the command; the text says what.
    #[error("invalid request: {0}")]
    Invalid(String),
    /// In a multi: the operation `index` failed for `cause`, and none was done.
    #[error("operation {index} of the multi failed, nothing was changed: {cause}")]
    Multi {
        /// Which operation, from 0.
        index: usize,
        /// Why.
        cause: Box<TreeError>,
    },
}

/// A change that watches may be waiting for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TreeEvent {
    /// What happened.
    pub kind: EventKind,
    /// To which znode; for `ChildrenChanged`, the parent.
    pub path: String,
    /// By which entry.
    pub zxid: Zxid,
}

/// The kinds of change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// The znode was made.
    Created,
    /// The znode is gone.
    Deleted,
    /// Its data changed.
    DataChanged,
    /// A child came or went.
    ChildrenChanged,
}

numbered!(CreateMode {
    0 => Persistent, 1 => Ephemeral, 2 => PersistentSequential, 3 => EphemeralSequential, 4 => Container,
    5 => PersistentTtl, 6 => PersistentSequentialTtl
});
numbered!(EventKind { 1 => Created, 2 => Deleted, 3 => DataChanged, 4 => ChildrenChanged });

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envelope_reads_back() {
        let create = Create {
            path: "/a".into(),
            data: Bytes::from_static(b"\x00\xff"),
            acl: Acl::open(),
            mode: CreateMode::EphemeralSequential,
            ttl_ms: 0,
        };
        let multi = Multi {
            operations: vec![Command::Create(create), Command::Check(Check { path: "/".into(), version: -1 })],
        };
        let envelope = Envelope {
            origin: NodeId(3),
            tag: 1 << 40,
            session: SessionId(9),
            generation: 2,
            command: Command::Multi(multi),
        };
        let payload = envelope.encode();
        assert_eq!(Envelope::decode(&payload).unwrap(), envelope);
        for cut in 0..payload.len() {
            assert!(Envelope::decode(&payload[..cut]).is_err());
        }
    }

    #[test]
    fn a_small_write_costs_few_bytes_beside_its_data() {
        let set = SetData { path: "/goals/7".into(), data: Bytes::from(vec![b'x'; 100]), version: -1 };
        let command = Command::SetData(set);
        let envelope = Envelope { origin: NodeId(1), tag: 9_999, session: SessionId(1 << 40), generation: 1, command };
        assert!(envelope.encode().len() < 140, "{}", envelope.encode().len());
    }
}
