//! A request of the Messages API, read as tolerantly as it may be: what is not known is passed over.

use std::io::BufReader;

use memchr::memmem;
use serde_json::{Map, Value, json};

use crate::completions::affinity::Affinity;
use crate::completions::tool::Tool;
use crate::gateway::api_check;
use crate::gateway::api_error::ApiError;
use crate::gateway::conversation::{ChatMessages, texts};
use crate::gateway::draining::Draining;
use crate::gateway::instructions::put_changing_last;
use crate::gateway::offered_tools::OfferedTools;
use crate::gateway::repeats::{Repeated, tell_repeated};
use crate::gateway::server_tools::{FailedCall, note};
use crate::gateway::shared::Shared;
use crate::gateway::summary;
use crate::text::replace_lone_surrogates;

/// What is asked, in the words of chat completions.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct MessagesRequest {
    /// The model's name as the caller gives it; answers repeat it.
    pub model: String,
    pub system: Shared<Vec<String>>,
    /// How many of these are the caller's system prompt. The others were told before the first answer.
    pub own_system: usize,
    /// The conversation without the system prompt, as messages of chat completions.
    pub messages: Shared<Vec<Value>>,
    pub tools: Shared<Vec<Tool>>,
    /// What is asked for and only Anthropic can do. The answer tells of that, and nothing else.
    pub failed_call: Option<FailedCall>,
    /// The call over which the work is stopped.
    pub repeated: Option<Repeated>,
    /// `tool_choice` of chat completions, unless it is `auto`.
    pub choice: Option<Value>,
    pub in_parallel: bool,
    pub max_tokens: u32,
    /// `temperature`, `top_p` and `top_k`, as far as given.
    pub sampling: Map<String, Value>,
    /// Stop sequences.
    pub stop: Vec<String>,
    /// Whether the caller wants a stream.
    pub streams: bool,
    /// Whether the caller wants to see the model's thinking.
    pub shows_thinking: bool,
    /// Claude Code wants a summary, with which it goes on.
    pub is_summary: bool,
    /// The form that the answer must have, as `response_format` of chat completions.
    pub format: Option<Value>,
    /// The session that it belongs to.
    pub affinity: Option<Affinity>,
}

impl MessagesRequest {
    /// The tools that may be called for this answer.
    pub(crate) fn callable(&self) -> &[Tool] {
        if self.choice.as_ref().is_some_and(|choice| choice == "none") { &[] } else { &self.tools }
    }

    /// Whether the answer has to be a call.
    pub(crate) fn must_call(&self) -> bool {
        self.choice.is_some() && !self.callable().is_empty()
    }
}

/// A request for an answer.
///
/// # Errors
/// What the API says to a body that is no such request.
pub(crate) fn read(body: Vec<u8>) -> Result<MessagesRequest, ApiError> {
    let request = parse(body)?;
    let max_tokens = api_check::max_tokens(&request)?;
    read_limited(request, max_tokens)
}

/// A request for the number of its tokens, whose answer has no limit.
///
/// # Errors
/// As for [`read`].
pub(crate) fn read_to_count(body: Vec<u8>) -> Result<MessagesRequest, ApiError> {
    read_limited(parse(body)?, 1)
}

/// A body that is given back while it is read, which takes longer, in bytes.
const LARGE: usize = 16 << 20;

fn parse(body: Vec<u8>) -> Result<Value, ApiError> {
    let parsed = if body.len() < LARGE {
        let text = String::from_utf8_lossy(&body);
        serde_json::from_str(&text).or_else(|_| serde_json::from_str(&replace_lone_surrogates(&text)))
    } else {
        // The parser has a string with escapes twice for a moment, so that there is no room for the body, too, nor to begin again.
        let is_clean = std::str::from_utf8(&body).is_ok() && !may_have_surrogates(&body);
        let body = if is_clean { body } else { replace_lone_surrogates(&String::from_utf8_lossy(&body)).into() };
        serde_json::from_reader(BufReader::new(Draining::new(body)))
    };
    parsed.map_err(|error| ApiError::bad_request(format!("the request's body is not JSON: {error}")))
}

fn may_have_surrogates(body: &[u8]) -> bool {
    ["\\ud", "\\uD"].iter().any(|escape| memmem::find(body, escape.as_bytes()).is_some())
}

fn read_limited(mut request: Value, max_tokens: u32) -> Result<MessagesRequest, ApiError> {
    if !request["thread"].is_null() {
        return Err(ApiError::thread_unsupported());
    }
    let list = request["messages"].as_array().ok_or_else(|| ApiError::bad_request("messages: Field required"))?;
    api_check::check(&request)?;
    let offered = OfferedTools::read(&request, &referred_to(list))?;
    let failed_call = failed_call(&offered, &request["tool_choice"], list)?;
    let mut system = texts(&request["system"]);
    system.retain(|text| !text.starts_with(BILLING));
    let own_system = system.len();
    // They may be large, and are not copied.
    let Value::Array(list) = request["messages"].take() else { return Err(ApiError::bad_request("messages: Field required")) };
    let mut messages = ChatMessages::read(list, &mut system);
    if messages.is_empty() {
        return Err(ApiError::bad_request("messages: at least one message is required"));
    }
    if failed_call.is_none() && !offered.server_tools.is_empty() {
        system.push(note(&offered.server_tools));
    }
    let (choice, in_parallel) = choice(&request["tool_choice"]);
    let mut tools = offered.tools;
    if let Some(chosen) = choice.as_ref().and_then(|choice| choice["function"]["name"].as_str()) {
        // Servers that do not read `tool_choice` (mlx-lm 0.32.2, Ollama) keep to it this way.
        tools.retain(|tool| tool.name == chosen);
    }
    let number = |key: &str| Some((key.to_string(), request.get(key).filter(|value| value.is_number())?.clone()));
    let repeated = tell_repeated(&mut messages).filter(|_| choice.is_none() && !tools.is_empty());
    let stop = request["stop_sequences"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut read = MessagesRequest {
        model: request["model"].as_str().unwrap_or_default().into(),
        system: system.into(),
        own_system,
        is_summary: summary::is_asked_for(&messages),
        messages: messages.into(),
        tools: tools.into(),
        failed_call,
        repeated,
        choice,
        in_parallel,
        max_tokens,
        sampling: ["temperature", "top_p", "top_k"].into_iter().filter_map(number).collect(),
        stop: stop.iter().filter_map(Value::as_str).filter(|text| !text.is_empty()).map(str::to_string).collect(),
        streams: request["stream"] == true,
        shows_thinking: matches!(request["thinking"]["type"].as_str(), Some("enabled" | "adaptive")),
        format: format(&request),
        affinity: request["metadata"]["user_id"].as_str().and_then(Affinity::of_user_id),
    };
    put_changing_last(&mut read);
    Ok(read)
}

/// Claude Code's own accounting, which differs from request to request and so would spoil the server's prompt cache.
const BILLING: &str = "x-anthropic-billing-header:";

/// The call that a request is for and that fails here: the request forces it, or is a single question that offers nothing else.
fn failed_call(offered: &OfferedTools, choice: &Value, messages: &[Value]) -> Result<Option<FailedCall>, ApiError> {
    let is_forced = |name: &Value| choice["type"] == "tool" && choice["name"] == *name;
    let forced = offered.server_tools.iter().find(|tool| is_forced(&tool.name.as_str().into()));
    let is_single = offered.tools.is_empty() && messages.len() == 1 && choice["type"] != "none";
    let Some(tool) = forced.or_else(|| offered.server_tools.first().filter(|_| is_single)) else { return Ok(None) };
    let prompt = messages.last().map(|message| texts(&message["content"]).join("\n")).unwrap_or_default();
    tool.failed_call(&prompt).map(Some)
}

/// The tools that results of a tool search name.
fn referred_to(messages: &[Value]) -> Vec<&str> {
    fn blocks(content: &Value) -> &[Value] {
        content.as_array().map(Vec::as_slice).unwrap_or_default()
    }
    let results = messages.iter().flat_map(|message| blocks(&message["content"])).flat_map(|block| blocks(&block["content"]));
    results.filter(|block| block["type"] == "tool_reference").filter_map(|block| block["tool_name"].as_str()).collect()
}

fn choice(choice: &Value) -> (Option<Value>, bool) {
    let wanted = match choice["type"].as_str() {
        Some("any") => Some("required".into()),
        Some("none") => Some("none".into()),
        Some("tool") => Some(json!({"type": "function", "function": {"name": choice["name"]}})),
        _ => None,
    };
    (wanted, choice["disable_parallel_tool_use"] != true)
}

fn format(request: &Value) -> Option<Value> {
    let places = [&request["output_config"]["format"], &request["output_format"]];
    let format = places.into_iter().find(|format| format["type"] == "json_schema")?;
    Some(json!({"type": "json_schema", "json_schema": {"name": "answer", "strict": true, "schema": format["schema"]}}))
}

#[cfg(test)]
mod tests;
