//! One client's connection: a task that reads requests, hands writes to the core, answers reads itself, and sends
//! everything back in the order of the requests.
//!
//! Invariants:
//! - Requests take effect in their order: writes are proposed one after the other without waiting, but a read waits for
//!   the writes before it, and nothing after a waiting read is begun. So a read sees exactly what its client did before.
//! - Before an answer that shows the tree, all events up to that tree are in the output (see [`super::mailbox`]).
//! - One write to the socket for all that was answered at one wake-up.
//! - Memory is bounded: requests under way are counted, the input holds one frame or a buffer, and no request is begun
//!   while the output is full.

use super::mailbox::{Mail, Mailbox, Outcome};
use super::read::readable_or_overdue;
use crate::peer::link::split_frame;
use crate::server::inbox::{Batch, CoreInput};
use crate::server::locks::lock;
use crate::server::node::Node;
use crate::server::trace::{self, Subscription};
use bytes::BytesMut;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::interval;
use zw_core::ids::{SessionId, Zxid};
use zw_core::limits::{CLIENT_FRAME_BYTES_MAX, CONNECTION_REQUESTS_MAX, SOCKET_BUFFER_BYTES};
use zw_core::tree::command::{Envelope, Reply};
use zw_core::wire::client::{Answer, Connected, ErrorCode, ErrorReply, Ping, Request, Response};
use zw_core::wire::frame;
use zw_core::wire::hello::Greeting;
use zw_core::zab::effects::Proposal;

/// Between two looks into the trace, for a client that subscribed to it.
const TRACE_INTERVAL: Duration = Duration::from_millis(25);
/// A session's signs of life are reported at most this often.
const TOUCH_INTERVAL: Duration = Duration::from_millis(100);
/// Least room for a read from the socket.
const READ_BYTES_MIN: usize = 4 << 10;

/// A client's connection.
pub(super) struct Connection {
    pub(super) node: Arc<Node>,
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) input: BytesMut,
    pub(super) output: Vec<u8>,
    /// A request that was decoded and must wait for those before it.
    pub(super) next: Option<Request>,
    /// Requests that the core works on, in order.
    pub(super) under_way: VecDeque<UnderWay>,
    /// The place of the first of these among all requests that went to the core.
    pub(super) first_sequence: u64,
    /// Writes that go to the core at the end of this wake-up.
    pub(super) writes: Vec<(u64, Proposal)>,
    pub(super) session: Option<Session>,
    /// The client's subscription to the trace.
    pub(super) trace: Option<Subscription>,
    /// Whether the node is known to have served: its tree may be read.
    pub(super) may_read: bool,
    /// Since when a read waits for that.
    pub(super) reads_wait_since: Option<Instant>,
    mail: Vec<Mail>,
    touched: Option<Instant>,
}

/// The session that the connection is bound to.
pub(super) struct Session {
    pub(super) id: SessionId,
    pub(super) generation: u32,
}

/// A request that the core works on.
pub(super) struct UnderWay {
    pub(super) id: u32,
    pub(super) kind: UnderWayKind,
    pub(super) started: Instant,
    pub(super) done: Option<(Zxid, Outcome)>,
}

/// What kind of request it is.
pub(super) enum UnderWayKind {
    /// A write of the client.
    Write,
    /// The end of its own session.
    Close,
    /// Opening or attaching a session with this secret.
    Connect(bytes::Bytes),
    /// A barrier, or a snapshot.
    Other,
}

/// Works until the connection ends.
pub(super) async fn serve(
    node: Arc<Node>,
    socket: TcpStream,
    input: BytesMut,
    mailbox: Arc<Mailbox>,
    welcome: &Greeting,
) -> io::Result<()> {
    let mut connection = Connection::new(node.clone(), mailbox.clone(), input);
    frame::append(&mut connection.output, |out| welcome.encode_frame(out));
    let ended = connection.run(socket).await;
    // What was handed over is finished by its answer, whether or not anybody hears it.
    node.finish_write(connection.writes.iter().map(|(_, proposal)| proposal.payload.len()).sum());
    node.clients.leave(mailbox.id);
    lock(&node.watches).remove_connection(mailbox.id);
    node.faults.disconnected(mailbox.id);
    if let Some(subscription) = &connection.trace {
        node.trace.unsubscribe(subscription);
    }
    if let Some(session) = connection.session {
        node.inbox.send(CoreInput::Detached(session.id, session.generation)).await;
    }
    match ended {
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(error),
        Err(error) => {
            tracing::debug!(%error, "a client's connection ended");
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

impl Connection {
    fn new(node: Arc<Node>, mailbox: Arc<Mailbox>, input: BytesMut) -> Connection {
        Connection {
            node,
            mailbox,
            input,
            output: Vec::new(),
            next: None,
            under_way: VecDeque::new(),
            first_sequence: 0,
            writes: Vec::new(),
            session: None,
            trace: None,
            may_read: false,
            reads_wait_since: None,
            mail: Vec::new(),
            touched: None,
        }
    }

    async fn run(&mut self, mut socket: TcpStream) -> io::Result<()> {
        let (mut reader, writer) = socket.split();
        let mut trace_tick = interval(TRACE_INTERVAL);
        let stopping = self.node.stopping.clone();
        let mailbox = self.mailbox.clone();
        loop {
            self.take_mail_if_room()?;
            self.begin_requests().await?;
            self.write_trace();
            let has_sent = self.flush(|bytes| writer.try_write(bytes))?;
            if has_sent && self.can_go_on() {
                tokio::task::consume_budget().await;
                continue;
            }
            self.shrink();
            let wants_input = self.wants_input();
            if wants_input {
                self.input.reserve(READ_BYTES_MIN.max(self.input.len().min(SOCKET_BUFFER_BYTES)));
            }
            tokio::select! {
                biased;
                () = mailbox.woken() => {}
                read = reader.read_buf(&mut self.input), if wants_input => {
                    if read? == 0 {
                        return Ok(());
                    }
                    self.touch();
                }
                ready = writer.writable(), if !self.output.is_empty() => ready?,
                () = readable_or_overdue(&self.node, self.reads_wait_since), if self.waits_to_read() => {}
                _ = trace_tick.tick(), if self.trace.is_some() => {}
                () = stopping.cancelled(), if self.under_way.is_empty() => return Ok(()),
            }
        }
    }

    /// Whether there is input to work on that neither waits for the core nor for the socket.
    fn can_go_on(&self) -> bool {
        let blocked = self.next.is_some() && (!self.under_way.is_empty() || self.waits_to_read());
        !blocked && self.under_way.len() < CONNECTION_REQUESTS_MAX && (self.next.is_some() || self.has_whole_frame())
    }

    fn has_whole_frame(&self) -> bool {
        let length = self.input.first_chunk::<4>().map(|length| u32::from_be_bytes(*length) as usize);
        // A frame that is too long counts as whole: it ends the connection.
        length.is_some_and(|length| length > CLIENT_FRAME_BYTES_MAX || self.input.len() >= 4 + length)
    }

    /// Reads on while there is room, or while the first frame is not whole.
    fn wants_input(&self) -> bool {
        self.output.len() < SOCKET_BUFFER_BYTES && (self.input.len() < SOCKET_BUFFER_BYTES || !self.has_whole_frame())
    }

    /// An idle connection gives its memory back.
    fn shrink(&mut self) {
        if self.output.is_empty() && self.output.capacity() > SOCKET_BUFFER_BYTES {
            self.output = Vec::new();
        }
        if self.input.is_empty() && self.input.capacity() > SOCKET_BUFFER_BYTES {
            self.input = BytesMut::new();
        }
    }

    /// Reports a sign of life of the session.
    fn touch(&mut self) {
        let Some(session) = &self.session else { return };
        let now = Instant::now();
        if self.touched.is_none_or(|last| now.duration_since(last) >= TOUCH_INTERVAL) {
            self.touched = Some(now);
            self.node.touch(session.id);
        }
    }

    /// Moves the mail into the output, unless that is full: then it stays in the mailbox, which is bounded.
    fn take_mail_if_room(&mut self) -> io::Result<()> {
        match self.mailbox.closed().filter(|_| self.output.len() >= SOCKET_BUFFER_BYTES) {
            Some(why) => Err(io::Error::new(io::ErrorKind::ConnectionAborted, why)),
            None if self.output.len() >= SOCKET_BUFFER_BYTES => Ok(()),
            None => self.take_mail(),
        }
    }

    /// Moves the mail into the output: events at once, outcomes once those before them are there.
    pub(super) fn take_mail(&mut self) -> io::Result<()> {
        if !self.mailbox.is_filled() {
            return Ok(());
        }
        let mut mail = std::mem::take(&mut self.mail);
        let closed = self.mailbox.take(&mut mail);
        for mail in mail.drain(..) {
            match mail {
                Mail::Event(event) => self.answer(0, event.zxid, Answer::Event(event)),
                Mail::Outcome { sequence, zxid, outcome } => {
                    let place = sequence.checked_sub(self.first_sequence).expect("a request is answered once");
                    let place = usize::try_from(place).expect("requests under way are few");
                    self.under_way[place].done = Some((zxid, outcome));
                }
            }
        }
        self.mail = mail;
        self.answer_done();
        match closed {
            Some(why) => Err(io::Error::new(io::ErrorKind::ConnectionAborted, why)),
            None => Ok(()),
        }
    }

    fn answer_done(&mut self) {
        let mut latest = None;
        while self.under_way.front().is_some_and(|first| first.done.is_some()) {
            let Some(UnderWay { id, kind, started, done: Some((zxid, outcome)) }) = self.under_way.pop_front() else {
                return;
            };
            self.first_sequence += 1;
            // One look at the clock for all answers of this wake-up.
            let now = *latest.get_or_insert_with(|| (Instant::now(), self.node.clock.uptime()));
            if matches!(kind, UnderWayKind::Write) {
                self.node.metrics.write.record(now.0.saturating_duration_since(started), now.1);
            }
            let answer = self.outcome(kind, outcome);
            self.answer(id, zxid, answer);
        }
    }

    fn outcome(&mut self, kind: UnderWayKind, outcome: Outcome) -> Answer {
        match (outcome, kind) {
            (Outcome::Applied(Ok(Reply::Session(bound))), UnderWayKind::Connect(secret)) => {
                self.session = Some(Session { id: bound.session, generation: bound.generation });
                Answer::Connected(Connected { session: bound.session, secret, timeout_ms: bound.timeout_ms })
            }
            (Outcome::Applied(Ok(reply)), kind) => {
                if matches!(kind, UnderWayKind::Close) {
                    self.session = None;
                }
                Answer::Written(reply)
            }
            (Outcome::Applied(Err(error)), _) => Answer::Error(ErrorReply::from(&error)),
            (Outcome::Synced, _) => Answer::Done(Ping),
            (Outcome::Snapshot(snapshot), _) => Answer::Snapshot(snapshot),
            (Outcome::Refused(refused), _) => Answer::Error(refused),
        }
    }

    /// Begins requests until one must wait, the input is used up, or the output is full; then hands over the writes.
    async fn begin_requests(&mut self) -> io::Result<()> {
        while self.output.len() < SOCKET_BUFFER_BYTES && self.under_way.len() < CONNECTION_REQUESTS_MAX {
            if !self.decode_next()? {
                // What comes later than this gets a patience of its own.
                self.reads_wait_since = None;
                break;
            }
            let Some(request) = self.next.take() else { break };
            if let Some(request) = self.begin(request).await? {
                self.next = Some(request);
                break;
            }
        }
        self.hand_over_writes().await;
        Ok(())
    }

    /// Gives the writes of this wake-up to the core.
    pub(super) async fn hand_over_writes(&mut self) {
        if let Some((_, last)) = self.writes.last() {
            self.node.trace.write(last.tag, || match Envelope::decode(&last.payload) {
                Ok(envelope) => trace::words(&envelope.command),
                Err(error) => error.to_string(),
            });
            let batch = Batch { mailbox: self.mailbox.clone(), writes: std::mem::take(&mut self.writes) };
            self.node.inbox.send(CoreInput::Propose(batch)).await;
        }
    }

    /// Makes sure that there is a decoded request; false if more input must come first.
    pub(super) fn decode_next(&mut self) -> io::Result<bool> {
        if self.next.is_some() {
            return Ok(true);
        }
        let Some(frame) = split_frame(&mut self.input, CLIENT_FRAME_BYTES_MAX)? else { return Ok(false) };
        let request = Request::decode_frame(&frame)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, format!("not a request: {error}")))?;
        self.next = Some(request);
        Ok(true)
    }

    /// Appends an answer to the output.
    pub(super) fn answer(&mut self, id: u32, zxid: Zxid, answer: Answer) {
        let response = Response { id, zxid, answer };
        frame::append(&mut self.output, |out| response.encode_frame(out));
    }

    /// Appends a refusal to the output.
    pub(super) fn refuse(&mut self, id: u32, code: ErrorCode, message: impl Into<String>) {
        self.answer(id, Zxid::ZERO, Answer::Error(ErrorReply { code, message: message.into() }));
    }

    fn write_trace(&mut self) {
        while let Some(subscription) = self.trace.as_mut().filter(|_| self.output.len() < SOCKET_BUFFER_BYTES) {
            let Some(batch) = self.node.trace.batch(subscription) else { return };
            self.answer(0, Zxid::ZERO, Answer::Trace(batch));
        }
    }

    /// Writes what the socket takes. Whether that was everything.
    fn flush(&mut self, write: impl FnOnce(&[u8]) -> io::Result<usize>) -> io::Result<bool> {
        if self.output.is_empty() {
            return Ok(true);
        }
        match write(&self.output) {
            Ok(sent) if sent == self.output.len() => self.output.clear(),
            Ok(sent) => drop(self.output.drain(..sent)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        Ok(self.output.is_empty())
    }
}
