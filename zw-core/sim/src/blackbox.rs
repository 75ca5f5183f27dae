//! The clients' history as they see it from outside, judged at the end of a world without any zxid: one history for
//! each path, and the search of [`linearizability`](crate::linearizability).
//!
//! What is claimed to be linearizable is judged: writes, and reads behind a barrier, of clients with a session and
//! without. Plain reads promise less and are left out, and so are watches and signs of life. What is ephemeral or of
//! limited life may go by itself, once for each time it is made: as if somebody had deleted it and never been answered.
//! Nobody knows beforehand what a numbered path will be called: those are not judged.
//!
//! Each path sees only its own side of a command. A multi that failed says nothing about any one path; one that was
//! done did all of its operations there at once. What a parent or a child may forbid counts as "it was there" or "it
//! was not". So a violation here is one of the whole tree, but not every violation of the tree shows here.

use crate::client::{Answer, Operation};
use crate::history::ReadResult;
use crate::invariants::{Verdict, Violation};
use crate::linearizability::{Action, Call, Finding, Outcome, Value, check};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use zw_core::tree::command::{Command, CreateMode, Reply, TreeError};

/// Most steps of the search for one path.
const STEPS_MAX: usize = 6_000;

/// The record of all calls.
#[derive(Default)]
pub struct BlackBox {
    last_moment: u64,
    /// Calls without an answer, by client and request.
    pending: BTreeMap<(usize, u64), (u64, Operation)>,
    paths: BTreeMap<String, Vec<Call>>,
    values: BTreeMap<Bytes, Value>,
    /// What the names of numbered paths begin with.
    numbered: BTreeSet<String>,
}

/// How the judgement went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Judged {
    /// Calls that were put in order.
    pub calls: u64,
    /// Paths whose search was given up.
    pub given_up: u64,
}

impl BlackBox {
    /// A client asks.
    pub fn invoked(&mut self, client: usize, request: u64, operation: &Operation) {
        let moment = self.moment();
        if matches!(operation, Operation::Write(_) | Operation::BarrierRead(_)) {
            self.pending.insert((client, request), (moment, operation.clone()));
        }
    }

    /// A client is answered. A call that never is stays open.
    pub fn returned(&mut self, client: usize, request: u64, answer: &Answer) {
        let end = self.moment();
        if matches!(answer, Answer::Unknown) {
            return;
        }
        let Some((invoked, operation)) = self.pending.remove(&(client, request)) else { return };
        match (operation, answer) {
            (Operation::Write(command), Answer::Written(_, Ok(reply))) => {
                let version = match reply {
                    Reply::Stat(stat) => Some(stat.version),
                    _ => None,
                };
                self.note(invoked, Some((end, Outcome::Done(version))), &command);
            }
            (Operation::Write(command), Answer::Written(_, Err(error))) => {
                if let Some(outcome) = outcome_of(&command, error) {
                    self.note(invoked, Some((end, outcome)), &command);
                }
            }
            (Operation::BarrierRead(path), Answer::Read(_, result)) => {
                let outcome = match result {
                    ReadResult::Data(Ok((data, stat))) => Outcome::Read(Some((self.value(data), stat.version))),
                    ReadResult::Data(Err(TreeError::NoNode(_))) => Outcome::Absent,
                    _ => return,
                };
                let call = Call { invoked, returned: Some((end, outcome)), action: Action::Read };
                self.paths.entry(path).or_default().push(call);
            }
            // Refused: certainly not done.
            _ => {}
        }
    }

    fn note(&mut self, invoked: u64, returned: Option<(u64, Outcome)>, command: &Command) {
        let may_be_done = !matches!(returned, Some((_, Outcome::Absent | Outcome::Present | Outcome::BadVersion)));
        if may_be_done {
            self.note_life(invoked, command);
        }
        for (path, action) in self.sides(command) {
            self.paths.entry(path).or_default().push(Call { invoked, returned, action });
        }
    }

    /// Notes how what a command makes may end, and which names nobody knows.
    fn note_life(&mut self, invoked: u64, command: &Command) {
        match command {
            Command::Create(create) if is_sequential(create.mode) => {
                self.numbered.insert(create.path.clone());
            }
            Command::Create(create) if create.mode != CreateMode::Persistent => {
                let end = Call { invoked, returned: None, action: Action::Delete(-1) };
                self.paths.entry(create.path.clone()).or_default().push(end);
            }
            Command::Multi(multi) => {
                multi.operations.iter().for_each(|operation| self.note_life(invoked, operation));
            }
            _ => {}
        }
    }

    /// What a command does, path by path.
    fn sides(&mut self, command: &Command) -> Vec<(String, Action)> {
        match command {
            // Its path is only the beginning of a name.
            Command::Create(create) if is_sequential(create.mode) => Vec::new(),
            Command::Create(create) => {
                let value = self.value(&create.data);
                vec![(create.path.clone(), Action::Create(value))]
            }
            Command::SetData(set) => {
                let value = self.value(&set.data);
                vec![(set.path.clone(), Action::Set(value, set.version))]
            }
            Command::Delete(delete) => vec![(delete.path.clone(), Action::Delete(delete.version))],
            Command::Check(check) => vec![(check.path.clone(), Action::Check(check.version))],
            // The list has a version of its own: of the path it says only that it is there, and the reply what it is.
            Command::SetAcl(set) => vec![(set.path.clone(), Action::Check(-1))],
            Command::Multi(multi) => {
                let mut by_path: BTreeMap<String, Vec<Action>> = BTreeMap::new();
                for (path, action) in multi.operations.iter().flat_map(|operation| self.sides(operation)) {
                    by_path.entry(path).or_default().push(action);
                }
                by_path.into_iter().map(|(path, actions)| (path, Action::All(actions))).collect()
            }
            _ => Vec::new(),
        }
    }

    fn value(&mut self, data: &Bytes) -> Value {
        let next = Value::try_from(self.values.len()).expect("far fewer values");
        *self.values.entry(data.clone()).or_insert(next)
    }

    fn moment(&mut self) -> u64 {
        self.last_moment += 1;
        self.last_moment
    }

    /// Judges everything that was recorded. Nothing may be recorded afterwards.
    ///
    /// # Errors
    /// The history of a path has no order.
    pub fn judge(&mut self) -> Result<Judged, Violation> {
        for (_, (invoked, operation)) in std::mem::take(&mut self.pending) {
            if let Operation::Write(command) = operation {
                self.note(invoked, None, &command);
            }
        }
        let mut judged = Judged::default();
        for (path, calls) in std::mem::take(&mut self.paths) {
            if self.is_numbered(&path) {
                continue;
            }
            let count = calls.len() as u64;
            match check(calls, STEPS_MAX) {
                Finding::Linearizable => judged.calls += count,
                Finding::Unknown => judged.given_up += 1,
                Finding::Not(why) => return Err(Violation::new("Linearizability", format!("{path}: {why}"))),
            }
        }
        Ok(judged)
    }

    /// Whether the path may be a numbered one: a name that was asked for, and a number of ten digits.
    fn is_numbered(&self, path: &str) -> bool {
        let Some((name, number)) = path.len().checked_sub(10).and_then(|at| path.split_at_checked(at)) else {
            return false;
        };
        number.bytes().all(|digit| digit.is_ascii_digit()) && self.numbered.contains(name)
    }
}

/// Which of the two oracles of the clients' history may fail a world. With one of them silenced the other must find a
/// defect alone.
#[derive(Clone, Debug, Default)]
pub struct Oracles {
    /// What the zxid-based oracle found, where it is silenced.
    pub silenced: Option<Violation>,
    /// Whether it is.
    pub is_zxid_silent: bool,
}

impl Oracles {
    /// A verdict of the zxid-based oracle.
    ///
    /// # Errors
    /// The verdict, unless the oracle is silenced.
    pub fn by_zxids(&mut self, verdict: Verdict) -> Verdict {
        match verdict {
            Err(violation) if self.is_zxid_silent => {
                self.silenced.get_or_insert(violation);
                Ok(())
            }
            other => other,
        }
    }
}

/// What an error says about the path of a single command; none if nothing.
fn outcome_of(command: &Command, error: &TreeError) -> Option<Outcome> {
    match (error, command) {
        (TreeError::NoNode(_), _) => Some(Outcome::Absent),
        (TreeError::NodeExists(_) | TreeError::NotEmpty(_), _) => Some(Outcome::Present),
        (TreeError::BadVersion { .. }, Command::SetAcl(_)) => Some(Outcome::Present),
        (TreeError::BadVersion { .. }, _) => Some(Outcome::BadVersion),
        _ => None,
    }
}

fn is_sequential(mode: CreateMode) -> bool {
    use CreateMode::{EphemeralSequential, PersistentSequential, PersistentSequentialTtl};
    matches!(mode, PersistentSequential | EphemeralSequential | PersistentSequentialTtl)
}
