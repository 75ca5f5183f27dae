//! Paths of znodes: searches for bytes for which the property of `zw_fuzz::path` does not hold.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| zw_fuzz::path::check(bytes));
