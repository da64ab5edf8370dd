//! What stays of a conversation that is longer than the context: what the user wants, and the newest steps.
//!
//! A cut stays where it is until the request no longer fits, and then moves so far that much of the context is free: from turn to
//! turn the request grows only at its end. Without a cut to go by, all turns so far are gone through, so that each gateway that
//! meets a conversation first cuts it at the same place.

use serde_json::{Value, json};

use crate::gateway::instructions::reminders;
use crate::gateway::repeats::is_said_by_user;
use crate::gateway::request::MessagesRequest;
use crate::gateway::shrink::{self, estimate};
use crate::gateway::summary::both_ends;

/// Stands before the first message that is kept.
const NOTE: &str = "<system-reminder>\nThe earlier part of this conversation is left out here: it does not fit this model's context. What \
is needed of it can be looked up again, or asked for.\n</system-reminder>";

/// What both notes take, in tokens.
const NOTES: usize = 100;

/// What a message is within a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// The user's words, which begin a turn.
    Asked,
    /// The model's, which begin a step.
    Answer,
    /// Results, their images, and what the program tells behind them.
    Result,
}

/// How long a request may be, in estimated tokens.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    pub most: usize,
    /// What a first cut leaves.
    pub after_cut: usize,
    /// What a move leaves besides what stays in any case. The server has to read it anew.
    pub moved: usize,
}

/// A conversation as it is measured for a cut. A cut is the place of the first message that stays; 0 is none.
#[derive(Debug)]
pub(super) struct Turns {
    parts: Vec<Part>,
    /// How long the messages before each place are together, in estimated tokens.
    sums: Vec<usize>,
    /// The user's last words before each place.
    asked: Vec<Option<usize>>,
    /// Instructions and tools.
    prefix: usize,
    /// What the program tells in the first message.
    told: usize,
}

impl Turns {
    pub(super) fn of(request: &MessagesRequest) -> Turns {
        let messages = &request.messages;
        let parts = (0..messages.len()).map(|at| part(messages, at));
        let parts = parts.zip(messages.iter().map(shrink::message_length));
        let told = messages.first().map(|first| shrink::message_length(&Value::from_iter([("content", told(first).0)])));
        Turns::new(shrink::prefix(request), told.unwrap_or_default(), parts)
    }

    fn new(prefix: usize, told: usize, messages: impl Iterator<Item = (Part, usize)>) -> Turns {
        let mut turns = Turns { parts: vec![], sums: vec![0], asked: vec![None], prefix, told };
        for (at, (part, length)) in messages.enumerate() {
            turns.parts.push(part);
            turns.sums.push(turns.sums[at] + length);
            turns.asked.push(if part == Part::Asked { Some(at) } else { turns.asked[at] });
        }
        turns
    }

    /// The cut of the whole conversation, where it was cut `at` before. What is kept may still be too long.
    pub(super) fn moved(&self, at: usize, budget: Budget) -> usize {
        let after_move = budget.after_cut.min(self.prefix + self.told + NOTES + budget.moved);
        self.moved_within(at, self.parts.len(), budget.most, after_move)
    }

    /// The first cut: as if all turns had been asked, one after the other.
    pub(super) fn found(&self, budget: Budget) -> usize {
        let answers = (1..self.parts.len()).filter(|at| self.parts[*at] == Part::Answer);
        answers.chain([self.parts.len()]).fold(0, |at, end| self.moved_within(at, end, budget.most, budget.after_cut))
    }

    fn moved_within(&self, at: usize, end: usize, most: usize, after_move: usize) -> usize {
        if self.length(at, end) <= most {
            return at;
        }
        let later = || (at + 1..=end).filter(|later| self.is_place_within(*later, end));
        later().find(|later| self.length(*later, end) <= after_move).or(later().next_back()).unwrap_or(at)
    }

    fn is_place_within(&self, at: usize, end: usize) -> bool {
        is_place(at, end, |at| self.parts[at])
    }

    /// How long the request is up to `end`, with this cut.
    fn length(&self, at: usize, end: usize) -> usize {
        let kept = self.prefix + self.sums[end] - self.sums[at];
        if at == 0 {
            return kept;
        }
        let asked = self.asked[at].map_or(0, |asked| self.sums[asked + 1] - self.sums[asked]);
        let told = if self.asked[at] == Some(0) { 0 } else { self.told };
        kept + NOTES + told + asked
    }
}

/// Whether a conversation can be cut there. Results stay with their calls, and the newest ones in the conversation.
fn is_place(at: usize, end: usize, part: impl Fn(usize) -> Part) -> bool {
    let begins_step = || at < end && part(at) == Part::Answer;
    // Before the second message stands nothing that could be left out.
    at > 1 && (begins_step() || at == end && part(at - 1) == Part::Asked)
}

/// The same of these messages.
pub(super) fn can_be_cut(messages: &[Value], at: usize) -> bool {
    is_place(at, messages.len(), |at| part(messages, at))
}

fn part(messages: &[Value], at: usize) -> Part {
    match messages[at]["role"].as_str() {
        Some("assistant") => Part::Answer,
        Some("user") if at == 0 || messages[at - 1]["role"] != "tool" || is_said_by_user(&messages[at]) => Part::Asked,
        _ => Part::Result,
    }
}

/// The request without what stands before the cut. In its place: what the program has told in the first message, a note, and what
/// the user wants.
pub(super) fn cut(request: &MessagesRequest, at: usize) -> MessagesRequest {
    let messages = &request.messages;
    let asked = (0..at).rev().find(|at| part(messages, *at) == Part::Asked);
    let (told, rest) = messages.first().map(told).unwrap_or_default();
    let gap = if told.is_empty() { "" } else { "\n" };
    let mut parts = vec![text_part(format!("{told}{gap}{NOTE}"))];
    match asked {
        Some(0) => parts.extend(rest),
        Some(asked) => parts.extend(content_parts(&messages[asked])),
        None => {}
    }
    let steps = (asked.map_or(0, |asked| asked + 1)..at).filter(|at| part(messages, *at) == Part::Answer).count();
    if steps > 0 && asked.is_some() {
        let steps = if steps == 1 { "first step".to_string() } else { format!("first {steps} steps") };
        let note = format!("<system-reminder>\nThe {steps} of the work on this are done, and left out here.\n</system-reminder>");
        parts.push(text_part(note));
    }
    let content = match parts.iter().map(|part| part["text"].as_str()).collect::<Option<Vec<&str>>>() {
        Some(texts) => texts.join("\n\n").into(),
        None => Value::from(parts),
    };
    let kept = messages[at..].iter().cloned();
    let messages: Vec<Value> = [json!({"role": "user", "content": content})].into_iter().chain(kept).collect();
    MessagesRequest { messages: messages.into(), ..request.clone() }
}

/// Shortens results, the oldest first and the newest never, until the request has no more than so many estimated tokens.
pub(super) fn shorten_results(request: &mut MessagesRequest, most: usize) {
    let is_result = |message: &Value| message["role"] == "tool";
    let newest = request.messages.iter().rposition(is_result).unwrap_or_default();
    for at in 0..newest {
        if estimate(request) <= most {
            return;
        }
        let short =
            Some(&request.messages[at]).filter(|message| is_result(message)).and_then(|message| message["content"].as_str());
        if let Some(short) = short.map(both_ends) {
            request.messages[at]["content"] = short.into();
        }
    }
}

/// What the program tells at the beginning of a message, and what follows.
fn told(message: &Value) -> (String, Vec<Value>) {
    let (mut told, mut rest) = (String::new(), Vec::new());
    for part in content_parts(message) {
        let Some(text) = part["text"].as_str().filter(|_| rest.is_empty()) else {
            rest.push(part);
            continue;
        };
        let (reminders, said) = reminders(text);
        let gap = if told.is_empty() || reminders.is_empty() { "" } else { "\n" };
        told += &format!("{gap}{}", reminders.trim());
        if !said.trim().is_empty() {
            rest.push(text_part(said.trim_start_matches('\n').into()));
        }
    }
    (told, rest)
}

fn content_parts(message: &Value) -> Vec<Value> {
    match &message["content"] {
        Value::Array(parts) => parts.clone(),
        Value::String(text) => vec![text_part(text.clone())],
        _ => vec![],
    }
}

fn text_part(text: String) -> Value {
    json!({"type": "text", "text": text})
}

#[cfg(test)]
mod tests;
