//! The asynchronous client: sessions, fail-over, pipelining, watches.
//!
//! A [`Client`] is a handle; one background task (see `driver`) owns the socket. Invariants:
//! - Requests are sent in the order of the calls and answered in that order.
//! - A request with a path that cannot be one is refused here; what else is wrong with it, the node says.
//! - A request is sent once, except that a read whose connection broke is sent again on the next one. A write that was
//!   sent and not answered is never sent again: [`ClientError::OutcomeUnknown`].
//! - What a client reads never goes back, whichever server answers: a new connection serves only once it has applied
//!   what the client has seen.
//! - Every request ends by its deadline, with an answer or an error that says whether the outcome is known.
//! - The task ends when the last handle is dropped and what was sent is answered; watches end with it.
//!
//! ```no_run
//! # async fn example() -> Result<(), zw_core::client::ClientError> {
//! use zw_core::client::{Client, ClientOptions};
//! use zw_core::tree::command::CreateMode;
//! let client = Client::connect(ClientOptions::to(["127.0.0.1:8080"])).await?;
//! client.create("/goal", "1", CreateMode::Persistent).await?;
//! let (data, stat) = client.get("/goal").await?;
//! client.set("/goal", "2", stat.version).await?;
//! # assert_eq!(data, "1"); Ok(())
//! # }
//! ```

mod connection;
mod driver;
mod error;
mod exchange;
mod paths;
mod queue;
mod requests;
mod servers;
mod subtree;
mod watch;

pub use connection::Connection;
pub use error::ClientError;
pub use subtree::{Deleted, Requests, Rivals, Stop, SubtreeDelete, child_path, delete_subtree};
pub use watch::{Watch, WatchStream};

use crate::ids::{SessionId, Zxid};
use crate::limits::{CLIENT_QUEUE_MAX, CONNECT_TIMEOUT};
use crate::tree::command::{CloseSession, Command};
use crate::wire::client::{Answer, ErrorCode, ErrorReply, Operation, RequestError};
use driver::Driver;
use queue::{Call, Message};
use servers::Servers;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};
use watch::Registration;

/// How a client connects and how long it waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientOptions {
    /// The servers, each as `HOST:PORT`. The client stays with one of them while it can.
    pub servers: Vec<String>,
    /// The wished timeout of a session, or `None` for a client without one (and without ephemeral znodes).
    pub session_timeout: Option<Duration>,
    /// Longest wait for an answer, reconnecting included.
    pub request_timeout: Duration,
    /// Longest wait for one server's greeting.
    pub connect_timeout: Duration,
    /// The server to try first; without it the order is random.
    pub prefer: Option<String>,
}

impl Default for ClientOptions {
    fn default() -> ClientOptions {
        ClientOptions {
            servers: vec!["127.0.0.1:8080".to_owned()],
            session_timeout: None,
            request_timeout: Duration::from_secs(5),
            connect_timeout: CONNECT_TIMEOUT,
            prefer: None,
        }
    }
}

impl ClientOptions {
    /// The defaults with these servers.
    pub fn to<S: Into<String>>(servers: impl IntoIterator<Item = S>) -> ClientOptions {
        ClientOptions { servers: servers.into_iter().map(Into::into).collect(), ..ClientOptions::default() }
    }

    /// With a session.
    #[must_use]
    pub fn with_session(self, timeout: Duration) -> ClientOptions {
        ClientOptions { session_timeout: Some(timeout), ..self }
    }
}

/// A handle of a client; clones share its connection and its session.
#[derive(Clone, Debug)]
pub struct Client {
    calls: mpsc::Sender<Message>,
    shared: Arc<Shared>,
    request_timeout: Duration,
}

/// What the task tells the handles.
#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    end: EndReason,
}

#[derive(Debug, Default)]
struct State {
    session: Option<SessionId>,
    connected_to: Option<String>,
    tried: Vec<(String, String)>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Why the task ended, for those who still wait for it.
#[derive(Clone, Debug, Default)]
struct EndReason(Arc<Mutex<Option<ClientError>>>);

impl EndReason {
    fn set(&self, error: ClientError) {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(error);
    }

    fn get(&self) -> ClientError {
        let reason = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        reason.clone().unwrap_or(ClientError::Closed)
    }
}

/// What a call does when the queue has no place.
#[derive(Clone, Copy, Debug)]
enum WhenFull {
    Refuse,
    Wait,
}

/// Where a call has come to.
enum Place {
    Taken,
    Later(mpsc::Sender<Message>, Box<Message>),
    Refused(ClientError),
}

impl Client {
    /// Connects to one of the servers, and opens a session if one is wanted. Goes on to the next server, and around
    /// again, until the request timeout.
    ///
    /// # Errors
    /// No server could be reached in time, or every one refused; each is named with its reason.
    pub async fn connect(options: ClientOptions) -> Result<Client, ClientError> {
        if options.servers.is_empty() {
            return Err(ClientError::NotConnected { tried: Vec::new() });
        }
        let deadline = Instant::now() + options.request_timeout;
        let (calls, received) = mpsc::channel(CLIENT_QUEUE_MAX);
        let shared = Arc::new(Shared::default());
        // Without randomness the clients would only be spread less well.
        let seed = getrandom::u64().unwrap_or(0);
        let all = options.servers.clone();
        let servers = Servers::new(all.clone(), options.prefer.as_deref(), seed);
        let client = Client { calls, shared: Arc::clone(&shared), request_timeout: options.request_timeout };
        let (ready, connected) = oneshot::channel();
        tokio::spawn(Driver::new(options, servers, received, shared).run(ready));
        match timeout_at(deadline, connected).await {
            Ok(Ok(outcome)) => outcome.map(|()| client),
            Ok(Err(_)) => Err(client.shared.end.get()),
            Err(_) => {
                let mut tried = client.shared.state().tried.clone();
                let silent = all.into_iter().filter(|server| !tried.iter().any(|(known, _)| known == server));
                let silent: Vec<_> = silent.map(|server| (server, "no answer yet".to_owned())).collect();
                tried.extend(silent);
                Err(ClientError::NotConnected { tried })
            }
        }
    }

    /// Queues a request at once, and gives a future for its answer: requests are sent in the order of these calls,
    /// without waiting for each other's answers. A request is sent even if its future is dropped. If
    /// [`CLIENT_QUEUE_MAX`] requests wait already it is refused as [`ErrorCode::Overloaded`].
    pub fn send(
        &self,
        operation: Operation,
    ) -> impl Future<Output = Result<(Zxid, Answer), ClientError>> + Send + use<> {
        self.enqueue(operation, None, WhenFull::Refuse)
    }

    /// Sends a request and waits for its answer. If the queue is full it waits for a place first.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn request(&self, operation: Operation) -> Result<(Zxid, Answer), ClientError> {
        self.enqueue(operation, None, WhenFull::Wait).await
    }

    fn enqueue(
        &self,
        operation: Operation,
        watch: Option<Registration>,
        when_full: WhenFull,
    ) -> impl Future<Output = Result<(Zxid, Answer), ClientError>> + Send + use<> {
        let end = self.shared.end.clone();
        let after = self.request_timeout;
        let deadline = Instant::now() + after;
        let (reply, answer) = oneshot::channel();
        let place = self.place(Call::new(operation, watch, deadline, reply), when_full);
        async move {
            match place {
                Place::Taken => {}
                Place::Refused(error) => return Err(error),
                Place::Later(calls, message) => match timeout_at(deadline, calls.send(*message)).await {
                    // If the task has ended the answer below is the reason.
                    Ok(_) => {}
                    Err(_) => return Err(ClientError::Timeout { after }),
                },
            }
            answer.await.unwrap_or_else(|_| Err(end.get()))
        }
    }

    /// Finds a place in the queue for a call, at once.
    fn place(&self, call: Call, when_full: WhenFull) -> Place {
        let refused = |code, message: &str| {
            Place::Refused(ClientError::Request(RequestError { code, message: message.to_owned() }))
        };
        if call.is_for_one_connection() {
            let message = "Connect and TraceStart belong to one connection; use client::Connection";
            return refused(ErrorCode::Invalid, message);
        }
        if let Err(error) = paths::check(call.operation()) {
            return Place::Refused(ErrorReply::from(&error).into());
        }
        match (self.calls.try_send(Message::Call(call)), when_full) {
            // If the task has ended the reply is gone with the message, and the answer is the reason.
            (Ok(()) | Err(mpsc::error::TrySendError::Closed(_)), _) => Place::Taken,
            (Err(mpsc::error::TrySendError::Full(message)), WhenFull::Wait) => {
                Place::Later(self.calls.clone(), Box::new(message))
            }
            (Err(mpsc::error::TrySendError::Full(_)), WhenFull::Refuse) => {
                refused(ErrorCode::Overloaded, "too many requests wait in this client; wait for some answers first")
            }
        }
    }

    /// The session, if this client has one.
    #[must_use]
    pub fn session(&self) -> Option<SessionId> {
        self.shared.state().session
    }

    /// The server that this client is connected to now.
    #[must_use]
    pub fn connected_to(&self) -> Option<String> {
        self.shared.state().connected_to.clone()
    }

    /// Ends the session, which deletes its ephemeral znodes, and the connection, for all clones.
    ///
    /// # Errors
    /// The session could not be ended now; it will expire.
    pub async fn close(self) -> Result<(), ClientError> {
        let ended = match self.session() {
            Some(session) => {
                let close = CloseSession { session, expired: false, generation: 0 };
                self.request(Operation::Write(Command::CloseSession(close))).await.map(drop)
            }
            None => Ok(()),
        };
        // If the task has ended already there is nothing to close.
        let _ = self.calls.send(Message::Close).await;
        self.calls.closed().await;
        ended
    }
}
