//! Runs `millstream::testing::fuzz::tls` on whatever the fuzzer thinks of.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| millstream::testing::fuzz::tls(bytes));
