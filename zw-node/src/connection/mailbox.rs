//! What the core has for one client: watch events and outcomes, in the order in which they happened.
//!
//! Invariants:
//! - An event of an entry is posted under the tree's write lock, before the entry can be read and before its outcome
//!   is posted. A reader that takes its mail under the read lock has every event up to what it reads.
//! - The mailbox is bounded: outcomes by the requests of the connection, events by their bytes. A client that does not
//!   fetch its events is closed.

use crate::server::locks::lock;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Notify;
use zw_core::ids::{ConnectionId, Zxid};
use zw_core::limits::CONNECTION_OUTBOX_BYTES_MAX;
use zw_core::log::record::SnapshotId;
use zw_core::tree::command::{Reply, TreeError, TreeEvent};
use zw_core::wire::client::ErrorReply;

/// Something for a client.
#[derive(Debug)]
pub(crate) enum Mail {
    /// A watch fired.
    Event(TreeEvent),
    /// A request that went to the core is done.
    Outcome {
        /// The request's place among the connection's requests.
        sequence: u64,
        /// The entry that did it, or what was applied.
        zxid: Zxid,
        /// What came of it.
        outcome: Outcome,
    },
}

/// What came of a request.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The tree's answer to a write.
    Applied(Result<Reply, TreeError>),
    /// Everything that was committed at the request is applied.
    Synced,
    /// A snapshot was taken.
    Snapshot(SnapshotId),
    /// It was not done, or its outcome is unknown.
    Refused(ErrorReply),
}

/// The core's side of a client's connection.
pub(crate) struct Mailbox {
    /// The connection.
    pub(crate) id: ConnectionId,
    state: Mutex<State>,
    filled: AtomicBool,
    wake: Notify,
}

#[derive(Default)]
struct State {
    mail: Vec<Mail>,
    event_bytes: usize,
    closed: Option<&'static str>,
}

impl Mailbox {
    pub(crate) fn new(id: ConnectionId) -> Mailbox {
        Mailbox { id, state: Mutex::default(), filled: AtomicBool::new(false), wake: Notify::new() }
    }

    /// Adds mail. Whether the connection's task must be woken for it: it was empty before.
    #[must_use]
    pub(crate) fn post(&self, mail: Mail) -> bool {
        let mut state = lock(&self.state);
        if state.closed.is_some() {
            return false;
        }
        if let Mail::Event(event) = &mail {
            state.event_bytes += event.path.len() + size_of::<Mail>();
        }
        if state.event_bytes > CONNECTION_OUTBOX_BYTES_MAX {
            state.mail = Vec::new();
            state.closed = Some("it does not fetch its watch events");
            self.filled.store(true, Ordering::Release);
            return true;
        }
        state.mail.push(mail);
        !self.filled.swap(true, Ordering::AcqRel)
    }

    /// Wakes the connection's task.
    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Ends the connection.
    pub(crate) fn close(&self, why: &'static str) {
        lock(&self.state).closed.get_or_insert(why);
        self.filled.store(true, Ordering::Release);
        self.wake();
    }

    /// Whether there is mail, or the connection must close.
    pub(crate) fn is_filled(&self) -> bool {
        self.filled.load(Ordering::Acquire)
    }

    /// Why the connection must close, if it must.
    pub(crate) fn closed(&self) -> Option<&'static str> {
        if self.is_filled() { lock(&self.state).closed } else { None }
    }

    /// Moves all mail to `into`, which must be empty. Says why the connection must close, if it must.
    pub(crate) fn take(&self, into: &mut Vec<Mail>) -> Option<&'static str> {
        assert!(into.is_empty(), "mail is handled before more is taken");
        let mut state = lock(&self.state);
        self.filled.store(false, Ordering::Release);
        state.event_bytes = 0;
        std::mem::swap(&mut state.mail, into);
        state.closed
    }

    /// Returns when there may be mail.
    pub(crate) async fn woken(&self) {
        self.wake.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zw_core::tree::command::EventKind;

    fn event(path: &str) -> Mail {
        Mail::Event(TreeEvent { kind: EventKind::Created, path: path.into(), zxid: Zxid::ZERO })
    }

    #[test]
    fn the_first_mail_wakes_and_order_is_kept() {
        let mailbox = Mailbox::new(ConnectionId(1));
        assert!(mailbox.post(event("/a")) && !mailbox.post(event("/b")));
        let mut mail = Vec::new();
        assert_eq!(mailbox.take(&mut mail), None);
        assert!(matches!(&mail[..], [Mail::Event(a), Mail::Event(b)] if a.path == "/a" && b.path == "/b"));
        assert!(!mailbox.is_filled());
    }

    #[test]
    fn a_client_that_fetches_no_events_is_closed() {
        let mailbox = Mailbox::new(ConnectionId(1));
        let path = "/".repeat(1 << 20);
        let woken = (0..20).filter(|_| mailbox.post(event(&path))).count();
        assert_eq!(woken, 2, "for the first event, and for the end");
        let mut mail = Vec::new();
        assert!(mailbox.take(&mut mail).is_some());
        assert!(mail.is_empty(), "its memory is given back");
    }
}
