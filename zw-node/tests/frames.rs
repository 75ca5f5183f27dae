//! Ten thousand random, truncated and lying frames to a node's port: each ends its own connection at most, with a
//! reason; the node goes on, and does not grow.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

// The ensemble of processes is shared with the tests of the ensemble, which use other parts of it.
#[allow(dead_code)]
#[path = "ensemble/harness.rs"]
mod harness;

use harness::{Ensemble, PATIENCE};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use zw_core::client::Connection;
use zw_core::ids::{NodeId, SessionId, Zxid};
use zw_core::limits::{CLIENT_FRAME_BYTES_MAX, PEER_FRAME_BYTES_MAX, STRANGERS_MAX};
use zw_core::tree::command::{Acl, Check, Command, Create, CreateMode, Multi, SetData};
use zw_core::wire::client::{Children, Connect, Operation, Ping, Read, Request, SetWatches};
use zw_core::wire::frame;
use zw_core::wire::hello::{Greeting, Hello, PROTOCOL_VERSION, Purpose};

const FRAMES: u64 = 10_000;
/// Connections at a time.
const TOGETHER: u64 = 40;
/// What a node's memory may grow by between the first thousand frames and the last: its allocator keeps some.
const GROWTH_BYTES_MAX: u64 = 48 << 20;

/// Numbers that a failing test can have again (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }

    fn bytes(&mut self, length_max: usize) -> Vec<u8> {
        (0..self.below(length_max)).map(|_| self.next().to_le_bytes()[0]).collect()
    }
}

fn framed(encode: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    frame::append(&mut out, encode);
    out
}

fn hello(purpose: Purpose, ensemble: &str) -> Vec<u8> {
    let hello = Hello {
        version: PROTOCOL_VERSION,
        purpose,
        node: NodeId(1),
        ensemble: ensemble.to_owned(),
        zxid: Zxid::new(zw_core::ids::Epoch(1), 1),
    };
    framed(|out| Greeting::Hello(hello).encode_frame(out))
}

/// Requests that a node would answer.
fn requests() -> Vec<Vec<u8>> {
    let path = || "/frames".to_owned();
    let create =
        Create { path: path(), data: vec![7; 100].into(), acl: Acl::open(), mode: CreateMode::Persistent, ttl_ms: 0 };
    let check = || Command::Check(Check { path: path(), version: 0 });
    let set = SetWatches {
        seen: Zxid::ZERO,
        data: vec![path(); 5],
        exists: vec![path()],
        children: vec![],
        persistent: vec![path()],
        recursive: vec!["/".into()],
    };
    let connect = Connect { session: SessionId(7), secret: vec![1; 16].into(), timeout_ms: 9, last_zxid: Zxid::ZERO };
    let operations = [
        Operation::Connect(connect),
        Operation::Ping(Ping),
        Operation::Write(Command::Create(create)),
        Operation::Write(Command::Multi(Multi { operations: (0..50).map(|_| check()).collect() })),
        Operation::Write(Command::SetData(SetData { path: path(), data: vec![1; 1000].into(), version: 3 })),
        Operation::Get(Read { path: path(), watch: true }),
        Operation::Children(Children { path: path(), watch: true, after: String::new(), limit: 0, with_stat: true }),
        Operation::SetWatches(set),
        Operation::Sessions(Ping),
        Operation::Status(Ping),
    ];
    operations.into_iter().map(|operation| framed(|out| Request { id: 1, operation }.encode_frame(out))).collect()
}

/// One sequence of bytes that a node must survive.
fn attack(random: &mut Random, ensemble: &str) -> Vec<u8> {
    let requests = requests();
    let some = requests[random.below(requests.len())].clone();
    let client = hello(Purpose::Client, "");
    let purpose = [Purpose::Peer, Purpose::Snapshot][random.below(2)];
    let member = hello(purpose, ensemble);
    match random.below(12) {
        0 => random.bytes(400),
        // A greeting that is cut, or changed in one byte.
        1 => client[..random.below(client.len())].to_vec(),
        2 => changed(client, random),
        3 => changed(member, random),
        // Anything in a frame after a good greeting.
        4 => [client, framed(|out| out.extend(random.bytes(300)))].concat(),
        // A request that is cut, or changed.
        5 => [client, some[..random.below(some.len())].to_vec()].concat(),
        6 => [client, changed(some, random)].concat(),
        // Lengths that lie: of the frame, and inside of it.
        7 => {
            let limits = [CLIENT_FRAME_BYTES_MAX, PEER_FRAME_BYTES_MAX, usize::try_from(u32::MAX).unwrap()];
            let length = u32::try_from(limits[random.below(3)]).unwrap().to_be_bytes();
            [client, length.to_vec(), random.bytes(100)].concat()
        }
        8 => {
            // An array, a text or bytes of almost 4 GiB.
            let huge = [[0xdd, 0xff, 0xff, 0xff, 0xff], [0xdb, 0xff, 0xff, 0xff, 0xff], [0xc6, 0xff, 0xff, 0xff, 0xff]];
            let kind = u8::try_from(random.below(30)).unwrap();
            let body = [&[kind, 1, 0x92, 1][..], &[0x95; 3][..random.below(3)], &huge[random.below(3)]].concat();
            [client, framed(|out| out.extend(body))].concat()
        }
        9 => [client, framed(|out| out.extend([&[3, 1, 0x92, 1][..], &[0x92, 9, 0x91, 0x91].repeat(5_000)].concat()))]
            .concat(),
        // A member that speaks nonsense.
        10 => [member, framed(|out| out.extend(random.bytes(200)))].concat(),
        // Other protocols, badly.
        _ => {
            let starts = [
                &b"GET /"[..],
                b"POST /status HTTP/1.1\r\ncontent-length: 999999999999\r\n",
                b"ruok",
                b"\0\0\0\x2c\0\0\0\0",
            ];
            [starts[random.below(4)].to_vec(), random.bytes(300)].concat()
        }
    }
}

fn changed(mut bytes: Vec<u8>, random: &mut Random) -> Vec<u8> {
    for _ in 0..=random.below(3) {
        let at = random.below(bytes.len());
        bytes[at] = random.next().to_le_bytes()[0];
    }
    bytes
}

/// Sends the bytes and the end of the stream, and waits until the node has closed the connection too.
async fn deliver(address: String, bytes: Vec<u8>) {
    let mut socket = TcpStream::connect(&address).await.unwrap();
    // The node may close before it has read everything: that is its right.
    let _ = socket.write_all(&bytes).await;
    let _ = socket.shutdown().await;
    let mut answer = Vec::new();
    let closed = tokio::time::timeout(PATIENCE, socket.read_to_end(&mut answer)).await;
    assert!(closed.is_ok(), "the node holds the connection open after {bytes:02x?}");
}

#[tokio::test]
async fn ten_thousand_wrong_frames_do_a_node_no_harm() {
    // One of three members, without the others: what claims to come from a peer is taken for one.
    let mut ensemble = Ensemble::new(3, &[]);
    ensemble.start_node(2);
    let address = ensemble.addresses[2].clone();
    let before = ensemble.wait_for("an answer", async |ensemble: &Ensemble| ensemble.status(2).await).await;
    let list = before.ensemble.clone();
    let mut random = Random(20_261_120);
    let mut early = before.clone();
    for round in 0..FRAMES / TOGETHER {
        let attacks: Vec<_> = (0..TOGETHER).map(|_| deliver(address.clone(), attack(&mut random, &list))).collect();
        futures_util::future::join_all(attacks).await;
        if round == FRAMES / TOGETHER / 10 {
            early = ensemble.status(2).await.unwrap_or_else(|| panic!("no answer\n{}", ensemble.logs()));
        }
    }
    let after = ensemble.status(2).await.unwrap_or_else(|| panic!("no answer\n{}", ensemble.logs()));
    assert_eq!(after.pid, before.pid, "the same process");
    assert!(after.uptime_ms > before.uptime_ms);
    let grown = after.rss_bytes.saturating_sub(early.rss_bytes);
    assert!(grown < GROWTH_BYTES_MAX, "memory grew from {} by {grown} bytes", early.rss_bytes);
    assert!(after.connections <= 2, "{} connections are left", after.connections);
    assert_eq!(after.watches, 0, "watches went with their connections");
    assert_eq!(after.last_zxid, before.last_zxid, "nothing was written");
    let log = std::fs::read_to_string(ensemble.data(2).with_file_name("log-2")).unwrap();
    assert!(!log.contains("panicked"), "{}", ensemble.logs());
    // Two other members and as many strangers as are remembered, each at most once a second.
    let complaints = log.lines().filter(|line| line.contains("ERROR")).count() as u64;
    assert!(
        complaints <= (2 + STRANGERS_MAX as u64) * (after.uptime_ms / 1_000 + 2),
        "{complaints} complaints\n{}",
        ensemble.logs()
    );
    // The first within each second, whichever that is, and each that ends a link.
    let told = ["connection refused: ", "closed for what it sent: "].into_iter().all(|reason| log.contains(reason));
    assert!(told, "the log gives a reason once a second, and at the end of each link\n{}", ensemble.logs());
}

#[tokio::test]
async fn a_wrong_greeting_is_answered_with_the_reason() {
    let ensemble = Ensemble::start(1, &[]).await;
    let wrong = Hello {
        version: PROTOCOL_VERSION + 1,
        purpose: Purpose::Client,
        node: NodeId(0),
        ensemble: String::new(),
        zxid: Zxid::ZERO,
    };
    let bytes = framed(|out| Greeting::Hello(wrong).encode_frame(out));
    let mut socket = TcpStream::connect(&ensemble.addresses[0]).await.unwrap();
    socket.write_all(&bytes).await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(PATIENCE, socket.read_to_end(&mut answer)).await.unwrap().unwrap();
    let Ok(Greeting::Refused(refused)) = Greeting::decode_frame(&answer[frame::LENGTH_BYTES..]) else {
        panic!("not a refusal: {answer:02x?}");
    };
    assert!(refused.reason.contains("version"), "{}", refused.reason);
    let mut good = Connection::open(&ensemble.addresses[0], Duration::from_secs(10)).await.unwrap();
    assert_eq!(good.status().await.unwrap().node, NodeId(1));
}
