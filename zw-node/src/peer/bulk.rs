//! The transfer of a snapshot, on a connection of its own so that heartbeats never queue behind it (rule S6).
//!
//! Each transfer has a thread: it is rare, long, and all of it is waiting for a disk and a socket.
//!
//! Invariants:
//! - What arrives is checked piece by piece, then as a whole against its digest, and is durable before the core
//!   hears of it. A transfer that fails leaves the old log and the old tree.
//! - A node sends at most [`SNAPSHOT_TRANSFERS_MAX`] at once and fetches one (see `server::fetches`).
//! - Bytes on their way are bounded by a chunk, or a large znode, on both sides. The sender holds a clone of its tree,
//!   which shares all that does not change meanwhile; the receiver decodes as it receives, so that it holds the new tree
//!   beside the old one until it takes its place: up to twice the tree.

use super::dial::hello;
use crate::connection::{refusal, send};
use crate::server::fetches::{GivenUp, Wish};
use crate::server::inbox::CoreInput;
use crate::server::locks::read;
use crate::server::node::Node;
use crate::snapshots::SnapshotStore;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use zw_core::ids::{NodeId, Zxid};
use zw_core::limits::{
    CONNECT_TIMEOUT, ENSEMBLE_TEXT_BYTES_MAX, PEER_FRAME_BYTES_MAX, SNAPSHOT_CHUNK_BYTES, SNAPSHOT_TRANSFERS_MAX,
    TRANSFER_TIMEOUT,
};
use zw_core::log::record::SnapshotId;
use zw_core::tree::{Tree, snapshot};
use zw_core::wire::frame;
use zw_core::wire::hello::{Greeting, Hello, Purpose, SnapshotChunk, SnapshotFrame};

/// Holds one of the places for transfers.
struct Place(Arc<Node>);

impl Place {
    fn take(node: &Arc<Node>) -> Option<Place> {
        let place = Place(node.clone());
        let taken = node.transfers.fetch_add(1, Ordering::AcqRel);
        (taken < SNAPSHOT_TRANSFERS_MAX).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.transfers.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Answers a member's wish for a snapshot.
pub(crate) async fn serve(
    node: &Arc<Node>,
    mut socket: tokio::net::TcpStream,
    hello: &Hello,
    welcome: Greeting,
) -> io::Result<()> {
    if node.faults.blocks(hello.node) {
        return Ok(());
    }
    let applied = read(&node.tree).applied();
    let place = Place::take(node);
    let reason = match &place {
        None => format!("this node sends {SNAPSHOT_TRANSFERS_MAX} snapshots already; ask again in a moment"),
        Some(_) if applied < hello.zxid => format!("this node has applied {applied}, which is before {}", hello.zxid),
        Some(_) => String::new(),
    };
    if !reason.is_empty() {
        return send(&mut socket, &refusal(node, reason)).await;
    }
    send(&mut socket, &welcome).await?;
    let socket = socket.into_std()?;
    socket.set_nonblocking(false)?;
    socket.set_write_timeout(Some(TRANSFER_TIMEOUT))?;
    let (node, peer) = (node.clone(), hello.node);
    std::thread::Builder::new().name("send-snapshot".into()).spawn(move || {
        let _place = place;
        match send_tree(&node, socket, peer) {
            Ok(snapshot) => tracing::info!(%peer, zxid = %snapshot.zxid, "snapshot sent"),
            Err(error) => tracing::warn!(%peer, %error, "the transfer of a snapshot failed"),
        }
    })?;
    Ok(())
}

fn send_tree(node: &Node, mut socket: TcpStream, peer: NodeId) -> io::Result<SnapshotId> {
    let tree = read(&node.tree).clone();
    let id = SnapshotId { zxid: tree.applied(), digest: tree.digest() };
    let mut output = Vec::new();
    let mut write = |frame: SnapshotFrame| {
        output.clear();
        frame::append(&mut output, |out| frame.encode_frame(out));
        socket.write_all(&output)
    };
    write(SnapshotFrame::Begin(id))?;
    let mut offset = 0;
    for piece in snapshot::encode(tree) {
        if node.faults.blocks(peer) || node.stopping.is_cancelled() {
            return Err(io::Error::other("the link is cut, or this node stops"));
        }
        for bytes in piece.chunks(SNAPSHOT_CHUNK_BYTES) {
            let bytes = piece.slice_ref(bytes);
            let length = bytes.len() as u64;
            let crc = crc32fast::hash(&bytes);
            write(SnapshotFrame::Chunk(SnapshotChunk { offset, bytes, crc }))?;
            offset += length;
        }
    }
    write(SnapshotFrame::End(offset))?;
    Ok(id)
}

/// Fetches a snapshot as wished, until that is given up, and tells the core how it went.
pub(crate) fn fetch_in_background(node: &Arc<Node>, store: Arc<SnapshotStore>, wish: Wish, given_up: Arc<GivenUp>) {
    let Wish { fetch: id, peer, .. } = wish;
    let fetching = node.clone();
    let work = move || {
        let received = match fetch(&fetching, &store, wish, &given_up) {
            Ok((snapshot, tree)) => Some((snapshot, Box::new(tree))),
            Err(_) if given_up.is_given_up() => {
                tracing::info!(%peer, "a snapshot that is not wanted any more was not fetched to its end");
                None
            }
            Err(error) => {
                tracing::warn!(%peer, error, "no snapshot received");
                None
            }
        };
        fetching.inbox.push(CoreInput::Fetched(id, received));
    };
    if let Err(error) = std::thread::Builder::new().name("fetch-snapshot".into()).spawn(work) {
        tracing::error!(%error, "no thread to fetch a snapshot");
        node.inbox.push(CoreInput::Fetched(id, None));
    }
}

fn fetch(node: &Node, store: &SnapshotStore, wish: Wish, given_up: &GivenUp) -> Result<(SnapshotId, Tree), String> {
    let Wish { peer, zxid, .. } = wish;
    if node.faults.blocks(peer) {
        return Err("the link is cut".to_owned());
    }
    let mut socket = dial(node, peer, zxid, given_up).map_err(|error| error.to_string())?;
    let SnapshotFrame::Begin(id) = read_frame(&mut socket)? else {
        return Err("the transfer does not begin with the snapshot's name".to_owned());
    };
    let mut writer = store.receive().map_err(|error| error.to_string())?;
    let mut received = 0;
    loop {
        if node.faults.blocks(peer) {
            return Err("the link is cut".to_owned());
        }
        match read_frame(&mut socket)? {
            SnapshotFrame::Chunk(chunk) => {
                if chunk.offset != received || chunk.crc != crc32fast::hash(&chunk.bytes) {
                    return Err(format!("the chunk at {received} was damaged on the way"));
                }
                received += chunk.bytes.len() as u64;
                writer.push(&chunk.bytes).map_err(|error| error.to_string())?;
            }
            SnapshotFrame::End(length) if length == received => break,
            SnapshotFrame::End(length) => return Err(format!("{received} of {length} bytes came")),
            SnapshotFrame::Begin(_) => return Err("the transfer begins twice".to_owned()),
        }
    }
    let (found, tree) = writer.finish().map_err(|error| error.to_string())?;
    if found != id {
        return Err(format!("the snapshot is {found:?}, not {id:?}"));
    }
    Ok((found, tree))
}

fn dial(node: &Node, peer: NodeId, zxid: Zxid, given_up: &GivenUp) -> io::Result<TcpStream> {
    let address = node.config.dials(peer).ok_or_else(|| io::Error::other("not a member"))?;
    let mut last = io::Error::other("the address has no host");
    for address in (address.host(), address.port()).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
            Ok(mut socket) => {
                socket.set_read_timeout(Some(TRANSFER_TIMEOUT))?;
                socket.set_write_timeout(Some(TRANSFER_TIMEOUT))?;
                if !given_up.goes_on(socket.try_clone()?) {
                    return Err(io::Error::other("it was given up"));
                }
                let mut output = Vec::new();
                frame::append(&mut output, |out| hello(node, Purpose::Snapshot, zxid).encode_frame(out));
                socket.write_all(&output)?;
                let answer = read_bytes(&mut socket, 4 * ENSEMBLE_TEXT_BYTES_MAX)?;
                return match Greeting::decode_frame(&answer).map_err(io::Error::other)? {
                    Greeting::Welcome(_) => Ok(socket),
                    Greeting::Refused(refused) => Err(io::Error::other(refused.reason)),
                    Greeting::Hello(_) => Err(io::Error::other("it greets instead of answering")),
                };
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn read_frame(socket: &mut TcpStream) -> Result<SnapshotFrame, String> {
    let frame = read_bytes(socket, PEER_FRAME_BYTES_MAX).map_err(|error| error.to_string())?;
    SnapshotFrame::decode_frame(&frame).map_err(|error| error.to_string())
}

fn read_bytes(socket: &mut TcpStream, bytes_max: usize) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    socket.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length) as usize;
    if length > bytes_max {
        return Err(io::Error::other(format!("a frame of {length} bytes, above the limit of {bytes_max}")));
    }
    let mut frame = vec![0; length];
    socket.read_exact(&mut frame)?;
    Ok(frame)
}
