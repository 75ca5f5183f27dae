//! Sessions as replicated records: opened, attached and closed by entries of the log, so every node agrees on them.
//!
//! Invariants:
//! - A session's id is the zxid of the entry that opened it: unique for ever.
//! - An ephemeral znode exists only while its session does (I10): closing deletes those present at apply.
//! - Every attach raises the generation. A command that shows another generation was sent on a connection that the
//!   client has left, and is refused; so writes of one session never mix across connections.
//! - An expiry names the generation that was silent, and does nothing to a session that was attached again since.

use super::apply::Transaction;
use super::command::{AttachSession, CloseSession, Done, Envelope, OpenSession, Reply, SessionReply, TreeError};
use super::{Tree, digest, path};
use crate::ids::SessionId;
use crate::limits::{SESSION_SECRET_BYTES_MAX, SESSION_TIMEOUT_MAX, SESSION_TIMEOUT_MIN, SESSIONS_MAX};
use bytes::Bytes;

/// A client's session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// How long it may be silent.
    pub timeout_ms: u32,
    /// How often it was bound to a connection; the opening counts as the first.
    pub generation: u32,
    /// What proves that a client owns it.
    pub secret: Bytes,
}

/// The key of a session in its map, and the prefix of its ephemerals in theirs.
pub(super) fn key(id: SessionId) -> [u8; 8] {
    id.0.to_be_bytes()
}

/// The id in a key that [`key`] or [`ephemeral_key`] made.
pub(super) fn of_key(key: &[u8]) -> SessionId {
    SessionId(u64::from_be_bytes(key[..8].try_into().expect("eight bytes")))
}

/// The key of an ephemeral in the index by owner.
pub(super) fn ephemeral_key(owner: SessionId, znode_key: &[u8]) -> Vec<u8> {
    [&key(owner), znode_key].concat()
}

impl Tree {
    /// A session.
    #[must_use]
    pub fn session(&self, id: SessionId) -> Option<&Session> {
        self.sessions.get(&key(id))
    }

    /// All sessions, by ascending id.
    pub fn sessions(&self) -> impl Iterator<Item = (SessionId, &Session)> {
        self.sessions.iter().map(|(key, session)| (of_key(key), session))
    }

    /// The paths of a session's ephemeral znodes.
    #[must_use]
    pub fn ephemerals(&self, id: SessionId) -> Vec<String> {
        self.ephemerals.with_prefix(&key(id)).map(|(key, ())| path::of_key(&key[8..])).collect()
    }

    /// How many ephemeral znodes a session has.
    #[must_use]
    pub fn count_ephemerals(&self, id: SessionId) -> u64 {
        self.ephemerals.with_prefix(&key(id)).count() as u64
    }

    /// Puts a session in place of the one of that id, or takes it out, and keeps the digest.
    pub(super) fn put_session(&mut self, id: SessionId, session: Option<Session>) {
        let key = key(id);
        let added = session.as_ref().map_or(0, |session| digest::of_session(&key, session));
        let old = match session {
            Some(session) => self.sessions.insert(&key, session),
            None => self.sessions.remove(&key),
        };
        let removed = old.map_or(0, |old| digest::of_session(&key, &old));
        self.digest = self.digest.wrapping_add(added).wrapping_sub(removed);
    }
}

impl Transaction<'_> {
    /// Refuses commands of sessions that are gone, and of connections that their session has left.
    pub(super) fn check_session(&self, envelope: &Envelope) -> Result<(), TreeError> {
        let id = envelope.session;
        if id == SessionId::NONE {
            return Ok(());
        }
        let session = self.tree.session(id).ok_or(TreeError::SessionExpired(id))?;
        if session.generation == envelope.generation { Ok(()) } else { Err(TreeError::SessionMoved(id)) }
    }

    pub(super) fn open_session(&mut self, open: &OpenSession) -> Result<Reply, TreeError> {
        if open.secret.is_empty() || open.secret.len() > SESSION_SECRET_BYTES_MAX {
            let text =
                format!("a session's secret has 1 to {SESSION_SECRET_BYTES_MAX} bytes, not {}", open.secret.len());
            return Err(TreeError::Invalid(text));
        }
        if self.tree.sessions.len() >= SESSIONS_MAX {
            return Err(TreeError::Invalid(format!("there are {SESSIONS_MAX} sessions already; close some")));
        }
        let millis =
            |limit: std::time::Duration| u32::try_from(limit.as_millis()).expect("the limits are hours at most");
        let timeout_ms = open.timeout_ms.clamp(millis(SESSION_TIMEOUT_MIN), millis(SESSION_TIMEOUT_MAX));
        let id = SessionId(self.zxid.0);
        let session = Session { timeout_ms, generation: 1, secret: Bytes::copy_from_slice(&open.secret) };
        self.tree.put_session(id, Some(session));
        Ok(Reply::Session(SessionReply { session: id, timeout_ms, generation: 1 }))
    }

    pub(super) fn attach_session(&mut self, attach: &AttachSession) -> Result<Reply, TreeError> {
        let id = attach.session;
        let mut session = self.tree.session(id).ok_or(TreeError::SessionExpired(id))?.clone();
        if session.secret != attach.secret {
            return Err(TreeError::WrongSecret(id));
        }
        session.generation = session.generation.wrapping_add(1);
        let reply = SessionReply { session: id, timeout_ms: session.timeout_ms, generation: session.generation };
        self.tree.put_session(id, Some(session));
        Ok(Reply::Session(reply))
    }

    pub(super) fn close_session(&mut self, envelope: &Envelope, close: &CloseSession) -> Result<Reply, TreeError> {
        let id = close.session;
        let session = self.tree.session(id).ok_or(TreeError::SessionExpired(id))?;
        if close.expired {
            if session.generation != close.generation {
                return Err(TreeError::SessionMoved(id));
            }
        } else if envelope.session != id {
            return Err(TreeError::Invalid(format!("session {id} can be closed only by itself")));
        }
        // In a multi nothing of this is allowed, so none of it needs to be undone.
        for path in self.tree.ephemerals(id) {
            self.remove_znode(&path);
        }
        self.tree.put_session(id, None);
        Ok(Reply::Done(Done))
    }
}
