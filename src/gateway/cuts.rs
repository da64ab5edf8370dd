//! Conversations that go on with less than the whole, since their program must not compact them: where they were cut.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use crate::context::Context;
use crate::error::warn;
use crate::gateway::fit::SHORTEST_ANSWER;
use crate::gateway::question::Question;
use crate::gateway::request::MessagesRequest;
use crate::gateway::shrink::Size;
use crate::gateway::turns::{self, Budget, Turns};
use crate::gateway::upstream::Upstream;
use crate::local_model::model::Model;
use crate::names::GATEWAY_LEAVES_OUT;
use crate::shown::shown;

/// How many cuts are remembered: each subagent has a conversation of its own.
const MOST_CUTS: usize = 64;

/// Where conversations were cut.
#[derive(Debug, Default)]
pub(super) struct Cuts {
    /// The last one is the newest.
    known: Mutex<VecDeque<Cut>>,
    has_warned: AtomicBool,
}

#[derive(Debug, PartialEq, Eq)]
struct Cut {
    conversation: u64,
    at: usize,
    /// The message before it.
    before: u64,
}

impl Cuts {
    /// None unless the program that asks wants it so.
    pub(super) fn new(context: &Context) -> Option<Cuts> {
        context.env(GATEWAY_LEAVES_OUT).filter(|value| value == "1").map(|_| Cuts::default())
    }

    /// The last cut that this conversation has gone beyond.
    fn find(&self, conversation: u64, messages: &[Value]) -> Option<usize> {
        let cuts = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let is_of = |cut: &&Cut| {
            cut.conversation == conversation && messages.get(cut.at - 1).is_some_and(|before| hash_of(before) == cut.before)
        };
        cuts.iter().rev().find(is_of).map(|cut| cut.at)
    }

    fn remember(&self, conversation: u64, at: usize, messages: &[Value]) {
        let Some(before) = at.checked_sub(1).and_then(|before| messages.get(before)) else { return };
        let cut = Cut { conversation, at, before: hash_of(before) };
        let mut cuts = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        cuts.retain(|known| *known != cut);
        cuts.push_back(cut);
        if cuts.len() > MOST_CUTS {
            cuts.pop_front();
        }
    }
}

fn hash_of(message: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    message.to_string().hash(&mut hasher);
    hasher.finish()
}

/// By where it is asked, for which context, and how it begins.
fn conversation(question: &Question, window: Option<u32>) -> u64 {
    let mut hasher = DefaultHasher::new();
    (question.way.current(), question.size as u8, window).hash(&mut hasher);
    question.whole_request().messages.first().map(hash_of).hash(&mut hasher);
    hasher.finish()
}

impl Upstream {
    /// Whether a request is as short as it has to be, as far as that is known.
    fn is_short_enough(&self, question: &Question, request: &MessagesRequest, model: &Model) -> bool {
        question.most_estimated().is_none_or(|most| question.measured(request).estimated <= most)
            && model.window.is_none_or(|window| self.has_room(question, request, model, window))
    }

    /// Leaves out what was left out of the conversation before, if that is enough.
    pub(super) fn cut_as_before(&self, question: &mut Question, model: &Model) {
        let Some(cuts) = self.cuts.as_ref().filter(|_| !question.sent().is_summary) else { return };
        let uncut = question.uncut();
        let Some(at) = cuts.find(conversation(question, model.window), &uncut.messages) else { return };
        if turns::can_be_cut(&uncut.messages, at) {
            let kept = turns::cut(uncut, at);
            if self.is_short_enough(question, &kept, model) {
                question.cut(kept);
            }
        }
    }

    /// Leaves out the oldest turns of a request that is too long, if it may be and has no other way to be shorter.
    pub(super) fn cut(&self, question: &mut Question, model: &Model) {
        let Some(cuts) = &self.cuts else { return };
        if self.is_short_enough(question, question.sent(), model) || self.goes_lean_first(question, model.window) {
            return;
        }
        let budget = self.budget(question, model);
        let (uncut, conversation) = (question.uncut(), conversation(question, model.window));
        let turns = Turns::of(uncut);
        let before = cuts.find(conversation, &uncut.messages).filter(|at| turns::can_be_cut(&uncut.messages, *at));
        let at = before.map_or_else(|| turns.found(budget), |at| turns.moved(at, budget));
        if at == 0 {
            return;
        }
        cuts.remember(conversation, at, &uncut.messages);
        let mut kept = turns::cut(uncut, at);
        turns::shorten_results(&mut kept, budget.most);
        self.marks.forget_lengths(question.way.current());
        question.cut(kept);
    }

    /// Tells the user once that something is left out.
    pub(super) fn note_cut(&self, question: &Question) {
        let Some(cuts) = self.cuts.as_ref().filter(|_| question.is_cut()) else { return };
        if !cuts.has_warned.swap(true, Relaxed) {
            let window = self.link(question).models.at_hand().and_then(|model| model.window);
            let context = window.map(|window| format!(" of {window} tokens")).unwrap_or_default();
            warn(
                super::NAME,
                &shown!("the conversation does not fit the local model's context{context}: its oldest turns are left out"),
            );
        }
    }

    fn goes_lean_first(&self, question: &Question, window: Option<u32>) -> bool {
        question.size == Size::Full && question.next_smaller(window, &self.appended).is_some()
    }

    fn budget(&self, question: &Question, model: &Model) -> Budget {
        let bound = question.most_estimated().unwrap_or(usize::MAX);
        let Some(window) = model.window.map(|window| window as usize) else {
            return Budget { most: bound, after_cut: bound / 4 * 3, moved: bound / 4 };
        };
        let rate = self.counters[question.way.current()].lock().unwrap_or_else(PoisonError::into_inner).rate();
        let answer = SHORTEST_ANSWER.max(window / 10);
        let estimated = |tokens: usize| ((tokens as f64 / rate) as usize).min(bound);
        let most = window.saturating_sub(answer);
        Budget { most: estimated(most), after_cut: estimated(most.saturating_sub(window / 3)), moved: estimated(window / 4) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_cut_is_found_by_what_stands_before_it() {
        let messages = |count: u32| (0..count).map(|number| json!({"role": "user", "content": number})).collect::<Vec<_>>();
        let cuts = Cuts::default();
        cuts.remember(1, 4, &messages(6));
        cuts.remember(1, 8, &messages(9));
        let mut other = messages(9);
        other[7] = json!({"role": "user", "content": "another way"});
        let table = [
            ("the newest one", 1, messages(20), Some(8)),
            ("just beyond it", 1, messages(8), Some(8)),
            ("a conversation that was taken back", 1, messages(7), Some(4)),
            ("one that went another way", 1, other, Some(4)),
            ("one before all cuts", 1, messages(3), None),
            ("another conversation", 2, messages(20), None),
        ];
        for (what, conversation, messages, expected) in table {
            assert_eq!(cuts.find(conversation, &messages), expected, "{what}");
        }
        for at in 1..100 {
            cuts.remember(3, at, &messages(100));
        }
        assert_eq!((cuts.find(1, &messages(20)), cuts.find(3, &messages(100))), (None, Some(99)));
    }
}
