//! What the core tells the trace of the protocol's messages and events.
//!
//! Invariants:
//! - A message is recorded as sent before it goes to the socket, and as received before it takes effect: on one host, whose
//!   processes share the trace's clock, nothing is received before it was sent.
//! - Records and acknowledgements are cumulative: an event's zxid stands for all before it.

use super::core::Core;
use super::trace::Facts;
use std::collections::BTreeMap;
use zw_core::ids::{LinkId, NodeId, Zxid};
use zw_core::log::record::Record;
use zw_core::tree::command::Envelope;
use zw_core::wire::admin::TraceKind;
use zw_core::zab::effects::{Event, Input, Role};
use zw_core::zab::message::{Append, Message};

/// How far the trace has told of watermarks: messages repeat them, the trace does not.
#[derive(Default)]
pub(super) struct Told {
    /// To each peer, as the leader.
    commits_sent: BTreeMap<NodeId, Zxid>,
    /// By the leader.
    commit_received: Zxid,
    /// Of the own log, as the leader.
    durable: Zxid,
}

impl Core {
    pub(super) fn trace_event(&mut self, event: Event) {
        let trace = &self.node.trace;
        match event {
            Event::Role { role, leader, epoch } => {
                let word = super::status::role_of(role).word();
                tracing::info!(role = word, leader = leader.map_or(0, |id| id.0), %epoch, "role");
                let facts = Facts {
                    peer: leader.unwrap_or_default(),
                    number: epoch.0.into(),
                    text: word.into(),
                    ..Facts::default()
                };
                trace.record(TraceKind::Role, facts);
                if role == Role::Looking {
                    self.expiry.clear();
                    self.told = Told::default();
                }
            }
            Event::Vote { round, candidate, zxid, why } => {
                trace.record(TraceKind::Vote, Facts { peer: candidate, zxid, number: round, text: why.into() });
            }
            Event::Lost { leader, why } => {
                let facts = Facts { peer: leader.unwrap_or_default(), text: why.into(), ..Facts::default() };
                trace.record(TraceKind::Lost, facts);
            }
            Event::Truncated { after } => {
                tracing::info!(%after, "log truncated");
                trace.record(TraceKind::Truncate, Facts { zxid: after, ..Facts::default() });
            }
            Event::Sync { peer, how, from } => {
                tracing::info!(%peer, how, %from, "bringing a follower up to date");
                trace.record(TraceKind::Sync, Facts { peer, zxid: from, text: how.into(), ..Facts::default() });
            }
            Event::Committed { zxid } => {
                trace.record_if_watched(TraceKind::Commit, || Facts { zxid, ..Facts::default() });
            }
        }
    }

    pub(super) fn trace_sent(&mut self, peer: NodeId, message: &Message) {
        let trace = &self.node.trace;
        if !trace.is_watched() {
            return;
        }
        let facts = |zxid: Zxid, number: u64| Facts { peer, zxid, number, text: String::new() };
        match message {
            Message::Append(append) => {
                if let Some((last, count)) = last_of(append) {
                    trace.record(TraceKind::ProposalSent, facts(last, count));
                }
                let told = self.told.commits_sent.entry(peer).or_default();
                if append.commit > *told {
                    *told = append.commit;
                    trace.record(TraceKind::CommitSent, facts(append.commit, 0));
                }
            }
            Message::Ack(ack) => trace.record(TraceKind::AckSent, facts(ack.zxid, 0)),
            Message::Forward(forward) => {
                let tag = forward.proposals.last().map_or(0, |last| last.tag);
                trace.record(TraceKind::Forward, facts(Zxid::ZERO, tag));
            }
            _ => {}
        }
    }

    /// Records that a connection to a peer came or went.
    pub(super) fn trace_link(&self, peer: NodeId, link: LinkId, what: &str) {
        let facts = Facts { peer, number: link.0, text: what.into(), ..Facts::default() };
        self.node.trace.record(TraceKind::Link, facts);
    }

    /// Records what came in; messages only for those who watch.
    pub(super) fn trace_input(&mut self, input: &Input) {
        if let Input::Disconnected { peer, link } = input {
            self.trace_link(*peer, *link, "disconnected");
        }
        let trace = &self.node.trace;
        let Input::Message { peer, message, .. } = input else { return };
        let facts = |zxid: Zxid, number: u64| Facts { peer: *peer, zxid, number, text: String::new() };
        if let Message::Vote(vote) = message
            && trace.has_subscribers()
        {
            let text = format!("{:?} {}", vote.standing, vote.candidate.node);
            trace.record(TraceKind::VoteReceived, Facts { text, ..facts(vote.candidate.zxid, vote.round) });
        }
        if !trace.is_watched() {
            return;
        }
        match message {
            Message::Append(append) => {
                if let Some((last, count)) = last_of(append) {
                    trace.record(TraceKind::ProposalReceived, facts(last, count));
                }
                if append.commit > self.told.commit_received {
                    self.told.commit_received = append.commit;
                    trace.record(TraceKind::CommitReceived, facts(append.commit, 0));
                }
            }
            Message::Heartbeat(heartbeat) if heartbeat.commit > self.told.commit_received => {
                self.told.commit_received = heartbeat.commit;
                trace.record(TraceKind::CommitReceived, facts(heartbeat.commit, 0));
            }
            Message::Ack(ack) => trace.record(TraceKind::AckReceived, facts(ack.zxid, 0)),
            Message::Forward(forward) => {
                let tag = forward.proposals.last().map_or(0, |last| last.tag);
                trace.record(TraceKind::ForwardReceived, facts(Zxid::ZERO, tag));
            }
            _ => {}
        }
    }

    /// Records that writes got their place in the leader's log.
    pub(super) fn trace_persisted(&self, records: &[Record]) {
        let trace = &self.node.trace;
        if !trace.is_watched() || self.zab.leader() != Some(self.node.config.me) {
            return;
        }
        if let Some(Record::Entry(last)) = records.last()
            && let Ok(envelope) = Envelope::decode(&last.payload())
        {
            let Envelope { origin, tag, .. } = envelope;
            let facts = Facts { peer: origin, zxid: last.zxid(), number: tag, text: String::new() };
            trace.record(TraceKind::Proposed, facts);
        }
    }

    /// Records that the leader's own log has become durable up to some entry.
    pub(super) fn trace_durable(&mut self) {
        let zxid = self.zab.durable_zxid();
        if self.node.trace.is_watched() && zxid > self.told.durable && self.zab.leader() == Some(self.node.config.me) {
            self.told.durable = zxid;
            self.node.trace.record(TraceKind::Durable, Facts { zxid, ..Facts::default() });
        }
    }
}

fn last_of(append: &Append) -> Option<(Zxid, u64)> {
    let last = append.entries.last()?;
    Some((last.zxid(), u64::try_from(append.entries.len()).unwrap_or(u64::MAX)))
}
