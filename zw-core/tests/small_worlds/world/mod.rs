//! Small worlds, searched exhaustively: three real `Zab`s, their disks and their links, and every order of events
//! within a bound.
//!
//! What a world consists of:
//! - a [`node`]: a process or none, a disk with what is durable, and what was handed to the disk but is not there yet;
//! - a [`link`] for each pair: two queues in order; a link that broke may still deliver some of what is in it;
//! - the [`history`]: what was ever delivered and who ever led, to compare with;
//! - a budget for each kind of event that could go on for ever. With it every world is finite.
//!
//! **Time** stands still. Each wait of the protocol is infinite, but the heartbeat's, and the settling of an election,
//! which is zero. So every step happens at tick 0 and every deadline but a heartbeat's lies at the end of time. "The wait
//! is over" is one step at the end of time, a heartbeat one step at its deadline; then the clock is back at 0. No node can
//! notice, for it compares the clock with its deadlines only; and states that differ in nothing but time become one. So a
//! leader or follower may give up at any moment, which no real clock allows. On the other hand an agreed vote is acted on
//! at once, and an epoch is raised at most once in a reign, because the pause before the next time is infinite.
//!
//! **Election**: a wrong vote costs time, never data (rule E5). So where [`Votes::Forged`] is chosen no vote travels, and
//! an adversary makes any node lead that looks for a leader, however old its log, and any other follow it.
//! [`Votes::Real`] lets the votes travel as they are.
//!
//! Not in these worlds: snapshots, barriers, commands forwarded by followers, several inputs before one flush. The
//! simulator has them.

pub(crate) mod history;
pub(crate) mod link;
pub(crate) mod local;
pub(crate) mod moves;
pub(crate) mod node;
pub(crate) mod plans;
pub(crate) mod search;
pub(crate) mod store;

use zw_core::ids::{Epoch, NodeId, Zxid};
use zw_core::log::Recovered;
use zw_core::log::record::{Entry, Promise, Record};

/// Members of a world.
pub(crate) const NODES: usize = 3;

/// Who elects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Votes {
    /// An adversary.
    Forged,
    /// The nodes.
    Real,
}

/// How often what could go on for ever may happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Budget {
    /// A node is made leader (with forged votes only).
    pub(crate) elections: u8,
    /// A leader is given a command.
    pub(crate) proposals: u8,
    /// A leader or follower has heard nothing for too long.
    pub(crate) silences: u8,
    /// A node loses power.
    pub(crate) crashes: u8,
    /// A link breaks.
    pub(crate) cuts: u8,
    /// A pair connects anew.
    pub(crate) connects: u8,
    /// A leader's heartbeat is due.
    pub(crate) beats: u8,
}

/// What the disks hold at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// Nothing.
    Empty,
    /// Two epochs that ended early: node 1 led epoch 1 and alone holds its command `1:1`; node 3 led epoch 2, promised
    /// by node 2, and alone holds its marker. Nothing else is known to be committed.
    TwoTails,
}

/// A defect to find, where inputs and effects cross between the protocol and its runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sabotage {
    /// `Durable` is reported when records are handed over (ZOOKEEPER-3023, 3911, 4646).
    EarlyDurable,
    /// The same, and the check that would see it at the first message is off: its consequences must show.
    EarlyDurableUnchecked,
    /// A leader never hears that a follower has more than itself: rule D5 has no effect.
    SkipD5,
    /// A leader commits records of an earlier epoch once a quorum has them (rule B3).
    CountOldEpoch,
    /// A leader tells its own end of the log as the watermark.
    EarlyCommit,
    /// A node that starts has forgotten a promise that its log does not show (rule D3).
    ForgetPromise,
}

/// A world to search.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// Its name.
    pub(crate) name: &'static str,
    /// What the disks hold.
    pub(crate) start: Start,
    /// Who elects.
    pub(crate) votes: Votes,
    /// What may happen how often.
    pub(crate) budget: Budget,
    /// What is wrong.
    pub(crate) sabotage: Option<Sabotage>,
}

/// A property that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    /// Its name, as in the simulator's invariants; `Assertion` if the protocol itself noticed.
    pub(crate) property: &'static str,
    /// What was seen.
    pub(crate) detail: String,
}

/// Fails with a property and a text unless the condition holds.
macro_rules! ensure {
    ($holds:expr, $property:expr, $($text:tt)+) => {
        if !$holds {
            return Err($crate::world::Violation { property: $property, detail: format!($($text)+) });
        }
    };
}
pub(crate) use ensure;

/// What a search should have come by, lest its silence means nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Sight {
    /// A command was delivered.
    CommandDelivered,
    /// Two epochs had a leader that got as far as its marker.
    SecondEpoch,
    /// Three of them.
    ThirdEpoch,
    /// A follower dropped what its leader does not have.
    Truncated,
    /// A leader gave up because a follower has more (D5).
    Overtaken,
    /// A leader raised its epoch without an election (the stuck promise).
    Raised,
    /// A crash left a part of what waited for the disk on it.
    PartOnDisk,
    /// A node delivered a command that an earlier epoch's leader had proposed.
    OldCommandDelivered,
    /// Two nodes led at the same time.
    TwoLeaders,
}

impl Start {
    /// What the disk of each node holds.
    pub(crate) fn disks(self) -> [Recovered; NODES] {
        let promise = |epoch, leader| Record::Promise(Promise { epoch: Epoch(epoch), leader: NodeId(leader) });
        let marker = |epoch| Record::Entry(Entry::new(Zxid::marker(Epoch(epoch)), 0, b""));
        let command = Record::Entry(Entry::new(Zxid::new(Epoch(1), 1), 0, b"tail"));
        let records = match self {
            Start::Empty => Default::default(),
            Start::TwoTails => [
                vec![promise(1, 1), marker(1), command],
                vec![promise(1, 1), marker(1), promise(2, 3)],
                vec![promise(1, 1), marker(1), promise(2, 3), marker(2)],
            ],
        };
        records.map(|records: Vec<Record>| {
            let mut disk = Recovered::default();
            records.into_iter().for_each(|record| disk.replay(record).expect("the start is a log"));
            disk
        })
    }

    /// Who led before.
    pub(crate) fn history(self) -> history::History {
        match self {
            Start::Empty => history::History::default(),
            Start::TwoTails => {
                let initial = vec![Zxid::marker(Epoch(1))];
                history::History::of_leaders(vec![(Epoch(1), NodeId(1), vec![]), (Epoch(2), NodeId(3), initial)])
            }
        }
    }
}
