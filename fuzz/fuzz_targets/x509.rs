//! Runs `millstream::testing::fuzz::x509` on inputs from the fuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| millstream::testing::fuzz::x509(bytes));
