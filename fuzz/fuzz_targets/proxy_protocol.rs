//! Runs `millstream::testing::fuzz::proxy_protocol` on inputs from the fuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| millstream::testing::fuzz::proxy_protocol(bytes));
