//! Deletes a subtree: deepest first, a bounded number of znodes in a request, within a bounded time.
//!
//! It is not one transaction, so that any number of znodes can go. What somebody else removes meanwhile is gone too, and
//! that is no failure; what somebody else makes or changes meanwhile goes too, or stops it: the caller says which.

use super::{Client, ClientError};
use crate::ids::Zxid;
use crate::limits::CHILDREN_ASKED;
use crate::tree::command::{Command, Delete, Multi};
use crate::tree::path::ROOT;
use crate::wire::client::{Answer, Children, ErrorCode, Operation};
use std::future::Future;
use std::time::Duration;
use thiserror::Error;
use tokio::time::Instant;

/// Znodes of one request: it goes as a whole or not at all.
const BATCH: usize = 256;

/// Whoever sends one request after the other, and waits for each answer.
pub trait Requests {
    /// Sends a request; its answer.
    fn ask(&mut self, operation: Operation) -> impl Future<Output = Result<(Zxid, Answer), ClientError>> + Send;
}

impl Requests for &Client {
    fn ask(&mut self, operation: Operation) -> impl Future<Output = Result<(Zxid, Answer), ClientError>> + Send {
        self.request(operation)
    }
}

/// What is to go.
#[derive(Clone, Debug)]
pub struct SubtreeDelete<'a> {
    /// Its root; of the whole tree all but the root itself.
    pub root: &'a str,
    /// What others do to it meanwhile.
    pub rivals: Rivals,
    /// The most znodes that may go.
    pub at_most: u64,
    /// How long it may take, but for the last request.
    pub within: Duration,
}

/// What becomes of what others make or change while a subtree is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rivals {
    /// It goes too.
    Overrule,
    /// It stays, and the deletion stops there.
    Respect,
}

/// What was deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deleted {
    /// How many znodes.
    pub znodes: u64,
    /// The last entry that did it.
    pub zxid: Zxid,
}

/// Why a deletion stopped.
#[derive(Debug, Error)]
pub enum Stop {
    /// The ensemble refused, or does not answer.
    #[error("{0}")]
    Client(#[from] ClientError),
    /// There is more than may go.
    #[error("there is more than the {0} znodes that may go")]
    More(u64),
    /// It takes too long.
    #[error("it is not done after {0:?}; the same again goes on with it")]
    Late(Duration),
}

/// Deletes a subtree; with the reason for a stop comes what was deleted before it.
///
/// # Errors
/// See [`Stop`].
pub async fn delete_subtree(asks: &mut impl Requests, what: &SubtreeDelete<'_>) -> Result<Deleted, (Deleted, Stop)> {
    let mut run = Run { asks, what, deadline: Instant::now() + what.within, done: Deleted::default() };
    match run.all().await {
        Ok(()) => Ok(run.done),
        Err(stop) => Err((run.done, stop)),
    }
}

/// The path of a child.
#[must_use]
pub fn child_path(parent: &str, name: &str) -> String {
    if parent == ROOT { format!("/{name}") } else { format!("{parent}/{name}") }
}

/// A deletion under way.
struct Run<'a, A> {
    asks: &'a mut A,
    what: &'a SubtreeDelete<'a>,
    deadline: Instant,
    done: Deleted,
}

impl<A: Requests> Run<'_, A> {
    async fn all(&mut self) -> Result<(), Stop> {
        // Each with the version that it had when it was seen first; the root was not seen yet.
        let mut stack: Vec<(String, Option<i32>)> = vec![(self.what.root.to_owned(), None)];
        while let Some((path, version)) = stack.last().cloned() {
            let (limit, after) = (CHILDREN_ASKED, String::new());
            let page = Children { path: path.clone(), watch: false, after, limit, with_stat: true };
            let page = match self.ask(Operation::Children(page)).await {
                Ok((_, Answer::Children(page))) => page,
                Ok((_, answer)) => return Err(unexpected(&answer).into()),
                Err(Stop::Client(error)) if error.code() == Some(ErrorCode::NoNode) && version.is_some() => {
                    stack.pop();
                    continue;
                }
                Err(error) => return Err(error),
            };
            let version = version.unwrap_or(page.stat.version);
            if let Some((_, seen)) = stack.last_mut() {
                *seen = Some(version);
            }
            if page.names.is_empty() {
                if path == ROOT || self.remove_one(&path, version).await? {
                    stack.pop();
                }
                continue;
            }
            let mut leaves = Vec::new();
            for (name, stat) in page.names.iter().zip(&page.stats) {
                let child = child_path(&path, name);
                match stat.num_children {
                    0 => leaves.push((child, stat.version)),
                    _ => stack.push((child, Some(stat.version))),
                }
            }
            for batch in leaves.chunks(BATCH) {
                self.remove(batch).await?;
            }
        }
        Ok(())
    }

    /// Removes znodes without children: all at once or, if one of them is not as it was, one after the other.
    async fn remove(&mut self, leaves: &[(String, i32)]) -> Result<(), Stop> {
        if let [_, _, ..] = leaves {
            let operations = leaves.iter().map(|(path, version)| self.delete(path, *version)).collect();
            match self.carry_out(Command::Multi(Multi { operations }), leaves.len()).await {
                Err(Stop::Client(error)) if error.code() == Some(ErrorCode::MultiFailed) => {}
                done => return done,
            }
        }
        for (path, version) in leaves {
            // One that got children is found again with its parent.
            self.remove_one(path, *version).await?;
        }
        Ok(())
    }

    /// Removes a znode; whether it is gone.
    async fn remove_one(&mut self, path: &str, version: i32) -> Result<bool, Stop> {
        let delete = self.delete(path, version);
        match self.carry_out(delete, 1).await {
            Ok(()) => Ok(true),
            Err(Stop::Client(error)) if error.code() == Some(ErrorCode::NoNode) => Ok(true),
            Err(Stop::Client(error))
                if error.code() == Some(ErrorCode::NotEmpty) && self.what.rivals == Rivals::Overrule =>
            {
                Ok(false)
            }
            Err(stop) => Err(stop),
        }
    }

    fn delete(&self, path: &str, version: i32) -> Command {
        let version = if self.what.rivals == Rivals::Respect { version } else { -1 };
        Command::Delete(Delete { path: path.to_owned(), version })
    }

    /// Carries out what removes `count` znodes.
    async fn carry_out(&mut self, command: Command, count: usize) -> Result<(), Stop> {
        let znodes = self.done.znodes.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
        if znodes > self.what.at_most {
            return Err(Stop::More(self.what.at_most));
        }
        match self.ask(Operation::Write(command)).await? {
            (zxid, Answer::Written(_)) => {
                self.done = Deleted { znodes, zxid };
                Ok(())
            }
            (_, answer) => Err(unexpected(&answer).into()),
        }
    }

    async fn ask(&mut self, operation: Operation) -> Result<(Zxid, Answer), Stop> {
        if Instant::now() >= self.deadline {
            return Err(Stop::Late(self.what.within));
        }
        Ok(self.asks.ask(operation).await?)
    }
}

fn unexpected(answer: &Answer) -> ClientError {
    ClientError::Protocol(format!("an answer of kind {}, which does not fit the question", answer.kind()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::command::{Done, Reply, Stat};
    use crate::wire::client::{ChildrenPage, RequestError};
    use std::collections::BTreeMap;

    /// A tree by paths, with versions; and what somebody else does to it after a request.
    struct Fake<F> {
        tree: BTreeMap<String, i32>,
        asked: usize,
        rival: F,
    }

    impl<F: FnMut(usize, &mut BTreeMap<String, i32>) + Send> Fake<F> {
        fn new(paths: &[&str], rival: F) -> Fake<F> {
            let tree = [ROOT].iter().chain(paths).map(|path| ((*path).to_owned(), 0)).collect();
            Fake { tree, asked: 0, rival }
        }

        fn children(&self, path: &str) -> Vec<String> {
            let prefix = child_path(path, "");
            let names = self.tree.keys().filter_map(|child| child.strip_prefix(&prefix));
            names.filter(|name| !name.is_empty() && !name.contains('/')).map(str::to_owned).collect()
        }

        fn delete(&mut self, delete: &Delete) -> Result<(), ErrorCode> {
            match self.tree.get(&delete.path) {
                None => Err(ErrorCode::NoNode),
                Some(version) if delete.version >= 0 && delete.version != *version => Err(ErrorCode::BadVersion),
                Some(_) if !self.children(&delete.path).is_empty() => Err(ErrorCode::NotEmpty),
                Some(_) => self.tree.remove(&delete.path).map(drop).ok_or(ErrorCode::NoNode),
            }
        }

        fn answer(&mut self, operation: Operation) -> Result<Answer, ErrorCode> {
            match operation {
                Operation::Children(Children { path, .. }) => {
                    let version = *self.tree.get(&path).ok_or(ErrorCode::NoNode)?;
                    let names = self.children(&path);
                    let stat = |path: &str| Stat {
                        version: self.tree.get(path).copied().unwrap_or(0),
                        num_children: u32::try_from(self.children(path).len()).unwrap(),
                        ..Stat::default()
                    };
                    let stats = names.iter().map(|name| stat(&child_path(&path, name))).collect();
                    Ok(Answer::Children(ChildrenPage {
                        names,
                        stats,
                        stat: Stat { version, ..Stat::default() },
                        more: false,
                    }))
                }
                Operation::Write(Command::Delete(delete)) => {
                    self.delete(&delete).map(|()| Answer::Written(Reply::Done(Done)))
                }
                Operation::Write(Command::Multi(Multi { operations })) => {
                    let before = self.tree.clone();
                    for operation in operations {
                        let Command::Delete(delete) = operation else { panic!("{operation:?}") };
                        if self.delete(&delete).is_err() {
                            self.tree = before;
                            return Err(ErrorCode::MultiFailed);
                        }
                    }
                    Ok(Answer::Written(Reply::Done(Done)))
                }
                other => panic!("{other:?}"),
            }
        }
    }

    impl<F: FnMut(usize, &mut BTreeMap<String, i32>) + Send> Requests for Fake<F> {
        async fn ask(&mut self, operation: Operation) -> Result<(Zxid, Answer), ClientError> {
            let answer = self.answer(operation);
            self.asked += 1;
            (self.rival)(self.asked, &mut self.tree);
            let refused = |code| ClientError::Request(RequestError { code, message: "refused".into() });
            answer.map(|answer| (Zxid(self.asked as u64), answer)).map_err(refused)
        }
    }

    const TREE: &[&str] = &["/a", "/a/b", "/a/b/c", "/a/d", "/a/e", "/f"];

    fn all_of(root: &str, rivals: Rivals) -> SubtreeDelete<'_> {
        SubtreeDelete { root, rivals, at_most: u64::MAX, within: Duration::from_secs(60) }
    }

    #[tokio::test]
    async fn a_subtree_goes_and_nothing_beside_it() {
        for rivals in [Rivals::Respect, Rivals::Overrule] {
            let mut fake = Fake::new(TREE, |_, _| {});
            let deleted = delete_subtree(&mut fake, &all_of("/a", rivals)).await.unwrap();
            assert_eq!(
                (deleted.znodes, fake.tree.keys().map(String::as_str).collect::<Vec<_>>()),
                (5, vec!["/", "/f"])
            );
            let deleted = delete_subtree(&mut fake, &all_of("/", rivals)).await.unwrap();
            assert_eq!((deleted.znodes, fake.tree.len()), (1, 1), "the root itself stays");
            let (deleted, stop) = delete_subtree(&mut fake, &all_of("/a", rivals)).await.unwrap_err();
            assert!(matches!(stop, Stop::Client(error) if error.code() == Some(ErrorCode::NoNode)));
            assert_eq!(deleted.znodes, 0);
        }
    }

    #[tokio::test]
    async fn what_others_remove_is_gone_and_what_they_make_goes_or_stops_it() {
        let removes = |asked, tree: &mut BTreeMap<String, i32>| {
            if asked == 1 {
                tree.remove("/a/d");
            }
        };
        let deleted = delete_subtree(&mut Fake::new(TREE, removes), &all_of("/a", Rivals::Respect)).await.unwrap();
        assert_eq!(deleted.znodes, 4);
        let makes = |asked, tree: &mut BTreeMap<String, i32>| {
            if asked == 1 {
                tree.insert("/a/d/new".into(), 0);
            }
        };
        let mut fake = Fake::new(TREE, makes);
        let deleted = delete_subtree(&mut fake, &all_of("/a", Rivals::Overrule)).await.unwrap();
        assert_eq!((deleted.znodes, fake.tree.len()), (6, 2));
        let mut fake = Fake::new(TREE, makes);
        let (_, stop) = delete_subtree(&mut fake, &all_of("/a", Rivals::Respect)).await.unwrap_err();
        assert!(matches!(stop, Stop::Client(error) if error.code() == Some(ErrorCode::NotEmpty)));
        assert!(fake.tree.contains_key("/a/d/new"));
        let changes = |asked, tree: &mut BTreeMap<String, i32>| {
            if asked == 1 {
                tree.insert("/a/d".into(), 7);
            }
        };
        let (_, stop) =
            delete_subtree(&mut Fake::new(TREE, changes), &all_of("/a", Rivals::Respect)).await.unwrap_err();
        assert!(matches!(stop, Stop::Client(error) if error.code() == Some(ErrorCode::BadVersion)));
    }

    #[tokio::test]
    async fn neither_more_goes_than_may_nor_for_longer() {
        let what = SubtreeDelete { at_most: 3, ..all_of("/a", Rivals::Respect) };
        let mut fake = Fake::new(TREE, |_, _| {});
        let (deleted, stop) = delete_subtree(&mut fake, &what).await.unwrap_err();
        assert!(matches!(stop, Stop::More(3)) && deleted.znodes <= 3, "{deleted:?}");
        // Somebody makes a znode for each that goes: without a bound it would never end.
        let what = SubtreeDelete { within: Duration::from_millis(50), ..all_of("/a", Rivals::Overrule) };
        let again = |asked: usize, tree: &mut BTreeMap<String, i32>| {
            tree.insert("/a".into(), 0);
            tree.insert(format!("/a/{asked}"), 0);
        };
        let (deleted, stop) = delete_subtree(&mut Fake::new(TREE, again), &what).await.unwrap_err();
        assert!(matches!(stop, Stop::Late(_)) && deleted.znodes > 0);
    }
}
