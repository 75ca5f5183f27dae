//! The faults of a run: what is done, to whom and for how long, all drawn from the seed. (What comes of it is not: real
//! processes and real time.)
//!
//! | class | faults |
//! |---|---|
//! | partition | one node apart, halves, one way only, a bridge between two halves, one link, links one by one and back in another order; bytes held, or connections reset and refused |
//! | link | all late, all slow, all connections reset |
//! | process | one killed, the leader killed, all killed at once, rolling restart, one stopped (SIGSTOP), the leader stopped |
//! | disk | slow; full (ENOSPC) where small disks can be mounted |
//!
//! Some come together with a partition. After each everything heals, links or processes first, and the next one comes
//! soon after, often before the ensemble has recovered.

use crate::availability::Timeline;
use crate::logs::{self, Archive};
use crate::proxy::Rule;
use crate::supervisor::Cluster;
use crate::verdict::Failure;
use crate::workload::Record;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::sleep;
use zw_core::wire::admin::NodeRole;
use zw_sim::prng::Prng;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Isolate,
    Halves,
    OneWay,
    Bridge,
    OneLink,
    Swizzle,
    Late,
    Slow,
    Resets,
    Kill,
    KillLeader,
    KillAll,
    Rolling,
    Stop,
    StopLeader,
    SlowDisk,
    FullDisk,
}

const ALL: [Fault; 17] = [
    Fault::Isolate,
    Fault::Halves,
    Fault::OneWay,
    Fault::Bridge,
    Fault::OneLink,
    Fault::Swizzle,
    Fault::Late,
    Fault::Slow,
    Fault::Resets,
    Fault::Kill,
    Fault::KillLeader,
    Fault::KillAll,
    Fault::Rolling,
    Fault::Stop,
    Fault::StopLeader,
    Fault::SlowDisk,
    Fault::FullDisk,
];

/// Who does all that.
pub(crate) struct Nemesis<'a> {
    cluster: &'a mut Cluster,
    record: &'a Record,
    prng: Prng,
    timeline: Timeline,
    counts: BTreeMap<String, u64>,
    /// Kinds that are still to come before any comes again.
    deck: Vec<Fault>,
    says: bool,
    archive: Archive,
}

impl<'a> Nemesis<'a> {
    pub(crate) fn new(cluster: &'a mut Cluster, record: &'a Record, prng: Prng, says: bool) -> Nemesis<'a> {
        let (timeline, counts, archive) = (Timeline::default(), BTreeMap::new(), Archive::new());
        let mut nemesis = Nemesis { cluster, record, prng, timeline, counts, deck: Vec::new(), says, archive };
        nemesis.note();
        nemesis
    }

    /// Injects faults until `duration` is over or a violation is known; everything is healed then.
    pub(crate) async fn run(&mut self, duration: Duration) -> Result<(), Failure> {
        let end = self.record.now() + u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        while self.record.now() < end && self.record.history().violation.is_none() {
            let fault = self.draw();
            // Some last longer than a node, or a client, has patience.
            let (low, high) = if self.prng.chance(200) { (3_500, 8_000) } else { (200, 2_500) };
            let lasts = Duration::from_millis(self.prng.between(low, high));
            if self.prng.chance(300) {
                // Beneath another fault.
                let kind = self.prng.pick(&[Fault::Isolate, Fault::Halves, Fault::OneWay, Fault::OneLink]);
                let victim = self.prng.index(self.cluster.size());
                self.partition(kind, victim);
            }
            self.inject(fault, lasts).await?;
            self.heal().await?;
            self.cluster.all_live()?;
            self.look_at_logs().await?;
            let pause = Duration::from_millis(self.prng.exponential(600));
            self.wait(pause).await;
        }
        Ok(())
    }

    pub(crate) fn finish(self) -> (Timeline, BTreeMap<String, u64>, Archive) {
        (self.timeline, self.counts, self.archive)
    }

    /// Keeps what the nodes know to be committed, before a snapshot takes it out of a log.
    async fn look_at_logs(&mut self) -> Result<(), Failure> {
        for index in 0..self.cluster.size() {
            if let Some(status) = self.cluster.status(index).await {
                logs::glance(&self.cluster.data(index), status.committed_zxid, &mut self.archive)?;
            }
        }
        Ok(())
    }

    /// Each kind comes once before one comes again, so that a short run has many of them.
    fn draw(&mut self) -> Fault {
        loop {
            if self.deck.is_empty() {
                self.deck = ALL.to_vec();
                self.prng.shuffle(&mut self.deck);
            }
            match self.deck.pop() {
                Some(Fault::FullDisk) if self.cluster.small_disks.is_none() => {}
                Some(Fault::Bridge) if self.cluster.size() < 4 => {}
                Some(fault) => return fault,
                None => {}
            }
        }
    }

    fn note(&mut self) {
        self.timeline.note(self.record.now(), self.cluster.has_connected_quorum());
    }

    async fn wait(&mut self, duration: Duration) {
        self.note();
        sleep(duration).await;
    }

    fn count(&mut self, what: &str, detail: &str) {
        *self.counts.entry(what.to_owned()).or_default() += 1;
        if self.says {
            println!("{:>9.3} s  {what}{detail}", self.record.now() as f64 / 1e6);
        }
    }

    async fn inject(&mut self, fault: Fault, lasts: Duration) -> Result<(), Failure> {
        let victim = match fault {
            Fault::KillLeader | Fault::StopLeader => self.leader().await,
            _ => self.prng.index(self.cluster.size()),
        };
        let name = format!(" (node {}, {} ms)", victim + 1, lasts.as_millis());
        match fault {
            Fault::Isolate | Fault::Halves | Fault::OneWay | Fault::Bridge | Fault::OneLink => {
                self.partition(fault, victim);
                self.wait(lasts).await;
            }
            Fault::Swizzle => self.swizzle(lasts).await,
            Fault::Late | Fault::Slow => {
                let delay = Duration::from_millis(self.prng.between(10, 400));
                let late = Rule { delay, ..Rule::default() };
                let slow = Rule { bytes_per_s: self.prng.between(2_000, 50_000), ..Rule::default() };
                self.count(if fault == Fault::Late { "links late" } else { "links slow" }, &name);
                self.rule_all(if fault == Fault::Late { late } else { slow });
                self.wait(lasts).await;
            }
            Fault::Resets => {
                self.count("all links reset", "");
                self.cut_all();
            }
            Fault::Kill | Fault::KillLeader => {
                self.count(if fault == Fault::Kill { "node killed" } else { "leader killed" }, &name);
                self.cluster.kill(victim)?;
                self.wait(lasts).await;
            }
            Fault::KillAll => {
                self.count("all killed at once", "");
                (0..self.cluster.size()).try_for_each(|index| self.cluster.kill(index))?;
            }
            Fault::Rolling => self.rolling().await?,
            Fault::Stop | Fault::StopLeader => {
                self.count(if fault == Fault::Stop { "node stopped" } else { "leader stopped" }, &name);
                self.cluster.stop(victim, true)?;
                self.wait(lasts).await;
            }
            Fault::SlowDisk => {
                self.count("disk slow", &name);
                let delay = Duration::from_millis(self.prng.between(20, 500));
                self.cluster.slow_disk(victim, delay, lasts).await;
                self.wait(lasts).await;
            }
            Fault::FullDisk => self.full_disk(victim, lasts).await,
        }
        Ok(())
    }

    /// The leader, or any if none is known.
    async fn leader(&mut self) -> usize {
        for index in 0..self.cluster.size() {
            if self.cluster.status(index).await.is_some_and(|status| status.role == NodeRole::Leader) {
                return index;
            }
        }
        self.prng.index(self.cluster.size())
    }

    fn partition(&mut self, fault: Fault, victim: usize) {
        let size = self.cluster.size();
        let mut order: Vec<usize> = (0..size).collect();
        self.prng.shuffle(&mut order);
        let half = &order[..size / 2];
        let bridge = order[size - 1];
        let (one, other) = (order[0], order[1]);
        let outward = self.prng.chance(500);
        let blocked = |from: usize, to: usize| match fault {
            Fault::Isolate => from == victim || to == victim,
            Fault::OneWay => {
                if outward {
                    from == victim
                } else {
                    to == victim
                }
            }
            Fault::Halves => half.contains(&from) != half.contains(&to),
            Fault::Bridge => half.contains(&from) != half.contains(&to) && from != bridge && to != bridge,
            _ => (from, to) == (one, other) || (from, to) == (other, one),
        };
        let resets = fault != Fault::OneWay && self.prng.chance(300);
        let rule =
            if resets { Rule { refuse: true, ..Rule::default() } } else { Rule { hold: true, ..Rule::default() } };
        for from in 0..size {
            for to in (0..size).filter(|to| *to != from && blocked(from, *to)) {
                self.cluster.network.set(from, to, rule);
                if resets {
                    self.cluster.network.cut(from, to);
                }
            }
        }
        let what = match fault {
            Fault::Isolate => "partition: one apart",
            Fault::OneWay => "partition: one way",
            Fault::Halves => "partition: halves",
            Fault::Bridge => "partition: bridge",
            _ => "partition: one link",
        };
        self.count(what, if resets { " (reset)" } else { " (held)" });
    }

    /// Holds some links one after the other, then opens them again in another order.
    async fn swizzle(&mut self, lasts: Duration) {
        let size = self.cluster.size();
        let pairs = (0..size).flat_map(|from| (0..size).map(move |to| (from, to))).filter(|(from, to)| from != to);
        let mut links: Vec<(usize, usize)> = pairs.collect();
        self.prng.shuffle(&mut links);
        links.truncate(self.prng.index(size * (size - 1)) + 1);
        self.count("links clogged one by one", "");
        let step = lasts / u32::try_from(2 * links.len()).unwrap_or(1);
        for (from, to) in links.clone() {
            self.cluster.network.set(from, to, Rule { hold: true, ..Rule::default() });
            self.wait(step).await;
        }
        self.prng.shuffle(&mut links);
        for (from, to) in links {
            self.cluster.network.set(from, to, Rule::default());
            self.wait(step).await;
        }
    }

    fn rule_all(&self, rule: Rule) {
        let size = self.cluster.size();
        for from in 0..size {
            (0..size).filter(|to| *to != from).for_each(|to| self.cluster.network.set(from, to, rule));
        }
    }

    fn cut_all(&self) {
        let size = self.cluster.size();
        for one in 0..size {
            (0..one).for_each(|other| self.cluster.network.cut(one, other));
        }
    }

    async fn rolling(&mut self) -> Result<(), Failure> {
        self.count("rolling restart", "");
        let mut order: Vec<usize> = (0..self.cluster.size()).collect();
        self.prng.shuffle(&mut order);
        for index in order {
            self.cluster.kill(index)?;
            self.note();
            self.cluster.start(index).await?;
            let pause = Duration::from_millis(self.prng.below(600));
            self.wait(pause).await;
        }
        Ok(())
    }

    async fn full_disk(&mut self, victim: usize, lasts: Duration) {
        self.count("disk full", &format!(" (node {})", victim + 1));
        if let Some(disks) = &self.cluster.small_disks {
            disks.fill(victim);
        }
        self.wait(lasts).await;
        if self.cluster.status(victim).await.is_some_and(|status| status.disk_full) {
            self.count("disk full, and the node said so", "");
        }
    }

    /// Ends every fault and starts what does not run.
    async fn heal(&mut self) -> Result<(), Failure> {
        if self.prng.chance(500) {
            self.cluster.network.heal();
        }
        for index in 0..self.cluster.size() {
            if let Some(disks) = &self.cluster.small_disks {
                disks.free(index);
            }
            if !self.cluster.is_running(index) {
                self.cluster.start(index).await?;
            } else if !self.cluster.is_up(index) {
                self.cluster.stop(index, false)?;
            }
        }
        self.cluster.network.heal();
        self.note();
        Ok(())
    }
}
