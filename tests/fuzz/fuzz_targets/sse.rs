#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| claude_failover_fuzz::run(env!("CARGO_BIN_NAME"), bytes));
