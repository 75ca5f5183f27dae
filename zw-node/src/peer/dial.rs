//! Dialling the members with higher ids, again and again, and greeting those with lower ids that do not dial.

use super::link::split_frame;
use super::{Other, different_lists};
use crate::server::node::Node;
use bytes::BytesMut;
use std::io;
use std::sync::Arc;
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use zw_core::ensemble::{Address, Ensemble};
use zw_core::ids::{NodeId, Zxid};
use zw_core::limits::{
    CONNECT_TIMEOUT, HELLO_FRAME_BYTES_MAX, HELLO_TIMEOUT, INTRODUCTION_PAUSE, REDIAL_PAUSE_MAX, REDIAL_PAUSE_MIN,
};
use zw_core::wire::hello::{Greeting, Hello, PROTOCOL_VERSION, Purpose};

/// The greeting of a member to another.
pub(crate) fn hello(node: &Node, purpose: Purpose, zxid: Zxid) -> Greeting {
    Greeting::Hello(Hello {
        version: PROTOCOL_VERSION,
        purpose,
        node: node.config.me,
        ensemble: node.config.ensemble.to_string(),
        zxid,
    })
}

/// Keeps a link to `peer`; never returns.
pub(crate) async fn keep_connected(node: Arc<Node>, peer: NodeId) {
    let mut pause = REDIAL_PAUSE_MIN;
    loop {
        node.faults.wait_while(|faults| faults.blocks(peer)).await;
        match connect(&node, peer, Purpose::Peer).await {
            Ok((socket, input)) => {
                let since = Instant::now();
                tracing::debug!(%peer, "connected");
                node.peers.run(&node, peer, socket, input).await;
                if since.elapsed() > CONNECT_TIMEOUT {
                    pause = REDIAL_PAUSE_MIN;
                }
            }
            Err(error) => tracing::debug!(%peer, %error, "cannot connect"),
        }
        sleep(pause).await;
        pause = (pause * 2).min(REDIAL_PAUSE_MAX);
    }
}

/// Greets a member that should dial this one, again and again while it has not: if it was started with another list it
/// never will, and neither would know why. Never returns.
pub(crate) async fn keep_introduced(node: Arc<Node>, peer: NodeId) {
    loop {
        if node.peers.get(peer).link.is_none() && !node.faults.blocks(peer) {
            match connect(&node, peer, Purpose::Introduction).await {
                Ok(_) => node.peers.has_no_problem(peer),
                Err(error) => tracing::debug!(%peer, %error, "cannot introduce this node"),
            }
        }
        sleep(INTRODUCTION_PAUSE).await;
    }
}

/// Connects to `peer` and greets it; gives the socket and what came after the greeting.
async fn connect(node: &Node, peer: NodeId, purpose: Purpose) -> io::Result<(TcpStream, BytesMut)> {
    let address = node.config.dials(peer).expect("only members are dialled");
    let connect = TcpStream::connect((address.host(), address.port()));
    let mut socket = timeout(CONNECT_TIMEOUT, connect).await.map_err(|_| io::ErrorKind::TimedOut)??;
    socket.set_nodelay(true)?;
    let mut input = BytesMut::new();
    let greeting = timeout(HELLO_TIMEOUT, greet(node, purpose, &mut socket, &mut input));
    let problem = match greeting.await.map_err(|_| io::ErrorKind::TimedOut)?? {
        Greeting::Welcome(welcome) if welcome.node == peer => return Ok((socket, input)),
        Greeting::Welcome(welcome) => format!("{address} says it is node {}, not {peer}", welcome.node),
        Greeting::Refused(refused) => problem_of(node, &address.to_string(), refused.node, &refused.ensemble)
            .unwrap_or_else(|| format!("node {peer} at {address} refuses this one: {}", refused.reason)),
        Greeting::Hello(_) => format!("{address} does not speak this protocol"),
    };
    node.peers.has_problem(Other::Member(peer), &problem, node.clock.uptime_ms());
    Err(io::Error::other(problem))
}

/// What is wrong with a node that has the list `theirs`, if it is another one than this node's. `seen_at` is where it
/// was met, in case its own list does not say where it listens.
pub(crate) fn problem_of(node: &Node, seen_at: &str, id: NodeId, theirs: &str) -> Option<String> {
    let ours = node.config.ensemble.to_string();
    if theirs.is_empty() || theirs == ours {
        return None;
    }
    let Ok(list) = theirs.parse::<Ensemble>() else {
        return Some(format!("{seen_at} greets as a member of an ensemble whose list cannot be read"));
    };
    let address = list.address(id).map_or_else(|| seen_at.to_owned(), Address::to_string);
    Some(different_lists((&node.config.address.to_string(), &ours), (&address, theirs)))
}

/// Where the member `id` of `list` listens.
pub(crate) fn address_in(list: &str, id: NodeId) -> Option<Address> {
    list.parse::<Ensemble>().ok()?.address(id).cloned()
}

async fn greet(node: &Node, purpose: Purpose, socket: &mut TcpStream, input: &mut BytesMut) -> io::Result<Greeting> {
    let mut output = Vec::new();
    zw_core::wire::frame::append(&mut output, |out| hello(node, purpose, Zxid::ZERO).encode_frame(out));
    socket.write_all(&output).await?;
    loop {
        if let Some(frame) = split_frame(input, HELLO_FRAME_BYTES_MAX)? {
            return Greeting::decode_frame(&frame).map_err(io::Error::other);
        }
        if socket.read_buf(input).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}
