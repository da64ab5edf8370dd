//! claude-failover: a backup brain for Claude Code.
//!
//! One binary under three names. `claude` and `agent-llm` become the real Claude Code, or answer the same call from
//! a model on the user's own machine; `llm-failover` is the switch between the two.

mod agent;
mod answer;
mod applet;
mod auto;
mod breaker;
mod context;
mod drill;
mod error;
mod files;
mod gateway;
mod invocation;
mod ledger;
mod notify;
mod options;
mod real_claude;
mod server;
mod status;
mod switch;
mod unload;
mod verdict;
mod watch;

use std::process::ExitCode;

fn main() -> ExitCode {
    applet::run(&context::Context::from_process())
}
