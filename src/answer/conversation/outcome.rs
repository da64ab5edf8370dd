//! How a conversation ends.

use std::process::ExitCode;

use crate::answer::turn::Marks;
use crate::claude_code::transcript_entry::EntryWriter;
use crate::completions::chunk::Usage;
use crate::error::{Error, warn};
use crate::shown::shown;
use crate::state::ledger::Entry;
use crate::state::sessions::Session;

/// How a conversation ended.
pub(crate) enum Outcome {
    Answered(Box<Answered>),
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
    pub(super) session: Session,
    /// The session as it was before it was cleared or compacted.
    pub(super) earlier: Vec<Session>,
    /// Set if Claude Code is to know what was said.
    pub(super) writer: Option<EntryWriter>,
    /// Set if the conversation is not over: the real Claude Code is to go on with it.
    pub left_to_claude_code: Option<LeftToClaudeCode>,
}

/// A conversation in which a command came that only Claude Code has.
pub(crate) struct LeftToClaudeCode {
    /// The session, if anything was said in it.
    pub session_id: Option<String>,
    /// The id of the session that is to begin, if it is another one than the options name.
    pub new_session_id: Option<String>,
    /// The local model has answered before.
    pub has_answered: bool,
    /// The command, if it came in the only prompt. Otherwise it is the first line of stdin that has no answer.
    pub prompt: Option<String>,
}

impl Answered {
    /// Lets Claude Code know what was said. To be called once no Claude Code of this call runs any more, since each writes the end of
    /// its transcript when it ends.
    pub(crate) fn tell_claude(&self, applet: &str) {
        let Some(writer) = &self.writer else { return };
        let earlier = self.earlier.iter().try_for_each(|session| session.write_transcript(writer).map(|_| ()));
        let told = earlier.and_then(|()| match self.left_to_claude_code {
            Some(_) => self.session.give_to_claude(writer),
            None => self.session.write_transcript(writer),
        });
        if let Err(error) = told {
            warn(applet, &shown!("Claude Code does not know what the local model has said in this conversation: {error}"));
        }
    }

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
