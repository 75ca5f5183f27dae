//! Deletes a subtree through one node: deepest first, each znode in the version that was read, a bounded number in a
//! request. What somebody else removes meanwhile is gone too, and that is no failure.

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
        Ok(()) if progress.znodes == 0 => {
            let reason = "somebody else deleted it meanwhile".to_owned();
            Err(DeleteFailure { znodes: 0, reason, may_be_done: false })
        }
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
        let page = match line.request(Operation::Children(page)).await {
            Ok((_, Answer::Children(page))) => page,
            Ok((_, answer)) => return Err(unexpected(&answer).into()),
            Err(error) if error.code() == Some(ErrorCode::NoNode) => {
                stack.pop();
                continue;
            }
            Err(error) => return Err(error.into()),
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

/// Removes znodes without children: all at once or, if one of them refuses, one after the other, up to a reason that is
/// not that it is gone.
async fn remove(line: &mut Line, mut deletes: Vec<Delete>, progress: &mut Progress) -> Result<(), Stop> {
    if deletes.len() > 1 {
        let operations = deletes.iter().cloned().map(Command::Delete).collect();
        match carry_out(line, Command::Multi(Multi { operations }), deletes.len(), progress).await {
            Err(Stop::Client(error)) if error.code() == Some(ErrorCode::MultiFailed) => {}
            done => return done,
        }
    }
    for delete in deletes.drain(..) {
        match carry_out(line, Command::Delete(delete), 1, progress).await {
            Err(Stop::Client(error)) if error.code() == Some(ErrorCode::NoNode) => {}
            done => done?,
        }
    }
    Ok(())
}

/// Carries out what removes `count` znodes.
async fn carry_out(line: &mut Line, command: Command, count: usize, progress: &mut Progress) -> Result<(), Stop> {
    let znodes = progress.znodes.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
    if znodes > progress.at_most {
        return Err(Stop::More);
    }
    match line.request(Operation::Write(command)).await? {
        (zxid, Answer::Written(_)) => {
            (progress.znodes, progress.zxid) = (znodes, zxid);
            Ok(())
        }
        (_, answer) => Err(unexpected(&answer).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{READ_TIMEOUT, fake_node};
    use super::*;
    use bytes::Bytes;
    use std::collections::BTreeSet;
    use zw_core::tree::command::{Done, Reply, Stat};
    use zw_core::wire::client::{ChildrenPage, Data, ErrorReply};

    /// A znode with two children, of which somebody else deletes one after they are told.
    fn with_a_rival() -> impl FnMut(Operation) -> Vec<Answer> + Send + 'static {
        let mut left = BTreeSet::from(["/a".to_owned(), "/a/b".to_owned(), "/a/c".to_owned()]);
        let no_node = || Answer::Error(ErrorReply { code: ErrorCode::NoNode, message: "no such znode".into() });
        move |operation| {
            vec![match operation {
                Operation::Get(_) => Answer::Data(Data { data: Bytes::new(), stat: Stat::default() }),
                Operation::Children(_) => {
                    let names: Vec<String> =
                        left.iter().filter_map(|path| path.strip_prefix("/a/")).map(Into::into).collect();
                    let stats = names.iter().map(|_| Stat::default()).collect();
                    left.remove("/a/b");
                    Answer::Children(ChildrenPage { names, stats, stat: Stat::default(), more: false })
                }
                Operation::Write(Command::Multi(_)) => {
                    Answer::Error(ErrorReply { code: ErrorCode::MultiFailed, message: "operation 0".into() })
                }
                Operation::Write(Command::Delete(delete)) if left.remove(&delete.path) => {
                    Answer::Written(Reply::Done(Done))
                }
                _ => no_node(),
            }]
        }
    }

    #[tokio::test]
    async fn what_somebody_else_deletes_meanwhile_is_gone_too() {
        let (address, _asked) = fake_node::start(with_a_rival()).await;
        let deleted = delete(&mut Line::new(address, READ_TIMEOUT), "/a", 3).await;
        assert_eq!(deleted.map(|deleted| deleted.znodes), Ok(2));
    }
}
