//! Calls that ask for tools, and sessions that Claude has refused in the middle of their work: the real Claude Code goes on
//! with them on the local model, as a child, so that Claude can still be asked if that comes to nothing.

use std::process::ExitCode;

use crate::agent;
use crate::claude_code::protocol::mark::Mark;
use crate::claude_code::refusal::Verdict;
use crate::error::{Error, report};
use crate::failover::call::{Call, Reason, TRY_AGAIN_LATER, Tried};
use crate::state::ledger::Entry;
use crate::watch::process::{OnLocal, Process};
use crate::watch::render::Renderer;
use crate::watch::{GiveUpAfter, Mode, Start, Step, Watch};

impl Call<'_> {
    /// Answers with tools, and asks Claude if that fails.
    pub(super) fn run_agent(&self, reason: &Reason, process: Process) -> Tried {
        match self.run_agent_with(reason, process, self.rendered(), None) {
            Ok(code) => Tried::Ended(code),
            Err(left) => self.try_claude(left.0, Mode::PassedOn, None),
        }
    }

    /// Goes on with a session in which tools have run.
    pub(super) fn resume(&self, watch: Watch, verdict: &Verdict) -> ExitCode {
        let (reason, begun) = (Reason::of(verdict), self.entry_of_claude(&watch));
        let (mut process, out, left) = watch.hand_over();
        let prompt = format!(
            "Claude {} in the middle of this work, and another model goes on with it. What was done so far is done: do not do it \
             again. Go on from there.",
            reason.said
        );
        process.stdin.say_instead(&prompt, left.members);
        match self.run_agent_with(&reason, process, out, (!self.listens).then_some(prompt)) {
            Ok(code) => code,
            Err(failed) => {
                let (process, out) = *failed;
                let exit = left.tell(out);
                Entry { exit: Some(exit.code()), ..begun }.append(self.context);
                if !self.listens {
                    return exit.into();
                }
                // The turn has its end. What the caller says next is for Claude again.
                process.stdin.has_its_answer();
                match self.try_claude(process, Mode::Watched, None) {
                    Tried::Ended(code) => code,
                    Tried::MustWait(..) => ExitCode::from(TRY_AGAIN_LATER),
                }
            }
        }
    }

    /// Runs the real Claude Code on the local model. `prompt`: what it is told instead of the caller's.
    ///
    /// # Errors
    /// If that came to nothing, with what another try needs.
    fn run_agent_with(
        &self,
        reason: &Reason,
        process: Process,
        mut out: Renderer,
        prompt: Option<String>,
    ) -> Result<ExitCode, Box<(Process, Renderer)>> {
        let is_resumed = process.has_session();
        let ready = match agent::prepare(self.context, self.command_line, true) {
            Ok(mut ready) if is_resumed => {
                // A summary by the local model would stand in the session for good, and Claude is to go on with all of it.
                ready.environment.push(("DISABLE_AUTO_COMPACT".into(), Some("1".into())));
                ready
            }
            Ok(ready) => ready,
            Err(error) => {
                self.say_why_not(&error);
                return Err((process, out).into());
            }
        };
        let what = if is_resumed { "goes on with the session" } else { "answers" };
        let line = format!("Claude {}; the local model `{}` {what}", reason.said, ready.model);
        let mark = Mark::refused(reason.cause, reason.until);
        out.mark(Some(if is_resumed { mark.resumed() } else { mark }));
        let patience = GiveUpAfter { resumes: false, ..self.patience() };
        let start = Start { mode: Mode::Local, patience, limits_retries: false, local: Some(OnLocal { ready, prompt }) };
        let mut watch = match Watch::start(self.applet, self.context, self.command_line, process, out, start) {
            Ok(watch) => watch,
            Err(error) => return Ok(report(self.applet, &error)),
        };
        loop {
            match watch.run() {
                Step::Answering => self.say(&line),
                Step::NearLimit => {}
                Step::Refused(_) | Step::Interrupted(_) => {
                    let said = watch.refusal().unwrap_or_else(|| "it did not answer".into());
                    let (process, mut out, _) = watch.hand_over();
                    out.mark(None);
                    self.say_why_not(&Error::Answer(said));
                    return Err((process, out).into());
                }
                Step::Ended(exit) => {
                    let entry = Entry {
                        verdict: Some(reason.cause.word().into()),
                        exit: Some(exit.code()),
                        until: reason.until,
                        ..self.entry(if is_resumed { "resume" } else { "agent" }, "local")
                    };
                    watch.record(entry).append(self.context);
                    return Ok(exit.into());
                }
            }
        }
    }
}
