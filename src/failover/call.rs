//! The real Claude as a child, and what answers in its place if it refuses.

use std::collections::HashSet;
use std::process::ExitCode;

use crate::answer::conversation::Answered;
use crate::answer::request::{Handover, InputSource};
use crate::claude_code::refusal::Verdict;
use crate::error::report;
use crate::failover::{Failover, TRY_AGAIN_LATER, TryOutcome};
use crate::local_model::unload;
use crate::os::exit::Exit;
use crate::routing::reason::{Reason, Refusal};
use crate::routing::route::{OnRefusal, Route, after_refusal};
use crate::routing::traced;
use crate::settings::RefusalPolicy;
use crate::shown::shown;
use crate::state::breaker::{Attempt, Permit};
use crate::state::ledger::RouteName;
use crate::stderr;
use crate::watch::next_try::NextTry;
use crate::watch::{Mode, Step, Watch, WatchOptions};

impl Failover<'_> {
    /// `attempt` is the one that `permit` is for, if the breaker has let the call ask.
    pub(super) fn watch(
        &self,
        next: NextTry,
        on_refusal: OnRefusal,
        mut attempt: Attempt,
        mut permit: Option<Permit>,
    ) -> TryOutcome {
        let mode = match on_refusal {
            OnRefusal::Decide => Mode::Watched,
            OnRefusal::PassOn => Mode::PassedOn,
        };
        let mut is_recorded = false;
        let limits_retries = self.policy == RefusalPolicy::Fail;
        let options = WatchOptions { mode, give_up: self.give_up_after(), limits_retries, local: None };
        let mut watch = match Watch::start(self.applet, self.context, &self.command_line, next, self.renderer(), options) {
            Ok(watch) => watch,
            Err(error) => return TryOutcome::Ended(report(self.applet, &error)),
        };
        loop {
            match watch.run() {
                Step::Answering => {
                    self.announce(&self.breaker.record_answer(&attempt));
                    permit = None;
                }
                Step::NearLimit => unload::prewarm(self.applet, self.context),
                Step::Refused(verdict) => {
                    self.announce(&self.breaker.record_refusal(&verdict, &attempt));
                    is_recorded = true;
                    drop(permit.take());
                    let (is_to_end, refusal) = (watch.signals().is_end_requested(), Refusal::from_verdict(&verdict));
                    let told = refusal.description.clone();
                    let route = after_refusal(self.policy, is_to_end, || self.wants_agent(watch.stdin()), refusal);
                    stderr::debug(self.applet, &|| shown!("Claude {told}: route {}", traced::word(&route)));
                    match route {
                        Route::Wait(refusal) => return TryOutcome::MustWait(watch.end().into(), refusal),
                        Route::Agent(Reason::Refused(refusal)) => return self.run_agent(&refusal, watch.end()),
                        Route::Answer(_) => {
                            if let Some(answered) = self.take_over(&mut watch, &verdict) {
                                let refusal = Refusal::from_verdict(&verdict);
                                let next = watch.end();
                                return TryOutcome::Ended(match answered {
                                    Some(answered) if answered.left_to_claude_code.is_some() => {
                                        self.leave_to_claude_code(&refusal, next, answered)
                                    }
                                    answered => self.record_local(RouteName::Watch, &refusal, answered),
                                });
                            }
                        }
                        _ => watch.pass_on_refusal(HashSet::new()),
                    }
                    attempt = self.attempt();
                }
                Step::Interrupted(verdict) => {
                    self.announce(&self.breaker.record_refusal(&verdict, &attempt));
                    drop(permit.take());
                    return TryOutcome::Ended(self.resume(watch, &verdict));
                }
                Step::Ended(mut exit) => {
                    let verdict = watch.verdict();
                    if verdict.cause.fails_over() {
                        if !is_recorded {
                            self.announce(&self.breaker.record_refusal(verdict, &attempt));
                        }
                        if mode == Mode::PassedOn && self.policy != RefusalPolicy::Local {
                            exit = Exit::Code(TRY_AGAIN_LATER);
                        }
                    }
                    self.record_claude(&watch, exit);
                    return TryOutcome::Ended(exit.end_process());
                }
            }
        }
    }

    /// For a call that the local model failed to answer.
    pub(super) fn pass_on_claudes_answer(&self, next: NextTry) -> ExitCode {
        match self.watch(next, OnRefusal::PassOn, self.attempt(), None) {
            TryOutcome::Ended(code) => code,
            TryOutcome::MustWait(..) => ExitCode::from(TRY_AGAIN_LATER),
        }
    }

    /// Answers a call that the real Claude began and refused. Returns none if the local model failed: Claude goes on with it; none
    /// within if stdout is closed.
    fn take_over(&self, watch: &mut Watch, verdict: &Verdict) -> Option<Option<Answered>> {
        let input = match watch.stdin().pump().filter(|_| self.listens()) {
            Some(pump) => InputSource::Feed(pump.divert()),
            None => InputSource::Read(watch.stdin().unanswered()),
        };
        let session_id = watch.session_id().map(str::to_string);
        let handover = Handover { session_id, transcript: watch.transcript(), is_running: watch.is_session_running() };
        let signals = watch.signals().clone();
        let refusal = Refusal::from_verdict(verdict);
        let pump = watch.stdin().pump().filter(|_| self.listens()).cloned();
        match self.answer(&refusal, (input, pump), Some(handover), &signals, Some(Box::new(watch.on_takeover()))) {
            Ok(answered) => Some(answered),
            Err(error) => {
                self.say_why_not(&error);
                watch.pass_on_refusal(self.answered_requests());
                None
            }
        }
    }
}
