//! What is known of the turn that runs.

use crate::claude_code::refusal::Evidence;

#[derive(Default)]
pub(super) struct Turn {
    pub evidence: Evidence,
    pub phase: Phase,
    /// A tool is used, or was. The caller's own lines can hold a tool's result, so that this is no phase.
    pub ran_tool: bool,
    /// The turn's refusal is passed on, since no other backend could answer.
    pub is_passed_on: bool,
    /// How many of the user's lines had come when Claude last went on: it has seen them.
    pub lines_seen: usize,
    /// The texts of the assistant's messages.
    pub replies: Vec<String>,
    /// What waits for the verdict, or for the first piece of an answer.
    pub withheld: Vec<u8>,
}

/// How far the turn has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Phase {
    /// The session has not begun to work on it.
    #[default]
    Queued,
    /// The session has begun to work on it, and nothing of an answer has come.
    Running,
    /// Claude Code says that it does something else before it answers: it compacts the conversation.
    Busy { was_running: bool },
    /// A sign of an answer has come, and nothing of it has reached the caller.
    Answering,
    /// A piece of the answer has reached the caller.
    Printed,
}

impl Phase {
    pub(super) fn has_answer(self) -> bool {
        matches!(self, Phase::Answering | Phase::Printed)
    }

    pub(super) fn on_init(self) -> Phase {
        match self {
            Phase::Queued => Phase::Running,
            Phase::Busy { .. } => Phase::Busy { was_running: true },
            later => later,
        }
    }

    pub(super) fn on_status(self, is_busy: bool) -> Phase {
        match self {
            Phase::Queued | Phase::Running if is_busy => Phase::Busy { was_running: self == Phase::Running },
            Phase::Busy { was_running: true } if !is_busy => Phase::Running,
            Phase::Busy { was_running: false } if !is_busy => Phase::Queued,
            same => same,
        }
    }

    pub(super) fn on_answer(self) -> Phase {
        if self == Phase::Printed { self } else { Phase::Answering }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_phase_has_one_that_follows() {
        use Phase::{Answering, Busy, Printed, Queued, Running};
        const QUEUED_BUSY: Phase = Busy { was_running: false };
        const RUNNING_BUSY: Phase = Busy { was_running: true };
        // The phase, and what follows on `init`, on a busy status, on another status, and on an answer.
        let table = [
            (Queued, Running, QUEUED_BUSY, Queued, Answering),
            (Running, Running, RUNNING_BUSY, Running, Answering),
            (QUEUED_BUSY, RUNNING_BUSY, QUEUED_BUSY, Queued, Answering),
            (RUNNING_BUSY, RUNNING_BUSY, RUNNING_BUSY, Running, Answering),
            (Answering, Answering, Answering, Answering, Answering),
            (Printed, Printed, Printed, Printed, Printed),
        ];
        for (phase, init, busy, not_busy, answer) in table {
            assert_eq!(phase.on_init(), init, "{phase:?}");
            assert_eq!(phase.on_status(true), busy, "{phase:?}");
            assert_eq!(phase.on_status(false), not_busy, "{phase:?}");
            assert_eq!(phase.on_answer(), answer, "{phase:?}");
            assert_eq!(phase.has_answer(), phase == answer, "{phase:?}");
        }
    }
}
