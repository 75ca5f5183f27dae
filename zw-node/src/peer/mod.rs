//! The connections between members: one link for the protocol with each, and one for each bulk transfer.
//!
//! Invariants:
//! - The member with the lower id dials the one with the higher, so a pair has one link; a second one from the same peer
//!   replaces the first, since the peer has given that up.
//! - Link numbers rise in the order in which the core hears of the links.

pub(crate) mod bulk;
pub(crate) mod dial;
pub(crate) mod link;

use crate::server::inbox::CoreInput;
use crate::server::locks::lock;
use crate::server::node::Node;
use bytes::BytesMut;
use link::Link;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;
use zw_core::ids::{LinkId, NodeId};
use zw_core::limits::{DEAD_HOST_TIMEOUT, ENSEMBLE_TEXT_BYTES_MAX, PROBLEM_LAPSE, PROBLEM_PAUSE_MS, STRANGERS_MAX};

/// What is known of each peer.
#[derive(Default)]
pub(crate) struct Peers {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    last_link: u64,
    peers: BTreeMap<NodeId, Peer>,
    /// Nodes that greet as members and are not in this node's list, by their address.
    strangers: BTreeMap<String, Problem>,
}

/// A peer as its sockets see it.
#[derive(Clone, Default)]
pub(crate) struct Peer {
    /// The connection that stands.
    pub(crate) link: Option<Arc<Link>>,
    /// When it was last heard, in milliseconds of the process's uptime.
    pub(crate) heard_ms: Option<u64>,
    /// Why it cannot be worked with: another ensemble's list, another version.
    pub(crate) problem: Option<Problem>,
}

/// Why somebody cannot be worked with.
#[derive(Clone)]
pub(crate) struct Problem {
    /// In words, with what to do.
    pub(crate) text: String,
    /// When it was met last, in milliseconds of the process's uptime; none if it is over.
    met_ms: Option<u64>,
    /// When something of the one it is with was logged last.
    told_ms: u64,
}

impl Problem {
    /// Whether it was met of late.
    pub(crate) fn is_known(&self, now_ms: u64) -> bool {
        self.met_ms.is_some_and(|met_ms| u128::from(now_ms.saturating_sub(met_ms)) < PROBLEM_LAPSE.as_millis())
    }
}

impl Peer {
    /// What was told of it is remembered: what comes and goes must not fill the log.
    fn end_problem(&mut self) {
        if let Some(problem) = &mut self.problem {
            problem.met_ms = None;
        }
    }
}

/// Whom a problem is with.
pub(crate) enum Other {
    /// Another member.
    Member(NodeId),
    /// A node that greets as a member, at this address, and is none.
    Stranger(String),
}

impl Peers {
    /// Makes a connection the link to `peer`, tells the core, and works until the link ends. `input` is what was
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
        known.end_problem();
        if let Some(old) = known.link.replace(link.clone()) {
            old.close();
        }
        // Under the lock, so that the core hears of links in the order of their numbers.
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

    /// Notes why somebody cannot be worked with, and logs it if it is news: the same problem shows at every attempt, and
    /// from both ends.
    pub(crate) fn has_problem(&self, other: Other, text: &str, now_ms: u64) {
        let mut state = lock(&self.state);
        state.strangers.retain(|_, problem| problem.is_known(now_ms));
        let is_news = !state.problems(now_ms).any(|known| known.text == text);
        let earlier = match &other {
            Other::Member(peer) => state.peers.get(peer).and_then(|peer| peer.problem.as_ref()),
            Other::Stranger(address) => state.strangers.get(address),
        };
        let told_ms = earlier.map(|problem| problem.told_ms);
        // Whoever says something else each time must not fill the log either. What is not told now is not noted, so it
        // is news again at the next attempt.
        if is_news && told_ms.is_some_and(|told_ms| now_ms < told_ms + PROBLEM_PAUSE_MS) {
            return;
        }
        let told_ms = told_ms.filter(|_| !is_news).unwrap_or(now_ms);
        let problem = Problem { text: text.to_owned(), met_ms: Some(now_ms), told_ms };
        match other {
            Other::Member(peer) => state.peers.entry(peer).or_default().problem = Some(problem),
            // Whoever invents addresses must not fill memory or the log: beyond the bound nothing is noted or said.
            Other::Stranger(address) if !state.strangers.contains_key(&address) => {
                if state.strangers.len() >= STRANGERS_MAX {
                    return;
                }
                state.strangers.insert(address, problem);
            }
            Other::Stranger(address) => drop(state.strangers.insert(address, problem)),
        }
        if is_news {
            tracing::error!("{text}");
        }
    }

    /// Nothing is against this member any more.
    pub(crate) fn has_no_problem(&self, peer: NodeId) {
        lock(&self.state).peers.entry(peer).or_default().end_problem();
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
    pub(crate) fn problems(&self, now_ms: u64) -> BTreeSet<String> {
        lock(&self.state).problems(now_ms).map(|problem| problem.text.clone()).collect()
    }
}

impl State {
    fn problems(&self, now_ms: u64) -> impl Iterator<Item = &Problem> {
        let peers = self.peers.values().filter_map(|peer| peer.problem.as_ref());
        peers.chain(self.strangers.values()).filter(move |problem| problem.is_known(now_ms))
    }
}

/// What two nodes say of each other that were started with different lists: the same words at both ends.
pub(crate) fn different_lists(one: (&str, &str), other: (&str, &str)) -> String {
    // Two lists and the words fit the frame of a refusal.
    let short = |list: &str| match list.floor_char_boundary(ENSEMBLE_TEXT_BYTES_MAX / 4) {
        end if end < list.len() => format!("{}...", &list[..end]),
        _ => list.to_owned(),
    };
    let (first, second) = if one <= other { (one, other) } else { (other, one) };
    format!(
        "the lists of members differ: {} was started with --ensemble {}, {} with --ensemble {}; start all members with \
         the same list",
        first.0,
        short(first.1),
        second.0,
        short(second.1)
    )
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
