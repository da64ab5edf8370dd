//! What a conversation is to do beside answering.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use crate::claude_code::json_schema::Schema;
use crate::stdin::Pump;

pub(in crate::answer) struct ConversationOptions {
    /// The system prompt.
    pub system: Option<String>,
    /// The form of the answers, and how many attempts a turn has at it.
    pub schema: Option<(Arc<Schema>, u32)>,
    /// `@file` stands for the file.
    pub expands_mentions: bool,
    /// The caller's messages are repeated to it.
    pub replays: bool,
    /// The caller may switch to `bypassPermissions`. Without tools that changes only the mode's name in messages.
    pub may_bypass_permissions: bool,
    /// The caller waits to hear that the session is idle.
    pub announces_idle: bool,
    /// Collects the ids of the control requests that were answered.
    pub answered_requests: Arc<Mutex<HashSet<String>>>,
    /// Slash commands are commands.
    pub has_commands: bool,
    /// The real Claude Code can go on where a command needs it.
    pub claude_code_is_there: bool,
    /// What reads stdin, and keeps what has no answer.
    pub pump: Option<Pump>,
    /// What was said goes into Claude Code's transcript in the end.
    pub writes_transcript: bool,
    /// The real Claude has begun the session in this call.
    pub is_begun: bool,
    /// The options name a session.
    pub names_session: bool,
    /// The caller keeps sessions in a store of its own.
    pub mirrors: bool,
    /// The title that the options give the session.
    pub title: Option<String>,
}
