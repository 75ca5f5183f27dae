//! Recovery: the bytes of a log's segments, oldest first, become records again, or an error that names the place.
//!
//! Fault model and what follows from it:
//! - A crash keeps everything below the last completed sync and an arbitrary part of what was written after it, by
//!   sectors in any combination. The first block that is not whole ends the log; this is the *torn tail*, cut silently.
//! - Bytes that were synced may have changed or be gone. Every block says what was durable before it, so if any block
//!   after the bad one, here or in a later segment, says that the bad one had been durable, it is *damage*: an error.
//!   A log with damage must not be used to vote (protocol.md 2.10).
//! - The bytes of a torn tail stay where they are. They cannot come back: blocks written after a recovery bear another
//!   incarnation, so what follows a torn block can never continue their chain.
//!
//! - Segments that two snapshots made superfluous are removed oldest first, and a crash may leave the last ones of them.
//!   A segment from which the log cannot be replayed, with no snapshot yet, is one of these, if a later one will do.
//!
//! Recovering changes nothing, so recovering twice is recovering once.

use super::block::{self, ALIGNMENT, Block, BlockError, Kind, LogId, START_BYTES, Start};
use super::outline::Outline;
use super::record::{Record, RecordError};
use super::{Recovered, ReplayError};
use crate::ids::{NodeId, Zxid};
use bytes::Bytes;
use thiserror::Error;

/// Takes in the segments one by one.
#[derive(Debug)]
pub struct Recovery {
    log: LogId,
    node: NodeId,
    state: Option<State>,
    /// Why the log cannot be replayed from the segments before, which are superfluous or missed.
    skipped: Option<RecoverError>,
}

/// What a log holds and where it goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoveredLog {
    /// What the records amount to.
    pub recovered: Recovered,
    /// The same without entries, and the segments that were read up to the end.
    pub outline: Outline,
    /// Where the next block belongs.
    pub end: End,
    /// The greatest position that a block vouches for. What lies between it and the end was written, but perhaps never
    /// synced: it must be, before anyone is told of it.
    pub durable: u64,
    /// The greatest incarnation of any block, also of a torn tail's. What is written next must have a greater one.
    pub incarnation: u32,
}

/// The first place without a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// The segment.
    pub sequence: u64,
    /// Where in the segment.
    pub offset: u64,
    /// Where in the stream.
    pub position: u64,
    /// The checksum of the last block.
    pub chain: u32,
}

/// Why a log cannot be used.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum RecoverError {
    /// Bytes that were durable are not what they were.
    #[error(
        "{why} in segment {sequence} at offset {offset}, but the block of segment {later_sequence} at offset \
         {later_offset} says that it had been on disk"
    )]
    Damage {
        /// The segment.
        sequence: u64,
        /// Where in it.
        offset: u64,
        /// What is wrong there.
        why: BlockError,
        /// The segment of the block that knows better.
        later_sequence: u64,
        /// Where in it.
        later_offset: u64,
    },
    /// The log does not begin with a whole segment start, or a segment does not continue the one before it.
    #[error("{why} in segment {sequence} at offset {offset}")]
    Block {
        /// The segment.
        sequence: u64,
        /// Where in it.
        offset: u64,
        /// What is wrong there.
        why: BlockError,
    },
    /// A block is whole and holds something that is not a record.
    #[error("a record in the block of segment {sequence} at offset {offset} cannot be read: {source}")]
    Record {
        /// The segment.
        sequence: u64,
        /// Where its block is.
        offset: u64,
        /// What is wrong with it.
        source: RecordError,
    },
    /// The records are whole and contradict one another.
    #[error("a record in the block of segment {sequence} at offset {offset} cannot be there: {source}")]
    Replay {
        /// The segment.
        sequence: u64,
        /// Where its block is.
        offset: u64,
        /// What is wrong with it.
        source: ReplayError,
    },
    /// The log begins in the middle and no snapshot covers what came before.
    #[error("segment {sequence} begins after {last}, and no snapshot covers what came before: segments are missing")]
    Beginning {
        /// The first segment that is there.
        sequence: u64,
        /// Where it begins.
        last: Zxid,
    },
    /// The log of another node.
    #[error("segment {sequence} belongs to node {found}, not to node {expected}")]
    Node {
        /// The segment.
        sequence: u64,
        /// Whose it is.
        found: NodeId,
        /// Whose it was expected to be.
        expected: NodeId,
    },
    /// There is no segment.
    #[error("there is no segment")]
    Empty,
}

impl RecoverError {
    /// The segment and the offset that the error is about.
    #[must_use]
    pub fn place(&self) -> Option<(u64, u64)> {
        match *self {
            RecoverError::Damage { sequence, offset, .. }
            | RecoverError::Block { sequence, offset, .. }
            | RecoverError::Record { sequence, offset, .. }
            | RecoverError::Replay { sequence, offset, .. } => Some((sequence, offset)),
            RecoverError::Beginning { sequence, .. } | RecoverError::Node { sequence, .. } => Some((sequence, 0)),
            RecoverError::Empty => None,
        }
    }
}

#[derive(Debug)]
struct State {
    found: RecoveredLog,
    /// Whether `recovered.snapshot` is one that was recorded, or the empty beginning; else only its zxid is true: the
    /// last entry before the first segment.
    rooted: bool,
    /// The first place that is not a block of the log, and what is wrong there.
    bad: Bad,
    /// No segment after the end's continues the log.
    stopped: bool,
}

#[derive(Clone, Copy, Debug)]
struct Bad {
    sequence: u64,
    offset: u64,
    why: BlockError,
}

impl Recovery {
    /// Of the log `log` of `node`.
    #[must_use]
    pub fn new(log: LogId, node: NodeId) -> Recovery {
        Recovery { log, node, state: None, skipped: None }
    }

    /// Takes in the next segment's bytes.
    ///
    /// # Errors
    /// The log is damaged, or contradicts itself.
    pub fn segment(&mut self, sequence: u64, bytes: &[u8]) -> Result<(), RecoverError> {
        let result = match self.state.take() {
            None => self.first_segment(sequence, bytes),
            Some(state) => self.next_segment(state, sequence, bytes),
        };
        match result {
            Ok(state) => self.state = Some(state),
            Err(Failure { error, is_superfluous: true }) => self.skipped = Some(error),
            Err(Failure { error, is_superfluous: false }) => return Err(error),
        }
        Ok(())
    }

    /// Where the log ends, as far as it was read.
    #[must_use]
    pub fn end(&self) -> Option<End> {
        self.state.as_ref().map(|state| state.found.end)
    }

    /// What the segments amount to.
    ///
    /// # Errors
    /// There was no segment, or the first ones are missing.
    pub fn finish(self) -> Result<RecoveredLog, RecoverError> {
        let state = self.state.ok_or(self.skipped.unwrap_or(RecoverError::Empty))?;
        if state.rooted {
            return Ok(state.found);
        }
        let first = state.found.outline.segments()[0];
        Err(RecoverError::Beginning { sequence: first.sequence, last: first.last })
    }

    /// The first segment is there because it was synced whole or because those before it were dropped for its sake:
    /// its start cannot be torn.
    fn first_segment(&self, sequence: u64, bytes: &[u8]) -> Result<State, Failure> {
        let block = block::read(self.log, sequence, None, bytes).map_err(|why| RecoverError::Block {
            sequence,
            offset: 0,
            why,
        })?;
        let start = start_of(&block, self.node, sequence)?;
        let rooted = start.snapshot.zxid == start.last;
        let mut recovered = Recovered { promise: start.promise, snapshot: start.snapshot, entries: Vec::new() };
        recovered.snapshot.zxid = start.last;
        let end = End { sequence, offset: 0, position: block.place.position, chain: 0 };
        let outline = Outline::new(sequence, &start);
        let found = RecoveredLog { recovered, outline, end, durable: 0, incarnation: 0 };
        let bad = Bad { sequence, offset: 0, why: BlockError::End };
        let mut state = State { found, rooted, bad, stopped: false };
        state.take(&block);
        state.blocks(self.log, sequence, bytes)?;
        Ok(state)
    }

    fn next_segment(&self, mut state: State, sequence: u64, bytes: &[u8]) -> Result<State, Failure> {
        let end = state.found.end;
        if !state.stopped {
            let why = match block::read(self.log, sequence, None, bytes) {
                _ if sequence != end.sequence + 1 => Some(BlockError::NoFile),
                // It begins further on: something is missing at the end before it.
                Ok(block) if block.place.position > end.position => None,
                Ok(block) => return self.continue_with(state, sequence, &block, bytes),
                Err(why @ (BlockError::Version(_) | BlockError::Form)) => {
                    return Err(RecoverError::Block { sequence, offset: 0, why }.into());
                }
                Err(why) => Some(why),
            };
            if let Some(why) = why {
                state.bad = Bad { sequence: end.sequence + 1, offset: 0, why };
            }
            state.stopped = true;
        }
        state.search(self.log, sequence, bytes, 0)?;
        Ok(state)
    }

    /// A segment that begins where the log ended.
    fn continue_with(
        &self,
        mut state: State,
        sequence: u64,
        block: &Block<'_>,
        bytes: &[u8],
    ) -> Result<State, Failure> {
        let end = state.found.end;
        let start = start_of(block, self.node, sequence)?;
        if block.place.position != end.position || block.place.previous != end.chain {
            return Err(RecoverError::Block { sequence, offset: 0, why: BlockError::Chain }.into());
        }
        if start.last != state.found.recovered.last_zxid() {
            return if state.rooted {
                Err(RecoverError::Block { sequence, offset: 0, why: BlockError::Chain }.into())
            } else {
                self.first_segment(sequence, bytes)
            };
        }
        state.found.outline.begin_segment(sequence);
        state.take(block);
        state.blocks(self.log, sequence, bytes)?;
        Ok(state)
    }
}

/// An error, and whether it only means that the log cannot be replayed from this segment or one before it.
struct Failure {
    error: RecoverError,
    is_superfluous: bool,
}

impl From<RecoverError> for Failure {
    fn from(error: RecoverError) -> Failure {
        Failure { error, is_superfluous: false }
    }
}

impl State {
    /// Moves the end behind a block that continues the log.
    fn take(&mut self, block: &Block<'_>) {
        let found = &mut self.found;
        if block.kind == Kind::Start {
            found.end.offset = 0;
            found.end.sequence = block.place.sequence;
        }
        found.end.offset += block.bytes as u64;
        found.end.position += block.bytes as u64;
        found.end.chain = block.crc;
        found.durable = found.durable.max(block.place.durable);
        found.incarnation = found.incarnation.max(block.place.incarnation);
    }

    /// Reads the blocks after a segment's first, up to where the chain ends, and looks at what lies behind that.
    fn blocks(&mut self, log: LogId, sequence: u64, bytes: &[u8]) -> Result<(), Failure> {
        loop {
            let end = self.found.end;
            let offset = index(end.offset);
            let why = match block::read(log, sequence, Some(end.position), &bytes[offset..]) {
                Ok(block) if block.kind == Kind::Records && block.place.previous == end.chain => {
                    self.replay(sequence, end.offset, block.body)?;
                    self.take(&block);
                    continue;
                }
                Err(why @ (BlockError::Version(_) | BlockError::Form)) => {
                    return Err(RecoverError::Block { sequence, offset: end.offset, why }.into());
                }
                Ok(_) => BlockError::Chain,
                Err(why) => why,
            };
            self.bad = Bad { sequence, offset: end.offset, why };
            return Ok(self.search(log, sequence, bytes, offset)?);
        }
    }

    fn replay(&mut self, sequence: u64, offset: u64, body: &[u8]) -> Result<(), Failure> {
        // Copied once for the whole block, so that the entries do not keep the segment in memory.
        let mut body = Bytes::copy_from_slice(body);
        while !body.is_empty() {
            let record =
                Record::decode(&mut body).map_err(|source| RecoverError::Record { sequence, offset, source })?;
            let recovered = &mut self.found.recovered;
            if let Record::Snapshot(snapshot) = &record {
                // One that was still being written when the log went on, and that a later one has replaced.
                if snapshot.zxid < recovered.snapshot.zxid {
                    continue;
                }
                self.rooted = true;
            }
            self.found.outline.apply(&record);
            let is_superfluous = !self.rooted;
            recovered.replay(record).map_err(|source| Failure {
                error: RecoverError::Replay { sequence, offset, source },
                is_superfluous,
            })?;
        }
        Ok(())
    }

    /// Looks for blocks from `from` on that are not part of the chain: what a torn write left, or proof of damage.
    fn search(&mut self, log: LogId, sequence: u64, bytes: &[u8], from: usize) -> Result<(), RecoverError> {
        let End { sequence: end_sequence, offset: end_offset, position: end_position, .. } = self.found.end;
        let mut offset = from;
        // Aligned offsets only; most of what is searched is zeros.
        while let Some(skipped) = bytes[offset..].chunks_exact(ALIGNMENT).position(block::may_start) {
            offset += skipped * ALIGNMENT;
            let rest = &bytes[offset..];
            // Only in the end's own segment is it known where in the stream a block must say it is.
            let distance = || (offset as u64).checked_sub(end_offset);
            let position = (sequence == end_sequence).then(|| distance().map(|d| end_position + d)).flatten();
            let Ok(block) = block::read(log, sequence, position, rest) else {
                offset += ALIGNMENT;
                continue;
            };
            if block.place.durable > end_position {
                let Bad { sequence: bad_sequence, offset: bad_offset, why } = self.bad;
                return Err(RecoverError::Damage {
                    sequence: bad_sequence,
                    offset: bad_offset,
                    why,
                    later_sequence: sequence,
                    later_offset: offset as u64,
                });
            }
            self.found.incarnation = self.found.incarnation.max(block.place.incarnation);
            offset += block.bytes;
        }
        Ok(())
    }
}

fn start_of(block: &Block<'_>, node: NodeId, sequence: u64) -> Result<Start, RecoverError> {
    let wrong = RecoverError::Block { sequence, offset: 0, why: BlockError::Form };
    if block.kind != Kind::Start || block.bytes != START_BYTES {
        return Err(wrong);
    }
    let start = Start::decode(block.body).ok_or(wrong)?;
    if start.node != node {
        return Err(RecoverError::Node { sequence, found: start.node, expected: node });
    }
    Ok(start)
}

fn index(offset: u64) -> usize {
    usize::try_from(offset).expect("an offset into bytes in memory fits")
}
