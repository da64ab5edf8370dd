//! claude-failover: a backup brain for Claude Code.
//!
//! One binary under three names. `claude` and `agent-llm` become the real Claude Code, or answer the same call from
//! a model on the user's own machine; `llm-failover` is the switch between the two.
//!
//! The layers, from top to bottom: `cli`, `drill`, `failover`, `agent`, `routing`, `watch`, `gateway` beside `answer`,
//! `local_model`, `server`, `state`, `stdin`, `claude_code`, `completions`, `os`, and what all of them use: `context`,
//! `settings`, `error`, `candidate`, `text`, `names`. Each imports from those after it alone. `docs/architecture.md` says
//! what each is for.

mod agent;
mod answer;
mod candidate;
mod claude_code;
mod cli;
mod completions;
mod context;
mod drill;
mod error;
mod failover;
mod gateway;
mod local_model;
mod names;
mod os;
mod routing;
mod server;
mod settings;
mod state;
mod stdin;
mod text;
mod watch;

/// The table of Claude Code's options, for a test that compares it with the real one's help.
pub use claude_code::options;
pub use cli::main;
pub use settings::SETTINGS;
