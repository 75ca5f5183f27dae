//! Requests of clients and their answers.
//!
//! Invariants:
//! - Answers come in the order of the requests of a connection (except [`Operation::TraceStart`]'s events and watch
//!   events, which come between them).
//! - A watch event is sent before any answer that shows data of its zxid or later.
//! - `zxid` of an answer: for a write the entry that did it, for a read what the node had applied.
//!
//! A request is the frame `operation's kind u8, version u8`, then the MessagePack array `[id, body]`; an answer is
//! `answer's kind u8, version u8, [id, zxid, body]`.

use super::admin;
use crate::ids::{SessionId, Zxid};
use crate::kinds::{BODY_VERSION, BodyReader, DecodeError, body_reader, split_frame};
use crate::tree::command::{Acl, Command, Reply, Stat, TreeError, TreeEvent};
use crate::{kinds, numbered};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// MessagePack's marker of an array of no elements; its lowest bits count them.
const FIXARRAY: u8 = 0x90;

/// A request: the client's number for it, and what it wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Chosen by the client; given back.
    pub id: u32,
    /// What it wants.
    pub operation: Operation,
}

kinds! {
    /// What a client can ask for. The number of a kind is for ever.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum Operation {
        /// Opens a session or attaches to one; at most once a connection, before writes that need a session.
        1 => Connect(Connect),
        /// A sign of life.
        2 => Ping(Ping),
        /// Create, Delete, SetData, SetAcl, Check, Multi, CloseSession (of its own).
        3 => Write(Command),
        /// Data and Stat.
        4 => Get(Read),
        /// Stat, or none without an error.
        5 => Exists(Read),
        /// A page of children's names.
        6 => Children(Children),
        /// The access control list.
        7 => GetAcl(Read),
        /// Answers once this node has applied all that was committed anywhere when the request came (2.9): reads that
        /// follow on this connection are linearizable.
        8 => Sync(Ping),
        /// Adds a persistent watch.
        9 => AddWatch(AddWatch),
        /// Removes this connection's watches on a path.
        10 => RemoveWatches(RemoveWatches),
        /// After a reconnect: watches to re-arm, with what the client had seen.
        11 => SetWatches(SetWatches),
        /// The node's [`admin::Status`].
        20 => Status(Ping),
        /// Digest of a subtree at what this node has applied.
        21 => SubtreeDigest(Read),
        /// Starts trace events on this connection.
        22 => TraceStart(admin::TraceStart),
        /// Sets or clears a fault lease; refused without `--allow-faults`.
        23 => Fault(admin::Fault),
        /// Takes a snapshot now.
        24 => Snapshot(Ping),
        /// The node's digest at a zxid that it remembers (multiples of [`crate::limits::DIGEST_INTERVAL`]) or, with
        /// zxid 0, at what it has applied.
        25 => DigestAt(Zxid),
        /// The sessions of the ensemble.
        26 => Sessions(Ping),
    }
}

/// See [`Operation::Connect`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connect {
    /// [`SessionId::NONE`] for a new one.
    pub session: SessionId,
    /// The secret of the session; empty for a new one.
    pub secret: Bytes,
    /// The wish.
    pub timeout_ms: u32,
    /// The greatest zxid that the client has seen: the node answers only once it has applied that.
    pub last_zxid: Zxid,
}

/// No parameters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ping;

/// A read of one path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Read {
    /// Which znode.
    pub path: String,
    /// Leave a one-shot watch: data for Get, existence for Exists. Other reads ignore it.
    pub watch: bool,
}

/// See [`Operation::Children`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Children {
    /// Which znode.
    pub path: String,
    /// Leave a one-shot watch on its children.
    pub watch: bool,
    /// Names greater than this; empty for the first page.
    pub after: String,
    /// At most this many; 0 for the limit.
    pub limit: u32,
    /// Whether each child's Stat is wanted too.
    pub with_stat: bool,
}

/// See [`Operation::AddWatch`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddWatch {
    /// Where.
    pub path: String,
    /// Also all below.
    pub recursive: bool,
}

/// See [`Operation::RemoveWatches`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoveWatches {
    /// Where; all kinds are removed.
    pub path: String,
}

/// See [`Operation::SetWatches`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetWatches {
    /// What the client had seen: watches that would have fired since fire at once.
    pub seen: Zxid,
    /// One-shot data watches (from Get).
    pub data: Vec<String>,
    /// One-shot existence watches (from Exists).
    pub exists: Vec<String>,
    /// One-shot children watches.
    pub children: Vec<String>,
    /// Persistent watches.
    pub persistent: Vec<String>,
    /// Persistent recursive watches.
    pub recursive: Vec<String>,
}

/// A frame from the node to a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The request's number; 0 for events.
    pub id: u32,
    /// See the module's invariants.
    pub zxid: Zxid,
    /// The answer.
    pub answer: Answer,
}

kinds! {
    /// What a node answers. The number of a kind is for ever.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum Answer {
        /// To Connect.
        1 => Connected(Connected),
        /// To Ping, Sync, AddWatch, RemoveWatches, SetWatches, TraceStart, Fault.
        2 => Done(Ping),
        /// To Write.
        3 => Written(Reply),
        /// To Get.
        4 => Data(Data),
        /// To Exists; none if there is no such znode.
        5 => Stat(Option<Stat>),
        /// To Children.
        6 => Children(ChildrenPage),
        /// To GetAcl.
        7 => Acl(AclReply),
        /// A watch fired.
        8 => Event(TreeEvent),
        /// To Status.
        20 => Status(Box<admin::Status>),
        /// To SubtreeDigest and DigestAt.
        21 => Digest(admin::DigestReply),
        /// Trace events.
        22 => Trace(admin::TraceBatch),
        /// To Snapshot.
        24 => Snapshot(crate::log::record::SnapshotId),
        /// To Sessions.
        26 => Sessions(Vec<admin::SessionInfo>),
        /// The request was refused or failed.
        127 => Error(ErrorReply),
    }
}

/// See [`Answer::Connected`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connected {
    /// The session.
    pub session: SessionId,
    /// Its secret, to attach again.
    pub secret: Bytes,
    /// The timeout granted.
    pub timeout_ms: u32,
}

/// See [`Answer::Data`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Data {
    /// The data.
    pub data: Bytes,
    /// The Stat.
    pub stat: Stat,
}

/// See [`Answer::Children`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChildrenPage {
    /// Names, ascending.
    pub names: Vec<String>,
    /// With `with_stat`: a Stat for each name; else empty.
    pub stats: Vec<Stat>,
    /// The parent's Stat.
    pub stat: Stat,
    /// Whether more follow after the last name.
    pub more: bool,
}

/// See [`Answer::Acl`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AclReply {
    /// The list.
    pub acl: Vec<Acl>,
    /// The Stat.
    pub stat: Stat,
}

/// A refusal as it travels. [`RequestError`] is what a program sees.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorReply {
    /// What kind; programs decide by it.
    pub code: ErrorCode,
    /// For a person.
    pub message: String,
}

/// The kinds of refusal. Everything but `OutcomeUnknown` is certain: nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// [`TreeError::InvalidPath`].
    InvalidPath,
    /// [`TreeError::NoNode`].
    NoNode,
    /// [`TreeError::NodeExists`].
    NodeExists,
    /// [`TreeError::BadVersion`].
    BadVersion,
    /// [`TreeError::NotEmpty`].
    NotEmpty,
    /// [`TreeError::EphemeralParent`].
    EphemeralParent,
    /// [`TreeError::SessionExpired`].
    SessionExpired,
    /// [`TreeError::SessionMoved`].
    SessionMoved,
    /// [`TreeError::WrongSecret`].
    WrongSecret,
    /// [`TreeError::InvalidAcl`].
    InvalidAcl,
    /// [`TreeError::Invalid`], or a request out of place.
    Invalid,
    /// [`TreeError::Multi`].
    MultiFailed,
    /// No leader with a quorum within the deadline.
    NoQuorum,
    /// The leader has too much to do.
    Overloaded,
    /// The leader's disk has no space.
    DiskFull,
    /// The leader was lost while the write was under way: it may be done or never be.
    OutcomeUnknown,
    /// A frame, a path or data over its limit.
    TooLarge,
    /// The node does not do this (faults without `--allow-faults`, ...).
    NotAllowed,
}

/// A refusal.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{message}")]
pub struct RequestError {
    /// What kind.
    pub code: ErrorCode,
    /// For a person.
    pub message: String,
}

impl Request {
    /// Appends the frame, without its length, to `out`.
    pub fn encode_frame(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[self.operation.kind(), BODY_VERSION, FIXARRAY + 2]);
        encode_number(u64::from(self.id), out);
        self.operation.encode_body(out);
    }

    /// Reads what `encode_frame` wrote.
    ///
    /// # Errors
    /// The bytes are not a request.
    pub fn decode_frame(frame: &[u8]) -> Result<Request, DecodeError> {
        let (kind, mut body) = split_array(frame, 2, "Request")?;
        let id = decode_part(&mut body, kind, "Request")?;
        Ok(Request { id, operation: Operation::decode_body(kind, &mut body)? })
    }
}

impl Response {
    /// Appends the frame, without its length, to `out`.
    pub fn encode_frame(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[self.answer.kind(), BODY_VERSION, FIXARRAY + 3]);
        encode_number(u64::from(self.id), out);
        encode_number(self.zxid.0, out);
        self.answer.encode_body(out);
    }

    /// Reads what `encode_frame` wrote.
    ///
    /// # Errors
    /// The bytes are not an answer.
    pub fn decode_frame(frame: &[u8]) -> Result<Response, DecodeError> {
        let (kind, mut body) = split_array(frame, 3, "Response")?;
        let id = decode_part(&mut body, kind, "Response")?;
        let zxid = decode_part(&mut body, kind, "Response")?;
        Ok(Response { id, zxid, answer: Answer::decode_body(kind, &mut body)? })
    }
}

fn encode_number(number: u64, out: &mut Vec<u8>) {
    rmp_serde::encode::write(out, &number).expect("encoding into memory cannot fail");
}

/// Splits a frame whose body is an array of `elements`, which must lead to the first of them.
fn split_array<'a>(frame: &'a [u8], elements: u8, of: &'static str) -> Result<(u8, BodyReader<'a>), DecodeError> {
    let (kind, body) = split_frame(frame)?;
    match body.split_first() {
        Some((marker, rest)) if *marker == FIXARRAY + elements => Ok((kind, body_reader(rest))),
        _ => Err(DecodeError::Body { kind, of, reason: format!("not an array of {elements} elements") }),
    }
}

fn decode_part<'a, T: Deserialize<'a>>(
    body: &mut BodyReader<'a>,
    kind: u8,
    of: &'static str,
) -> Result<T, DecodeError> {
    T::deserialize(body).map_err(|error| DecodeError::Body { kind, of, reason: error.to_string() })
}

impl From<&TreeError> for ErrorReply {
    fn from(error: &TreeError) -> ErrorReply {
        let code = match error {
            TreeError::InvalidPath(_) => ErrorCode::InvalidPath,
            TreeError::NoNode(_) => ErrorCode::NoNode,
            TreeError::NodeExists(_) => ErrorCode::NodeExists,
            TreeError::BadVersion { .. } => ErrorCode::BadVersion,
            TreeError::NotEmpty(_) => ErrorCode::NotEmpty,
            TreeError::EphemeralParent(_) => ErrorCode::EphemeralParent,
            TreeError::SessionExpired(_) => ErrorCode::SessionExpired,
            TreeError::SessionMoved(_) => ErrorCode::SessionMoved,
            TreeError::WrongSecret(_) => ErrorCode::WrongSecret,
            TreeError::InvalidAcl(_) => ErrorCode::InvalidAcl,
            TreeError::Invalid(_) => ErrorCode::Invalid,
            TreeError::Multi { .. } => ErrorCode::MultiFailed,
        };
        ErrorReply { code, message: error.to_string() }
    }
}

impl From<ErrorReply> for RequestError {
    fn from(reply: ErrorReply) -> RequestError {
        RequestError { code: reply.code, message: reply.message }
    }
}

numbered!(ErrorCode {
    1 => InvalidPath, 2 => NoNode, 3 => NodeExists, 4 => BadVersion, 5 => NotEmpty, 6 => EphemeralParent,
    7 => SessionExpired, 8 => SessionMoved, 9 => WrongSecret, 10 => InvalidAcl, 11 => Invalid, 12 => MultiFailed,
    20 => NoQuorum, 21 => Overloaded, 22 => DiskFull, 23 => OutcomeUnknown, 24 => TooLarge, 25 => NotAllowed
});
