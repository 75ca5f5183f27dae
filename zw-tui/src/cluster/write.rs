//! Writes through one node, in order: creates, sets, numbered and ephemeral znodes, deletions.
//!
//! Ephemeral znodes go with a session that the console holds at this node as long as it runs. It is opened with the first
//! of them. If the node is away for longer than [`SESSION_TIMEOUT`], the session expires, and its znodes with it.

use super::ask::{Line, unexpected};
use super::delete;
use super::poll::reason;
use crate::model::message::{Effect, Msg, WriteFailure, Written};
use crate::model::write::{Mode, WriteOrder};
use std::fs::File;
use std::io::{self, Read};
use std::time::Duration;
use tokio::sync::mpsc::{Receiver, Sender};
use tokio::time::Instant;
use zw_core::client::{Client, ClientError, ClientOptions};
use zw_core::ids::Zxid;
use zw_core::limits::{REQUEST_DEADLINE, ZNODE_DATA_BYTES_MAX};
use zw_core::tree::command::{Acl, Command, Create, CreateMode, Reply, SetData};
use zw_core::wire::client::{Answer, ErrorCode, Operation, Read as ReadPath};

/// The node refuses a write after [`REQUEST_DEADLINE`]; its refusal must have time to arrive.
const WRITE_TIMEOUT: Duration = REQUEST_DEADLINE.saturating_add(Duration::from_secs(1));
/// How long the ensemble waits for the console before its ephemeral znodes go.
const SESSION_TIMEOUT: Duration = Duration::from_secs(6);

/// What the writes of one node need.
struct Writer {
    line: Line,
    address: String,
    session: Option<Client>,
}

/// An acknowledged write.
struct Done {
    zxid: Zxid,
    created: bool,
    version: i32,
    path: String,
}

/// Carries the writes out.
pub(super) async fn write(node: usize, address: String, mut writes: Receiver<Effect>, messages: Sender<Msg>) {
    let mut writer = Writer { line: Line::new(address.clone(), WRITE_TIMEOUT), address, session: None };
    while let Some(effect) = writes.recv().await {
        let message = match effect {
            Effect::Write(mut order) => {
                let result = match read(&mut order).await {
                    Ok(()) => writer.carry_out(&order).await,
                    Err(reason) => Err(WriteFailure { reason, may_be_done: false, done: 0 }),
                };
                Msg::Written { node, path: order.path, result }
            }
            Effect::Delete { path, at_most, .. } => {
                let result = delete::delete(&mut writer.line, &path, at_most).await;
                Msg::Deleted { node, path, result }
            }
            _ => {
                writer.line.hang_up();
                continue;
            }
        };
        if messages.send(message).await.is_err() {
            return;
        }
    }
}

/// Takes the data from its file, if it is in one.
async fn read(order: &mut WriteOrder) -> Result<(), String> {
    let Some(file) = order.file.clone() else { return Ok(()) };
    let read = tokio::task::spawn_blocking(move || {
        let cannot = |error: std::io::Error| format!("cannot read {file}: {error}");
        // Before it is opened: to open a pipe waits for its writer.
        let metadata = std::fs::metadata(&file).map_err(cannot)?;
        match metadata.len() {
            _ if !metadata.is_file() => Err(format!("{file} is no file")),
            bytes if bytes > ZNODE_DATA_BYTES_MAX as u64 => {
                Err(format!("{file} has {bytes} bytes; a znode takes {ZNODE_DATA_BYTES_MAX}"))
            }
            _ => {
                let data = File::open(&file).and_then(at_most_a_znode).map_err(cannot)?;
                data.ok_or_else(|| {
                    format!("{file} grew to more than {ZNODE_DATA_BYTES_MAX} bytes, which a znode takes")
                })
            }
        }
    });
    let data = read.await.map_err(|error| format!("cannot read the file: {error}"))??;
    order.data = data.into();
    Ok(())
}

/// All that comes, unless that is more than a znode takes.
fn at_most_a_znode(source: impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut data = Vec::new();
    source.take(ZNODE_DATA_BYTES_MAX as u64 + 1).read_to_end(&mut data)?;
    Ok(Some(data).filter(|data| data.len() <= ZNODE_DATA_BYTES_MAX))
}

impl Writer {
    async fn carry_out(&mut self, order: &WriteOrder) -> Result<Written, WriteFailure> {
        let began = Instant::now();
        let mut last = None;
        for done in 0..order.count {
            match self.one(order).await {
                Ok(one) => last = Some(one),
                Err(error) if error.code() == Some(ErrorCode::BadVersion) => {
                    let was = order.version.unwrap_or_default();
                    let reason =
                        format!("{} was written by somebody else meanwhile: it is not v{was} any more", order.path);
                    return Err(WriteFailure { reason, may_be_done: false, done });
                }
                Err(error) => {
                    let advice = match error.code() {
                        Some(ErrorCode::NoNode) if order.mode == Mode::Set => "; create makes it",
                        Some(ErrorCode::NoNode) => "; write that one first",
                        Some(ErrorCode::NodeExists) => "; set changes it",
                        _ => "",
                    };
                    let reason = format!("{}{advice}", reason(&error));
                    return Err(WriteFailure { reason, may_be_done: !error.outcome_is_known(), done });
                }
            }
        }
        let nothing = || WriteFailure { reason: "nothing was asked for".into(), may_be_done: false, done: 0 };
        let Done { zxid, created, version, path } = last.ok_or_else(nothing)?;
        Ok(Written { created, version, zxid, took: began.elapsed(), last: path, count: order.count })
    }

    async fn one(&mut self, order: &WriteOrder) -> Result<Done, ClientError> {
        let mode = match order.mode {
            Mode::Put => return self.put(order).await,
            Mode::Set => return self.set(order).await,
            Mode::Create => CreateMode::Persistent,
            Mode::Sequence => CreateMode::PersistentSequential,
            Mode::Container => CreateMode::Container,
            Mode::Ephemeral => return self.create_in_session(order, CreateMode::Ephemeral).await,
            Mode::EphemeralSequence => return self.create_in_session(order, CreateMode::EphemeralSequential).await,
        };
        self.create(order, mode).await
    }

    /// Sets the data, or makes the znode; if it came or went since the look at it, the other. Without the look a write that
    /// is refused would take a place in the log, too.
    async fn put(&mut self, order: &WriteOrder) -> Result<Done, ClientError> {
        let look = Operation::Exists(ReadPath { path: order.path.clone(), watch: false });
        let is_there = !matches!(self.line.request(look).await?.1, Answer::Stat(None));
        if is_there {
            match self.set(order).await {
                Err(error) if error.code() == Some(ErrorCode::NoNode) => {}
                done => return done,
            }
        }
        match self.create(order, CreateMode::Persistent).await {
            Err(error) if error.code() == Some(ErrorCode::NodeExists) => self.set(order).await,
            done => done,
        }
    }

    async fn set(&mut self, order: &WriteOrder) -> Result<Done, ClientError> {
        let set = SetData { path: order.path.clone(), data: order.data.clone(), version: order.version.unwrap_or(-1) };
        done(&order.path, self.line.request(Operation::Write(Command::SetData(set))).await?)
    }

    async fn create(&mut self, order: &WriteOrder, mode: CreateMode) -> Result<Done, ClientError> {
        let create = Command::Create(create(order, mode));
        done(&order.path, self.line.request(Operation::Write(create)).await?)
    }

    async fn create_in_session(&mut self, order: &WriteOrder, mode: CreateMode) -> Result<Done, ClientError> {
        let client = match self.session.take() {
            Some(client) => client,
            None => {
                let options = ClientOptions { request_timeout: WRITE_TIMEOUT, ..ClientOptions::to([&*self.address]) };
                Client::connect(options.with_session(SESSION_TIMEOUT)).await?
            }
        };
        let answer = client.request(Operation::Write(Command::Create(create(order, mode)))).await;
        // An expired session is of no use; any other failure leaves its znodes where they are, and it with them.
        let has_expired = matches!(&answer, Err(error) if error.code() == Some(ErrorCode::SessionExpired));
        self.session = Some(client).filter(|_| !has_expired);
        done(&order.path, answer?)
    }
}

fn create(order: &WriteOrder, mode: CreateMode) -> Create {
    Create { path: order.path.clone(), data: order.data.clone(), acl: Acl::open(), mode, ttl_ms: 0 }
}

fn done(path: &str, (zxid, answer): (Zxid, Answer)) -> Result<Done, ClientError> {
    match answer {
        Answer::Written(Reply::Stat(stat)) => {
            Ok(Done { zxid, created: false, version: stat.version, path: path.to_owned() })
        }
        Answer::Written(Reply::Created(created)) => {
            Ok(Done { zxid, created: true, version: created.stat.version, path: created.path })
        }
        answer => Err(unexpected(&answer)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_grows_is_not_read_whole() {
        assert_eq!(at_most_a_znode(io::repeat(7)).unwrap(), None);
        let full = at_most_a_znode(io::repeat(7).take(ZNODE_DATA_BYTES_MAX as u64)).unwrap();
        assert_eq!(full.map(|data| data.len()), Some(ZNODE_DATA_BYTES_MAX));
    }
}
