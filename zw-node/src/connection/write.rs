//! Requests that go to the core: writes, sessions, barriers.

use super::client::{Connection, UnderWay, UnderWayKind};
use super::mailbox::Outcome;
use crate::server::inbox::{CoreInput, Waiter};
use bytes::Bytes;
use std::time::Instant;
use zw_core::ids::{SessionId, Zxid};
use zw_core::limits::{COMMAND_BYTES_MAX, MULTI_OPERATIONS_MAX, PATH_BYTES_MAX, ZNODE_DATA_BYTES_MAX};
use zw_core::tree::command::{AttachSession, CloseSession, Command, Envelope, Multi, OpenSession};
use zw_core::wire::client::{Answer, Connect, ErrorCode, ErrorReply};
use zw_core::zab::effects::Proposal;

/// Bytes of a session's secret.
const SECRET_BYTES: usize = 16;

/// Why a write is not even proposed.
type Refusal = (ErrorCode, String);

impl Connection {
    /// Proposes a write of the client.
    pub(super) fn begin_write(&mut self, id: u32, command: Command) {
        match self.check(command) {
            Ok(command) => {
                let is_close = matches!(command, Command::CloseSession(_));
                self.propose(id, command, if is_close { UnderWayKind::Close } else { UnderWayKind::Write });
            }
            Err((code, message)) => self.refuse_in_order(id, code, message),
        }
    }

    /// Opens a session, or attaches to one.
    pub(super) fn begin_connect(&mut self, id: u32, connect: Connect) {
        if self.session.is_some() {
            let message = "this connection has a session already; open another connection for another session";
            return self.refuse_in_order(id, ErrorCode::Invalid, message);
        }
        if connect.session != SessionId::NONE {
            // The entry of the attachment is later than all that the client can have seen, so this node has applied
            // all of that when it answers: `last_zxid` holds by the order of the log.
            let attach = AttachSession { session: connect.session, secret: connect.secret.clone() };
            return self.propose(id, Command::AttachSession(attach), UnderWayKind::Connect(connect.secret));
        }
        let mut secret = [0; SECRET_BYTES];
        if let Err(error) = getrandom::fill(&mut secret) {
            return self.refuse_in_order(id, ErrorCode::NotAllowed, format!("no random numbers: {error}"));
        }
        let secret = Bytes::copy_from_slice(&secret);
        let open = OpenSession { timeout_ms: connect.timeout_ms, secret: secret.clone() };
        self.propose(id, Command::OpenSession(open), UnderWayKind::Connect(secret));
    }

    /// Whether a session is being opened or attached: what comes after needs to know it.
    pub(super) fn is_connecting(&self) -> bool {
        self.under_way.iter().any(|request| matches!(request.kind, UnderWayKind::Connect(_)))
    }

    /// Hands a request to the core that is no write.
    pub(super) async fn begin_other(&mut self, id: u32, input: impl FnOnce(Waiter) -> CoreInput) {
        let sequence = self.first_sequence + self.under_way.len() as u64;
        let waiter = Waiter { mailbox: self.mailbox.clone(), sequence, bytes: 0 };
        self.under_way.push_back(UnderWay { id, kind: UnderWayKind::Other, started: Instant::now(), done: None });
        self.hand_over_writes().await;
        self.node.inbox.send(input(waiter)).await;
    }

    fn propose(&mut self, id: u32, command: Command, kind: UnderWayKind) {
        let (session, generation) =
            self.session.as_ref().map_or((SessionId::NONE, 0), |session| (session.id, session.generation));
        let tag = self.node.take_tags(1);
        let envelope = Envelope { origin: self.node.config.me, tag, session, generation, command };
        let payload = envelope.encode();
        if payload.len() > COMMAND_BYTES_MAX {
            let message = format!("the request takes {} bytes, above the limit of {COMMAND_BYTES_MAX}", payload.len());
            return self.refuse_in_order(id, ErrorCode::TooLarge, message);
        }
        if !self.node.admit_write(payload.len()) {
            let message = "this node has too much to do; try again in a moment, or another node";
            return self.refuse_in_order(id, ErrorCode::Overloaded, message);
        }
        let sequence = self.first_sequence + self.under_way.len() as u64;
        let started = self.writes_started();
        self.under_way.push_back(UnderWay { id, kind, started, done: None });
        self.writes.push((sequence, Proposal { tag, payload }));
    }

    /// Refuses a request that the core never sees, in its turn.
    pub(super) fn refuse_in_order(&mut self, id: u32, code: ErrorCode, message: impl Into<String>) {
        let refused = ErrorReply { code, message: message.into() };
        if self.under_way.is_empty() {
            return self.answer(id, Zxid::ZERO, Answer::Error(refused));
        }
        let done = Some((Zxid::ZERO, Outcome::Refused(refused)));
        self.under_way.push_back(UnderWay { id, kind: UnderWayKind::Other, started: Instant::now(), done });
    }

    /// The time at which the writes of this wake-up began: one look at the clock for all.
    fn writes_started(&self) -> Instant {
        match self.under_way.back() {
            Some(last) if !self.writes.is_empty() => last.started,
            _ => Instant::now(),
        }
    }

    /// Checks a command before it costs the ensemble anything.
    fn check(&self, command: Command) -> Result<Command, Refusal> {
        match command {
            Command::Multi(multi) => {
                if multi.operations.len() > MULTI_OPERATIONS_MAX {
                    let count = multi.operations.len();
                    let message = format!("a multi of {count} operations, above the limit of {MULTI_OPERATIONS_MAX}");
                    return Err((ErrorCode::TooLarge, message));
                }
                multi.operations.iter().try_for_each(check_operation)?;
                Ok(Command::Multi(Multi { operations: multi.operations }))
            }
            Command::CloseSession(close) => match &self.session {
                Some(session) if session.id == close.session => {
                    Ok(Command::CloseSession(CloseSession { session: close.session, expired: false, generation: 0 }))
                }
                _ => Err((ErrorCode::Invalid, "only a session's own connection can close it".to_owned())),
            },
            command => check_operation(&command).map(|()| command),
        }
    }
}

/// Checks an operation that may be part of a multi.
fn check_operation(command: &Command) -> Result<(), Refusal> {
    let (path, data_bytes) = match command {
        Command::Create(create) => (&create.path, create.data.len()),
        Command::SetData(set) => (&set.path, set.data.len()),
        Command::Delete(delete) => (&delete.path, 0),
        Command::SetAcl(set) => (&set.path, 0),
        Command::Check(check) => (&check.path, 0),
        _ => return Err((ErrorCode::Invalid, "clients cannot send this command here".to_owned())),
    };
    if path.len() > PATH_BYTES_MAX {
        let message = format!("a path of {} bytes, above the limit of {PATH_BYTES_MAX}", path.len());
        return Err((ErrorCode::TooLarge, message));
    }
    if data_bytes > ZNODE_DATA_BYTES_MAX {
        let message = format!("data of {data_bytes} bytes, above the limit of {ZNODE_DATA_BYTES_MAX}; split it");
        return Err((ErrorCode::TooLarge, message));
    }
    Ok(())
}
