//! Runs `millstream::testing::fuzz::wheel` on inputs from the fuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| millstream::testing::fuzz::wheel(bytes));
