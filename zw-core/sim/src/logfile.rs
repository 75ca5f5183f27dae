//! The bytes of one node's log: the product's own layout and its own recovery, on files that a power loss can tear.
//!
//! Fault model: what was synced stays, but for the damage of `rot`. Of the one write in progress any subset of its sectors is there, or a prefix of
//! its bytes, or all, or nothing; a write that spans segments is several writes, each synced before the next. A new
//! segment is a recycled one that still holds old blocks, or zeros.
//!
//! Invariant: recovery finds exactly what was synced, and of the write in progress a prefix of its records.

use crate::prng::Prng;
use crate::rot::Damage;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::ops::Range;
use zw_core::ids::{NodeId, Zxid};
use zw_core::log::Recovered;
use zw_core::log::block::{LogId, START_BYTES, Start};
use zw_core::log::outline::Outline;
use zw_core::log::record::{Promise, Record, SnapshotId};
use zw_core::log::recover::{RecoveredLog, Recovery};
use zw_core::log::tail::{Layout, Tail};

/// The unit that a power loss keeps or loses.
const SECTOR_BYTES: usize = 512;

/// See the top of this file.
#[derive(Clone)]
pub struct LogFile {
    log: LogId,
    node: NodeId,
    segment_bytes: u64,
    pub(crate) segments: BTreeMap<u64, Vec<u8>>,
    /// Where each synced write of the live segments went.
    pub(crate) writes: BTreeMap<u64, Vec<Range<usize>>>,
    pub(crate) damage: Option<Damage>,
    /// A dropped segment, to be used again.
    spare: Option<Vec<u8>>,
    tail: Tail,
    outline: Outline,
}

impl LogFile {
    /// The log of `node` as its first start leaves it.
    #[must_use]
    pub fn new(node: NodeId, number: u64, segment_bytes: u64) -> LogFile {
        let log = LogId(number);
        let start = Start { node, promise: Promise::default(), last: Zxid::ZERO, snapshot: SnapshotId::default() };
        let (tail, outline) = (Tail::new(log, node), Outline::new(1, &start));
        let layout = tail.lay_out(&[], segment_bytes, &outline, Vec::new());
        let (segments, writes) = (BTreeMap::new(), BTreeMap::new());
        let mut file = LogFile { log, node, segment_bytes, segments, writes, damage: None, spare: None, tail, outline };
        file.put_synced(&layout);
        // The process that made the log ends here; every life begins with a recovery.
        file.recover().expect("an empty log is recovered");
        file
    }

    /// Writes and syncs records.
    pub fn write(&mut self, records: &[Record]) {
        self.write_until(records, |_| false);
        if records.iter().any(|record| matches!(record, Record::Snapshot(_))) {
            self.purge();
        }
    }

    /// Power is lost somewhere in the writing of records.
    pub fn lose_power(&mut self, records: &[Record], prng: &mut Prng) {
        let mut damage = prng.split("tear", prng.clone().draw());
        prng.draw();
        let torn = self.write_until(records, |_| damage.chance(600));
        if let Some(layout) = torn {
            let bytes = damaged(layout.bytes, &mut damage);
            self.put(&bytes);
        }
    }

    /// Lays records out and syncs each layout, up to one for which `stops` says so; answers that one.
    fn write_until(&mut self, records: &[Record], mut stops: impl FnMut(&Layout) -> bool) -> Option<Layout> {
        let encoded: Vec<Bytes> = records.iter().map(Record::encode).collect();
        let mut written = 0;
        while written < encoded.len() {
            let layout = self.tail.lay_out(&encoded[written..], self.segment_bytes, &self.outline, Vec::new());
            if layout.records == 0 {
                self.tail.begin_segment();
                let spare = self.spare.take().unwrap_or_default();
                self.segments.insert(self.tail.sequence(), spare);
                continue;
            }
            if stops(&layout) {
                return Some(layout);
            }
            let begins = self.tail.offset() == 0;
            self.put_synced(&layout);
            if begins {
                self.outline.begin_segment(self.tail.sequence());
            }
            records[written..written + layout.records].iter().for_each(|record| self.outline.apply(record));
            written += layout.records;
        }
        None
    }

    /// Reads everything back as a starting process does, and continues from there.
    ///
    /// # Errors
    /// The log is refused as damaged.
    pub fn recover(&mut self) -> Result<Recovered, String> {
        let found = self.read()?;
        self.tail = Tail::after(&found, self.log, self.node);
        let RecoveredLog { recovered, outline, end, .. } = found;
        let first = outline.segments()[0].sequence;
        self.segments.retain(|sequence, _| (first..=end.sequence).contains(sequence));
        self.writes.retain(|sequence, _| (first..=end.sequence).contains(sequence));
        // What is there of the last life's unfinished write is written once more and synced.
        let writes = self.writes.entry(end.sequence).or_default();
        let (known, offset) = (writes.last().map_or(0, |write| write.end), index(end.offset));
        if known < offset {
            writes.push(known..offset);
        }
        self.outline = outline;
        Ok(recovered)
    }

    fn read(&self) -> Result<RecoveredLog, String> {
        let mut recovery = Recovery::new(self.log, self.node);
        for (sequence, bytes) in &self.segments {
            recovery.segment(*sequence, bytes).map_err(|error| error.to_string())?;
        }
        recovery.finish().map_err(|error| error.to_string())
    }

    /// A recovery that is cut short while it removes what is left over, as the opener does one by one.
    pub fn interrupt_recovery(&mut self, prng: &mut Prng) {
        let Ok(found) = self.read() else { return };
        let live = found.outline.segments()[0].sequence..=found.end.sequence;
        let over: Vec<u64> = self.segments.keys().copied().filter(|sequence| !live.contains(sequence)).collect();
        for sequence in &over[..prng.index(over.len() + 1)] {
            self.segments.remove(sequence);
        }
    }

    /// The newest segment is gone, with the name that nobody made durable.
    pub(crate) fn lose_newest_segment(&mut self) {
        if self.segments.len() > 1 {
            self.segments.pop_last();
        }
    }

    fn purge(&mut self) {
        let Some(second) = self.outline.second_snapshot() else { return };
        for sequence in self.outline.purgeable(second) {
            self.spare = self.segments.remove(&sequence);
            self.writes.remove(&sequence);
            self.damage.take_if(|damage| damage.sequence == sequence);
            self.outline.forget(sequence);
        }
    }

    fn put_synced(&mut self, layout: &Layout) {
        self.put(&layout.bytes);
        let offset = index(self.tail.offset());
        self.writes.entry(self.tail.sequence()).or_default().push(offset..offset + layout.bytes.len());
        self.tail.advance(layout);
    }

    fn put(&mut self, bytes: &[u8]) {
        let size = index(self.segment_bytes).max(START_BYTES);
        let offset = index(self.tail.offset());
        let segment = self.segments.entry(self.tail.sequence()).or_default();
        segment.resize(segment.len().max(size).max(offset + bytes.len()), 0);
        segment[offset..offset + bytes.len()].copy_from_slice(bytes);
    }
}

fn index(offset: u64) -> usize {
    usize::try_from(offset).expect("a segment is in memory")
}

/// What a power loss leaves of a write.
fn damaged(mut bytes: Vec<u8>, prng: &mut Prng) -> Vec<u8> {
    match prng.below(4) {
        0 => bytes.clear(),
        1 => {}
        2 => bytes.truncate(prng.index(bytes.len() + 1)),
        _ => {
            for sector in bytes.chunks_mut(SECTOR_BYTES) {
                if prng.chance(300) {
                    sector.fill(0);
                }
            }
        }
    }
    bytes
}
