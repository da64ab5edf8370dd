//! Why the local model answers.

use jiff::Timestamp;

use crate::claude_code::refusal::{Cause, Verdict};
use crate::state::breaker::Condition;
use crate::text::clock;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The flag is at `local`.
    Flag,
    /// The breaker is open, and a person is at the terminal.
    Away,
    NotInstalled,
    /// Claude refused this call, or others before it.
    Refused(Refusal),
}

impl Reason {
    /// As the ledger has it.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Reason::Flag => "switch",
            Reason::Away => "away",
            Reason::NotInstalled => "not_installed",
            Reason::Refused(refusal) => refusal.cause.word(),
        }
    }
}

/// A refusal by Claude.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// Completes a sentence that begins with "Claude ".
    pub description: String,
    pub cause: Cause,
    /// The stated end.
    pub until: Option<Timestamp>,
}

impl Refusal {
    /// Of other calls.
    pub(crate) fn from_condition(condition: &Condition) -> Refusal {
        let description = condition.description(Timestamp::now());
        Refusal { description, cause: condition.cause, until: condition.until }
    }

    /// Of this call.
    pub(crate) fn from_verdict(verdict: &Verdict) -> Refusal {
        let description = match verdict.until {
            Some(until) => format!("{} until {}", verdict.cause.description(), clock(until, Timestamp::now())),
            None => verdict.cause.description().into(),
        };
        Refusal { description, cause: verdict.cause, until: verdict.until }
    }
}
