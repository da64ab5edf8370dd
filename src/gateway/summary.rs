//! The summary that Claude Code asks for when a conversation has become too long, and goes on with.
//!
//! The request must fit, and its answer must not be empty: Claude Code would give the session up (2.1.330). It carries the whole
//! conversation, so as much as possible of it stays as it was sent before: that the server need not read again.

use std::collections::HashMap;

use serde_json::Value;

use crate::gateway::lean_tools::first_sentences;
use crate::gateway::request::MessagesRequest;
use crate::gateway::shrink::texts;

/// How Claude Code's instructions for a summary begin (2.0.76 to 2.1.330).
const BEGINNINGS: [&str; 2] = ["CRITICAL: Respond with TEXT ONLY.", "Your task is to create a detailed summary of"];

/// What the user has said of the summary stands between these.
const ADDED: &str = "Additional Instructions:\n";
const ADDED_END: &str = "\n\nREMINDER: ";

/// The same in words that small models can follow; Claude Code's are longer than some of them heed.
const INSTRUCTIONS: &str = "Stop here, and write down what you need to go on: this conversation will be gone, and your text takes its place. \
Call no tools. In a few short paragraphs say: what the user wants, word for word where it matters; what has been done, with the \
names of files, the commands and the numbers; what was found out; what is still to do, and which step is the very next. Write it \
between <summary> and </summary>, and nothing else.";

/// How much of a result stays at each end if it must be short, in bytes.
const END_OF_RESULT: usize = 300;

/// Whether a summary is asked for.
pub(super) fn is_asked_for(messages: &[Value]) -> bool {
    let last = messages.last().filter(|last| last["role"] == "user");
    last.is_some_and(|last| texts(last).any(|text| begin(text).is_some() && text.contains("<summary>")))
}

fn begin(text: &str) -> Option<usize> {
    BEGINNINGS.iter().filter_map(|beginning| text.find(beginning)).min()
}

/// Asks for it in few words. `most`: the longest answer, in tokens.
pub(super) fn ask_briefly(request: &mut MessagesRequest, most: u32) {
    request.max_tokens = request.max_tokens.min(most);
    let Some(last) = request.messages.last_mut() else { return };
    let shorten = |text: &mut String| {
        let Some(at) = begin(text) else { return };
        let added = text.rfind(ADDED).map(|at| text[at + ADDED.len()..].split(ADDED_END).next().unwrap_or_default().trim());
        let added = added.filter(|added| !added.is_empty()).map(|added| format!("\n\n{added}")).unwrap_or_default();
        *text = format!("{}{INSTRUCTIONS}{added}", &text[..at]);
    };
    match &mut last["content"] {
        Value::String(text) => shorten(text),
        Value::Array(parts) => parts.iter_mut().for_each(|part| {
            if let Value::String(text) = &mut part["text"] {
                shorten(text);
            }
        }),
        _ => {}
    }
}

/// Leaves out of the request what does not fit: first the middle of results, the newest first, since what stands before them is what
/// the server has read already; then the oldest steps; then the tools.
pub(super) fn fit(request: &mut MessagesRequest, fits: impl Fn(&MessagesRequest) -> bool) {
    for at in (0..request.messages.len()).rev() {
        if fits(request) {
            return;
        }
        if request.messages[at]["role"] == "tool" {
            let short = request.messages[at]["content"].as_str().map(both_ends);
            if let Some(short) = short {
                request.messages[at]["content"] = short.into();
            }
        }
    }
    // The first message is what the user wants, and the last asks for the summary.
    while !fits(request) && request.messages.len() > 3 {
        request.messages.remove(1);
        while request.messages.len() > 3 && request.messages[1]["role"] == "tool" {
            request.messages.remove(1);
        }
    }
    if !fits(request) {
        request.tools.clear();
    }
}

pub(super) fn both_ends(text: &str) -> String {
    if text.len() <= 3 * END_OF_RESULT {
        return text.into();
    }
    let (mut head, mut tail) = (END_OF_RESULT, text.len() - END_OF_RESULT);
    while !text.is_char_boundary(head) {
        head -= 1;
    }
    while !text.is_char_boundary(tail) {
        tail += 1;
    }
    format!("{}\n[… {} characters left out …]\n{}", &text[..head], text[head..tail].chars().count(), &text[tail..])
}

/// The model's text in the form that Claude Code takes: 2.1.330 asks a second time if the marks are missing. Empty if there is nothing.
pub(super) fn marked(text: &str) -> String {
    const MARKS: [&str; 4] = ["<analysis>", "</analysis>", "<summary>", "</summary>"];
    let after = |mark: &str| text.split_once(mark).map(|(_, after)| after);
    let inner = after("<summary>").map(|inner| inner.split("</summary>").next().unwrap_or(inner).trim());
    let text = match inner.filter(|inner| !inner.is_empty()) {
        Some(inner) => inner.to_string(),
        // What comes behind the analysis, or else the analysis.
        None => {
            let behind = after("</analysis>").map(|behind| without(behind, &MARKS)).filter(|behind| !behind.is_empty());
            behind.unwrap_or_else(|| without(text, &MARKS))
        }
    };
    if text.is_empty() { text } else { format!("<summary>\n{text}\n</summary>") }
}

fn without(text: &str, marks: &[&str]) -> String {
    marks.iter().fold(text.to_string(), |text, mark| text.replace(mark, "")).trim().to_string()
}

/// How many of the last calls a summary without the model tells.
const MOST_CALLS: usize = 20;

/// The longest line of such a summary, in bytes.
const LONGEST_LINE: usize = 300;

/// A summary where the model writes none: what the user has said, and what was called last.
pub(super) fn without_model(messages: &[Value]) -> String {
    let before = &messages[..messages.len().saturating_sub(1)];
    let mut lines = vec!["The local model wrote no summary. This is what the program has kept.".to_string()];
    let said = before.iter().filter(|message| message["role"] == "user").flat_map(texts);
    // Behind the reminders stands what the user has said.
    let said = said.map(|text| text.rsplit("</system-reminder>").next().unwrap_or(text).trim()).filter(|text| !text.is_empty());
    lines.extend(said.map(|text| format!("The user: {}", first_sentences(text, 4 * LONGEST_LINE))));
    let results: HashMap<&str, &str> = before
        .iter()
        .filter_map(|message| Some((message["tool_call_id"].as_str()?, message["content"].as_str()?.lines().next()?)))
        .collect();
    let calls = before.iter().filter_map(|message| message["tool_calls"].as_array()).flatten().map(|call| {
        let result = call["id"].as_str().and_then(|id| results.get(id)).copied().unwrap_or_default();
        let (name, arguments) = (&call["function"]["name"], call["function"]["arguments"].as_str().unwrap_or_default());
        format!(
            "Called: {} {} → {}",
            name.as_str().unwrap_or_default(),
            first_sentences(arguments, LONGEST_LINE),
            first_sentences(result, LONGEST_LINE)
        )
    });
    let calls: Vec<String> = calls.collect();
    lines.extend(calls.into_iter().rev().take(MOST_CALLS).rev());
    let last = before.iter().rev().find(|message| message["role"] == "assistant");
    let last = last.and_then(|last| last["content"].as_str()).filter(|text| !text.is_empty());
    lines.extend(last.map(|text| format!("The model said last: {}", first_sentences(text, 4 * LONGEST_LINE))));
    lines.join("\n")
}

#[cfg(test)]
mod tests;
