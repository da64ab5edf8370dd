//! Calls that ask for tools, and sessions that Claude refused in the middle of their work: the real Claude Code goes on with
//! them on the local model. It runs as a child, so that Claude can still be asked if the local model fails.

use std::process::ExitCode;

use crate::agent::launch::{self, AtTerminal};
use crate::claude_code::protocol::mark::Mark;
use crate::claude_code::refusal::Verdict;
use crate::error::{Error, report};
use crate::failover::{Failover, TRY_AGAIN_LATER, TryOutcome};
use crate::routing::reason::Refusal;
use crate::routing::route::OnRefusal;
use crate::shown::{Shown, shown};
use crate::state::ledger::{AnsweredBy, Entry, RouteName};
use crate::watch::next_try::NextTry;
use crate::watch::render::Renderer;
use crate::watch::{GiveUpAfter, LocalSetup, Mode, Step, Watch, WatchOptions};

impl Failover<'_> {
    /// Without asking Claude, unless the local model fails.
    pub(super) fn run_agent(&self, refusal: &Refusal, next: NextTry) -> TryOutcome {
        match self.run_on_local_model(refusal, next, self.renderer(), None) {
            Ok(code) => TryOutcome::Ended(code),
            Err(failed) => self.watch(failed.0, OnRefusal::PassOn, self.attempt(), None),
        }
    }

    /// For a session in which tools have run.
    pub(super) fn resume(&self, watch: Watch, verdict: &Verdict) -> ExitCode {
        let (refusal, claudes_entry) = (Refusal::from_verdict(verdict), self.entry_of_claude(&watch));
        let (mut next, out, left) = watch.hand_over();
        let prompt = format!(
            "Claude {} in the middle of this work, and another model goes on with it. What was done so far is done: do not do it \
             again. Go on from there.",
            refusal.description
        );
        next.stdin.replace_turn(&prompt, left.turn_lines);
        match self.run_on_local_model(&refusal, next, out, (!self.listens()).then_some(prompt)) {
            Ok(code) => code,
            Err(failed) => {
                let (next, out) = *failed;
                let exit = left.print(out);
                Entry { exit: Some(exit.code()), ..claudes_entry }.append(self.context);
                if !self.listens() {
                    return exit.end_process();
                }
                // This turn has ended. The caller's next message goes to Claude.
                next.stdin.drop_answered_line();
                match self.watch(next, OnRefusal::Decide, self.attempt(), None) {
                    TryOutcome::Ended(code) => code,
                    TryOutcome::MustWait(..) => ExitCode::from(TRY_AGAIN_LATER),
                }
            }
        }
    }

    /// `prompt` replaces the caller's. An error comes with what the next try needs.
    fn run_on_local_model(
        &self,
        refusal: &Refusal,
        next: NextTry,
        mut out: Renderer,
        prompt: Option<String>,
    ) -> Result<ExitCode, Box<(NextTry, Renderer)>> {
        let is_resumed = next.has_session();
        let mut ready =
            match launch::prepare(self.applet, self.context, &self.command_line, true, &next.claude, AtTerminal::default()) {
                Ok(ready) => ready,
                Err(error) => {
                    self.say_why_not(&error);
                    return Err((next, out).into());
                }
            };
        let mut mark = Mark::refused(refusal.cause, refusal.until);
        let (what, route) = if is_resumed {
            // A summary by the local model would stay in the session, and Claude must be able to go on with the whole of it.
            ready.environment.push(("DISABLE_AUTO_COMPACT".into(), Some("1".into())));
            mark = mark.resumed();
            ("goes on with the session", RouteName::Resume)
        } else {
            ("answers", RouteName::Agent)
        };
        let line = shown!("Claude {}; the local model `{}` {what}", refusal.description, ready.model);
        out.set_mark(Some(mark));
        out.set_local_model(Some(ready.model.clone()));
        let give_up = GiveUpAfter { resumes: false, ..self.give_up_after() };
        let options =
            WatchOptions { mode: Mode::Local, give_up, limits_retries: false, local: Some(LocalSetup { ready, prompt }) };
        let mut watch = match Watch::start(self.applet, self.context, &self.command_line, next, out, options) {
            Ok(watch) => watch,
            Err(error) => return Ok(report(self.applet, &error)),
        };
        loop {
            match watch.run() {
                Step::Answering => self.say(&line),
                Step::NearLimit => {}
                Step::Refused(_) | Step::Interrupted(_) => {
                    let reason = watch.refusal_text().unwrap_or_else(|| "it did not answer".into());
                    let (next, mut out, _) = watch.hand_over();
                    out.set_mark(None);
                    out.set_local_model(None);
                    self.say_why_not(&Error::AgentFailed { reason: Shown::line(reason) });
                    return Err((next, out).into());
                }
                Step::Ended(exit) => {
                    let entry = Entry {
                        verdict: Some(refusal.cause.word().into()),
                        exit: Some(exit.code()),
                        until: refusal.until,
                        ..self.entry(route, AnsweredBy::Local)
                    };
                    watch.record(entry).append(self.context);
                    return Ok(exit.end_process());
                }
            }
        }
    }
}
