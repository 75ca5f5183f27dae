//! Requests between the handles and the socket: those that wait, and those that were sent.
//!
//! Invariants:
//! - Both queues are bounded and in the order of the calls; all requests have the same timeout, so the first one is
//!   also the first whose deadline passes.
//! - A request leaves its queue answered, refused, or (a read whose connection broke) for the front of the waiting.

use super::connection::{next_id, too_large};
use super::error::ClientError;
use super::watch::{Registration, Watches};
use crate::ids::Zxid;
use crate::limits::{CLIENT_FRAME_BYTES_MAX, CONNECTION_REQUESTS_MAX, WATCHES_PER_CONNECTION_MAX};
use crate::wire::client::{Answer, ErrorCode, Operation, Request, RequestError};
use crate::wire::frame;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// From a handle to the task.
#[derive(Debug)]
pub(super) enum Message {
    Call(Call),
    Close,
}

pub(super) type Outcome = Result<(Zxid, Answer), ClientError>;

/// A request of a program.
#[derive(Debug)]
pub(super) struct Call {
    operation: Operation,
    watch: Option<Box<Registration>>,
    deadline: Instant,
    reply: oneshot::Sender<Outcome>,
}

impl Call {
    pub(super) fn new(
        operation: Operation,
        watch: Option<Registration>,
        deadline: Instant,
        reply: oneshot::Sender<Outcome>,
    ) -> Call {
        Call { operation, watch: watch.map(Box::new), deadline, reply }
    }

    pub(super) fn operation(&self) -> &Operation {
        &self.operation
    }

    pub(super) fn is_for_one_connection(&self) -> bool {
        matches!(self.operation, Operation::Connect(_) | Operation::TraceStart(_))
    }

    fn end(self, outcome: Outcome) {
        // A program that gave up its future does not want to know.
        let _ = self.reply.send(outcome);
    }
}

/// A request on the connection.
#[derive(Debug)]
struct Sent {
    id: u32,
    at: Instant,
    purpose: Purpose,
}

#[derive(Debug)]
enum Purpose {
    /// A program's.
    Call(Call),
    /// A program's that was told of its timeout; the answer will still come.
    GivenUp,
    /// A sign of life, or an order to forget a watch: the answer does not matter.
    Housekeeping,
    /// Watches to arm again.
    Rearm,
}

/// What an answer was for.
pub(super) enum Answered {
    /// A program's request: hand it over with [`Finished::end`].
    Call(Finished),
    /// Watches to arm again, and whether more of them follow.
    Rearm { more: bool },
    /// Something that needs no more.
    Nothing,
}

/// An answered request of a program.
pub(super) struct Finished {
    pub(super) has_watch: bool,
    call: Call,
}

impl Finished {
    pub(super) fn end(self, outcome: Outcome) {
        self.call.end(outcome);
    }
}

/// The requests of one client.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: VecDeque<Call>,
    sent: VecDeque<Sent>,
    last_id: u32,
    timeout: Duration,
}

impl Queue {
    pub(super) fn new(timeout: Duration) -> Queue {
        Queue { waiting: VecDeque::new(), sent: VecDeque::new(), last_id: 0, timeout }
    }

    /// How many more requests may wait here; the others wait in the handles' channel.
    pub(super) fn room(&self) -> usize {
        CONNECTION_REQUESTS_MAX.saturating_sub(self.waiting.len())
    }

    pub(super) fn push(&mut self, call: Call) {
        self.waiting.push_back(call);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && !self.sent.iter().any(|sent| matches!(sent.purpose, Purpose::Call(_)))
    }

    /// Since when the connection owes the oldest answer, and whether that one may take long.
    pub(super) fn oldest(&self) -> Option<(Instant, bool)> {
        let sent = self.sent.front()?;
        let patient = matches!(&sent.purpose, Purpose::Call(call) if matches!(call.operation, Operation::Snapshot(_)));
        Some((sent.at, patient))
    }

    /// Appends the frame of a waiting request to `out`, if there is one and the connection has room for it.
    pub(super) fn submit(&mut self, now: Instant, watches: &mut Watches, out: &mut Vec<u8>) -> bool {
        if self.sent.len() >= CONNECTION_REQUESTS_MAX {
            return false;
        }
        let Some(mut call) = self.waiting.pop_front() else { return false };
        if call.watch.is_some() && !watches.has_room() {
            call.end(Err(too_many_watches()));
            return true;
        }
        let id = next_id(self.last_id);
        let start = out.len();
        // The operation is lent to the request: a read must be kept, for it may be sent again.
        let request = Request { id, operation: call.operation };
        frame::append(out, |out| request.encode_frame(out));
        call.operation = request.operation;
        let bytes = out.len() - start - frame::LENGTH_BYTES;
        if bytes > CLIENT_FRAME_BYTES_MAX {
            out.truncate(start);
            call.end(Err(too_large(bytes)));
            return true;
        }
        self.last_id = id;
        if let Some(watch) = call.watch.take() {
            watches.begin(id, *watch);
        }
        self.sent.push_back(Sent { id, at: now, purpose: Purpose::Call(call) });
        true
    }

    /// Appends the frame of a request of the client itself.
    pub(super) fn submit_own(&mut self, now: Instant, operation: Operation, out: &mut Vec<u8>) {
        self.last_id = next_id(self.last_id);
        let rearm = matches!(operation, Operation::SetWatches(_));
        let request = Request { id: self.last_id, operation };
        frame::append(out, |out| request.encode_frame(out));
        let purpose = if rearm { Purpose::Rearm } else { Purpose::Housekeeping };
        self.sent.push_back(Sent { id: self.last_id, at: now, purpose });
    }

    /// The answer to the request `id` has come, which must be the oldest one.
    pub(super) fn answered(&mut self, id: u32) -> Result<Answered, String> {
        let sent = self.sent.pop_front().ok_or_else(|| format!("an answer to request {id}, which was never sent"))?;
        if sent.id != id {
            let expected = sent.id;
            self.sent.push_front(sent);
            return Err(format!("the answer to request {id} before that to {expected}"));
        }
        Ok(match sent.purpose {
            Purpose::Call(call) => {
                let has_watch = keeps_watch(&call.operation);
                Answered::Call(Finished { has_watch, call })
            }
            Purpose::Rearm => {
                // Nothing else is sent before the last of them.
                Answered::Rearm { more: self.is_rearming() }
            }
            Purpose::GivenUp | Purpose::Housekeeping => Answered::Nothing,
        })
    }

    /// Whether some of the watches are still to be armed again on this connection.
    pub(super) fn is_rearming(&self) -> bool {
        // Nothing is sent before these requests.
        matches!(self.sent.front(), Some(Sent { purpose: Purpose::Rearm, .. }))
    }

    /// The first deadline of a request.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let sent = self.sent.iter().find_map(|sent| match &sent.purpose {
            Purpose::Call(call) => Some(call.deadline),
            _ => None,
        });
        let waiting = self.waiting.front().map(|call| call.deadline);
        [sent, waiting].into_iter().flatten().min()
    }

    /// Ends the requests whose deadline has passed; those that were never sent get `unsent`.
    pub(super) fn expire(&mut self, now: Instant, watches: &mut Watches, unsent: Option<&ClientError>) {
        let after = self.timeout;
        for sent in &mut self.sent {
            match &sent.purpose {
                Purpose::Call(call) if call.deadline <= now => {}
                Purpose::Call(_) => break,
                _ => continue,
            }
            if let Purpose::Call(call) = std::mem::replace(&mut sent.purpose, Purpose::GivenUp) {
                watches.take_pending(sent.id);
                let error = match may_change(&call.operation) {
                    true => ClientError::OutcomeUnknown(format!("no answer within {after:?}")),
                    false => ClientError::Timeout { after },
                };
                call.end(Err(error));
            }
        }
        while self.waiting.front().is_some_and(|call| call.deadline <= now) {
            if let Some(call) = self.waiting.pop_front() {
                call.end(Err(unsent.cloned().unwrap_or(ClientError::Timeout { after })));
            }
        }
    }

    /// The connection broke: what was sent and may change something has an unknown outcome; reads wait again.
    pub(super) fn connection_lost(&mut self, reason: &str, watches: &mut Watches) {
        for sent in std::mem::take(&mut self.sent).into_iter().rev() {
            let Purpose::Call(mut call) = sent.purpose else { continue };
            let watch = watches.take_pending(sent.id);
            if may_change(&call.operation) {
                call.end(Err(ClientError::OutcomeUnknown(reason.to_owned())));
            } else {
                call.watch = watch.map(Box::new);
                self.waiting.push_front(call);
            }
        }
    }

    /// The client is at its end: nothing will be sent any more.
    pub(super) fn end_all(&mut self, error: &ClientError) {
        for sent in self.sent.drain(..) {
            if let Purpose::Call(call) = sent.purpose {
                let unknown = *error == ClientError::Closed && may_change(&call.operation);
                let error = match unknown {
                    true => ClientError::OutcomeUnknown("the client was closed".to_owned()),
                    false => error.clone(),
                };
                call.end(Err(error));
            }
        }
        for call in self.waiting.drain(..) {
            call.end(Err(error.clone()));
        }
    }
}

/// Whether sending the request twice could do more than sending it once.
fn may_change(operation: &Operation) -> bool {
    matches!(operation, Operation::Write(_) | Operation::Fault(_) | Operation::Snapshot(_))
}

fn too_many_watches() -> ClientError {
    let message = format!("this client has {WATCHES_PER_CONNECTION_MAX} watches, the most that are allowed");
    ClientError::Request(RequestError { code: ErrorCode::TooLarge, message })
}

fn keeps_watch(operation: &Operation) -> bool {
    match operation {
        Operation::Get(read) | Operation::Exists(read) => read.watch,
        Operation::Children(children) => children.watch,
        Operation::AddWatch(_) => true,
        _ => false,
    }
}
