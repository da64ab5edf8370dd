//! Drives the built binary through its links, as users do: in a cleared environment and an empty home, with a time
//! limit on every process, comparing all of stdout, stderr and the exit code.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]
#![allow(unreachable_pub, reason = "nobody uses this crate")]

mod support;

mod answer;
mod applets;
mod chain;
mod circles;
mod context;
mod dialects;
mod docs;
mod failover;
mod gateway;
mod golden;
mod layers;
mod ledger;
mod lines;
mod mirror;
mod one_stream;
mod prime;
mod process_state;
mod quirks;
mod refusals;
mod search;
mod server_life;
mod sessions;
mod shim;
mod strict_parsers;
mod supervisors;
mod switch;
mod watch;

/// Tests that drive what `scripts/test-deps.sh` installs. `scripts/test.sh --quick` leaves out what has this name.
#[path = "."]
mod with_deps {
    pub mod agent;
    pub mod auto;
    pub mod drill;
    #[path = "prime/real.rs"]
    pub mod first_word;
    pub mod mirror_frames;
    pub mod real_cli;
    pub mod real_engines;
    pub mod schema_errors;
    pub mod sdk;
    pub mod sdk_sessions;
    #[path = "terminal.rs"]
    pub mod sessions_at_terminals;
}
use with_deps::{auto, real_cli, real_engines};
