use std::time::Duration;

use super::*;
use crate::completions::failure::{Passing, ServerRefusal};
use crate::completions::untaken::Untaken;

fn refusal(status: u16) -> ServerRefusal {
    ServerRefusal { status, line: format!("HTTP {status}: no") }
}

#[test]
fn which_failures_let_the_next_one_be_asked() {
    use CompletionError::*;
    let said = || String::from("The beginning");
    let nothing = || String::from(" \n");
    let passing = |cause| Passing { cause, retry_after: None, refusal: refusal(429) };
    let table = [
        (Refused("r".into()), Some(Obstacle::Away)),
        (Loading, Some(Obstacle::Away)),
        (Dead("d".into()), Some(Obstacle::Away)),
        (Broken("b".into()), Some(Obstacle::Away)),
        (Stalled { idle: Duration::ZERO, partial: nothing() }, Some(Obstacle::Away)),
        (Stalled { idle: Duration::ZERO, partial: said() }, None),
        (Cut { reason: "c".into(), partial: nothing() }, Some(Obstacle::Away)),
        (Cut { reason: "c".into(), partial: said() }, None),
        (passing(self::Passing::Busy), Some(Obstacle::Busy)),
        (passing(self::Passing::Away), Some(Obstacle::Busy)),
        (passing(self::Passing::BadOutput), Some(Obstacle::Busy)),
        (UnknownModel(refusal(404)), Some(Obstacle::LacksModel)),
        (TooLong { prompt: None, window: None }, Some(Obstacle::TooSmall)),
        (AnswerTooLong { most: None, prompt: None, window: None }, Some(Obstacle::TooSmall)),
        (Refusal(refusal(401)), Some(Obstacle::RefusesKey)),
        (Refusal(refusal(403)), Some(Obstacle::RefusesKey)),
        (Refusal(refusal(400)), None),
        (Refusal(refusal(404)), None),
        (Refusal(refusal(500)), Some(Obstacle::Fails)),
        (Untaken { about: vec![self::Untaken::Images], refusal: refusal(400) }, None),
        (ExtraUntaken { key: "k".into(), refusal: refusal(500) }, None),
        (Cancelled, None),
        (Empty { is_cut_by_limit: false }, None),
    ];
    for (failure, expected) in table {
        assert_eq!(Obstacle::of_failure(&failure), expected, "{failure:?}");
    }
}

fn way(order: &[usize]) -> Way {
    Way::new(order.to_vec(), BTreeMap::new())
}

#[test]
fn each_link_is_given_up_once() {
    let mut way = way(&[0, 1, 2]);
    let mut asked = vec![way.current()];
    while way.give_up(Obstacle::Away, |_| false) {
        asked.push(way.current());
    }
    assert_eq!(asked, [0, 1, 2]);
    assert_eq!(way.met(0), Some(Obstacle::Away));
}

#[test]
fn what_is_gone_with_a_link_is_not_asked_either() {
    let mut way = way(&[2, 0, 1]);
    assert!(way.give_up(Obstacle::Busy, |link| link == 0));
    assert_eq!(way.current(), 1);
    assert!(!way.give_up(Obstacle::Busy, |_| false));
}

#[test]
fn one_that_was_left_for_room_is_asked_again_for_less() {
    let mut way = way(&[0, 1, 2]);
    assert_eq!(way.larger(), [1, 2]);
    way.leave_for(2);
    assert_eq!((way.current(), way.larger()), (2, vec![]));
    assert!(way.give_up(Obstacle::Away, |_| false));
    assert_eq!(way.current(), 0);
    // Where it cannot be made shorter, the one that was passed over is the last hope.
    assert_eq!(way.larger(), [1]);
    assert!(way.give_up(Obstacle::TooSmall, |_| false));
    assert_eq!(way.current(), 1);
    assert!(!way.give_up(Obstacle::TooSmall, |_| false));
}

#[test]
fn one_that_has_failed_of_late_is_not_hoped_for() {
    let way = Way::new(vec![1, 0], BTreeMap::from([(0, Obstacle::Away)]));
    assert_eq!((way.current(), way.larger()), (1, vec![]));
    assert_eq!(way.met(0), Some(Obstacle::Away));
}
