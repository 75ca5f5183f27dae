//! The faults that the world injects, and when.
//!
//! Fault model: classes are independent; each that the seed enables strikes at exponentially distributed intervals
//! and, where it lasts, heals by itself. Any number may be in force at once, and any number of nodes may be down: an
//! ensemble without a quorum must stall, not lie. Durable bytes are damaged on so few nodes that a quorum stays whole
//! (see `rot`): Zab cannot survive more. Disks are not wiped.

use crate::clock::{Micros, SECOND};
use crate::event::Event;
use crate::rot::Rot;
use crate::world::World;

/// A class of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// A node loses power between two events.
    Crash,
    /// A node will lose power between two effects of its next step.
    CrashBetweenEffects,
    /// Leaders lose power soon after they have written their marker, as often as not.
    CrashNewLeader,
    /// All nodes lose power.
    CrashAll,
    /// The nodes are restarted one after the other.
    RollingRestart,
    /// A process stands still for a while; its disk and its sockets do not.
    Pause,
    /// One node is cut off from all others.
    Isolate,
    /// The nodes fall into two halves.
    Halves,
    /// One node hears, but is not heard; or the reverse.
    OneWay,
    /// One direction of one link stands still.
    Clog,
    /// A random subset of nodes is cut off one by one and comes back in another order.
    Swizzle,
    /// A connection breaks, with what is on its way.
    Reset,
    /// A disk stands still.
    DiskStall,
    /// A disk has no space for a while.
    DiskFull,
    /// The next write to a log or to a snapshot fails.
    DiskError,
    /// Durable bytes of a log change.
    BitRot,
    /// What was written to one place of a log lands on another one as well.
    MisdirectedWrite,
    /// The snapshot that a log builds on becomes unreadable.
    SnapshotRot,
    /// Both clocks of a node jump forward.
    ClockJump,
}

/// Every class, in the order of the report.
pub const FAULTS: [Fault; 19] = [
    Fault::Crash,
    Fault::CrashBetweenEffects,
    Fault::CrashNewLeader,
    Fault::CrashAll,
    Fault::RollingRestart,
    Fault::Pause,
    Fault::Isolate,
    Fault::Halves,
    Fault::OneWay,
    Fault::Clog,
    Fault::Swizzle,
    Fault::Reset,
    Fault::DiskStall,
    Fault::DiskFull,
    Fault::DiskError,
    Fault::BitRot,
    Fault::MisdirectedWrite,
    Fault::SnapshotRot,
    Fault::ClockJump,
];

impl Fault {
    /// Its name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Fault::Crash => "crash",
            Fault::CrashBetweenEffects => "crash between effects",
            Fault::CrashNewLeader => "crash of a new leader",
            Fault::CrashAll => "crash of all",
            Fault::RollingRestart => "rolling restart",
            Fault::Pause => "pause",
            Fault::Isolate => "isolated node",
            Fault::Halves => "partition into halves",
            Fault::OneWay => "one-way partition",
            Fault::Clog => "clogged link",
            Fault::Swizzle => "swizzle-clog",
            Fault::Reset => "connection reset",
            Fault::DiskStall => "disk stall",
            Fault::DiskFull => "disk full",
            Fault::DiskError => "disk error",
            Fault::BitRot => "bit rot",
            Fault::MisdirectedWrite => "misdirected write",
            Fault::SnapshotRot => "snapshot rot",
            Fault::ClockJump => "clock jump",
        }
    }
}

/// What must be undone when a fault ends.
#[derive(Clone, Debug)]
pub enum Undo {
    /// These directed links were blocked.
    Links(Vec<(usize, usize)>),
    /// This node's disk was full.
    DiskSpace(usize),
    /// Nodes of a rolling restart that are still to come.
    Roll(Vec<usize>),
}

impl World {
    /// Lets `fault` strike, and schedules its next time.
    pub(crate) fn strike(&mut self, fault: Fault) {
        let Some(mean) = self.options.faults.iter().find(|(class, _)| *class == fault).map(|(_, mean)| *mean) else {
            return;
        };
        let again = self.fault_prng.exponential(mean).max(1);
        self.agenda.after(again, Event::Fault(fault));
        let node = self.fault_prng.index(self.nodes.len());
        let struck = match fault {
            Fault::Crash => self.crash(node, "power loss"),
            Fault::CrashBetweenEffects => self.arm_crash(node),
            // Struck by `leader_established`.
            Fault::CrashNewLeader => false,
            Fault::CrashAll => {
                let crashed = (0..self.nodes.len()).filter(|node| self.crash(*node, "power loss of all")).count();
                crashed > 0
            }
            Fault::RollingRestart => self.roll((0..self.nodes.len()).collect()),
            Fault::Pause => self.pause(node),
            Fault::Isolate => self.block(|from, to| (from == node) != (to == node)),
            Fault::Halves => self.block_halves(),
            Fault::OneWay => {
                let hears = self.fault_prng.chance(500);
                self.block(|from, to| if hears { from == node } else { to == node })
            }
            Fault::Clog => {
                let other = self.fault_prng.index(self.nodes.len());
                self.block(|from, to| (from, to) == (node, other))
            }
            Fault::Swizzle => self.swizzle(),
            Fault::Reset => self.reset_connection(),
            Fault::DiskStall => self.stall_disk(node),
            Fault::DiskFull => self.fill_disk(node),
            Fault::DiskError => self.fail_disk(node),
            Fault::BitRot => self.rot_log(node, Rot::Bits),
            Fault::MisdirectedWrite => self.rot_log(node, Rot::Misdirected),
            Fault::SnapshotRot => self.rot_snapshot(node),
            Fault::ClockJump => self.jump_clock(node),
        };
        if struck {
            self.counts.add(fault.name());
            self.disturb();
        }
    }

    /// A leader writes its marker: half of them die before or soon after anyone has it, where that fault is enabled.
    pub(crate) fn leader_established(&mut self, node: usize, incarnation: u32) {
        self.counts.add("leader established");
        let enabled = self.options.faults.iter().any(|(fault, _)| *fault == Fault::CrashNewLeader);
        if enabled && self.fault_prng.chance(500) {
            let lives = self.fault_prng.exponential(2 * self.options.network.delay_mean + 1_000);
            self.agenda.after(lives, Event::LeaderDies { node, incarnation });
        }
    }

    /// Ends the fault numbered `fault`.
    pub(crate) fn heal(&mut self, fault: u64) {
        self.disturb();
        match self.undo.remove(&fault) {
            Some(Undo::Links(links)) => self.unblock(&links),
            Some(Undo::DiskSpace(node)) => self.disk_space(node, false),
            Some(Undo::Roll(rest)) => {
                self.roll(rest);
            }
            None => {}
        }
    }

    /// Ends every fault that is in force.
    pub(crate) fn heal_all(&mut self) {
        self.options.faults.clear();
        let open: Vec<u64> = self.undo.keys().copied().collect();
        for fault in open {
            if !matches!(self.undo.get(&fault), Some(Undo::Roll(_))) {
                self.heal(fault);
            }
        }
        self.undo.clear();
    }

    fn until_healed(&mut self, mean: Micros, undo: Undo) {
        let lasts = self.fault_prng.exponential(mean).max(1);
        self.fault_number += 1;
        self.undo.insert(self.fault_number, undo);
        self.agenda.after(lasts, Event::Heal { fault: self.fault_number });
    }

    fn block(&mut self, blocked: impl Fn(usize, usize) -> bool) -> bool {
        let size = self.nodes.len();
        let all = (0..size).flat_map(|from| (0..size).map(move |to| (from, to)));
        let links: Vec<_> = all.filter(|(from, to)| from != to && blocked(*from, *to)).collect();
        if links.is_empty() {
            return false;
        }
        links.iter().for_each(|(from, to)| self.network.block(*from, *to));
        self.until_healed(self.options.partition_mean, Undo::Links(links));
        true
    }

    fn block_halves(&mut self) -> bool {
        let sides: Vec<bool> = (0..self.nodes.len()).map(|_| self.fault_prng.chance(500)).collect();
        self.block(|from, to| sides[from] != sides[to])
    }

    fn swizzle(&mut self) -> bool {
        let chosen: Vec<usize> = (0..self.nodes.len()).filter(|_| self.fault_prng.chance(500)).collect();
        // Each is healed at its own random time, hence in a random order.
        let blocked = chosen.into_iter().filter(|node| self.block(|from, to| (from == *node) != (to == *node)));
        blocked.count() > 0
    }

    fn unblock(&mut self, links: &[(usize, usize)]) {
        for (from, to) in links {
            self.network.unblock(*from, *to, &mut self.agenda);
        }
    }

    fn reset_connection(&mut self) -> bool {
        self.network.reset_any(&mut self.fault_prng, &mut self.agenda)
    }

    fn roll(&mut self, mut rest: Vec<usize>) -> bool {
        let Some(node) = rest.pop() else { return true };
        self.crash(node, "rolling restart");
        if !rest.is_empty() {
            self.until_healed(SECOND, Undo::Roll(rest));
        }
        true
    }

    fn fill_disk(&mut self, node: usize) -> bool {
        self.disk_space(node, true);
        self.until_healed(2 * SECOND, Undo::DiskSpace(node));
        true
    }
}
