//! A request of the Messages API, read as tolerantly as it may be: what is not known is passed over.

use serde_json::{Map, Value, json};

use crate::completions::tool::Tool;
use crate::gateway::api_error::ApiError;
use crate::text::replace_lone_surrogates;

/// What is asked, in the words of chat completions.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct MessagesRequest {
    /// The model's name as the caller has it, which answers repeat.
    pub model: String,
    /// The parts of the system prompt.
    pub system: Vec<String>,
    /// The conversation without it, as messages of chat completions.
    pub messages: Vec<Value>,
    /// The tools.
    pub tools: Vec<Tool>,
    /// `tool_choice` of chat completions, unless it is `auto`.
    pub choice: Option<Value>,
    /// Whether the model may call several tools at once.
    pub in_parallel: bool,
    /// The most tokens of an answer.
    pub max_tokens: u32,
    /// `temperature`, `top_p` and `top_k`, as far as they are given.
    pub sampling: Map<String, Value>,
    /// What ends the answer where it comes up in it.
    pub stop: Vec<String>,
    /// Whether the answer is to come in pieces.
    pub streams: bool,
    /// Whether the caller wants to see the model's thinking.
    pub shows_thinking: bool,
    /// The form that the answer must have, as `response_format` of chat completions.
    pub format: Option<Value>,
}

impl MessagesRequest {
    /// The tools that may be called for this answer.
    pub(crate) fn callable(&self) -> &[Tool] {
        if self.choice.as_ref().is_some_and(|choice| choice == "none") { &[] } else { &self.tools }
    }
}

/// The most tokens of an answer whose caller gives no limit, which the Messages API asks for.
const MAX_TOKENS: u32 = 4096;

/// Reads a request's body.
///
/// # Errors
/// What the API says to a body that is no request at all.
pub(crate) fn read(body: &[u8]) -> Result<MessagesRequest, ApiError> {
    let text = String::from_utf8_lossy(body);
    let request: Value = serde_json::from_str(&text)
        .or_else(|_| serde_json::from_str(&replace_lone_surrogates(&text)))
        .map_err(|error| ApiError::of_request(format!("the request's body is not JSON: {error}")))?;
    if !request["thread"].is_null() {
        return Err(ApiError::of_thread());
    }
    let list = request["messages"].as_array().ok_or_else(|| ApiError::of_request("messages: field required"))?;
    let mut system = texts(&request["system"]);
    system.retain(|text| !text.starts_with(BILLING));
    let mut talk = Talk::default();
    for message in list {
        talk.add(message, &mut system);
    }
    talk.close_calls();
    if talk.messages.is_empty() {
        return Err(ApiError::of_request("messages: at least one message is required"));
    }
    let (choice, in_parallel) = choice(&request["tool_choice"]);
    let number = |key: &str| Some((key.to_string(), request.get(key).filter(|value| value.is_number())?.clone()));
    let stop = request["stop_sequences"].as_array().map(Vec::as_slice).unwrap_or_default();
    Ok(MessagesRequest {
        model: request["model"].as_str().unwrap_or_default().into(),
        system,
        messages: talk.messages,
        tools: tools(&request["tools"], &referred_to(list)),
        choice,
        in_parallel,
        max_tokens: request["max_tokens"].as_u64().map_or(MAX_TOKENS, |most| u32::try_from(most).unwrap_or(u32::MAX)).max(1),
        sampling: ["temperature", "top_p", "top_k"].into_iter().filter_map(number).collect(),
        stop: stop.iter().filter_map(Value::as_str).filter(|text| !text.is_empty()).map(str::to_string).collect(),
        streams: request["stream"] == true,
        shows_thinking: matches!(request["thinking"]["type"].as_str(), Some("enabled" | "adaptive")),
        format: format(&request),
    })
}

/// Claude Code's own accounting, which differs from request to request and so would spoil the server's prompt cache.
const BILLING: &str = "x-anthropic-billing-header:";

/// A text, or the texts of a list of blocks.
fn texts(content: &Value) -> Vec<String> {
    match content {
        Value::String(text) => vec![text.clone()],
        Value::Array(blocks) => blocks.iter().filter_map(|block| block["text"].as_str()).map(str::to_string).collect(),
        _ => vec![],
    }
    .into_iter()
    .filter(|text| !text.is_empty())
    .collect()
}

/// The tools that the caller runs itself: those that Anthropic would run have no schema. A deferred one is for the model only
/// once a search for tools has named it.
fn tools(list: &Value, referred_to: &[&str]) -> Vec<Tool> {
    let tools = list.as_array().map(Vec::as_slice).unwrap_or_default().iter();
    let read = |tool: &Value| {
        let name = tool["name"].as_str().filter(|name| !name.is_empty())?;
        let is_there = tool["defer_loading"] != true || referred_to.contains(&name);
        is_there.then_some(Tool {
            name: name.into(),
            description: tool["description"].as_str().unwrap_or_default().into(),
            schema: tool.get("input_schema").filter(|schema| schema.is_object())?.clone(),
        })
    };
    tools.filter_map(read).collect()
}

/// The tools that results name by reference.
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

/// The conversation so far, in the order that strict templates ask for: user and assistant in turn, and the results of all
/// of a message's calls right behind it.
#[derive(Default)]
struct Talk {
    messages: Vec<Value>,
    /// The calls that have no result yet.
    open: Vec<String>,
}

impl Talk {
    fn add(&mut self, message: &Value, system: &mut Vec<String>) {
        match message["role"].as_str() {
            Some("assistant") => self.add_assistant(&message["content"]),
            // Strict templates take it at the beginning only. Later, to move it there would spoil the prompt cache.
            Some("system") if !self.messages.iter().any(|message| message["role"] == "assistant") => {
                system.extend(texts(&message["content"]));
            }
            Some("system") => {
                let parts = texts(&message["content"]).into_iter();
                self.push_user(parts.map(|text| text_part(&format!("<system-reminder>\n{text}\n</system-reminder>"))).collect());
            }
            _ => self.add_user(&message["content"]),
        }
    }

    fn add_user(&mut self, content: &Value) {
        let blocks = match content {
            Value::Array(blocks) => blocks.as_slice(),
            _ => return self.push_user(texts(content).iter().map(|text| text_part(text)).collect()),
        };
        let is_result = |block: &&Value| block["type"] == "tool_result";
        let mut parts = Vec::new();
        for block in blocks.iter().filter(is_result) {
            self.add_result(block, &mut parts);
        }
        parts.extend(blocks.iter().filter(|block| !is_result(block)).filter_map(part));
        self.push_user(parts);
    }

    /// Its pictures go with the user's message: no tool's message may have one.
    fn add_result(&mut self, block: &Value, parts: &mut Vec<Value>) {
        let found: Vec<Value> = match &block["content"] {
            Value::Array(blocks) => blocks.iter().filter_map(part).collect(),
            content => texts(content).iter().map(|text| text_part(text)).collect(),
        };
        let (said, pictures): (Vec<_>, Vec<_>) = found.into_iter().partition(|part| part["type"] == "text");
        let mut text = joined(&said);
        if block["is_error"] == true && !text.trim_start().to_lowercase().contains("error") {
            text = format!("Error: {text}");
        }
        if text.is_empty() {
            text = if pictures.is_empty() { "(no output)" } else { "(an image, which follows)" }.into();
        }
        let id = block["tool_use_id"].as_str().map(short_id).unwrap_or_default();
        match self.open.iter().position(|open| *open == id) {
            Some(at) => {
                self.open.remove(at);
                self.messages.push(json!({"role": "tool", "tool_call_id": id, "content": text}));
            }
            // Its call is no longer in the conversation.
            None => parts.push(text_part(&format!("[result of an earlier tool call]\n{text}"))),
        }
        parts.extend(pictures);
    }

    fn push_user(&mut self, parts: Vec<Value>) {
        // The results of several calls may come in several messages.
        if parts.is_empty() {
            return;
        }
        self.close_calls();
        if let Some(last) = self.messages.last_mut().filter(|last| last["role"] == "user") {
            let before = match last["content"].take() {
                Value::Array(parts) => parts,
                text => vec![text_part(text.as_str().unwrap_or_default())],
            };
            last["content"] = content(before.into_iter().chain(parts).collect());
        } else {
            // What was thought about another question is of no more use.
            for message in &mut self.messages {
                message.as_object_mut().map(|message| message.shift_remove(THINKING));
            }
            self.messages.push(json!({"role": "user", "content": content(parts)}));
        }
    }

    fn add_assistant(&mut self, content: &Value) {
        self.close_calls();
        let blocks = content.as_array().map(Vec::as_slice).unwrap_or_default();
        let calls: Vec<Value> = blocks.iter().filter(|block| block["type"] == "tool_use").map(call).collect();
        self.open = calls.iter().filter_map(|call| call["id"].as_str()).map(str::to_string).collect();
        let thinking = blocks.iter().filter_map(|block| block["thinking"].as_str()).collect::<Vec<_>>().join("\n");
        let text = texts(content).join("\n");
        if calls.is_empty() && text.is_empty() {
            return;
        }
        if self.messages.last().is_none_or(|last| last["role"] != "assistant") {
            self.messages.push(json!({"role": "assistant", "content": ""}));
        }
        let Some(message) = self.messages.last_mut() else { return };
        let before = message["content"].as_str().unwrap_or_default();
        let gap = if before.is_empty() || text.is_empty() { "" } else { "\n" };
        message["content"] = format!("{before}{gap}{text}").into();
        if !thinking.is_empty() {
            message[THINKING] = thinking.into();
        }
        if !calls.is_empty() {
            message["tool_calls"] = calls.into();
        }
    }

    /// Templates and servers ask for a result of each call.
    fn close_calls(&mut self) {
        for id in std::mem::take(&mut self.open) {
            self.messages.push(json!({"role": "tool", "tool_call_id": id, "content": "(no result: the call was interrupted)"}));
        }
    }
}

/// Where templates look for the thinking that led to a call (Qwen 3, gpt-oss).
const THINKING: &str = "reasoning_content";

fn text_part(text: &str) -> Value {
    json!({"type": "text", "text": text})
}

/// A string where that says it all: some servers take nothing else.
fn content(parts: Vec<Value>) -> Value {
    if parts.iter().all(|part| part["type"] == "text") { joined(&parts).into() } else { parts.into() }
}

fn joined(parts: &[Value]) -> String {
    parts.iter().filter_map(|part| part["text"].as_str()).collect::<Vec<_>>().join("\n")
}

/// A block of the user's as a part of a chat message.
fn part(block: &Value) -> Option<Value> {
    let source = &block["source"];
    let kind = block["type"].as_str()?;
    match (kind, source["type"].as_str()) {
        ("text", _) => Some(text_part(block["text"].as_str().filter(|text| !text.is_empty())?)),
        ("image", Some("base64")) => {
            let (media, data) = (source["media_type"].as_str().unwrap_or("image/png"), source["data"].as_str()?);
            Some(json!({"type": "image_url", "image_url": {"url": format!("data:{media};base64,{data}")}}))
        }
        ("image", Some("url")) => Some(json!({"type": "image_url", "image_url": {"url": source["url"].as_str()?}})),
        ("document", Some("text")) => Some(text_part(source["data"].as_str()?)),
        ("tool_reference", _) => Some(text_part(&format!("The tool {} is there now.", block["tool_name"].as_str()?))),
        ("thinking" | "redacted_thinking", _) => None,
        _ => Some(text_part(&match block["text"].as_str() {
            Some(text) => text.to_string(),
            None => not_shown(kind),
        })),
    }
}

fn not_shown(kind: &str) -> String {
    let kind: String = kind.chars().filter(|c| c.is_alphanumeric() || *c == '_').take(40).collect();
    format!("[{kind}: not shown to the local model]")
}

fn call(block: &Value) -> Value {
    let arguments = match &block["input"] {
        input @ Value::Object(_) => input.to_string(),
        _ => "{}".into(),
    };
    let (id, name) = (short_id(block["id"].as_str().unwrap_or_default()), block["name"].as_str().unwrap_or_default());
    json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}})
}

/// A call's id as the local model gets it: nine letters and digits, which is what Mistral's templates ask for, and the
/// same each time, for the prompt cache. By FNV-1a.
fn short_id(id: &str) -> String {
    let hash = id.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let digit = |place: u32| char::from_digit((hash / 36_u64.pow(place) % 36) as u32, 36).unwrap_or('0');
    (0..9).map(digit).collect()
}

/// Whether there are images in the conversation: what is text alone is a string.
pub(crate) fn has_images(messages: &[Value]) -> bool {
    messages.iter().any(|message| message["content"].is_array())
}

/// The conversation for a server that takes no images: they are named in words.
pub(crate) fn drop_images(messages: &mut [Value]) {
    for message in messages {
        if let Some(parts) = message["content"].as_array_mut() {
            for part in parts.iter_mut().filter(|part| part["type"] == "image_url") {
                *part = text_part(&not_shown("image"));
            }
            message["content"] = joined(parts).into();
        }
    }
}

#[cfg(test)]
mod tests;
