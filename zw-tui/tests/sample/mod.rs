//! What the tests of the screens share: what an ordinary node says of itself, of which a test changes what it is about; and
//! a console without a terminal.

#![allow(dead_code, reason = "every test uses a part of it")]

pub(crate) mod script;

use zw_core::ids::{NodeId, Zxid};
use zw_core::wire::admin::{NodeRole, Status};

/// A node of `127.0.0.1` that leads if it is the leader, follows it if there is one, and has committed and applied all of
/// its log, up to `last`.
pub(crate) fn status(node: u16, leader: u16, last: Zxid) -> Status {
    Status {
        node: NodeId(node),
        address: format!("127.0.0.1:{}", 8079 + node),
        ensemble: String::new(),
        role: match leader {
            0 => NodeRole::Looking,
            _ if leader == node => NodeRole::Leader,
            _ => NodeRole::Follower,
        },
        epoch: last.epoch(),
        last_zxid: last,
        committed_zxid: last,
        applied_zxid: last,
        leader: NodeId(leader),
        peers: Vec::new(),
        sessions: 3,
        watches: 1,
        connections: 2,
        znodes: 12,
        queue: 0,
        writes: last.counter(),
        reads: 0,
        fsync_p99_us: 720,
        write_p99_us: 1_900,
        rss_bytes: 18 << 20,
        uptime_ms: 10_000,
        digest: last.0,
        pid: 41_200 + u32::from(node),
        build: "0.1.0".into(),
        disk_full: false,
        faults: Vec::new(),
        epoch_ends: vec![last],
    }
}
