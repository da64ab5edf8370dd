//! Fitting a request into the context that there is.
//!
//! Claude Code's instructions and tools take about 12,400 tokens before the user's first word (2.1.330). Where they do not
//! fit, the request goes lean: a short system prompt, and the tools that the work is done with.

use serde_json::Value;

use crate::completions::tool::Tool;
use crate::gateway::request::MessagesRequest;
use crate::gateway::server_tools::NOTE;
use crate::local_model::context::tokens;

/// A system prompt that is longer than this, in tokens, is shortened.
const LONG_SYSTEM: usize = 600;

/// The longest description of a tool in a lean request, in bytes.
const SHORT_DESCRIPTION: usize = 300;

/// Claude Code's tools that read and change files and run programs.
const CORE: [&str; 9] = ["Bash", "Read", "Edit", "MultiEdit", "Write", "Grep", "Glob", "LS", "StructuredOutput"];

/// The prefix of tools from MCP servers.
const MCP: &str = "mcp__";

/// How much of a request is sent. Smaller ones are greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Size {
    /// All of it.
    Full,
    /// A short system prompt, the core tools and the user's own (MCP).
    Lean,
    /// Without the user's own tools.
    Leanest,
}

/// The largest request that is smaller than this one of `size`, if something can be left out.
pub(crate) fn next_smaller(request: &MessagesRequest, size: Size, appended: &str) -> Option<(Size, MessagesRequest)> {
    let current = sized(request, size, appended);
    let smaller = [Size::Lean, Size::Leanest].into_iter().filter(|smaller| *smaller > size);
    smaller.map(|size| (size, sized(request, size, appended))).find(|(_, smaller)| *smaller != current)
}

/// The request at this size. `appended`: what the user wants the system prompt to say.
fn sized(request: &MessagesRequest, size: Size, appended: &str) -> MessagesRequest {
    let mut request = request.clone();
    if size == Size::Full {
        return request;
    }
    if is_compaction(&request.messages) {
        // Its answer is text, and the conversation did not fit together with the tools.
        request.tools.clear();
    }
    let called = called(&request.messages);
    let wanted = request.choice.as_ref().and_then(|choice| choice["function"]["name"].as_str()).unwrap_or_default();
    let is_kept = |tool: &Tool| {
        let name = tool.name.as_str();
        CORE.contains(&name) || name == wanted || called.contains(&name) || size == Size::Lean && name.starts_with(MCP)
    };
    // A program other than Claude Code needs all of its tools.
    if request.tools.iter().any(|tool| CORE.contains(&tool.name.as_str())) {
        request.tools.retain(is_kept);
    }
    for tool in &mut request.tools {
        tool.description = shortened(&tool.description).into();
    }
    if request.system.iter().map(|text| tokens(text)).sum::<usize>() > LONG_SYSTEM {
        request.system = vec![short_system(&request.system, appended)];
    }
    request
}

/// How many tokens a request takes, estimated on the long side.
pub(crate) fn estimate(request: &MessagesRequest) -> usize {
    const AROUND_MESSAGE: usize = 8;
    let system: usize = request.system.iter().map(|text| tokens(text)).sum();
    let tools: usize = request.tools.iter().map(|tool| tokens(&tool.in_chat().to_string())).sum();
    let message = |message: &Value| {
        let text = match &message["content"] {
            Value::String(text) => tokens(text),
            Value::Array(parts) => parts.iter().map(|part| part["text"].as_str().map_or(IMAGE, tokens)).sum(),
            _ => 0,
        };
        let calls = message.get("tool_calls").map_or(0, |calls| tokens(&calls.to_string()));
        text + calls + AROUND_MESSAGE
    };
    system + tools + request.messages.iter().map(message).sum::<usize>()
}

/// The texts of a message.
pub(crate) fn texts(message: &Value) -> impl Iterator<Item = &str> {
    let parts = message["content"].as_array().map(Vec::as_slice).unwrap_or_default();
    message["content"].as_str().into_iter().chain(parts.iter().filter_map(|part| part["text"].as_str()))
}

/// Tokens of an image, roughly.
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

/// The first sentences of a description.
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
    const FACTS: [&str; 6] =
        ["Working directory:", "Primary working directory:", "Is directory a git repo:", "Platform:", "Today's date:", NOTE];
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
