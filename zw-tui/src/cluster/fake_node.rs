//! A node of tests: it greets, and answers what it is asked as the test says. Its connections stay until the client goes.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use zw_core::ids::{Epoch, NodeId, Zxid};
use zw_core::wire::admin::{NodeRole, Status};
use zw_core::wire::client::{Answer, Operation, Request, Response};
use zw_core::wire::frame;
use zw_core::wire::hello::{Greeting, Welcome};

/// Runs one until the test ends; gives its address, and what it is asked.
pub(super) async fn start<F>(mut answers: F) -> (String, UnboundedReceiver<Operation>)
where
    F: FnMut(Operation) -> Vec<Answer> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (tell, asked) = unbounded_channel();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            // One after the other.
            let _ = serve(socket, &mut answers, &tell).await;
        }
    });
    (address, asked)
}

async fn serve<F>(mut socket: TcpStream, answers: &mut F, tell: &UnboundedSender<Operation>) -> std::io::Result<()>
where
    F: FnMut(Operation) -> Vec<Answer>,
{
    read(&mut socket).await?;
    let welcome = Greeting::Welcome(Welcome { node: NodeId(1), ensemble: String::new() });
    let mut out = Vec::new();
    frame::append(&mut out, |out| welcome.encode_frame(out));
    socket.write_all(&out).await?;
    loop {
        let Request { id, operation } = Request::decode_frame(&read(&mut socket).await?).unwrap();
        let _ = tell.send(operation.clone());
        let mut out = Vec::new();
        for answer in answers(operation) {
            frame::append(&mut out, |out| Response { id, zxid: Zxid::ZERO, answer }.encode_frame(out));
        }
        socket.write_all(&out).await?;
    }
}

async fn read(socket: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let length = socket.read_u32().await?;
    let mut bytes = vec![0; usize::try_from(length).unwrap()];
    socket.read_exact(&mut bytes).await?;
    Ok(bytes)
}

/// Of a node that has nothing.
pub(super) fn status(node: u16) -> Status {
    Status {
        node: NodeId(node),
        address: String::new(),
        ensemble: String::new(),
        role: NodeRole::Looking,
        epoch: Epoch(0),
        last_zxid: Zxid::ZERO,
        committed_zxid: Zxid::ZERO,
        applied_zxid: Zxid::ZERO,
        leader: NodeId(0),
        peers: Vec::new(),
        sessions: 0,
        watches: 0,
        connections: 0,
        znodes: 1,
        queue: 0,
        writes: 0,
        reads: 0,
        fsync_p99_us: 0,
        write_p99_us: 0,
        rss_bytes: 0,
        uptime_ms: 1_000,
        digest: 0,
        pid: 1,
        build: String::new(),
        disk_full: false,
        faults: Vec::new(),
        epoch_ends: Vec::new(),
    }
}
