//! Frames on a socket: however the bytes are cut, the same frames come out, none is above the maximum, and no memory is
//! taken for one that only claims to be long.

use bytes::{Bytes, BytesMut};
use tokio_util::codec::Decoder;
use zw_core::wire::frame::{self, codec};

const FRAME_BYTES_MAX: usize = 300;

/// The first byte says how the rest is cut.
pub fn check(mut bytes: &[u8]) {
    let step = usize::from(super::byte(&mut bytes)).max(1);
    let (whole, whole_error) = read(bytes, bytes.len().max(1));
    let (cut, cut_error) = read(bytes, step);
    assert_eq!((&whole, whole_error), (&cut, cut_error), "the cuts change what is read");
    let mut written = Vec::new();
    for frame in &whole {
        assert!(frame.len() <= FRAME_BYTES_MAX);
        frame::append(&mut written, |out| out.extend_from_slice(frame));
    }
    assert!(bytes.starts_with(&written), "the frames are not those of the stream");
}

/// The frames, and whether the reader stopped at an error.
fn read(bytes: &[u8], step: usize) -> (Vec<Bytes>, bool) {
    let mut codec = codec(FRAME_BYTES_MAX);
    let mut buffer = BytesMut::new();
    let mut frames = Vec::new();
    for chunk in bytes.chunks(step) {
        buffer.extend_from_slice(chunk);
        loop {
            match codec.decode(&mut buffer) {
                Ok(Some(frame)) => frames.push(frame.freeze()),
                Ok(None) => break,
                Err(_) => return (frames, true),
            }
            assert!(buffer.capacity() <= bytes.len() * 2 + FRAME_BYTES_MAX + 64, "memory for what did not come");
        }
    }
    (frames, false)
}
