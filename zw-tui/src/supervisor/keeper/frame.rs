//! Messages between a console and its keeper on their socket: the length in four bytes, then MessagePack.
//!
//! Invariants:
//! - No side takes a frame that is longer than the longest that the other may send.
//! - Where a time is given ([`Timed`]), it is for the whole conversation, however many bytes it comes in.

use super::super::output::{LINE_BYTES_MAX, LINES_MAX};
use super::mailbox::REPORTS_MAX;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// The longest frame: all that a process printed, as far as it is kept, or all reports, each with a line of that. A byte that
/// is no UTF-8 becomes three.
pub(super) const FRAME_BYTES_MAX: usize = 16 << 20;
const _: () = assert!(LINES_MAX * (3 * LINE_BYTES_MAX + 5) + 1_024 <= FRAME_BYTES_MAX);
const _: () = assert!(REPORTS_MAX * (3 * LINE_BYTES_MAX + 100) + (1 << 20) <= FRAME_BYTES_MAX);

/// A stream on which all that is read and written may take so long, together.
pub(super) struct Timed<'s> {
    stream: &'s UnixStream,
    end: Instant,
}

impl<'s> Timed<'s> {
    /// From now on.
    pub(super) fn new(stream: &'s UnixStream, limit: Duration) -> Timed<'s> {
        Timed { stream, end: Instant::now() + limit }
    }

    fn left(&self) -> io::Result<Option<Duration>> {
        let left = self.end.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(Some(left)) }
    }
}

impl Drop for Timed<'_> {
    fn drop(&mut self) {
        // Fails only if the stream is of no use any more.
        let _ = self.stream.set_read_timeout(None);
        let _ = self.stream.set_write_timeout(None);
    }
}

impl Read for Timed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(self.left()?)?;
        self.stream.read(buffer).map_err(in_time)
    }
}

impl Write for Timed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(self.left()?)?;
        self.stream.write(bytes).map_err(in_time)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The system says of a timeout that it would block.
fn in_time(error: io::Error) -> io::Error {
    if error.kind() == ErrorKind::WouldBlock { ErrorKind::TimedOut.into() } else { error }
}

/// Writes a message with one call, so that two threads' frames never mix.
///
/// # Errors
/// The other side is gone, or the message is too long.
pub(super) fn send(mut to: impl Write, message: &impl Serialize) -> io::Result<()> {
    let content = rmp_serde::to_vec(message).map_err(io::Error::other)?;
    let length = u32::try_from(content.len()).ok().filter(|_| content.len() <= FRAME_BYTES_MAX);
    let length = length.ok_or_else(|| io::Error::new(ErrorKind::InvalidInput, "a frame is too long"))?;
    to.write_all(&[&length.to_be_bytes(), content.as_slice()].concat())
}

/// The next message; none if the other side has ended.
///
/// # Errors
/// The other side is gone in the middle of a frame, or speaks otherwise.
pub(super) fn receive<T: DeserializeOwned>(mut from: impl Read) -> io::Result<Option<T>> {
    let mut length = [0; 4];
    loop {
        match from.read(&mut length[..1]) {
            Ok(0) => return Ok(None),
            Ok(_) => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    from.read_exact(&mut length[1..])?;
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length > FRAME_BYTES_MAX {
        return Err(io::Error::new(ErrorKind::InvalidData, "a frame is too long"));
    }
    let mut content = Vec::new();
    from.take(length as u64).read_to_end(&mut content)?;
    if content.len() < length {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    rmp_serde::from_slice(&content).map(Some).map_err(|error| io::Error::new(ErrorKind::InvalidData, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_as_they_were_sent_until_the_end() {
        let mut bytes = Vec::new();
        for message in ["one", "", "three"] {
            send(&mut bytes, &message).unwrap();
        }
        let mut from = bytes.as_slice();
        let mut received = Vec::new();
        while let Some(message) = receive::<String>(&mut from).unwrap() {
            received.push(message);
        }
        assert_eq!(received, ["one", "", "three"]);
    }

    #[test]
    fn who_sends_byte_by_byte_gets_no_more_time() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let drip = std::thread::spawn(move || {
            // Zeroes are a length first, and then a frame that is always too short.
            while (&theirs).write_all(&[0, 0, 64, 0]).is_ok() {}
        });
        let mut timed = Timed::new(&ours, Duration::from_millis(50));
        loop {
            match receive::<()>(&mut timed) {
                Err(error) if error.kind() == ErrorKind::TimedOut => break,
                Err(error) if error.kind() == ErrorKind::InvalidData => {}
                other => panic!("{other:?}"),
            }
        }
        drop(timed);
        assert_eq!((ours.read_timeout().unwrap(), ours.write_timeout().unwrap()), (None, None));
        drop(ours);
        drip.join().unwrap();
    }

    #[test]
    fn what_is_torn_too_long_or_foreign_is_an_error() {
        let mut bytes = Vec::new();
        send(&mut bytes, &"message").unwrap();
        for end in 1..bytes.len() {
            assert_eq!(receive::<String>(&bytes[..end]).unwrap_err().kind(), ErrorKind::UnexpectedEof, "{end}");
        }
        let long = u32::try_from(FRAME_BYTES_MAX + 1).unwrap().to_be_bytes();
        assert_eq!(receive::<String>(&long[..]).unwrap_err().kind(), ErrorKind::InvalidData);
        assert_eq!(receive::<u8>(bytes.as_slice()).unwrap_err().kind(), ErrorKind::InvalidData);
        let error = send(&mut Vec::new(), &"x".repeat(FRAME_BYTES_MAX)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
}
