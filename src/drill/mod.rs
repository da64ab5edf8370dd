//! A drill: the whole way of a call whose Claude is limited or down, with the installed real Claude Code and the local
//! server as they are. Only Anthropic is played, on loopback; quota, switch, breaker, ledger and Claude's own settings
//! are not touched.

pub(crate) mod api;
pub(crate) mod call;
pub(crate) mod scenario;

use std::fs;
use std::process::ExitStatus;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::claude_code::locate;
use crate::context::Context;
use crate::drill::api::Api;
use crate::drill::call::Folder;
pub(crate) use crate::drill::scenario::Scenario;
use crate::error::{Error, Result};
use crate::local_model::unload;
use crate::names::OWN_NAME;
use crate::os::cleanup::CleanupOnSignal;
use crate::server::Server;
use crate::server::probe::ServerState;
use crate::state::flag::{Backend, Flag};

/// What the played call asks.
const PROMPT: &str = "Say hello in one word.";

/// How long all of it may take, without the start of the local server.
const LIMIT: Duration = Duration::from_secs(300);

/// What happens in a drill.
pub(crate) enum DrillEvent {
    /// Anthropic was asked, and did this.
    Asked(String),
    /// The call wrote a line on stdout or stderr.
    Wrote(String),
    /// The call has ended, and all that it wrote was read.
    Ended(ExitStatus),
}

/// Who answered the call.
enum CallResult {
    Local,
    Claude,
    Failure,
}

/// How a drill ends that shows what it should.
pub(crate) enum Ending {
    AnsweredLocally,
    /// A local model should not stand in for this, for this reason.
    LeftToClaude(&'static str),
}

/// Plays `scenario` and tells every step as it happens.
///
/// # Errors
/// If the call did not end as it should, or the drill could not be held.
pub(crate) fn run(context: &Context, scenario: Scenario, tell: &dyn Fn(&str)) -> Result<Ending> {
    let server = Server::new(context)?;
    let was_down = server.state() == ServerState::Down;
    let claude = locate::find(context)?;
    let begun = Instant::now();
    let step = |text: &str| tell(&format!("{:>6.1} s  {}", begun.elapsed().as_secs_f64(), one_line(text)));
    step(&format!("real claude: {}", claude.display()));
    step(&format!("local server: {}", if was_down { "down (lazy)" } else { "runs" }));
    let (api, folder) = (Api::new()?, Folder::new(context)?);
    let call = call::start(context, scenario, &api.url(), &folder)?;
    step(&format!("a script asks: claude -p \"{PROMPT}\""));
    let (pid, path) = (call.pid(), folder.path().to_path_buf());
    let own = context.for_applet(OWN_NAME, &[]);
    // After the call has begun, which must not inherit blocked signals, and before there are threads, which must.
    let guard = CleanupOnSignal::new(move || {
        call::end(pid);
        let _ = fs::remove_dir_all(path);
        let _ = was_down && is_stopped_again(&own);
    });
    let (sender, events) = mpsc::channel();
    api.serve(scenario, sender.clone());
    call.follow(sender);
    let played = play(&events, Instant::now() + server.start_timeout() + LIMIT, &step);
    if played.is_err() {
        call::end(pid);
    }
    guard.end();
    if was_down && is_stopped_again(context) {
        step("local server: stopped again");
    }
    let (was_asked, answer) = played?;
    match answer {
        _ if !was_asked => fail("the real Claude did not ask the Anthropic of this drill"),
        Some(CallResult::Local) if scenario != Scenario::SignIn => {
            tell("answered locally, as it should be");
            Ok(Ending::AnsweredLocally)
        }
        Some(CallResult::Claude) if scenario == Scenario::Throttle => {
            Ok(Ending::LeftToClaude("Claude Code waits out a short throttle by itself"))
        }
        Some(CallResult::Failure) if scenario == Scenario::SignIn => {
            Ok(Ending::LeftToClaude("who is not signed in has to be told"))
        }
        Some(CallResult::Local) => fail("the call was answered locally, and should not have been"),
        Some(CallResult::Claude) => fail("Claude's own answer came, and should not have"),
        Some(CallResult::Failure) => fail("the call failed"),
        None => fail("the call ended without a result"),
    }
}

fn fail<T>(reason: &str) -> Result<T> {
    Err(Error::DrillFailed { reason: reason.into() })
}

/// Follows the call to its end: whether Anthropic was asked, and who answered.
fn play(events: &Receiver<DrillEvent>, deadline: Instant, step: &dyn Fn(&str)) -> Result<(bool, Option<CallResult>)> {
    let (mut was_asked, mut answer) = (false, None);
    loop {
        match events.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(DrillEvent::Asked(what)) => {
                was_asked = true;
                step(&format!("Anthropic is asked, and {what}"));
            }
            Ok(DrillEvent::Wrote(line)) => match serde_json::from_str::<Value>(&line) {
                Ok(message) if message["type"] == "result" => {
                    let (who, what) = result(&message);
                    answer = Some(who);
                    step(&what);
                }
                Ok(_) => {}
                Err(_) => step(&format!("stderr: {line}")),
            },
            Ok(DrillEvent::Ended(status)) => {
                step(&format!("the call ends with {}", status.to_string().replace("exit status:", "exit code")));
                return Ok((was_asked, answer));
            }
            Err(_) => return fail("the call did not end"),
        }
    }
}

/// Who answered, and that in words.
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

/// Stops the server that the drill has started. The user's own switch may have sent others there meanwhile.
fn is_stopped_again(context: &Context) -> bool {
    let is_wanted = Flag::new(context).is_ok_and(|flag| flag.read().0 == Backend::Local);
    let is_down = || Server::new(context).is_ok_and(|server| server.state() == ServerState::Down);
    !is_wanted && !is_down() && unload::unload(context).is_ok() && is_down()
}

fn one_line(text: &str) -> String {
    const LIMIT: usize = 300;
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().filter(|c| !c.is_control()).take(LIMIT).collect()
}
