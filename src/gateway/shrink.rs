//! Fitting a request into the context that there is.
//!
//! Claude Code's instructions and tools take about 12,400 tokens before the user's first word (2.1.330). Where they do not
//! fit, the request goes lean: a short system prompt, and the tools that the work is done with.

use serde_json::Value;

use crate::completions::tool::Tool;
use crate::gateway::request::MessagesRequest;
use crate::local_model::context::tokens;

/// A system prompt that is longer than this, in tokens, is shortened.
const LONG_SYSTEM: usize = 600;

/// The longest description of a tool in a lean request, in bytes.
const SHORT_DESCRIPTION: usize = 300;

/// The tools of Claude Code that files are read and changed and programs run with.
const CORE: [&str; 9] = ["Bash", "Read", "Edit", "MultiEdit", "Write", "Grep", "Glob", "LS", "StructuredOutput"];

/// What the server of another's tools has for a prefix.
const MCP: &str = "mcp__";

/// How much of a request is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Size {
    /// All of it.
    Full,
    /// A short system prompt, and the tools of the trade, the user's own among them.
    Lean,
    /// Without the user's own tools.
    Leanest,
}

/// The largest request that is smaller than this one of `size`, if something can be left out.
pub(crate) fn next_smaller(asked: &MessagesRequest, size: Size, appended: &str) -> Option<(Size, MessagesRequest)> {
    let current = sized(asked, size, appended);
    let smaller = [Size::Lean, Size::Leanest].into_iter().filter(|smaller| *smaller > size);
    smaller.map(|size| (size, sized(asked, size, appended))).find(|(_, smaller)| *smaller != current)
}

/// The request at this size. `appended`: what the user wants the system prompt to say.
fn sized(asked: &MessagesRequest, size: Size, appended: &str) -> MessagesRequest {
    let mut asked = asked.clone();
    if size == Size::Full {
        return asked;
    }
    if is_compaction(&asked.messages) {
        // Its answer is a text, and what is to be shortened did not fit with the tools.
        asked.tools.clear();
    }
    let called = called(&asked.messages);
    let wanted = asked.choice.as_ref().and_then(|choice| choice["function"]["name"].as_str()).unwrap_or_default();
    let is_kept = |tool: &Tool| {
        let name = tool.name.as_str();
        CORE.contains(&name) || name == wanted || called.contains(&name) || size == Size::Lean && name.starts_with(MCP)
    };
    // Another program's tools are all its own.
    if asked.tools.iter().any(|tool| CORE.contains(&tool.name.as_str())) {
        asked.tools.retain(is_kept);
    }
    for tool in &mut asked.tools {
        tool.description = shortened(&tool.description).into();
    }
    if asked.system.iter().map(|text| tokens(text)).sum::<usize>() > LONG_SYSTEM {
        asked.system = vec![short_system(&asked.system, appended)];
    }
    asked
}

/// How many tokens a request takes, estimated on the long side.
pub(crate) fn estimate(asked: &MessagesRequest) -> usize {
    const AROUND_MESSAGE: usize = 8;
    let system: usize = asked.system.iter().map(|text| tokens(text)).sum();
    let tools: usize = asked.tools.iter().map(|tool| tokens(&tool.in_chat().to_string())).sum();
    let message = |message: &Value| {
        let text = match &message["content"] {
            Value::String(text) => tokens(text),
            Value::Array(parts) => parts.iter().map(|part| part["text"].as_str().map_or(IMAGE, tokens)).sum(),
            _ => 0,
        };
        let calls = message.get("tool_calls").map_or(0, |calls| tokens(&calls.to_string()));
        text + calls + AROUND_MESSAGE
    };
    system + tools + asked.messages.iter().map(message).sum::<usize>()
}

/// About what a picture takes, in tokens.
const IMAGE: usize = 1500;

/// What Claude Code 2.1.330 asks when a conversation has become too long.
fn is_compaction(messages: &[Value]) -> bool {
    let last = messages.last().and_then(|message| message["content"].as_str());
    last.is_some_and(|text| text.contains("CRITICAL: Respond with TEXT ONLY. Do NOT call any tools."))
}

fn called(messages: &[Value]) -> Vec<&str> {
    let calls = messages.iter().filter_map(|message| message["tool_calls"].as_array()).flatten();
    calls.filter_map(|call| call["function"]["name"].as_str()).collect()
}

/// The first sentences.
fn shortened(description: &str) -> &str {
    if description.len() <= SHORT_DESCRIPTION {
        return description;
    }
    let mut end = SHORT_DESCRIPTION;
    while !description.is_char_boundary(end) {
        end -= 1;
    }
    let head = &description[..end];
    let stop = ["\n\n", ".\n", ". "].iter().filter_map(|end| head.rfind(end)).max();
    head[..stop.map_or(end, |at| at + 1)].trim_end()
}

fn short_system(system: &[String], appended: &str) -> String {
    const FACTS: [&str; 5] =
        ["Working directory:", "Primary working directory:", "Is directory a git repo:", "Platform:", "Today's date:"];
    let lines = system.iter().flat_map(|text| text.lines()).map(|line| line.trim().trim_start_matches("- "));
    let facts: Vec<&str> = lines.filter(|line| FACTS.iter().any(|fact| line.starts_with(fact))).collect();
    let mut text = String::from(
        "You are Claude Code, a coding assistant in a terminal. Do what the user asks with the tools that you have: look before \
         you change, change no more than is asked, check what you did, and then say in few words what you did.",
    );
    for part in [facts.join("\n").as_str(), appended] {
        if !part.is_empty() {
            text = format!("{text}\n\n{part}");
        }
    }
    text
}
