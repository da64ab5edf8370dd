//! A plain answer in Claude's place.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::mpsc::channel;

use crate::agent::child;
use crate::answer;
use crate::answer::conversation::{Answered, Outcome};
use crate::answer::request::{AnswerRequest, Handover, InputSource};
use crate::claude_code::prompt;
use crate::claude_code::protocol::mark::Mark;
use crate::claude_code::protocol::output::Format;
use crate::error::{Error, Result, report};
use crate::failover::Failover;
use crate::local_model::unload;
use crate::os::signals::{Signals, Target};
use crate::routing::agent_policy::AgentPolicy;
use crate::routing::reason::Refusal;
use crate::shown::shown;
use crate::state::ledger::{AnsweredBy, RouteName};
use crate::state::sessions::Session;
use crate::stdin::{Pump, Stdin};
use crate::watch::next_try::NextTry;

impl Failover<'_> {
    /// Without asking Claude, unless the local model fails.
    pub(super) fn answer_first(&self, refusal: &Refusal, mut next: NextTry) -> ExitCode {
        let input = match next.stdin.pump().filter(|_| self.listens()) {
            Some(pump) => InputSource::Feed(pump.divert()),
            None => match prompt::read_stdin() {
                Ok(bytes) => {
                    next.stdin = Stdin::Read(bytes.clone());
                    InputSource::Read(bytes)
                }
                Err(error) => return report(self.applet, &error),
            },
        };
        let signals = match next.signals(Target::Us) {
            Ok(signals) => signals,
            Err(error) => return report(self.applet, &error),
        };
        let pump = next.stdin.pump().cloned();
        let keep_no_more = move || pump.iter().for_each(Pump::keep_no_more);
        let pump = next.stdin.pump().filter(|_| self.listens()).cloned();
        match self.answer(refusal, (input, pump), None, &signals, Some(Box::new(keep_no_more))) {
            Ok(Some(answered)) if answered.left_to_claude_code.is_some() => self.leave_to_claude_code(refusal, next, answered),
            Ok(answered) => self.record_local(RouteName::Answer, refusal, answered),
            // A call that came at the same moment has taken it, here. Claude, who does not know of that, would begin another of that id.
            Err(error) if self.is_session_taken() => report(self.applet, &error),
            Err(error) => {
                self.say_why_not(&error);
                next.answered_requests = self.answered_requests();
                self.pass_on_claudes_answer(next)
            }
        }
    }

    /// Whether there is a session with the id that the options give to a new one.
    fn is_session_taken(&self) -> bool {
        self.command_line.last("--session-id").is_some_and(|id| Session::exists(self.context, id))
    }

    /// The real Claude Code goes on with a conversation in which a command came that only it has.
    pub(super) fn leave_to_claude_code(&self, refusal: &Refusal, mut next: NextTry, mut answered: Answered) -> ExitCode {
        answered.tell_claude(self.applet);
        let Some(left) = answered.left_to_claude_code.take() else { return answered.exit_code() };
        if left.has_answered {
            self.record_local(RouteName::Answer, refusal, Some(answered));
        }
        next.go_on(&left, self.answered_requests());
        match child::run(
            self.applet,
            self.context,
            &self.command_line,
            next,
            left.prompt,
            Mark::refused(refusal.cause, refusal.until),
        ) {
            Ok(exit) => exit.end_process(),
            Err((error, _)) => report(self.applet, &error),
        }
    }

    /// # Errors
    /// `why_not_claude`, if the local model does not answer either.
    pub(super) fn answer_without_claude(&self, why_not_claude: Error) -> Result<ExitCode> {
        let mark = Mark::not_installed();
        let reason = mark.reason();
        let request = AnswerRequest { mark, may_decline: true, ..AnswerRequest::by_flag() };
        match answer::run(self.applet, self.context, &self.command_line, request) {
            Ok(Outcome::Answered(answered)) => {
                answered.tell_claude(self.applet);
                answered.record(reason, self.entry(RouteName::Answer, AnsweredBy::Local)).append(self.context);
                Ok(answered.exit_code())
            }
            Ok(Outcome::Declined(_)) | Err(_) => Err(why_not_claude),
        }
    }

    /// Returns none if stdout is closed.
    ///
    /// # Errors
    /// If the local model failed before anything was printed: Claude may still answer.
    pub(super) fn answer(
        &self,
        refusal: &Refusal,
        (input, pump): (InputSource, Option<Pump>),
        handover: Option<Handover>,
        signals: &Signals,
        on_takeover: Option<Box<dyn FnOnce() + Send>>,
    ) -> Result<Option<Answered>> {
        let _in_use = unload::in_use(self.context);
        let interrupts = match answer::format(&self.command_line) {
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
        signals.repeat_end_request();
        let has_answered = Arc::new(AtomicBool::new(false));
        let on_answer = {
            let has_answered = has_answered.clone();
            let line = self.stderr_line(&shown!("Claude {}; the local model answers", refusal.description));
            move || {
                has_answered.store(true, SeqCst);
                crate::error::notice(&line);
                if let Some(on_takeover) = on_takeover {
                    on_takeover();
                }
            }
        };
        let request = AnswerRequest {
            mark: Mark::refused(refusal.cause, refusal.until),
            input,
            may_decline: true,
            on_answer: Some(Box::new(on_answer)),
            handover,
            answered_requests: self.answered_requests.clone(),
            claude_code_is_there: self.agent_policy != AgentPolicy::Never,
            pump,
            interrupts,
        };
        match answer::run(self.applet, self.context, &self.command_line, request) {
            Ok(Outcome::Answered(answered)) => {
                unload::when_idle(self.context);
                Ok(Some(*answered))
            }
            Ok(Outcome::Declined(error)) => Err(error),
            Err(error) if has_answered.load(SeqCst) => {
                report(self.applet, &error.without_log());
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}
