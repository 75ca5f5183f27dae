//! What a client did and what it was told: the history that the oracles judge.

use zw_core::client::ClientError;
use zw_core::ids::{SessionId, Zxid};
use zw_core::tree::command::{Command, Reply, TreeError, TreeEvent};
use zw_core::tree::watch::WatchKind;
use zw_core::wire::client::ErrorCode;
use zw_sim::history::{Look, ReadResult};

/// Microseconds since the run began.
pub(crate) type Micros = u64;

/// One request of a client.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) session: SessionId,
    pub(crate) start: Micros,
    pub(crate) end: Micros,
    /// The greatest zxid in any answer to anyone before this began.
    pub(crate) floor: Zxid,
    /// The greatest zxid in an answer to this session before.
    pub(crate) seen: Zxid,
    pub(crate) what: What,
    pub(crate) outcome: Outcome,
}

impl Operation {
    /// For the evidence of a violation.
    pub(crate) fn line(&self) -> String {
        let Operation { session, start, end, floor, seen, what, outcome } = self;
        let text = match outcome {
            Outcome::NotDone(text) | Outcome::Unknown(text) | Outcome::Failed(text) => text.as_str(),
            _ => "",
        };
        format!("{start} {end} us, session {session}, after {floor}, seen {seen}: {what:?} -> {outcome:?} {text}")
    }
}

/// What was asked.
#[derive(Clone, Debug)]
pub(crate) enum What {
    Write(Command),
    /// A read of a path; after a sync of the same client, it must not be older than anything before that.
    Read {
        path: String,
        look: Look,
        synced: bool,
    },
}

/// What was answered.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    /// A write was done.
    Written(Zxid, Reply),
    /// A read was answered.
    Read(Zxid, ReadResult),
    /// There was no such znode to read; the answer does not say at which zxid.
    Missing,
    /// The tree refused the write, in its place of the order.
    RefusedByTree(ErrorCode, String),
    /// The ensemble did not take the write: it is not done and never will be.
    NotDone(String),
    /// The write may be done, now or later, or never.
    Unknown(String),
    /// A read came to nothing.
    Failed(String),
}

impl Outcome {
    /// For the report.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Outcome::Written(..) => "written",
            Outcome::Read(..) | Outcome::Missing => "read",
            Outcome::RefusedByTree(..) => "refused by the tree",
            Outcome::NotDone(_) => "not done",
            Outcome::Unknown(_) => "unknown",
            Outcome::Failed(_) => "read failed",
        }
    }

    /// The zxid of the answer.
    pub(crate) fn zxid(&self) -> Option<Zxid> {
        match self {
            Outcome::Written(zxid, _) | Outcome::Read(zxid, _) => Some(*zxid),
            _ => None,
        }
    }

    /// What an error says of a write.
    pub(crate) fn of_write(error: &ClientError) -> Outcome {
        use ErrorCode::{BadVersion, EphemeralParent, NoNode, NodeExists, NotEmpty, SessionExpired, SessionMoved};
        use ErrorCode::{Invalid, InvalidAcl, InvalidPath, MultiFailed, WrongSecret};
        let text = error.to_string();
        match error {
            ClientError::Request(refused) => match refused.code {
                NoNode | NodeExists | BadVersion | NotEmpty | EphemeralParent | SessionExpired | SessionMoved
                | MultiFailed | Invalid | InvalidAcl | InvalidPath | WrongSecret => {
                    Outcome::RefusedByTree(refused.code, text)
                }
                _ => Outcome::NotDone(text),
            },
            // The session ended before the request went out, or its answer said so.
            ClientError::SessionExpired => Outcome::RefusedByTree(SessionExpired, text),
            ClientError::NotConnected { .. } | ClientError::Timeout { .. } => Outcome::NotDone(text),
            ClientError::OutcomeUnknown(_)
            | ClientError::Refused { .. }
            | ClientError::Protocol(_)
            | ClientError::Closed => Outcome::Unknown(text),
        }
    }

    /// What an error says of a read.
    pub(crate) fn of_read(error: &ClientError) -> Outcome {
        match error.code() {
            Some(ErrorCode::NoNode) => Outcome::Missing,
            _ => Outcome::Failed(error.to_string()),
        }
    }
}

/// A one-shot watch of a client, from the read that left it to its event or to the session's end.
#[derive(Clone, Debug)]
pub(crate) struct WatchSeen {
    pub(crate) kind: WatchKind,
    pub(crate) path: String,
    /// It counts from somewhere between these two: the last answer before its registration, and the first after.
    pub(crate) after: Zxid,
    pub(crate) armed_by: Zxid,
    /// The greatest zxid in an answer to its client while it had not fired.
    pub(crate) quiet_until: Zxid,
    pub(crate) event: Option<TreeEvent>,
}

/// The refusal as a client is told it.
pub(crate) fn told(error: &TreeError) -> (ErrorCode, String) {
    let reply = zw_core::wire::client::ErrorReply::from(error);
    (reply.code, reply.message)
}
