//! `claude` and `agent-llm`: Claude Code, or a local answer, as the switch says.

use std::process::ExitCode;

use jiff::Timestamp;

use crate::agent;
use crate::agent::AgentPolicy;
use crate::answer;
use crate::answer::conversation::Outcome;
use crate::answer::request::{AnswerRequest, InputSource};
use crate::claude_code::command_line::{CommandLine, Parsed};
use crate::claude_code::options::CLAUDE_ONLY;
use crate::claude_code::settings::is_inside;
use crate::claude_code::version::COMPATIBLE_WITH;
use crate::claude_code::{command_line, locate};
use crate::cli::print;
use crate::context::Context;
use crate::error::{Error, report, say, warn};
use crate::failover::call;
use crate::state::flag::{Backend, Flag};
use crate::state::ledger::Entry;
use crate::stdin::Stdin;

/// Runs the applet `name`.
pub(crate) fn run(name: &str, context: &Context) -> ExitCode {
    let (backend, warning) = match Flag::new(context) {
        Ok(switch) => switch.read(),
        Err(Error::NoHome) => (Backend::Claude, None),
        Err(error) => (Backend::Claude, Some(format!("{error}; using claude"))),
    };
    if let Some(warning) = warning {
        warn(name, &warning);
    }
    match backend {
        // It has none of Claude's credentials, and the address of the local model.
        _ if is_inside(context) => answer_or_claude(name, context),
        Backend::Claude => become_claude(name, context),
        Backend::Local => answer_or_claude(name, context),
        Backend::Auto => watch_or_claude(name, context),
    }
}

/// Print mode is watched; all else is the real Claude's, and so is a command line that it refuses. A person at a terminal gets
/// the local model while Claude is away.
fn watch_or_claude(name: &str, context: &Context) -> ExitCode {
    let is_print = !context.stdout_is_terminal() || command_line::says_print(&context.args);
    if !is_print && !call::is_away(context) {
        return become_claude(name, context);
    }
    match command_line::parse(&context.args) {
        Ok(Parsed::Prompt(command_line)) if is_elsewhere(&command_line) || locate::is_watched(context) => {
            become_claude(name, context)
        }
        Ok(Parsed::Prompt(command_line)) if !is_print => run_interactive(name, context, &command_line),
        Ok(Parsed::Prompt(command_line)) if command_line.formats_fit() => call::run(name, context, &command_line),
        _ => become_claude(name, context),
    }
}

/// Claude Code with a person before it, on the local model.
fn run_interactive(name: &str, context: &Context, command_line: &CommandLine) -> ExitCode {
    match AgentPolicy::of(name, context) {
        AgentPolicy::Never => become_claude(name, context),
        AgentPolicy::Auto | AgentPolicy::Always => report(name, &agent::become_agent(name, context, command_line, false)),
    }
}

/// Print mode is answered here; what needs no model, or a person at a terminal, is the real Claude's.
fn answer_or_claude(name: &str, context: &Context) -> ExitCode {
    let begun = Timestamp::now();
    let is_print = !context.stdout_is_terminal() || command_line::says_print(&context.args);
    let parsed = match command_line::parse(&context.args) {
        Ok(parsed) => parsed,
        Err(_) if !is_print => return become_claude(name, context),
        Err(error) => return report(name, &error),
    };
    match &parsed {
        // One of us that stands before has seen to it already.
        Parsed::Prompt(command_line) if is_elsewhere(command_line) || locate::is_watched(context) => become_claude(name, context),
        Parsed::Prompt(command_line) if is_print => answer(name, context, command_line, begun),
        Parsed::Prompt(command_line) => run_interactive(name, context, command_line),
        Parsed::NeedsNoModel => become_claude(name, context),
    }
}

/// Answers a print-mode call: with tools if it asks for them and there is a Claude Code that has them.
fn answer(name: &str, context: &Context, command_line: &CommandLine, begun: Timestamp) -> ExitCode {
    let mut request = AnswerRequest::by_flag();
    let mut lacks_tools = false;
    let mut stdin = Stdin::of_process(answer::listens(command_line));
    if AgentPolicy::of(name, context).takes(context, command_line, &stdin, true) {
        let error;
        if stdin.has_begun() {
            (error, stdin) = match agent::run(name, context, command_line, stdin) {
                Ok(exit) => return exit.into(),
                Err(failed) => failed,
            };
        } else {
            error = agent::become_agent(name, context, command_line, true);
        }
        match error {
            Error::ClaudeNotFound(_) => lacks_tools = true,
            // What the plain answer would say, in the format that was asked for.
            Error::NotInstalled(_) | Error::Setting { .. } | Error::NoHome => {}
            error => return report(name, &error),
        }
    }
    if let Some(pump) = stdin.pump().filter(|_| stdin.has_begun()) {
        request.input = InputSource::Feed(pump.give_away());
    }
    match answer::run(name, context, command_line, request) {
        Ok(Outcome::Answered(answered)) => {
            if lacks_tools {
                say(&format!("{name}: no real Claude Code on this machine: answered without its tools"));
            }
            answered.record("switch", Entry::new(name, begun, "answer", "local")).append(context);
            if answered.has_failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
        }
        // Only who has somebody else to leave it to declines.
        Ok(Outcome::Declined(error)) => report(name, &error),
        Err(error) => {
            report(name, &error.without_log());
            ExitCode::FAILURE
        }
    }
}

/// Some options ask for a session that is not this process's.
fn is_elsewhere(command_line: &CommandLine) -> bool {
    CLAUDE_ONLY.iter().any(|option| command_line.has(option))
}

fn become_claude(name: &str, context: &Context) -> ExitCode {
    let error = locate::become_claude(name, context);
    if matches!(error, Error::ClaudeNotFound(_)) && asks_for_version(context) {
        let version = env!("CARGO_PKG_VERSION");
        print(&format!("{COMPATIBLE_WITH} (claude-failover {version}; no Claude Code on this machine)\n"));
        return ExitCode::SUCCESS;
    }
    report(name, &error)
}

/// As the real CLI takes it before it reads its command line.
fn asks_for_version(context: &Context) -> bool {
    let words: Vec<&str> = context.args.iter().filter_map(|arg| arg.to_str()).collect();
    matches!(
        words.as_slice(),
        ["-v" | "-V" | "--version"] | ["-v" | "-V" | "--version", "--verbose"] | ["--verbose", "-v" | "--version"]
    ) && words.len() == context.args.len()
}
