//! A node's status as JSON, for people and scripts.

use serde_json::{Value, json};
use zw_core::wire::admin::Status;

/// The status as one JSON object; zxids as `epoch:counter`.
pub(crate) fn json(status: &Status) -> String {
    let peers: Vec<Value> = status
        .peers
        .iter()
        .map(|peer| {
            let heard = Some(peer.heard_ms_ago).filter(|ms| *ms < u64::MAX);
            json!({
                "node": peer.node.0,
                "connected": peer.connected,
                "heard_ms_ago": heard,
                "acked_zxid": peer.acked_zxid.to_string(),
                "problem": Some(&peer.problem).filter(|problem| !problem.is_empty()),
            })
        })
        .collect();
    let text = json!({
        "node": status.node.0,
        "address": status.address,
        "ensemble": status.ensemble,
        "role": status.role.word(),
        "leader": Some(status.leader.0).filter(|leader| *leader > 0),
        "epoch": status.epoch.0,
        "last_zxid": status.last_zxid.to_string(),
        "committed_zxid": status.committed_zxid.to_string(),
        "applied_zxid": status.applied_zxid.to_string(),
        "peers": peers,
        "sessions": status.sessions,
        "watches": status.watches,
        "connections": status.connections,
        "znodes": status.znodes,
        "queue": status.queue,
        "writes": status.writes,
        "reads": status.reads,
        "fsync_p99_us": status.fsync_p99_us,
        "write_p99_us": status.write_p99_us,
        "rss_bytes": status.rss_bytes,
        "uptime_ms": status.uptime_ms,
        "digest": format!("{:016x}", status.digest),
        "pid": status.pid,
        "build": status.build,
        "disk_full": status.disk_full,
        "faults": status.faults,
        "epoch_ends": status.epoch_ends.iter().map(ToString::to_string).collect::<Vec<_>>(),
    });
    format!("{text:#}\n")
}
