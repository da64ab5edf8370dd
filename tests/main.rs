//! Drives the built binary through its links, as users do: in a cleared environment and an empty home, with a time
//! limit on every process, comparing all of stdout, stderr and the exit code.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]
#![allow(unreachable_pub, reason = "nobody uses this crate")]

mod support;

mod agent;
mod answer;
mod applets;
mod auto;
mod docs;
mod drill;
mod failover;
mod gateway;
mod golden;
mod layers;
mod ledger;
mod lines;
mod process_state;
mod quirks;
mod real_cli;
mod real_engines;
mod schema_errors;
mod sdk;
mod search;
mod server_life;
mod sessions;
mod shim;
mod supervisors;
mod switch;
mod watch;
