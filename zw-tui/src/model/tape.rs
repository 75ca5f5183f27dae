//! All that the console was told, kept so that any moment can be seen again.
//!
//! [`State`] and [`update`] are pure, so a state and the messages after it make every later state: exactly the one that was.
//! The tape is a row of segments. Each begins with a whole state and goes on with messages, each as its difference from
//! the one before that began like it: a node says every 250 ms what it said before, with a few numbers changed.
//!
//! Invariants:
//! - A segment can be played without those before it, so the oldest can go; it does when the tape is longer than its
//!   limit, except the one that is being written.
//! - States take at most a third of the tape: a new segment begins when the messages of the last take twice its state.
//! - What is in memory is what is written to a file, byte for byte; the bytes of every frame have a checksum.
//!
//! A frame is the length of its content, the checksum of that, and the content: a slot, the time in microseconds (of a
//! state since the start, of a message since the frame before), and the state or the patch of the message.

use super::State;
use super::message::Msg;
use super::patch::{apply, diff, put_number, take_number};
use super::update::update;
use std::collections::VecDeque;
use std::time::Duration;

/// Bytes that are kept in memory. Histories of nodes are part of each state.
pub const TAPE_BYTES_MAX: usize = 3 << 20;
/// Bytes of messages that are worth a state, if that is small.
const SEGMENT_BYTES_MIN: usize = 64 << 10;
/// Former messages that new ones are compared with.
const SLOTS: u64 = 255;
/// Their bytes; when there are more, all are forgotten.
const SLOT_BYTES_MAX: usize = 512 << 10;
/// So many bytes of a message say what it is about.
const KIND_BYTES: usize = 24;
/// The slot of a frame with a state.
const STATE_SLOT: u8 = 0;

/// Why a tape cannot be played.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TapeError {
    /// The checksum of a frame is wrong.
    #[error("it is damaged at byte {0}")]
    Damaged(usize),
    /// The frames are whole, but mean nothing to this program.
    #[error("it was made by another version of the console, and can only be read by that")]
    OtherVersion,
    /// There is not one whole state in it.
    #[error("it has no beginning: nothing was recorded")]
    Empty,
}

/// The tape.
#[derive(Clone, Debug)]
pub struct Tape {
    segments: VecDeque<Segment>,
    /// As the newest segment left them.
    slots: Slots,
    newest: Duration,
    limit: usize,
    segment_min: usize,
}

#[derive(Clone, Debug)]
struct Segment {
    start: Duration,
    /// The bytes of its state.
    state_bytes: usize,
    bytes: Vec<u8>,
}

/// The newest messages, to compare others with; the same on both sides.
#[derive(Clone, Debug, Default)]
struct Slots {
    messages: Vec<Vec<u8>>,
    bytes: usize,
}

impl Slots {
    fn get(&self, slot: u8) -> &[u8] {
        self.messages.get(usize::from(slot)).map_or(&[], Vec::as_slice)
    }

    fn put(&mut self, slot: u8, message: Vec<u8>) {
        if self.bytes + message.len() > SLOT_BYTES_MAX {
            *self = Slots::default();
        }
        let slot = usize::from(slot);
        if self.messages.len() <= slot {
            self.messages.resize(slot + 1, Vec::new());
        }
        self.bytes += message.len();
        self.bytes -= self.messages[slot].len();
        self.messages[slot] = message;
    }
}

/// Messages that begin alike are of one kind, from one node, about one znode.
fn slot_of(message: &[u8]) -> u8 {
    let head = &message[..message.len().min(KIND_BYTES)];
    let hash = head
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3));
    u8::try_from((hash >> 32) % SLOTS).unwrap_or(0) + 1
}

/// Bytes of messages in a segment that begins with a state of so many bytes.
fn message_bytes(segment_min: usize, state_bytes: usize) -> usize {
    segment_min.max(2 * state_bytes)
}

fn micros(at: Duration) -> u64 {
    u64::try_from(at.as_micros()).unwrap_or(u64::MAX)
}

fn put_frame(slot: u8, time: u64, rest: &[u8], bytes: &mut Vec<u8>) {
    let mut content = vec![slot];
    put_number(time, &mut content);
    content.extend_from_slice(rest);
    put_number(content.len() as u64, bytes);
    bytes.extend_from_slice(&crc32fast::hash(&content).to_le_bytes());
    bytes.extend_from_slice(&content);
}

/// A frame that was read.
struct Frame<'a> {
    slot: u8,
    time: Duration,
    rest: &'a [u8],
    /// Bytes that it takes.
    length: usize,
}

/// The frame at the front; none if it is not whole, or its checksum is wrong.
fn frame(bytes: &[u8]) -> Option<Frame<'_>> {
    let mut rest = bytes;
    let length = usize::try_from(take_number(&mut rest)?).ok()?;
    let checksum = rest.get(..4)?;
    let mut content = rest.get(4..)?.get(..length)?;
    if crc32fast::hash(content).to_le_bytes() != checksum {
        return None;
    }
    let length = bytes.len() - rest.len() + 4 + length;
    let (slot, behind) = content.split_first()?;
    content = behind;
    let time = Duration::from_micros(take_number(&mut content)?);
    Some(Frame { slot: *slot, time, rest: content, length })
}

impl Default for Tape {
    fn default() -> Tape {
        Tape::with_limits(TAPE_BYTES_MAX, SEGMENT_BYTES_MIN)
    }
}

impl Tape {
    /// Keeps so many bytes, in segments of at least so many bytes of messages.
    #[must_use]
    pub fn with_limits(limit: usize, segment_min: usize) -> Tape {
        let (segments, slots, newest) = (VecDeque::new(), Slots::default(), Duration::ZERO);
        Tape { segments, slots, newest, limit, segment_min }
    }

    /// Records a message that comes to `state` at `now`, before it is taken in. Times are exact to a microsecond. Gives
    /// the bytes that were added.
    pub fn record(&mut self, state: &State, now: Duration, message: &Msg) -> &[u8] {
        let is_full = |segment: &Segment| {
            segment.bytes.len() - segment.state_bytes >= message_bytes(self.segment_min, segment.state_bytes)
        };
        if self.segments.back().is_none_or(is_full) {
            self.begin_segment(state, now);
        }
        let since = micros(now).saturating_sub(micros(self.newest));
        // Neither fails: both are plain data, and memory takes everything.
        let (Some(segment), Ok(bytes)) = (self.segments.back_mut(), rmp_serde::to_vec(message)) else { return &[] };
        let is_new = segment.bytes.len() == segment.state_bytes;
        let from = if is_new { 0 } else { segment.bytes.len() };
        let slot = slot_of(&bytes);
        put_frame(slot, since, &diff(self.slots.get(slot), &bytes), &mut segment.bytes);
        self.slots.put(slot, bytes);
        self.newest = now;
        while self.bytes() > self.limit && self.segments.len() > 1 {
            self.segments.pop_front();
        }
        self.segments.back().map_or(&[], |segment| &segment.bytes[from..])
    }

    fn begin_segment(&mut self, state: &State, now: Duration) {
        if let Some(last) = self.segments.back_mut() {
            last.bytes.shrink_to_fit();
        }
        let mut bytes = Vec::new();
        put_frame(STATE_SLOT, micros(now), &rmp_serde::to_vec(state).unwrap_or_default(), &mut bytes);
        let state_bytes = bytes.len();
        // All at once: what grew by and by would leave gaps in the memory that no later segment fits in.
        bytes.reserve_exact(message_bytes(self.segment_min, state_bytes));
        self.segments.push_back(Segment { start: now, state_bytes, bytes });
        (self.slots, self.newest) = (Slots::default(), now);
    }

    /// What it takes of the memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.segments.iter().map(|segment| segment.bytes.capacity()).sum::<usize>() + self.slots.bytes
    }

    /// The time of the oldest state that can be seen again; none if there is none.
    #[must_use]
    pub fn oldest(&self) -> Option<Duration> {
        self.segments.front().map(|segment| segment.start)
    }

    /// The time of the newest message.
    #[must_use]
    pub fn newest(&self) -> Duration {
        self.newest
    }

    /// All that is kept, as it is written to a file.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.segments.iter().flat_map(|segment| segment.bytes.iter().copied()).collect()
    }

    /// Reads what [`Tape::to_bytes`] gave, and says how many bytes at the end are no whole frame. It has no limit: it
    /// does not grow.
    ///
    /// # Errors
    /// The bytes are damaged before the last frame, or not of this version.
    pub fn from_bytes(bytes: &[u8]) -> Result<(Tape, usize), TapeError> {
        let mut tape = Tape::with_limits(usize::MAX, usize::MAX);
        let mut at = 0;
        while let Some(frame) = frame(&bytes[at..]) {
            let whole = &bytes[at..at + frame.length];
            match tape.segments.back_mut() {
                _ if frame.slot == STATE_SLOT => {
                    tape.newest = frame.time;
                    tape.segments.push_back(Segment {
                        start: frame.time,
                        state_bytes: frame.length,
                        bytes: whole.to_vec(),
                    });
                }
                Some(segment) => {
                    tape.newest += frame.time;
                    segment.bytes.extend_from_slice(whole);
                }
                None => return Err(TapeError::Damaged(at)),
            }
            at += frame.length;
        }
        let left = &bytes[at..];
        // A frame whose end is there, and more behind it, was not torn off.
        let mut rest = left;
        let claimed = take_number(&mut rest).and_then(|length| usize::try_from(length).ok());
        if claimed.is_some_and(|length| length.saturating_add(4) < rest.len()) {
            return Err(TapeError::Damaged(at));
        }
        if tape.segments.is_empty() {
            return Err(TapeError::Empty);
        }
        Ok((tape, left.len()))
    }

    /// Goes on with a tape that was read, from its end: the next message comes to `state`.
    #[must_use]
    pub fn go_on(self, state: &State) -> Tape {
        let now = self.newest;
        let mut tape = Tape { segments: self.segments, ..Tape::default() };
        tape.begin_segment(state, now);
        while tape.bytes() > tape.limit && tape.segments.len() > 1 {
            tape.segments.pop_front();
        }
        tape
    }

    /// The state as it was at a time, or at the nearest time that is kept.
    ///
    /// # Errors
    /// The tape is of another version.
    pub fn state_at(&self, at: Duration) -> Result<State, TapeError> {
        let later = self.segments.partition_point(|segment| segment.start <= at);
        let segment = self.segments.get(later.saturating_sub(1)).ok_or(TapeError::Empty)?;
        play(segment, at).ok_or(TapeError::OtherVersion)
    }
}

fn play(segment: &Segment, until: Duration) -> Option<State> {
    let mut bytes = &segment.bytes[..];
    let first = frame(bytes)?;
    let mut state: State = rmp_serde::from_slice(first.rest).ok()?;
    state.tree.restore();
    let (mut slots, mut at) = (Slots::default(), segment.start);
    bytes = &bytes[first.length..];
    while !bytes.is_empty() {
        let frame = frame(bytes)?;
        at += frame.time;
        if at > until {
            break;
        }
        let message = apply(slots.get(frame.slot), frame.rest)?;
        update(&mut state, at, rmp_serde::from_slice(&message).ok()?);
        slots.put(frame.slot, message);
        bytes = &bytes[frame.length..];
    }
    Some(state)
}
