//! What one try with the real Claude leaves for the next one.

use std::collections::HashSet;

use crate::answer::conversation::LeftToClaudeCode;
use crate::error::Result;
use crate::os::signals::{Signals, Target};
use crate::real_claude::RealClaude;
use crate::stdin::Stdin;
use crate::watch::child::{CaughtSignals, catch_signals};

pub(crate) struct NextTry {
    pub(crate) claude: RealClaude,
    pub stdin: Stdin,
    pub(super) caught: Option<CaughtSignals>,
    /// The caller's requests that another backend has answered.
    pub answered_requests: HashSet<String>,
    /// The program ran before with this call.
    pub(super) is_repeated: bool,
    /// The session of the try before this, if that came to something.
    pub(super) session_id: Option<String>,
    /// The id of the session that is to begin, in the place of what the caller's options say of sessions.
    pub(super) new_session_id: Option<String>,
}

impl NextTry {
    /// `stdin`: some of it may be read already.
    pub(crate) fn first(claude: RealClaude, stdin: Stdin) -> NextTry {
        NextTry {
            claude,
            stdin,
            caught: None,
            answered_requests: HashSet::new(),
            is_repeated: false,
            session_id: None,
            new_session_id: None,
        }
    }

    /// Another backend has answered so far, and leaves the conversation to the real Claude Code.
    pub(crate) fn go_on(&mut self, left: &LeftToClaudeCode, answered_requests: HashSet<String>) {
        self.answered_requests.extend(answered_requests);
        (self.session_id, self.new_session_id) = (left.session_id.clone(), left.new_session_id.clone());
        // The only prompt is given on the command line.
        if left.prompt.is_some() {
            self.stdin = Stdin::Read(vec![]);
        }
    }

    pub(crate) fn has_session(&self) -> bool {
        self.session_id.is_some()
    }

    /// Catches this process's signals, if that is not done, and gives them to `target`.
    pub(crate) fn signals(&mut self, target: Target) -> Result<Signals> {
        let (signals, _) = match &self.caught {
            Some(caught) => {
                caught.0.give_to(target);
                caught
            }
            None => self.caught.insert(catch_signals(target)?),
        };
        Ok(signals.clone())
    }
}
