//! What can be done about a question that got no answer: from the failure to its remedy.
//!
//! No I/O here. The plain answer and the gateway drive it.

use std::time::Duration;

use crate::completions::failure::CompletionError;
use crate::completions::untaken::Untaken;

/// How often a server is started, or waited for, for one question.
const MAX_STARTS: u32 = 3;

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
        Refused(_) | Broken(_) | Dead(_) if !possible.start => Remedy::Fail,
        // Somebody else's server is waited for, too.
        Refused(_) | Loading if tried.starts < MAX_STARTS => Remedy::StartServer { is_last: false },
        // Once: this question may be what breaks it.
        Broken(_) | Dead(_) if tried.starts == 0 => Remedy::StartServer { is_last: true },
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
mod tests {
    use super::*;
    use crate::completions::failure::{Passing, ServerRefusal};

    const START: Remedy = Remedy::StartServer { is_last: false };
    const LAST_START: Remedy = Remedy::StartServer { is_last: true };
    const NONE: Possible = Possible { start: false, retries: 0, leave_out: None, max_tokens: 1, shrink: false };

    fn all() -> Possible {
        Possible { start: true, retries: 4, leave_out: Some(Untaken::Images), max_tokens: 1000, shrink: true }
    }

    fn refusal() -> ServerRefusal {
        ServerRefusal { status: 400, line: "HTTP 400: no".into() }
    }

    fn passing(retry_after: Option<u64>) -> CompletionError {
        let retry_after = retry_after.map(Duration::from_secs);
        CompletionError::Passing { cause: Passing::Busy, retry_after, refusal: refusal() }
    }

    fn after(remedies: &[Remedy]) -> Tried {
        let mut tried = Tried::default();
        remedies.iter().for_each(|remedy| tried.add(*remedy));
        tried
    }

    #[test]
    fn each_failure_has_its_remedy_where_that_is_possible() {
        use CompletionError::*;
        let partial = String::new;
        let named = Remedy::NameModel { refusal: "HTTP 400: no" };
        let table = [
            (Refused("r".into()), START, Remedy::Fail),
            (Broken("b".into()), LAST_START, Remedy::Fail),
            (Dead("d".into()), LAST_START, Remedy::Fail),
            (Loading, START, START),
            (UnknownModel(refusal()), named, named),
            (passing(None), Remedy::BackOff(Duration::from_secs(1)), Remedy::Fail),
            (passing(Some(1)), Remedy::Wait(Duration::from_secs(1)), Remedy::Fail),
            (Untaken { about: vec![], refusal: refusal() }, Remedy::LeaveOut(&self::Untaken::Images), Remedy::Fail),
            (ExtraUntaken { key: "k".into(), refusal: refusal() }, Remedy::Fail, Remedy::Fail),
            (TooLong { prompt: Some(9), window: Some(8) }, Remedy::Shrink, Remedy::Fail),
            (AnswerTooLong { most: Some(700), prompt: None, window: None }, Remedy::LowerMaxTokens(700), Remedy::Fail),
            (Refusal(refusal()), Remedy::Fail, Remedy::Fail),
            (Stalled { idle: Duration::ZERO, partial: partial() }, Remedy::Fail, Remedy::Fail),
            (Cut { reason: "c".into(), partial: partial() }, Remedy::Fail, Remedy::Fail),
            (Cancelled, Remedy::Fail, Remedy::Fail),
            (Empty { is_cut_by_limit: true }, Remedy::Fail, Remedy::Fail),
            (Empty { is_cut_by_limit: false }, Remedy::TellEmpty, Remedy::TellEmpty),
        ];
        for (failure, if_all_is, if_nothing_is) in table {
            assert_eq!(remedy(&failure, &all(), Tried::default()), if_all_is, "{failure:?}");
            assert_eq!(remedy(&failure, &NONE, Tried::default()), if_nothing_is, "{failure:?}");
        }
    }

    #[test]
    fn remedies_have_an_end() {
        use CompletionError::*;
        let named = Remedy::NameModel { refusal: "" };
        let table: [(CompletionError, &[Remedy], Remedy); 14] = [
            (Refused("r".into()), &[START, START], START),
            (Refused("r".into()), &[START, START, START], Remedy::Fail),
            (Refused("r".into()), &[LAST_START], Remedy::Fail),
            (Loading, &[START, START], START),
            (Loading, &[START, START, START], Remedy::Fail),
            (Loading, &[LAST_START], Remedy::Fail),
            (Broken("b".into()), &[START], Remedy::Fail),
            (Broken("b".into()), &[LAST_START], Remedy::Fail),
            (Dead("d".into()), &[START], Remedy::Fail),
            (Dead("d".into()), &[named, Remedy::TellEmpty, Remedy::Shrink], LAST_START),
            (UnknownModel(refusal()), &[named], Remedy::Fail),
            (UnknownModel(refusal()), &[START, START, START], Remedy::NameModel { refusal: "HTTP 400: no" }),
            (Empty { is_cut_by_limit: false }, &[Remedy::TellEmpty], Remedy::Fail),
            (TooLong { prompt: None, window: None }, &[LAST_START, Remedy::Shrink], Remedy::Shrink),
        ];
        for (failure, before, expected) in table {
            assert_eq!(remedy(&failure, &all(), after(before)), expected, "{failure:?} after {before:?}");
        }
    }

    /// All pauses until nothing helps any more.
    fn pauses(retries: u32, retry_after: Option<u64>) -> Vec<u64> {
        let (possible, mut tried, mut pauses) = (Possible { retries, ..all() }, Tried::default(), vec![]);
        let failure = passing(retry_after);
        while let remedy @ (Remedy::Wait(pause) | Remedy::BackOff(pause)) = remedy(&failure, &possible, tried) {
            tried.add(remedy);
            pauses.push(pause.as_secs());
        }
        pauses
    }

    #[test]
    fn pauses_grow_within_a_bound() {
        assert_eq!(pauses(4, None), [1, 2, 4, 8]);
        assert_eq!(pauses(0, None), [0; 0]);
        assert_eq!(pauses(1, None), [1]);
        assert_eq!(pauses(6, None), [1, 2, 4, 8, 8, 8]);
        // What the server asks for counts, as long as it is within the bound.
        assert_eq!(pauses(4, Some(0)), [0, 0, 0, 0]);
        assert_eq!(pauses(4, Some(3)), [3, 3, 3, 3]);
        assert_eq!(pauses(4, Some(7)), [7, 7]);
        assert_eq!(pauses(4, Some(15)), [15]);
        assert_eq!(pauses(4, Some(16)), [0; 0]);
        assert_eq!(pauses(4, Some(u64::MAX)), [0; 0]);
        assert_eq!(pauses(1, Some(2)), [0; 0]);
    }

    #[test]
    fn the_limit_of_an_answer_goes_down_to_what_is_left() {
        let with = |most: Option<u64>, max_tokens: u32, shrink: bool| {
            let possible = Possible { max_tokens, shrink, ..all() };
            let failure = CompletionError::AnswerTooLong { most, prompt: None, window: None };
            match remedy(&failure, &possible, Tried::default()) {
                Remedy::LowerMaxTokens(lowered) => i64::from(lowered),
                Remedy::Shrink => -1,
                Remedy::Fail => -2,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(with(Some(700), 1000, true), 700);
        // The server's number did not help, or there is none.
        assert_eq!(with(Some(1000), 1000, true), 500);
        assert_eq!(with(None, 1000, true), 500);
        // Too short to be of use, unless it was asked for so short.
        assert_eq!(with(Some(255), 1000, true), -1);
        assert_eq!(with(Some(255), 1000, false), 255);
        assert_eq!(with(Some(100), 101, true), -1);
        assert_eq!(with(Some(100), 101, false), 100);
        assert_eq!(with(None, 1, false), -2);
    }
}
