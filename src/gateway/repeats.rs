//! An agent that goes round in circles: the same call with the same result, again and again.
//!
//! The model is told so behind the result, and after a few more the work is stopped. What it is told depends on nothing but the
//! conversation up to that result, so that each later request says the same again and the server need not read it anew.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::{Map, Value};

use crate::completions::chunk::Usage;
use crate::gateway::message::{End, Piece, Sink};
use crate::gateway::shrink::texts;
use crate::local_model::context::tokens;

/// How often a call may be made with the same result before the model is told, and before the work is stopped.
const TOLD_AFTER: u32 = 3;
const STOPPED_AFTER: u32 = 5;

/// A call that waits for something may be made so many times as often.
const PATIENCE: u32 = 10;

/// Tools that ask how far something in the background is.
const WAITING: [&str; 4] = ["BashOutput", "AgentOutputTool", "TaskOutput", "TaskGet"];

/// Claude Code itself counts how often this one fails.
const COUNTED_ELSEWHERE: &str = "StructuredOutput";

/// What Claude Code gives in place of a file that has not changed since it was read (2.1.330).
const UNCHANGED: &str = "File unchanged since last read";

/// How much of the arguments a person is shown, in characters.
const MOST_SHOWN: usize = 300;

/// The call over which the work is stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Repeated {
    name: String,
    arguments: String,
    times: u32,
}

/// What was done since the user spoke last.
#[derive(Default)]
struct Steps {
    seen: HashSet<(u64, u64)>,
    /// The last result of each call.
    results: HashMap<u64, u64>,
    /// How often each call was made again since the last step that was new.
    again: HashMap<(u64, u64), u32>,
}

/// Tells the model, in the results, which calls it has repeated. The call over which the work has to be stopped, if one is at the
/// end of the conversation.
pub(super) fn tell_repeated(messages: &mut [Value]) -> Option<Repeated> {
    let mut steps = Steps::default();
    let mut repeated = None;
    let mut at = 0;
    while at < messages.len() {
        let end = at + 1 + messages[at + 1..].iter().take_while(|message| message["role"] == "tool").count();
        if messages[at]["role"] == "user" && is_said_by_user(&messages[at]) {
            (steps, repeated) = Default::default();
        } else if messages[at].get("tool_calls").is_some() {
            let shows_images = messages.get(end).is_some_and(has_images);
            repeated = steps.take(&mut messages[at..end], shows_images);
        }
        at = end;
    }
    repeated
}

impl Steps {
    /// Takes a message with calls and their results.
    fn take(&mut self, step: &mut [Value], shows_images: bool) -> Option<Repeated> {
        let (answer, results) = step.split_first_mut()?;
        let calls = answer["tool_calls"].as_array().map(Vec::as_slice).unwrap_or_default();
        let mut made: Vec<(&Value, &mut Value, (u64, u64))> = Vec::new();
        let mut is_new = shows_images;
        for result in results {
            let Some(call) = calls.iter().find(|call| call["id"] == result["tool_call_id"]) else { continue };
            let key = self.key(&call["function"], result["content"].as_str().unwrap_or_default());
            // Several of one answer are one step.
            if made.iter().all(|(_, _, other)| *other != key) {
                is_new |= !self.seen.contains(&key);
                made.push((&call["function"], result, key));
            }
        }
        self.seen.extend(made.iter().map(|(_, _, key)| key));
        if is_new {
            self.again.clear();
            return None;
        }
        let mut repeated: Option<Repeated> = None;
        for (function, result, key) in made {
            let name = function["name"].as_str().unwrap_or_default();
            let arguments = function["arguments"].as_str().unwrap_or_default();
            let again = self.again.entry(key).or_default();
            *again += 1;
            let times = *again + 1;
            let patience = if waits(name, arguments) { PATIENCE } else { 1 };
            if name == COUNTED_ELSEWHERE || times < TOLD_AFTER * patience {
                continue;
            }
            let most = STOPPED_AFTER * patience;
            let content = result["content"].as_str().unwrap_or_default();
            result["content"] = format!(
                "{content}\n\n[This call was made {times} times now, each time with this same result. To make it again changes \
                 nothing, and after {most} times the work is stopped. Do something else, or say what keeps you from going on.]"
            )
            .into();
            if times >= most {
                repeated = repeated.or(Some(Repeated { name: name.into(), arguments: arguments.into(), times }));
            }
        }
        repeated
    }
}

impl Steps {
    /// A call and its result.
    fn key(&mut self, function: &Value, result: &str) -> (u64, u64) {
        let call = hash_of_call(function);
        let result = without_reminders(result);
        let known = self.results.get(&call).copied().filter(|_| result.starts_with(UNCHANGED));
        let result = known.unwrap_or_else(|| hash(&result.trim()));
        self.results.insert(call, result);
        (call, result)
    }
}

impl Repeated {
    /// Ends the work without asking the local model. `prompt`: the length of the prompt that would have been sent, in tokens.
    pub(super) fn answer(&self, prompt: u64, out: &mut impl Sink) {
        let text = self.message();
        let usage = Usage { input: prompt, cached: 0, output: tokens(&text) as u64 };
        out.piece(Piece::Text(text));
        out.end(End { reason: "end_turn", sequence: None, usage });
    }

    fn message(&self) -> String {
        let mut shown: String = self.arguments.chars().take(MOST_SHOWN).collect();
        if shown.len() < self.arguments.len() {
            shown.push('…');
        }
        format!(
            "Stopped by claude-failover: the local model made the same call {} times and got the same result each time, although it \
             was told so. The call was {} {shown}. What was done before stays done, and the work may be unfinished: say how it should \
             go on, or give it to a larger model.",
            self.times, self.name
        )
    }
}

/// A call by its name and what it does.
fn hash_of_call(function: &Value) -> u64 {
    let (name, arguments) = (&function["name"], function["arguments"].as_str().unwrap_or_default());
    match serde_json::from_str(arguments) {
        Ok(Value::Object(arguments)) => hash_of_deed(name.as_str().unwrap_or_default(), &arguments),
        _ => hash(&(name.as_str(), arguments)),
    }
}

/// The same for calls that do the same.
pub(super) fn hash_of_deed(name: &str, arguments: &Map<String, Value>) -> u64 {
    let mut arguments: Vec<_> = arguments.iter().map(|(key, value)| (key, value.to_string())).collect();
    // How a command is described changes nothing of what it does.
    arguments.retain(|(key, _)| name != "Bash" || *key != "description");
    arguments.sort_unstable();
    hash(&(name, arguments))
}

fn hash(of: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

/// A text without what Claude Code reminds the model of now and then.
fn without_reminders(text: &str) -> Cow<'_, str> {
    const CLOSE: &str = "</system-reminder>";
    let (mut rest, mut without) = (text, String::new());
    while let Some((before, after)) = rest.split_once("<system-reminder>").filter(|(_, after)| after.contains(CLOSE)) {
        without += before;
        rest = after.split_once(CLOSE).map_or("", |(_, after)| after);
    }
    if rest.len() == text.len() { text.into() } else { (without + rest).into() }
}

fn waits(name: &str, arguments: &str) -> bool {
    let mut words = arguments.split(|letter: char| !letter.is_ascii_alphanumeric());
    WAITING.contains(&name) || name == "Bash" && words.any(|word| word == "sleep")
}

/// Claude Code's reminders stand among the user's messages, too.
pub(super) fn is_said_by_user(message: &Value) -> bool {
    texts(message).any(|text| !without_reminders(text).trim().is_empty())
}

fn has_images(message: &Value) -> bool {
    message["role"] == "user"
        && message["content"].as_array().is_some_and(|parts| parts.iter().any(|part| part["type"] != "text"))
}

#[cfg(test)]
mod tests;
