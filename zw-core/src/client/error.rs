//! What can go wrong for a client, and whether it says that nothing was changed.

use crate::wire::client::{ErrorCode, ErrorReply, RequestError};
use std::fmt::Write as _;
use std::time::Duration;
use thiserror::Error;

/// Why a request has no answer.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ClientError {
    /// The ensemble refused it: nothing was changed.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// A write was under way when the connection, or the leader, was lost: it may be done, or be done later, or never.
    /// Read before writing again.
    #[error("the outcome is unknown: {0}; read the znode before you write again")]
    OutcomeUnknown(String),
    /// No server could be reached before the deadline; the request was not sent.
    #[error("no server could be reached{}", listed(tried))]
    NotConnected {
        /// Each server that was tried, with the reason.
        tried: Vec<(String, String)>,
    },
    /// The session is gone, and its ephemeral znodes with it: connect again.
    #[error("the session has expired; connect again for a new one")]
    SessionExpired,
    /// The deadline passed. A write that was sent gives [`ClientError::OutcomeUnknown`] instead.
    #[error("no answer within {after:?}")]
    Timeout {
        /// The time given.
        after: Duration,
    },
    /// A server refused the connection itself.
    #[error("{server} refused the connection: {reason}")]
    Refused {
        /// Which server.
        server: String,
        /// What it said.
        reason: String,
    },
    /// A server sent something that is not our protocol.
    #[error("not a ZooWeeper server, or of another version: {0}")]
    Protocol(String),
    /// The client was closed, or its runtime has ended.
    #[error("the client is closed")]
    Closed,
}

fn listed(tried: &[(String, String)]) -> String {
    tried.iter().fold(String::new(), |mut text, (server, reason)| {
        let separator = if text.is_empty() { ": " } else { "; " };
        write!(text, "{separator}{server}: {reason}").expect("writing into a string cannot fail");
        text
    })
}

impl ClientError {
    /// Whether it is certain that a write was not done, and will not be.
    #[must_use]
    pub fn outcome_is_known(&self) -> bool {
        !matches!(self, ClientError::OutcomeUnknown(_))
    }

    /// The kind of refusal, if the ensemble refused the request.
    #[must_use]
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            ClientError::Request(error) => Some(error.code),
            ClientError::OutcomeUnknown(_) => Some(ErrorCode::OutcomeUnknown),
            ClientError::SessionExpired => Some(ErrorCode::SessionExpired),
            _ => None,
        }
    }
}

impl From<ErrorReply> for ClientError {
    fn from(reply: ErrorReply) -> ClientError {
        match reply.code {
            ErrorCode::OutcomeUnknown => ClientError::OutcomeUnknown(reply.message),
            _ => ClientError::Request(reply.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_server_is_named_with_its_reason() {
        let tried = vec![("a:1".to_owned(), "refused".to_owned()), ("b:2".to_owned(), "timed out".to_owned())];
        let text = ClientError::NotConnected { tried }.to_string();
        assert_eq!(text, "no server could be reached: a:1: refused; b:2: timed out");
    }

    #[test]
    fn only_an_unknown_outcome_is_unknown() {
        let reply = |code| ClientError::from(ErrorReply { code, message: "text".into() });
        assert!(!reply(ErrorCode::OutcomeUnknown).outcome_is_known());
        assert!(reply(ErrorCode::NoQuorum).outcome_is_known());
        assert_eq!(reply(ErrorCode::NoQuorum).code(), Some(ErrorCode::NoQuorum));
        assert!(ClientError::Timeout { after: Duration::ZERO }.outcome_is_known());
    }
}
