use super::*;
use crate::completions::failure::{Passing, ServerRefusal};

const START: Remedy = Remedy::StartServer { is_last: false };
const LAST_START: Remedy = Remedy::StartServer { is_last: true };
const NONE: Possible = Possible { start: false, is_only: false, retries: 0, leave_out: None, max_tokens: 1, shrink: false };

fn all() -> Possible {
    Possible { start: true, is_only: true, retries: 4, leave_out: Some(Untaken::Images), max_tokens: 1000, shrink: true }
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
        (NotTaken("n".into()), START, Remedy::Fail),
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
        (Cut { reason: "c".into(), partial: partial() }, Remedy::BackOff(Duration::from_secs(1)), Remedy::Fail),
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
fn an_answer_that_breaks_off_is_left_to_another_model_if_there_is_one() {
    let cut = |partial: &str| CompletionError::Cut { reason: "c".into(), partial: partial.into() };
    let again = Remedy::BackOff(Duration::from_secs(1));
    for (is_only, partial, expected) in
        [(true, "", again), (true, "half", again), (false, "", Remedy::Fail), (false, " ", Remedy::Fail), (false, "half", again)]
    {
        let possible = Possible { is_only, ..all() };
        assert_eq!(remedy(&cut(partial), &possible, Tried::default()), expected, "{is_only} {partial:?}");
    }
}

#[test]
fn who_does_not_take_the_connection_is_tried_again_unless_there_is_another_model() {
    let failure = CompletionError::NotTaken("n".into());
    let possible = |is_only| Possible { is_only, start: false, ..all() };
    let again = |seconds| Remedy::BackOff(Duration::from_secs(seconds));
    assert_eq!(remedy(&failure, &possible(false), Tried::default()), Remedy::Fail);
    for (tried, expected) in [(&[][..], again(1)), (&[again(1)], again(2)), (&[again(1), again(2)], Remedy::Fail)] {
        assert_eq!(remedy(&failure, &possible(true), after(tried)), expected, "{tried:?}");
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
