//! The task behind a client: finds a server, keeps the session, hands requests to the connection.

use super::connection::{Connection, unexpected};
use super::error::ClientError;
use super::queue::{Message, Queue};
use super::servers::Servers;
use super::watch::Watches;
use super::{ClientOptions, Shared};
use crate::ids::{SessionId, Zxid};
use crate::limits::{PING_INTERVAL, RECONNECT_PAUSE_MIN, REQUEST_DEADLINE, SECOND_OPINION_TIMEOUT, SILENCE_MAX};
use crate::wire::client::{Answer, Connect, Connected, ErrorCode, Operation, Read};
use bytes::{Bytes, BytesMut};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, sleep_until};

/// The task's state.
pub(super) struct Driver {
    pub(super) options: ClientOptions,
    pub(super) calls: mpsc::Receiver<Message>,
    /// Whether the last handle is gone, or asked for the end.
    pub(super) closing: bool,
    pub(super) shared: Arc<Shared>,
    pub(super) servers: Servers,
    pub(super) session: Option<Session>,
    pub(super) queue: Queue,
    pub(super) watches: Watches,
    /// The greatest zxid that this client has seen: no server may show it less.
    pub(super) last_zxid: Zxid,
    /// Up to here all events of its watches have come.
    pub(super) seen: Zxid,
}

/// What proves to a server that this client owns its session.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) id: SessionId,
    secret: Bytes,
    pub(super) timeout: Duration,
}

/// A connection that is ready for requests.
pub(super) struct Link {
    pub(super) server: String,
    pub(super) socket: TcpStream,
    /// Read and not taken yet.
    pub(super) received: BytesMut,
    session: Option<Session>,
}

/// How a connection, or the client, came to its end.
#[derive(Debug)]
pub(super) enum End {
    /// Find another server.
    Lost(String),
    /// The session is gone.
    Expired,
    /// Nobody wants more.
    Closed,
}

impl Driver {
    pub(super) fn new(
        options: ClientOptions,
        servers: Servers,
        calls: mpsc::Receiver<Message>,
        shared: Arc<Shared>,
    ) -> Driver {
        Driver {
            queue: Queue::new(options.request_timeout),
            options,
            calls,
            closing: false,
            shared,
            servers,
            session: None,
            watches: Watches::default(),
            last_zxid: Zxid::ZERO,
            seen: Zxid::ZERO,
        }
    }

    /// Runs until the handles are gone or the session is. `ready` hears of the first connection.
    pub(super) async fn run(mut self, ready: oneshot::Sender<Result<(), ClientError>>) {
        let mut ready = Some(ready);
        let end = loop {
            let link = match self.reconnect(&mut ready).await {
                Ok(link) => link,
                Err(end) => break end,
            };
            let server = link.server.clone();
            self.attached(&link);
            if let Some(ready) = ready.take()
                && ready.send(Ok(())).is_err()
            {
                break End::Closed;
            }
            let end = self.exchange(link).await;
            self.shared.state().connected_to = None;
            let End::Lost(reason) = end else { break end };
            tracing::debug!(server, reason, "the connection to a server broke");
            self.queue.connection_lost(&format!("{server}: {reason}"), &mut self.watches);
            self.failed(&server, reason);
        };
        let error = match end {
            End::Expired => ClientError::SessionExpired,
            End::Closed | End::Lost(_) => ClientError::Closed,
        };
        self.shared.end.set(error.clone());
        self.shared.state().session = None;
        self.queue.end_all(&error);
        self.calls.close();
        while let Ok(message) = self.calls.try_recv() {
            // The reply goes with the message; whoever waits for it reads the reason of the end.
            drop(message);
        }
    }

    /// Goes round the servers until one takes this client; requests wait and time out meanwhile.
    async fn reconnect(&mut self, ready: &mut Option<oneshot::Sender<Result<(), ClientError>>>) -> Result<Link, End> {
        let began = Instant::now();
        let mut refused = 0;
        let mut no_quorum = None;
        loop {
            let (server, pause) = self.servers.next();
            let plan = self.plan(no_quorum.is_some());
            let attempt = async {
                sleep(pause).await;
                plan.connect(&server).await
            };
            tokio::pin!(attempt);
            let outcome = loop {
                let deadline = self.queue.next_deadline();
                tokio::select! {
                    outcome = &mut attempt => break outcome,
                    message = self.calls.recv(), if !self.closing && self.queue.room() > 0 => self.take(message),
                    () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {
                        let error = ClientError::NotConnected { tried: self.servers.tried().to_vec() };
                        self.queue.expire(Instant::now(), &mut self.watches, Some(&error));
                    }
                }
                if self.closing && self.queue.is_empty() {
                    return Err(End::Closed);
                }
            };
            let error = match outcome {
                Ok(link) => return Ok(link),
                Err(ClientError::SessionExpired) => return Err(End::Expired),
                Err(error) => error,
            };
            refused += usize::from(matches!(error, ClientError::Refused { .. }));
            self.failed(&server, reason_of(&server, &error));
            if error.code() == Some(ErrorCode::NoQuorum) {
                no_quorum = Some(error.clone());
            }
            if self.servers.round_ends()
                && let Some(error) = no_quorum.take()
                && began.elapsed() >= REQUEST_DEADLINE
            {
                // A server has waited for a quorum as long as any would, and no other one knows better.
                if let Some(ready) = ready.take() {
                    let _ = ready.send(Err(error));
                    return Err(End::Closed);
                }
                self.end_patient(&error);
            }
            if ready.is_some() && self.servers.round_is_over() && refused == self.options.servers.len() {
                // Servers that say no will not say yes a moment later: tell the program now.
                if let Some(ready) = ready.take() {
                    let _ = ready.send(Err(error));
                }
                return Err(End::Closed);
            }
        }
    }

    /// How to try the next server: for a short time only if another one has waited for a quorum in vain already.
    fn plan(&self, second_opinion: bool) -> Plan {
        let silence = self.silence();
        Plan {
            connect_timeout: self.options.connect_timeout,
            answer_timeout: if second_opinion { silence.min(SECOND_OPINION_TIMEOUT) } else { silence },
            session: self.session.clone(),
            session_timeout: self.options.session_timeout,
            last_zxid: self.last_zxid,
        }
    }

    /// Ends the requests that have waited here as long as a server would have let them wait.
    fn end_patient(&mut self, error: &ClientError) {
        let left = self.options.request_timeout.saturating_sub(REQUEST_DEADLINE);
        self.queue.expire(Instant::now() + left, &mut self.watches, Some(error));
    }

    fn failed(&mut self, server: &str, reason: String) {
        self.servers.failed(server, reason);
        self.shared.state().tried = self.servers.tried().to_vec();
    }

    fn attached(&mut self, link: &Link) {
        self.session.clone_from(&link.session);
        let mut state = self.shared.state();
        state.connected_to = Some(link.server.clone());
        state.session = self.session.as_ref().map(|session| session.id);
    }

    pub(super) fn take(&mut self, message: Option<Message>) {
        match message {
            Some(Message::Call(call)) => self.queue.push(call),
            Some(Message::Close) | None => self.closing = true,
        }
    }

    /// How long to bear a server that owes an answer and says nothing.
    pub(super) fn silence(&self) -> Duration {
        match &self.session {
            Some(session) => SILENCE_MAX.min(session.timeout * 2 / 3),
            None => SILENCE_MAX,
        }
    }

    /// How often to show a sign of life.
    pub(super) fn ping_interval(&self) -> Duration {
        match &self.session {
            Some(session) => session.timeout / 3,
            None => PING_INTERVAL,
        }
    }
}

/// Why a server did not take the client, without its name, which the list of the tried gives already.
fn reason_of(server: &str, error: &ClientError) -> String {
    match error {
        ClientError::NotConnected { tried } if tried.len() == 1 && tried[0].0 == server => tried[0].1.clone(),
        ClientError::Refused { reason, .. } => format!("refused the connection: {reason}"),
        error => error.to_string(),
    }
}

/// What a new connection needs before it can take requests.
struct Plan {
    connect_timeout: Duration,
    answer_timeout: Duration,
    session: Option<Session>,
    session_timeout: Option<Duration>,
    last_zxid: Zxid,
}

impl Plan {
    async fn connect(&self, server: &str) -> Result<Link, ClientError> {
        let mut connection = Connection::open(server, self.connect_timeout).await?;
        connection.set_timeout(self.answer_timeout);
        let session = match self.session_timeout {
            Some(wish) => Some(self.attach(&mut connection, wish).await?),
            None => {
                self.wait_until_applied(&mut connection).await?;
                None
            }
        };
        let (socket, received) = connection.into_parts();
        Ok(Link { server: server.to_owned(), socket, received, session })
    }

    /// Opens a session, or attaches to the one that this client has.
    async fn attach(&self, connection: &mut Connection, wish: Duration) -> Result<Session, ClientError> {
        let (session, secret) = match &self.session {
            Some(session) => (session.id, session.secret.clone()),
            None => (SessionId::NONE, Bytes::new()),
        };
        let timeout_ms = u32::try_from(wish.as_millis()).unwrap_or(u32::MAX);
        let connect = Connect { session, secret, timeout_ms, last_zxid: self.last_zxid };
        match connection.request(Operation::Connect(connect)).await {
            Ok((_, Answer::Connected(Connected { session, secret, timeout_ms }))) => {
                // A server that grants no time at all must not make this task spin.
                let timeout = Duration::from_millis(u64::from(timeout_ms).max(100));
                Ok(Session { id: session, secret, timeout })
            }
            Ok((_, answer)) => Err(unexpected(&answer)),
            Err(error) => match error.code() {
                Some(ErrorCode::SessionExpired | ErrorCode::WrongSecret) if self.session.is_some() => {
                    Err(ClientError::SessionExpired)
                }
                _ => Err(error),
            },
        }
    }

    /// Without a session, nothing tells the server what this client has seen: wait until it has applied that.
    async fn wait_until_applied(&self, connection: &mut Connection) -> Result<(), ClientError> {
        let deadline = Instant::now() + self.answer_timeout;
        if self.last_zxid == Zxid::ZERO {
            return Ok(());
        }
        loop {
            // Any read tells what the server has applied.
            let root = Read { path: "/".to_owned(), watch: false };
            let (applied, _) = connection.request(Operation::Exists(root)).await?;
            if applied >= self.last_zxid {
                return Ok(());
            }
            if Instant::now() >= deadline {
                let wanted = self.last_zxid;
                return Err(ClientError::Protocol(format!("it is behind: at {applied}, this client saw {wanted}")));
            }
            sleep(RECONNECT_PAUSE_MIN).await;
        }
    }
}
