//! When a call is given up, and what then becomes of it. Pure: facts in, decisions out.

use std::time::Duration;

use crate::claude_code::refusal::Cause;
use crate::watch::turn::Phase;

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
    /// Whether the local model goes on with a session in which tools have run.
    pub resumes: bool,
}

/// What had come of a call when it was refused or given up.
#[derive(Clone, Copy)]
pub(super) struct TurnProgress {
    pub is_input_kept: bool,
    /// Stdin is a stream of messages, each of which has a result.
    pub listens: bool,
    /// A turn has ended with a result.
    pub has_result: bool,
    pub ran_tool: bool,
    /// A piece of the turn's answer has reached the caller.
    pub is_printed: bool,
}

/// What surrounds it that Claude says nothing.
#[derive(Clone, Copy)]
pub(super) struct Silence {
    /// Nothing has come from Claude or the caller for so long.
    pub lasted: Duration,
    pub phase: Phase,
    /// The version streams its answers in pieces, so that a long silence means something.
    pub streams_pieces: bool,
    /// Claude Code has asked the caller something and has no answer yet.
    pub asks_caller: bool,
    /// All that the turn is about has been said.
    pub is_prompt_complete: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OnRetry {
    Wait,
    /// It would be given up, but the user wants Claude Code to wait.
    WaitForWatchdog,
    GiveUp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AfterRefusal {
    /// The local model answers the turn from its beginning.
    AnswerAgain,
    /// The local model goes on with the session.
    Resume,
    /// The refusal is passed on to the caller.
    PassOn,
}

impl GiveUpAfter {
    /// For a call that no other backend could answer.
    pub(crate) fn never() -> GiveUpAfter {
        GiveUpAfter { retries: u32::MAX, stall: Duration::ZERO, replays_always: false, has_watchdog: true, resumes: false }
    }

    pub(super) fn may_answer_again(&self, progress: TurnProgress) -> bool {
        progress.may_go_elsewhere() && (self.replays_always || !(progress.ran_tool || progress.is_printed))
    }

    pub(super) fn on_refusal(&self, progress: TurnProgress, has_transcript: impl FnOnce() -> bool) -> AfterRefusal {
        if self.may_answer_again(progress) {
            AfterRefusal::AnswerAgain
        } else if self.resumes && progress.ran_tool && progress.may_go_elsewhere() && has_transcript() {
            AfterRefusal::Resume
        } else {
            AfterRefusal::PassOn
        }
    }

    pub(super) fn on_retry(&self, attempt: u32, cause: Cause, progress: TurnProgress) -> OnRetry {
        let is_outage = matches!(cause, Cause::Overload | Cause::ServerError | Cause::Network);
        if attempt <= self.retries || !is_outage || !self.may_answer_again(progress) {
            OnRetry::Wait
        } else if self.has_watchdog {
            OnRetry::WaitForWatchdog
        } else {
            OnRetry::GiveUp
        }
    }

    /// How long nothing more may come before the call is given up; none if the silence means nothing.
    pub(super) fn until_stall(&self, silence: Silence, progress: TurnProgress) -> Option<Duration> {
        let is_answer_awaited = matches!(silence.phase, Phase::Queued | Phase::Running)
            && silence.is_prompt_complete
            && silence.streams_pieces
            && !silence.asks_caller;
        let is_limited = !self.has_watchdog && !self.stall.is_zero();
        (is_answer_awaited && is_limited && self.may_answer_again(progress)).then(|| self.stall.saturating_sub(silence.lasted))
    }
}

impl TurnProgress {
    /// What was asked once has its answer after one result: Claude Code has gone on by itself.
    fn may_go_elsewhere(self) -> bool {
        self.is_input_kept && (self.listens || !self.has_result)
    }

    pub(super) fn why_not_again(self) -> &'static str {
        if self.has_result && !self.listens {
            "it has answered before"
        } else if self.ran_tool {
            "tools have run"
        } else {
            "a part of the answer was printed"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STALL: Duration = Duration::from_secs(120);

    const NOTHING: TurnProgress =
        TurnProgress { is_input_kept: true, listens: false, has_result: false, ran_tool: false, is_printed: false };

    const SILENT: Silence = Silence {
        lasted: Duration::from_secs(20),
        phase: Phase::Running,
        streams_pieces: true,
        asks_caller: false,
        is_prompt_complete: true,
    };

    fn usual() -> GiveUpAfter {
        GiveUpAfter { retries: 2, stall: STALL, replays_always: false, has_watchdog: false, resumes: true }
    }

    fn replaying() -> GiveUpAfter {
        GiveUpAfter { replays_always: true, ..usual() }
    }

    #[test]
    fn what_becomes_of_a_refused_turn() {
        use AfterRefusal::{AnswerAgain, PassOn, Resume};
        let not_resuming = GiveUpAfter { resumes: false, ..usual() };
        let lost = TurnProgress { is_input_kept: false, ..NOTHING };
        let answered = TurnProgress { has_result: true, ..NOTHING };
        let second_turn = TurnProgress { listens: true, ..answered };
        let printed = TurnProgress { is_printed: true, ..NOTHING };
        let ran_tool = TurnProgress { ran_tool: true, ..NOTHING };
        let tool_printed = TurnProgress { is_printed: true, ..ran_tool };
        let tool_answered = TurnProgress { has_result: true, ..ran_tool };
        let tool_in_second_turn = TurnProgress { listens: true, ..tool_answered };
        let tool_lost = TurnProgress { ran_tool: true, ..lost };
        let table = [
            (usual(), NOTHING, true, AnswerAgain),
            (usual(), lost, true, PassOn),
            (usual(), answered, true, PassOn),
            (usual(), second_turn, true, AnswerAgain),
            (usual(), printed, true, PassOn),
            (usual(), ran_tool, true, Resume),
            (usual(), ran_tool, false, PassOn),
            (usual(), tool_printed, true, Resume),
            (usual(), tool_answered, true, PassOn),
            (usual(), tool_in_second_turn, true, Resume),
            (usual(), tool_lost, true, PassOn),
            (not_resuming, ran_tool, true, PassOn),
            (replaying(), ran_tool, true, AnswerAgain),
            (replaying(), tool_printed, true, AnswerAgain),
            (replaying(), tool_answered, true, PassOn),
            (replaying(), lost, true, PassOn),
        ];
        for (row, (give_up, progress, has_transcript, expected)) in table.into_iter().enumerate() {
            assert_eq!(give_up.on_refusal(progress, || has_transcript), expected, "row {row}");
        }
    }

    #[test]
    fn retries_of_an_outage_are_counted() {
        let printed = TurnProgress { is_printed: true, ..NOTHING };
        let watchdog = || GiveUpAfter { has_watchdog: true, ..usual() };
        let table = [
            (usual(), 2, Cause::Overload, NOTHING, OnRetry::Wait),
            (usual(), 3, Cause::Overload, NOTHING, OnRetry::GiveUp),
            (usual(), 3, Cause::ServerError, NOTHING, OnRetry::GiveUp),
            (usual(), 3, Cause::Network, NOTHING, OnRetry::GiveUp),
            (usual(), 9, Cause::Throttle, NOTHING, OnRetry::Wait),
            (usual(), 9, Cause::SignIn, NOTHING, OnRetry::Wait),
            (usual(), 9, Cause::Overload, printed, OnRetry::Wait),
            (replaying(), 3, Cause::Overload, printed, OnRetry::GiveUp),
            (watchdog(), 2, Cause::Overload, NOTHING, OnRetry::Wait),
            (watchdog(), 3, Cause::Overload, NOTHING, OnRetry::WaitForWatchdog),
            (watchdog(), 9, Cause::Throttle, NOTHING, OnRetry::Wait),
            (GiveUpAfter::never(), u32::MAX, Cause::Overload, NOTHING, OnRetry::Wait),
        ];
        for (row, (give_up, attempt, cause, progress, expected)) in table.into_iter().enumerate() {
            assert_eq!(give_up.on_retry(attempt, cause, progress), expected, "row {row}");
        }
    }

    #[test]
    fn a_silence_that_means_something_has_an_end() {
        let left = Some(Duration::from_secs(100));
        let endless = || GiveUpAfter { stall: Duration::ZERO, ..usual() };
        let watchdog = GiveUpAfter { has_watchdog: true, ..usual() };
        let printed = TurnProgress { is_printed: true, ..NOTHING };
        let in_phase = |phase| Silence { phase, ..SILENT };
        let table = [
            (usual(), SILENT, NOTHING, left),
            (usual(), in_phase(Phase::Queued), NOTHING, left),
            (usual(), in_phase(Phase::Busy { was_running: true }), NOTHING, None),
            (usual(), in_phase(Phase::Answering), NOTHING, None),
            (usual(), in_phase(Phase::Printed), printed, None),
            (usual(), Silence { lasted: STALL, ..SILENT }, NOTHING, Some(Duration::ZERO)),
            (usual(), Silence { lasted: STALL * 2, ..SILENT }, NOTHING, Some(Duration::ZERO)),
            (usual(), Silence { streams_pieces: false, ..SILENT }, NOTHING, None),
            (usual(), Silence { asks_caller: true, ..SILENT }, NOTHING, None),
            (usual(), Silence { is_prompt_complete: false, ..SILENT }, NOTHING, None),
            (usual(), SILENT, printed, None),
            (usual(), SILENT, TurnProgress { is_input_kept: false, ..NOTHING }, None),
            (replaying(), SILENT, TurnProgress { ran_tool: true, ..NOTHING }, left),
            (endless(), SILENT, NOTHING, None),
            (watchdog, SILENT, NOTHING, None),
            (GiveUpAfter::never(), SILENT, NOTHING, None),
        ];
        for (row, (give_up, silence, progress, expected)) in table.into_iter().enumerate() {
            assert_eq!(give_up.until_stall(silence, progress), expected, "row {row}");
        }
    }

    #[test]
    fn the_reason_why_a_call_is_not_answered_again() {
        let table = [
            (TurnProgress { has_result: true, ran_tool: true, ..NOTHING }, "it has answered before"),
            (TurnProgress { has_result: true, listens: true, ran_tool: true, ..NOTHING }, "tools have run"),
            (TurnProgress { ran_tool: true, is_printed: true, ..NOTHING }, "tools have run"),
            (TurnProgress { is_printed: true, ..NOTHING }, "a part of the answer was printed"),
        ];
        for (progress, expected) in table {
            assert_eq!(progress.why_not_again(), expected);
        }
    }
}
