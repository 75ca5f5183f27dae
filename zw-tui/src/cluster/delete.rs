//! Deletes a subtree through one node, each znode in the version that was read.

use super::ask::{Line, unexpected};
use super::poll::reason;
use crate::model::message::{DeleteFailure, Deleted};
use std::time::Duration;
use tokio::time::Instant;
use zw_core::client::{ClientError, Requests, Rivals, Stop, SubtreeDelete, delete_subtree};
use zw_core::ids::Zxid;
use zw_core::wire::client::{Answer, ErrorCode, Operation, Read};

/// How long a deletion may take: the writes through this node wait for it.
const DELETE_TIME: Duration = Duration::from_secs(30);

/// Counts the znodes below `path`.
pub(super) async fn count(line: &mut Line, path: &str) -> Result<u64, ClientError> {
    match line.request(Operation::SubtreeDigest(Read { path: path.into(), watch: false })).await? {
        (_, Answer::Digest(digest)) => Ok(digest.znodes.saturating_sub(1)),
        (_, answer) => Err(unexpected(&answer)),
    }
}

impl Requests for Line {
    fn ask(&mut self, operation: Operation) -> impl Future<Output = Result<(Zxid, Answer), ClientError>> + Send {
        self.request(operation)
    }
}

/// Deletes `path` and all below it, unless that is more than `at_most` or somebody else changes it meanwhile.
pub(super) async fn delete(line: &mut Line, path: &str, at_most: u64) -> Result<Deleted, DeleteFailure> {
    let began = Instant::now();
    let what = SubtreeDelete { root: path, rivals: Rivals::Respect, at_most, within: DELETE_TIME };
    let (znodes, reason, may_be_done) = match delete_subtree(line, &what).await {
        Ok(deleted) if deleted.znodes == 0 => (0, "somebody else deleted it meanwhile".to_owned(), false),
        Ok(deleted) => return Ok(Deleted { znodes: deleted.znodes, zxid: deleted.zxid, took: began.elapsed() }),
        Err((deleted, Stop::More(_))) => {
            let counted = at_most.saturating_sub(1);
            (deleted.znodes, format!("there is more below it than the {counted} that were counted"), false)
        }
        Err((deleted, Stop::Client(error))) => {
            let advice = match error.code() {
                Some(ErrorCode::BadVersion) => ": it was changed meanwhile",
                Some(ErrorCode::NotEmpty) => ": it got children meanwhile",
                _ => "",
            };
            (deleted.znodes, format!("{}{advice}", reason(&error)), !error.outcome_is_known())
        }
        Err((deleted, stop @ Stop::Late(_))) => (deleted.znodes, stop.to_string(), false),
    };
    Err(DeleteFailure { znodes, reason, may_be_done })
}

#[cfg(test)]
mod tests {
    use super::super::{READ_TIMEOUT, fake_node};
    use super::*;
    use std::collections::BTreeSet;
    use zw_core::tree::command::{Command, Done, Reply, Stat};
    use zw_core::wire::client::{ChildrenPage, ErrorReply};

    /// A znode with two children, of which somebody else deletes one after they are told.
    fn with_a_rival() -> impl FnMut(Operation) -> Vec<Answer> + Send + 'static {
        let mut left = BTreeSet::from(["/a".to_owned(), "/a/b".to_owned(), "/a/c".to_owned()]);
        let no_node = || Answer::Error(ErrorReply { code: ErrorCode::NoNode, message: "no such znode".into() });
        move |operation| {
            vec![match operation {
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
