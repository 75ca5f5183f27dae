//! One load client: one connection, a window of requests, and fail-over.
//!
//! - The window is a closed loop: a request is due when the one before it in its place was answered. A request that
//!   fails keeps its due time for the one that takes its place, so that an outage shows in the latencies at its full
//!   length (no coordinated omission).
//! - Answers come in the order of the requests; anything else is a broken server and ends the connection.
//! - Once it is connected it speaks the wire itself, without the client library: it shares the machine with what it
//!   measures.

use super::ledger::{Ledger, Write};
use super::target::Targets;
use crate::peer::link::split_frame;
use crate::tally::Tally;
use bytes::{Bytes, BytesMut};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{MissedTickBehavior, interval, sleep};
use zw_core::client::Connection;
use zw_core::limits::ANSWER_FRAME_BYTES_MAX;
use zw_core::tree::command::{Acl, Command, Create, CreateMode, SetData};
use zw_core::wire;
use zw_core::wire::client::{Answer, ErrorCode, Operation, Ping, Read, Request, Response};

/// What all clients of a run share.
pub(super) struct Plan {
    pub(super) in_flight: usize,
    pub(super) size: usize,
    pub(super) read_percent: u64,
    /// No new request after it; none: only the count ends the run.
    pub(super) end: Option<Instant>,
    /// Requests that may still be begun.
    pub(super) left: Cell<u64>,
    pub(super) request_timeout: Duration,
    pub(super) tally: RefCell<Tally>,
    pub(super) targets: Targets,
    /// When a signal asked to end the run.
    pub(super) stopped: Cell<Option<Instant>>,
    /// After it a client without a connection gives up.
    pub(super) give_up: Duration,
    /// Why the whole run gave up.
    pub(super) gave_up: RefCell<Option<String>>,
}

impl Plan {
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.left.get() == 0 || self.stopped.get().is_some() || self.end.is_some_and(|end| now >= end)
    }

    /// Longest wait for a server's greeting: a server that hangs must not make the run longer.
    fn connect_timeout(&self) -> Duration {
        let left = self.end.map(|end| end.saturating_duration_since(Instant::now()));
        left.map_or(self.request_timeout, |left| left.min(self.request_timeout))
    }

    /// When the run ended, or now if only its count ended it.
    pub(super) fn ended(&self) -> Instant {
        [self.end, self.stopped.get()].into_iter().flatten().fold(Instant::now(), Instant::min)
    }
}

/// A request that was sent.
struct Pending {
    id: u32,
    due: Instant,
    sent: Instant,
    what: What,
}

enum What {
    Write(Write),
    Read,
    /// The sync that opens a connection: not measured.
    Opening,
}

/// Pause before the next try to connect.
const RECONNECT_PAUSE: Duration = Duration::from_millis(10);
/// Pause after a refusal, so that a refused client does not spin.
const REFUSED_PAUSE: Duration = Duration::from_millis(2);
/// How often the oldest request's age is looked at.
const AGE_CHECK: Duration = Duration::from_millis(50);

/// One client's run; gives its ledger back.
pub(super) struct Session {
    plan: Rc<Plan>,
    index: usize,
    ledger: Ledger,
    /// Places of the window that are free, by the due time of the request that may take them.
    free: VecDeque<Instant>,
    pending: VecDeque<Pending>,
    last_id: u32,
    random: u64,
    refused: bool,
}

impl Session {
    pub(super) fn new(plan: Rc<Plan>, index: usize, ledger: Ledger, random: u64) -> Session {
        let free = vec![Instant::now(); plan.in_flight].into();
        Session { plan, index, ledger, free, pending: VecDeque::new(), last_id: 0, random: random | 1, refused: false }
    }

    /// Runs until the plan is over and all is answered, or no server could be reached for too long.
    pub(super) async fn run(mut self) -> Ledger {
        let mut attempt = 0;
        let mut last_seen = Instant::now();
        while !self.plan.is_over(Instant::now()) && last_seen.elapsed() < self.plan.give_up {
            let random = self.random_number();
            let Some(server) = self.plan.targets.choose(self.index, attempt, random).await else {
                sleep(RECONNECT_PAUSE).await;
                continue;
            };
            if let Ok(connection) = Connection::open(&server, self.plan.connect_timeout()).await {
                let lost = self.drive(connection).await;
                last_seen = Instant::now();
                let Some(reason) = lost else { break };
                self.connection_lost(reason);
            }
            attempt += 1;
            sleep(RECONNECT_PAUSE).await;
        }
        self.ledger
    }

    /// Uses the connection until the plan is over (none), or until it is lost (why).
    async fn drive(&mut self, connection: Connection) -> Option<&'static str> {
        let (socket, mut received) = connection.into_parts();
        let (mut reader, mut writer) = socket.into_split();
        let mut to_send = BytesMut::new();
        let mut age = interval(AGE_CHECK);
        age.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.send(Operation::Sync(Ping), What::Opening, Instant::now(), Instant::now(), &mut to_send);
        loop {
            if std::mem::take(&mut self.refused) {
                sleep(REFUSED_PAUSE).await;
            }
            let now = Instant::now();
            self.fill(now, &mut to_send);
            if self.pending.is_empty() {
                return None;
            }
            tokio::select! {
                read = reader.read_buf(&mut received) => match read {
                    Ok(0) => return Some("the server closed the connection"),
                    Err(_) => return Some("the connection broke"),
                    Ok(_) => {
                        if let Err(reason) = self.take_answers(&mut received) {
                            return Some(reason);
                        }
                    }
                },
                written = writer.write_buf(&mut to_send), if !to_send.is_empty() => {
                    if !matches!(written, Ok(1..)) {
                        return Some("the connection broke");
                    }
                }
                _ = age.tick() => {
                    let oldest = self.pending.front().map(|pending| pending.sent);
                    if oldest.is_some_and(|sent| sent.elapsed() > self.plan.request_timeout) {
                        return Some("no answer in time");
                    }
                }
            }
        }
    }

    /// Fills the window.
    fn fill(&mut self, now: Instant, to_send: &mut BytesMut) {
        while !self.plan.is_over(now) {
            let Some(due) = self.free.pop_front() else { return };
            self.plan.left.set(self.plan.left.get() - 1);
            let choice = self.random_number();
            let read = (choice >> 8) % 100 < self.plan.read_percent;
            match read.then(|| self.ledger.key_to_read(choice >> 16)).flatten() {
                Some(key) => {
                    let path = self.ledger.path(key);
                    self.send(Operation::Get(Read { path, watch: false }), What::Read, due, now, to_send);
                }
                None => {
                    let write = self.ledger.next_write();
                    let command = self.command(write);
                    self.send(Operation::Write(command), What::Write(write), due, now, to_send);
                }
            }
        }
    }

    fn command(&self, write: Write) -> Command {
        let path = self.ledger.path(write.key);
        let data = Bytes::from(self.ledger.value(write, self.plan.size));
        if write.creates {
            Command::Create(Create { path, data, acl: Acl::open(), mode: CreateMode::Persistent, ttl_ms: 0 })
        } else {
            Command::SetData(SetData { path, data, version: -1 })
        }
    }

    fn send(&mut self, operation: Operation, what: What, due: Instant, sent: Instant, to_send: &mut BytesMut) {
        self.last_id = self.last_id.wrapping_add(1).max(1);
        let mut frame = Vec::with_capacity(self.plan.size + 128);
        let request = Request { id: self.last_id, operation };
        wire::frame::append(&mut frame, |out| request.encode_frame(out));
        to_send.extend_from_slice(&frame);
        self.pending.push_back(Pending { id: self.last_id, due, sent, what });
    }

    /// Takes all whole frames.
    fn take_answers(&mut self, received: &mut BytesMut) -> Result<(), &'static str> {
        let now = Instant::now();
        let too_long = |_| "the server sent a frame over the limit";
        while let Some(frame) = split_frame(received, ANSWER_FRAME_BYTES_MAX).map_err(too_long)? {
            let response = Response::decode_frame(&frame).map_err(|_| "the server sent what is no answer")?;
            let pending = self.pending.pop_front().ok_or("the server answered what was not asked")?;
            if pending.id != response.id {
                return Err("the server's answers are out of order");
            }
            self.take_answer(pending, response.answer, now);
        }
        Ok(())
    }

    fn take_answer(&mut self, pending: Pending, answer: Answer, now: Instant) {
        let plan = Rc::clone(&self.plan);
        let mut tally = plan.tally.borrow_mut();
        let mut next_due = now;
        match (pending.what, answer) {
            (What::Opening, _) => return,
            (What::Write(write), Answer::Error(error)) => {
                self.ledger.failed(write);
                if error.code == ErrorCode::OutcomeUnknown {
                    tally.unknown(&error.message);
                } else {
                    tally.refused(&format!("{:?}", error.code));
                }
                (self.refused, next_due) = (true, pending.due);
            }
            (What::Read, Answer::Error(error)) => {
                tally.refused(&format!("{:?}", error.code));
                (self.refused, next_due) = (true, pending.due);
            }
            (What::Write(write), _) => {
                self.ledger.acknowledged(write);
                tally.answered(pending.due, now, true);
            }
            (What::Read, _) => tally.answered(pending.due, now, false),
        }
        self.free.push_back(next_due);
    }

    /// Writes under way are unknown, reads are errors, and all places are free again with their due times.
    fn connection_lost(&mut self, reason: &'static str) {
        let mut tally = self.plan.tally.borrow_mut();
        tally.reconnects += 1;
        for pending in self.pending.drain(..) {
            match pending.what {
                What::Opening => continue,
                What::Write(_) => tally.unknown(reason),
                What::Read => tally.refused(reason),
            }
            self.free.push_back(pending.due);
        }
        self.ledger.connection_lost();
    }

    /// xorshift64: cheap, and good enough to choose keys.
    fn random_number(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }
}
