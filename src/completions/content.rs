//! The text of an answer, told apart: thinking, what the caller sees, and calls.

use crate::completions::dialect::harmony::{self, Harmony};
use crate::completions::dialect::marks::{
    beginning_of, is_begun, is_begun_beginning, is_fence, is_turn_end, may_be_turn_end, opener_of, places,
};
use crate::completions::dialect::prose::Prose;
use crate::completions::dialect::{bare_calls, begins_bare, end_of_whole_calls, trailing_calls};
use crate::completions::thinking;
use crate::completions::tool::{Tool, ToolCall};

/// A part of an answer, as it comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Text(String),
    Thinking(String),
}

/// White space, in bytes, after which no mark is waited for.
const MOST_BLANK: usize = 1000;

/// Takes text as it comes, and holds back what may be a mark or a call.
pub(super) struct Content<'t> {
    tools: &'t [Tool],
    /// From its first byte on, it is not certain what the text is.
    withheld: String,
    /// How far `withheld` was searched for the end of thinking.
    searched: usize,
    stage: Stage,
    prose: Prose,
    /// Thinking stands before what comes next: its white space goes with it.
    trims: bool,
    harmony: Harmony<'t>,
    /// Calls in Harmony after which nothing else has come, and their text.
    harmony_calls: (Vec<ToolCall>, String),
}

#[derive(Clone, Copy, PartialEq)]
enum Stage {
    /// Nothing but white space and thinking has come.
    Start,
    /// All of the answer is gpt-oss's.
    Harmony,
    /// Before the answer.
    Thinking {
        close: &'static str,
    },
    /// In its middle, or begun by plain words. Without an end it is no thinking.
    ThinkingWithin {
        close: &'static str,
    },
    Text,
    /// A call may have begun, and goes on to the end.
    Call {
        is_bare: bool,
    },
}

impl<'t> Content<'t> {
    /// For answers that may call `tools`. Without tools there are no calls.
    pub(super) fn new(tools: &'t [Tool]) -> Content<'t> {
        Content {
            tools,
            withheld: String::new(),
            searched: 0,
            stage: Stage::Start,
            prose: Prose::default(),
            trims: false,
            harmony: Harmony::new(tools),
            harmony_calls: Default::default(),
        }
    }

    /// Whether an answer that begins so shows by itself where its thinking begins. None while that is open.
    pub(super) fn opens_thinking(beginning: &str) -> Option<bool> {
        let begun = beginning.trim_start();
        match Harmony::begins(begun) {
            Some(false) if thinking::is_begun(begun) => None,
            Some(false) => Some(thinking::opened_by(begun).is_some()),
            is_harmony => is_harmony,
        }
    }

    /// How much may be a mark or a call, in bytes.
    pub(super) fn withheld(&self) -> usize {
        self.withheld.len()
    }

    pub(super) fn push(&mut self, text: &str, out: &mut Vec<Part>) {
        self.withheld.push_str(text);
        while match self.stage {
            Stage::Start => self.start(),
            Stage::Harmony => {
                let text = std::mem::take(&mut self.withheld);
                let parts = self.harmony.push(&text);
                self.take_harmony(parts, out)
            }
            Stage::Thinking { close } => self.think(close, out),
            Stage::ThinkingWithin { close } => self.think_within(close, out),
            Stage::Text => self.read_text(out),
            Stage::Call { .. } => false,
        } {}
    }

    /// The text has ended: gives the rest, and the calls, with the text that they stand in. `is_whole`: nothing was cut off.
    /// `may_call`: calls in the text count.
    pub(super) fn finish(&mut self, is_whole: bool, may_call: bool, out: &mut Vec<Part>) -> Option<(Vec<ToolCall>, String)> {
        let mut rest = std::mem::take(&mut self.withheld);
        match self.stage {
            Stage::Harmony => {
                let parts = self.harmony.finish(is_whole);
                self.take_harmony(parts, out);
                let (calls, text) = std::mem::take(&mut self.harmony_calls);
                if may_call && !calls.is_empty() {
                    return Some((calls, text));
                }
                rest = text;
            }
            // What was cut off before the answer had begun was thinking.
            Stage::ThinkingWithin { close } if is_whole || !self.trims => {
                let open = thinking::MARKS.iter().find(|(_, end)| *end == close).map_or("", |(open, _)| open);
                rest.insert_str(0, open);
            }
            Stage::Thinking { .. } | Stage::ThinkingWithin { .. } => {
                out.extend((!rest.is_empty()).then_some(Part::Thinking(rest)));
                return None;
            }
            Stage::Call { is_bare } if may_call => {
                rest.truncate(end_of_whole_calls(&rest, is_bare, is_whole));
                let calls = if is_bare { bare_calls(&rest, self.tools, is_whole).map(|calls| (0, calls)) } else { None };
                let trailing = || trailing_calls(&rest, self.prose.clone(), self.tools, is_whole);
                if let Some((at, calls)) = calls.or_else(trailing) {
                    self.show(&rest[..at], out);
                    return Some((calls, rest[at..].into()));
                }
            }
            _ => {}
        }
        if is_turn_end(&rest) {
            rest.clear();
        }
        self.show(&rest, out);
        None
    }

    fn start(&mut self) -> bool {
        let begun = self.withheld.trim_start();
        if begun.is_empty() {
            let is_blank = self.withheld.len() >= MOST_BLANK;
            self.stage = if is_blank { Stage::Text } else { Stage::Start };
            return is_blank;
        }
        if let Some((open, close)) = thinking::opened_by(begun) {
            self.drop_first(self.withheld.len() - begun.len() + open.len());
            let is_words = thinking::is_words(open);
            self.stage = if is_words { Stage::ThinkingWithin { close } } else { Stage::Thinking { close } };
            self.trims = true;
            return true;
        }
        if let Some(mark) = beginning_of(begun).or_else(|| thinking::closed_by(begun)) {
            self.drop_first(self.withheld.len() - begun.len() + mark.len());
            self.trims = true;
            return true;
        }
        let (is_bare, is_harmony) = (begins_bare(begun, self.tools), Harmony::begins(begun));
        if is_harmony == Some(true) {
            self.stage = Stage::Harmony;
            return true;
        }
        let is_begun = thinking::is_begun(begun) || thinking::is_begun_close(begun) || is_begun_beginning(begun);
        if is_begun || is_bare.is_none() || is_harmony.is_none() {
            return false;
        }
        self.stage = if is_bare == Some(true) { Stage::Call { is_bare: true } } else { Stage::Text };
        true
    }

    /// Returns false, since it has taken all.
    fn take_harmony(&mut self, parts: Vec<harmony::Part>, out: &mut Vec<Part>) -> bool {
        for part in parts {
            match part {
                harmony::Part::Thinking(thinking) => out.push(Part::Thinking(thinking)),
                harmony::Part::Text(text) => {
                    // The answer does not end with these calls.
                    let (_, shown) = std::mem::take(&mut self.harmony_calls);
                    self.show(&(shown + &text), out);
                }
                harmony::Part::Call { raw, call } => {
                    self.harmony_calls.0.push(call);
                    self.harmony_calls.1.push_str(&raw);
                }
            }
        }
        false
    }

    fn think(&mut self, close: &'static str, out: &mut Vec<Part>) -> bool {
        let end = self.withheld.find(close);
        let certain = end.unwrap_or(self.withheld.len() - thinking::begun(&self.withheld, close));
        let thought: String = self.withheld.drain(..certain).collect();
        out.extend((!thought.is_empty()).then_some(Part::Thinking(thought)));
        if end.is_some() {
            self.drop_first(close.len());
            self.stage = Stage::Start;
        }
        end.is_some()
    }

    fn think_within(&mut self, close: &'static str, out: &mut Vec<Part>) -> bool {
        let Some(end) = self.withheld[self.searched..].find(close).map(|at| self.searched + at) else {
            self.searched = self.withheld.len() - thinking::begun(&self.withheld, close);
            return false;
        };
        out.push(Part::Thinking(self.withheld[..end].into()));
        self.drop_first(end + close.len());
        // Nothing of the answer stands before thinking that trims it.
        (self.stage, self.searched) = (if self.trims { Stage::Start } else { Stage::Text }, 0);
        true
    }

    fn read_text(&mut self, out: &mut Vec<Part>) -> bool {
        let (certain, mark) = self.next_mark();
        self.show_first(certain, out);
        match mark {
            Some(Mark::Call) => self.stage = Stage::Call { is_bare: false },
            Some(Mark::Harmony) => self.stage = Stage::Harmony,
            Some(Mark::Thinking { open, close }) => {
                self.drop_first(open.len());
                self.stage = Stage::ThinkingWithin { close };
            }
            None => {}
        }
        matches!(mark, Some(Mark::Thinking { .. } | Mark::Harmony))
    }

    /// The first mark of the text, and what is certain to stand before any.
    fn next_mark(&mut self) -> (usize, Option<Mark>) {
        let has_tools = !self.tools.is_empty();
        let mut told = 0;
        for at in places(&self.withheld) {
            let rest = &self.withheld[at..];
            let marks = thinking::opened_by(rest);
            let opener = opener_of(rest).filter(|_| has_tools);
            let is_harmony = harmony::LATE_OPENERS.iter().any(|opener| rest.starts_with(opener));
            let may_be_harmony = harmony::LATE_OPENERS.iter().any(|opener| opener.len() > rest.len() && opener.starts_with(rest));
            let is_open = may_be_harmony || is_begun(rest, has_tools) || thinking::is_begun(rest) || may_be_turn_end(rest);
            if marks.is_none() && opener.is_none() && !is_harmony && !is_open {
                continue;
            }
            self.prose.push(&self.withheld[told..at]);
            told = at;
            if is_open {
                return (at, None);
            }
            match marks {
                _ if !self.prose.is_plain() => {}
                _ if is_harmony => return (at, Some(Mark::Harmony)),
                _ if opener.is_some_and(|opener| !is_fence(opener) || self.prose.is_at_beginning())
                    && !self.prose.is_listed() =>
                {
                    return (at, Some(Mark::Call));
                }
                Some((open, close)) if self.prose.is_at_line_start() => return (at, Some(Mark::Thinking { open, close })),
                _ => {}
            }
        }
        self.prose.push(&self.withheld[told..]);
        (self.withheld.len(), None)
    }

    fn show_first(&mut self, length: usize, out: &mut Vec<Part>) {
        let text: String = self.withheld.drain(..length).collect();
        self.show(&text, out);
    }

    fn show(&mut self, text: &str, out: &mut Vec<Part>) {
        let text = if self.trims { text.trim_start() } else { text };
        if !text.is_empty() {
            self.trims = false;
            out.push(Part::Text(text.into()));
        }
    }

    fn drop_first(&mut self, length: usize) {
        self.withheld.drain(..length);
    }
}

enum Mark {
    Call,
    /// The text before it has lost its own header.
    Harmony,
    Thinking {
        open: &'static str,
        close: &'static str,
    },
}

#[cfg(test)]
mod tests;
