//! The segment that is written to: what bytes a batch of records becomes there.
//!
//! Laying out changes nothing: [`Active::advance`] does, once the bytes are on disk. So after a failed write the same
//! records can be laid out again at the same place.

use super::disk::DiskFile;
use bytes::Bytes;
use std::sync::Arc;
use zw_core::ids::NodeId;
use zw_core::limits::BATCH_BYTES_MAX;
use zw_core::log::block::{self, Kind, LogId, Place};
use zw_core::log::outline::Outline;

/// The segment that is written to, and where.
pub(super) struct Active {
    pub(super) file: Arc<dyn DiskFile>,
    pub(super) log: LogId,
    pub(super) node: NodeId,
    pub(super) incarnation: u32,
    pub(super) sequence: u64,
    /// Where the next block goes; 0 while the segment has not even its start.
    pub(super) offset: u64,
    /// Where the next block is in the stream.
    pub(super) position: u64,
    /// The checksum of the last block.
    pub(super) chain: u32,
}

/// Blocks that are ready to be written.
pub(super) struct Layout {
    /// How many of the records are in it.
    pub(super) records: usize,
    pub(super) bytes: Vec<u8>,
    chain: u32,
}

impl Active {
    /// Lays out as many of `records` as the segment has room for, in `buffer`, which is empty. A record that is larger
    /// than a segment gets one of its own.
    pub(super) fn lay_out(&self, records: &[Bytes], segment_bytes: u64, outline: &Outline, buffer: Vec<u8>) -> Layout {
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

    /// Lays out a block without records: news of what is durable.
    pub(super) fn lay_out_seal(&self, segment_bytes: u64) -> Option<Layout> {
        let mut layout = Layout { records: 0, bytes: Vec::new(), chain: self.chain };
        let fits = self.offset > 0 && self.offset + block::size(0) as u64 <= segment_bytes;
        fits.then(|| self.write(&mut layout, Kind::Records, std::iter::empty()))?;
        Some(layout)
    }

    /// Writes the layout and makes it durable.
    pub(super) fn write_and_sync(&self, layout: &Layout) -> std::io::Result<()> {
        self.file.write_all_at(&layout.bytes, self.offset)?;
        self.file.sync_data()
    }

    /// The layout is on disk.
    pub(super) fn advance(&mut self, layout: &Layout) {
        self.offset += layout.bytes.len() as u64;
        self.position += layout.bytes.len() as u64;
        self.chain = layout.chain;
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
