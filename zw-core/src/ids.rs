//! The identifiers of the system, as newtypes: two bare integers never meet in one signature.
//!
//! Invariants:
//! - A [`Zxid`] orders first by epoch, then by counter; its top bit is unused, so it stays positive where others
//!   read it as a signed number.
//! - Counter 0 of an epoch is that epoch's marker (protocol decision 1); commands start at counter 1.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// Bits of a zxid that hold the counter; the rest, less the top bit, hold the epoch (protocol.md 2.2).
pub const COUNTER_BITS: u32 = 40;
/// Greatest counter of an epoch. A leader that reaches it abdicates (rule B7).
pub const COUNTER_MAX: u64 = (1 << COUNTER_BITS) - 1;
/// Greatest epoch: 23 bits, so that the top bit of a zxid stays free.
pub const EPOCH_MAX: u32 = (1 << (63 - COUNTER_BITS)) - 1;

/// The reign of one leader. Epoch 0 is the empty history before the first leader.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Epoch(pub u32);

impl Epoch {
    /// The epoch after this one.
    ///
    /// # Panics
    /// If the epoch is [`EPOCH_MAX`]: 8 million elections.
    #[must_use]
    pub fn next(self) -> Epoch {
        assert!(self.0 < EPOCH_MAX, "epochs are exhausted");
        Epoch(self.0 + 1)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The position of a record in the one total order: epoch and counter in one number.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Zxid(pub u64);

impl Zxid {
    /// Before every record.
    pub const ZERO: Zxid = Zxid(0);

    /// The zxid of `counter` in `epoch`.
    ///
    /// # Panics
    /// If the counter or the epoch does not fit its bits.
    #[must_use]
    pub fn new(epoch: Epoch, counter: u64) -> Zxid {
        assert!(counter <= COUNTER_MAX, "counter {counter} does not fit a zxid");
        assert!(epoch.0 <= EPOCH_MAX, "epoch {epoch} does not fit a zxid");
        Zxid(u64::from(epoch.0) << COUNTER_BITS | counter)
    }

    /// The marker record of `epoch`: counter 0.
    #[must_use]
    pub fn marker(epoch: Epoch) -> Zxid {
        Zxid::new(epoch, 0)
    }

    /// The epoch whose leader made the record.
    #[must_use]
    pub fn epoch(self) -> Epoch {
        // 24 bits remain after the shift.
        Epoch((self.0 >> COUNTER_BITS) as u32)
    }

    /// The position within the epoch; 0 is the marker.
    #[must_use]
    pub fn counter(self) -> u64 {
        self.0 & COUNTER_MAX
    }

    /// The next zxid of the same epoch, or `None` when the counter is exhausted.
    #[must_use]
    pub fn successor(self) -> Option<Zxid> {
        (self.counter() < COUNTER_MAX).then(|| Zxid(self.0 + 1))
    }

    /// Whether a log may hold `next` directly after this record: the next counter of the same epoch, or the marker of
    /// a later one (invariant I6).
    #[must_use]
    pub fn precedes(self, next: Zxid) -> bool {
        self.successor() == Some(next) || (next.counter() == 0 && next.epoch() > self.epoch())
    }
}

impl fmt::Display for Zxid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.epoch(), self.counter())
    }
}

impl fmt::Debug for Zxid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is not a zxid.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("not a zxid: {0:?}; write EPOCH:COUNTER, for example 7:1042")]
pub struct ParseZxidError(String);

impl FromStr for Zxid {
    type Err = ParseZxidError;

    fn from_str(text: &str) -> Result<Zxid, ParseZxidError> {
        let wrong = || ParseZxidError(text.to_owned());
        let (epoch, counter) = text.split_once(':').ok_or_else(wrong)?;
        let epoch: u32 = epoch.parse().map_err(|_| wrong())?;
        let counter: u64 = counter.parse().map_err(|_| wrong())?;
        if epoch > EPOCH_MAX || counter > COUNTER_MAX {
            return Err(wrong());
        }
        Ok(Zxid::new(Epoch(epoch), counter))
    }
}

macro_rules! number {
    ($(#[$meta:meta])* $name:ident($inner:ty)) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number! {
    /// A member of the ensemble: its place, from 1, in the canonical order of the members (see [`crate::ensemble`]).
    NodeId(u16)
}
number! {
    /// A session: the zxid, as a number, of the record that opened it. 0 means no session.
    SessionId(u64)
}
number! {
    /// A batch of records handed to the log; `Durable(ticket)` says that it and all before it are on disk.
    Ticket(u64)
}
number! {
    /// One connection to a peer. Numbers are never reused by a process, so a late message of a dead connection shows.
    LinkId(u64)
}
number! {
    /// A client's connection to this node, unique within the process.
    ConnectionId(u64)
}
number! {
    /// A point of a node's monotonic clock, in microseconds from an arbitrary start.
    Tick(u64)
}

impl SessionId {
    /// No session: reads and plain writes may do without.
    pub const NONE: SessionId = SessionId(0);
}

impl Tick {
    /// The point `duration` later; saturates.
    #[must_use]
    pub fn after(self, duration: std::time::Duration) -> Tick {
        Tick(self.0.saturating_add(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zxid_orders_by_epoch_then_counter() {
        let low = Zxid::new(Epoch(1), COUNTER_MAX);
        let high = Zxid::marker(Epoch(2));
        assert!(low < high);
        assert_eq!((low.epoch(), low.counter()), (Epoch(1), COUNTER_MAX));
        assert_eq!(low.successor(), None, "the counter never runs into the next epoch");
        assert!(i64::try_from(Zxid::new(Epoch(EPOCH_MAX), COUNTER_MAX).0).is_ok(), "the top bit stays free");
    }

    #[test]
    fn only_contiguous_records_precede() {
        let at = |epoch, counter| Zxid::new(Epoch(epoch), counter);
        assert!(at(1, 0).precedes(at(1, 1)));
        assert!(at(1, 7).precedes(at(2, 0)) && at(1, 7).precedes(at(5, 0)));
        assert!(Zxid::ZERO.precedes(at(1, 0)));
        assert!(!at(1, 7).precedes(at(1, 9)) && !at(1, 7).precedes(at(2, 1)) && !at(2, 0).precedes(at(1, 8)));
    }

    #[test]
    fn a_zxid_reads_back_what_it_prints() {
        let zxid = Zxid::new(Epoch(7), 1042);
        assert_eq!(zxid.to_string(), "7:1042");
        assert_eq!("7:1042".parse(), Ok(zxid));
        for wrong in ["", "7", "7:", ":1", "-1:3", "8388608:0", "1:1099511627776"] {
            assert!(wrong.parse::<Zxid>().is_err(), "{wrong:?} was accepted");
        }
    }
}
