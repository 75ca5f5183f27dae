//! A server that does what the test says, frame by frame, over loopback.

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::codec::{Framed, LengthDelimitedCodec};
use zw_core::client::{Client, ClientOptions};
use zw_core::ids::{Epoch, NodeId, SessionId, Zxid};
use zw_core::limits::CLIENT_FRAME_BYTES_MAX;
use zw_core::tree::command::{EventKind, Stat, TreeEvent};
use zw_core::wire::client::{
    Answer, Connect, Connected, Data, ErrorCode, ErrorReply, Operation, Ping, Request, Response,
};
use zw_core::wire::frame;
use zw_core::wire::hello::{Greeting, Purpose, Refused, Welcome};

/// Longer than any wait that a healthy test needs.
const DEADLINE: Duration = Duration::from_secs(20);

/// The outcome of `future`, which must come in time.
pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.expect("this did not happen within the deadline")
}

pub(crate) fn zxid(counter: u64) -> Zxid {
    Zxid::new(Epoch(1), counter)
}

/// The answer to a Get.
pub(crate) fn data(text: &str) -> Answer {
    Answer::Data(Data { data: Bytes::copy_from_slice(text.as_bytes()), stat: Stat::default() })
}

pub(crate) fn refusal(code: ErrorCode) -> Answer {
    Answer::Error(ErrorReply { code, message: format!("{code:?} by script") })
}

pub(crate) fn changed(path: &str, counter: u64) -> TreeEvent {
    TreeEvent { kind: EventKind::DataChanged, path: path.to_owned(), zxid: zxid(counter) }
}

/// A port that answers nothing.
pub(crate) async fn closed_port() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().to_string()
}

/// Where clients of the test connect.
pub(crate) struct Server {
    listener: TcpListener,
    pub(crate) address: String,
}

/// The server's end of one connection.
pub(crate) struct Peer {
    socket: Framed<TcpStream, LengthDelimitedCodec>,
}

impl Server {
    pub(crate) async fn start() -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        Server { listener, address }
    }

    /// Takes a connection and reads its hello.
    async fn greet(&self) -> Peer {
        let (socket, _) = within(self.listener.accept()).await.unwrap();
        let mut peer = Peer { socket: frame::framed(socket, CLIENT_FRAME_BYTES_MAX, 1024) };
        let hello = within(peer.socket.next()).await.unwrap().unwrap();
        let Greeting::Hello(hello) = Greeting::decode_frame(&hello).unwrap() else { panic!("no hello") };
        assert_eq!(hello.purpose, Purpose::Client);
        peer
    }

    pub(crate) async fn accept(&self) -> Peer {
        let mut peer = self.greet().await;
        let welcome = Welcome { node: NodeId(1), ensemble: self.address.clone() };
        peer.greeting(Greeting::Welcome(welcome)).await;
        peer
    }

    pub(crate) async fn refuse(&self, reason: &str) {
        let mut peer = self.greet().await;
        peer.greeting(Greeting::Refused(Refused {
            reason: reason.to_owned(),
            node: NodeId(1),
            ensemble: String::new(),
        }))
        .await;
    }

    /// Takes a connection and its session.
    pub(crate) async fn accept_session(&self, session: u64, timeout: Duration) -> (Peer, Connect) {
        let mut peer = self.accept().await;
        let Request { id, operation: Operation::Connect(connect) } = peer.next().await else { panic!("no Connect") };
        let timeout_ms = u32::try_from(timeout.as_millis()).unwrap();
        let session = SessionId(session);
        let secret = Bytes::from_static(b"the secret");
        peer.answer(id, zxid(0), Answer::Connected(Connected { session, secret, timeout_ms })).await;
        (peer, connect)
    }
}

impl Peer {
    async fn greeting(&mut self, greeting: Greeting) {
        self.socket.send(frame::encode(|out| greeting.encode_frame(out))).await.unwrap();
    }

    /// The next request, signs of life included.
    pub(crate) async fn next(&mut self) -> Request {
        let bytes = within(self.socket.next()).await.expect("the client closed the connection").unwrap();
        Request::decode_frame(&bytes).unwrap()
    }

    /// The next request; signs of life are answered here.
    pub(crate) async fn request(&mut self) -> Request {
        loop {
            let request = self.next().await;
            if request.operation != Operation::Ping(Ping) {
                return request;
            }
            self.answer(request.id, zxid(0), Answer::Done(Ping)).await;
        }
    }

    /// The next request must be this Get; gives its number.
    pub(crate) async fn get(&mut self, path: &str) -> u32 {
        match self.request().await {
            Request { id, operation: Operation::Get(read) } if read.path == path => id,
            other => panic!("not a Get of {path}: {other:?}"),
        }
    }

    pub(crate) async fn answer(&mut self, id: u32, zxid: Zxid, answer: Answer) {
        let response = Response { id, zxid, answer };
        self.socket.send(frame::encode(|out| response.encode_frame(out))).await.unwrap();
    }

    pub(crate) async fn event(&mut self, event: TreeEvent) {
        self.answer(0, event.zxid, Answer::Event(event)).await;
    }

    /// Bytes that need not be a frame.
    pub(crate) async fn raw(&mut self, bytes: &[u8]) {
        self.socket.get_mut().write_all(bytes).await.unwrap();
    }

    /// The client must close the connection; what it still sends does not matter.
    pub(crate) async fn closed(mut self) {
        while let Some(Ok(_)) = within(self.socket.next()).await {}
    }
}

/// Connects a client without a session to `servers`, the first of them preferred.
pub(crate) async fn connect(servers: &[&Server]) -> (Client, Peer) {
    let options = options(servers);
    let (client, peer) = tokio::join!(Client::connect(options), servers[0].accept());
    (client.unwrap(), peer)
}

pub(crate) fn options(servers: &[&Server]) -> ClientOptions {
    let mut options = ClientOptions::to(servers.iter().map(|server| server.address.clone()));
    options.prefer = Some(servers[0].address.clone());
    options.request_timeout = DEADLINE;
    options
}

/// Connects a client with a session to `servers`, the first of them preferred.
pub(crate) async fn connect_session(servers: &[&Server], session: u64, granted: Duration) -> (Client, Peer) {
    let options = options(servers).with_session(Duration::from_secs(7));
    let (client, (peer, connect)) = tokio::join!(Client::connect(options), servers[0].accept_session(session, granted));
    assert_eq!((connect.session, connect.secret.len(), connect.timeout_ms), (SessionId::NONE, 0, 7_000));
    (client.unwrap(), peer)
}
