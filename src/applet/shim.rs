//! `claude` and `agent-llm`: Claude Code, or a local answer, as the switch says.

use std::process::ExitCode;

use crate::answer;
use crate::context::Context;
use crate::error::{Error, report, warn};
use crate::invocation::{self, Call, Invocation};
use crate::options::CLAUDE_ONLY;
use crate::real_claude;
use crate::route::{Kind, Route, route};
use crate::switch::{Backend, Switch};

/// The Claude Code whose command line is kept to.
const COMPATIBLE_WITH: &str = "2.1.330";

/// Runs the applet `name`.
pub fn run(name: &str, context: &Context) -> ExitCode {
    let backend = Switch::new(context).map_or(Backend::Claude, |switch| {
        let (backend, warning) = switch.read();
        if let Some(warning) = warning {
            warn(name, &warning);
        }
        backend
    });
    match backend {
        Backend::Claude => become_claude(name, context),
        Backend::Local => by_kind(name, context, backend),
    }
}

fn by_kind(name: &str, context: &Context, backend: Backend) -> ExitCode {
    let is_print = !context.stdout_is_terminal() || invocation::says_print(&context.args);
    let call = match invocation::parse(&context.args) {
        Ok(call) => call,
        Err(_) if !is_print => return become_claude(name, context),
        Err(error) => return report(name, &error),
    };
    let print = match &call {
        Call::Prompt(invocation) if is_print && !is_elsewhere(invocation) => Some(invocation),
        _ => None,
    };
    let kind = if print.is_some() { Kind::Print } else { Kind::NotPrint };
    match (route(backend, kind), print) {
        (Route::Answer, Some(invocation)) => match answer::run(name, context, invocation) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                report(name, &error.without_log());
                ExitCode::FAILURE
            }
        },
        _ => become_claude(name, context),
    }
}

/// Some options ask for a session that is not this process's.
fn is_elsewhere(invocation: &Invocation) -> bool {
    CLAUDE_ONLY.iter().any(|option| invocation.has(option))
}

fn become_claude(name: &str, context: &Context) -> ExitCode {
    let error = real_claude::become_claude(name, context);
    let is_version = || context.args.iter().any(|arg| arg == "--version" || arg == "-v");
    if matches!(error, Error::ClaudeNotFound(_)) && is_version() {
        println!("{COMPATIBLE_WITH} (claude-failover {}; no Claude Code on this machine)", env!("CARGO_PKG_VERSION"));
        return ExitCode::SUCCESS;
    }
    report(name, &error)
}
