//! `auto`: Claude until it refuses, the local model while it does, and back to Claude without the user.

mod answer;
mod call;
mod give_up;
mod record;
mod resume;

use std::collections::HashSet;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::Duration;

use jiff::Timestamp;

use crate::answer::format;
use crate::claude_code::command_line::CommandLine;
use crate::context::Context;
use crate::error::{Error, Result, notice};
use crate::local_model::unload;
use crate::routing::agent_policy::{self, AgentPolicy};
use crate::routing::facts::Call;
use crate::routing::reason::Refusal;
use crate::routing::route::{Facts, OnRefusal};
use crate::settings::RefusalPolicy;
use crate::shown::{Shown, shown};
use crate::state::breaker::{Attempt, Breaker, Change};
use crate::state::notify;
use crate::stdin::Stdin;
use crate::watch::next_try::NextTry;
use crate::watch::render::{Limits, Renderer};

/// The exit code of a call that Claude refused and that the policy leaves unanswered: `EX_TEMPFAIL` of sysexits(3).
const TRY_AGAIN_LATER: u8 = 75;

/// How often a waiting call checks whether Claude is back.
const POLL: Duration = Duration::from_secs(2);

/// A print-mode call with the flag at `auto`.
struct Failover<'a> {
    applet: &'a str,
    context: &'a Context,
    command_line: Rc<CommandLine>,
    breaker: Breaker,
    /// The model's name as the caller gave it; empty if none was given.
    model: String,
    begun: Timestamp,
    policy: RefusalPolicy,
    agent_policy: AgentPolicy,
    /// Whether the local model goes on with a session that Claude refused in the middle of its work.
    resumes: bool,
    /// The ids of the control requests that were answered locally.
    answered_requests: Arc<Mutex<HashSet<String>>>,
}

enum TryOutcome {
    Ended(ExitCode),
    /// Claude refused, and the policy is to wait.
    MustWait(Box<NextTry>, Refusal),
}

/// Runs the real Claude as a child, and answers in its place if it refuses. Returns none if the route must be decided anew.
pub(crate) fn watch(call: &mut Call, on_refusal: OnRefusal) -> Result<Option<ExitCode>> {
    let (next, attempt, permit) = (call.take_next_try()?, call.take_attempt(), call.take_permit());
    let tried = Failover::new(call)?.watch(next, on_refusal, attempt, permit);
    code_or_wait(call, tried)
}

/// Runs the real Claude Code on the local model, without asking Claude first. Returns none if the route must be decided anew.
pub(crate) fn run_agent(call: &mut Call, refusal: &Refusal) -> Result<Option<ExitCode>> {
    let next = call.take_next_try()?;
    let tried = Failover::new(call)?.run_agent(refusal, next);
    code_or_wait(call, tried)
}

pub(crate) fn answer(call: &mut Call, refusal: &Refusal) -> Result<Option<ExitCode>> {
    let next = call.take_next_try()?;
    Ok(Some(Failover::new(call)?.answer_first(refusal, next)))
}

/// # Errors
/// [`Error::ClaudeNotFound`], if the local model does not answer either.
pub(crate) fn answer_without_claude(call: &mut Call) -> Result<Option<ExitCode>> {
    match call.take_next_try() {
        Err(error) => Failover::new(call)?.answer_without_claude(error).map(Some),
        // It was installed meanwhile.
        Ok(next) => {
            call.put_back(next);
            Ok(None)
        }
    }
}

/// Waits a moment for Claude, with a line on stderr the first time. Returns none: the route must be decided anew.
pub(crate) fn wait(call: &mut Call, refusal: &Refusal) -> Result<Option<ExitCode>> {
    // A wrapper that leads back here without end would be found only after the wait.
    let next = call.take_next_try()?;
    call.put_back(next);
    if call.begin_to_wait() {
        Failover::new(call)?.say(&shown!("Claude {}; this call waits for it", refusal.description));
    }
    sleep(call.time_left_to_wait().map_or(POLL, |left| POLL.min(left)));
    Ok(None)
}

fn code_or_wait(call: &mut Call, tried: TryOutcome) -> Result<Option<ExitCode>> {
    match tried {
        TryOutcome::Ended(code) => Ok(Some(code)),
        TryOutcome::MustWait(next, refusal) => {
            call.put_back(*next);
            // Where the breaker's file cannot be written, nothing else slows the loop down.
            wait(call, &refusal)
        }
    }
}

impl<'a> Failover<'a> {
    fn new(call: &mut Call<'a>) -> Result<Failover<'a>> {
        Ok(Failover {
            applet: call.applet,
            context: call.context,
            command_line: call.command_line()?,
            breaker: Breaker::new(call.context)?,
            model: call.model(),
            begun: call.begun,
            policy: call.refusal_policy(),
            agent_policy: call.agent_policy(),
            resumes: call.resumes(),
            answered_requests: Arc::default(),
        })
    }

    fn listens(&self) -> bool {
        self.command_line.listens()
    }

    fn attempt(&self) -> Attempt {
        Attempt { model: self.model.clone(), begun: Timestamp::now() }
    }

    fn wants_agent(&self, stdin: &Stdin) -> bool {
        self.agent_policy.wants_agent(|| agent_policy::needs_tools(self.context, &self.command_line, stdin, false))
    }

    fn answered_requests(&self) -> HashSet<String> {
        self.answered_requests.lock().map(|requests| requests.clone()).unwrap_or_default()
    }

    fn renderer(&self) -> Renderer {
        let value = |name: &str| self.command_line.last(name).map(str::to_string);
        let limits = Limits { turns: value("--max-turns"), budget: value("--max-budget-usd") };
        Renderer::new(format(&self.command_line), self.context.stdout_is_terminal(), limits)
    }

    fn announce(&self, change: &Change) {
        announce(self.context, change);
    }

    fn say(&self, line: &Shown) {
        notice(&self.stderr_line(line));
    }

    fn stderr_line(&self, text: &Shown) -> Shown {
        shown!("{}: {text}", self.applet)
    }

    /// Claude Code, which runs next, prints its own refusal of the call itself.
    fn say_why_not(&self, error: &Error) {
        if matches!(error, Error::AsClaude { .. }) {
            return;
        }
        let hint = error.hint(self.applet).map(|hint| format!(" ({hint})")).unwrap_or_default();
        let why = Shown::squeezed(error);
        self.say(&shown!("no local answer: {why}{hint}; what follows is Claude's"));
    }
}

/// Notifies the user's own program, and starts the process that unloads the server.
pub(crate) fn announce(context: &Context, change: &Change) {
    let now = Timestamp::now();
    match change {
        Change::None => {}
        Change::Opened(condition) => {
            let description = condition.description(now);
            notify::send(context, &shown!("Claude {description}. The local model answers until it is back."));
        }
        Change::Added(condition) => {
            notify::send(context, &shown!("Claude {}, too.", condition.description(now)));
        }
        Change::Closed => {
            notify::send(context, &"Claude answers again. Calls go to Claude.".into());
            unload::when_idle(context);
        }
    }
}
