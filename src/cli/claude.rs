//! `claude` and `agent-llm`: Claude Code or a local answer, by route.

use std::process::ExitCode;
use std::sync::mpsc::channel;

use crate::agent::{child, launch};
use crate::answer;
use crate::answer::conversation::{Answered, Outcome};
use crate::answer::request::{AnswerRequest, InputSource};
use crate::claude_code::command_line::CommandLine;
use crate::claude_code::locate;
use crate::claude_code::protocol::mark::Mark;
use crate::claude_code::version::COMPATIBLE_WITH;
use crate::cli::print_line;
use crate::context::Context;
use crate::error::{Error, Result, notice, report};
use crate::failover;
use crate::os::signals::Target;
use crate::routing::agent_policy::AgentPolicy;
use crate::routing::facts::Call;
use crate::routing::reason::Reason;
use crate::routing::route::{Facts, Route, Side, decide};
use crate::routing::traced::explained;
use crate::shown::shown;
use crate::state::breaker::Breaker;
use crate::state::ledger::{AnsweredBy, Entry, RouteName};
use crate::stderr;
use crate::stdin::Stdin;
use crate::terminal;
use crate::watch::next_try::NextTry;

/// Decides the route and takes it. Where a route comes to nothing, it is decided anew.
pub(crate) fn run(applet: &str, context: &Context) -> ExitCode {
    let mut call = Call::new(applet, context);
    if context.settings.is_debugged(applet) {
        stderr::begin_debug();
    }
    loop {
        let exit_code = match route(&mut call) {
            Route::Exec => Ok(Some(become_claude(applet, context))),
            Route::Refuse => call.command_line().map(|_| Some(ExitCode::FAILURE)),
            Route::Answer(Reason::Refused(refusal)) => failover::answer(&mut call, &refusal),
            Route::Answer(Reason::NotInstalled) => failover::answer_without_claude(&mut call),
            Route::Answer(Reason::Flag | Reason::Away) => answer_plainly(&mut call),
            Route::Agent(Reason::Refused(refusal)) => failover::run_agent(&mut call, &refusal),
            Route::Agent(reason @ (Reason::Flag | Reason::Away | Reason::NotInstalled)) => run_agent(&mut call, &reason),
            Route::Terminal(side) => at_terminal(&mut call, side),
            Route::Watch(on_refusal) => failover::watch(&mut call, on_refusal),
            Route::Wait(refusal) => failover::wait(&mut call, &refusal),
        };
        match exit_code {
            Ok(Some(code)) => return code,
            Ok(None) => {}
            Err(error) => return report(applet, &error),
        }
    }
}

fn route(call: &mut Call) -> Route {
    if !stderr::is_debugged() {
        return decide(call);
    }
    let (route, why) = explained(call);
    stderr::debug(call.applet, &|| why.clone());
    route
}

/// As ever, where the session cannot change sides.
fn at_terminal(call: &mut Call, side: Side) -> Result<Option<ExitCode>> {
    match (terminal::run(call, side)?, side) {
        (Some(exit), _) => Ok(Some(exit)),
        (None, Side::Claude) => Ok(Some(become_claude(call.applet, call.context))),
        (None, Side::Local) => run_agent(call, &Reason::Away),
    }
}

/// In print mode a plain answer, where the real Claude Code cannot run on the local model.
fn run_agent(call: &mut Call, reason: &Reason) -> Result<Option<ExitCode>> {
    let (applet, context, command_line) = (call.applet, call.context, call.command_line()?);
    if !call.is_print() {
        return launch::become_agent(applet, context, &command_line, &why(context, reason)).map(|exit| Some(exit.end_process()));
    }
    let (error, stdin) = match call.take_stdin() {
        // A program that talks in lines sees by its results who has answered; those of a Claude Code that runs in our place are unmarked.
        stdin if stdin.has_begun() || command_line.listens() => match locate::announce(applet, context) {
            Ok(claude) => {
                let next = NextTry::first(claude, stdin);
                match child::run(applet, context, &command_line, next, None, Mark::by_flag()) {
                    Ok(exit) => return Ok(Some(exit.end_process())),
                    Err((error, next)) => (error, next.stdin),
                }
            }
            Err(error) => (error, stdin),
        },
        stdin => match launch::run_agent(applet, context, &command_line, reason.word()) {
            Ok(exit) => return Ok(Some(exit.end_process())),
            Err(error) => (error, stdin),
        },
    };
    match error {
        // The plain answer reports the same error, in the format that the call asks for.
        Error::ClaudeNotFound { .. } | Error::NotInstalled { .. } | Error::Setting { .. } | Error::NoHome => {
            let lacks_tools = matches!(error, Error::ClaudeNotFound { .. });
            answer(call, &command_line, stdin, lacks_tools).map(Some)
        }
        error => Err(error),
    }
}

/// The reason as the ledger has it: where Claude is away, why.
fn why(context: &Context, reason: &Reason) -> String {
    let conditions = || Breaker::new(context).map(|breaker| breaker.conditions()).unwrap_or_default();
    let cause = || conditions().first().map(|condition| condition.cause.word());
    if *reason == Reason::Away { cause().unwrap_or(reason.word()).into() } else { reason.word().into() }
}

fn answer_plainly(call: &mut Call) -> Result<Option<ExitCode>> {
    let (command_line, may_run_agent) = (call.command_line()?, call.agent_policy() != AgentPolicy::Never);
    let stdin = call.take_stdin();
    match locate::find_for_call(call.context).ok().filter(|_| may_run_agent) {
        None => answer(call, &command_line, stdin, false).map(Some),
        Some(claude) => answer_or_leave(call, &command_line, NextTry::first(claude, stdin)).map(Some),
    }
}

fn answer(call: &Call, command_line: &CommandLine, stdin: Stdin, lacks_tools: bool) -> Result<ExitCode> {
    let mut request = AnswerRequest::by_flag();
    if let Some(pump) = stdin.pump().filter(|_| stdin.has_begun()) {
        request.input = InputSource::Feed(pump.divert_for_good());
        request.pump = Some(pump.clone());
    }
    let Some(answered) = ask_local_model(call, command_line, request)? else { return Ok(ExitCode::FAILURE) };
    if lacks_tools {
        notice(&shown!("{}: no real Claude Code on this machine: answered without its tools", call.applet));
    }
    record(call, &answered);
    Ok(answered.exit_code())
}

/// Where a command comes that only Claude Code has, that goes on with the conversation.
fn answer_or_leave(call: &Call, command_line: &CommandLine, mut next: NextTry) -> Result<ExitCode> {
    let (applet, context) = (call.applet, call.context);
    let mut request = AnswerRequest { claude_code_is_there: true, ..AnswerRequest::by_flag() };
    let answered_requests = request.answered_requests.clone();
    if let Some(pump) = next.stdin.pump().filter(|_| command_line.listens()).cloned() {
        let (sender, interrupts) = channel();
        next.signals(Target::Conversation(sender))?;
        request.interrupts = Some(interrupts);
        request.input = InputSource::Feed(pump.divert_for_good());
        request.pump = Some(pump);
    }
    let Some(mut answered) = ask_local_model(call, command_line, request)? else { return Ok(ExitCode::FAILURE) };
    let Some(left) = answered.left_to_claude_code.take() else {
        record(call, &answered);
        return Ok(answered.exit_code());
    };
    if left.has_answered {
        record(call, &answered);
    }
    next.go_on(&left, answered_requests.lock().map(|requests| requests.clone()).unwrap_or_default());
    locate::announce(applet, context)?;
    match child::run(applet, context, command_line, next, left.prompt, Mark::by_flag()) {
        Ok(exit) => Ok(exit.end_process()),
        Err((error, _)) => Err(error),
    }
}

/// Returns none if that was not possible, and the caller has been told.
fn ask_local_model(call: &Call, command_line: &CommandLine, request: AnswerRequest) -> Result<Option<Answered>> {
    match answer::run(call.applet, call.context, command_line, request) {
        Ok(Outcome::Answered(answered)) => {
            answered.tell_claude(call.applet);
            Ok(Some(*answered))
        }
        // Not reached: this request may not be declined.
        Ok(Outcome::Declined(error)) => Err(error),
        Err(error) => {
            report(call.applet, &error.without_log());
            Ok(None)
        }
    }
}

fn record(call: &Call, answered: &Answered) {
    let entry = Entry::new(call.applet, call.begun, RouteName::Answer, AnsweredBy::Local);
    answered.record(Mark::by_flag().reason(), entry).append(call.context);
}

fn become_claude(applet: &str, context: &Context) -> ExitCode {
    let error = locate::become_claude(applet, context);
    if matches!(error, Error::ClaudeNotFound { .. }) && asks_for_version(context) {
        let version = env!("CARGO_PKG_VERSION");
        print_line(&shown!("{COMPATIBLE_WITH} (claude-failover {version}; no Claude Code on this machine)"));
        return ExitCode::SUCCESS;
    }
    report(applet, &error)
}

/// As the real CLI checks it, before it parses its command line.
fn asks_for_version(context: &Context) -> bool {
    let words: Vec<&str> = context.args.iter().filter_map(|arg| arg.to_str()).collect();
    matches!(
        words.as_slice(),
        ["-v" | "-V" | "--version"] | ["-v" | "-V" | "--version", "--verbose"] | ["--verbose", "-v" | "--version"]
    ) && words.len() == context.args.len()
}
