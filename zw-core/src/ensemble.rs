//! The members of an ensemble and the arithmetic of its quorums.
//!
//! Invariants:
//! - The members are in canonical order (port, then host), and a member's [`NodeId`] is its place from 1. The same
//!   list in any order gives the same ids, and among equals the highest port leads.
//! - Any two quorums share a member.

use crate::ids::{NodeId, Zxid};
use crate::limits::{ENSEMBLE_TEXT_BYTES_MAX, MEMBERS_MAX};
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// The voters of an ensemble, in canonical order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ensemble {
    members: Vec<Address>,
}

/// Where a member listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    // The port comes first because it is the first key of the canonical order.
    port: u16,
    host: String,
}

/// Why a text is not an ensemble.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum EnsembleError {
    /// A part is not `host:port`.
    #[error("not an address: {0:?}; write HOST:PORT, for example 10.0.0.1:8080")]
    Address(String),
    /// A member is listed twice.
    #[error("{0} is listed twice; name each member once")]
    Twice(Address),
    /// No member, or more than the limit.
    #[error("an ensemble has 1 to {MEMBERS_MAX} members, not {0}")]
    Size(usize),
    /// The text is longer than any real list.
    #[error("the list of members is longer than {ENSEMBLE_TEXT_BYTES_MAX} bytes")]
    Long,
}

impl Address {
    /// The address of `host` and `port`; the host is not looked up here.
    #[must_use]
    pub fn new(host: &str, port: u16) -> Address {
        Address { port, host: host.to_owned() }
    }

    /// The host name or IP address; an IPv6 address without its brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether the host names this machine's loopback.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl FromStr for Address {
    type Err = EnsembleError;

    fn from_str(text: &str) -> Result<Address, EnsembleError> {
        let wrong = || EnsembleError::Address(text.chars().take(100).collect());
        let (host, port) = text.trim().rsplit_once(':').ok_or_else(wrong)?;
        let bare = host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']'));
        let port: u16 = port.parse().map_err(|_| wrong())?;
        let host_is_plain = !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_".contains(&b));
        if port == 0 || !(host_is_plain || bare.is_some_and(|ip| ip.parse::<std::net::Ipv6Addr>().is_ok())) {
            return Err(wrong());
        }
        Ok(Address::new(bare.unwrap_or(host), port))
    }
}

impl Ensemble {
    /// The ensemble of `members`, given in any order.
    ///
    /// # Errors
    /// No member, too many of them, or one that is listed twice.
    pub fn new(mut members: Vec<Address>) -> Result<Ensemble, EnsembleError> {
        if members.is_empty() || members.len() > MEMBERS_MAX {
            return Err(EnsembleError::Size(members.len()));
        }
        members.sort();
        match members.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(EnsembleError::Twice(pair[0].clone())),
            None => Ok(Ensemble { members }),
        }
    }

    /// The number of members.
    #[must_use]
    pub fn size(&self) -> usize {
        self.members.len()
    }

    /// The members' ids, ascending.
    pub fn ids(&self) -> impl Iterator<Item = NodeId> + use<> {
        (1..=u16::try_from(self.members.len()).unwrap_or(u16::MAX)).map(NodeId)
    }

    /// The members other than `me`, ascending.
    pub fn others(&self, me: NodeId) -> impl Iterator<Item = NodeId> + use<> {
        self.ids().filter(move |id| *id != me)
    }

    /// Whether `id` is a member.
    #[must_use]
    pub fn contains(&self, id: NodeId) -> bool {
        id.0 >= 1 && usize::from(id.0) <= self.members.len()
    }

    /// Where `id` listens, if it is a member.
    #[must_use]
    pub fn address(&self, id: NodeId) -> Option<&Address> {
        self.members.get(usize::from(id.0).checked_sub(1)?)
    }

    /// The member that listens at `address`.
    #[must_use]
    pub fn id_of(&self, address: &Address) -> Option<NodeId> {
        self.members.binary_search(address).ok().and_then(|at| u16::try_from(at + 1).ok()).map(NodeId)
    }

    /// The least number of members that is a majority.
    #[must_use]
    pub fn quorum_size(&self) -> usize {
        self.members.len() / 2 + 1
    }

    /// Whether the members among `ids` are a quorum. Non-members and repeats never count (rule E6).
    pub fn contains_quorum(&self, ids: impl IntoIterator<Item = NodeId>) -> bool {
        let mut counted = [false; MEMBERS_MAX];
        for id in ids.into_iter().filter(|id| self.contains(*id)) {
            counted[usize::from(id.0) - 1] = true;
        }
        counted.iter().filter(|counted| **counted).count() >= self.quorum_size()
    }

    /// The greatest zxid that a quorum has acknowledged, given what each member has (rule B3); a member without an
    /// entry has acknowledged nothing.
    pub fn acknowledged_by_quorum(&self, acks: impl IntoIterator<Item = (NodeId, Zxid)>) -> Zxid {
        let mut acked = [Zxid::ZERO; MEMBERS_MAX];
        for (id, zxid) in acks.into_iter().filter(|(id, _)| self.contains(*id)) {
            acked[usize::from(id.0) - 1] = zxid;
        }
        let acked = &mut acked[..self.members.len()];
        acked.sort_unstable();
        acked[acked.len() - self.quorum_size()]
    }

    /// A checksum of the canonical list: peers with another one are refused.
    #[must_use]
    pub fn fingerprint(&self) -> u32 {
        crc32fast::hash(self.to_string().as_bytes())
    }
}

impl fmt::Display for Ensemble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, member) in self.members.iter().enumerate() {
            write!(f, "{}{member}", if index == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl FromStr for Ensemble {
    type Err = EnsembleError;

    fn from_str(text: &str) -> Result<Ensemble, EnsembleError> {
        if text.len() > ENSEMBLE_TEXT_BYTES_MAX {
            return Err(EnsembleError::Long);
        }
        Ensemble::new(text.split(',').map(Address::from_str).collect::<Result<_, _>>()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Epoch;

    fn of(size: u16) -> Ensemble {
        Ensemble::new((0..size).map(|i| Address::new("localhost", 8080 + i)).collect()).unwrap()
    }

    #[test]
    fn the_order_of_the_list_does_not_matter() {
        let one: Ensemble = "b:8080,a:8081,a:8080".parse().unwrap();
        let other: Ensemble = "a:8081, a:8080 ,b:8080".parse().unwrap();
        assert_eq!(one, other);
        assert_eq!(one.to_string(), "a:8080,b:8080,a:8081");
        assert_eq!(one.id_of(&"a:8081".parse().unwrap()), Some(NodeId(3)), "the highest port has the highest id");
        assert_eq!(one.fingerprint(), other.fingerprint());
    }

    #[test]
    fn any_two_quorums_meet() {
        for size in 1..=9 {
            let ensemble = of(size);
            assert!(2 * ensemble.quorum_size() > ensemble.size());
            assert!(ensemble.contains_quorum(ensemble.ids()));
            assert!(!ensemble.contains_quorum(ensemble.ids().take(ensemble.quorum_size() - 1)));
        }
    }

    #[test]
    fn strangers_and_repeats_are_not_counted() {
        assert!(!of(3).contains_quorum([NodeId(1), NodeId(1), NodeId(0), NodeId(4), NodeId(99)]));
    }

    #[test]
    fn the_quorum_acknowledges_its_lowest_member() {
        let zxid = |counter| Zxid::new(Epoch(1), counter);
        let acks = [(NodeId(1), zxid(9)), (NodeId(2), zxid(5)), (NodeId(3), zxid(2)), (NodeId(9), zxid(100))];
        assert_eq!(of(3).acknowledged_by_quorum(acks), zxid(5));
        assert_eq!(of(5).acknowledged_by_quorum(acks), zxid(2));
        assert_eq!(of(7).acknowledged_by_quorum(acks), Zxid::ZERO);
    }

    #[test]
    fn wrong_lists_are_refused_with_the_reason() {
        let refused = |text: &str| text.parse::<Ensemble>().unwrap_err();
        assert_eq!(refused("a:1,b"), EnsembleError::Address("b".into()));
        assert_eq!(refused("a:1,a:1"), EnsembleError::Twice(Address::new("a", 1)));
        for wrong in ["", "a:0", "a:65536", ":1", "a b:1", "[::1:1", "::1:1"] {
            assert!(matches!(refused(wrong), EnsembleError::Address(_)), "{wrong:?} was accepted");
        }
        assert_eq!("[::1]:80".parse::<Ensemble>().unwrap().to_string(), "[::1]:80");
    }
}
