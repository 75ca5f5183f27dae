//! Faults on request, for the console and for tests: each is a lease, so a node whose tormentor dies heals by itself.
//!
//! Invariants:
//! - Without a lease a fault costs one atomic load where it would act.
//! - A lease ends by its time, by a request with no time, or with the connection that asked for it.
//! - A cut link loses nothing: like a network that drops packets, it holds bytes back until it heals.

use super::locks::lock;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use zw_core::ids::{ConnectionId, NodeId};
use zw_core::limits::FAULT_LEASES_MAX;
use zw_core::wire::admin::{Fault, FaultKind};

/// The leases of a node.
#[derive(Default)]
pub(crate) struct Faults {
    leases: Mutex<Vec<Lease>>,
    any: AtomicBool,
    changed: Notify,
}

struct Lease {
    fault: Fault,
    until: Instant,
    connection: Option<ConnectionId>,
}

impl Lease {
    fn is_about(&self, kind: FaultKind, peer: NodeId) -> bool {
        self.fault.kind == kind && (self.fault.peer == peer || self.fault.peer == NodeId(0))
    }
}

impl Faults {
    /// Begins, renews or (with no time) ends a lease. False if there are too many.
    pub(crate) fn set(&self, fault: Fault, connection: ConnectionId) -> bool {
        let mut leases = lock(&self.leases);
        leases.retain(|lease| lease.fault.kind != fault.kind || lease.fault.peer != fault.peer);
        let fits = leases.len() < FAULT_LEASES_MAX;
        if fits && fault.ttl_ms > 0 {
            let until = Instant::now() + Duration::from_millis(fault.ttl_ms.into());
            let connection = fault.with_connection.then_some(connection);
            leases.push(Lease { fault, until, connection });
        }
        self.update(&leases);
        fits
    }

    /// Ends the leases that were to end with this connection.
    pub(crate) fn disconnected(&self, connection: ConnectionId) {
        if self.any.load(Ordering::Acquire) {
            let mut leases = lock(&self.leases);
            leases.retain(|lease| lease.connection != Some(connection));
            self.update(&leases);
        }
    }

    /// Ends leases as their time comes, and keeps the disk as slow as they say; never returns.
    pub(crate) async fn expire(&self, slow_disk: impl Fn(Duration)) {
        loop {
            let changed = self.changed.notified();
            slow_disk(self.slow_disk());
            let next = {
                let mut leases = lock(&self.leases);
                let (before, now) = (leases.len(), Instant::now());
                leases.retain(|lease| lease.until > now);
                if leases.len() < before {
                    self.update(&leases);
                }
                leases.iter().map(|lease| lease.until).min()
            };
            match next {
                Some(next) => {
                    tokio::select! {
                        () = tokio::time::sleep_until(next.into()) => {}
                        () = changed => {}
                    }
                }
                None => changed.await,
            }
        }
    }

    fn update(&self, leases: &[Lease]) {
        self.any.store(!leases.is_empty(), Ordering::Release);
        self.changed.notify_waiters();
    }

    fn find(&self, wanted: impl Fn(&Lease) -> bool) -> Option<Duration> {
        if !self.any.load(Ordering::Acquire) {
            return None;
        }
        let leases = lock(&self.leases);
        leases.iter().find(|lease| wanted(lease)).map(|lease| Duration::from_millis(lease.fault.delay_ms.into()))
    }

    /// Whether bytes to `peer` are held back.
    pub(crate) fn blocks_out(&self, peer: NodeId) -> bool {
        self.find(|lease| lease.is_about(FaultKind::CutLink, peer) || lease.is_about(FaultKind::CutOut, peer)).is_some()
    }

    /// Whether bytes from `peer` are held back.
    pub(crate) fn blocks_in(&self, peer: NodeId) -> bool {
        self.find(|lease| lease.is_about(FaultKind::CutLink, peer) || lease.is_about(FaultKind::CutIn, peer)).is_some()
    }

    /// Whether no new connection with `peer` may be made.
    pub(crate) fn blocks(&self, peer: NodeId) -> bool {
        self.blocks_out(peer) || self.blocks_in(peer)
    }

    /// How late bytes to `peer` are.
    pub(crate) fn delay(&self, peer: NodeId) -> Duration {
        self.find(|lease| lease.is_about(FaultKind::DelayLink, peer)).unwrap_or_default()
    }

    /// How much longer the disk takes.
    pub(crate) fn slow_disk(&self) -> Duration {
        self.find(|lease| lease.fault.kind == FaultKind::SlowDisk).unwrap_or_default()
    }

    /// Returns once `blocked` no longer holds.
    pub(crate) async fn wait_while(&self, blocked: impl Fn(&Faults) -> bool) {
        loop {
            let changed = self.changed.notified();
            if !blocked(self) {
                return;
            }
            changed.await;
        }
    }

    /// The active leases, in words.
    pub(crate) fn words(&self) -> Vec<String> {
        if !self.any.load(Ordering::Acquire) {
            return Vec::new();
        }
        let now = Instant::now();
        lock(&self.leases).iter().map(|lease| lease.words(now)).collect()
    }
}

impl Lease {
    fn words(&self, now: Instant) -> String {
        let Fault { kind, peer, delay_ms, .. } = self.fault;
        let whom = if peer == NodeId(0) { "all nodes".to_owned() } else { format!("node {peer}") };
        let what = match kind {
            FaultKind::CutLink => format!("cut off from {whom}"),
            FaultKind::CutOut => format!("nothing goes to {whom}"),
            FaultKind::CutIn => format!("nothing comes from {whom}"),
            FaultKind::DelayLink => format!("{delay_ms} ms late to {whom}"),
            FaultKind::SlowDisk => format!("disk {delay_ms} ms slower"),
        };
        format!("{what} for {:.1} s", self.until.saturating_duration_since(now).as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn fault(kind: FaultKind, peer: u16, ttl_ms: u32) -> Fault {
        Fault { kind, peer: NodeId(peer), delay_ms: 7, ttl_ms, with_connection: true }
    }

    #[test]
    fn a_lease_acts_on_its_peer_and_ends_on_request_or_with_its_connection() {
        let faults = Faults::default();
        assert!(faults.set(fault(FaultKind::CutOut, 2, 60_000), ConnectionId(1)));
        assert!(faults.set(fault(FaultKind::SlowDisk, 0, 60_000), ConnectionId(2)));
        assert!(faults.blocks_out(NodeId(2)) && !faults.blocks_in(NodeId(2)) && !faults.blocks(NodeId(3)));
        assert_eq!(faults.slow_disk(), Duration::from_millis(7));
        assert_eq!(faults.words().len(), 2);
        faults.disconnected(ConnectionId(2));
        assert_eq!(faults.slow_disk(), Duration::ZERO);
        assert!(faults.set(fault(FaultKind::CutOut, 2, 0), ConnectionId(9)));
        assert!(!faults.blocks_out(NodeId(2)) && faults.words().is_empty());
    }

    #[test]
    fn leases_are_bounded() {
        let faults = Faults::default();
        let set =
            |peer: usize| faults.set(fault(FaultKind::CutIn, u16::try_from(peer).unwrap(), 60_000), ConnectionId(1));
        assert!((0..FAULT_LEASES_MAX).all(set));
        assert!(!set(FAULT_LEASES_MAX));
    }

    #[tokio::test]
    async fn a_lease_ends_by_its_time() {
        let faults = Arc::new(Faults::default());
        let expiry = tokio::spawn({
            let faults = faults.clone();
            async move { faults.expire(|_| {}).await }
        });
        assert!(faults.set(fault(FaultKind::CutLink, 2, 10), ConnectionId(1)));
        let healed = faults.wait_while(|faults| faults.blocks(NodeId(2)));
        tokio::time::timeout(Duration::from_secs(30), healed).await.expect("the lease ends");
        expiry.abort();
    }
}
