//! Applying committed entries: tree, watch events, answers, in this order.
//!
//! Invariants:
//! - Entries are applied in zxid order, a few under one write lock, so that reads get in between.
//! - All events of an entry are posted to the watching clients under that lock: nobody reads the new tree, or gets the
//!   answer of the write, before its events are queued.

use super::core::{BUSY, BUSY_ENTRIES, Bound, Core};
use super::inbox::Waiter;
use super::locks::{lock, write};
use super::node::Node;
use super::trace::{Facts, WATCHES_TOLD_MAX};
use crate::connection::mailbox::{Mail, Mailbox, Outcome};
use std::sync::Arc;
use zw_core::ids::{SessionId, Zxid};
use zw_core::limits::{APPLY_BATCH_MAX, DIGEST_INTERVAL};
use zw_core::log::record::Entry;
use zw_core::tree::Applied;
use zw_core::tree::command::{Command, Envelope, Reply, TreeError, TreeEvent};
use zw_core::tree::expiry::patience;
use zw_core::wire::admin::TraceKind;
use zw_core::zab::effects::{Input, Now};

/// What the core does about one applied entry once the lock is gone.
struct Done {
    zxid: Zxid,
    waiter: Option<Waiter>,
    reply: Result<Reply, TreeError>,
    session_change: Option<SessionChange>,
}

/// How a command changed a session.
enum SessionChange {
    Opened,
    Attached,
    Closed { session: SessionId, expired: bool },
}

impl Core {
    /// Applies committed entries.
    pub(super) fn apply(&mut self, now: Now, entries: &[Entry]) {
        if entries.len() >= BUSY_ENTRIES {
            self.busy_until = now.tick.after(BUSY);
        }
        let mut done = Vec::with_capacity(APPLY_BATCH_MAX);
        for batch in entries.chunks(APPLY_BATCH_MAX) {
            self.apply_batch(batch, &mut done);
            for done in done.drain(..) {
                self.finish(now, done);
            }
        }
        self.node.metrics.writes.add(entries.iter().filter(|entry| !entry.is_marker()).count() as u64);
        if let Some(last) = entries.last() {
            let number = entries.len() as u64;
            let facts = || Facts { zxid: last.zxid(), number, ..Facts::default() };
            self.node.trace.record_if_watched(TraceKind::Apply, facts);
        }
    }

    fn apply_batch(&mut self, batch: &[Entry], done: &mut Vec<Done>) {
        let node = self.node.clone();
        let me = node.config.me;
        let mut tree = write(&node.tree);
        for entry in batch {
            let zxid = entry.zxid();
            if let Some((envelope, Applied { reply, events })) = tree.apply_entry(entry) {
                fire(&node, events, &mut self.to_wake);
                let waiter = if envelope.origin == me { self.pending.applied(envelope.tag) } else { None };
                if waiter.is_some() {
                    let why_not = || reply.as_ref().err().map_or_else(String::new, ToString::to_string);
                    node.trace.written(envelope.tag, zxid, why_not);
                }
                let session_change = if reply.is_ok() { session_change(&envelope) } else { None };
                if waiter.is_some() || session_change.is_some() {
                    done.push(Done { zxid, waiter, reply, session_change });
                }
            }
            if zxid.counter() % DIGEST_INTERVAL == 0 {
                let digest = tree.digest();
                lock(&node.digests).remember(zxid, digest);
                if self.zab.leader() == Some(me) {
                    self.own.push(Input::Digest { zxid, digest });
                }
            }
        }
    }

    fn finish(&mut self, now: Now, done: Done) {
        let Done { zxid, waiter, reply, session_change } = done;
        match session_change {
            Some(SessionChange::Opened | SessionChange::Attached) => {
                if let Ok(Reply::Session(bound)) = &reply {
                    let opened = matches!(session_change, Some(SessionChange::Opened));
                    let mailbox = waiter.as_ref().map(|waiter| waiter.mailbox.clone());
                    self.bind(now, bound, opened, mailbox);
                }
            }
            Some(SessionChange::Closed { session, expired }) => self.session_closed(session, expired),
            None => {}
        }
        if let Some(waiter) = waiter {
            self.answer(&waiter, zxid, Outcome::Applied(reply));
        }
    }

    /// A session was opened or attached, on this node if there is a mailbox.
    fn bind(
        &mut self,
        now: Now,
        reply: &zw_core::tree::command::SessionReply,
        opened: bool,
        mailbox: Option<Arc<Mailbox>>,
    ) {
        let session = reply.session;
        if self.zab.leader() == Some(self.node.config.me) {
            self.expiry.opened(session, patience(reply.timeout_ms), now.tick);
        }
        if let Some(old) = self.sessions.remove(&session)
            && mailbox.as_ref().is_none_or(|mailbox| mailbox.id != old.mailbox.id)
        {
            old.mailbox.close("its session moved to another connection");
        }
        if let Some(mailbox) = mailbox {
            self.sessions
                .insert(session, Bound { generation: reply.generation, timeout_ms: reply.timeout_ms, mailbox });
        }
        if opened {
            let facts = Facts { zxid: Zxid(session.0), number: session.0, ..Facts::default() };
            self.node.trace.record_if_watched(TraceKind::SessionOpened, || facts);
        }
    }

    fn session_closed(&mut self, session: SessionId, expired: bool) {
        self.expiry.closed(session);
        let bound = self.sessions.remove(&session);
        let facts = Facts { number: session.0, ..Facts::default() };
        if expired {
            if let Some(bound) = bound {
                bound.mailbox.close("its session expired");
            }
            tracing::info!(%session, "session expired");
            self.node.trace.record(TraceKind::SessionExpired, facts);
        } else {
            self.node.trace.record_if_watched(TraceKind::SessionClosed, || facts);
        }
    }
}

/// Posts events to the clients that watch for them.
fn fire(node: &Node, events: Vec<TreeEvent>, to_wake: &mut Vec<Arc<Mailbox>>) {
    if events.is_empty() {
        return;
    }
    let mut watches = lock(&node.watches);
    if watches.is_empty() {
        return;
    }
    let (mut fired, mut told) = (0, Vec::new());
    for event in events {
        let ids = watches.fire(&event);
        fired += ids.len() as u64;
        if !ids.is_empty() && told.len() < WATCHES_TOLD_MAX && node.trace.is_watched() {
            told.push((event.path.clone(), ids.len() as u64));
        }
        node.clients.with_each(&ids, |mailbox| {
            if mailbox.post(Mail::Event(event.clone())) {
                to_wake.push(mailbox.clone());
            }
        });
    }
    if fired > 0 {
        node.metrics.watches_fired.add(fired);
        node.trace.watches_fired(&told);
    }
}

fn session_change(envelope: &Envelope) -> Option<SessionChange> {
    match &envelope.command {
        Command::OpenSession(_) => Some(SessionChange::Opened),
        Command::AttachSession(_) => Some(SessionChange::Attached),
        Command::CloseSession(close) => Some(SessionChange::Closed { session: close.session, expired: close.expired }),
        _ => None,
    }
}
