//! The first frames of a connection: who speaks, which version, which ensemble.
//!
//! The side that connects sends a [`Greeting::Hello`]; the node answers with [`Greeting::Welcome`], or with
//! [`Greeting::Refused`] and closes. After a welcome: peers send [`Message`](crate::zab::message::Message) frames both
//! ways; clients send [`Request`](super::client::Request) frames and get [`Response`](super::client::Response) frames;
//! a snapshot connection gets [`SnapshotFrame`]s.

use crate::ids::{NodeId, Zxid};
use crate::log::record::SnapshotId;
use crate::{kinds, numbered};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// The version of the protocol as a whole; peers and clients of another one are refused.
pub const PROTOCOL_VERSION: u16 = 1;

kinds! {
    /// The first frames. Their kinds are above 0, so that a ZooKeeper client's four zero bytes are told apart.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum Greeting {
        /// From the side that connects.
        0x5a => Hello(Hello),
        /// From the node: go on.
        0x5b => Welcome(Welcome),
        /// From the node: no, and why; it closes after this.
        0x5c => Refused(Refused),
    }
}

/// See [`Greeting::Hello`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`PROTOCOL_VERSION`].
    pub version: u16,
    /// What the connection is for.
    pub purpose: Purpose,
    /// For all but a client: the sender's id; else 0.
    pub node: NodeId,
    /// For all but a client: the canonical list of the sender's ensemble; else empty.
    pub ensemble: String,
    /// For a snapshot: the least zxid that helps; else zero.
    pub zxid: Zxid,
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// The protocol between members.
    Peer,
    /// Requests, status, trace.
    Client,
    /// One bulk transfer of a snapshot (rule S6).
    Snapshot,
    /// A member that waits to be dialled only asks whether the other one is of its ensemble; the connection ends with
    /// the answer.
    Introduction,
}

/// See [`Greeting::Welcome`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// The node's id.
    pub node: NodeId,
    /// The canonical list of its ensemble: a client may go on to the others.
    pub ensemble: String,
}

/// See [`Greeting::Refused`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// For a person: what to do.
    pub reason: String,
    /// The node that refuses, as it counts its members.
    pub node: NodeId,
    /// The canonical list of its ensemble: a peer that has another one can say so.
    pub ensemble: String,
}

kinds! {
    /// What a snapshot connection carries, in this order: one Begin, chunks, one End.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum SnapshotFrame {
        /// Which snapshot.
        1 => Begin(SnapshotId),
        /// The next bytes of the snapshot's file.
        2 => Chunk(SnapshotChunk),
        /// All was sent: the file's length.
        3 => End(u64),
    }
}

/// See [`SnapshotFrame::Chunk`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotChunk {
    /// Where in the file these bytes belong; contiguous.
    pub offset: u64,
    /// The bytes.
    pub bytes: Bytes,
    /// Their CRC-32.
    pub crc: u32,
}

numbered!(Purpose { 1 => Peer, 2 => Client, 3 => Snapshot, 4 => Introduction });
