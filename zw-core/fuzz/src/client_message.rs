//! What a client sends and gets, and the commands in the log: each is read or refused; what was read is written and
//! read again the same; and a tree takes any command without a panic.

use bytes::Bytes;
use zw_core::ids::{Epoch, Zxid};
use zw_core::log::record::Entry;
use zw_core::tree::Tree;
use zw_core::tree::command::Envelope;
use zw_core::wire::client::{Request, Response};

/// The bytes are one frame, read as a request, as an answer and as the payload of an entry.
pub fn check(bytes: &[u8]) {
    if let Ok(request) = Request::decode_frame(bytes) {
        let mut written = Vec::new();
        request.encode_frame(&mut written);
        assert_eq!(Request::decode_frame(&written).as_ref(), Ok(&request));
    }
    if let Ok(response) = Response::decode_frame(bytes) {
        let mut written = Vec::new();
        response.encode_frame(&mut written);
        assert_eq!(Response::decode_frame(&written).as_ref(), Ok(&response));
    }
    if let Ok(envelope) = Envelope::decode(bytes) {
        assert_eq!(Envelope::decode(&envelope.encode()).as_ref().ok(), Some(&envelope));
        apply(&envelope.encode());
    }
}

fn apply(payload: &Bytes) {
    let mut trees = [Tree::new(), Tree::new()];
    for tree in &mut trees {
        for counter in 1..3 {
            tree.apply_entry(&Entry::new(Zxid::new(Epoch(1), counter), 7, payload));
        }
    }
    assert_eq!(trees[0].digest(), trees[1].digest(), "the same entries lead to different trees");
}
