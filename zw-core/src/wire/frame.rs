//! Frames on a socket: `length u32 big-endian`, then that many bytes.
//!
//! Invariants:
//! - A length above the connection's maximum is refused before anything is allocated for it.
//! - A reader asks for much and a writer gathers much: one system call carries many small frames.
//!
//! There are two ways to write. [`framed`] gives a sink: `feed` frames made by [`encode`], then [`flush`] once. A task
//! that owns its write half is cheaper with [`append`]: it gathers frames in one buffer for one `write_all`.

use crate::limits::SOCKET_BUFFER_BYTES;
use bytes::Bytes;
use futures_util::SinkExt;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::codec::{Framed, FramedRead, LengthDelimitedCodec};

/// Bytes of the length in front of a frame.
pub const LENGTH_BYTES: usize = 4;

/// The codec of frames of at most `frame_bytes_max` bytes, the length not counted.
#[must_use]
pub fn codec(frame_bytes_max: usize) -> LengthDelimitedCodec {
    LengthDelimitedCodec::builder()
        .big_endian()
        .length_field_length(LENGTH_BYTES)
        .max_frame_length(frame_bytes_max)
        .new_codec()
}

/// A socket that reads and writes frames. The read buffer starts with `buffer_bytes` and grows to the largest frame
/// that comes; `set_max_frame_length` of `codec_mut()` changes the maximum once the greeting has been read.
pub fn framed<S: AsyncRead + AsyncWrite>(
    socket: S,
    frame_bytes_max: usize,
    buffer_bytes: usize,
) -> Framed<S, LengthDelimitedCodec> {
    let mut framed = Framed::with_capacity(socket, codec(frame_bytes_max), buffer_bytes);
    // The default would write to the socket after each 8 KiB.
    framed.set_backpressure_boundary(SOCKET_BUFFER_BYTES);
    framed
}

/// Writes out what was fed. (The codec takes several kinds of bytes, so a bare `flush` would need a type.)
///
/// # Errors
/// The socket failed.
pub async fn flush<S: AsyncRead + AsyncWrite + Unpin>(
    framed: &mut Framed<S, LengthDelimitedCodec>,
) -> std::io::Result<()> {
    SinkExt::<Bytes>::flush(framed).await
}

/// The read half alone.
pub fn framed_read<R: AsyncRead>(
    socket: R,
    frame_bytes_max: usize,
    buffer_bytes: usize,
) -> FramedRead<R, LengthDelimitedCodec> {
    FramedRead::with_capacity(socket, codec(frame_bytes_max), buffer_bytes)
}

/// One frame without its length, for a sink: `encode(|out| request.encode_frame(out))`.
#[must_use]
pub fn encode(frame: impl FnOnce(&mut Vec<u8>)) -> Bytes {
    let mut out = Vec::with_capacity(128);
    frame(&mut out);
    Bytes::from(out)
}

/// Appends one frame with its length to `out`: `append(&mut out, |out| request.encode_frame(out))`.
///
/// # Panics
/// If the frame is 4 GiB or more; the limits are far below.
pub fn append(out: &mut Vec<u8>, frame: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; LENGTH_BYTES]);
    frame(out);
    let length = u32::try_from(out.len() - start - LENGTH_BYTES).expect("a frame is far below 4 GiB");
    out[start..start + LENGTH_BYTES].copy_from_slice(&length.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BytesMut;
    use futures_util::StreamExt;
    use proptest::prelude::*;
    use tokio_util::codec::{Decoder, LengthDelimitedCodecError};

    #[tokio::test]
    async fn what_is_appended_is_read_by_the_codec() {
        let (near, far) = tokio::io::duplex(1 << 16);
        let mut near = framed(near, 100, 1024);
        let mut far = framed(far, 100, 1024);
        let mut out = Vec::new();
        append(&mut out, |out| out.extend_from_slice(b"one"));
        append(&mut out, |_| {});
        append(&mut out, |out| out.extend_from_slice(b"three"));
        tokio::io::AsyncWriteExt::write_all(near.get_mut(), &out).await.unwrap();
        near.feed(encode(|out| out.push(7))).await.unwrap();
        flush(&mut near).await.unwrap();
        for expected in [&b"one"[..], b"", b"three", &[7]] {
            assert_eq!(far.next().await.unwrap().unwrap(), expected);
        }
    }

    #[test]
    fn a_frame_over_the_maximum_is_refused_before_allocation() {
        let mut buffer = BytesMut::from(&u32::MAX.to_be_bytes()[..]);
        let error = codec(1000).decode(&mut buffer).unwrap_err();
        let inner = error.get_ref().expect("the codec says why");
        assert!(inner.is::<LengthDelimitedCodecError>(), "{error}");
        assert!(buffer.capacity() < 1000);
    }

    proptest! {
        #[test]
        fn any_bytes_give_frames_within_the_maximum_or_an_error(bytes: Vec<u8>) {
            let mut codec = codec(16);
            let mut buffer = BytesMut::from(&bytes[..]);
            while let Ok(Some(frame)) = codec.decode(&mut buffer) {
                prop_assert!(frame.len() <= 16);
            }
            prop_assert!(buffer.capacity() <= bytes.len() + 64);
        }
    }
}
