//! Runs `millstream::testing::fuzz::agreement` on inputs from the fuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| millstream::testing::fuzz::agreement(bytes));
