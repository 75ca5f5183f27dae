//! What a client sends and gets: searches for bytes for which the property of `zw_fuzz::client_message` does not hold.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| zw_fuzz::client_message::check(bytes));
