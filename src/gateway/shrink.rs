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
    let (own, told) = request.system.split_at(request.own_system.min(request.system.len()));
    let is_claude_codes = lean_prompt::is_claude_codes(own);
    let called = called(&request.messages);
    let wanted = request.choice.as_ref().and_then(|choice| choice["function"]["name"].as_str());
    let wanted: Vec<&str> = called.into_iter().chain(wanted).collect();
    let budget = match size {
        Size::Leanest => Budget::default(),
        _ if is_claude_codes => Budget::of(room.window()),
        _ => Budget { own: usize::MAX, others: 0 },
    };
    request.tools = lean_tools::kept(&request.tools, &wanted, budget).into();
    if is_claude_codes {
        let system = lean_prompt::system(own, room.appended, room.window() / 10);
        lean_prompt::shorten_reminders(&mut request.messages, told, &request.tools, room.window() / 4);
        (request.system, request.own_system) = (vec![system].into(), 1);
    } else if request.system.iter().map(|text| tokens(text)).sum::<usize>() > LONG_SYSTEM {
        (request.system, request.own_system) = (vec![lean_prompt::system_of_others(&request.system, room.appended)].into(), 1);
    }
    if request.is_summary && is_claude_codes {
        summary::ask_briefly(&mut request, (room.window() / 10).max(400) as u32);
    }
    request
}

/// Whether Claude Code asks, with its instructions and its tools.
pub(crate) fn is_claude_codes(request: &MessagesRequest) -> bool {
    lean_prompt::is_claude_codes(&request.system) && lean_tools::are_claude_codes(&request.tools)
}

/// Whether the instructions and tools of this request are much longer than usual, and would leave too little of the context: three
/// tenths by what they probably take.
pub(crate) fn is_too_much(request: &MessagesRequest, window: u32) -> bool {
    prefix(request) * 4 / 5 * 10 > 3 * window as usize
}

/// Tokens before the conversation.
pub(crate) fn prefix(request: &MessagesRequest) -> usize {
    let system: usize = request.system.iter().map(|text| tokens(text)).sum();
    system + request.tools.iter().map(|tool| tokens(&tool.in_chat().to_string())).sum::<usize>()
}

/// How many tokens a request takes, estimated on the long side.
pub(crate) fn estimate(request: &MessagesRequest) -> usize {
    prefix(request) + request.messages.iter().map(message_length).sum::<usize>()
}

/// The same for a message.
pub(crate) fn message_length(message: &Value) -> usize {
    const AROUND_MESSAGE: usize = 8;
    let text = match &message["content"] {
        Value::String(text) => tokens(text),
        Value::Array(parts) => parts.iter().map(|part| part["text"].as_str().map_or(IMAGE, tokens)).sum(),
        _ => 0,
    };
    let calls = message.get("tool_calls").map_or(0, |calls| tokens(&calls.to_string()));
    text + calls + AROUND_MESSAGE
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::gateway::request;

    const IDENTITY: &str = "You are Claude Code, Anthropic's official CLI for Claude.";

    fn tool(name: &str) -> Value {
        let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}});
        json!({"name": name, "description": "It does this. ".repeat(80), "input_schema": schema})
    }

    /// A session of Claude Code after so many steps, each of which calls one of these tools.
    fn session(steps: usize, calls: &[&str]) -> MessagesRequest {
        let reminder = |text: &str| json!({"type": "text", "text": format!("<system-reminder>\n{text}\n</system-reminder>")});
        let mut messages = vec![
            json!({"role": "user", "content": [reminder("# claudeMd\nBe kind."), {"type": "text", "text": "Build it."}]}),
            json!({"role": "system", "content": "# Environment\n - Platform: linux\n\nYou are powered by the model x."}),
        ];
        for step in 0..steps {
            let (id, name) = (format!("t{step}"), calls[step % calls.len()]);
            messages.push(json!({"role": "assistant", "content": [{"type": "tool_use", "id": id, "name": name, "input": {}}]}));
            let result = json!({"type": "tool_result", "tool_use_id": id, "content": format!("result {step}")});
            messages.push(json!({"role": "user", "content": [result, reminder("You are powered by the model x.")]}));
        }
        let tools: Vec<Value> =
            ["Agent", "Bash", "Edit", "Read", "TodoWrite", "WebFetch", "Workflow", "Write"].map(tool).into_iter().collect();
        let system =
            json!([{"type": "text", "text": IDENTITY}, {"type": "text", "text": "You are an interactive agent. ".repeat(500)}]);
        let body = json!({"model": "m", "max_tokens": 4096, "system": system, "messages": messages, "tools": tools});
        request::read(body.to_string().into_bytes()).unwrap()
    }

    #[test]
    fn a_lean_request_grows_only_at_its_end() {
        for window in [8192, 16_384, 65_536] {
            let room = Room { window: Some(window), appended: "Appended." };
            let lean = |steps| sized(&session(steps, &["Bash", "WebFetch"]), Size::Lean, room);
            let first = lean(0);
            assert!(first.system[0].contains("Appended.") && first.messages[0].to_string().contains("Platform: linux"));
            assert!(first.messages[0].to_string().contains("Be kind.") && !first.messages[0].to_string().contains("powered"));
            for steps in 1..6 {
                let (before, now) = (lean(steps - 1), lean(steps));
                assert_eq!(before.system, now.system, "{window} {steps}");
                assert_eq!(before.messages[..], now.messages[..before.messages.len()], "{window} {steps}");
                // A tool that was not offered is, once it was called.
                let is_first_call = steps == 2 && window == 8192;
                assert_eq!(before.tools == now.tools, !is_first_call, "{window} {steps}");
            }
        }
    }

    #[test]
    fn the_full_request_is_for_contexts_with_room() {
        let (usual, long) = (session(0, &["Bash"]), session(0, &["Bash"]));
        let long = MessagesRequest { system: vec![IDENTITY.into(), "word ".repeat(30_000)].into(), ..long };
        let table = [(&usual, 8192, true), (&usual, 49_600, false), (&long, 65_536, true), (&long, 131_072, false)];
        for (request, window, expected) in table {
            assert_eq!(is_too_much(request, window), expected, "{window}");
        }
        assert!(is_claude_codes(&usual));
        assert!(!is_claude_codes(&MessagesRequest { tools: vec![].into(), ..usual.clone() }));
        assert!(!is_claude_codes(&MessagesRequest { system: vec!["Be brief.".into()].into(), ..usual }));
    }
}
