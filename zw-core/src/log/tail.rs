//! The end of the log that is written to: what bytes a batch of records becomes there.
//!
//! Laying out changes nothing: [`Tail::advance`] does, once the bytes are on disk. So after a write that failed for
//! want of space, the same records can be laid out again at the same place.

use super::block::{self, Kind, LogId, Place};
use super::outline::Outline;
use super::recover::RecoveredLog;
use crate::ids::NodeId;
use crate::limits::BATCH_BYTES_MAX;
use bytes::Bytes;

/// Where the next block goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tail {
    log: LogId,
    node: NodeId,
    incarnation: u32,
    sequence: u64,
    offset: u64,
    position: u64,
    chain: u32,
}

/// Blocks that are ready to be written at the tail's offset of the tail's segment.
#[derive(Debug)]
pub struct Layout {
    /// How many of the records are in them.
    pub records: usize,
    /// The blocks.
    pub bytes: Vec<u8>,
    chain: u32,
}

impl Tail {
    /// The tail of a log that has nothing yet, not even the start of segment 1.
    #[must_use]
    pub fn new(log: LogId, node: NodeId) -> Tail {
        Tail { log, node, incarnation: 0, sequence: 1, offset: 0, position: 0, chain: 0 }
    }

    /// The tail of a log that was recovered. Whoever writes there has made all before it durable first.
    ///
    /// # Panics
    /// If the log was opened 4 billion times.
    #[must_use]
    pub fn after(recovered: &RecoveredLog, log: LogId, node: NodeId) -> Tail {
        let incarnation = recovered.incarnation.checked_add(1).expect("a log is opened less than 4 billion times");
        let end = recovered.end;
        let (sequence, offset, position, chain) = (end.sequence, end.offset, end.position, end.chain);
        Tail { log, node, incarnation, sequence, offset, position, chain }
    }

    /// The segment.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Where in the segment; 0 while it has not even its start.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Where in the stream.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Lays out as many of `records` as the segment has room for, into `buffer`, which is empty. A record that is larger
    /// than a segment gets one of its own. What comes at offset 0 begins with the segment's start.
    #[must_use]
    pub fn lay_out(&self, records: &[Bytes], segment_bytes: u64, outline: &Outline, buffer: Vec<u8>) -> Layout {
        assert!(buffer.is_empty(), "a layout begins with an empty buffer");
        let mut layout = Layout { records: 0, bytes: buffer, chain: self.chain };
        if self.offset == 0 {
            let start = outline.start(self.node).encode();
            self.write(&mut layout, Kind::Start, std::iter::once(&start[..]));
        }
        let is_fresh = self.offset <= block::START_BYTES as u64;
        while layout.records < records.len() {
            let rest = &records[layout.records..];
            let room = segment_bytes.saturating_sub(self.offset + layout.bytes.len() as u64);
            let mut count = count_that_fit(rest, room);
            if count == 0 && is_fresh && layout.records == 0 {
                count = 1;
            }
            if count == 0 {
                break;
            }
            self.write(&mut layout, Kind::Records, rest[..count].iter().map(|record| &record[..]));
            layout.records += count;
        }
        layout
    }

    /// Lays out a block without records, which says that all before it is durable; `None` if there is no room.
    #[must_use]
    pub fn lay_out_seal(&self, segment_bytes: u64) -> Option<Layout> {
        let mut layout = Layout { records: 0, bytes: Vec::new(), chain: self.chain };
        let fits = self.offset > 0 && self.offset + block::size(0) as u64 <= segment_bytes;
        fits.then(|| self.write(&mut layout, Kind::Records, std::iter::empty()))?;
        Some(layout)
    }

    /// The layout is on disk.
    pub fn advance(&mut self, layout: &Layout) {
        self.offset += layout.bytes.len() as u64;
        self.position += layout.bytes.len() as u64;
        self.chain = layout.chain;
    }

    /// Goes on in the next segment. All before it is durable.
    ///
    /// # Panics
    /// If nothing was written to this one.
    pub fn begin_segment(&mut self) {
        assert!(self.offset > 0, "a segment without a block has room for a record of any size");
        self.sequence += 1;
        self.offset = 0;
    }

    fn write<'a>(&self, layout: &mut Layout, kind: Kind, body: impl Iterator<Item = &'a [u8]>) {
        let place = Place {
            previous: layout.chain,
            incarnation: self.incarnation,
            sequence: self.sequence,
            position: self.position + layout.bytes.len() as u64,
            // Every sync is waited for before the next write, so all that was there before this batch is durable.
            durable: self.position,
        };
        layout.chain = block::write(&mut layout.bytes, self.log, kind, &place, body);
    }
}

/// How many of the first records fit one block of at most `room` bytes.
fn count_that_fit(records: &[Bytes], room: u64) -> usize {
    let mut body = 0;
    for (count, record) in records.iter().enumerate() {
        let with = body + record.len();
        if block::size(with) as u64 > room || (with > BATCH_BYTES_MAX && count > 0) {
            return count;
        }
        body = with;
    }
    records.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Zxid;
    use crate::log::block::{START_BYTES, Start};
    use crate::log::record::{Promise, SnapshotId};

    /// A log that has the start of its first segment and nothing else.
    fn begun() -> (Tail, Outline) {
        let start =
            Start { node: NodeId(1), promise: Promise::default(), last: Zxid::ZERO, snapshot: SnapshotId::default() };
        let outline = Outline::new(1, &start);
        let mut tail = Tail::new(LogId(7), NodeId(1));
        let layout = tail.lay_out(&[], 4_096, &outline, Vec::new());
        tail.advance(&layout);
        (tail, outline)
    }

    fn records(lengths: &[usize]) -> Vec<Bytes> {
        lengths.iter().map(|length| Bytes::from(vec![0; *length])).collect()
    }

    /// The place in the segment starts anew with each; that in the stream goes on.
    #[test]
    fn a_tail_knows_where_it_is() {
        let (mut tail, outline) = begun();
        let start = START_BYTES as u64;
        assert_eq!((tail.sequence(), tail.offset(), tail.position()), (1, start, start));
        tail.begin_segment();
        assert_eq!((tail.sequence(), tail.offset(), tail.position()), (2, 0, start));
        let layout = tail.lay_out(&records(&[9]), 4_096, &outline, Vec::new());
        tail.advance(&layout);
        assert_eq!(tail.position(), start + tail.offset());
    }

    #[test]
    fn a_seal_is_laid_out_where_it_has_room_behind_something() {
        let (tail, _) = begun();
        let end = (START_BYTES + block::size(0)) as u64;
        assert_eq!(tail.lay_out_seal(end).map(|layout| layout.bytes.len()), Some(block::size(0)));
        assert!(tail.lay_out_seal(end - 1).is_none());
        assert!(Tail::new(LogId(7), NodeId(1)).lay_out_seal(4_096).is_none(), "a segment begins with its start");
    }

    /// A block is as long as its segment has room for, and holds as many records as a batch; one that is larger than
    /// either has a block of its own.
    #[test]
    fn as_many_records_as_fit_make_a_block() {
        let room = |body| block::size(body) as u64;
        let fit = |lengths: &[usize], room| count_that_fit(&records(lengths), room);
        assert_eq!(fit(&[8, 8, 8], room(24)), 3);
        assert_eq!(fit(&[8, 8, 8], room(24) - 1), 2);
        assert_eq!(fit(&[8], room(8) - 1), 0);
        let (all, half) = (u64::MAX, BATCH_BYTES_MAX / 2);
        assert_eq!(fit(&[half, half], all), 2);
        assert_eq!(fit(&[half, half, 1], all), 2);
        assert_eq!(fit(&[BATCH_BYTES_MAX + 1, 1], all), 1);
        assert_eq!(fit(&[1, BATCH_BYTES_MAX + 1], all), 1);
        assert_eq!(fit(&[1, 1, BATCH_BYTES_MAX], all), 2);
    }
}
