//! What goes into the protocol and what comes out: the whole contract between [`Zab`](super::Zab) and its runtime.
//!
//! Rules for the runtime:
//! - It calls `step` for each input, then `flush` once, then performs the effects in their order. It may step many
//!   inputs before one flush: that is how batches form.
//! - It reports `Durable(ticket)` only after the records of that `Persist` and of all before it are on disk.
//! - Messages of one link arrive in order or not at all. A link that lost a message is reported as disconnected.

use super::message::Message;
use crate::ids::{Epoch, LinkId, NodeId, SessionId, Tick, Ticket, Zxid};
use crate::log::record::{Entry, Record, SnapshotId};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// The time of a step: the runtime reads the clocks, the protocol never does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Now {
    /// Monotonic; all deadlines are in it.
    pub tick: Tick,
    /// Wall clock in milliseconds since 1970; only stamped on entries, never compared.
    pub wall_ms: u64,
}

/// A fetch of a snapshot; later ones of a process have greater numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FetchId(pub u64);

/// A command on its way to the leader.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Proposal {
    /// The proposer's own number for it, given back if it is rejected.
    pub tag: u64,
    /// The command's bytes, opaque to the protocol.
    pub payload: Bytes,
}

/// Something that happened to this node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Input {
    /// The time given with the step has come; nothing else happened.
    Tick,
    /// A connection to `peer` stands. It replaces any earlier one.
    Connected {
        /// The peer.
        peer: NodeId,
        /// The connection's number, greater than that of any before.
        link: LinkId,
    },
    /// The connection is gone.
    Disconnected {
        /// The peer.
        peer: NodeId,
        /// The connection's number.
        link: LinkId,
    },
    /// A message came in.
    Message {
        /// Its sender.
        peer: NodeId,
        /// The connection it came by.
        link: LinkId,
        /// The message.
        message: Message,
    },
    /// All records up to this ticket are on disk.
    Durable {
        /// The ticket of the last `Persist` that is durable.
        ticket: Ticket,
    },
    /// Commands of this node's clients, in order.
    Propose {
        /// The commands.
        proposals: Vec<Proposal>,
    },
    /// A client wants a zxid that is safe to read at (protocol.md 2.9).
    ReadBarrier {
        /// Given back with the answer.
        tag: u64,
    },
    /// Sessions that gave a sign of life on this node since the last such input.
    Touched {
        /// The sessions.
        sessions: Vec<SessionId>,
    },
    /// The state after `zxid` has this digest; the leader compares it with its followers'.
    Digest {
        /// The last entry applied.
        zxid: Zxid,
        /// The tree's digest there.
        digest: u64,
    },
    /// This node's own snapshot is durable; the log before it may be dropped from disk.
    SnapshotTaken {
        /// What the snapshot holds.
        snapshot: SnapshotId,
    },
    /// A snapshot fetched for `FetchSnapshot` is complete, verified and durable (rule S6).
    SnapshotReceived {
        /// The fetch.
        fetch: FetchId,
        /// What the snapshot holds.
        snapshot: SnapshotId,
    },
    /// A fetch failed, or was given up for a later one; the old log and tree stand.
    SnapshotFailed {
        /// The fetch.
        fetch: FetchId,
    },
    /// The disk has no space for more entries, or has again. A leader without space refuses commands.
    DiskFull {
        /// Whether it is full now.
        full: bool,
    },
}

/// Something the runtime must do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Append these records, in this order, and report `Durable(ticket)`.
    Persist {
        /// What to report.
        ticket: Ticket,
        /// What to append.
        records: Vec<Record>,
    },
    /// Send; everything the message testifies to is durable already (the hold-back rule).
    Send {
        /// The receiver.
        peer: NodeId,
        /// The connection to use; if it is gone, the message is dropped.
        link: LinkId,
        /// The message.
        message: Message,
    },
    /// Close the connection; the runtime connects anew by itself, with a pause.
    Close {
        /// The peer.
        peer: NodeId,
        /// The connection's number.
        link: LinkId,
        /// Why, for the log.
        reason: &'static str,
    },
    /// These entries are committed: apply them, in order.
    Deliver {
        /// The entries, markers included, contiguous with those before.
        entries: Vec<Entry>,
    },
    /// Replace the tree by the snapshot that was received; the next delivery follows it.
    Reset {
        /// What the snapshot holds.
        snapshot: SnapshotId,
    },
    /// The snapshot that was received is of no use any more: delete its file.
    Discard {
        /// What it holds.
        snapshot: SnapshotId,
    },
    /// Open for writes: this node knows a leader with a quorum, and has applied what that leader began with (rule S5).
    Serve {
        /// Who leads.
        leader: NodeId,
        /// Since which epoch.
        epoch: Epoch,
    },
    /// No leader any more: the outcome of every command that was proposed and is not applied is unknown.
    Suspend {
        /// Why, for the log and the clients.
        reason: &'static str,
    },
    /// Fetch a snapshot at or after `zxid` from the leader, on a connection of its own. It takes the place of an earlier
    /// fetch, which is given up.
    FetchSnapshot {
        /// Given back with the outcome.
        fetch: FetchId,
        /// The leader.
        peer: NodeId,
        /// The least zxid that helps.
        zxid: Zxid,
    },
    /// A barrier stands: a local read is linearizable once `zxid` is applied.
    Barrier {
        /// The tag of the `ReadBarrier`.
        tag: u64,
        /// Where to wait for.
        zxid: Zxid,
    },
    /// A command or barrier was not taken, for certain.
    Reject {
        /// Its tag.
        tag: u64,
        /// Why not.
        why: Rejection,
    },
    /// Sessions that gave a sign of life somewhere; only on the leader.
    Touched {
        /// The sessions.
        sessions: Vec<SessionId>,
    },
    /// Compare with this node's own digest at that zxid; a difference must stop the node.
    CompareDigest {
        /// The zxid.
        zxid: Zxid,
        /// The leader's digest there.
        digest: u64,
    },
    /// Something a person would want to see; never a command to the runtime.
    Trace(Event),
}

/// Why a command was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rejection {
    /// No leader with a quorum is known.
    NoQuorum,
    /// The leader has too much uncommitted already (rule B6).
    Overloaded,
    /// The leader's disk has no space.
    DiskFull,
}

/// What a node can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Without a leader.
    Looking,
    /// Elected, gathering its quorum; or leading without having committed its marker yet.
    Discovering,
    /// Leading.
    Leading,
    /// Following, and brought up to date.
    Syncing,
    /// Following.
    Following,
}

/// A step of the protocol worth showing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// The role changed.
    Role {
        /// The new role.
        role: Role,
        /// The leader, if there is one.
        leader: Option<NodeId>,
        /// The epoch promised.
        epoch: Epoch,
    },
    /// This node now votes for `candidate`.
    Vote {
        /// The election's round.
        round: u64,
        /// Whom it votes for.
        candidate: NodeId,
        /// The candidate's last zxid.
        zxid: Zxid,
        /// Why: "own vote", "higher zxid", ...
        why: &'static str,
    },
    /// This node gave up its leader, or its own leadership.
    Lost {
        /// Who led.
        leader: Option<NodeId>,
        /// Why, in words.
        why: &'static str,
    },
    /// Entries after `after` became void.
    Truncated {
        /// The last entry that stands.
        after: Zxid,
    },
    /// A follower is brought up to date from `from`.
    Sync {
        /// The follower.
        peer: NodeId,
        /// How: "append", "truncate" or "snapshot".
        how: &'static str,
        /// The common point.
        from: Zxid,
    },
    /// A quorum has acknowledged up to `zxid`.
    Committed {
        /// The new watermark.
        zxid: Zxid,
    },
}
