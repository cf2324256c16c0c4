//! Runs `millstream::testing::fuzz::tls` on inputs from the fuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| millstream::testing::fuzz::tls(bytes));
