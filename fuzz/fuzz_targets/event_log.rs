//! Runs `millstream::testing::fuzz::event_log` on whatever the fuzzer thinks of.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| millstream::testing::fuzz::event_log(bytes));
