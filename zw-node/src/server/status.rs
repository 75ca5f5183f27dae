//! A node's answer about itself.

use super::locks::{lock, read};
use super::node::Node;
use zw_core::ids::{NodeId, Zxid};
use zw_core::wire::admin::{NodeRole, PeerStatus, SessionInfo, Status};
use zw_core::zab::effects::Role;

/// The role as a person reads it.
pub(crate) fn role_of(role: Role) -> NodeRole {
    match role {
        Role::Looking => NodeRole::Looking,
        Role::Discovering | Role::Syncing => NodeRole::Syncing,
        Role::Leading => NodeRole::Leader,
        Role::Following => NodeRole::Follower,
    }
}

impl Node {
    /// The node's status; takes a few short locks, never asks the core.
    pub(crate) fn status(&self) -> Status {
        let view = lock(&self.view).clone();
        let (applied_zxid, digest, znodes, sessions) = {
            let tree = read(&self.tree);
            (tree.applied(), tree.digest(), tree.znodes(), tree.sessions().count() as u64)
        };
        let uptime = self.clock.uptime();
        let mut faults = self.faults.words();
        faults.extend(self.peers.problems(self.clock.uptime_ms()));
        let me = self.config.me;
        Status {
            node: me,
            address: self.config.address.to_string(),
            ensemble: self.config.ensemble.to_string(),
            role: role_of(view.role),
            epoch: view.epoch,
            last_zxid: view.last_zxid,
            committed_zxid: view.committed,
            applied_zxid,
            leader: view.leader.unwrap_or_default(),
            peers: self.config.ensemble.others(me).map(|peer| self.peer_status(peer, &view.acked)).collect(),
            sessions,
            watches: lock(&self.watches).len() as u64,
            connections: self.clients.count() as u64,
            znodes,
            queue: view.queue as u64,
            writes: self.metrics.writes.get(),
            reads: self.metrics.reads.get(),
            fsync_p99_us: self.metrics.fsync.p99_us(uptime),
            write_p99_us: self.metrics.write.p99_us(uptime),
            rss_bytes: rss_bytes(),
            uptime_ms: self.clock.uptime_ms(),
            digest,
            pid: std::process::id(),
            build: env!("CARGO_PKG_VERSION").to_owned(),
            disk_full: view.disk_full,
            faults,
            epoch_ends: view.epoch_ends.into_iter().filter(|end| *end > Zxid::ZERO).collect(),
        }
    }

    /// One of the reasons, if there is any, why others do not work with this node.
    pub(crate) fn problem(&self) -> Option<String> {
        self.peers.problems(self.clock.uptime_ms()).pop_first()
    }

    fn peer_status(&self, id: NodeId, acked: &[(NodeId, Zxid)]) -> PeerStatus {
        let peer = self.peers.get(id);
        let now_ms = self.clock.uptime_ms();
        let heard_ms_ago = peer.heard_ms.map_or(u64::MAX, |heard| now_ms.saturating_sub(heard));
        PeerStatus {
            node: id,
            connected: peer.link.is_some() && !self.faults.blocks(id),
            heard_ms_ago,
            acked_zxid: acked.iter().find(|(peer, _)| *peer == id).map(|(_, zxid)| *zxid).unwrap_or_default(),
            problem: peer
                .problem
                .filter(|problem| problem.is_known(now_ms))
                .map(|problem| problem.text)
                .unwrap_or_default(),
        }
    }

    /// The sessions of the ensemble.
    pub(crate) fn sessions(&self) -> Vec<SessionInfo> {
        let tree = read(&self.tree);
        let info = |(session, record): (zw_core::ids::SessionId, &zw_core::tree::Session)| SessionInfo {
            session,
            timeout_ms: record.timeout_ms,
            generation: record.generation,
            ephemerals: tree.count_ephemerals(session),
        };
        tree.sessions().map(info).collect()
    }
}

/// Resident memory of this process; 0 where it cannot be read.
fn rss_bytes() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|text| text.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok()));
    pages.unwrap_or(0) * rustix::param::page_size() as u64
}
