//! One connection at work: requests out, answers and events in, signs of life between.
//!
//! Nothing here waits for the socket to take bytes while it has bytes to give, so two full buffers never stop each
//! other; what is ready is written and read in as few system calls as possible.

use super::driver::{Driver, End, Link};
use super::error::ClientError;
use super::queue::Answered;
use crate::ids::Zxid;
use crate::limits::{ANSWER_FRAME_BYTES_MAX, CLIENT_BUFFER_BYTES, SOCKET_BUFFER_BYTES};
use crate::tree::command::TreeEvent;
use crate::wire::client::{Answer, ErrorCode, ErrorReply, Operation, Ping, RemoveWatches, Response};
use crate::wire::frame;
use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::time::{Instant, sleep_until};
use tokio_util::codec::{Decoder, LengthDelimitedCodec};

/// The connection's own state.
struct Exchange<'a> {
    reader: ReadHalf<'a>,
    writer: WriteHalf<'a>,
    codec: LengthDelimitedCodec,
    received: BytesMut,
    out: Vec<u8>,
    /// Bytes of `out` that the socket has taken.
    written: usize,
    last_heard: Instant,
    last_sent: Instant,
}

impl Exchange<'_> {
    fn unwritten(&self) -> usize {
        self.out.len() - self.written
    }
}

impl Driver {
    /// Serves requests on a connection until it breaks or the client ends.
    pub(super) async fn exchange(&mut self, link: Link) -> End {
        let Link { mut socket, received, .. } = link;
        let (reader, writer) = socket.split();
        let now = Instant::now();
        let mut exchange = Exchange {
            reader,
            writer,
            codec: frame::codec(ANSWER_FRAME_BYTES_MAX),
            received,
            out: Vec::with_capacity(CLIENT_BUFFER_BYTES),
            written: 0,
            last_heard: now,
            last_sent: now,
        };
        for request in self.watches.rearming(self.seen) {
            self.queue.submit_own(now, Operation::SetWatches(request), &mut exchange.out);
        }
        match self.pump(&mut exchange).await {
            Ok(never) => never,
            Err(end) => end,
        }
    }

    async fn pump(&mut self, exchange: &mut Exchange<'_>) -> Result<End, End> {
        // Answers may have come together with the greeting.
        self.receive(exchange)?;
        let timer = sleep_until(Instant::now());
        tokio::pin!(timer);
        loop {
            self.submit(exchange);
            if self.closing && self.queue.is_empty() && exchange.unwritten() == 0 {
                return Ok(End::Closed);
            }
            let wake = self.next_wake(exchange);
            if wake < timer.deadline() {
                timer.as_mut().reset(wake);
            }
            if exchange.received.capacity() - exchange.received.len() < CLIENT_BUFFER_BYTES / 2 {
                exchange.received.reserve(CLIENT_BUFFER_BYTES);
            }
            let room = self.queue.room();
            tokio::select! {
                biased;
                () = &mut timer => {
                    self.keep_time(exchange)?;
                    timer.as_mut().reset(self.next_wake(exchange));
                }
                read = exchange.reader.read_buf(&mut exchange.received) => {
                    match read {
                        Ok(0) => return Err(End::Lost("the server closed the connection".to_owned())),
                        Ok(_) => self.receive(exchange)?,
                        Err(error) => return Err(End::Lost(error.to_string())),
                    }
                }
                sent = exchange.writer.write(&exchange.out[exchange.written..]), if exchange.unwritten() > 0 => {
                    exchange.written += sent.map_err(|error| End::Lost(error.to_string()))?;
                    if exchange.unwritten() == 0 {
                        exchange.out.clear();
                        exchange.written = 0;
                    }
                }
                message = self.calls.recv(), if !self.closing && room > 0 => {
                    self.take(message);
                    for _ in 1..room {
                        let Ok(message) = self.calls.try_recv() else { break };
                        self.take(Some(message));
                    }
                }
            }
        }
    }

    /// Moves waiting requests into the socket's buffer.
    fn submit(&mut self, exchange: &mut Exchange<'_>) {
        let before = exchange.out.len();
        let now = Instant::now();
        while exchange.unwritten() < SOCKET_BUFFER_BYTES && self.queue.submit(now, &mut self.watches, &mut exchange.out)
        {
        }
        if exchange.out.len() > before {
            exchange.last_sent = now;
        }
    }

    /// Takes every whole frame that has been read.
    fn receive(&mut self, exchange: &mut Exchange<'_>) -> Result<(), End> {
        exchange.last_heard = Instant::now();
        while let Some(bytes) =
            exchange.codec.decode(&mut exchange.received).map_err(|error| wrong(error.to_string()))?
        {
            let response = Response::decode_frame(&bytes).map_err(|error| wrong(error.to_string()))?;
            match response {
                Response { id: 0, answer: Answer::Event(event), .. } => self.event(&event, exchange),
                Response { id: 0, answer: Answer::Error(error), .. } => return Err(End::Lost(error.message)),
                Response { id: 0, answer, .. } => {
                    return Err(wrong(format!("an answer of kind {} to nothing", answer.kind())));
                }
                response => self.answer(response, exchange)?,
            }
        }
        Ok(())
    }

    fn event(&mut self, event: &TreeEvent, exchange: &mut Exchange<'_>) {
        self.last_zxid = self.last_zxid.max(event.zxid);
        // More events of the same entry may follow; and what watches have missed that are not armed again yet.
        if !self.queue.is_rearming() {
            self.seen = self.seen.max(Zxid(event.zxid.0.saturating_sub(1)));
        }
        for path in self.watches.fire(event) {
            self.forget(path, exchange);
        }
    }

    /// Nobody watches `path` any more: tell the server.
    fn forget(&mut self, path: String, exchange: &mut Exchange<'_>) {
        let forget = Operation::RemoveWatches(RemoveWatches { path });
        self.queue.submit_own(exchange.last_heard, forget, &mut exchange.out);
    }

    fn answer(&mut self, response: Response, exchange: &mut Exchange<'_>) -> Result<(), End> {
        let Response { id, zxid, answer } = response;
        self.last_zxid = self.last_zxid.max(zxid);
        let answered = self.queue.answered(id).map_err(wrong)?;
        // If the connection breaks before the last of the watches is armed again, the next one must ask from where the
        // first of these requests did: otherwise what the others have missed since then is lost (found by zw-sim).
        if !self.queue.is_rearming() {
            self.seen = self.seen.max(zxid);
        }
        let finished = match (answered, &answer) {
            (Answered::Call(finished), _) => finished,
            (Answered::Rearm { .. }, Answer::Error(error)) => {
                return Err(End::Lost(format!("watches cannot be armed again: {}", error.message)));
            }
            (Answered::Rearm { more: false }, _) => {
                self.watches.rearmed(zxid);
                return Ok(());
            }
            (Answered::Rearm { more: true } | Answered::Nothing, _) => return Ok(()),
        };
        self.servers.useful();
        match answer {
            Answer::Error(error) => {
                if finished.has_watch {
                    self.watches.take_pending(id);
                }
                self.refuse(finished, error)
            }
            answer => {
                if finished.has_watch
                    && let Some(path) = self.watches.armed(id, zxid, answer != Answer::Stat(None))
                {
                    self.forget(path, exchange);
                }
                finished.end(Ok((zxid, answer)));
                Ok(())
            }
        }
    }

    fn refuse(&mut self, finished: super::queue::Finished, error: ErrorReply) -> Result<(), End> {
        match error.code {
            ErrorCode::SessionExpired if self.session.is_some() => {
                finished.end(Err(ClientError::SessionExpired));
                Err(End::Expired)
            }
            // The session listens to another connection, perhaps an earlier one of this client: attach again.
            ErrorCode::SessionMoved if self.session.is_some() => {
                let reason = error.message.clone();
                finished.end(Err(error.into()));
                Err(End::Lost(reason))
            }
            _ => {
                finished.end(Err(error.into()));
                Ok(())
            }
        }
    }

    /// When `keep_time` has something to do.
    fn next_wake(&self, exchange: &Exchange<'_>) -> Instant {
        let ping = exchange.last_sent + self.ping_interval();
        let silence = self.silent_at(exchange);
        [Some(ping), silence, self.queue.next_deadline()].into_iter().flatten().min().unwrap_or(ping)
    }

    /// When a server that owes an answer has been silent for too long.
    fn silent_at(&self, exchange: &Exchange<'_>) -> Option<Instant> {
        let (since, patient) = self.queue.oldest()?;
        let bear = if patient { self.options.request_timeout.max(self.silence()) } else { self.silence() };
        Some(since.max(exchange.last_heard) + bear)
    }

    /// Ends requests that took too long, gives up a silent server, and sends signs of life.
    fn keep_time(&mut self, exchange: &mut Exchange<'_>) -> Result<(), End> {
        let now = Instant::now();
        self.queue.expire(now, &mut self.watches, None);
        if self.silent_at(exchange).is_some_and(|at| at <= now) {
            return Err(End::Lost(format!("no answer within {:?}", self.silence())));
        }
        if exchange.last_sent + self.ping_interval() <= now {
            self.queue.submit_own(now, Operation::Ping(Ping), &mut exchange.out);
            exchange.last_sent = now;
        }
        Ok(())
    }
}

fn wrong(reason: String) -> End {
    End::Lost(ClientError::Protocol(reason).to_string())
}
