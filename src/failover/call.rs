//! `auto`: Claude until it refuses, the local model while it does, and back by itself.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::agent;
use crate::agent::AgentPolicy;
use crate::answer;
use crate::answer::conversation::{Answered, Outcome};
use crate::answer::request::{AnswerRequest, Handover, InputSource};
use crate::claude_code::command_line::CommandLine;
use crate::claude_code::protocol::mark::Mark;
use crate::claude_code::protocol::output::Format;
use crate::claude_code::refusal::{Cause, Verdict};
use crate::claude_code::{locate, prompt};
use crate::context::Context;
use crate::error::{Error, Result, report, say, warn};
use crate::failover::policy::Policy;
use crate::local_model::unload;
use crate::os::exit::Exit;
use crate::os::signals::{Signals, Target};
use crate::state::breaker::{Admission, Attempt, Breaker, Change, Condition, Permit};
use crate::state::ledger::Entry;
use crate::state::notify;
use crate::stdin::Stdin;
use crate::text::clock;
use crate::watch::process::Process;
use crate::watch::render::{Limits, Renderer};
use crate::watch::{GiveUpAfter, Mode, Start, Step, Watch};

/// What a call ends with that Claude refused and nobody else was to answer: `EX_TEMPFAIL` of sysexits(3).
pub(super) const TRY_AGAIN_LATER: u8 = 75;

/// How often a waiting call looks whether Claude is back.
const LOOK: Duration = Duration::from_secs(2);

/// Answers a print-mode call.
pub(crate) fn run(applet: &str, context: &Context, command_line: &CommandLine) -> ExitCode {
    // Without a home folder there is no state to go by.
    let Ok(breaker) = Breaker::new(context) else { return report(applet, &locate::become_claude(applet, context)) };
    let model = command_line.last("--model").map(str::to_string).or_else(|| context.env("ANTHROPIC_MODEL")?.into_string().ok());
    let call = Call {
        applet,
        context,
        command_line,
        breaker,
        model: model.unwrap_or_default(),
        begun: Timestamp::now(),
        policy: Policy::of(applet, context),
        listens: answer::listens(command_line),
        is_quiet: agent::is_quiet(context),
        agent_policy: AgentPolicy::of(applet, context),
        resumes: resumes(applet, context),
        replied: Arc::default(),
    };
    match locate::announce(applet, context) {
        Ok(program) => call.route(program),
        Err(error @ Error::ClaudeNotFound(_)) => call.without_claude(&error),
        Err(error) => report(applet, &error),
    }
}

/// A call on its way.
pub(super) struct Call<'a> {
    pub(super) applet: &'a str,
    pub(super) context: &'a Context,
    pub(super) command_line: &'a CommandLine,
    pub(super) breaker: Breaker,
    /// The model's name as the caller gave it; empty if none was given.
    pub(super) model: String,
    pub(super) begun: Timestamp,
    pub(super) policy: Policy,
    pub(super) listens: bool,
    pub(super) is_quiet: bool,
    pub(super) agent_policy: AgentPolicy,
    /// Whether a session goes on where Claude was refused in the middle of it.
    pub(super) resumes: bool,
    /// The requests that were answered locally.
    pub(super) replied: Arc<Mutex<HashSet<String>>>,
}

/// Why the local model answers.
pub(super) struct Reason {
    /// As people say it, after "Claude ".
    pub(super) said: String,
    pub(super) cause: Cause,
    pub(super) until: Option<Timestamp>,
}

impl Reason {
    pub(super) fn of(verdict: &Verdict) -> Reason {
        Reason { said: said(verdict), cause: verdict.cause, until: verdict.until }
    }

    pub(super) fn met(condition: &Condition) -> Reason {
        Reason { said: condition.said(Timestamp::now()), cause: condition.cause, until: condition.until }
    }
}

/// How a try with Claude ended.
pub(super) enum Tried {
    Ended(ExitCode),
    /// Claude refused, and the call is to wait; with its stdin for the next try.
    MustWait(Box<Process>, Verdict),
}

impl Call<'_> {
    pub(super) fn route(&self, program: PathBuf) -> ExitCode {
        let mut process = Process::new(program, self.listens);
        let deadline = self.policy.longest_wait().and_then(|wait| Instant::now().checked_add(wait));
        let mut has_said = false;
        let mut wait = |said: &str| {
            if !std::mem::replace(&mut has_said, true) {
                self.say(&format!("Claude {said}; this call waits for it"));
            }
            let left = deadline.map_or(LOOK, |deadline| deadline.saturating_duration_since(Instant::now()));
            sleep(LOOK.min(left));
        };
        loop {
            let is_late = deadline.is_some_and(|deadline| Instant::now() >= deadline);
            let (permit, condition) = match self.breaker.admit(&self.asked(), Timestamp::now()) {
                Admission::Closed => (None, None),
                Admission::Probe(permit) => (Some(permit), None),
                Admission::Open(condition) => (None, Some(condition)),
            };
            let mode = match (&condition, self.policy) {
                (Some(condition), Policy::Local)
                    if self.agent_policy.takes(self.context, self.command_line, &process.stdin, true) =>
                {
                    match self.run_agent(&Reason::met(condition), process) {
                        Tried::Ended(code) => return code,
                        Tried::MustWait(again, _) => process = *again,
                    }
                    continue;
                }
                (Some(condition), Policy::Local) => return self.answer_first(condition, process),
                (Some(condition), Policy::Wait(_)) if !is_late => {
                    wait(&condition.said(Timestamp::now()));
                    continue;
                }
                (_, Policy::Fail) => Mode::PassedOn,
                (_, Policy::Wait(_)) if is_late => Mode::PassedOn,
                _ => Mode::Watched,
            };
            match self.try_claude(process, mode, permit) {
                Tried::Ended(code) => return code,
                Tried::MustWait(again, verdict) => {
                    process = *again;
                    // Where the breaker cannot be kept, nothing else would slow this down.
                    wait(&said(&verdict));
                }
            }
        }
    }

    /// Runs the real Claude, and answers in its place if it refuses.
    pub(super) fn try_claude(&self, process: Process, mode: Mode, mut permit: Option<Permit>) -> Tried {
        let (mut asked, mut is_told) = (self.asked(), false);
        let start = Start { mode, patience: self.patience(), limits_retries: self.policy == Policy::Fail, local: None };
        let mut watch = match Watch::start(self.applet, self.context, self.command_line, process, self.rendered(), start) {
            Ok(watch) => watch,
            Err(error) => return Tried::Ended(report(self.applet, &error)),
        };
        loop {
            match watch.run() {
                Step::Answering => {
                    self.tell(&self.breaker.answered(&asked, Timestamp::now()));
                    permit = None;
                }
                Step::NearLimit => unload::prewarm(self.context),
                Step::Refused(verdict) => {
                    self.tell(&self.breaker.refused(&verdict, &asked, Timestamp::now()));
                    is_told = true;
                    drop(permit.take());
                    // Whoever has sent a signal wants an end, and not another answer.
                    if watch.signals().is_to_end() {
                        watch.go_on(HashSet::new());
                    } else if matches!(self.policy, Policy::Wait(_)) {
                        return Tried::MustWait(watch.dismiss().into(), verdict);
                    } else if self.agent_policy.takes(self.context, self.command_line, watch.stdin(), false) {
                        return self.run_agent(&Reason::of(&verdict), watch.dismiss());
                    } else if let Some(code) = self.take_over(&mut watch, &verdict) {
                        watch.dismiss();
                        return Tried::Ended(code);
                    }
                    asked = self.asked();
                }
                Step::Interrupted(verdict) => {
                    self.tell(&self.breaker.refused(&verdict, &asked, Timestamp::now()));
                    drop(permit.take());
                    return Tried::Ended(self.resume(watch, &verdict));
                }
                Step::Ended(mut exit) => {
                    let verdict = watch.verdict();
                    if verdict.cause.fails_over() {
                        if !is_told {
                            self.tell(&self.breaker.refused(verdict, &asked, Timestamp::now()));
                        }
                        if mode == Mode::PassedOn && self.policy != Policy::Local {
                            exit = Exit::Code(TRY_AGAIN_LATER);
                        }
                    }
                    self.record_claude(&watch, exit);
                    return Tried::Ended(exit.into());
                }
            }
        }
    }

    /// Answers a call that the real Claude has begun and refused. None if that failed, and Claude goes on with it.
    pub(super) fn take_over(&self, watch: &mut Watch, verdict: &Verdict) -> Option<ExitCode> {
        let input = match watch.stdin().pump().filter(|_| self.listens) {
            Some(pump) => InputSource::Feed(pump.take()),
            None => InputSource::Read(watch.stdin().kept()),
        };
        let session_id = watch.session_id().map(str::to_string);
        let handover = Handover { session_id, transcript: watch.said(), is_running: watch.state_is_running() };
        let signals = watch.signals().clone();
        let reason = Reason::of(verdict);
        match self.answer(&reason, input, Some(handover), &signals, Some(Box::new(watch.farewell()))) {
            Ok(answered) => Some(self.record_local("watch", &reason, answered)),
            Err(error) => {
                self.say_why_not(&error);
                watch.go_on(self.replied());
                None
            }
        }
    }

    /// Answers a call without asking Claude, and asks it if that fails.
    pub(super) fn answer_first(&self, condition: &Condition, mut process: Process) -> ExitCode {
        let input = match process.stdin.pump().filter(|_| self.listens) {
            Some(pump) => InputSource::Feed(pump.take_unheard()),
            None => match prompt::read_stdin() {
                Ok(bytes) => {
                    process.stdin = Stdin::Read(bytes.clone());
                    InputSource::Read(bytes)
                }
                Err(error) => return report(self.applet, &error),
            },
        };
        let reason = Reason::met(condition);
        let signals = match process.signals(Target::Us) {
            Ok(signals) => signals,
            Err(error) => return report(self.applet, &error),
        };
        match self.answer(&reason, input, None, &signals, None) {
            Ok(answered) => self.record_local("answer", &reason, answered),
            Err(error) => {
                self.say_why_not(&error);
                process.answered = self.replied();
                match self.try_claude(process, Mode::PassedOn, None) {
                    Tried::Ended(code) => code,
                    Tried::MustWait(..) => ExitCode::from(TRY_AGAIN_LATER),
                }
            }
        }
    }

    pub(super) fn without_claude(&self, error: &Error) -> ExitCode {
        let mark = Mark::not_installed();
        let request = AnswerRequest { mark, may_decline: true, ..AnswerRequest::by_flag() };
        match answer::run(self.applet, self.context, self.command_line, request) {
            Ok(Outcome::Answered(answered)) => {
                answered.record("not_installed", self.entry("answer", "local")).append(self.context);
                exit_code(answered.has_failed)
            }
            Ok(Outcome::Declined(_)) | Err(_) => report(self.applet, error),
        }
    }

    /// What is asked of Claude now.
    pub(super) fn asked(&self) -> Attempt {
        Attempt { model: self.model.clone(), at: Timestamp::now() }
    }

    pub(super) fn replied(&self) -> HashSet<String> {
        self.replied.lock().map(|replied| replied.clone()).unwrap_or_default()
    }

    pub(super) fn entry(&self, route: &'static str, backend: &'static str) -> Entry {
        Entry::new(self.applet, self.begun, route, backend)
    }

    pub(super) fn record_claude(&self, watch: &Watch, exit: Exit) {
        Entry { exit: Some(exit.code()), ..self.entry_of_claude(watch) }.append(self.context);
    }

    pub(super) fn entry_of_claude(&self, watch: &Watch) -> Entry {
        let verdict = watch.verdict();
        let entry = Entry { verdict: Some(verdict.cause.word().into()), until: verdict.until, ..self.entry("watch", "claude") };
        watch.record(entry)
    }

    /// Gives the exit code. `answered` is none if stdout took no more.
    pub(super) fn record_local(&self, route: &'static str, reason: &Reason, answered: Option<Answered>) -> ExitCode {
        let entry = Entry { until: reason.until, ..self.entry(route, "local") };
        match answered {
            Some(answered) => {
                answered.record(reason.cause.word(), entry).append(self.context);
                exit_code(answered.has_failed)
            }
            None => ExitCode::FAILURE,
        }
    }

    /// Answers locally.
    ///
    /// # Errors
    /// If that failed before anything was printed, and somebody else may still answer.
    pub(super) fn answer(
        &self,
        reason: &Reason,
        input: InputSource,
        handover: Option<Handover>,
        signals: &Signals,
        farewell: Option<Box<dyn FnOnce() + Send>>,
    ) -> Result<Option<Answered>> {
        let _in_use = unload::in_use(self.context);
        let interrupts = match answer::format(self.command_line) {
            Format::Text => {
                signals.give_to(Target::Us);
                None
            }
            _ => {
                let (sender, interrupts) = channel();
                signals.give_to(Target::Conversation(sender));
                Some(interrupts)
            }
        };
        let has_answered = Arc::new(AtomicBool::new(false));
        let on_answer = {
            let (has_answered, is_quiet) = (has_answered.clone(), self.is_quiet);
            let line = format!("{}: Claude {}; the local model answers", self.applet, reason.said);
            move || {
                has_answered.store(true, SeqCst);
                if !is_quiet {
                    say(&line);
                }
                if let Some(farewell) = farewell {
                    farewell();
                }
            }
        };
        let on_answer: Option<Box<dyn FnOnce() + Send>> = Some(Box::new(on_answer));
        let mark = Mark::refused(reason.cause, reason.until);
        let answered_requests = self.replied.clone();
        let request = AnswerRequest { mark, input, may_decline: true, on_answer, handover, answered_requests, interrupts };
        match answer::run(self.applet, self.context, self.command_line, request) {
            Ok(Outcome::Answered(answered)) => {
                unload::when_idle(self.context);
                Ok(Some(answered))
            }
            Ok(Outcome::Declined(error)) => Err(error),
            Err(error) if has_answered.load(SeqCst) => {
                report(self.applet, &error.without_log());
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Tells the user's own program, and whoever keeps the server, of what has changed.
    pub(super) fn tell(&self, change: &Change) {
        let now = Timestamp::now();
        match change {
            Change::None => {}
            Change::Opened(condition) => {
                notify::tell(self.context, &format!("Claude {}. The local model answers until it is back.", condition.said(now)));
            }
            Change::Added(condition) => notify::tell(self.context, &format!("Claude {}, too.", condition.said(now))),
            Change::Closed => {
                notify::tell(self.context, "Claude answers again. Calls go to Claude.");
                unload::when_idle(self.context);
            }
        }
    }

    pub(super) fn say(&self, line: &str) {
        if !self.is_quiet {
            say(&format!("{}: {line}", self.applet));
        }
    }

    /// What Claude Code refuses, too, it says itself.
    pub(super) fn say_why_not(&self, error: &Error) {
        if matches!(error, Error::AsClaude(_)) {
            return;
        }
        let hint = error.hint(self.applet).map(|hint| format!(" ({hint})")).unwrap_or_default();
        let why = error.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        say(&format!("{}: no local answer: {why}{hint}; what follows is Claude's", self.applet));
    }

    pub(super) fn rendered(&self) -> Renderer {
        let value = |name: &str| self.command_line.last(name).map(str::to_string);
        let limits = Limits { turns: value("--max-turns"), budget: value("--max-budget-usd") };
        Renderer::new(answer::format(self.command_line), self.context.stdout_is_terminal(), limits)
    }

    pub(super) fn patience(&self) -> GiveUpAfter {
        let number = |key, default, expected| {
            self.context.number(key, default, expected).unwrap_or_else(|error| {
                warn(self.applet, &format!("{error}; using {default}"));
                default
            })
        };
        let replays_always = self.context.setting("LLM_FAILOVER_REPLAY").is_some_and(|value| value == "always");
        GiveUpAfter {
            retries: number("LLM_FAILOVER_RETRIES", 2, "a number of retries").try_into().unwrap_or(u32::MAX),
            stall: Duration::from_secs(number("LLM_FAILOVER_STALL", 120, "a number of seconds")),
            replays_always,
            has_watchdog: self.context.env("CLAUDE_CODE_RETRY_WATCHDOG").is_some_and(|value| is_yes(&value)),
            resumes: self.resumes && self.policy == Policy::Local,
        }
    }
}

/// `LLM_FAILOVER_RESUME`.
fn resumes(applet: &str, context: &Context) -> bool {
    let word = context.setting("LLM_FAILOVER_RESUME").unwrap_or_default().to_string_lossy().trim().to_ascii_lowercase();
    if !matches!(word.as_str(), "" | "auto" | "never") {
        warn(applet, &format!("LLM_FAILOVER_RESUME is `{word}`: expected auto or never; using auto"));
    }
    word != "never"
}

fn exit_code(has_failed: bool) -> ExitCode {
    if has_failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// As people say it, after "Claude ".
fn said(verdict: &Verdict) -> String {
    match verdict.until {
        Some(until) => format!("{} until {}", verdict.cause.description(), clock(until, Timestamp::now())),
        None => verdict.cause.description().into(),
    }
}

/// As Claude Code takes its variables.
fn is_yes(value: &OsStr) -> bool {
    matches!(value.to_string_lossy().trim().to_ascii_lowercase().as_str(), "1" | "true" | "yes" | "on")
}

/// Whether Claude is known to be away, and it is not time yet to ask it again.
pub(crate) fn is_away(context: &Context) -> bool {
    let model = context.env("ANTHROPIC_MODEL").and_then(|model| model.into_string().ok()).unwrap_or_default();
    let now = Timestamp::now();
    Breaker::new(context).is_ok_and(|breaker| breaker.is_open(&Attempt { model, at: now }, now))
}
