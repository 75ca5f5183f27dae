//! Frames on a socket: searches for bytes for which the property of `zw_fuzz::frame` does not hold.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| zw_fuzz::frame::check(bytes));
