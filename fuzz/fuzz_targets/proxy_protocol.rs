//! Runs `millstream::testing::fuzz::proxy_protocol` on whatever the fuzzer thinks of.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| millstream::testing::fuzz::proxy_protocol(bytes));
