//! One follower as its leader sees it: what it has, what is on the way, how much more may be sent (rules S2, B5).
//!
//! Invariants:
//! - `acked <= sent <= ` the leader's last zxid.
//! - What is in flight lies between `acked` and `sent`, within the window but for one batch.

use crate::ids::{LinkId, Zxid};
use crate::limits::WINDOW_BYTES_MAX;
use std::collections::VecDeque;

/// The cursor of one follower.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Cursor {
    pub(super) link: LinkId,
    pub(super) state: CursorState,
    /// The last entry sent.
    pub(super) sent: Zxid,
    /// The last entry acknowledged in this epoch; zero before the first.
    pub(super) acked: Zxid,
    /// The greatest watermark sent.
    pub(super) told_commit: Zxid,
    in_flight: VecDeque<Batch>,
    in_flight_bytes: usize,
    in_flight_records: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum CursorState {
    /// Records stream to it.
    Streaming,
    /// It fetches a snapshot at or after `offered`; nothing is sent but heartbeats.
    Snapshot { offered: Zxid },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Batch {
    last: Zxid,
    bytes: usize,
    records: usize,
}

impl Cursor {
    /// A follower whose log equals the leader's up to `common`.
    pub(super) fn streaming(link: LinkId, common: Zxid) -> Cursor {
        Cursor {
            link,
            state: CursorState::Streaming,
            sent: common,
            acked: Zxid::ZERO,
            told_commit: Zxid::ZERO,
            in_flight: VecDeque::new(),
            in_flight_bytes: 0,
            in_flight_records: 0,
        }
    }

    /// A follower that needs a snapshot first.
    pub(super) fn snapshot(link: LinkId, offered: Zxid) -> Cursor {
        Cursor { state: CursorState::Snapshot { offered }, ..Cursor::streaming(link, Zxid::ZERO) }
    }

    /// Whether another batch may go (rule B5).
    pub(super) fn has_room(&self, window_records: usize) -> bool {
        self.in_flight_bytes < WINDOW_BYTES_MAX && self.in_flight_records < window_records
    }

    /// Notes a batch that goes.
    pub(super) fn note_sent(&mut self, last: Zxid, bytes: usize, records: usize) {
        assert!(last > self.sent, "S2: a cursor never goes back from {} to {last}", self.sent);
        self.sent = last;
        self.in_flight_bytes += bytes;
        self.in_flight_records += records;
        self.in_flight.push_back(Batch { last, bytes, records });
    }

    /// Notes an acknowledgement. False if no correct follower could send it: I4, or more than was sent.
    #[must_use]
    pub(super) fn note_acked(&mut self, zxid: Zxid) -> bool {
        if zxid < self.acked || zxid > self.sent {
            return false;
        }
        self.acked = zxid;
        while let Some(batch) = self.in_flight.pop_front_if(|batch| batch.last <= zxid) {
            self.in_flight_bytes -= batch.bytes;
            self.in_flight_records -= batch.records;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Epoch;

    #[test]
    fn acknowledgements_open_the_window() {
        let zxid = |counter| Zxid::new(Epoch(1), counter);
        let mut cursor = Cursor::streaming(LinkId(1), zxid(0));
        cursor.note_sent(zxid(5), WINDOW_BYTES_MAX - 1, 5);
        assert!(cursor.has_room(9));
        cursor.note_sent(zxid(6), 1, 1);
        assert!(!cursor.has_room(9));
        assert!(cursor.note_acked(zxid(5)) && cursor.has_room(9));
        assert!(!cursor.note_acked(zxid(4)), "an acknowledgement never goes back");
        assert!(!cursor.note_acked(zxid(7)), "nor beyond what was sent");
        assert!(cursor.note_acked(zxid(6)));
        assert_eq!((cursor.in_flight_bytes, cursor.in_flight_records), (0, 0));
    }
}
