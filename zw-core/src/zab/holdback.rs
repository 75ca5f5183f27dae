//! The hold-back rule: what testifies to durable state waits here until that state is durable.
//!
//! Invariants:
//! - Tickets rise by one with each `Persist`; a held message leaves only when its ticket is durable, and in the order
//!   it was held (I2, I4).
//! - `durable_zxid` is the last entry of the log as it stood when the last durable batch was sealed.

use super::effects::Effect;
use super::message::Message;
use crate::ids::{Epoch, LinkId, NodeId, Ticket, Zxid};
use crate::log::record::Record;
use std::collections::VecDeque;

/// Records on their way to the disk, and the messages that wait for them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Holdback {
    issued: Ticket,
    durable: Ticket,
    durable_zxid: Zxid,
    batch: Vec<Record>,
    sealed: VecDeque<(Ticket, Zxid)>,
    held: VecDeque<(Ticket, Held)>,
}

/// What waits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Held {
    /// A message to a peer.
    Send { peer: NodeId, link: LinkId, message: Message },
    /// This node's own promise to its own epoch (its membership in its discovery quorum).
    OwnPromise { epoch: Epoch },
}

impl Holdback {
    /// At start all of the recovered log is durable.
    pub(super) fn new(last_zxid: Zxid) -> Holdback {
        Holdback { durable_zxid: last_zxid, ..Holdback::default() }
    }

    /// Adds a record to the batch that the next `seal` sends.
    pub(super) fn push(&mut self, record: Record) {
        self.batch.push(record);
    }

    /// Holds until everything pushed so far is durable.
    pub(super) fn hold(&mut self, held: Held) {
        let ticket = if self.batch.is_empty() { self.issued } else { Ticket(self.issued.0 + 1) };
        self.held.push_back((ticket, held));
    }

    /// Sends the batch to the log; `last_zxid` is the log's end with it.
    pub(super) fn seal(&mut self, last_zxid: Zxid, effects: &mut Vec<Effect>) {
        if !self.batch.is_empty() {
            self.issued.0 += 1;
            self.sealed.push_back((self.issued, last_zxid));
            effects.push(Effect::Persist { ticket: self.issued, records: std::mem::take(&mut self.batch) });
        }
    }

    /// Everything up to `ticket` is on disk.
    ///
    /// # Panics
    /// If the ticket was never issued: the runtime would acknowledge what was never written.
    pub(super) fn durable(&mut self, ticket: Ticket) {
        assert!(ticket <= self.issued, "I2: ticket {ticket} is durable but was never issued");
        self.durable = self.durable.max(ticket);
        while let Some((_, last_zxid)) = self.sealed.pop_front_if(|(sealed, _)| *sealed <= ticket) {
            self.durable_zxid = last_zxid;
        }
    }

    /// The next held thing that may leave.
    pub(super) fn release(&mut self) -> Option<Held> {
        let durable = self.durable;
        self.held.pop_front_if(|(ticket, _)| *ticket <= durable).map(|(_, held)| held)
    }

    /// Forgets what waits: the relation it belonged to is over.
    pub(super) fn forget_held(&mut self) {
        self.held.clear();
    }

    /// Whether nothing is under way to the disk (the drain rule).
    pub(super) fn is_drained(&self) -> bool {
        self.batch.is_empty() && self.durable == self.issued
    }

    /// The end of the durable log.
    pub(super) fn durable_zxid(&self) -> Zxid {
        self.durable_zxid
    }
}
