//! How a conversation ends.

use std::process::ExitCode;

use crate::answer::turn::Marks;
use crate::completions::chunk::Usage;
use crate::error::Error;
use crate::state::ledger::Entry;

/// How a conversation ended.
pub(crate) enum Outcome {
    Answered(Answered),
    /// Nothing was printed, for this reason.
    Declined(Error),
}

/// The totals of a conversation.
pub(crate) struct Answered {
    /// Whether its last turn failed.
    pub has_failed: bool,
    /// The model that answered, as far as it is known.
    pub model: String,
    /// The tokens of all turns.
    pub usage: Usage,
    pub marks: Marks,
    /// Set if the conversation is not over: the real Claude Code is to go on with it.
    pub left_to_claude_code: Option<LeftToClaudeCode>,
}

/// A conversation in which a command came that only Claude Code has.
pub(crate) struct LeftToClaudeCode {
    /// The session, if anything was said in it. Claude Code's transcript has all of it.
    pub session_id: Option<String>,
    /// The id of the session that is to begin, if it is another one than the options name.
    pub new_session_id: Option<String>,
    /// The local model has answered before.
    pub has_answered: bool,
    /// The command, if it came in the only prompt. Otherwise it is the first line of stdin that has no answer.
    pub prompt: Option<String>,
}

impl Answered {
    pub(crate) fn exit_code(&self) -> ExitCode {
        if self.has_failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
    }

    /// Completes the ledger's entry of a call that was answered locally for the reason `verdict`.
    pub(crate) fn record(&self, verdict: &str, entry: Entry) -> Entry {
        Entry {
            verdict: Some(verdict.into()),
            model: Some(self.model.clone()),
            input_tokens: Some(self.usage.input + self.usage.cached),
            output_tokens: Some(self.usage.output),
            exit: Some(self.has_failed.into()),
            truncated: self.marks.is_truncated,
            unknown_markup: self.marks.unknown_markup.clone(),
            server: self.marks.server.clone(),
            ..entry
        }
    }
}
