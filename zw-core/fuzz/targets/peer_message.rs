//! What peers send: searches for bytes for which the property of `zw_fuzz::peer_message` does not hold.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| zw_fuzz::peer_message::check(bytes));
