//! What a console and its keeper say to each other.

use super::super::{Change, Order, Report};
use crate::launch::Launch;
use crate::member::Member;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Rises when one of the messages means something else.
pub(super) const PROTOCOL: u32 = 1;

/// What the console says.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Down {
    /// The first word of the console that started the keeper: what is to be kept.
    Begin {
        /// The children.
        launch: Box<Launch>,
        /// The console's pid.
        console: u32,
    },
    /// The first word of a console that comes back: from now on the keeper is its own.
    Adopt {
        /// The console's pid.
        console: u32,
    },
    /// See [`Order`].
    Order(Order),
    /// What did it print?
    Printed {
        /// Who.
        member: Member,
        /// Lines that are known.
        known: Option<u64>,
    },
    /// Let go of the console: it leaves, and the children stay.
    Detach(Clocks),
}

/// What the keeper says.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Up {
    /// A child changed.
    Report(Stamped),
    /// What a child printed.
    Printed {
        /// Who.
        member: Member,
        /// The lines that are kept, oldest first.
        lines: Vec<String>,
        /// Lines that it ever printed.
        total: u64,
    },
    /// It printed as much as is known.
    NothingNew,
    /// The console may leave.
    LetGo,
    /// It may not: for this reason nobody could come back.
    Held(String),
}

/// The first word of a detached keeper, the same in all versions.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Greeting {
    /// See [`PROTOCOL`].
    pub(super) protocol: u32,
    /// The version of the program.
    pub(super) build: String,
    /// The keeper.
    pub(super) pid: u32,
}

/// A report, and when it was made, in the monotonic clock.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Stamped {
    /// When.
    pub at_ns: u64,
    /// What.
    pub report: Report,
}

/// The times of a console that leaves, in the monotonic clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clocks {
    /// When the first console began: all its times are since then.
    pub began_ns: u64,
    /// When the last one stopped writing its history.
    pub left_ns: u64,
}

/// All that a console must know to go on where another left.
#[derive(Debug, Serialize, Deserialize)]
pub struct Kept {
    /// What was started, and where.
    pub launch: Launch,
    /// When.
    pub clocks: Clocks,
    /// What happened since, oldest first.
    pub reports: Vec<Stamped>,
    /// Reports that were too many to keep.
    pub lost: u64,
    /// What the children are now.
    pub children: BTreeMap<Member, Standing>,
}

/// What a child is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Standing {
    /// It runs.
    Runs {
        /// Its process id.
        pid: u32,
        /// Whether it accepts connections.
        listens: bool,
    },
    /// It does not; the last that is known of it.
    Ended(Change),
}
