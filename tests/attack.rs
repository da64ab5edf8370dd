//! The program under attack: processes killed, files replaced, servers that answer anything, many callers at once.
//!
//! A run of all tests tries a few cases of each kind. `ROUNDS=N` in the environment tries N times as many.

#![allow(dead_code, reason = "each part uses what it needs")]

mod callers;
mod clocks;
mod escapes;
mod files;
mod kills;
mod long_lines;
mod server_faults;
mod sessions;
mod token;

/// How many times as many cases are tried: `ROUNDS`, else 1.
fn rounds() -> usize {
    std::env::var("ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(1)
}
