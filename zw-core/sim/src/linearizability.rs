//! Is the history of one path linearizable? A search in the manner of Wing, Gong and Lowe that trusts nothing but the
//! order in which calls began and ended: it sees no zxid, no log and no clock of a node.
//!
//! The object is a versioned register: nothing, or a value with its version. A call whose outcome is unknown may take
//! effect once, at any time after it began, or never.
//!
//! Three things keep the search short, and none of them loses an order:
//! - A call that only looks, or was refused, is taken as soon as it is possible: no order needs it later. (One that
//!   happens to change nothing now is another matter: later it might.)
//! - Open calls with the same effect are interchangeable, so the oldest goes first. Values that no read ever returned
//!   count as one.
//! - A set of taken calls that was left in a state without success is never tried from that state again.

use crate::prng::Prng;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// A value; equal numbers are equal data.
pub type Value = u32;

/// What is at a path: nothing, or a value and how often it was set since it was made.
pub type State = Option<(Value, i32)>;

/// What a call asks for. A version of -1 stands for any.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// Makes the path.
    Create(Value),
    /// Sets its value.
    Set(Value, i32),
    /// Removes it.
    Delete(i32),
    /// Only compares its version.
    Check(i32),
    /// Looks at it.
    Read,
    /// All of these in order, or nothing.
    All(Vec<Action>),
}

/// What a call was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was done; of a set, this is the new version.
    Done(Option<i32>),
    /// A read returned this.
    Read(State),
    /// The path was not there.
    Absent,
    /// The path was there, and that was in the way.
    Present,
    /// The version was another.
    BadVersion,
}

/// One call, from its beginning to its end.
#[derive(Clone, Debug)]
pub struct Call {
    /// When it began. No two beginnings and ends have the same number.
    pub invoked: u64,
    /// When it ended and how; none while nobody knows.
    pub returned: Option<(u64, Outcome)>,
    /// What it asked for.
    pub action: Action,
}

/// What the search finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// There is an order.
    Linearizable,
    /// There is none; the text says where the longest attempt ended.
    Not(String),
    /// The search was given up.
    Unknown,
}

impl Action {
    /// The state after it, unless it is refused.
    fn apply(&self, state: State) -> Option<State> {
        let versioned = |wanted: i32| state.filter(|(_, version)| wanted == -1 || wanted == *version);
        match self {
            Action::Create(value) => state.is_none().then_some(Some((*value, 0))),
            Action::Set(value, wanted) => versioned(*wanted).map(|(_, version)| Some((*value, version + 1))),
            Action::Delete(wanted) => versioned(*wanted).map(|_| None),
            Action::Check(wanted) => versioned(*wanted).map(|_| state),
            Action::Read => Some(state),
            Action::All(actions) => actions.iter().try_fold(state, |state, action| action.apply(state)),
        }
    }

    fn rename(&mut self, known: &BTreeSet<Value>) {
        match self {
            Action::Create(value) | Action::Set(value, _) if !known.contains(value) => *value = Value::MAX,
            Action::All(actions) => actions.iter_mut().for_each(|action| action.rename(known)),
            _ => {}
        }
    }
}

impl Call {
    /// The state after the call, if it can have had its outcome in `state`.
    fn step(&self, state: State) -> Option<State> {
        let Some((_, outcome)) = self.returned else { return self.action.apply(state) };
        match outcome {
            Outcome::Done(version) => {
                let after = self.action.apply(state)?;
                let told = version.is_none_or(|told| after.is_some_and(|(_, version)| version == told));
                told.then_some(after)
            }
            Outcome::Read(found) => (found == state).then_some(state),
            Outcome::Absent => state.is_none().then_some(state),
            Outcome::Present => state.is_some().then_some(state),
            Outcome::BadVersion => {
                let (Action::Set(_, wanted) | Action::Delete(wanted) | Action::Check(wanted)) = self.action else {
                    return None;
                };
                (wanted != -1 && state.is_some_and(|(_, version)| version != wanted)).then_some(state)
            }
        }
    }

    /// Whether it changes nothing in any state.
    fn only_looks(&self) -> bool {
        let is_look = |action: &Action| matches!(action, Action::Read | Action::Check(_));
        match (&self.returned, &self.action) {
            (Some((_, Outcome::Done(_))), Action::All(actions)) => actions.iter().all(is_look),
            (Some((_, Outcome::Done(_))) | None, action) => is_look(action),
            (Some(_), _) => true,
        }
    }

    fn end(&self) -> u64 {
        self.returned.map_or(u64::MAX, |(end, _)| end)
    }
}

/// Looks for an order of `calls`, from a path that is not there, in at most `steps_max` steps.
#[must_use]
pub fn check(mut calls: Vec<Call>, steps_max: usize) -> Finding {
    let known: BTreeSet<Value> = calls
        .iter()
        .filter_map(|call| match call.returned {
            Some((_, Outcome::Read(Some((value, _))))) => Some(value),
            _ => None,
        })
        .collect();
    calls.iter_mut().for_each(|call| call.action.rename(&known));
    calls.sort_by_key(|call| call.invoked);
    // An order seldom needs many calls of unknown outcome in a row, and a search that may take any number of them loses
    // itself in them.
    for row_max in ROWS {
        match Search::new(calls.clone()).run(steps_max, row_max) {
            Finding::Unknown => {}
            found => return found,
        }
    }
    Finding::Unknown
}

/// How many open calls in a row are tried, one bound after the other.
const ROWS: [usize; 4] = [2, 8, 32, usize::MAX];

/// A call that is taken: one that ended, or the oldest that is left of a class of open ones.
#[derive(Clone, Copy)]
enum Taken {
    Ended(usize),
    Open(usize),
}

struct Search {
    /// Calls with an end, in the order of their beginnings.
    ended: Vec<Call>,
    done: Vec<bool>,
    left: usize,
    /// Everything before it is done.
    first: usize,
    /// Open calls by what they do, each class in the order of the beginnings, and how many of it are taken.
    open: Vec<(Vec<Call>, usize)>,
    taken: Vec<Taken>,
    keys: Vec<u128>,
    /// The sum of what is taken, as one number.
    key: u128,
    seen: BTreeSet<(u128, State, usize)>,
    /// Whether a choice was left out because of the bound on open calls in a row.
    is_cut: bool,
    fewest_left: usize,
    stuck: String,
}

/// A place where the search had a choice.
struct Fork {
    choices: std::vec::IntoIter<(Taken, State)>,
    taken: usize,
}

impl Search {
    fn new(calls: Vec<Call>) -> Search {
        let (ended, unknown): (Vec<Call>, Vec<Call>) = calls.into_iter().partition(|call| call.returned.is_some());
        let mut classes: BTreeMap<Action, Vec<Call>> = BTreeMap::new();
        unknown.into_iter().for_each(|call| classes.entry(call.action.clone()).or_default().push(call));
        let mut keys = Prng::new(ended.len() as u64);
        let count = ended.len() + classes.len();
        Search {
            done: vec![false; ended.len()],
            left: ended.len(),
            first: 0,
            open: classes.into_values().map(|calls| (calls, 0)).collect(),
            taken: Vec::new(),
            keys: (0..count).map(|_| (u128::from(keys.draw()) << 64) | u128::from(keys.draw())).collect(),
            key: 0,
            seen: BTreeSet::new(),
            is_cut: false,
            fewest_left: usize::MAX,
            stuck: String::new(),
            ended,
        }
    }

    fn run(mut self, steps_max: usize, row_max: usize) -> Finding {
        let mut state = None;
        let mut forks: Vec<Fork> = Vec::new();
        for _ in 0..steps_max {
            self.take_all_that_only_look(state);
            if self.left == 0 {
                return Finding::Linearizable;
            }
            let row = if row_max == usize::MAX { 0 } else { self.open_in_a_row() };
            let is_new = self.seen.insert((self.key, state, row));
            let choices = if is_new { self.choices(state, row < row_max) } else { Vec::new() };
            self.note_progress(state);
            forks.push(Fork { choices: choices.into_iter(), taken: self.taken.len() });
            state = loop {
                let Some(fork) = forks.last_mut() else {
                    return if self.is_cut { Finding::Unknown } else { Finding::Not(self.stuck) };
                };
                self.undo(fork.taken);
                if let Some((taken, after)) = fork.choices.next() {
                    self.take(taken);
                    break after;
                }
                forks.pop();
            };
        }
        Finding::Unknown
    }

    /// The calls that may come next: those that began before any call ended that is not done.
    fn enabled(&self) -> (Vec<usize>, u64) {
        let mut bound = u64::MAX;
        let mut found = Vec::new();
        for (index, call) in self.ended.iter().enumerate().skip(self.first) {
            if call.invoked > bound {
                break;
            }
            if !self.done[index] {
                bound = bound.min(call.end());
                found.push(index);
            }
        }
        (found, bound)
    }

    fn take_all_that_only_look(&mut self, state: State) {
        loop {
            let before = self.left;
            for index in self.enabled().0 {
                if self.ended[index].only_looks() && self.ended[index].step(state).is_some() {
                    self.take(Taken::Ended(index));
                }
            }
            if self.left == before {
                return;
            }
        }
    }

    fn choices(&mut self, state: State, may_be_open: bool) -> Vec<(Taken, State)> {
        let (enabled, bound) = self.enabled();
        let ended = enabled.into_iter().map(|index| (Taken::Ended(index), self.ended[index].step(state)));
        let open = self.open.iter().enumerate().filter_map(|(class, (calls, taken))| {
            let call = calls.get(*taken).filter(|call| call.invoked < bound)?;
            Some((Taken::Open(class), call.step(state)))
        });
        let possible = ended.chain(open).filter_map(|(taken, after)| Some((taken, after?)));
        // What nobody was told of is needed only for what it changes.
        let mut choices: Vec<_> =
            possible.filter(|(taken, after)| matches!(taken, Taken::Ended(_)) || *after != state).collect();
        if !may_be_open {
            let before = choices.len();
            choices.retain(|(taken, _)| matches!(taken, Taken::Ended(_)));
            self.is_cut |= choices.len() < before;
        }
        // What ended first most likely happened first, and what never ended most likely never did.
        choices.sort_by_key(|(taken, _)| match taken {
            Taken::Ended(index) => self.ended[*index].end(),
            Taken::Open(_) => u64::MAX,
        });
        choices
    }

    fn open_in_a_row(&self) -> usize {
        self.taken.iter().rev().take_while(|taken| matches!(taken, Taken::Open(_))).count()
    }

    fn take(&mut self, taken: Taken) {
        match taken {
            Taken::Ended(index) => {
                self.done[index] = true;
                self.left -= 1;
                self.key = self.key.wrapping_add(self.keys[index]);
                while self.done.get(self.first) == Some(&true) {
                    self.first += 1;
                }
            }
            Taken::Open(class) => {
                self.open[class].1 += 1;
                self.key = self.key.wrapping_add(self.keys[self.ended.len() + class]);
            }
        }
        self.taken.push(taken);
    }

    /// Goes back to the first `length` that were taken, last first.
    fn undo(&mut self, length: usize) {
        while self.taken.len() > length {
            match self.taken.pop() {
                Some(Taken::Ended(index)) => {
                    self.done[index] = false;
                    self.left += 1;
                    self.key = self.key.wrapping_sub(self.keys[index]);
                    self.first = self.first.min(index);
                }
                Some(Taken::Open(class)) => {
                    self.open[class].1 -= 1;
                    self.key = self.key.wrapping_sub(self.keys[self.ended.len() + class]);
                }
                None => unreachable!("there are more than {length}"),
            }
        }
    }

    fn note_progress(&mut self, state: State) {
        if self.left < self.fewest_left {
            self.fewest_left = self.left;
            let next: Vec<String> =
                self.enabled().0.iter().take(8).map(|index| self.ended[*index].to_string()).collect();
            self.stuck = format!(
                "{} of {} calls can be put in order; then the path is at {state:?}, and next would be one of [{}]",
                self.ended.len() - self.left,
                self.ended.len(),
                next.join(", ")
            );
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.returned {
            Some((end, outcome)) => write!(f, "{:?} -> {outcome:?} ({}..{end})", self.action, self.invoked),
            None => write!(f, "{:?} -> ? ({}..)", self.action, self.invoked),
        }
    }
}
