//! The real Claude Code as a child that is watched: what it prints reaches the caller as if it had been run in our
//! place, unless Claude refuses before anything has come of the call.
//!
//! It is asked for its typed stream whatever the caller asked for, and that is rendered back.

mod child;
mod command;
mod end;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod give_up;
pub(crate) mod handover;
mod lines;
pub(crate) mod next_try;
mod pieces;
pub(crate) mod render;
mod stderr_filter;
mod stream_line;
mod transcript;
mod turn;

use std::collections::HashSet;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::claude_code::command_line::CommandLine;
use crate::claude_code::protocol::input::Role;
use crate::claude_code::protocol::line::TokenCounts;
use crate::claude_code::ready::Ready;
use crate::claude_code::refusal::{Cause, Verdict};
use crate::claude_code::version::{self, Version};
use crate::context::Context;
use crate::error::Result;
use crate::os::exit::Exit;
use crate::os::signals::Signals;
use crate::real_claude::RealClaude;
use crate::state::ledger::Entry;
use crate::state::sessions::Session;
use crate::stdin::{Pump, Renamed, Stdin};
use crate::watch::child::WatchedChild;
pub(crate) use crate::watch::give_up::GiveUpAfter;
use crate::watch::give_up::{Silence, TurnProgress};
use crate::watch::next_try::NextTry;
use crate::watch::pieces::Piece;
use crate::watch::render::Renderer;
use crate::watch::transcript::Transcript;
use crate::watch::turn::{Phase, Turn};

/// How the real Claude is run.
pub(crate) struct WatchOptions {
    pub mode: Mode,
    pub give_up: GiveUpAfter,
    /// Whether Claude Code itself is to give up after so many retries.
    pub limits_retries: bool,
    pub local: Option<LocalSetup>,
}

/// What makes the real Claude Code run on the local model.
pub(crate) struct LocalSetup {
    pub ready: Ready,
    /// What it is told in the place of the caller's prompt, which it knows from the session.
    pub prompt: Option<String>,
}

/// What happens with a refusal.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// It is withheld, since the local model may answer.
    Watched,
    /// It is passed on like all else.
    PassedOn,
    /// It is the local model's own, and withheld in the first turn, since Claude may be asked again.
    Local,
}

pub(crate) struct Watch<'a> {
    applet: &'a str,
    context: &'a Context,
    claude: RealClaude,
    version: Option<Version>,
    give_up: GiveUpAfter,
    mode: Mode,
    /// Stdin is a stream of messages.
    listens: bool,
    child: WatchedChild,
    stdin: Stdin,
    /// Messages that this Claude knows by other ids than the caller.
    renamed: Renamed,
    out: Renderer,
    /// The caller's requests that another backend has answered.
    answered_requests: HashSet<String>,
    /// How many questions of its own Claude Code has asked the caller.
    questions: usize,
    turn: Turn,
    transcript: Transcript,
    announced: Announced,
    /// A line of the stream has come.
    has_stream: bool,
    /// The caller believes that the session is at work.
    is_session_running: bool,
    model: Option<String>,
    tokens: TokenCounts,
    verdict: Verdict,
}

/// What is announced once in a call.
#[derive(Default)]
struct Announced {
    answer: bool,
    near_limit: bool,
    watchdog: bool,
}

/// What happened.
pub(crate) enum Step {
    /// Claude answers: the first piece of its first answer has come.
    Answering,
    /// Claude says that a limit is near.
    NearLimit,
    /// Claude has refused, nothing has come of the call, and the refusal is withheld.
    Refused(Verdict),
    /// Claude has refused in the middle of its work, and the local model may go on with the session. The refusal is withheld.
    Interrupted(Verdict),
    /// It has ended, and this process is to end like that.
    Ended(Exit),
}

/// Runs a Claude Code on the local model, unwatched, as a child. `filters_stderr`: so that it has nothing of its own model there; no variable
/// and no setting of 2.1.330 does that without passing the model off as one of Claude's.
pub(crate) fn run_as_it_is(mut command: Command, program: &Path, filters_stderr: bool) -> Result<Exit> {
    if filters_stderr {
        command.stderr(Stdio::piped());
    }
    let status = WatchedChild::spawn(command, program, None)?.wait();
    Ok(status.map_or(Exit::Code(1), Exit::of_child))
}

impl<'a> Watch<'a> {
    /// Runs the real Claude with this call's command line.
    pub(crate) fn start(
        applet: &'a str,
        context: &'a Context,
        command_line: &CommandLine,
        next: NextTry,
        mut out: Renderer,
        options: WatchOptions,
    ) -> Result<Watch<'a>> {
        let version = version::of(context, next.claude.file());
        let command = command::command(applet, context, command_line, version, &next, &options);
        let NextTry { claude, mut stdin, caught, answered_requests, is_repeated, .. } = next;
        if is_repeated {
            stdin.rewind();
        }
        let mut child = WatchedChild::spawn(command, &claude.program, caught)?;
        out.set_version(version);
        stdin.connect(child.take_stdin());
        let renamed = stdin.pump().map(Pump::renamed).unwrap_or_default();
        let answered_lines = stdin.pump().map_or(0, Pump::answered_lines);
        Ok(Watch {
            applet,
            context,
            claude,
            version,
            give_up: options.give_up,
            mode: options.mode,
            listens: command_line.listens(),
            child,
            stdin,
            renamed,
            out,
            answered_requests,
            questions: 0,
            turn: Turn::default(),
            transcript: Transcript::new(answered_lines),
            announced: Announced::default(),
            has_stream: false,
            is_session_running: false,
            model: None,
            tokens: TokenCounts::default(),
            verdict: Verdict::of(Cause::BadRequest),
        })
    }

    /// Watches until something happens that is not to be passed on alone.
    pub(crate) fn run(&mut self) -> Step {
        loop {
            while let Some(piece) = self.child.next_piece() {
                let step = match piece {
                    Piece::Line(line) => self.handle_line(&self.renamed.for_caller(line)),
                    Piece::Text(text) => self.pass_text(&text),
                };
                if let Some(step) = step {
                    return step;
                }
            }
            if self.child.has_ended_output() {
                let status = self.child.wait();
                return self.finish(status);
            }
            if !self.child.read_more(self.until_stall()) && self.until_stall() == Some(Duration::ZERO) {
                return self.stop_and_refuse(Verdict::of(Cause::Network));
            }
        }
    }

    pub(crate) fn signals(&self) -> &Signals {
        self.child.signals()
    }

    pub(crate) fn stdin(&self) -> &Stdin {
        &self.stdin
    }

    /// The session that Claude has named.
    pub(crate) fn session_id(&self) -> Option<&str> {
        self.transcript.session_id.as_deref()
    }

    /// The newest messages of the turns that are over.
    pub(crate) fn transcript(&self) -> Vec<(Role, String)> {
        self.transcript.messages().to_vec()
    }

    /// Adds what Claude Code has told of the call.
    pub(crate) fn record(&self, entry: Entry) -> Entry {
        Entry {
            model: self.model.clone(),
            input_tokens: Some(self.tokens.input_tokens),
            output_tokens: Some(self.tokens.output_tokens),
            ..entry
        }
    }

    /// The verdict on the last turn.
    pub(crate) fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    /// The text of the last turn's refusal.
    pub(crate) fn refusal_text(&self) -> Option<String> {
        self.turn.evidence.result.as_ref().map(|ending| ending.text.trim().to_string()).filter(|text| !text.is_empty())
    }

    /// Whether the caller believes that the session is at work.
    pub(crate) fn is_session_running(&self) -> bool {
        self.is_session_running
    }

    fn withholds_refusals(&self) -> bool {
        self.mode == Mode::Watched && !self.turn.is_passed_on
    }

    fn progress(&self) -> TurnProgress {
        TurnProgress {
            is_input_kept: self.stdin.pump().is_none_or(Pump::is_complete),
            listens: self.listens,
            has_result: self.transcript.has_result,
            ran_tool: self.turn.ran_tool,
            is_printed: self.turn.phase == Phase::Printed,
        }
    }

    fn has_transcript(&self) -> bool {
        self.session_id().is_some_and(|id| Session::exists(self.context, id))
    }

    fn until_stall(&self) -> Option<Duration> {
        if !self.withholds_refusals() {
            return None;
        }
        let pump = self.stdin.pump();
        let last_input = pump.and_then(Pump::last_came);
        let silence = Silence {
            lasted: last_input.map_or(self.child.last_output(), |last| last.max(self.child.last_output())).elapsed(),
            phase: self.turn.phase,
            streams_pieces: self.version.is_some_and(Version::has_partials),
            asks_caller: pump.is_some_and(|pump| self.questions > pump.responses()),
            is_prompt_complete: match pump {
                None => true,
                // What is still being said, or has been answered, is not waited for.
                Some(_) if self.listens => self.turn.phase == Phase::Running,
                Some(pump) => pump.is_over() || last_input.is_none(),
            },
        };
        self.give_up.until_stall(silence, self.progress())
    }

    /// Claude can go on from where it is stopped, if no other backend can answer.
    fn stop_and_refuse(&mut self, verdict: Verdict) -> Step {
        self.child.stop();
        self.verdict = verdict.clone();
        Step::Refused(verdict)
    }
}
