//! Dialling the members with higher ids, again and again.

use super::link::split_frame;
use crate::server::node::Node;
use bytes::BytesMut;
use std::io;
use std::sync::Arc;
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use zw_core::ids::{NodeId, Zxid};
use zw_core::limits::{CONNECT_TIMEOUT, HELLO_FRAME_BYTES_MAX, HELLO_TIMEOUT, REDIAL_PAUSE_MAX, REDIAL_PAUSE_MIN};
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
        match dial(&node, peer).await {
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

async fn dial(node: &Node, peer: NodeId) -> io::Result<(TcpStream, BytesMut)> {
    let address = node.config.ensemble.address(peer).expect("only members are dialled");
    let connect = TcpStream::connect((address.host(), address.port()));
    let mut socket = timeout(CONNECT_TIMEOUT, connect).await.map_err(|_| io::ErrorKind::TimedOut)??;
    socket.set_nodelay(true)?;
    let mut input = BytesMut::new();
    let greeting = timeout(HELLO_TIMEOUT, greet(node, &mut socket, &mut input));
    let problem = match greeting.await.map_err(|_| io::ErrorKind::TimedOut)?? {
        Greeting::Welcome(welcome) if welcome.node == peer => return Ok((socket, input)),
        Greeting::Welcome(welcome) => format!("{address} says it is node {}, not {peer}", welcome.node),
        Greeting::Refused(refused) => format!("node {peer} at {address} refuses this one: {}", refused.reason),
        Greeting::Hello(_) => format!("{address} does not speak this protocol"),
    };
    if node.peers.has_problem(peer, &problem) {
        tracing::error!("{problem}");
    }
    Err(io::Error::other(problem))
}

async fn greet(node: &Node, socket: &mut TcpStream, input: &mut BytesMut) -> io::Result<Greeting> {
    let mut output = Vec::new();
    zw_core::wire::frame::append(&mut output, |out| hello(node, Purpose::Peer, Zxid::ZERO).encode_frame(out));
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
