//! Questions about the tree, and writes: in order, over one connection that is made when it is needed.

use super::READ_TIMEOUT;
use super::delete;
use super::poll::reason;
use crate::model::message::{DeleteFailure, Effect, Msg, WriteFailure, Written};
use crate::model::tree::PAGE_ROWS;
use bytes::Bytes;
use std::time::Duration;
use tokio::sync::mpsc::{Receiver, Sender};
use tokio::time::Instant;
use zw_core::client::{ClientError, Connection};
use zw_core::ids::Zxid;
use zw_core::limits::REQUEST_DEADLINE;
use zw_core::tree::command::{Acl, Command, Create, CreateMode, Reply, SetData, Stat};
use zw_core::wire::client::{Answer, Children, ChildrenPage, ErrorCode, Operation, Read};

/// The node refuses a write after [`REQUEST_DEADLINE`]; its refusal must have time to arrive.
const WRITE_TIMEOUT: Duration = REQUEST_DEADLINE.saturating_add(Duration::from_secs(1));

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
            Effect::Count { path, .. } => {
                let result = delete::count(&mut line, &path).await.map_err(|error| reason(&error));
                Msg::Counted { node, path, result }
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

/// Carries the writes out.
pub(super) async fn write(node: usize, address: String, mut writes: Receiver<Effect>, messages: Sender<Msg>) {
    let mut line = Line::new(address, WRITE_TIMEOUT);
    while let Some(effect) = writes.recv().await {
        let message = match effect {
            Effect::Write { path, data, .. } => {
                let result = write_one(&mut line, &path, &data).await;
                Msg::Written { node, path, result }
            }
            Effect::Delete { path, at_most, .. } => {
                let result = delete::delete(&mut line, &path, at_most).await;
                Msg::Deleted { node, path, result }
            }
            _ => {
                line.hang_up();
                continue;
            }
        };
        if messages.send(message).await.is_err() {
            return;
        }
    }
}

async fn write_one(line: &mut Line, path: &str, data: &Bytes) -> Result<Written, WriteFailure> {
    let began = Instant::now();
    match set_or_create(line, path, data).await {
        Ok((zxid, created, version)) => Ok(Written { created, version, zxid, took: began.elapsed() }),
        Err(error) => {
            let is_parent_missing = error.code() == Some(ErrorCode::NoNode);
            let advice = if is_parent_missing { "; write that one first" } else { "" };
            let reason = format!("{}{advice}", reason(&error));
            Err(WriteFailure { reason, may_be_done: !error.outcome_is_known() })
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

/// Sets the data; if there is no such znode, makes it; if it came into being between, sets it after all.
async fn set_or_create(line: &mut Line, path: &str, data: &Bytes) -> Result<(Zxid, bool, i32), ClientError> {
    let set = || {
        let set = SetData { path: path.into(), data: data.clone(), version: -1 };
        Operation::Write(Command::SetData(set))
    };
    match line.request(set()).await {
        Err(error) if error.code() == Some(ErrorCode::NoNode) => {}
        answer => return written(answer?),
    }
    let create =
        Create { path: path.into(), data: data.clone(), acl: Acl::open(), mode: CreateMode::Persistent, ttl_ms: 0 };
    match line.request(Operation::Write(Command::Create(create))).await {
        Err(error) if error.code() == Some(ErrorCode::NodeExists) => written(line.request(set()).await?),
        answer => written(answer?),
    }
}

fn written((zxid, answer): (Zxid, Answer)) -> Result<(Zxid, bool, i32), ClientError> {
    match answer {
        Answer::Written(Reply::Stat(stat)) => Ok((zxid, false, stat.version)),
        Answer::Written(Reply::Created(created)) => Ok((zxid, true, created.stat.version)),
        answer => Err(unexpected(&answer)),
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
        Effect::Count { node, path } => Some(Msg::Counted { node, path, result: Err(reason) }),
        Effect::Delete { node, path, .. } => {
            Some(Msg::Deleted { node, path, result: Err(DeleteFailure { znodes: 0, reason, may_be_done }) })
        }
        Effect::Write { node, path, .. } => {
            Some(Msg::Written { node, path, result: Err(WriteFailure { reason, may_be_done }) })
        }
        _ => None,
    }
}
