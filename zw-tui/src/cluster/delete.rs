//! Deletes a subtree through one node: deepest first, each znode in the version that was read, a bounded number in a
//! request.

use super::ask::{Line, unexpected};
use super::poll::reason;
use crate::model::message::{DeleteFailure, Deleted};
use crate::model::tree::join;
use tokio::time::Instant;
use zw_core::client::ClientError;
use zw_core::ids::Zxid;
use zw_core::tree::command::{Command, Delete, Multi};
use zw_core::wire::client::{Answer, Children, ErrorCode, Operation, Read};

/// Znodes of one request: it goes as a whole or not at all.
const BATCH: usize = 256;
/// Children of one page.
const PAGE: u32 = 1_000;

/// What was done so far.
struct Progress {
    znodes: u64,
    at_most: u64,
    zxid: Zxid,
}

/// Why it stopped.
enum Stop {
    Client(ClientError),
    /// More than was counted.
    More,
}

impl From<ClientError> for Stop {
    fn from(error: ClientError) -> Stop {
        Stop::Client(error)
    }
}

/// Counts the znodes below `path`.
pub(super) async fn count(line: &mut Line, path: &str) -> Result<u64, ClientError> {
    match line.request(Operation::SubtreeDigest(Read { path: path.into(), watch: false })).await? {
        (_, Answer::Digest(digest)) => Ok(digest.znodes.saturating_sub(1)),
        (_, answer) => Err(unexpected(&answer)),
    }
}

/// Deletes `path` and all below it, unless that is more than `at_most`.
pub(super) async fn delete(line: &mut Line, path: &str, at_most: u64) -> Result<Deleted, DeleteFailure> {
    let began = Instant::now();
    let mut progress = Progress { znodes: 0, at_most, zxid: Zxid::default() };
    match subtree(line, path, &mut progress).await {
        Ok(()) => Ok(Deleted { znodes: progress.znodes, zxid: progress.zxid, took: began.elapsed() }),
        Err(stop) => {
            let znodes = progress.znodes;
            Err(match stop {
                Stop::More => {
                    let reason = format!("there is more below it than the {} that were counted", at_most - 1);
                    DeleteFailure { znodes, reason, may_be_done: false }
                }
                Stop::Client(error) => {
                    let advice = match error.code() {
                        Some(ErrorCode::BadVersion) => ": it was changed meanwhile",
                        Some(ErrorCode::NotEmpty) => ": it got children meanwhile",
                        _ => "",
                    };
                    let may_be_done = !error.outcome_is_known();
                    DeleteFailure { znodes, reason: format!("{}{advice}", reason(&error)), may_be_done }
                }
            })
        }
    }
}

async fn subtree(line: &mut Line, root: &str, progress: &mut Progress) -> Result<(), Stop> {
    let mut stack = vec![(root.to_owned(), version(line, root).await?)];
    while let Some((path, version)) = stack.last().cloned() {
        let page = Children { path: path.clone(), watch: false, after: String::new(), limit: PAGE, with_stat: true };
        let page = match line.request(Operation::Children(page)).await? {
            (_, Answer::Children(page)) => page,
            (_, answer) => return Err(unexpected(&answer).into()),
        };
        if page.names.is_empty() {
            stack.pop();
            remove(line, vec![Delete { path, version }], progress).await?;
            continue;
        }
        let children = page.names.iter().zip(&page.stats).map(|(name, stat)| (join(&path, name), stat));
        let (leaves, inner): (Vec<_>, Vec<_>) = children.partition(|(_, stat)| stat.num_children == 0);
        let leaves: Vec<Delete> =
            leaves.into_iter().map(|(path, stat)| Delete { path, version: stat.version }).collect();
        for batch in leaves.chunks(BATCH) {
            remove(line, batch.to_vec(), progress).await?;
        }
        stack.extend(inner.into_iter().map(|(path, stat)| (path, stat.version)));
    }
    Ok(())
}

/// The version of the subtree's root.
async fn version(line: &mut Line, path: &str) -> Result<i32, Stop> {
    match line.request(Operation::Get(Read { path: path.into(), watch: false })).await? {
        (_, Answer::Data(data)) => Ok(data.stat.version),
        (_, answer) => Err(unexpected(&answer).into()),
    }
}

/// Removes znodes without children, all or none.
async fn remove(line: &mut Line, deletes: Vec<Delete>, progress: &mut Progress) -> Result<(), Stop> {
    let count = u64::try_from(deletes.len()).unwrap_or(u64::MAX);
    if progress.znodes.saturating_add(count) > progress.at_most {
        return Err(Stop::More);
    }
    let mut commands: Vec<Command> = deletes.into_iter().map(Command::Delete).collect();
    let command = match (commands.len(), commands.pop()) {
        (1, Some(one)) => one,
        (_, last) => {
            commands.extend(last);
            Command::Multi(Multi { operations: commands })
        }
    };
    match line.request(Operation::Write(command)).await? {
        (zxid, Answer::Written(_)) => {
            progress.znodes += count;
            progress.zxid = zxid;
            Ok(())
        }
        (_, answer) => Err(unexpected(&answer).into()),
    }
}
