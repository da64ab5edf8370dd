//! Calls that ask for tools, and sessions that Claude has refused in the middle of their work: the real Claude Code goes on
//! with them on the local model, as a child, so that Claude can still be asked if that comes to nothing.

use std::process::ExitCode;

use serde_json::json;

use crate::agent::launch;
use crate::claude_code::protocol::mark::Mark;
use crate::claude_code::refusal::Verdict;
use crate::error::{Error, report};
use crate::failover::{Failover, TRY_AGAIN_LATER, Tried};
use crate::routing::reason::Refusal;
use crate::routing::route::OnRefusal;
use crate::state::ledger::{AnsweredBy, Entry, RouteName};
use crate::watch::process::{OnLocal, Process};
use crate::watch::render::Renderer;
use crate::watch::{GiveUpAfter, Mode, Start, Step, Watch};

impl Failover<'_> {
    /// Answers with tools, and asks Claude if that fails.
    pub(super) fn run_agent(&self, refusal: &Refusal, process: Process) -> Tried {
        match self.run_on_local_model(refusal, process, self.renderer(), None) {
            Ok(code) => Tried::Ended(code),
            Err(left) => self.watch(left.0, OnRefusal::PassOn, None),
        }
    }

    /// Goes on with a session in which tools have run.
    pub(super) fn resume(&self, watch: Watch, verdict: &Verdict) -> ExitCode {
        let (refusal, claudes_entry) = (Refusal::of(verdict), self.entry_of_claude(&watch));
        let (mut process, out, left) = watch.hand_over();
        let prompt = format!(
            "Claude {} in the middle of this work, and another model goes on with it. What was done so far is done: do not do it \
             again. Go on from there.",
            refusal.description
        );
        process.stdin.say_instead(&prompt, left.members);
        match self.run_on_local_model(&refusal, process, out, (!self.listens()).then_some(prompt)) {
            Ok(code) => code,
            Err(failed) => {
                let (process, out) = *failed;
                let exit = left.tell(out);
                Entry { exit: Some(exit.code()), ..claudes_entry }.append(self.context);
                if !self.listens() {
                    return exit.into();
                }
                // The turn has its end. What the caller says next is for Claude again.
                process.stdin.has_its_answer();
                match self.watch(process, OnRefusal::Decide, None) {
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
    fn run_on_local_model(
        &self,
        refusal: &Refusal,
        process: Process,
        mut out: Renderer,
        prompt: Option<String>,
    ) -> Result<ExitCode, Box<(Process, Renderer)>> {
        let is_resumed = process.has_session();
        let mut ready = match launch::prepare(self.context, &self.command_line, true) {
            Ok(ready) => ready,
            Err(error) => {
                self.say_why_not(&error);
                return Err((process, out).into());
            }
        };
        let mut mark = Mark::refused(refusal.cause, refusal.until);
        let (what, route) = if is_resumed {
            // A summary by the local model would stand in the session for good, and Claude is to go on with all of it.
            ready.environment.push(("DISABLE_AUTO_COMPACT".into(), Some("1".into())));
            mark = mark.resumed();
            ("goes on with the session", RouteName::Resume)
        } else {
            ("answers", RouteName::Agent)
        };
        let line = format!("Claude {}; the local model `{}` {what}", refusal.description, ready.model);
        out.mark(Some(json!(mark)));
        let patience = GiveUpAfter { resumes: false, ..self.give_up_after() };
        let start = Start { mode: Mode::Local, patience, limits_retries: false, local: Some(OnLocal { ready, prompt }) };
        let mut watch = match Watch::start(self.applet, self.context, &self.command_line, process, out, start) {
            Ok(watch) => watch,
            Err(error) => return Ok(report(self.applet, &error)),
        };
        loop {
            match watch.run() {
                Step::Answering => self.say(&line),
                Step::NearLimit => {}
                Step::Refused(_) | Step::Interrupted(_) => {
                    let description = watch.refusal().unwrap_or_else(|| "it did not answer".into());
                    let (process, mut out, _) = watch.hand_over();
                    out.mark(None);
                    self.say_why_not(&Error::Answer(description));
                    return Err((process, out).into());
                }
                Step::Ended(exit) => {
                    let entry = Entry {
                        verdict: Some(refusal.cause.word().into()),
                        exit: Some(exit.code()),
                        until: refusal.until,
                        ..self.entry(route, AnsweredBy::Local)
                    };
                    watch.record(entry).append(self.context);
                    return Ok(exit.into());
                }
            }
        }
    }
}
