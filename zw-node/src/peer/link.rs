//! One connection to a peer: what the core sends goes out, what comes in goes to the core.
//!
//! Invariants:
//! - Messages keep their order in both directions; a link that lost one is closed.
//! - What waits to go out is bounded in frames and bytes; beyond that the peer is too slow and the link is closed.
//! - The core never waits: it writes what the socket takes at once, and leaves the rest to the writer's task.

use crate::server::faults::Faults;
use crate::server::inbox::CoreInput;
use crate::server::locks::lock;
use crate::server::node::Node;
use bytes::{Buf, BytesMut};
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use tokio::io::AsyncReadExt;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use zw_core::ids::{LinkId, NodeId};
use zw_core::limits::{PEER_FRAME_BYTES_MAX, PEER_OUTBOX_BYTES_MAX, PEER_OUTBOX_FRAMES_MAX, SOCKET_BUFFER_BYTES};
use zw_core::tree::command::Envelope;
use zw_core::zab::effects::Input;
use zw_core::zab::message::Message;

/// Least room for a read from the socket.
const READ_BYTES_MIN: usize = 8 << 10;

/// A connection to a peer.
pub(crate) struct Link {
    /// Who is at the other end.
    pub(crate) peer: NodeId,
    /// Its number.
    pub(crate) id: LinkId,
    socket: OwnedWriteHalf,
    outbox: Mutex<Outbox>,
    filled: Notify,
    closed: CancellationToken,
    heard_ms: AtomicU64,
}

/// What waits to go out.
#[derive(Default)]
struct Outbox {
    chunks: VecDeque<Chunk>,
    frames: usize,
    bytes: usize,
    /// The writer's task holds a chunk that goes out before everything here.
    writing: bool,
}

struct Chunk {
    /// Not before this time.
    due: Option<Instant>,
    frames: usize,
    bytes: Vec<u8>,
}

impl Link {
    pub(super) fn new(peer: NodeId, id: LinkId, socket: OwnedWriteHalf, now_ms: u64) -> Link {
        Link {
            peer,
            id,
            socket,
            outbox: Mutex::default(),
            filled: Notify::new(),
            closed: CancellationToken::new(),
            heard_ms: AtomicU64::new(now_ms),
        }
    }

    /// When the peer was last heard, in milliseconds of this process's uptime.
    pub(crate) fn heard_ms(&self) -> u64 {
        self.heard_ms.load(Ordering::Relaxed)
    }

    /// Ends the connection.
    pub(crate) fn close(&self) {
        self.closed.cancel();
    }

    /// Sends frames, as much as possible at once. Leaves `bytes` empty.
    pub(crate) fn send(&self, bytes: &mut Vec<u8>, frames: usize, faults: &Faults) {
        let mut outbox = lock(&self.outbox);
        if self.closed.is_cancelled() {
            // Something before these is lost: on a link without gaps they must not go out.
            bytes.clear();
            return;
        }
        let delay = faults.delay(self.peer, frames);
        let must_wait = outbox.writing || !outbox.chunks.is_empty() || !delay.is_zero() || faults.blocks_out(self.peer);
        let sent = if must_wait { 0 } else { self.socket.try_write(bytes).unwrap_or(0) };
        if sent == bytes.len() {
            bytes.clear();
            return;
        }
        bytes.drain(..sent);
        outbox.frames += frames;
        outbox.bytes += bytes.len();
        if outbox.frames > PEER_OUTBOX_FRAMES_MAX || outbox.bytes > PEER_OUTBOX_BYTES_MAX {
            tracing::warn!(peer = %self.peer, waiting = outbox.bytes, "link closed: the peer is too slow");
            *outbox = Outbox { writing: outbox.writing, ..Outbox::default() };
            bytes.clear();
            self.close();
            return;
        }
        let due = (!delay.is_zero()).then(|| Instant::now() + delay);
        match outbox.chunks.back_mut() {
            Some(last) if due.is_none() && last.due.is_none() => {
                last.bytes.append(bytes);
                last.frames += frames;
            }
            _ => outbox.chunks.push_back(Chunk { due, frames, bytes: std::mem::take(bytes) }),
        }
        drop(outbox);
        self.filled.notify_one();
    }

    /// Works until the connection ends, then tells the core. `input` is what was read already.
    pub(super) async fn run(self: Arc<Self>, node: Arc<Node>, reader: OwnedReadHalf, input: BytesMut) {
        let ended = tokio::select! {
            ended = self.read_all(&node, reader, input) => ended,
            ended = self.write_all(&node) => ended,
            () = self.closed.cancelled() => Ok(()),
        };
        self.close();
        if let Err(error) = ended {
            tracing::info!(peer = %self.peer, %error, "link ended");
        }
        node.peers.disconnected(&self);
        node.inbox.send(CoreInput::Zab(Input::Disconnected { peer: self.peer, link: self.id })).await;
    }

    async fn read_all(&self, node: &Node, mut reader: OwnedReadHalf, mut input: BytesMut) -> io::Result<()> {
        let mut messages = Vec::new();
        loop {
            while let Some(frame) = split_frame(&mut input, PEER_FRAME_BYTES_MAX)? {
                let message = Message::decode_frame(&frame).map_err(|error| {
                    io::Error::new(io::ErrorKind::InvalidData, format!("closed for what it sent: {error}"))
                })?;
                check_forward(&message)?;
                messages.push(CoreInput::message(self.peer, self, message));
            }
            if !messages.is_empty() {
                node.inbox.send_all(&mut messages).await;
            }
            // Grows with what has come, not with what a frame claims.
            input.reserve(input.len().clamp(READ_BYTES_MIN, SOCKET_BUFFER_BYTES));
            if reader.read_buf(&mut input).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if node.faults.blocks_in(self.peer) {
                node.faults.wait_while(|faults| faults.blocks_in(self.peer)).await;
            }
            self.heard_ms.store(node.clock.uptime_ms(), Ordering::Relaxed);
        }
    }

    async fn write_all(&self, node: &Node) -> io::Result<()> {
        loop {
            self.filled.notified().await;
            while let Some(chunk) = self.next_chunk() {
                if let Some(due) = chunk.due {
                    tokio::time::sleep_until(due.into()).await;
                }
                node.faults.wait_while(|faults| faults.blocks_out(self.peer)).await;
                self.write_chunk(&chunk.bytes).await?;
            }
        }
    }

    fn next_chunk(&self) -> Option<Chunk> {
        let mut outbox = lock(&self.outbox);
        let chunk = outbox.chunks.pop_front();
        outbox.writing = chunk.is_some();
        let (frames, bytes) = chunk.as_ref().map_or((0, 0), |chunk| (chunk.frames, chunk.bytes.len()));
        outbox.frames -= frames;
        outbox.bytes -= bytes;
        chunk
    }

    async fn write_chunk(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.socket.try_write(bytes) {
                Ok(sent) => bytes = &bytes[sent..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.socket.writable().await?,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Refuses forwarded bytes that are no command: once in the log they would stop every node.
fn check_forward(message: &Message) -> io::Result<()> {
    let Message::Forward(forward) = message else { return Ok(()) };
    for proposal in &forward.proposals {
        Envelope::decode(&proposal.payload).map_err(|error| {
            io::Error::new(io::ErrorKind::InvalidData, format!("closed for a command that is none: {error}"))
        })?;
    }
    Ok(())
}

/// Takes a whole frame, without its length, off `input`; none if more must come.
///
/// # Errors
/// The frame claims to be longer than `frame_bytes_max`.
pub(crate) fn split_frame(input: &mut BytesMut, frame_bytes_max: usize) -> io::Result<Option<BytesMut>> {
    let Some(length) = input.first_chunk::<4>() else { return Ok(None) };
    let length = u32::from_be_bytes(*length) as usize;
    if length > frame_bytes_max {
        let reason = format!("closed for a frame of {length} bytes, above the limit of {frame_bytes_max}");
        return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
    }
    if input.len() < 4 + length {
        return Ok(None);
    }
    input.advance(4);
    Ok(Some(input.split_to(length)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use zw_core::ids::ConnectionId;
    use zw_core::wire::admin::{Fault, FaultKind};

    #[test]
    fn frames_are_split_and_bounded() {
        let mut input = BytesMut::from(&[0, 0, 0, 2, 7, 8, 0, 0, 0, 1][..]);
        assert_eq!(split_frame(&mut input, 10).unwrap().unwrap(), [7, 8][..]);
        assert!(split_frame(&mut input, 10).unwrap().is_none());
        assert!(split_frame(&mut BytesMut::from(&[0, 0, 0, 11][..]), 10).is_err());
    }

    #[tokio::test]
    async fn a_lossy_link_is_late_and_keeps_the_order() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (_far, _) = listener.accept().await.unwrap();
        let (_reader, writer) = near.into_split();
        let link = Link::new(NodeId(2), LinkId(1), writer, 0);
        link.socket.writable().await.unwrap();
        let faults = Faults::default();
        let (kind, peer, ttl_ms) = (FaultKind::LoseLink, NodeId(2), 60_000);
        faults.set(Fault { kind, peer, delay_ms: 300, ttl_ms, with_connection: false }, ConnectionId(1));
        for number in 0..100 {
            link.send(&mut vec![number], 1, &faults);
        }
        let outbox = lock(&link.outbox);
        let waiting: Vec<u8> = outbox.chunks.iter().flat_map(|chunk| chunk.bytes.clone()).collect();
        let first = *waiting.first().expect("some are lost");
        assert_eq!(waiting, (first..100).collect::<Vec<u8>>(), "all behind the first that is lost wait, in order");
        let late = outbox.chunks.iter().filter(|chunk| chunk.due.is_some()).count();
        assert!((10..60).contains(&late), "{late} of 100 at 30 %");
    }

    #[tokio::test]
    async fn nothing_goes_out_behind_what_was_too_much() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut far, _) = listener.accept().await.unwrap();
        let (_reader, writer) = near.into_split();
        let link = Link::new(NodeId(2), LinkId(1), writer, 0);
        link.socket.writable().await.unwrap();
        let faults = Faults::default();
        let mut bytes = vec![1; 2 * PEER_OUTBOX_BYTES_MAX];
        link.send(&mut bytes, 1, &faults);
        assert!(bytes.is_empty() && link.closed.is_cancelled());
        // The socket takes bytes again.
        let drain = async {
            let mut taken = vec![0; 1 << 20];
            while let Ok(count @ 1..) = far.read(&mut taken).await {
                assert!(taken[..count].iter().all(|byte| *byte == 1), "a gap in the link");
            }
        };
        let send = async {
            link.socket.writable().await.unwrap();
            link.send(&mut vec![2; 10], 1, &faults);
            drop(link);
        };
        tokio::join!(drain, send);
    }
}
