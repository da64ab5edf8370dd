//! What can be done about a question that got no answer: from the failure to its remedy.
//!
//! No I/O here. The plain answer and the gateway drive it.

use std::time::Duration;

use crate::completions::failure::CompletionError;
use crate::completions::untaken::Untaken;

/// How often a server is started, or waited for, for one question.
const MAX_STARTS: u32 = 3;

/// How often a question is asked again whose answer broke off: it may be what breaks the server.
const MAX_CUTS: u32 = 2;

/// The longest pause of our own choice. The first is a second, and each is twice as long as the one before.
const LONGEST_PAUSE: Duration = Duration::from_secs(8);

/// An answer that is shorter, in tokens, is worse than a question with less around it.
const SHORTEST_ANSWER: u32 = 256;

/// What the model is told after an empty answer: the same request would bring the same again.
pub(crate) const AFTER_EMPTY: &str = "Your last answer was empty: nothing of it has reached the user. Answer now.";

/// What to do before the same question is asked again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Remedy<'a> {
    /// Start the server, or wait for the one that is loading. `is_last`: not again for this question.
    StartServer { is_last: bool },
    /// Leave the server alone for so long, as it asks.
    Wait(Duration),
    /// The same by our own choice: see [`spread`](crate::local_model::ask::spread).
    BackOff(Duration),
    /// Name the model that the server serves. `refusal` is what the server says to the name that it got.
    NameModel { refusal: &'a str },
    /// Ask without a part of the request.
    LeaveOut(&'a Untaken),
    /// Ask for no more than so many tokens.
    LowerMaxTokens(u32),
    /// Ask with less around the question.
    Shrink,
    /// Say [`AFTER_EMPTY`].
    TellEmpty,
    /// Nothing helps.
    Fail,
}

/// What the server and the question, as it was asked, allow.
#[derive(Clone, Debug, Default)]
pub(crate) struct Possible {
    /// The server is ours to start.
    pub start: bool,
    /// There is no other local model, which would be asked where this one breaks off before a word.
    pub is_only: bool,
    /// How often to ask again after a refusal that may pass.
    pub retries: u32,
    /// What the failure is about and is in the request.
    pub leave_out: Option<Untaken>,
    /// The limit of the answer, in tokens.
    pub max_tokens: u32,
    /// There is something around the question that can be left out.
    pub shrink: bool,
}

/// What was tried for one question, as far as the question does not show it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tried {
    starts: u32,
    has_named_model: bool,
    waits: u32,
    waited: Duration,
    has_told_empty: bool,
}

impl Tried {
    /// Counts a remedy.
    pub(crate) fn add(&mut self, remedy: Remedy) {
        match remedy {
            Remedy::StartServer { is_last: true } => self.starts = MAX_STARTS,
            Remedy::StartServer { is_last: false } => self.starts += 1,
            Remedy::NameModel { .. } => self.has_named_model = true,
            Remedy::TellEmpty => self.has_told_empty = true,
            Remedy::Wait(pause) | Remedy::BackOff(pause) => {
                self.waits += 1;
                self.waited = self.waited.saturating_add(pause);
            }
            _ => {}
        }
    }
}

/// What helps against `failure`.
pub(crate) fn remedy<'a>(failure: &'a CompletionError, possible: &'a Possible, tried: Tried) -> Remedy<'a> {
    use CompletionError::*;
    match failure {
        // Somebody else's server, or what stands before several, may have been too busy to take it.
        NotTaken(_) if !possible.start && possible.is_only => wait(None, possible.retries.min(MAX_CUTS), tried),
        Refused(_) | NotTaken(_) | Broken(_) | Dead(_) if !possible.start => Remedy::Fail,
        // Somebody else's server is waited for, too.
        Refused(_) | NotTaken(_) | Loading if tried.starts < MAX_STARTS => Remedy::StartServer { is_last: false },
        // Once: this question may be what breaks it.
        Broken(_) | Dead(_) if tried.starts == 0 => Remedy::StartServer { is_last: true },
        // Nothing of it has reached the caller. What stands before several servers does not say that one of them has died.
        Cut { partial, .. } if possible.is_only || !partial.trim().is_empty() => {
            wait(None, possible.retries.min(MAX_CUTS), tried)
        }
        Passing { retry_after, .. } => wait(*retry_after, possible.retries, tried),
        UnknownModel(refusal) if !tried.has_named_model => Remedy::NameModel { refusal: &refusal.line },
        Untaken { .. } => possible.leave_out.as_ref().map_or(Remedy::Fail, Remedy::LeaveOut),
        AnswerTooLong { most, .. } => lower(*most, possible),
        TooLong { .. } if possible.shrink => Remedy::Shrink,
        Empty { is_cut_by_limit: false } if !tried.has_told_empty => Remedy::TellEmpty,
        _ => Remedy::Fail,
    }
}

/// All pauses together are no longer than our own would be: a server that wants more is left to the caller at once.
fn wait(retry_after: Option<Duration>, retries: u32, tried: Tried) -> Remedy<'static> {
    let pause = retry_after.unwrap_or_else(|| own_pause(tried.waits));
    // Beyond that number all pauses are the longest.
    const GROWING: u32 = 3;
    let bound: Duration = (0..retries.min(GROWING)).map(own_pause).sum();
    let bound = bound.saturating_add(LONGEST_PAUSE.saturating_mul(retries.saturating_sub(GROWING)));
    match tried.waits < retries && tried.waited.saturating_add(pause) <= bound {
        true if retry_after.is_some() => Remedy::Wait(pause),
        true => Remedy::BackOff(pause),
        false => Remedy::Fail,
    }
}

fn own_pause(waits: u32) -> Duration {
    Duration::from_secs(1 << waits.min(31)).min(LONGEST_PAUSE)
}

/// `most`: what the server says that is left. Always less than before, so that there is an end.
fn lower(most: Option<u64>, possible: &Possible) -> Remedy<'static> {
    let now = possible.max_tokens;
    let most = most.map(|most| u32::try_from(most).unwrap_or(u32::MAX)).filter(|most| *most < now);
    let lowered = most.unwrap_or(now / 2);
    match lowered {
        _ if lowered < SHORTEST_ANSWER.min(now) && possible.shrink => Remedy::Shrink,
        0 => Remedy::Fail,
        _ => Remedy::LowerMaxTokens(lowered),
    }
}

#[cfg(test)]
mod tests;
