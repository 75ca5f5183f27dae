//! Blocks: how batches of records lie in a segment of the log, so that recovery can tell a torn tail from damage.
//!
//! Invariants:
//! - A block's checksum covers all of it but the magic and the checksum itself, and the [`LogId`], which is not stored:
//!   bytes of another log, and bytes that a client chose, are never taken for a block.
//! - A block names its segment's sequence, so what a recycled file held before is never taken for new.
//! - A block names the checksum of the block before it, across segments: the blocks are one chain in one order.
//! - `durable` is a position below which every byte was on disk before the block was written. So a bad block below the
//!   `durable` of any later block was on disk once, and is damage; a bad block above all of them may be a torn write.
//!
//! ```text
//! offset  0      4      8       12    13       14        16        20           24        32        40       48
//!         magic  crc32  length  kind  version  reserved  previous  incarnation  sequence  position  durable  body ..
//!         u32    u32    u32     u8    u8       u16       u32       u32          u64       u64       u64
//! ```
//!
//! All numbers are big-endian. `length` counts header and body; zeros up to the next multiple of 8, which the checksum
//! covers too, end the block. The body of a [`Kind::Records`] block is records, one after the other; that of a
//! [`Kind::Start`] block, the first of a segment, is a [`Start`].

use super::record::{Promise, RECORD_BYTES_MAX, SnapshotId};
use crate::ids::{Epoch, NodeId, Zxid};
use crate::limits::BATCH_BYTES_MAX;
use bytes::{Buf, BufMut};
use thiserror::Error;

/// Blocks start at multiples of this, so that a block's length is never torn.
pub const ALIGNMENT: usize = 8;
/// Bytes before a block's body.
pub const HEADER_BYTES: usize = 48;
/// Bytes of a segment's first block.
pub const START_BYTES: usize = HEADER_BYTES + START_BODY_BYTES;
/// Largest block: a full batch, or a single record that is larger.
pub const BLOCK_BYTES_MAX: usize =
    HEADER_BYTES + if BATCH_BYTES_MAX > RECORD_BYTES_MAX { BATCH_BYTES_MAX } else { RECORD_BYTES_MAX } + ALIGNMENT;
/// The version of blocks and records that this program writes and reads.
pub const FORMAT_VERSION: u8 = 1;

const MAGIC: u32 = 0x5a57_4c47; // "ZWLG"
const START_BODY_BYTES: usize = 40;

/// The random number of one node's log, drawn when its directory is made. Part of every checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LogId(pub u64);

/// What a block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The first of a segment.
    Start,
    /// Records, or none where only `durable` is news.
    Records,
}

/// What the header of a block says about its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// The checksum of the block before; 0 before the first.
    pub previous: u32,
    /// How often the log was opened: what a torn write of a former life left can never continue the chain of this one.
    pub incarnation: u32,
    /// The sequence of the segment.
    pub sequence: u64,
    /// Where the block starts in the stream: the bytes of all blocks before it.
    pub position: u64,
    /// All bytes of the stream below this were on disk when the block was written.
    pub durable: u64,
}

/// A block that was read and whose checksum holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block<'a> {
    /// What it is.
    pub kind: Kind,
    /// Where it is.
    pub place: Place,
    /// Its checksum.
    pub crc: u32,
    /// Its content.
    pub body: &'a [u8],
    /// The bytes it takes, padding included.
    pub bytes: usize,
}

/// The state at the start of a segment, from which the log can be replayed without the segments before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// Whose log it is.
    pub node: NodeId,
    /// The promise in force.
    pub promise: Promise,
    /// The last entry that stands before the segment.
    pub last: Zxid,
    /// The newest snapshot recorded before the segment.
    pub snapshot: SnapshotId,
}

/// Why the bytes at a place are not a block.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum BlockError {
    /// There is no file of that segment.
    #[error("the file is missing")]
    NoFile,
    /// The file ends.
    #[error("the file ends")]
    End,
    /// No block starts there: the space was never written, or what was written is gone.
    #[error("no block starts there")]
    Absent,
    /// A block of another segment: what a recycled file held before.
    #[error("a block of segment {0} stands there")]
    Stale(u64),
    /// The length is outside what any block has, or beyond the file.
    #[error("a block claims to have {0} bytes")]
    Length(usize),
    /// The bytes are not those that were written.
    #[error("the block's checksum does not match")]
    Checksum,
    /// Written by another version of this program.
    #[error("the block has format version {0}; this program knows version {FORMAT_VERSION}")]
    Version(u8),
    /// The checksum holds but the block does not follow the one before it.
    #[error("the block does not follow the one before it")]
    Chain,
    /// The checksum holds but the content is of unknown form.
    #[error("the block's content is of unknown form")]
    Form,
}

impl Start {
    /// The body of a segment's first block.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(START_BODY_BYTES);
        body.put_u16(self.node.0);
        body.put_u16(0);
        body.put_u16(0);
        body.put_u16(self.promise.leader.0);
        body.put_u64(u64::from(self.promise.epoch.0));
        body.put_u64(self.last.0);
        body.put_u64(self.snapshot.zxid.0);
        body.put_u64(self.snapshot.digest);
        body
    }

    /// Reads what [`Start::encode`] wrote.
    #[must_use]
    pub fn decode(mut body: &[u8]) -> Option<Start> {
        if body.len() != START_BODY_BYTES {
            return None;
        }
        let node = NodeId(body.get_u16());
        let reserved = body.get_u32();
        let leader = NodeId(body.get_u16());
        let epoch = Epoch(u32::try_from(body.get_u64()).ok()?);
        let last = Zxid(body.get_u64());
        let snapshot = SnapshotId { zxid: Zxid(body.get_u64()), digest: body.get_u64() };
        (reserved == 0).then_some(Start { node, promise: Promise { epoch, leader }, last, snapshot })
    }
}

/// The bytes that a block with a body of `body` bytes takes.
#[must_use]
pub fn size(body: usize) -> usize {
    (HEADER_BYTES + body).next_multiple_of(ALIGNMENT)
}

/// Appends a block to `out` and returns its checksum.
///
/// # Panics
/// If the body is too large for a block, or `out` does not end at a multiple of [`ALIGNMENT`].
pub fn write<'a>(
    out: &mut Vec<u8>,
    log: LogId,
    kind: Kind,
    place: &Place,
    body: impl Iterator<Item = &'a [u8]>,
) -> u32 {
    let start = out.len();
    assert!(start.is_multiple_of(ALIGNMENT), "blocks are aligned");
    out.put_u32(MAGIC);
    out.put_u64(0);
    out.put_slice(&[kind.number(), FORMAT_VERSION, 0, 0]);
    out.put_u32(place.previous);
    out.put_u32(place.incarnation);
    out.put_u64(place.sequence);
    out.put_u64(place.position);
    out.put_u64(place.durable);
    body.for_each(|piece| out.put_slice(piece));
    let length = out.len() - start;
    out.resize(start + length.next_multiple_of(ALIGNMENT), 0);
    assert!(out.len() - start <= BLOCK_BYTES_MAX, "a block of {length} bytes was asked for");
    let length = u32::try_from(length).expect("a block is far below 4 GiB");
    out[start + 8..start + 12].copy_from_slice(&length.to_be_bytes());
    let crc = checksum(log, &out[start + 8..]);
    out[start + 4..start + 8].copy_from_slice(&crc.to_be_bytes());
    crc
}

/// Whether a block may start here: the cheap test of those that [`read`] makes.
#[must_use]
pub fn may_start(bytes: &[u8]) -> bool {
    bytes.starts_with(&MAGIC.to_be_bytes())
}

/// Reads the block of segment `sequence` at the start of `bytes`, at `position` of the stream where that is known.
///
/// # Errors
/// There is none. All that is cheap to see is looked at before the checksum, so that searching for blocks in what a
/// client wrote takes no longer than reading it.
pub fn read(log: LogId, sequence: u64, position: Option<u64>, bytes: &[u8]) -> Result<Block<'_>, BlockError> {
    if bytes.len() < HEADER_BYTES {
        return Err(BlockError::End);
    }
    let mut header = &bytes[..HEADER_BYTES];
    if header.get_u32() != MAGIC {
        return Err(BlockError::Absent);
    }
    let crc = header.get_u32();
    let length = header.get_u32() as usize;
    let (kind, version, reserved) = (header.get_u8(), header.get_u8(), header.get_u16());
    let (previous, incarnation) = (header.get_u32(), header.get_u32());
    let (named, stands, durable) = (header.get_u64(), header.get_u64(), header.get_u64());
    if named != sequence {
        return Err(BlockError::Stale(named));
    }
    if position.is_some_and(|position| position != stands) {
        return Err(BlockError::Chain);
    }
    let padded = length.next_multiple_of(ALIGNMENT);
    if !(HEADER_BYTES..=BLOCK_BYTES_MAX).contains(&length) || padded > bytes.len() {
        return Err(BlockError::Length(length));
    }
    if crc != checksum(log, &bytes[8..padded]) {
        return Err(BlockError::Checksum);
    }
    if version != FORMAT_VERSION {
        return Err(BlockError::Version(version));
    }
    let kind = Kind::of(kind).filter(|_| reserved == 0).ok_or(BlockError::Form)?;
    let place = Place { previous, incarnation, sequence: named, position: stands, durable };
    Ok(Block { kind, place, crc, body: &bytes[HEADER_BYTES..length], bytes: padded })
}

fn checksum(log: LogId, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&log.0.to_be_bytes());
    hasher.update(bytes);
    hasher.finalize()
}

impl Kind {
    fn number(self) -> u8 {
        match self {
            Kind::Start => 1,
            Kind::Records => 2,
        }
    }

    fn of(number: u8) -> Option<Kind> {
        [Kind::Start, Kind::Records].into_iter().find(|kind| kind.number() == number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: LogId = LogId(77);
    const PLACE: Place = Place { previous: 5, incarnation: 1, sequence: 3, position: 4_096, durable: 4_000 };

    fn written(body: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut out, LOG, Kind::Records, &PLACE, [body].into_iter());
        out
    }

    #[test]
    fn a_block_reads_back() {
        for length in 0..40 {
            let body: Vec<u8> = (0..length).collect();
            let bytes = written(&body);
            assert_eq!(bytes.len(), size(body.len()));
            let block = read(LOG, 3, None, &bytes).unwrap();
            assert_eq!((block.kind, block.place, block.body), (Kind::Records, PLACE, &body[..]));
            assert_eq!(block.bytes, bytes.len());
        }
    }

    #[test]
    fn any_changed_bit_any_cut_and_any_stranger_is_an_error() {
        let good = written(b"records");
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(read(LOG, 3, None, &bad).is_err(), "bit {bit}");
        }
        for length in 0..good.len() {
            assert!(read(LOG, 3, None, &good[..length]).is_err());
        }
        assert_eq!(read(LogId(78), 3, None, &good), Err(BlockError::Checksum));
        assert_eq!(read(LOG, 4, None, &good), Err(BlockError::Stale(3)));
    }

    #[test]
    fn a_start_reads_back() {
        let start = Start {
            node: NodeId(2),
            promise: Promise { epoch: Epoch(9), leader: NodeId(3) },
            last: Zxid::new(Epoch(8), 70),
            snapshot: SnapshotId { zxid: Zxid::new(Epoch(8), 60), digest: 11 },
        };
        let body = start.encode();
        assert_eq!(size(body.len()), START_BYTES);
        assert_eq!(Start::decode(&body), Some(start));
        assert_eq!(Start::decode(&body[1..]), None);
    }
}
