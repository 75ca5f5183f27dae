//! What a peer sends: a message or an error; and what was read is written and read again the same.

use zw_core::wire::hello::{Greeting, SnapshotFrame};
use zw_core::zab::message::Message;

/// The bytes are one frame, read as each of the kinds that a peer's connection carries.
pub fn check(bytes: &[u8]) {
    if let Ok(message) = Message::decode_frame(bytes) {
        let mut written = Vec::new();
        message.encode_frame(&mut written);
        assert_eq!(Message::decode_frame(&written).as_ref(), Ok(&message));
    }
    if let Ok(greeting) = Greeting::decode_frame(bytes) {
        let mut written = Vec::new();
        greeting.encode_frame(&mut written);
        assert_eq!(Greeting::decode_frame(&written).as_ref(), Ok(&greeting));
    }
    if let Ok(frame) = SnapshotFrame::decode_frame(bytes) {
        let mut written = Vec::new();
        frame.encode_frame(&mut written);
        assert_eq!(SnapshotFrame::decode_frame(&written).as_ref(), Ok(&frame));
    }
}
