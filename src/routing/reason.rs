//! Why the local model answers.

use jiff::Timestamp;

use crate::claude_code::refusal::{Cause, Verdict};
use crate::state::breaker::Condition;
use crate::text::clock;

/// Why the local model answers a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The flag says so.
    Flag,
    /// Claude is known to be away, and a person is at the terminal.
    Away,
    /// There is no real Claude Code on this machine.
    NotInstalled,
    /// Claude has refused this call, or others before it.
    Refused(Refusal),
}

/// What Claude has refused with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// As people say it, after "Claude ".
    pub description: String,
    pub cause: Cause,
    /// The stated end.
    pub until: Option<Timestamp>,
}

impl Refusal {
    /// Others have been refused.
    pub(crate) fn met(condition: &Condition) -> Refusal {
        let description = condition.description(Timestamp::now());
        Refusal { description, cause: condition.cause, until: condition.until }
    }

    /// This call has been refused.
    pub(crate) fn of(verdict: &Verdict) -> Refusal {
        let description = match verdict.until {
            Some(until) => format!("{} until {}", verdict.cause.description(), clock(until, Timestamp::now())),
            None => verdict.cause.description().into(),
        };
        Refusal { description, cause: verdict.cause, until: verdict.until }
    }
}
