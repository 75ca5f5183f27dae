//! One connection to one server, without a session and without fail-over: for the status of each node, for trace
//! streams, and as the first stage of a [`Client`](super::Client).
//!
//! Invariant: every wait has a deadline, but for [`Connection::recv`], which waits for events.

use super::error::ClientError;
use crate::ids::{NodeId, Zxid};
use crate::limits::{ANSWER_FRAME_BYTES_MAX, CLIENT_BUFFER_BYTES, CLIENT_FRAME_BYTES_MAX, HELLO_FRAME_BYTES_MAX};
use crate::wire::admin::Status;
use crate::wire::client::{Answer, ErrorCode, Operation, Ping, Request, RequestError, Response};
use crate::wire::frame;
use crate::wire::hello::{Greeting, Hello, PROTOCOL_VERSION, Purpose, Welcome};
use bytes::BytesMut;
use futures_util::{SinkExt, StreamExt};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::codec::{Framed, LengthDelimitedCodec};

/// A greeted connection to one server.
#[derive(Debug)]
pub struct Connection {
    server: String,
    socket: Framed<TcpStream, LengthDelimitedCodec>,
    welcome: Welcome,
    /// For a request and its answer.
    timeout: Duration,
    last_id: u32,
}

impl Connection {
    /// Connects and greets. `timeout` holds for this and for each later wait.
    ///
    /// # Errors
    /// The server cannot be reached in time, refuses, or speaks something else.
    pub async fn open(server: &str, timeout: Duration) -> Result<Connection, ClientError> {
        match tokio::time::timeout(timeout, greet(server)).await {
            Ok(greeted) => {
                let (socket, welcome) = greeted?;
                Ok(Connection { server: server.to_owned(), socket, welcome, timeout, last_id: 0 })
            }
            Err(_) => Err(unreachable(server, format!("no greeting within {timeout:?}"))),
        }
    }

    /// What the server said of itself.
    #[must_use]
    pub fn welcome(&self) -> &Welcome {
        &self.welcome
    }

    /// The server, as it was given.
    #[must_use]
    pub fn server(&self) -> &str {
        &self.server
    }

    /// Sends a request and gives its number back; its answer comes by [`Connection::recv`].
    ///
    /// # Errors
    /// The connection broke, or the request is larger than a frame.
    pub async fn send(&mut self, operation: Operation) -> Result<u32, ClientError> {
        self.last_id = next_id(self.last_id);
        let request = Request { id: self.last_id, operation };
        let bytes = frame::encode(|out| request.encode_frame(out));
        if bytes.len() > CLIENT_FRAME_BYTES_MAX {
            return Err(too_large(bytes.len()));
        }
        match timeout(self.timeout, self.socket.send(bytes)).await {
            Ok(sent) => sent.map_err(|error| self.lost(&error.to_string()))?,
            Err(_) => return Err(ClientError::Timeout { after: self.timeout }),
        }
        Ok(self.last_id)
    }

    /// Waits, for ever, for the next answer or event. Nothing is lost if the wait is given up.
    ///
    /// # Errors
    /// The connection broke, or what came is no answer.
    pub async fn recv(&mut self) -> Result<Response, ClientError> {
        match self.socket.next().await {
            Some(Ok(bytes)) => Response::decode_frame(&bytes).map_err(|error| self.wrong(&error.to_string())),
            Some(Err(error)) if error.kind() == std::io::ErrorKind::InvalidData => Err(self.wrong(&error.to_string())),
            Some(Err(error)) => Err(self.lost(&error.to_string())),
            None => Err(self.lost("the server closed the connection")),
        }
    }

    /// Sends a request and waits for its answer; events that come before it are dropped.
    ///
    /// # Errors
    /// The server refused it, did not answer in time, or the connection broke.
    pub async fn request(&mut self, operation: Operation) -> Result<(Zxid, Answer), ClientError> {
        let deadline = Instant::now() + self.timeout;
        let id = self.send(operation).await?;
        loop {
            let response = match timeout_at(deadline, self.recv()).await {
                Ok(received) => received?,
                Err(_) => return Err(ClientError::Timeout { after: self.timeout }),
            };
            match response.answer {
                Answer::Error(error) if response.id == id => return Err(error.into()),
                answer if response.id == id => return Ok((response.zxid, answer)),
                // An event, or the answer to a request that was given up.
                _ => {}
            }
        }
    }

    /// The server's status.
    ///
    /// # Errors
    /// As for [`Connection::request`].
    pub async fn status(&mut self) -> Result<Status, ClientError> {
        match self.request(Operation::Status(Ping)).await? {
            (_, Answer::Status(status)) => Ok(*status),
            (_, answer) => Err(unexpected(&answer)),
        }
    }

    pub(super) fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = timeout;
    }

    /// The socket, and what was read from it and not taken yet: for who goes on to speak the wire alone.
    #[must_use]
    pub fn into_parts(self) -> (TcpStream, BytesMut) {
        let parts = self.socket.into_parts();
        (parts.io, parts.read_buf)
    }

    fn lost(&self, reason: &str) -> ClientError {
        unreachable(&self.server, reason.to_owned())
    }

    fn wrong(&self, reason: &str) -> ClientError {
        ClientError::Protocol(format!("{} sent: {reason}", self.server))
    }
}

async fn greet(server: &str) -> Result<(Framed<TcpStream, LengthDelimitedCodec>, Welcome), ClientError> {
    let failed = |error: std::io::Error| unreachable(server, error.to_string());
    let socket = TcpStream::connect(server).await.map_err(failed)?;
    // Requests are gathered before they are written; waiting for more would only add delay.
    socket.set_nodelay(true).map_err(failed)?;
    let mut socket = frame::framed(socket, HELLO_FRAME_BYTES_MAX, CLIENT_BUFFER_BYTES);
    let hello = Greeting::Hello(Hello {
        version: PROTOCOL_VERSION,
        purpose: Purpose::Client,
        node: NodeId(0),
        ensemble: String::new(),
        zxid: Zxid::ZERO,
    });
    socket.send(frame::encode(|out| hello.encode_frame(out))).await.map_err(failed)?;
    let wrong = |reason: String| ClientError::Protocol(format!("{server} greeted with: {reason}"));
    let bytes = match socket.next().await {
        Some(Ok(bytes)) => bytes,
        Some(Err(error)) if error.kind() == std::io::ErrorKind::InvalidData => return Err(wrong(error.to_string())),
        Some(Err(error)) => return Err(failed(error)),
        None => return Err(unreachable(server, "it closed the connection without a greeting".to_owned())),
    };
    match Greeting::decode_frame(&bytes).map_err(|error| wrong(error.to_string()))? {
        Greeting::Welcome(welcome) => {
            socket.codec_mut().set_max_frame_length(ANSWER_FRAME_BYTES_MAX);
            Ok((socket, welcome))
        }
        Greeting::Refused(refused) => Err(ClientError::Refused { server: server.to_owned(), reason: refused.reason }),
        Greeting::Hello(_) => Err(wrong("a hello; this is a client, not a server".to_owned())),
    }
}

/// The number after `id`; 0 is for events.
pub(super) fn next_id(id: u32) -> u32 {
    id.checked_add(1).unwrap_or(1)
}

pub(super) fn unreachable(server: &str, reason: String) -> ClientError {
    ClientError::NotConnected { tried: vec![(server.to_owned(), reason)] }
}

pub(super) fn too_large(bytes: usize) -> ClientError {
    let message = format!("a request of {bytes} bytes is over the limit of {CLIENT_FRAME_BYTES_MAX}; send less data");
    ClientError::Request(RequestError { code: ErrorCode::TooLarge, message })
}

pub(super) fn unexpected(answer: &Answer) -> ClientError {
    ClientError::Protocol(format!("an answer of kind {}, which does not fit the request", answer.kind()))
}
