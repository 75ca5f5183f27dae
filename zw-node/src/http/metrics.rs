//! A node's metrics for Prometheus.

use crate::server::node::Node;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use zw_core::wire::admin::NodeRole;

/// The metrics at this moment, as text.
pub(super) fn text(node: &Node) -> String {
    let status = node.status();
    let mut registry = Registry::with_prefix("zooweeper");
    let mut gauge = |name: &str, help: &str, value: u64| {
        let gauge = Gauge::<i64>::default();
        gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        registry.register(name, help, gauge);
    };
    gauge("is_leader", "Whether this node leads", u64::from(status.role == NodeRole::Leader));
    let serves = matches!(status.role, NodeRole::Leader | NodeRole::Follower);
    gauge("is_serving", "Whether this node takes writes", u64::from(serves));
    gauge("epoch", "The epoch promised", status.epoch.0.into());
    gauge("znodes", "Znodes in the tree", status.znodes);
    gauge("sessions", "Sessions of the ensemble", status.sessions);
    gauge("watches", "Watches held on this node", status.watches);
    gauge("connections", "Client connections", status.connections);
    gauge("queue", "Requests that wait on this node", status.queue);
    gauge(
        "peers_connected",
        "Peers with a connection",
        status.peers.iter().filter(|peer| peer.connected).count() as u64,
    );
    gauge("applied_zxid", "The last entry applied", status.applied_zxid.0);
    gauge("uncommitted_entries", "Log beyond the commit watermark", lag(&status));
    gauge("fsync_p99_microseconds", "99th percentile of recent fdatasync calls", status.fsync_p99_us);
    gauge("write_p99_microseconds", "99th percentile of recent writes of own clients", status.write_p99_us);
    gauge("resident_memory_bytes", "Resident memory", status.rss_bytes);
    gauge("uptime_milliseconds", "Since the process started", status.uptime_ms);
    gauge("disk_full", "Whether the disk is too full for writes", u64::from(status.disk_full));
    gauge("faults_active", "Fault leases", status.faults.len() as u64);
    let mut counter = |name: &str, help: &str, value: u64| {
        let counter = Counter::<u64>::default();
        counter.inc_by(value);
        registry.register(name, help, counter);
    };
    let metrics = &node.metrics;
    counter("writes", "Writes applied", metrics.writes.get());
    counter("reads", "Reads answered", metrics.reads.get());
    counter("watches_fired", "Watches fired", metrics.watches_fired.get());
    counter("log_bytes", "Bytes given to the log", metrics.log_bytes.get());
    counter("client_connections", "Client connections taken", metrics.connections_taken.get());
    counter("connections_refused", "Connections closed for what they sent", metrics.connections_refused.get());
    counter("suspensions", "Times that this node stopped taking writes", metrics.suspensions.get());
    let mut out = String::new();
    encode(&mut out, &registry).expect("writing to a string cannot fail");
    out
}

/// Entries in the log that are not committed as far as this node knows; within an epoch.
fn lag(status: &zw_core::wire::admin::Status) -> u64 {
    if status.last_zxid.epoch() == status.committed_zxid.epoch() {
        status.last_zxid.counter().saturating_sub(status.committed_zxid.counter())
    } else {
        status.last_zxid.counter()
    }
}
