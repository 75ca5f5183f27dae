//! The one port: what a new connection speaks, and who goes on with it.
//!
//! ```text
//! first bytes                      speaks                 goes to
//! length, 0x5a                     ours: the greeting     peer link, snapshot transfer, or client connection
//! "GET ", "HEAD", "POST", ...      HTTP/1.1               http
//! length, four zero bytes          ZooKeeper's clients    refused with a logged reason
//! four letters                     ZooKeeper's words      refused with a logged reason
//! anything else                    nothing we know        closed with a logged reason
//! ```
//!
//! Whatever comes, it ends this connection at most, never the process.

mod admin;
pub(crate) mod client;
pub(crate) mod mailbox;
mod read;
mod write;

use crate::http;
use crate::peer::dial::{address_in, problem_of};
use crate::peer::link::split_frame;
use crate::peer::{Other, bulk};
use crate::server::node::Node;
use bytes::BytesMut;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use zw_core::limits::{ENSEMBLE_TEXT_BYTES_MAX, HELLO_FRAME_BYTES_MAX, HELLO_TIMEOUT};
use zw_core::wire::frame;
use zw_core::wire::hello::{Greeting, Hello, PROTOCOL_VERSION, Purpose, Refused, Welcome};

/// Kind of the greeting, at the fifth byte of a connection that speaks our protocol.
const HELLO_KIND: u8 = 0x5a;
/// Pause after the system gave no connection: it is out of file descriptors, most likely.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What the first bytes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Speaks {
    Ours,
    Http,
    ZooKeeper,
    FourLetterWord,
    Unknown,
}

/// Takes connections; never returns.
pub(crate) async fn accept(node: Arc<Node>, listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((socket, from)) => {
                let Ok(place) = node.sockets.clone().try_acquire_owned() else {
                    node.log_refused(from, &refused("there are too many connections"));
                    continue;
                };
                let node = node.clone();
                tokio::spawn(async move {
                    let _place = place;
                    if let Err(error) = begin(&node, socket, from).await {
                        node.log_refused(from, &error);
                    }
                });
            }
            Err(error) => {
                tracing::error!(%error, "no connection can be taken");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

impl Node {
    /// Logs why a connection was closed, at most once a second: whoever sends garbage must not fill the disk with it.
    fn log_refused(&self, from: std::net::SocketAddr, error: &io::Error) {
        static LAST_S: AtomicU64 = AtomicU64::new(0);
        self.metrics.connections_refused.add(1);
        let now_s = self.clock.uptime().as_secs() + 1;
        if LAST_S.swap(now_s, Ordering::Relaxed) != now_s {
            let so_far = self.metrics.connections_refused.get();
            tracing::warn!(%from, so_far, "connection refused: {error}");
        }
    }
}

/// Reads the first bytes and hands the connection on.
async fn begin(node: &Arc<Node>, mut socket: TcpStream, from: std::net::SocketAddr) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let mut input = BytesMut::with_capacity(1 << 10);
    let speaks = timeout(HELLO_TIMEOUT, sniff(&mut socket, &mut input));
    match speaks.await.map_err(|_| refused("it says nothing"))?? {
        None => Ok(()),
        Some(Speaks::Ours) => greet(node, socket, from, input).await,
        Some(Speaks::Http) => http::serve(node.clone(), socket, input).await,
        Some(Speaks::ZooKeeper) => Err(refused("ZooKeeper's client protocol is not spoken here")),
        Some(Speaks::FourLetterWord) => Err(refused("ZooKeeper's four-letter words are not spoken here")),
        Some(Speaks::Unknown) => {
            let first = &input[..input.len().min(8)];
            Err(refused(format!("it speaks neither our protocol nor HTTP, first bytes {first:02x?}")))
        }
    }
}

fn refused(reason: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason.into())
}

/// Reads until it is clear what the connection speaks; none if it ends without a word.
async fn sniff(socket: &mut TcpStream, input: &mut BytesMut) -> io::Result<Option<Speaks>> {
    loop {
        if let Some(speaks) = classify(input) {
            return Ok(Some(speaks));
        }
        if socket.read_buf(input).await? == 0 {
            return if input.is_empty() { Ok(None) } else { Err(refused("it ended within its first bytes")) };
        }
    }
}

/// What these first bytes say; none if more are needed.
fn classify(first: &[u8]) -> Option<Speaks> {
    let word = first.first_chunk::<4>()?;
    if [*b"GET ", *b"HEAD", *b"POST", *b"PUT ", *b"DELE", *b"OPTI", *b"PATC"].contains(word) {
        return Some(Speaks::Http);
    }
    if word.iter().all(u8::is_ascii_lowercase) {
        return Some(Speaks::FourLetterWord);
    }
    if u32::from_be_bytes(*word) as usize > HELLO_FRAME_BYTES_MAX {
        return Some(Speaks::Unknown);
    }
    match first.get(4)? {
        &HELLO_KIND => Some(Speaks::Ours),
        0 => first.get(4..8).map(|version| if version == [0; 4] { Speaks::ZooKeeper } else { Speaks::Unknown }),
        _ => Some(Speaks::Unknown),
    }
}

/// Reads the greeting and answers it.
async fn greet(
    node: &Arc<Node>,
    mut socket: TcpStream,
    from: std::net::SocketAddr,
    mut input: BytesMut,
) -> io::Result<()> {
    let hello = match timeout(HELLO_TIMEOUT, read_hello(&mut socket, &mut input)).await {
        Ok(hello) => hello?,
        Err(_) => return Err(refused("its greeting does not end")),
    };
    if let Err(reason) = check(node, &hello, from) {
        send(&mut socket, &refusal(node, reason.clone())).await?;
        if hello.purpose == Purpose::Client {
            return Err(refused(reason));
        }
        node.peers.has_problem(sender(node, &hello, from), &reason, node.clock.uptime_ms());
        return Ok(());
    }
    let welcome = Greeting::Welcome(Welcome { node: node.config.me, ensemble: node.config.ensemble.to_string() });
    match hello.purpose {
        Purpose::Peer => {
            if node.faults.blocks(hello.node) {
                return Ok(());
            }
            send(&mut socket, &welcome).await?;
            node.peers.run(node, hello.node, socket, input).await;
            Ok(())
        }
        Purpose::Introduction => send(&mut socket, &welcome).await,
        Purpose::Snapshot => bulk::serve(node, socket, &hello, welcome).await,
        Purpose::Client => {
            let Some(mailbox) = node.clients.enter() else {
                let reason = "this node has as many clients as it may have; try another one".to_owned();
                send(&mut socket, &refusal(node, reason.clone())).await?;
                return Err(refused(reason));
            };
            node.metrics.connections_taken.add(1);
            client::serve(node.clone(), socket, input, mailbox, &welcome).await
        }
    }
}

async fn read_hello(socket: &mut TcpStream, input: &mut BytesMut) -> io::Result<Hello> {
    loop {
        if let Some(frame) = split_frame(input, HELLO_FRAME_BYTES_MAX)? {
            return match Greeting::decode_frame(&frame) {
                Ok(Greeting::Hello(hello)) => Ok(hello),
                Ok(_) => Err(refused("it answers a greeting that nobody sent")),
                Err(error) => Err(refused(format!("its greeting cannot be read: {error}"))),
            };
        }
        if socket.read_buf(input).await? == 0 {
            return Err(refused("it ended within its greeting"));
        }
    }
}

/// Whether to go on with whom the greeting names; if not, why.
fn check(node: &Node, hello: &Hello, from: std::net::SocketAddr) -> Result<(), String> {
    let config = &node.config;
    if hello.version != PROTOCOL_VERSION {
        let theirs = hello.version;
        return Err(format!("protocol version {theirs}, but this node speaks version {PROTOCOL_VERSION}"));
    }
    if hello.purpose == Purpose::Client {
        return Ok(());
    }
    if let Some(problem) = problem_of(node, &from.ip().to_string(), hello.node, &hello.ensemble) {
        return Err(problem);
    }
    if hello.ensemble.is_empty() || !config.ensemble.contains(hello.node) || hello.node == config.me {
        return Err(format!("node {} greets node {} of {}", hello.node, config.me, config.ensemble));
    }
    if hello.purpose == Purpose::Peer && hello.node > config.me {
        return Err(format!("node {} dials node {}, but the lower id dials the higher", hello.node, config.me));
    }
    Ok(())
}

/// Whom a greeting comes from, by the address that its list gives: its number may be another one in this node's list.
fn sender(node: &Node, hello: &Hello, from: std::net::SocketAddr) -> Other {
    let Some(address) = address_in(&hello.ensemble, hello.node) else { return Other::Stranger(from.ip().to_string()) };
    match node.config.ensemble.id_of(&address).filter(|id| *id != node.config.me) {
        Some(peer) => Other::Member(peer),
        None => Other::Stranger(address.to_string()),
    }
}

/// The greeting that refuses.
pub(crate) fn refusal(node: &Node, reason: String) -> Greeting {
    let ensemble = node.config.ensemble.to_string();
    // Both must fit the frame; who has another list is told with the reason.
    let ensemble = if ensemble.len() > ENSEMBLE_TEXT_BYTES_MAX / 2 { String::new() } else { ensemble };
    Greeting::Refused(Refused { reason, node: node.config.me, ensemble })
}

/// Sends one greeting.
pub(crate) async fn send(socket: &mut TcpStream, greeting: &Greeting) -> io::Result<()> {
    let mut output = Vec::new();
    frame::append(&mut output, |out| greeting.encode_frame(out));
    socket.write_all(&output).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_tell_the_protocols_apart() {
        for (first, speaks) in [
            (&b"GET / HTTP/1.1"[..], Some(Speaks::Http)),
            (b"ruok", Some(Speaks::FourLetterWord)),
            (&[0, 0, 0, 44, 0, 0, 0, 0], Some(Speaks::ZooKeeper)),
            (&[0, 0, 0, 44, HELLO_KIND], Some(Speaks::Ours)),
            (&[0, 0, 0, 44, 0, 0, 1, 0], Some(Speaks::Unknown)),
            (&[0, 0, 0, 44, 1], Some(Speaks::Unknown)),
            (&[0x16, 3, 1, 2, 0], Some(Speaks::Unknown)),
            (&[0xff; 5], Some(Speaks::Unknown)),
            (&[0, 0, 0], None),
            (&[0, 0, 0, 44], None),
            (&[0, 0, 0, 44, 0, 0], None),
            (b"", None),
        ] {
            assert_eq!(classify(first), speaks, "{first:?}");
        }
    }
}
