#![no_main]

libfuzzer_sys::fuzz_target!(
    init: permitd_fuzz::bear_panics_of_calamine(),
    |bytes: &[u8]| permitd_fuzz::checks::check_workbook(bytes)
);
