//! How many tokens a server counts of a request, foretold from what it counted of those before.
//!
//! An estimate alone is off by a quarter and more. Within a conversation a request only grows at its end, so that what the server
//! has counted of the turn before is true of all but the newest messages.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::RangeInclusive;

use serde_json::Value;

use crate::completions::tool::Tool;
use crate::gateway::request::MessagesRequest;
use crate::gateway::shared::Shared;
use crate::gateway::shrink::estimate;

/// How many conversations are remembered: each subagent has one of its own.
const MOST_CONVERSATIONS: usize = 32;

/// What has grown by fewer tokens tells nothing of how the server counts.
const TELLING: usize = 200;

/// Tokens for each estimated one: less is what some tokenizers count of Chinese, and more of rare scripts.
const PLAUSIBLE: RangeInclusive<f64> = 0.25..=4.0;

/// The length of a request in tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Count {
    /// What it probably is.
    pub likely: u64,
    /// Seldom less than the server counts.
    pub most: u64,
    /// Whether the server has counted anything so far.
    pub is_measured: bool,
}

/// What one server has counted.
#[derive(Debug, Default)]
pub(super) struct Counter {
    /// The one that went on last is the last.
    conversations: VecDeque<Conversation>,
}

#[derive(Debug)]
struct Conversation {
    key: u64,
    last: Measure,
    /// Tokens for each estimated one, in all of it and in what came last.
    rates: (f64, f64),
}

#[derive(Clone, Copy, Debug)]
struct Measure {
    estimated: usize,
    counted: u64,
}

/// What is known of a request by looking at it.
#[derive(Clone, Debug)]
pub(super) struct Measured {
    /// What was measured. To hold it keeps it from being changed in its place.
    of: Parts,
    key: u64,
    pub estimated: usize,
}

impl Measured {
    pub(super) fn new(request: &MessagesRequest) -> Measured {
        Measured { of: parts(request), key: key(request), estimated: estimate(request) }
    }

    /// Whether it would be the same again. Looks at no text.
    pub(super) fn is_of(&self, request: &MessagesRequest) -> bool {
        let (system, tools, messages, may_call) = &self.of;
        let now = parts(request);
        system.is_same(&now.0) && tools.is_same(&now.1) && messages.is_same(&now.2) && *may_call == now.3
    }
}

/// The system prompt, the tools, the messages, and whether tools may be called.
type Parts = (Shared<Vec<String>>, Shared<Vec<Tool>>, Shared<Vec<Value>>, bool);

fn parts(request: &MessagesRequest) -> Parts {
    (request.system.clone(), request.tools.clone(), request.messages.clone(), request.callable().is_empty())
}

impl Counter {
    /// The server has `counted` this request.
    pub(super) fn learn(&mut self, measured: &Measured, counted: u64) {
        self.learn_measure(measured.key, Measure { estimated: measured.estimated, counted });
    }

    fn learn_measure(&mut self, key: u64, now: Measure) {
        let overall = now.counted as f64 / now.estimated.max(1) as f64;
        // Equal is what the gateway itself says where the server counts nothing, and far less is not all that the server has read:
        // some count what was not in their cache.
        if now.counted == now.estimated as u64 || !PLAUSIBLE.contains(&overall) {
            return;
        }
        let before = self.conversations.iter().position(|known| known.key == key).and_then(|at| self.conversations.remove(at));
        let grown = before.map(|before| {
            let grown = now.estimated.saturating_sub(before.last.estimated);
            let rate = now.counted.saturating_sub(before.last.counted) as f64 / grown.max(1) as f64;
            if grown < TELLING { before.rates.1 } else { rate.clamp(*PLAUSIBLE.start(), *PLAUSIBLE.end()) }
        });
        self.conversations.push_back(Conversation { key, last: now, rates: (overall, grown.unwrap_or(overall)) });
        if self.conversations.len() > MOST_CONVERSATIONS {
            self.conversations.pop_front();
        }
    }

    /// Tokens for each estimated one, at most, in a conversation that was not counted yet.
    pub(super) fn rate(&self) -> f64 {
        self.conversations.back().map_or(1.0, |last| last.rates.0.max(last.rates.1))
    }

    /// What the server will count of this request.
    pub(super) fn foretell(&self, measured: &Measured) -> Count {
        self.foretell_measure(measured.key, measured.estimated)
    }

    fn foretell_measure(&self, key: u64, estimated: usize) -> Count {
        let Some(last) = self.conversations.back() else {
            // The estimate is on the long side, by a quarter in usual text.
            return Count { likely: estimated as u64 / 5 * 4, most: estimated as u64, is_measured: false };
        };
        let known = self.conversations.iter().find(|known| known.key == key);
        let rates = known.unwrap_or(last).rates;
        let from = known.map_or(Measure { estimated: 0, counted: 0 }, |known| known.last);
        let more = estimated as f64 - from.estimated as f64;
        let at = |rate: f64| (from.counted as f64 + more * rate).max(0.0) as u64;
        let (one, other) = (at(rates.0), at(rates.1));
        Count { likely: one.min(other), most: one.max(other), is_measured: true }
    }
}

/// Tells conversations apart: by all that stands before the first answer.
fn key(request: &MessagesRequest) -> u64 {
    let mut hasher = DefaultHasher::new();
    request.system.hash(&mut hasher);
    request.callable().iter().for_each(|tool| tool.name.hash(&mut hasher));
    let first = request.messages.iter().take_while(|message| message["role"] != "assistant");
    first.for_each(|message| message.to_string().hash(&mut hasher));
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_tells_what_will_be() {
        /// A conversation's key, the estimate, and what was counted.
        type Learned<'a> = &'a [(u64, usize, u64)];
        /// What is probable, the most, and whether it is measured.
        type Foretold = (u64, u64, bool);
        let table: [(&str, Learned, (u64, usize), Foretold); 9] = [
            ("nothing is known", &[], (1, 1000), (800, 1000, false)),
            ("the same again", &[(1, 1000, 800)], (1, 1000), (800, 800, true)),
            ("more of it", &[(1, 1000, 800)], (1, 2000), (1600, 1600, true)),
            ("other text than before", &[(1, 1000, 800), (1, 2000, 1990)], (1, 3000), (2985, 3180, true)),
            ("numbers, of which few make a token", &[(1, 1000, 800), (1, 2000, 1300)], (1, 3000), (1800, 1950, true)),
            ("another conversation", &[(1, 1000, 800)], (2, 500), (400, 400, true)),
            ("hardly more tells nothing", &[(1, 1000, 800), (1, 1010, 1800)], (1, 1010), (1800, 1800, true)),
            ("what was not in the cache", &[(1, 1000, 800), (1, 2000, 100)], (1, 2000), (1600, 1600, true)),
            ("the gateway's own count", &[(1, 1000, 1000)], (1, 1000), (800, 1000, false)),
        ];
        for (what, counted, (key, estimated), (likely, most, is_measured)) in table {
            let mut counter = Counter::default();
            for (key, estimated, counted) in counted.iter().copied() {
                counter.learn_measure(key, Measure { estimated, counted });
            }
            assert_eq!(counter.foretell_measure(key, estimated), Count { likely, most, is_measured }, "{what}");
        }
    }

    #[test]
    fn few_conversations_are_remembered() {
        let mut counter = Counter::default();
        for key in 0..100 {
            counter.learn_measure(key, Measure { estimated: 1000, counted: 700 + key });
        }
        assert_eq!(counter.conversations.len(), MOST_CONVERSATIONS);
        assert_eq!(counter.foretell_measure(99, 1000).likely, 799);
    }
}
