//! A drill: a call from beginning to end whose Claude is limited or down, with the installed real Claude Code and the local
//! server. Only Anthropic is simulated, on loopback. The drill spends no quota, and leaves the flag, the breaker, the ledger
//! and Claude's own settings alone.

pub(crate) mod api;
pub(crate) mod call;
pub(crate) mod scenario;

use std::fs;
use std::process::ExitStatus;
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::unistd::Pid;
use serde_json::Value;

use crate::claude_code::locate;
use crate::context::Context;
use crate::drill::api::Api;
use crate::drill::call::TempFolder;
pub(crate) use crate::drill::scenario::{SCENARIOS, Scenario};
use crate::error::{Error, Result};
use crate::local_model::unload;
use crate::names::OWN_NAME;
use crate::os::cleanup::CleanupOnSignal;
use crate::server::Server;
use crate::server::probe::ServerState;
use crate::shown::{Shown, shown};
use crate::state::flag::{Backend, Flag};

const PROMPT: &str = "Say hello in one word.";

/// For the whole drill, without the start of the local server.
const TIMEOUT: Duration = Duration::from_secs(300);

pub(crate) enum DrillEvent {
    /// Anthropic got the prompt, and replied in this way.
    Replied(String),
    /// A line on stdout or stderr.
    Wrote(String),
    /// After all lines.
    Ended(ExitStatus),
}

enum CallResult {
    Local,
    Claude,
    Failure,
}

/// The end of a drill in which the call ended as it should.
pub(crate) enum DrillSuccess {
    AnsweredLocally,
    /// A local model must not stand in here, for this reason.
    LeftToClaude(&'static str),
}

/// Calls `print_line` with each step as it happens.
pub(crate) fn run(context: &Context, scenario: Scenario, print_line: &dyn Fn(&Shown)) -> Result<DrillSuccess> {
    let server = Server::new(context)?;
    let was_down = server.state() == ServerState::Down;
    let claude = locate::find(context)?;
    let begun = Instant::now();
    let step = |text: &str| print_line(&shown!("{:>6.1} s  {}", begun.elapsed().as_secs_f64(), one_line(text)));
    step(&format!("real claude: {}", claude.display()));
    step(&format!("local server: {}", if was_down { "down (lazy)" } else { "runs" }));
    let (api, folder) = (Api::listen()?, TempFolder::new(context)?);
    let path = folder.path().to_path_buf();
    let own_context = context.for_applet(OWN_NAME, &[]);
    let started: Arc<Mutex<Option<Pid>>> = Arc::default();
    let to_end = started.clone();
    let cleanup = CleanupOnSignal::new(move || {
        // Held while the call starts.
        if let Some(pid) = *lock(&to_end) {
            call::terminate(pid);
        }
        let _ = fs::remove_dir_all(path);
        let _ = was_down && stop_server_again(&own_context);
    });
    let (applet, mut held) = (call::applet(context), lock(&started));
    let call = call::start(context, applet, scenario, &api.url(), &folder)?;
    let pid = *held.insert(call.pid());
    drop(held);
    step(&format!("a script asks: {applet} -p \"{PROMPT}\""));
    let (sender, events) = mpsc::channel();
    api.serve(scenario, sender.clone());
    call.send_events(sender);
    let followed = follow(&events, server.start_timeout().saturating_add(TIMEOUT), &step);
    if followed.is_err() {
        call::terminate(pid);
    }
    cleanup.end();
    if was_down && stop_server_again(context) {
        step("local server: stopped again");
    }
    let (was_requested, answer) = followed?;
    match answer {
        _ if !was_requested => fail("the real Claude did not ask the Anthropic of this drill"),
        Some(CallResult::Local) if scenario != Scenario::SignIn => {
            print_line(&"answered locally, as it should be".into());
            Ok(DrillSuccess::AnsweredLocally)
        }
        Some(CallResult::Claude) if scenario == Scenario::Throttle => {
            Ok(DrillSuccess::LeftToClaude("Claude Code waits out a short throttle by itself"))
        }
        Some(CallResult::Failure) if scenario == Scenario::SignIn => {
            Ok(DrillSuccess::LeftToClaude("who is not signed in has to be told"))
        }
        Some(CallResult::Local) => fail("the call was answered locally, and should not have been"),
        Some(CallResult::Claude) => fail("Claude's own answer came, and should not have"),
        Some(CallResult::Failure) => fail("the call failed"),
        None => fail("the call ended without a result"),
    }
}

fn lock(started: &Mutex<Option<Pid>>) -> MutexGuard<'_, Option<Pid>> {
    started.lock().unwrap_or_else(PoisonError::into_inner)
}

fn fail<T>(reason: &'static str) -> Result<T> {
    Err(Error::DrillFailed { reason: reason.into() })
}

/// Returns whether Anthropic was asked, and the result.
fn follow(events: &Receiver<DrillEvent>, limit: Duration, step: &dyn Fn(&str)) -> Result<(bool, Option<CallResult>)> {
    let begun = Instant::now();
    let (mut was_requested, mut answer) = (false, None);
    loop {
        match events.recv_timeout(limit.saturating_sub(begun.elapsed())) {
            Ok(DrillEvent::Replied(reply)) => {
                was_requested = true;
                step(&format!("Anthropic is asked, and {reply}"));
            }
            Ok(DrillEvent::Wrote(line)) => match serde_json::from_str::<Value>(&line) {
                Ok(message) if message["type"] == "result" => {
                    let (result, description) = result(&message);
                    answer = Some(result);
                    step(&description);
                }
                Ok(_) => {}
                Err(_) => step(&format!("stderr: {line}")),
            },
            Ok(DrillEvent::Ended(status)) => {
                step(&format!("the call ends with {}", status.to_string().replace("exit status:", "exit code")));
                return Ok((was_requested, answer));
            }
            Err(_) => return fail("the call did not end"),
        }
    }
}

/// With a description.
fn result(message: &Value) -> (CallResult, String) {
    let text = message["result"].as_str().unwrap_or_default();
    let model = message["modelUsage"].as_object().and_then(|models| models.keys().next());
    let is_local = message["failover"]["backend"] == "local";
    match message["is_error"] != false {
        true if is_local => (CallResult::Failure, format!("the local model fails: {text}")),
        true => (CallResult::Failure, format!("Claude fails: {text}")),
        false if is_local => {
            (CallResult::Local, format!("answered locally by {}: {text}", model.map_or("the local model", String::as_str)))
        }
        false => (CallResult::Claude, format!("answered by Claude: {text}")),
    }
}

/// Stops the server that a drill or another trial has started, unless the user's own flag has sent calls to it meanwhile. Returns whether it
/// stopped.
pub(crate) fn stop_server_again(context: &Context) -> bool {
    let is_needed = Flag::new(context).is_ok_and(|flag| flag.read().0 == Backend::Local);
    let is_down = || Server::new(context).is_ok_and(|server| server.state() == ServerState::Down);
    // One that has begun to start is not there yet, and is ended as well.
    let was_there = !is_down();
    !is_needed && unload::unload(context, || true).is_ok() && was_there && is_down()
}

fn one_line(text: &str) -> Shown {
    const LIMIT: usize = 300;
    Shown::squeezed(text).at_most(LIMIT)
}
