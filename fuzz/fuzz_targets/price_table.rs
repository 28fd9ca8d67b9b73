#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| llmopt_fuzz_targets::price_table(bytes));
