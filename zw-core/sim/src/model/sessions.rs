//! Sessions of the model: who may act, who is refused and why, and what goes with a session that ends.

use super::{End, Model, ModelSession};
use zw_core::ids::{SessionId, Zxid};
use zw_core::tree::command::{Command, Done, Envelope, Reply, SessionReply, TreeError};

const TIMEOUT_MS_MIN: u32 = 1_000;
const TIMEOUT_MS_MAX: u32 = 3_600_000;

impl Model {
    /// Does a command about sessions; none if it is about znodes and its session may act.
    pub(super) fn session_command(&mut self, zxid: Zxid, envelope: &Envelope) -> Result<Option<Reply>, TreeError> {
        match &envelope.command {
            Command::OpenSession(open) => {
                let session = SessionId(zxid.0);
                let timeout_ms = open.timeout_ms.clamp(TIMEOUT_MS_MIN, TIMEOUT_MS_MAX);
                let opened = ModelSession { timeout_ms, generation: 1, secret: open.secret.clone() };
                self.sessions.insert(session, opened);
                return Ok(Some(Reply::Session(SessionReply { session, timeout_ms, generation: 1 })));
            }
            Command::AttachSession(attach) => {
                let session = attach.session;
                let opened = self.sessions.get_mut(&session).ok_or(TreeError::SessionExpired(session))?;
                if opened.secret != attach.secret {
                    return Err(TreeError::WrongSecret(session));
                }
                opened.generation += 1;
                let ModelSession { timeout_ms, generation, .. } = *opened;
                return Ok(Some(Reply::Session(SessionReply { session, timeout_ms, generation })));
            }
            _ => {}
        }
        if envelope.session != SessionId::NONE {
            self.acts(envelope.session, envelope.generation)?;
        }
        let Command::CloseSession(close) = &envelope.command else { return Ok(None) };
        if close.expired {
            self.acts(close.session, close.generation)?;
        } else if !self.sessions.contains_key(&close.session) {
            return Err(TreeError::SessionExpired(close.session));
        } else if envelope.session != close.session {
            return Err(TreeError::Invalid("a session is closed only by itself".to_owned()));
        }
        self.sessions.remove(&close.session);
        let owned = |end: End, owner| end == End::Session && owner == close.session;
        let all = self.znodes.iter().filter(|(_, znode)| owned(znode.end, znode.stat.ephemeral_owner));
        let paths: Vec<String> = all.map(|(path, _)| path.clone()).collect();
        for path in paths {
            self.remove(&path, zxid);
        }
        Ok(Some(Reply::Done(Done)))
    }

    /// Whether the session exists, and this is still its generation.
    fn acts(&self, id: SessionId, generation: u32) -> Result<(), TreeError> {
        let session = self.sessions.get(&id).ok_or(TreeError::SessionExpired(id))?;
        if session.generation == generation { Ok(()) } else { Err(TreeError::SessionMoved(id)) }
    }
}
