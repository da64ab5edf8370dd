//! What an agent is told before its first question: kept for the next one in its folder, and ordered so that the next one shares it.

use std::ffi::OsStr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use serde_json::{Map, Value, json};

use crate::context::Context;
use crate::gateway::lean_prompt::{CLOSE, OPEN, is_claude_codes};
use crate::gateway::lean_tools::are_claude_codes;
use crate::gateway::request::MessagesRequest;
use crate::local_model::prefix::{Prefix, PrefixFile};
use crate::names::GATEWAY_FOLDER;

/// Stands for the user's question where nothing else is told: servers refuse an empty message.
const ANY_QUESTION: &str = "Hi";

/// Keeps the beginning of an agent's first question.
pub(super) struct Keeper {
    file: PrefixFile,
    has_kept: AtomicBool,
}

impl Keeper {
    /// None if nobody is to be primed.
    pub(super) fn new(context: &Context) -> Option<Keeper> {
        let folder = context.env(GATEWAY_FOLDER).filter(|_| context.settings.primes(super::NAME))?;
        Some(Keeper { file: PrefixFile::new(context, OsStr::new(&folder))?, has_kept: AtomicBool::new(false) })
    }

    /// The server has answered this, of which it was `sent` so much. Subagents, which ask later, are told something else.
    pub(super) fn keep(&self, request: &MessagesRequest, sent: impl FnOnce() -> Map<String, Value>) {
        let is_agents = !request.is_summary && is_claude_codes(&request.system) && are_claude_codes(request.callable());
        if is_agents && !self.has_kept.swap(true, Relaxed) {
            self.file.keep(&prefix(sent()));
        }
    }
}

/// Of a request: all before the user's first words.
fn prefix(mut sent: Map<String, Value>) -> Prefix {
    let list = |value: Option<Value>| match value {
        Some(Value::Array(values)) => values,
        _ => vec![],
    };
    let mut messages = list(sent.remove("messages"));
    let first = messages.iter().position(|message| message["role"] == "user").unwrap_or(messages.len());
    let told = messages.get(first).and_then(text).map(|text| reminders(text).0).filter(|told| !told.is_empty());
    let content = told.unwrap_or(ANY_QUESTION);
    let user = json!({"role": "user", "content": content});
    messages.truncate(first);
    messages.push(user);
    Prefix { messages, tools: list(sent.remove("tools")) }
}

/// Puts what changes from session to session, the date and the state of git, behind what does not. Before that it would stand ahead
/// of the tools, which most templates put at the end of the system prompt.
pub(super) fn put_changing_last(request: &mut MessagesRequest) {
    if !is_claude_codes(&request.system) {
        return;
    }
    let Some(message) = request.messages.first_mut().filter(|message| message["role"] == "user") else { return };
    let Some(content) = text(message) else { return };
    let (told, question) = reminders(content);
    let (mut kept, mut changing) = (String::new(), Vec::new());
    for reminder in split(told) {
        match reminder.contains(GIT_HEADING) && !reminder.contains("# claudeMd") {
            true => changing.push(reminder.trim().to_string()),
            false => kept += reminder,
        }
    }
    for block in request.system.iter_mut() {
        changing.extend(take_changing(block).into_iter().map(|text| format!("{OPEN}{text}{CLOSE}")));
    }
    if changing.is_empty() {
        return;
    }
    changing.sort_by_key(|text| text.contains(GIT_HEADING) || text.contains(GIT_STATUS));
    let (kept, question) = (kept.trim_end(), question.trim_start_matches('\n'));
    let gap = if kept.is_empty() { "" } else { "\n" };
    let content = format!("{kept}{gap}{}\n\n{question}", changing.join("\n"));
    set_text(message, content);
    let own = request.own_system.min(request.system.len());
    request.own_system -= request.system[..own].iter().filter(|text| text.is_empty()).count();
    request.system.retain(|text| !text.is_empty());
}

const GIT_HEADING: &str = "\n# gitStatus\n";

/// How the state of git begins at the end of the system prompt, up to 2.1.110 and in print mode.
const GIT_STATUS: &str = "gitStatus:";

const DATE: &str = "Today's date";

/// Takes the date and the state of git out of a block of the system prompt.
fn take_changing(block: &mut String) -> Vec<String> {
    let mut taken = Vec::new();
    if let Some(at) = block.find(&format!("\n{GIT_STATUS}")) {
        taken.push(block.split_off(at).trim().to_string());
    }
    let is_date = |line: &&str| line.trim_start().trim_start_matches("- ").starts_with(DATE);
    if let Some(date) = block.lines().find(is_date) {
        taken.push(date.trim().trim_start_matches("- ").to_string());
        let rest: Vec<&str> = block.lines().filter(|line| !is_date(line)).collect();
        *block = rest.join("\n").trim_end().to_string();
    }
    taken
}

/// What the program tells at the beginning of a message, and the rest.
pub(super) fn reminders(text: &str) -> (&str, &str) {
    let mut end = 0;
    while text[end..].trim_start().starts_with(OPEN) {
        let Some(length) = text[end..].find(CLOSE) else { break };
        end += length + CLOSE.len();
    }
    text.split_at(end)
}

/// Each reminder with the space before it.
fn split(told: &str) -> impl Iterator<Item = &str> {
    told.split_inclusive(CLOSE)
}

/// The text of a message, or the first one of several.
fn text(message: &Value) -> Option<&str> {
    let content = &message["content"];
    content.as_str().or_else(|| content[0]["text"].as_str())
}

fn set_text(message: &mut Value, text: String) {
    match &mut message["content"] {
        Value::Array(parts) => parts[0]["text"] = text.into(),
        content => *content = text.into(),
    }
}

#[cfg(test)]
mod tests;
