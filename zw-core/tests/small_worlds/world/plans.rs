//! The worlds that the test searches to their ends, and those in which defects must show.

use super::{Budget, Plan, Sabotage, Start, Votes};

/// Nothing happens that could go on for ever.
pub(crate) const NONE: Budget =
    Budget { elections: 0, proposals: 0, silences: 0, crashes: 0, cuts: 0, connects: 0, beats: 0 };

/// A world whose leaders an adversary chooses.
pub(crate) const fn plan(name: &'static str, start: Start, budget: Budget) -> Plan {
    Plan { name, start, votes: Votes::Forged, budget, sabotage: None }
}

/// The start of two epochs, one command, a crash; the crashed node comes back with one link.
pub(crate) const CRASH: Plan =
    plan("crash", Start::Empty, Budget { elections: 2, proposals: 1, crashes: 1, connects: 1, ..NONE });

/// A leader or a follower gives up in the midst of it.
pub(crate) const SILENCE: Plan =
    plan("silence", Start::Empty, Budget { elections: 2, silences: 1, connects: 1, ..NONE });

/// A third and a fourth epoch after two that ended early, and a crash between them.
pub(crate) const TAILS: Plan = plan("tails", Start::TwoTails, Budget { elections: 2, crashes: 1, connects: 1, ..NONE });

/// One of them, with a heartbeat at any moment: also before a tail is dropped.
pub(crate) const BEAT: Plan = plan("beat", Start::TwoTails, Budget { elections: 1, beats: 1, ..NONE });

/// An election as it is.
pub(crate) const VOTES: Plan = real("votes", Budget { proposals: 1, ..NONE });

/// What the test searches to its end.
pub(crate) const SMALL: [Plan; 5] = [CRASH, SILENCE, TAILS, BEAT, VOTES];

/// The defects, each in a world in which it shows, and the property that breaks first.
pub(crate) const SABOTAGED: [(Plan, &str); 6] = [
    (sabotaged(CRASH, "early-durable", Sabotage::EarlyDurable), "PromiseBeforeSpeech"),
    (sabotaged(CRASH, "early-durable-unchecked", Sabotage::EarlyDurableUnchecked), "CommittedOnQuorum"),
    (sabotaged(CRASH, "skip-d5", Sabotage::SkipD5), "PrimaryIntegrity"),
    (sabotaged(CRASH, "early-commit", Sabotage::EarlyCommit), "CommittedOnQuorum"),
    (sabotaged(CRASH, "forget-promise", Sabotage::ForgetPromise), "Leadership"),
    (sabotaged(COUNTED, "count-old-epoch", Sabotage::CountOldEpoch), "PrimaryIntegrity"),
];

/// A heartbeat can tell a watermark before the marker of its epoch is on a follower's disk.
const COUNTED: Plan = plan("", Start::TwoTails, Budget { elections: 2, crashes: 1, connects: 1, beats: 1, ..NONE });

const fn sabotaged(plan: Plan, name: &'static str, sabotage: Sabotage) -> Plan {
    Plan { name, sabotage: Some(sabotage), ..plan }
}

/// A world that elects its leaders itself.
pub(crate) const fn real(name: &'static str, budget: Budget) -> Plan {
    Plan { votes: Votes::Real, ..plan(name, Start::Empty, budget) }
}
