//! The connections between members: one link for the protocol with each, and one for each bulk transfer.
//!
//! Invariants:
//! - The member with the lower id dials the one with the higher, so a pair has one link; a second one from the same peer
//!   replaces the first, since the peer has given that up.
//! - Link numbers rise in the order in which the core thread hears of the links.

pub(crate) mod bulk;
pub(crate) mod dial;
pub(crate) mod link;

use crate::server::inbox::CoreInput;
use crate::server::locks::lock;
use crate::server::node::Node;
use bytes::BytesMut;
use link::Link;
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;
use zw_core::ids::{LinkId, NodeId};
use zw_core::limits::DEAD_HOST_TIMEOUT;

/// What is known of each peer.
#[derive(Default)]
pub(crate) struct Peers {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    last_link: u64,
    peers: BTreeMap<NodeId, Peer>,
}

/// A peer as its sockets see it.
#[derive(Clone, Default)]
pub(crate) struct Peer {
    /// The connection that stands.
    pub(crate) link: Option<Arc<Link>>,
    /// When it was last heard, in milliseconds of the process's uptime.
    pub(crate) heard_ms: Option<u64>,
    /// Why it cannot be worked with, in words: another ensemble's list, another version.
    pub(crate) problem: Option<String>,
}

impl Peers {
    /// Makes a connection the link to `peer`, tells the core thread, and works until the link ends. `input` is what was
    /// read already.
    pub(crate) async fn run(&self, node: &Arc<Node>, peer: NodeId, socket: TcpStream, input: BytesMut) {
        if let Err(error) = notice_dead_host(&socket) {
            tracing::warn!(%peer, %error, "a lost host may go unnoticed for minutes: the system takes no time limits");
        }
        let (reader, writer) = socket.into_split();
        self.connected(node, peer, writer).run(node.clone(), reader, input).await;
    }

    fn connected(&self, node: &Node, peer: NodeId, socket: OwnedWriteHalf) -> Arc<Link> {
        let mut state = lock(&self.state);
        state.last_link += 1;
        let link = Arc::new(Link::new(peer, LinkId(state.last_link), socket, node.clock.uptime_ms()));
        let known = state.peers.entry(peer).or_default();
        known.problem = None;
        if let Some(old) = known.link.replace(link.clone()) {
            old.close();
        }
        // Under the lock, so that the core thread hears of links in the order of their numbers.
        node.inbox.push(CoreInput::Connected(link.clone()));
        link
    }

    /// Forgets a link that has ended.
    pub(crate) fn disconnected(&self, link: &Link) {
        let mut state = lock(&self.state);
        let known = state.peers.entry(link.peer).or_default();
        known.heard_ms = Some(link.heard_ms());
        if known.link.as_ref().is_some_and(|current| current.id == link.id) {
            known.link = None;
        }
    }

    /// Notes why a peer cannot be worked with. Whether that is news.
    pub(crate) fn has_problem(&self, peer: NodeId, problem: &str) -> bool {
        let mut state = lock(&self.state);
        let known = state.peers.entry(peer).or_default();
        let is_news = known.problem.as_deref() != Some(problem);
        known.problem = Some(problem.to_owned());
        is_news
    }

    /// What is known of `peer`.
    pub(crate) fn get(&self, peer: NodeId) -> Peer {
        let mut known = lock(&self.state).peers.get(&peer).cloned().unwrap_or_default();
        if let Some(link) = &known.link {
            known.heard_ms = Some(link.heard_ms());
        }
        known
    }

    /// Ends all links, as a node that leaves does: the others notice at once.
    pub(crate) fn close_all(&self) {
        lock(&self.state).peers.values().filter_map(|peer| peer.link.as_ref()).for_each(|link| link.close());
    }

    /// All problems, in words.
    pub(crate) fn problems(&self) -> Vec<String> {
        lock(&self.state).peers.values().filter_map(|peer| peer.problem.clone()).collect()
    }
}

/// Has the system end the connection when the other host does not answer: one that lost power says no farewell, and a
/// link between two followers is silent for hours.
fn notice_dead_host(socket: &TcpStream) -> io::Result<()> {
    use rustix::net::sockopt;
    sockopt::set_socket_keepalive(socket, true)?;
    sockopt::set_tcp_keepidle(socket, DEAD_HOST_TIMEOUT)?;
    sockopt::set_tcp_keepintvl(socket, DEAD_HOST_TIMEOUT)?;
    #[cfg(target_os = "linux")]
    sockopt::set_tcp_user_timeout(socket, u32::try_from(DEAD_HOST_TIMEOUT.as_millis()).unwrap_or(u32::MAX))?;
    Ok(())
}
