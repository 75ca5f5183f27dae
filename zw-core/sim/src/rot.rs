//! Damage to bytes that were durable: a disk that forgets, and what the product must make of it.
//!
//! Fault model: one piece of a log's live bytes changes, a bit or up to a sector of them, or what was written to one
//! place lands on another as well. A log is damaged once; and never are more nodes damaged than an ensemble can lose
//! for good, because Zab cannot survive that (see [`World::may_damage`]).
//!
//! What is promised (docs/wal-format.md), no more and no less: damage that any later write of the same log knows of is
//! refused at the next start. Damage that reaches the last write looks like a torn tail and is not always noticed.
//! Either way the damaged node stays out, and the others must go on without it.

use crate::logfile::LogFile;
use crate::prng::Prng;
use crate::world::World;
use std::ops::Range;
use zw_core::tree::Tree;
use zw_core::tree::snapshot::{Decoder, encode};

/// Most bytes that rot at once.
const ROT_BYTES_MAX: usize = 512;

/// What was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// In this segment.
    pub sequence: u64,
    /// Bytes of it.
    pub range: Range<usize>,
}

/// How bytes become wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rot {
    /// They change where they are.
    Bits,
    /// Those of another place are written over them.
    Misdirected,
}

impl LogFile {
    /// Damages the live log somewhere, once; answers whether anything changed.
    pub fn rot(&mut self, rot: Rot, prng: &mut Prng) -> bool {
        let all: Vec<(u64, Range<usize>)> = self
            .writes
            .iter()
            .flat_map(|(sequence, writes)| writes.iter().map(|range| (*sequence, range.clone())))
            .collect();
        if self.damage.is_some() || all.is_empty() {
            return false;
        }
        let (sequence, write) = all[prng.index(all.len())].clone();
        let live = self.writes[&sequence].last().map_or(0, |last| last.end);
        let start = write.start + prng.index(write.len());
        let bytes = match rot {
            Rot::Bits => {
                let length = if prng.chance(500) { 1 } else { 1 + prng.index(ROT_BYTES_MAX) };
                let old = &self.segments[&sequence][start..live.min(start + length)];
                old.iter()
                    .map(|byte| if length == 1 { byte ^ (1 << prng.below(8)) } else { !byte })
                    .collect::<Vec<u8>>()
            }
            Rot::Misdirected => {
                let (other, range) = all[prng.index(all.len())].clone();
                let start = start & !7;
                let bytes = self.segments[&other][range].to_vec();
                let length = bytes.len().min(live - start);
                return self.damage_with(sequence, start, &bytes[..length]);
            }
        };
        self.damage_with(sequence, start, &bytes)
    }

    fn damage_with(&mut self, sequence: u64, start: usize, bytes: &[u8]) -> bool {
        let Some(segment) = self.segments.get_mut(&sequence) else { return false };
        let range = start..start + bytes.len();
        if segment[range.clone()] == *bytes {
            return false;
        }
        segment[range.clone()].copy_from_slice(bytes);
        self.damage = Some(Damage { sequence, range });
        true
    }

    /// What is damaged.
    #[must_use]
    pub fn damage(&self) -> Option<&Damage> {
        self.damage.as_ref()
    }

    /// Whether nothing was written behind the damage that could bear witness to it.
    #[must_use]
    pub fn is_last_write_damaged(&self) -> bool {
        let last = self.writes.iter().rev().find_map(|(sequence, writes)| Some((*sequence, writes.last()?.start)));
        match (&self.damage, last) {
            (Some(damage), Some((sequence, start))) => damage.sequence == sequence && damage.range.end > start,
            _ => false,
        }
    }

    /// What a node that takes all damage for a torn tail would see: the log ends there.
    pub(crate) fn cut_at_damage(&mut self) {
        let Some(Damage { sequence, range }) = self.damage.take() else { return };
        self.segments.retain(|other, _| *other <= sequence);
        if let Some(segment) = self.segments.get_mut(&sequence) {
            segment[range.start..].fill(0);
        }
        if let Some(writes) = self.writes.get_mut(&sequence) {
            writes.retain(|write| write.end <= range.start);
        }
    }
}

/// Whether the product's reader refuses the file of a snapshot once one bit of it has changed.
pub(crate) fn is_rotten_snapshot_refused(tree: Tree, prng: &mut Prng) -> bool {
    let (zxid, digest) = (tree.applied(), tree.digest());
    let mut bytes: Vec<u8> = encode(tree).flat_map(|piece| piece.to_vec()).collect();
    let at = prng.index(bytes.len());
    bytes[at] ^= 1 << prng.below(8);
    let mut decoder = Decoder::new();
    let read = decoder.push(&bytes).and_then(|()| decoder.finish());
    !read.is_ok_and(|tree| (tree.applied(), tree.digest()) == (zxid, digest))
}

impl World {
    /// Whether one more node may be damaged for good: a quorum must stay whole.
    fn may_damage(&self, node: usize) -> bool {
        let damaged = self.nodes.iter().filter(|home| home.disk.is_damaged()).count();
        let size = self.nodes.len();
        !self.nodes[node].disk.is_damaged() && damaged < size - (size / 2 + 1)
    }

    /// Durable bytes of the node's log change.
    pub(crate) fn rot_log(&mut self, node: usize, rot: Rot) -> bool {
        let struck = self.may_damage(node) && self.nodes[node].disk.rot_log(rot);
        if struck {
            self.note(node, || format!("has a damaged log: {rot:?}"));
        }
        struck
    }

    /// The newest snapshot file of the node becomes unreadable.
    pub(crate) fn rot_snapshot(&mut self, node: usize) -> bool {
        let struck = self.may_damage(node) && self.nodes[node].disk.rot_snapshot();
        if struck {
            self.note(node, || "has a damaged snapshot".to_owned());
        }
        struck
    }

    /// The next write to the log, or to a snapshot file, fails.
    pub(crate) fn fail_disk(&mut self, node: usize) -> bool {
        let of_log = self.fault_prng.chance(600);
        self.nodes[node].disk.fail_next(of_log);
        true
    }

    /// Both clocks of the node go forward at once.
    pub(crate) fn jump_clock(&mut self, node: usize) -> bool {
        let by = self.fault_prng.exponential(crate::clock::SECOND).max(1);
        let home = &mut self.nodes[node];
        home.clock.jump(by);
        if let Some(process) = &mut home.process {
            process.timer_at = None;
        }
        self.push(node, zw_core::zab::effects::Input::Tick);
        self.note(node, || format!("has its clocks jump by {} ms", by / crate::clock::MILLISECOND));
        true
    }

    /// Whether the node will never start again, because of damage.
    pub(crate) fn is_out(&self, node: usize) -> bool {
        self.nodes[node].process.is_none() && self.nodes[node].disk.refusal().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zw_core::ids::{Epoch, NodeId, Zxid};
    use zw_core::log::record::{Entry, Promise, Record};

    /// A log of twelve writes over several segments.
    fn log(number: u64) -> LogFile {
        let mut file = LogFile::new(NodeId(1), number, 600);
        file.write(&[Record::Promise(Promise { epoch: Epoch(1), leader: NodeId(1) })]);
        for counter in 0..11 {
            let payload = if counter == 0 { Vec::new() } else { vec![7; 100] };
            file.write(&[Record::Entry(Entry::new(Zxid::new(Epoch(1), counter), 0, &payload))]);
        }
        file
    }

    #[test]
    fn damage_is_refused_unless_it_reaches_the_last_write() {
        let (mut refused, mut torn) = (0, 0);
        for seed in 0..1_000 {
            let prng = &mut Prng::new(seed);
            let mut file = log(seed);
            let rot = if seed % 2 == 0 { Rot::Bits } else { Rot::Misdirected };
            if !file.rot(rot, prng) {
                continue;
            }
            let is_last = file.is_last_write_damaged();
            match file.clone().recover() {
                Err(_) => refused += 1,
                Ok(found) => {
                    assert!(is_last, "seed {seed}: {:?} is not noticed", file.damage());
                    assert!(found.last_zxid() < Zxid::new(Epoch(1), 10), "seed {seed}: damaged bytes are served");
                    torn += 1;
                }
            }
        }
        assert!(refused > 700 && torn > 20, "{refused} refused, {torn} that look torn");
    }

    #[test]
    fn a_cut_log_is_read_up_to_the_damage() {
        let mut file = log(3);
        assert!(file.rot(Rot::Bits, &mut Prng::new(4)));
        assert!(file.clone().recover().is_err());
        file.cut_at_damage();
        assert!(file.recover().is_ok_and(|found| found.last_zxid() < Zxid::new(Epoch(1), 10)));
    }

    #[test]
    fn a_changed_bit_in_a_snapshot_is_noticed() {
        let refused = |seed| is_rotten_snapshot_refused(Tree::new(), &mut Prng::new(seed));
        assert!((0..300).all(refused));
    }
}
