//! claude-failover: a backup brain for Claude Code.
//!
//! One binary under three names. `claude` and `agent-llm` become the real Claude Code, or answer the same call from
//! a model on the user's own machine; `llm-failover` is the switch between the two.
//!
//! The layers, from top to bottom. A module imports from the layers below its own, never from above, and never across from a
//! layer of the same line. `tests/layers.rs` enforces that;
//! `docs/architecture.md` says what each is for.
//!
//! ```text
//! fuzzing          what `cargo fuzz` runs: no part of the program
//! cli              one file for each command: claude, llm_failover, statusline, install
//! dashboard        the page: router, page, timeline, actions, live; what programs may ask
//! doctor, setup    what is wrong, and what mends it; what a local answer needs: discover, choose, plan, carry_out, uninstall
//! status           how things stand: the flag, the local models, what agents get
//! drill            a call whose Claude is limited or down: scenario, api, call
//! terminal         a person at a terminal: their session on either side
//! failover         `auto`: call, answer, resume, give_up, record
//! agent            Claude Code on the local model: launch, child
//! routing          where a call goes: facts, route (pure), the policies
//! watch            the real Claude as a child: its lines and turns, the give-up limits, the handover, rendering
//! gateway, answer  the Messages API for Claude Code; the plain answer in Claude Code's formats
//! local_model      one question to the local model: ask, recovery (pure), model, context, request, unload
//! server           the local server's life: launchctl, systemctl, child behind one trait; probe, bring_up
//! state            flag, breaker, ledger, sessions, notify
//! stdin            pump, feed, kept, child_pipe
//! claude_code      all that is known of that program: options, command_line, protocol, refusal, locate, settings, version
//! completions      the OpenAI wire: endpoint, chat, chunk, sse, thinking, failure, dialect
//! http_server      a server on loopback: its listener, threads, bodies; the host that a caller names
//! os               process, guardian, signals, exit, cleanup, atomic_file, file_id, blocking
//! base             style, context, settings, error, stderr, candidate, real_claude, text, shown, read_file, names: each may use those after it
//! ```

mod agent;
mod answer;
mod candidate;
mod claude_code;
mod cli;
mod completions;
mod context;
mod dashboard;
mod doctor;
mod drill;
mod error;
mod failover;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod gateway;
mod http_server;
mod local_model;
mod names;
mod os;
mod read_file;
mod real_claude;
mod routing;
mod server;
mod settings;
mod setup;
mod shown;
mod state;
mod status;
mod stderr;
mod stdin;
mod style;
mod terminal;
mod text;
mod watch;

/// The table of Claude Code's options, for a test that compares it with the real one's help.
pub use claude_code::options;
pub use cli::main;
pub use settings::{SETTINGS, numbered};
