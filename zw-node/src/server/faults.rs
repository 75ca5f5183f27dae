//! Faults on request, for the console and for tests: each is a lease, so a node whose tormentor dies heals by itself.
//!
//! Invariants:
//! - Without a lease a fault costs one atomic load where it would act.
//! - A lease ends by its time, by a request with no time, or with the connection that asked for it.
//! - A cut link loses nothing: like a network that drops packets, it holds bytes back until it heals.
//! - Nor does a lossy one: what is lost at first comes late, as TCP sends it again. Which frames those are follows from
//!   the lease alone, so the same lease hits the same ones.

use super::locks::lock;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use zw_core::ids::{ConnectionId, NodeId};
use zw_core::limits::{FAULT_LEASES_MAX, LOSS_DELAY};
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
    /// Chooses the frames that are lost.
    random: u64,
}

impl Lease {
    /// Whether any of so many frames is lost.
    fn loses_any(&mut self, frames: usize) -> bool {
        // Each has its own chance, also after one that was lost.
        (0..frames)
            .fold(false, |is_lost, _| (next_random(&mut self.random) % 1_000 < self.fault.delay_ms.into()) | is_lost)
    }

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
            // Another beginning for each peer, or all links would lose the same frames.
            let random = u64::from(fault.peer.0);
            leases.push(Lease { fault, until, connection, random });
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

    /// How late so many frames to `peer` are: they go out together, so one that is lost at first holds up all.
    pub(crate) fn delay(&self, peer: NodeId, frames: usize) -> Duration {
        if !self.any.load(Ordering::Acquire) {
            return Duration::ZERO;
        }
        let mut leases = lock(&self.leases);
        let late = leases.iter().find(|lease| lease.is_about(FaultKind::DelayLink, peer));
        let late = late.map_or(Duration::ZERO, |lease| Duration::from_millis(lease.fault.delay_ms.into()));
        let lossy = leases.iter_mut().find(|lease| lease.is_about(FaultKind::LoseLink, peer));
        if lossy.is_some_and(|lease| lease.loses_any(frames)) { late + LOSS_DELAY } else { late }
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
            FaultKind::LoseLink => {
                let (percent, tenth) = (delay_ms / 10, delay_ms % 10);
                format!("{percent}.{tenth} % of the frames {} ms late to {whom}", LOSS_DELAY.as_millis())
            }
        };
        format!("{what} for {:.1} s", self.until.saturating_duration_since(now).as_secs_f64())
    }
}

/// The next number of a generator that is good enough here (splitmix64).
fn next_random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
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

    fn late(faults: &Faults, peer: u16) -> Vec<bool> {
        (0..10_000).map(|_| faults.delay(NodeId(peer), 1) == LOSS_DELAY).collect()
    }

    #[test]
    fn a_lossy_link_is_late_now_and_then_and_the_same_lease_the_same_way() {
        let faults = Faults::default();
        let lossy = |peer, thousandths| Fault { delay_ms: thousandths, ..fault(FaultKind::LoseLink, peer, 60_000) };
        assert!(faults.set(lossy(2, 50), ConnectionId(1)));
        let first = late(&faults, 2);
        let lost = first.iter().filter(|is_late| **is_late).count();
        assert!((400..600).contains(&lost), "{lost} of 10,000 at 5 %");
        assert!(!late(&faults, 3).contains(&true), "another link loses nothing");
        assert!(faults.set(lossy(2, 50), ConnectionId(1)));
        assert_eq!(late(&faults, 2), first);
        assert!(faults.set(lossy(3, 50), ConnectionId(1)));
        assert_ne!(late(&faults, 3), first);
        assert!(faults.words()[0].starts_with("5.0 % of the frames 200 ms late to node 2"), "{:?}", faults.words());
        // With a delay the two add up, and with all lost every frame is late.
        assert!(faults.set(fault(FaultKind::DelayLink, 2, 60_000), ConnectionId(1)));
        assert!(faults.set(lossy(2, 1_000), ConnectionId(1)));
        assert!((0..100).all(|_| faults.delay(NodeId(2), 1) == LOSS_DELAY + Duration::from_millis(7)));
        assert!(faults.set(lossy(2, 5), ConnectionId(1)));
        let together = (0..100).filter(|_| faults.delay(NodeId(2), 1_000) > LOSS_DELAY).count();
        assert!(together > 90, "of many frames that go together, one is lost at most times: {together}");
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
