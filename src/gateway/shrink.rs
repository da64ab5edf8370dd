//! Fitting a request into the context that there is.
//!
//! Claude Code's instructions and tools take about 12,400 tokens before the user's first word (2.1.330). Where that is more than a
//! quarter of the context, the request goes lean: a short system prompt, and the tools that the work is done with.

use serde_json::Value;

use crate::gateway::lean_tools::Budget;
use crate::gateway::request::MessagesRequest;
use crate::gateway::{lean_prompt, lean_tools, summary};
use crate::local_model::context::tokens;

/// A system prompt of more tokens is shortened.
const LONG_SYSTEM: usize = 600;

/// A context of which little is known is taken for one of so many tokens: what most local models have.
const USUAL_WINDOW: u32 = 32_768;

/// How much of a request is sent. Smaller ones are greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Size {
    /// All of it.
    Full,
    /// A short system prompt, the core tools, and others within a budget.
    Lean,
    /// Without those others.
    Leanest,
}

/// What a request is made short for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room<'a> {
    /// The context in tokens, if it is known.
    pub window: Option<u32>,
    /// What the user wants the system prompt to say.
    pub appended: &'a str,
}

impl Room<'_> {
    fn window(self) -> usize {
        self.window.unwrap_or(USUAL_WINDOW) as usize
    }
}

/// The largest request that is smaller than this one of `size`, if something can be left out.
pub(crate) fn next_smaller(request: &MessagesRequest, size: Size, room: Room) -> Option<(Size, MessagesRequest)> {
    let current = sized(request, size, room);
    let smaller = [Size::Lean, Size::Leanest].into_iter().filter(|smaller| *smaller > size);
    smaller.map(|size| (size, sized(request, size, room))).find(|(_, smaller)| *smaller != current)
}

/// The request at this size. For one context it depends on nothing but the request's beginning, so that from turn to turn it grows
/// only at its end.
pub(crate) fn sized(request: &MessagesRequest, size: Size, room: Room) -> MessagesRequest {
    let mut request = request.clone();
    if size == Size::Full {
        return request;
    }
    let is_agent = lean_tools::are_claude_codes(&request.tools);
    if is_agent {
        let called = called(&request.messages);
        let wanted = request.choice.as_ref().and_then(|choice| choice["function"]["name"].as_str());
        let wanted: Vec<&str> = called.into_iter().chain(wanted).collect();
        let budget = if size == Size::Lean { Budget::of(room.window()) } else { Budget::default() };
        request.tools = lean_tools::kept(&request.tools, &wanted, budget).into();
    } else {
        // A program other than Claude Code needs all of its tools.
        request.tools = request.tools.iter().map(lean_tools::shortened).collect::<Vec<_>>().into();
    }
    let (own, told) = request.system.split_at(request.own_system.min(request.system.len()));
    let is_claude_codes = lean_prompt::is_claude_codes(own);
    if is_claude_codes && is_agent {
        let system = lean_prompt::system(own, room.appended, room.window() / 10);
        lean_prompt::shorten_reminders(&mut request.messages, told, &request.tools);
        (request.system, request.own_system) = (vec![system].into(), 1);
    } else if request.system.iter().map(|text| tokens(text)).sum::<usize>() > LONG_SYSTEM {
        let budget = LONG_SYSTEM.max(room.window() / 10);
        (request.system, request.own_system) = (vec![lean_prompt::system(&request.system, room.appended, budget)].into(), 1);
    }
    if request.is_summary && is_claude_codes {
        summary::ask_briefly(&mut request, (room.window() / 10).max(400) as u32);
    }
    request
}

/// Whether the full instructions and tools of Claude Code would take more of this context than they are worth.
pub(crate) fn is_too_much(request: &MessagesRequest, window: u32) -> bool {
    let is_claude_codes = lean_prompt::is_claude_codes(&request.system) && lean_tools::are_claude_codes(&request.tools);
    is_claude_codes && 4 * prefix(request) > window as usize
}

/// Tokens before the conversation.
fn prefix(request: &MessagesRequest) -> usize {
    let system: usize = request.system.iter().map(|text| tokens(text)).sum();
    system + request.tools.iter().map(|tool| tokens(&tool.in_chat().to_string())).sum::<usize>()
}

/// How many tokens a request takes, estimated on the long side.
pub(crate) fn estimate(request: &MessagesRequest) -> usize {
    const AROUND_MESSAGE: usize = 8;
    let message = |message: &Value| {
        let text = match &message["content"] {
            Value::String(text) => tokens(text),
            Value::Array(parts) => parts.iter().map(|part| part["text"].as_str().map_or(IMAGE, tokens)).sum(),
            _ => 0,
        };
        let calls = message.get("tool_calls").map_or(0, |calls| tokens(&calls.to_string()));
        text + calls + AROUND_MESSAGE
    };
    prefix(request) + request.messages.iter().map(message).sum::<usize>()
}

/// The texts of a message.
pub(crate) fn texts(message: &Value) -> impl Iterator<Item = &str> {
    let parts = message["content"].as_array().map(Vec::as_slice).unwrap_or_default();
    message["content"].as_str().into_iter().chain(parts.iter().filter_map(|part| part["text"].as_str()))
}

/// Tokens of an image, roughly.
const IMAGE: usize = 1500;

fn called(messages: &[Value]) -> Vec<&str> {
    let calls = messages.iter().filter_map(|message| message["tool_calls"].as_array()).flatten();
    calls.filter_map(|call| call["function"]["name"].as_str()).collect()
}
