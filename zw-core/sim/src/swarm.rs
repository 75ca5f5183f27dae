//! What kind of world a seed is: each draws its size, its speeds, its limits and the classes of its faults.
//!
//! Small limits and rare combinations find the defects at the boundaries (TigerBeetle's swarm testing).

use crate::client::{ClientOptions, SessionOptions};
use crate::clock::{MILLISECOND, Micros, SECOND};
use crate::disk::DiskOptions;
use crate::fault::{FAULTS, Fault};
use crate::network::NetworkOptions;
use crate::prng::Prng;
use crate::sabotage::Sabotage;
use std::time::Duration;
use zw_core::zab::{Limits, Timing};

/// Everything that a seed decides before its world begins.
#[derive(Clone, Debug)]
pub struct Options {
    /// The seed.
    pub seed: u64,
    /// Whether this is a world of rivals.
    pub has_rivals: bool,
    /// Members of the ensemble.
    pub voters: usize,
    /// Random clients.
    pub client_count: usize,
    /// How long the world is hostile.
    pub safety: Micros,
    /// How long the world may then take to recover.
    pub liveness: Micros,
    /// The links.
    pub network: NetworkOptions,
    /// The disks.
    pub disk: DiskOptions,
    /// The clients.
    pub clients: ClientOptions,
    /// Their sessions.
    pub sessions: SessionOptions,
    /// The classes of faults, with the mean time between two of a class.
    pub faults: Vec<(Fault, Micros)>,
    /// Mean time that a crashed node is down.
    pub restart_mean: Micros,
    /// Mean time that a process is paused.
    pub pause_mean: Micros,
    /// Mean time that links are blocked.
    pub partition_mean: Micros,
    /// Whether clocks drift.
    pub skewed_clocks: bool,
    /// Entries between two snapshots of a node.
    pub snapshot_interval: Option<u64>,
    /// Entries between two comparisons of digests.
    pub digest_interval: u64,
    /// Most inputs that a process takes at once.
    pub drain_max: u64,
    /// Mean time until a process takes what waits.
    pub run_delay: Micros,
    /// The protocol's own waits.
    pub timing: Timing,
    /// The protocol's own bounds.
    pub limits: Limits,
    /// A defect that is built in.
    pub sabotage: Option<Sabotage>,
    /// Whether the oracle that trusts zxids only takes notes, so that the other one must find everything.
    pub is_zxid_silent: bool,
}

impl Options {
    /// The world of `seed`.
    #[must_use]
    pub fn of(seed: u64, sabotage: Option<Sabotage>) -> Options {
        let mut prng = Prng::new(seed).split("swarm", 0);
        let prng = &mut prng;
        let voters = prng.pick(&[1, 2, 3, 3, 3, 3, 4, 5, 5, 5, 6, 7]);
        // From a rack to the far side of the world.
        let (delay_min, delay_mean) =
            prng.pick(&[(20, 50), (100, 400), (500, 2_000), (2_000, 10_000), (20_000, 30_000)]);
        let timing = timing(prng, delay_min + delay_mean);
        let options = Options {
            seed,
            has_rivals: false,
            voters,
            client_count: usize::try_from(prng.between(1, 8)).expect("small"),
            safety: prng.between(5, 40) * SECOND,
            liveness: 60 * SECOND,
            network: NetworkOptions {
                delay_min,
                delay_mean,
                loss_per_mille: prng.pick(&[0, 0, 1, 20, 100]),
                break_per_mille: prng.pick(&[0, 300, 1_000]),
                codec: prng.chance(250),
            },
            disk: DiskOptions {
                latency_min: prng.pick(&[10, 100, 1_000]),
                latency_mean: prng.pick(&[50, 1_000, 5_000, 20_000]),
                snapshot_mean: prng.pick(&[1, 50, 500]) * MILLISECOND,
                slow_per_mille: prng.pick(&[0, 0, 1, 20]),
                segment_bytes: prng.pick(&[256, 1_024, 4_096, 65_536]),
            },
            clients: clients(prng),
            sessions: SessionOptions::of(Prng::new(seed).split("sessions", 0)),
            faults: [faults(prng), disk_faults(seed)].concat(),
            restart_mean: prng.pick(&[1, 100, 500, 3_000]) * MILLISECOND,
            pause_mean: prng.pick(&[50, 500, 3_000]) * MILLISECOND,
            partition_mean: prng.pick(&[50, 500, 2_000, 5_000]) * MILLISECOND,
            skewed_clocks: prng.chance(500),
            snapshot_interval: prng.pick(&[None, Some(5), Some(20), Some(50), Some(200)]),
            digest_interval: prng.pick(&[4, 32, 256]),
            drain_max: prng.pick(&[1, 2, 8, 64]),
            run_delay: prng.pick(&[1, 20, 100, 1_000]),
            timing,
            limits: limits(prng),
            sabotage,
            is_zxid_silent: false,
        };
        let mut kind = Prng::new(seed).split("kind", 0);
        if kind.chance(RIVALS_PER_MILLE) { options.with_rivals(&mut kind) } else { options }
    }

    /// A world of rivals: several nodes lead and propose at once, to followers that come and go between them.
    ///
    /// Elections are over faster than news travels, single directions are blocked for about as long as patience lasts
    /// and then let everything through, leaders die with their first records out, and counters run out, which deposes
    /// a leader without breaking a connection. So old words and new ones of two leaders meet at one follower.
    fn with_rivals(self, prng: &mut Prng) -> Options {
        let heartbeat = prng.pick(&[5, 10, 20]) * MILLISECOND;
        let timeout = heartbeat * prng.pick(&[3, 4]);
        let pace = prng.pick(&[1, 1, 3]);
        let classes = [
            (Fault::Clog, 1),
            (Fault::OneWay, 4),
            (Fault::Isolate, 6),
            (Fault::Pause, 4),
            (Fault::CrashBetweenEffects, 5),
            (Fault::CrashNewLeader, 5),
            (Fault::DiskStall, 5),
            (Fault::Reset, 10),
        ];
        let faults =
            classes.iter().filter(|_| prng.chance(700)).map(|(fault, mean)| (*fault, pace * mean * 2 * timeout));
        Options {
            has_rivals: true,
            faults: faults.collect(),
            voters: prng.pick(&[3, 3, 5]),
            safety: prng.between(3, 12) * SECOND,
            network: NetworkOptions {
                delay_min: prng.pick(&[20, 100, 500]),
                delay_mean: prng.pick(&[50, 400, 2_000]),
                break_per_mille: prng.pick(&[0, 0, 300]),
                ..self.network
            },
            disk: DiskOptions {
                latency_min: prng.pick(&[10, 1_000]),
                latency_mean: prng.pick(&[50, 2_000, 10_000]),
                ..self.disk
            },
            clients: ClientOptions { think_mean: prng.pick(&[2, 5, 20]) * MILLISECOND, ..self.clients },
            restart_mean: prng.pick(&[1, 20, 100]) * MILLISECOND,
            pause_mean: prng.pick(&[1, 2]) * timeout,
            partition_mean: prng.pick(&[1, 2, 4]) * timeout,
            drain_max: prng.pick(&[1, 8, 64]),
            run_delay: prng.pick(&[1, 100]),
            timing: Timing {
                heartbeat: Duration::from_micros(heartbeat),
                follower_timeout: Duration::from_micros(timeout),
                settle: Duration::from_micros(prng.pick(&[1, 100, 1_000])),
                settle_at_start: Duration::from_millis(1),
            },
            limits: Limits {
                window_records: prng.pick(&[1, 1, 4]),
                // Not fewer than the probes of the end, which all write at once: else each epoch ends before it commits.
                counter_max: if prng.chance(600) { prng.between(8, 30) } else { self.limits.counter_max },
                ..self.limits
            },
            ..self
        }
    }
}

fn timing(prng: &mut Prng, delay: Micros) -> Timing {
    let heartbeat = prng.pick(&[20, 100, 100, 200]) * MILLISECOND;
    let timeout = (heartbeat * prng.pick(&[3, 5, 5, 8])).max(delay * 8);
    let settle = prng.pick(&[1, 10, 10, 50]) * MILLISECOND;
    let settle_at_start = prng.pick(&[0, 50, 200, 200]) * MILLISECOND;
    Timing {
        heartbeat: Duration::from_micros(heartbeat),
        follower_timeout: Duration::from_micros(timeout),
        settle: Duration::from_micros(settle),
        settle_at_start: Duration::from_micros(settle_at_start.max(settle)),
    }
}

/// The least that a leader keeps for a member that fetches a snapshot. Were it less than what is committed during a fetch,
/// the member would fetch for ever, and no leader could help it.
const PINNED_LOG_BYTES_MIN: usize = 4_000;

fn limits(prng: &mut Prng) -> Limits {
    let usual = Limits::default();
    let retained_log_bytes = prng.pick(&[0, 300, 2_000, usual.retained_log_bytes]);
    Limits {
        retained_log_bytes,
        pinned_log_bytes: retained_log_bytes.saturating_mul(4).clamp(PINNED_LOG_BYTES_MIN, usual.pinned_log_bytes),
        window_records: prng.pick(&[1, 4, 32, usual.window_records]),
        uncommitted_commands: prng.pick(&[1, 8, 64, usual.uncommitted_commands]),
        // An eighth of the worlds runs out of counters again and again.
        counter_max: if prng.chance(125) { prng.between(8, 60) } else { usual.counter_max },
    }
}

fn clients(prng: &mut Prng) -> ClientOptions {
    ClientOptions {
        think_mean: prng.pick(&[5, 20, 50, 200]) * MILLISECOND,
        pipelining: usize::try_from(prng.pick(&[1, 2, 8, 32])).expect("small"),
        read_per_mille: prng.pick(&[0, 100, 300, 600]),
        barrier_per_mille: prng.pick(&[0, 50, 200]),
        timeout: prng.pick(&[300, 1_000, 5_000]) * MILLISECOND,
        paths: prng.pick(&[1, 3, 8]),
    }
}

/// Most worlds have several classes; some have one alone, and some have none.
fn faults(prng: &mut Prng) -> Vec<(Fault, Micros)> {
    let share = prng.pick(&[0, 100, 300, 300, 600]);
    let pace = prng.pick(&[1, 1, 2, 4]);
    let usual = FAULTS.iter().filter(|fault| !DISK_FAULTS.contains(fault));
    usual.filter(|_| prng.chance(share)).map(|fault| (*fault, pace * mean(*fault))).collect()
}

/// Of a thousand worlds, how many are of rivals.
const RIVALS_PER_MILLE: u64 = 200;

/// Classes with a stream of their own.
const DISK_FAULTS: [Fault; 5] =
    [Fault::DiskError, Fault::BitRot, Fault::MisdirectedWrite, Fault::SnapshotRot, Fault::ClockJump];

/// Disks that fail and clocks that jump, in half of the worlds.
fn disk_faults(seed: u64) -> Vec<(Fault, Micros)> {
    let mut prng = Prng::new(seed).split("disk faults", 0);
    let share = prng.pick(&[0, 0, 0, 200, 500, 1_000]);
    let pace = prng.pick(&[1, 2, 4]);
    DISK_FAULTS.iter().filter(|_| prng.chance(share)).map(|fault| (*fault, pace * mean(*fault))).collect()
}

/// How often a class strikes an eager world.
fn mean(fault: Fault) -> Micros {
    match fault {
        Fault::Crash | Fault::CrashBetweenEffects | Fault::Reset | Fault::Clog => SECOND,
        Fault::Pause | Fault::Isolate | Fault::Halves | Fault::OneWay | Fault::DiskStall => 2 * SECOND,
        Fault::DiskError | Fault::ClockJump | Fault::BitRot | Fault::MisdirectedWrite | Fault::SnapshotRot => {
            3 * SECOND
        }
        Fault::Swizzle | Fault::CrashAll | Fault::DiskFull | Fault::RollingRestart | Fault::CrashNewLeader => {
            5 * SECOND
        }
    }
}
