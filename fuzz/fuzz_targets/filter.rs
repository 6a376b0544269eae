#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| permitd_fuzz::checks::filter(bytes));
