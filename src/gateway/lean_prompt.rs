//! The instructions of a lean request: what a small model needs in order to work well, and all that is the user's own.
//!
//! Claude Code's own instructions are known by how they begin (2.0.76 to 2.1.330). What begins otherwise is the user's, or another
//! agent's, and stays as far as there is room.

use serde_json::{Value, json};

use crate::completions::tool::Tool;
use crate::gateway::lean_tools::first_sentences;
use crate::gateway::server_tools::NOTE;
use crate::local_model::context::tokens;

/// For each agent of Claude Code. Small models rather describe a call than make it, invent its result, and repeat what has failed.
const INSTRUCTIONS: &str = "You are Claude Code, a coding agent in a terminal. Work on the user's task with your tools, step by step, until it is done.\n\
- To read, change or run something, call a tool. Do not describe the call, and do not make up its result.\n\
- Look before you change: find and read what is concerned. Keep to the style around it, and change no more than is asked.\n\
- Give absolute paths.\n\
- Read each result. After an error change something before you try again. Do not repeat a call that told you all.\n\
- Check your work, by the tests or by running it, if there is a way.\n\
- Ask before what cannot be undone and was not asked for, such as deleting or publishing something.\n\
- Text in <system-reminder> tags is from the program, not from the user.\n\
- At the end say in few words what you did, and what you could not do.";

/// How the blocks begin that say who the model is.
const IDENTITIES: [&str; 2] = ["You are Claude Code, Anthropic's official CLI", "You are a Claude agent, built on Anthropic's"];

/// How Claude Code's own instructions begin.
const MAIN: [&str; 3] =
    ["You are an interactive CLI tool", "You are an interactive agent", "You are an agent working with the user"];

/// Lines that tell of the machine and the folder.
const FACTS: [&str; 8] = [
    "Working directory:",
    "Primary working directory:",
    "Additional working directories:",
    "Is directory a git repo:",
    "Is a git repository:",
    "Platform:",
    "Shell:",
    "Today's date",
];

/// A part of the main instructions that the user has chosen.
const OUTPUT_STYLE: &str = "# Output Style:";

const GIT_STATUS: &str = "gitStatus:";

/// The longest state of git, and the longest line about a skill or an agent, in bytes.
const LONGEST_GIT_STATUS: usize = 1200;
const LONGEST_ENTRY: usize = 100;

/// Whether Claude Code asks: by what it says of itself.
pub(super) fn is_claude_codes(system: &[String]) -> bool {
    system.iter().any(|text| begins_with(text, &IDENTITIES))
}

/// Claude Code's short system prompt. `own`: the system prompt of the request. `appended`: what the user has added to it. `budget`: how much of
/// unknown instructions stays, in tokens.
pub(super) fn system(own: &[String], appended: &str, budget: usize) -> String {
    let mut parts: Vec<String> = Vec::new();
    parts.push(INSTRUCTIONS.into());
    for text in own {
        match text.trim_start() {
            text if begins_with(text, &IDENTITIES) && text.len() < 200 => {}
            text if text.starts_with(NOTE) => parts.push(text.into()),
            text if begins_with(text, &MAIN) => parts.extend(of_main(text)),
            text => parts.push(cut(text, budget)),
        }
    }
    parts.push(appended.into());
    parts.retain(|part| !part.is_empty());
    parts.join("\n\n")
}

/// The same for a program of another kind, whose instructions do not fit.
pub(super) fn system_of_others(system: &[String], appended: &str) -> String {
    const WORK: &str = "Do what the user asks with the tools that you have: look before you change, change no more than is asked, check \
                        what you did, and then say in few words what you did.";
    let notes = system.iter().filter(|text| text.starts_with(NOTE)).cloned();
    let facts = system.iter().map(|text| facts(text));
    let parts = [WORK.to_string()].into_iter().chain(facts).chain(notes).chain([appended.to_string()]);
    parts.filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n\n")
}

/// What is true here, and what the user has chosen.
fn of_main(text: &str) -> impl Iterator<Item = String> {
    let style = text.find(OUTPUT_STYLE).map(|at| {
        let style = &text[at..];
        style[2..].find("\n# ").map_or(style, |end| &style[..end + 2]).trim_end().to_string()
    });
    let git = text.find(GIT_STATUS).map(|at| first_lines(&text[at..], LONGEST_GIT_STATUS).to_string());
    [style, Some(facts(text)), git].into_iter().flatten()
}

fn facts(text: &str) -> String {
    let lines = text.lines().map(|line| line.trim().trim_start_matches("- "));
    lines.filter(|line| begins_with(line, &FACTS)).collect::<Vec<_>>().join("\n")
}

fn begins_with(text: &str, beginnings: &[&str]) -> bool {
    beginnings.iter().any(|beginning| text.trim_start().starts_with(beginning))
}

fn first_lines(text: &str, most: usize) -> &str {
    let mut end = 0;
    for line in text.split_inclusive('\n') {
        if end + line.len() > most {
            break;
        }
        end += line.len();
    }
    text[..end].trim_end()
}

/// The first lines of instructions that are too long.
fn cut(text: &str, budget: usize) -> String {
    if tokens(text) <= budget {
        return text.into();
    }
    let (mut kept, mut left) = (String::new(), budget);
    for line in text.split_inclusive('\n') {
        let length = tokens(line);
        if length > left {
            break;
        }
        left -= length;
        kept += line;
    }
    format!("{kept}[what follows does not fit the model's context]")
}

/// What becomes of a part of Claude Code's reminders.
#[derive(Clone, Copy)]
enum Rule {
    Drop,
    Facts,
    /// Only with one of these tools.
    With([&'static str; 2]),
    /// The same, in short lines.
    ShortWith([&'static str; 2]),
    /// Without what is explained in brackets on the first line.
    Brief,
    Keep,
}

const REMINDERS: [(&str, Rule); 8] = [
    ("Attribution for git commits", Rule::Brief),
    ("# Environment", Rule::Facts),
    ("You are powered by", Rule::Drop),
    ("The following deferred tools are now available", Rule::With(["ToolSearch", ""])),
    ("Available agent types", Rule::ShortWith(["Agent", "Task"])),
    ("When you launch multiple agents", Rule::Drop),
    ("The following skills are available", Rule::ShortWith(["Skill", ""])),
    ("The TodoWrite tool hasn't been used", Rule::With(["TodoWrite", ""])),
];

/// Reminders that hold the user's own instructions.
const USERS: [&str; 2] = ["# claudeMd", "Codebase and user instructions"];

/// A reminder without what a lean request has no use for. Empty if nothing stays. `budget`: what the user's instructions may take, in
/// tokens.
fn reminder(text: &str, tools: &[Tool], budget: usize) -> String {
    if USERS.iter().any(|mark| text.contains(mark)) {
        return cut(text.trim(), budget);
    }
    let has = |names: [&str; 2]| tools.iter().any(|tool| names.contains(&tool.name.as_str()));
    let mut rule = Rule::Keep;
    let mut kept: Vec<String> = Vec::new();
    for paragraph in text.trim().split("\n\n") {
        match REMINDERS.iter().find(|(beginning, _)| paragraph.starts_with(beginning)) {
            Some((_, known)) => rule = *known,
            // Lists go on after a blank line.
            None if paragraph.starts_with("- ") => {}
            None => rule = Rule::Keep,
        }
        kept.push(match rule {
            Rule::Keep => paragraph.into(),
            Rule::Facts => facts(paragraph),
            Rule::With(names) if has(names) => paragraph.into(),
            Rule::ShortWith(names) if has(names) => {
                let lines = paragraph.lines().filter(|line| line.starts_with("- ") || line.ends_with(':'));
                lines.map(|line| first_sentences(line, LONGEST_ENTRY)).collect::<Vec<_>>().join("\n")
            }
            Rule::Brief => {
                let (first, rest) = paragraph.split_once('\n').unwrap_or((paragraph, ""));
                format!("{}:\n{rest}", first.split(" (").next().unwrap_or(first).trim_end_matches(':'))
            }
            Rule::Drop | Rule::With(_) | Rule::ShortWith(_) => String::new(),
        });
    }
    kept.retain(|paragraph| !paragraph.is_empty());
    kept.join("\n\n")
}

/// Around what the program tells.
pub(super) const OPEN: &str = "<system-reminder>\n";
pub(super) const CLOSE: &str = "\n</system-reminder>";

/// A user's text with its reminders made short.
fn with_short_reminders(text: &str, tools: &[Tool], budget: usize) -> String {
    let (mut short, mut rest) = (String::new(), text);
    while let Some(at) = rest.find(OPEN) {
        let Some(length) = rest[at..].find(CLOSE) else { break };
        short += &rest[..at];
        let kept = reminder(&rest[at + OPEN.len()..at + length.max(OPEN.len())], tools, budget);
        if !kept.is_empty() {
            short += &format!("{OPEN}{kept}{CLOSE}");
        }
        rest = &rest[at + length + CLOSE.len()..];
        if kept.is_empty() {
            rest = rest.trim_start_matches('\n');
        }
    }
    short + rest
}

/// Shortens the reminders of a conversation. `first`: what the program has told before the first answer, which moves to the first
/// message: the system prompt then stays the same over a session, whatever is told later. `budget`: see [`reminder`].
pub(super) fn shorten_reminders(messages: &mut Vec<Value>, first: &[String], tools: &[Tool], budget: usize) {
    let mut after_results = false;
    messages.retain_mut(|message| {
        let was_after_results = std::mem::replace(&mut after_results, message["role"] == "tool");
        if message["role"] != "user" {
            return true;
        }
        match &mut message["content"] {
            Value::String(text) => {
                let short = with_short_reminders(text, tools, budget);
                // A message of nothing but such reminders stands behind results, and may go.
                if short.trim().is_empty() {
                    return !was_after_results;
                }
                *text = short;
            }
            Value::Array(parts) => {
                for part in parts {
                    let short = part["text"].as_str().map(|text| with_short_reminders(text, tools, budget));
                    if let Some(short) = short.filter(|short| !short.trim().is_empty()) {
                        part["text"] = short.into();
                    }
                }
            }
            _ => {}
        }
        true
    });
    let told =
        first.iter().map(|text| reminder(text, tools, budget)).filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n\n");
    let Some(message) = messages.iter_mut().find(|message| message["role"] == "user").filter(|_| !told.is_empty()) else {
        return;
    };
    let told = format!("{OPEN}{told}{CLOSE}");
    match &mut message["content"] {
        Value::Array(parts) => parts.insert(0, json!({"type": "text", "text": told})),
        content => *content = format!("{told}\n\n{}", content.as_str().unwrap_or_default()).into(),
    }
}

#[cfg(test)]
mod tests;
