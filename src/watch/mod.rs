//! The real Claude Code as a child that is watched: what it prints reaches the caller as if it had been run in our
//! place, unless Claude refuses before anything has come of the call.
//!
//! It is asked for its typed stream whatever the caller asked for, and that is rendered back.
pub(crate) mod handover;
pub(crate) mod process;
pub(crate) mod render;

use std::collections::HashSet;
use std::io::{ErrorKind, Read};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::answer;
use crate::claude_code::command_line::CommandLine;
use crate::claude_code::protocol::input::Role;
use crate::claude_code::protocol::line::{Line, Usage};
use crate::claude_code::refusal::{Cause, Evidence, Verdict};
use crate::claude_code::version::Version;
use crate::claude_code::{locate, refusal};
use crate::context::Context;
use crate::error::{Error, Result, report, say};
use crate::os::exit::{Exit, mirrored};
use crate::os::guardian::Guardian;
use crate::os::signals::{Signals, Target};
use crate::state::ledger::Entry;
use crate::stdin::{Pump, Stdin};
use crate::watch::handover::tell;
use crate::watch::process::{OnLocal, Process, arguments};
use crate::watch::render::Renderer;

/// How the real Claude is run.
pub(crate) struct Start {
    /// What happens with a refusal.
    pub mode: Mode,
    /// When it is given up.
    pub patience: GiveUpAfter,
    /// Whether Claude Code itself is to give up then.
    pub limits_retries: bool,
    /// It runs on the local model.
    pub local: Option<OnLocal>,
}

/// When a call is given up.
pub(crate) struct GiveUpAfter {
    /// How many retries Claude Code may make.
    pub retries: u32,
    /// How long Claude may say nothing before its answer begins.
    pub stall: Duration,
    /// Whether a call is answered again although something may have come of it.
    pub replays_always: bool,
    /// Whether the user has told Claude Code to wait however long it takes.
    pub has_watchdog: bool,
    /// Whether somebody else goes on with a session in which tools have run.
    pub resumes: bool,
}

impl GiveUpAfter {
    /// Nobody else would answer.
    pub(crate) fn endless() -> GiveUpAfter {
        GiveUpAfter { retries: u32::MAX, stall: Duration::ZERO, replays_always: false, has_watchdog: true, resumes: false }
    }
}

/// What happens with a refusal.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Somebody else may answer: it is withheld.
    Watched,
    /// It is passed on like all else.
    PassedOn,
    /// It is the local model's, in the first turn: Claude's own is told in its place.
    Local,
}

/// The real Claude at work.
pub(crate) struct Watch<'a> {
    applet: &'a str,
    context: &'a Context,
    program: PathBuf,
    version: Option<Version>,
    patience: GiveUpAfter,
    mode: Mode,
    out: Renderer,
    listens: bool,
    replays: bool,
    /// The requests that were answered by somebody else before.
    answered: HashSet<String>,
    child: Child,
    guard: Option<Guardian>,
    signals: Signals,
    ended: UnixStream,
    /// A child of ours has ended, and it was not looked which.
    may_have_ended: bool,
    stdout: Option<ChildStdout>,
    /// What was read and is no whole line yet.
    unread: Vec<u8>,
    stdin: Stdin,
    turn: Turn,
    /// When something last came from it or went to it.
    last: Instant,
    /// How many questions of its own it has asked the caller.
    asks: usize,
    is_stopped: bool,
    has_answered: bool,
    has_result: bool,
    /// The turn's refusal is passed on: nobody else could answer.
    passes_turn: bool,
    /// How many of the user's lines are answered.
    answers: usize,
    /// How many of them the turn is about.
    members: usize,
    has_warned: bool,
    said_watchdog: bool,
    state_is_running: bool,
    /// What was said in the turns that are over, the newest of it: the transcript is written later.
    said: Vec<(Role, String)>,
    session_id: Option<String>,
    model: Option<String>,
    usage: Usage,
    verdict: Verdict,
}

/// What is known of the turn that runs.
#[derive(Default)]
struct Turn {
    evidence: Evidence,
    /// The session has begun to work on it.
    is_running: bool,
    /// It says that it does something else before it answers: it compacts the conversation.
    is_busy: bool,
    /// A sign of an answer has come.
    has_begun: bool,
    has_tool: bool,
    has_reached_caller: bool,
    /// How many of the user's lines had been said when it last went on.
    heard: usize,
    /// What the assistant has said.
    texts: Vec<String>,
    /// What waits for the verdict, or for the first piece of an answer.
    held: Vec<u8>,
}

/// What happened.
pub(crate) enum Step {
    /// Claude answers: the first piece of its first answer has come.
    Answering,
    /// Claude says that a limit is near.
    NearLimit,
    /// Claude has refused, nothing has come of the call, and the refusal is withheld.
    Refused(Verdict),
    /// Claude has refused in the middle of its work, and somebody else may go on with the session. The refusal is withheld.
    Interrupted(Verdict),
    /// It has ended, and this process is to end like that.
    Ended(Exit),
}

impl<'a> Watch<'a> {
    /// Runs the real Claude with this call's command line.
    ///
    /// # Errors
    /// If it cannot be run.
    pub(crate) fn start(
        applet: &'a str,
        context: &'a Context,
        command_line: &CommandLine,
        process: Process,
        mut out: Renderer,
        start: Start,
    ) -> Result<Watch<'a>> {
        let Process { program, mut stdin, signals, answered, has_begun, session_id } = process;
        let Start { mode, patience, limits_retries, local } = start;
        let version = crate::claude_code::version::of(context, &program);
        let made = command_line.last("--session-id").filter(|_| has_begun).map(str::to_string);
        let mut command = Command::new(&program);
        command
            .args(arguments(context, command_line, version, session_id.as_deref().or(made.as_deref()), local.as_ref()))
            .stdin(stdin.for_child())
            .stdout(Stdio::piped());
        let announces = version.is_some_and(Version::announces_retries);
        if (limits_retries || !announces && mode == Mode::Watched) && !patience.has_watchdog && context.env(MAX_RETRIES).is_none()
        {
            command.env(MAX_RETRIES, patience.retries.to_string());
        }
        for (name, value) in local.into_iter().flat_map(|local| local.ready.environment) {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        if has_begun {
            stdin.rewind();
        }
        let (signals, ended) = match signals {
            Some(taken) => taken,
            None => Signals::take(Target::Next(vec![])).map_err(Error::file("take", "signals"))?,
        };
        // What was caught becomes the default again in the child, and what is ignored was not taken.
        signals.give_to(Target::Next(vec![]));
        let mut guard = Guardian::new().ok();
        let mut child = command.spawn().map_err(|error| locate::not_run(program.clone(), &error))?;
        let pid = Pid::from_raw(child.id().cast_signed());
        signals.give_to(Target::Child(pid));
        if let Some(guard) = guard.as_mut() {
            guard.watch_over(child.id());
        }
        out.set_version(version);
        stdin.connect(child.stdin.take());
        let answers = stdin.pump().map_or(0, Pump::answered_so_far);
        let stdout = child.stdout.take();
        Ok(Watch {
            applet,
            context,
            program,
            version,
            patience,
            mode,
            out,
            listens: command_line.last("--input-format") == Some("stream-json"),
            replays: command_line.has("--replay-user-messages"),
            answered,
            child,
            guard,
            signals,
            ended,
            // It may have, before its signal was taken.
            may_have_ended: true,
            stdout,
            unread: Vec::new(),
            stdin,
            turn: Turn::default(),
            last: Instant::now(),
            asks: 0,
            is_stopped: false,
            has_answered: false,
            has_result: false,
            passes_turn: false,
            answers,
            members: 1,
            has_warned: false,
            said_watchdog: false,
            state_is_running: false,
            said: Vec::new(),
            session_id: None,
            usage: Usage::default(),
            model: None,
            verdict: Verdict::of(Cause::BadRequest),
        })
    }

    /// Watches until something happens that is not to be passed on alone.
    pub(crate) fn run(&mut self) -> Step {
        loop {
            while let Some(line) = self.next_line() {
                if let Some(step) = self.take(&line) {
                    return step;
                }
            }
            if self.stdout.is_none() {
                let status = self.child.wait();
                return self.finish(status.ok());
            }
            let (patience, begun) = (self.until_stall(), Instant::now());
            let has_output = self.wait(patience);
            // We were stopped ourselves, by a Ctrl-Z.
            if patience.is_some_and(|patience| begun.elapsed().saturating_sub(patience) > Duration::from_secs(2)) {
                self.last = Instant::now();
            }
            if std::mem::take(&mut self.may_have_ended) && matches!(self.child.try_wait(), Ok(Some(_))) {
                // What it wrote is in the pipe. What it started may hold that for longer, and write on.
                let mut reads = 0;
                while reads < LAST_READS && self.wait(Some(Duration::ZERO)) {
                    self.read();
                    reads += 1;
                }
                self.stdout = None;
            } else if has_output {
                self.read();
            } else if self.until_stall() == Some(Duration::ZERO) {
                return self.give_up(Verdict::of(Cause::Network));
            }
        }
    }

    /// A line with its newline. The last one may have none.
    fn next_line(&mut self) -> Option<Vec<u8>> {
        match memchr::memchr(b'\n', &self.unread) {
            Some(end) => Some(self.unread.drain(..=end).collect()),
            None if self.stdout.is_none() && !self.unread.is_empty() => Some(std::mem::take(&mut self.unread)),
            None => None,
        }
    }

    /// Nobody else could answer: passes on what was withheld, and lets it go on with the turn. The caller gets no second
    /// answer to these requests.
    pub(crate) fn go_on(&mut self, answered: HashSet<String>) {
        self.passes_turn = true;
        self.answered = answered;
        if let Some(pump) = self.stdin.pump() {
            pump.give_back();
        }
        self.signals.give_to(Target::Child(self.pid()));
        self.signals.keep_stopped(None);
        if std::mem::take(&mut self.is_stopped) {
            let _ = kill(self.pid(), Signal::SIGCONT);
        }
        let held = std::mem::take(&mut self.turn.held);
        if tell(&mut self.out, &held) {
            self.close_turn();
        }
    }

    /// Somebody else has answered: ends it, and waits until it is gone. Gives what another try needs.
    pub(crate) fn dismiss(mut self) -> Process {
        // By itself, if it has said its last: it may be writing its transcript.
        let begun = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && !self.is_stopped && begun.elapsed() < LAST_WORK {
            sleep(Duration::from_millis(5));
        }
        self.signals.keep_stopped(None);
        self.signals.give_to(Target::Us);
        let pid = self.pid();
        if self.is_stopped {
            let _ = kill(pid, Signal::SIGKILL);
        }
        let child = std::cell::RefCell::new(&mut self.child);
        crate::os::guardian::end(pid, || matches!(child.borrow_mut().try_wait(), Ok(None)));
        let _ = self.child.wait();
        if let Some(guard) = self.guard.take() {
            guard.dismiss();
        }
        let Watch { program, stdin, signals, ended, session_id, answers, .. } = self;
        let answered = stdin.pump().map(Pump::settings).unwrap_or_default();
        let session_id = session_id.filter(|_| answers > 0);
        Process { program, stdin, signals: Some((signals, ended)), answered, has_begun: true, session_id }
    }

    /// What ends it as soon as somebody else answers, while [`Watch`] still belongs to whoever waits for that.
    pub(crate) fn farewell(&self) -> impl FnOnce() + Send + 'static {
        let (pid, is_stopped, signals) = (self.pid(), self.is_stopped, self.signals.clone());
        let pump = self.stdin.pump().cloned();
        move || {
            signals.keep_stopped(None);
            // Asked to end, it would wake up first, try again what it was at, and run what tools that asks for.
            if is_stopped {
                let _ = kill(pid, Signal::SIGKILL);
            } else if let Some(pump) = pump {
                pump.close();
            }
        }
    }

    /// The process's signals.
    pub(crate) fn signals(&self) -> &Signals {
        &self.signals
    }

    /// The call's stdin.
    pub(crate) fn stdin(&self) -> &Stdin {
        &self.stdin
    }

    /// The session that it has named.
    pub(crate) fn session_id(&self) -> Option<&str> {
        self.session_id.as_deref()
    }

    /// What was said in the turns that are over, the newest of it.
    pub(crate) fn said(&self) -> Vec<(Role, String)> {
        self.said.clone()
    }

    /// The ledger's entry, with what the real Claude Code has told of the call.
    pub(crate) fn record(&self, entry: Entry) -> Entry {
        Entry {
            model: self.model.clone(),
            input_tokens: Some(self.usage.input_tokens),
            output_tokens: Some(self.usage.output_tokens),
            ..entry
        }
    }

    /// The verdict on its last turn.
    pub(crate) fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    /// What the refusal of its last turn says.
    pub(crate) fn refusal(&self) -> Option<String> {
        self.turn.evidence.result.as_ref().map(|ending| ending.text.trim().to_string()).filter(|text| !text.is_empty())
    }

    /// Whether the caller believes that the session is at work.
    pub(crate) fn state_is_running(&self) -> bool {
        self.state_is_running
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    /// Waits for output, which there may be, or for its end, or for nothing any more.
    fn wait(&mut self, patience: Option<Duration>) -> bool {
        let timeout = match patience {
            _ if self.may_have_ended => PollTimeout::ZERO,
            None => PollTimeout::NONE,
            Some(patience) => PollTimeout::try_from(patience.as_millis().saturating_add(1)).unwrap_or(PollTimeout::MAX),
        };
        let mut waited = vec![PollFd::new(self.ended.as_fd(), PollFlags::POLLIN)];
        waited.extend(self.stdout.as_ref().map(|stdout| PollFd::new(stdout.as_fd(), PollFlags::POLLIN)));
        if poll(&mut waited, timeout).is_err() {
            return false;
        }
        let is_ready = |fd: Option<&PollFd>| fd.and_then(PollFd::any).unwrap_or(false);
        let (has_ended, has_output) = (is_ready(waited.first()), is_ready(waited.get(1)));
        drop(waited);
        if has_ended {
            let _ = self.ended.read(&mut [0; 64]);
            self.may_have_ended = true;
        }
        has_output
    }

    fn read(&mut self) {
        let Some(stdout) = self.stdout.as_mut() else { return };
        let from = self.unread.len();
        self.unread.resize(from + CHUNK, 0);
        let length = match stdout.read(&mut self.unread[from..]) {
            Err(error) if error.kind() == ErrorKind::Interrupted => 0,
            Ok(length) if length > 0 => length,
            _ => {
                self.stdout = None;
                0
            }
        };
        self.unread.truncate(from + length);
        self.last = Instant::now();
    }

    /// How long nothing may come from now on; none if that does not matter.
    fn until_stall(&self) -> Option<Duration> {
        let sees_life = self.version.is_some_and(Version::has_partials);
        let is_waited_for = self.is_watched() && !self.turn.has_begun && !self.turn.is_busy && !self.patience.has_watchdog;
        if !is_waited_for || !sees_life || self.patience.stall.is_zero() || !self.may_be_answered_again() {
            return None;
        }
        let mut last = self.last;
        if let Some(pump) = self.stdin.pump() {
            if self.asks > pump.responses() {
                return None;
            }
            // What is still being said, or has been answered, is not waited for.
            let is_said = if self.listens { self.turn.is_running } else { pump.is_over() || pump.last().is_none() };
            if !is_said {
                return None;
            }
            last = last.max(pump.last().unwrap_or(last));
        }
        Some(self.patience.stall.saturating_sub(last.elapsed()))
    }

    /// Takes a line, with its newline.
    fn take(&mut self, bytes: &[u8]) -> Option<Step> {
        let line = Line::parse(bytes);
        if let Some(ending) = line.ending() {
            return self.end_turn(bytes, &line, ending);
        }
        if line.is("control_request") || line.is("control_response") || line.is("control_cancel_request") {
            self.take_control(bytes, &line);
            return None;
        }
        if line.is_system("init") {
            self.begin_turn(&line);
        }
        if line.is_system("status") {
            self.turn.is_busy = line.is_busy();
        }
        if line.is_system("session_state_changed") {
            self.state_is_running = !line.has_state("idle");
        }
        let (is_event, is_synthetic) = (line.is("stream_event"), line.is("assistant") && line.is_synthetic());
        self.turn.evidence.is_interrupted |= line.is_interrupt();
        if line.has_tool() {
            self.turn.has_tool = true;
            // What is said while a tool runs, Claude Code hears with the tool's result.
            self.turn.heard = self.stdin.pump().filter(|_| line.is("user")).map_or(self.turn.heard, Pump::said);
        }
        if let Some(limit) = line.rejected() {
            self.turn.evidence.rejected = Some(limit);
            self.hold(bytes);
            return None;
        }
        if let Some((attempt, retry)) = line.retry() {
            self.pass(bytes);
            return self.take_retry(attempt, retry);
        }
        if is_synthetic {
            self.turn.evidence.is_synthetic = true;
            self.turn.evidence.error = line.error();
            self.hold(bytes);
        } else if is_event || line.is("assistant") || line.is("user") {
            let is_piece = self.take_content(bytes, &line, is_event);
            let is_first = is_piece && !std::mem::replace(&mut self.has_answered, true);
            return is_first.then_some(Step::Answering);
        } else if self.out.has_partials() || !line.has_status("requesting") {
            self.pass(bytes);
        }
        let is_first = line.warns_of_limit() && !std::mem::replace(&mut self.has_warned, true);
        is_first.then_some(Step::NearLimit)
    }

    /// Gives whether it is a piece of an answer.
    fn take_content(&mut self, bytes: &[u8], line: &Line, is_event: bool) -> bool {
        // 1.0.128 does not say what is one.
        let is_replay = line.is("user") && self.listens && !self.turn.has_begun && !self.turn.has_tool && !line.is_interrupt();
        if line.is_replay() || is_replay {
            // What the caller says itself is no sign of an answer.
            if self.replays {
                self.hold(bytes);
            }
            return false;
        }
        // The summary of a conversation that was compacted is no answer yet.
        if self.mode == Mode::Local && line.is("user") && !self.turn.has_begun {
            self.hold(bytes);
            return false;
        }
        self.turn.has_begun = true;
        // The frame of an answer is not yet a part of it: Anthropic may say there that it is overloaded.
        let is_frame = is_event && matches!(line.event().as_deref(), Some("message_start" | "content_block_start" | "ping"));
        if is_event && !self.out.has_partials() {
            return !is_frame;
        }
        if is_frame {
            self.hold(bytes);
            return false;
        }
        if line.is("assistant") {
            self.turn.texts.extend(line.text().filter(|_| self.listens));
            (self.turn.evidence.is_synthetic, self.turn.evidence.error) = (false, None);
        }
        self.turn.has_reached_caller |= self.out.is_live();
        self.release();
        self.out.line(bytes);
        true
    }

    fn take_control(&mut self, bytes: &[u8], line: &Line) {
        if line.is("control_request") {
            self.asks += 1;
        } else if line.is("control_cancel_request") {
            self.asks = self.asks.saturating_sub(1);
        }
        let is_known = line.answered_request().is_some_and(|request| self.answered.remove(&request));
        if !is_known {
            self.out.line(bytes);
        }
    }

    fn begin_turn(&mut self, line: &Line) {
        self.session_id = line.session_id().or(self.session_id.take());
        self.model = line.model().or(self.model.take());
        self.turn.is_running = true;
        let version = line.version().as_deref().and_then(Version::parse);
        if let Some(version) = version.filter(|version| Some(*version) != self.version) {
            self.version = Some(version);
            self.out.set_version(self.version);
            crate::claude_code::version::remember(self.context, &self.program, version);
        }
    }

    fn take_retry(&mut self, attempt: u32, retry: refusal::Retry) -> Option<Step> {
        let verdict = refusal::of_retries(&retry);
        let is_outage = matches!(verdict.cause, Cause::Overload | Cause::ServerError | Cause::Network);
        if attempt <= self.patience.retries || !self.is_watched() || !is_outage || !self.may_be_answered_again() {
            return None;
        }
        if self.patience.has_watchdog {
            if !std::mem::replace(&mut self.said_watchdog, true) {
                let said = verdict.cause.description();
                say(&format!(
                    "{}: Claude {said}; CLAUDE_CODE_RETRY_WATCHDOG is set, so Claude Code tries on and no local model answers",
                    self.applet
                ));
            }
            return None;
        }
        Some(self.give_up(verdict))
    }

    /// Stops it where it is. It can go on from there, should nobody else be able to answer.
    fn give_up(&mut self, verdict: Verdict) -> Step {
        self.stop();
        self.verdict = verdict.clone();
        Step::Refused(verdict)
    }

    fn stop(&mut self) {
        self.is_stopped = kill(self.pid(), Signal::SIGSTOP).is_ok();
        self.signals.keep_stopped(Some(self.pid()));
    }

    /// Whether a refusal is withheld.
    fn is_watched(&self) -> bool {
        self.mode == Mode::Watched && !self.passes_turn
    }

    fn may_be_answered_again(&self) -> bool {
        let is_kept = self.stdin.pump().is_none_or(Pump::is_complete);
        // What was asked once has its answer; Claude Code has gone on by itself.
        is_kept
            && (self.listens || !self.has_result)
            && (self.patience.replays_always || !(self.turn.has_tool || self.turn.has_reached_caller))
    }

    /// Whether somebody else may go on where tools have run.
    fn may_be_resumed(&self) -> bool {
        let is_kept = self.stdin.pump().is_none_or(Pump::is_complete) && (self.listens || !self.has_result);
        let has_transcript = self.session_id.as_ref().is_some_and(|id| answer::session_exists(self.context, id));
        self.patience.resumes && self.turn.has_tool && is_kept && has_transcript
    }

    fn end_turn(&mut self, bytes: &[u8], line: &Line, ending: refusal::Ending) -> Option<Step> {
        let usage = line.usage().unwrap_or_default();
        self.usage.input_tokens += usage.input_tokens;
        self.usage.output_tokens += usage.output_tokens;
        self.turn.evidence.result = Some(ending.clone());
        let verdict = refusal::of_turn(&self.turn.evidence, Timestamp::now());
        self.verdict = verdict.clone();
        if self.mode == Mode::Local {
            if ending.is_error && !self.turn.has_begun {
                self.turn.held.extend_from_slice(bytes);
                return Some(Step::Refused(verdict));
            }
            self.mode = Mode::PassedOn;
        }
        if verdict.cause.fails_over() && self.is_watched() {
            if !self.may_be_answered_again() && self.may_be_resumed() {
                self.turn.held.extend_from_slice(bytes);
                return Some(Step::Interrupted(verdict));
            }
            if self.may_be_answered_again() {
                self.turn.held.extend_from_slice(bytes);
                // It would go on with what waits, beside whoever answers in its place.
                if self.listens && self.stdin.pump().is_some_and(|pump| pump.said() > self.answers + self.members) {
                    self.stop();
                }
                return Some(Step::Refused(verdict));
            }
            self.say_why_not(&verdict);
        }
        if verdict.cause == Cause::SignIn && self.is_watched() {
            say(
                "hint: sign in with `claude` and `/login`, or with `claude setup-token` for scripts; `llm-failover local` answers meanwhile",
            );
        }
        self.release();
        self.out.result(bytes, &ending);
        self.close_turn();
        None
    }

    fn close_turn(&mut self) {
        if let Some(pump) = self.stdin.pump().filter(|_| self.listens) {
            self.answers = (self.answers + self.members).max(self.turn.heard).min(pump.said());
            let answered = std::mem::take(&mut self.turn.texts).into_iter().map(|text| (Role::Assistant, text));
            self.said.extend(pump.answered(self.answers).into_iter().chain(answered));
            let excess = self.said.len().saturating_sub(MOST_SAID);
            self.said.drain(..excess);
            let waiting = pump.said().saturating_sub(self.answers);
            self.members = if self.version.is_some_and(Version::joins_what_waits) { waiting.max(1) } else { 1 };
        }
        self.has_result = true;
        self.passes_turn = false;
        self.turn = Turn::default();
    }

    fn say_why_not(&self, verdict: &Verdict) {
        let what = if self.has_result && !self.listens {
            "it has answered before"
        } else if self.turn.has_tool {
            "tools have run"
        } else {
            "a part of the answer was printed"
        };
        let resume = match &self.session_id {
            Some(id) => format!("; go on later with `claude --resume {id}`"),
            None => String::new(),
        };
        say(&format!(
            "{}: Claude {}; {what}, so this call is not answered again locally{resume}",
            self.applet,
            verdict.cause.description()
        ));
    }

    fn hold(&mut self, bytes: &[u8]) {
        self.turn.held.extend_from_slice(bytes);
    }

    /// Passes a line on, in its order.
    fn pass(&mut self, bytes: &[u8]) {
        if self.turn.held.is_empty() && (self.mode != Mode::Local || self.turn.has_begun) {
            self.out.line(bytes);
        } else {
            self.hold(bytes);
        }
    }

    fn release(&mut self) {
        let held = std::mem::take(&mut self.turn.held);
        for line in held.split_inclusive(|byte| *byte == b'\n') {
            self.out.line(line);
        }
    }

    fn finish(&mut self, status: Option<ExitStatus>) -> Step {
        self.release();
        self.out.finish();
        if let Some(guard) = self.guard.take() {
            guard.dismiss();
        }
        // Somebody has taken its status away from us, and nobody can know it.
        let exit = status.map_or(Exit::Code(1), mirrored);
        Step::Ended(match self.out.fault() {
            Some(error) => {
                report(self.applet, &error);
                if exit == Exit::Code(0) { Exit::Code(error.code()) } else { exit }
            }
            None => exit,
        })
    }
}

const MAX_RETRIES: &str = "CLAUDE_CODE_MAX_RETRIES";

/// How much is read at once.
const CHUNK: usize = 64 << 10;

/// How many messages of a conversation are kept in memory.
const MOST_SAID: usize = 100;

/// How often more is read after its end: more than a pipe holds.
const LAST_READS: usize = 16;

/// How long it may take to end by itself after it has refused.
const LAST_WORK: Duration = Duration::from_secs(2);
