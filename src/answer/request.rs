//! How it comes that a call is answered here.

use std::collections::HashSet;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};

use crate::claude_code::protocol::input::Role;
use crate::claude_code::protocol::mark::Mark;
use crate::stdin::Feed;

/// What is special about a call that is answered here.
pub(crate) struct AnswerRequest {
    pub mark: Mark,
    /// Where the input comes from.
    pub input: Source,
    /// Whether a first turn that fails is left to somebody else, with nothing printed of it.
    pub may_decline: bool,
    /// Called before the first word of an answer is printed.
    pub on_answer: Option<Box<dyn FnOnce() + Send>>,
    /// The real Claude has begun the call, so it has been checked.
    pub taken: Option<Handover>,
    /// Takes the ids of the requests that were answered.
    pub replied: Arc<Mutex<HashSet<String>>>,
    /// What interrupts the turn, if this process does not look out for it itself.
    pub interrupts: Option<Receiver<()>>,
}

/// Where the input of a call comes from.
pub(crate) enum Source {
    /// From stdin.
    Stdin,
    /// It was read from stdin before.
    Read(Vec<u8>),
    /// Line by line, from somebody else who has stdin.
    Feed(Feed),
}

/// What the real Claude has told the caller.
#[derive(Clone, Debug, Default)]
pub(crate) struct Handover {
    /// The session's id.
    pub session_id: Option<String>,
    /// What was said in it, as far as the session's transcript may not have it yet.
    pub said: Vec<(Role, String)>,
    /// That the session is at work: the caller waits to hear that it is idle.
    pub is_running: bool,
}

impl AnswerRequest {
    /// The switch says so.
    pub(crate) fn switch() -> AnswerRequest {
        AnswerRequest {
            mark: Mark::by_flag(),
            input: Source::Stdin,
            may_decline: false,
            on_answer: None,
            taken: None,
            replied: Arc::default(),
            interrupts: None,
        }
    }
}
