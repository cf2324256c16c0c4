//! Runs `millstream::testing::fuzz::path_readings` on whatever the fuzzer thinks of.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| millstream::testing::fuzz::path_readings(bytes));
