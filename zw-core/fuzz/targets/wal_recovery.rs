//! Recovery of the log: searches for bytes for which the property of `zw_fuzz::wal_recovery` does not hold.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| zw_fuzz::wal_recovery::check(bytes));
