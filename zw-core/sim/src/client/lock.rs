//! The lock recipe: a place in a queue of ephemeral sequential znodes, a watch on the place before it, and writes that
//! check the place (fencing).
//!
//! Fault model: an outcome that is unknown makes the client look for its place again; only the end of its session takes
//! the place from it.

use super::{Answer, Operation};
use crate::history::{Look, ReadResult};
use crate::invariants::locks::{GUARDED, LOCK, number};
use crate::prng::Prng;
use bytes::Bytes;
use zw_core::ids::Zxid;
use zw_core::tree::command::{
    Acl, Check, Command, Create, CreateMode, Delete, Multi, Reply, SetData, TreeError, TreeEvent,
};

/// What a client of the lock does.
pub(super) struct Lock {
    /// What the name of its place begins with.
    prefix: String,
    place: String,
    stage: Stage,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Stage {
    /// Makes the queue.
    MakeQueue,
    /// Makes what is guarded.
    MakeGuarded,
    /// Looks whether it has a place already.
    Return,
    /// Takes a place.
    Enter,
    /// Looks whether it is the first.
    Look,
    /// Watches the place before it.
    Watch(String),
    /// Waits for that to go.
    Wait(String),
    /// Holds the lock for so many writes.
    Hold(u64),
    /// Gives its place up.
    Leave,
}

impl Lock {
    pub(super) fn new(client: u64) -> Lock {
        Lock { prefix: format!("c{client}-"), place: String::new(), stage: Stage::MakeQueue }
    }

    /// What to ask for, unless there is only to wait.
    pub(super) fn next(&self, prng: &mut Prng) -> Option<Operation> {
        let create = |path: &str, mode| {
            let path = path.to_owned();
            let create = Create { path, data: Bytes::new(), acl: Acl::open(), mode, ttl_ms: 0 };
            Some(Operation::Write(Command::Create(create)))
        };
        let read = |path: &str, look, watch| Some(Operation::Read { path: path.to_owned(), look, watch });
        let list = || Look::Children { after: String::new(), limit: 0 };
        match &self.stage {
            Stage::MakeQueue if prng.chance(500) => create(LOCK, CreateMode::Container),
            Stage::MakeQueue => create(LOCK, CreateMode::Persistent),
            Stage::MakeGuarded => create(GUARDED, CreateMode::Persistent),
            Stage::Return | Stage::Look => read(LOCK, list(), false),
            Stage::Enter => create(&format!("{LOCK}/{}", self.prefix), CreateMode::EphemeralSequential),
            Stage::Watch(before) => read(before, Look::Exists, true),
            Stage::Wait(_) => None,
            Stage::Hold(_) => {
                let data = Bytes::copy_from_slice(self.place.as_bytes());
                let operations = vec![
                    Command::Check(Check { path: self.place.clone(), version: -1 }),
                    Command::SetData(SetData { path: GUARDED.to_owned(), data, version: -1 }),
                ];
                Some(Operation::Write(Command::Multi(Multi { operations })))
            }
            Stage::Leave => Some(Operation::Write(Command::Delete(Delete { path: self.place.clone(), version: -1 }))),
        }
    }

    /// Takes an answer in. Gives the place and the zxid if that shows it to be the first.
    pub(super) fn answered(&mut self, prng: &mut Prng, asked: &Operation, answer: &Answer) -> Option<(Zxid, String)> {
        if matches!(asked, Operation::Ping | Operation::SetWatches(..)) || is_about_sessions(asked) {
            return None;
        }
        let mut claim = None;
        self.stage = match (&self.stage, answer) {
            (Stage::MakeQueue, Answer::Written(..)) => Stage::MakeGuarded,
            (Stage::MakeGuarded, Answer::Written(..)) => Stage::Return,
            (stage @ (Stage::MakeQueue | Stage::MakeGuarded | Stage::Wait(_)), _) => stage.clone(),
            (Stage::Return, Answer::Read(_, ReadResult::Children(Ok(page)))) => {
                match page.names.iter().find(|name| name.starts_with(&self.prefix)) {
                    Some(name) => {
                        self.place = format!("{LOCK}/{name}");
                        Stage::Look
                    }
                    None => Stage::Enter,
                }
            }
            (Stage::Enter, Answer::Written(_, Ok(Reply::Created(created)))) => {
                self.place.clone_from(&created.path);
                Stage::Look
            }
            (Stage::Look, Answer::Read(zxid, ReadResult::Children(Ok(page)))) => {
                let places: Vec<String> = page.names.iter().map(|name| format!("{LOCK}/{name}")).collect();
                let mine = number(&self.place);
                let before = places.iter().filter(|place| number(place) < mine).max_by_key(|place| number(place));
                match before {
                    _ if !places.contains(&self.place) => Stage::Return,
                    Some(before) => Stage::Watch(before.clone()),
                    None => {
                        claim = Some((*zxid, self.place.clone()));
                        Stage::Hold(prng.below(4))
                    }
                }
            }
            (Stage::Watch(before), Answer::Read(_, ReadResult::Stat(Ok(Some(_))))) => Stage::Wait(before.clone()),
            (Stage::Watch(_), _) => Stage::Look,
            (Stage::Hold(writes), Answer::Written(_, Ok(_))) if *writes > 0 => Stage::Hold(*writes - 1),
            (Stage::Hold(_), Answer::Written(_, Ok(_))) => Stage::Leave,
            (_, Answer::Written(_, Err(TreeError::NoNode(_))) | Answer::Read(_, ReadResult::Children(Err(_)))) => {
                Stage::MakeQueue
            }
            _ => Stage::Return,
        };
        claim
    }

    /// A watch fires.
    pub(super) fn heard(&mut self, event: &TreeEvent) {
        if self.stage == Stage::Wait(event.path.clone()) {
            self.stage = Stage::Look;
        }
    }

    /// The connection broke. A watch that was armed will be armed again.
    pub(super) fn interrupted(&mut self) {
        if !matches!(self.stage, Stage::MakeQueue | Stage::MakeGuarded | Stage::Wait(_)) {
            self.stage = Stage::Return;
        }
    }

    /// The session is gone, and the place with it.
    pub(super) fn ended(&mut self) {
        self.place.clear();
        self.stage = Stage::MakeQueue;
    }
}

fn is_about_sessions(asked: &Operation) -> bool {
    matches!(asked, Operation::Write(Command::OpenSession(_) | Command::AttachSession(_) | Command::CloseSession(_)))
}
