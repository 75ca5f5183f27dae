//! Questions about the tree: in order, over one connection that is made when it is needed.

use super::READ_TIMEOUT;
use super::delete;
use super::poll::reason;
use crate::model::message::{DeleteFailure, Effect, Msg, WriteFailure};
use crate::model::tree::PAGE_ROWS;
use crate::model::write::WriteOrder;
use bytes::Bytes;
use std::time::Duration;
use tokio::sync::mpsc::{Receiver, Sender};
use zw_core::client::{ClientError, Connection};
use zw_core::ids::Zxid;
use zw_core::tree::command::Stat;
use zw_core::wire::admin::SessionInfo;
use zw_core::wire::client::{Answer, Children, ChildrenPage, Operation, Ping, Read};

/// The connection of one task, made when it is needed and dropped when it failed.
pub(super) struct Line {
    address: String,
    timeout: Duration,
    connection: Option<Connection>,
}

impl Line {
    pub(super) fn new(address: String, timeout: Duration) -> Line {
        Line { address, timeout, connection: None }
    }

    /// Ends the connection.
    pub(super) fn hang_up(&mut self) {
        self.connection = None;
    }

    pub(super) async fn request(&mut self, operation: Operation) -> Result<(Zxid, Answer), ClientError> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection::open(&self.address, self.timeout).await?,
        };
        let result = connection.request(operation).await;
        // A refusal leaves the connection good; anything else may have left an answer on its way.
        if matches!(result, Ok(_) | Err(ClientError::Request(_))) {
            self.connection = Some(connection);
        }
        result
    }
}

/// Answers the questions of the tree's view.
pub(super) async fn read(node: usize, address: String, mut questions: Receiver<Effect>, messages: Sender<Msg>) {
    let mut line = Line::new(address, READ_TIMEOUT);
    while let Some(question) = questions.recv().await {
        let message = match question {
            Effect::Children { path, after, .. } => {
                let result = children(&mut line, &path, &after).await.map_err(|error| reason(&error));
                Msg::Children { node, path, after, result }
            }
            Effect::Value { path, .. } => {
                let result = value(&mut line, &path).await.map_err(|error| reason(&error));
                Msg::Value { node, path, result }
            }
            Effect::Exists { path, .. } => {
                let result = exists(&mut line, &path).await.map_err(|error| reason(&error));
                Msg::Exists { node, path, result }
            }
            Effect::Count { path, .. } => {
                let result = delete::count(&mut line, &path).await.map_err(|error| reason(&error));
                Msg::Counted { node, path, result }
            }
            Effect::Sessions { .. } => {
                let result = sessions(&mut line).await.map_err(|error| reason(&error));
                Msg::Sessions { node, result }
            }
            Effect::Redial { .. } => {
                line.hang_up();
                continue;
            }
            _ => continue,
        };
        if messages.send(message).await.is_err() {
            return;
        }
    }
}

async fn children(line: &mut Line, path: &str, after: &str) -> Result<ChildrenPage, ClientError> {
    let question = Children { path: path.into(), watch: false, after: after.into(), limit: PAGE_ROWS, with_stat: true };
    match line.request(Operation::Children(question)).await? {
        (_, Answer::Children(page)) => Ok(page),
        (_, answer) => Err(unexpected(&answer)),
    }
}

async fn value(line: &mut Line, path: &str) -> Result<(Bytes, Stat), ClientError> {
    match line.request(Operation::Get(Read { path: path.into(), watch: false })).await? {
        (_, Answer::Data(data)) => Ok((data.data, data.stat)),
        (_, answer) => Err(unexpected(&answer)),
    }
}

async fn exists(line: &mut Line, path: &str) -> Result<(Zxid, Option<Stat>), ClientError> {
    match line.request(Operation::Exists(Read { path: path.into(), watch: false })).await? {
        (zxid, Answer::Stat(stat)) => Ok((zxid, stat)),
        (_, answer) => Err(unexpected(&answer)),
    }
}

async fn sessions(line: &mut Line) -> Result<Vec<SessionInfo>, ClientError> {
    match line.request(Operation::Sessions(Ping)).await? {
        (_, Answer::Sessions(sessions)) => Ok(sessions),
        (_, answer) => Err(unexpected(&answer)),
    }
}

pub(super) fn unexpected(answer: &Answer) -> ClientError {
    ClientError::Protocol(format!("an answer of kind {}, which does not fit the question", answer.kind()))
}

/// The answer to a question that cannot be asked.
pub(super) fn failed(effect: Effect, reason: &str, may_be_done: bool) -> Option<Msg> {
    let reason = reason.to_owned();
    match effect {
        Effect::Children { node, path, after } => Some(Msg::Children { node, path, after, result: Err(reason) }),
        Effect::Value { node, path } => Some(Msg::Value { node, path, result: Err(reason) }),
        Effect::Exists { node, path } => Some(Msg::Exists { node, path, result: Err(reason) }),
        Effect::Sessions { node } => Some(Msg::Sessions { node, result: Err(reason) }),
        Effect::Count { node, path } => Some(Msg::Counted { node, path, result: Err(reason) }),
        Effect::Delete { node, path, .. } => {
            Some(Msg::Deleted { node, path, result: Err(DeleteFailure { znodes: 0, reason, may_be_done }) })
        }
        Effect::Write(WriteOrder { node, path, .. }) => {
            Some(Msg::Written { node, path, result: Err(WriteFailure { reason, may_be_done, done: 0 }) })
        }
        _ => None,
    }
}
