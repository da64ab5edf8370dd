//! A request to answer a call locally.

use std::collections::HashSet;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};

use crate::claude_code::protocol::input::Role;
use crate::claude_code::protocol::mark::Mark;
use crate::stdin::{Feed, Pump};

pub(crate) struct AnswerRequest {
    pub mark: Mark,
    pub input: InputSource,
    /// If the first turn fails, nothing is printed and the call is left to Claude.
    pub may_decline: bool,
    /// Called before the first byte of an answer is printed.
    pub on_answer: Option<Box<dyn FnOnce() + Send>>,
    /// Set if the real Claude has begun the call, and so has checked it.
    pub handover: Option<Handover>,
    /// Collects the ids of the control requests that were answered.
    pub answered_requests: Arc<Mutex<HashSet<String>>>,
    /// The real Claude Code can go on where a command needs it, on the local model.
    pub claude_code_is_there: bool,
    /// What reads stdin, if that keeps what has no answer.
    pub pump: Option<Pump>,
    /// What interrupts a turn. Without it, SIGINT does.
    pub interrupts: Option<Receiver<()>>,
}

/// Where the caller's input comes from.
pub(crate) enum InputSource {
    Stdin,
    /// All of stdin, which was read before.
    Read(Vec<u8>),
    /// The lines of stdin, from the pump that reads it.
    Feed(Feed),
}

/// What the caller has got from the real Claude.
#[derive(Clone, Debug, Default)]
pub(crate) struct Handover {
    pub session_id: Option<String>,
    /// The last messages, which the session's own transcript may not have yet.
    pub transcript: Vec<(Role, String)>,
    /// The caller knows that the session is running, and waits to hear that it is idle.
    pub is_running: bool,
}

impl AnswerRequest {
    /// The request for a call that the flag sends here.
    pub(crate) fn by_flag() -> AnswerRequest {
        AnswerRequest {
            mark: Mark::by_flag(),
            input: InputSource::Stdin,
            may_decline: false,
            on_answer: None,
            handover: None,
            answered_requests: Arc::default(),
            claude_code_is_there: false,
            pump: None,
            interrupts: None,
        }
    }
}
