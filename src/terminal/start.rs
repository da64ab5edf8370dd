//! How a side begins with a session that the other one had.

use std::path::{Path, PathBuf};

use crate::claude_code::refusal::Cause;
use crate::claude_code::{transcript, unanswered};
use crate::routing::route::Side;

/// Where the session goes when Claude Code has ended.
pub(super) struct Next {
    pub start: Start,
    pub transcript: PathBuf,
    /// The prompt that has ended it.
    pub sent: String,
}

/// How a side begins with the session.
#[derive(Clone, Debug)]
pub(super) struct Start {
    pub side: Side,
    /// None if nothing was said yet.
    pub session_id: Option<String>,
    pub prompt: Option<String>,
    /// The permission mode; none as the caller gave it. 2.1.78 does not keep it over a resume, nor 2.1.330 `bypassPermissions`.
    pub mode: Option<String>,
    /// Why the session leaves Claude.
    pub cause: Option<Cause>,
}

impl Next {
    /// Claude Code writes its transcript in batches, the last when it ends.
    pub(super) fn start(self) -> Start {
        let Next { mut start, transcript, sent } = self;
        start.prompt = carried(&transcript, &sent, start.prompt);
        start.session_id = start.session_id.filter(|_| transcript::read(&transcript, None).is_some());
        start
    }
}

/// What has no answer yet, and the prompt that was held. `sent`: what has ended Claude Code.
pub(super) fn carried(transcript: &Path, sent: &str, held: Option<String>) -> Option<String> {
    let mut prompts = unanswered::read(transcript).prompts;
    prompts.retain(|waiting| waiting != sent);
    prompts.extend(held);
    Some(prompts.join("\n\n")).filter(|prompt| !prompt.is_empty())
}
