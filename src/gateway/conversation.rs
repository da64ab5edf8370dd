//! The conversation of a request, as messages of chat completions.

use serde_json::{Value, json};

/// The conversation so far, in the order that strict templates ask for: user and assistant in turn, and the results of all
/// of a message's calls right behind it.
#[derive(Default)]
pub(super) struct ChatMessages {
    messages: Vec<Value>,
    /// The calls that have no result yet.
    open: Vec<String>,
}

impl ChatMessages {
    /// The messages of a request. System messages from before the first answer go to `system`.
    /// What they say moves, since it may be large.
    pub(super) fn read(list: Vec<Value>, system: &mut Vec<String>) -> Vec<Value> {
        let mut chat = ChatMessages::default();
        for message in list {
            chat.add(message, system);
        }
        chat.close_calls();
        chat.messages
    }

    fn add(&mut self, mut message: Value, system: &mut Vec<String>) {
        let content = message.get_mut("content").map(Value::take).unwrap_or_default();
        match message["role"].as_str() {
            Some("assistant") => self.add_assistant(&content),
            // Strict templates take it at the beginning only. Later, to move it there would spoil the prompt cache.
            Some("system") if !self.messages.iter().any(|message| message["role"] == "assistant") => {
                system.extend(texts(&content));
            }
            Some("system") => {
                let parts = texts(&content).into_iter();
                self.push_user(parts.map(|text| text_part(format!("<system-reminder>\n{text}\n</system-reminder>"))).collect());
            }
            _ => self.add_user(content),
        }
    }

    fn add_user(&mut self, content: Value) {
        let (results, others): (Vec<Value>, Vec<Value>) =
            blocks(content).into_iter().partition(|block| block["type"] == "tool_result");
        let mut parts = Vec::new();
        for block in results {
            self.add_result(block, &mut parts);
        }
        parts.extend(others.into_iter().filter_map(part));
        self.push_user(parts);
    }

    /// Images move to the user's message: a tool's message must have none.
    fn add_result(&mut self, mut block: Value, parts: &mut Vec<Value>) {
        let content = block.get_mut("content").map(Value::take).unwrap_or_default();
        let found = blocks(content).into_iter().filter_map(part);
        let (texts, pictures): (Vec<_>, Vec<_>) = found.partition(|part| part["type"] == "text");
        let mut text = joined(texts);
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
                self.messages.push(with_content(json!({"role": "tool", "tool_call_id": id, "content": null}), text.into()));
            }
            // The call was left out of the conversation.
            None => parts.push(text_part(format!("[result of an earlier tool call]\n{text}"))),
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
                Value::String(text) => vec![text_part(text)],
                _ => vec![],
            };
            last["content"] = content(before.into_iter().chain(parts).collect());
        } else {
            // Thinking about an earlier question is of no more use.
            for message in &mut self.messages {
                message.as_object_mut().map(|message| message.shift_remove(THINKING));
            }
            self.messages.push(with_content(json!({"role": "user", "content": null}), content(parts)));
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

    /// Adds a result to calls that have none: templates and servers ask for one.
    fn close_calls(&mut self) {
        for id in std::mem::take(&mut self.open) {
            self.messages.push(json!({"role": "tool", "tool_call_id": id, "content": "(no result: the call was interrupted)"}));
        }
    }
}

/// Where templates look for the thinking that led to a call (Qwen 3, gpt-oss).
const THINKING: &str = "reasoning_content";

fn text_part(text: String) -> Value {
    let mut part = json!({"type": "text", "text": null});
    part["text"] = text.into();
    part
}

fn with_content(mut message: Value, content: Value) -> Value {
    message["content"] = content;
    message
}

/// The blocks of a message's content. A text is one block.
fn blocks(content: Value) -> Vec<Value> {
    match content {
        Value::Array(blocks) => blocks,
        Value::String(text) => vec![text_part(text)],
        _ => vec![],
    }
}

/// A string if there are only texts: some servers take nothing else.
fn content(parts: Vec<Value>) -> Value {
    if parts.iter().all(|part| part["type"] == "text") { joined(parts).into() } else { parts.into() }
}

fn joined(mut parts: Vec<Value>) -> String {
    match parts.as_mut_slice() {
        [part] => taken(&mut part["text"]),
        parts => parts.iter().filter_map(|part| part["text"].as_str()).collect::<Vec<_>>().join("\n"),
    }
}

/// A text out of its place. Empty if it is none.
fn taken(text: &mut Value) -> String {
    match text.take() {
        Value::String(text) => text,
        _ => String::new(),
    }
}

/// A user's block as a part of a chat message.
fn part(mut block: Value) -> Option<Value> {
    let kind = block["type"].as_str()?.to_string();
    let source = block.get_mut("source").map(Value::take).unwrap_or_default();
    match (kind.as_str(), source["type"].as_str()) {
        ("text", _) => Some(taken(block.get_mut("text")?)).filter(|text| !text.is_empty()).map(text_part),
        ("image", Some("base64")) => {
            let (media, data) = (source["media_type"].as_str().unwrap_or("image/png"), source["data"].as_str()?);
            let url = format!("data:{media};base64,{data}");
            drop(source);
            let mut part = json!({"type": "image_url", "image_url": {"url": null}});
            part["image_url"]["url"] = url.into();
            Some(part)
        }
        ("image", Some("url")) => Some(json!({"type": "image_url", "image_url": {"url": source["url"].as_str()?}})),
        ("document", Some("text")) => Some(text_part(source["data"].as_str()?.into())),
        ("tool_reference", _) => Some(text_part(format!("The tool {} is there now.", block["tool_name"].as_str()?))),
        ("thinking" | "redacted_thinking", _) => None,
        _ => Some(text_part(match block["text"].as_str() {
            Some(text) => text.to_string(),
            None => not_shown(&kind),
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
pub(super) fn short_id(id: &str) -> String {
    let hash = id.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let digit = |place: u32| char::from_digit((hash / 36_u64.pow(place) % 36) as u32, 36).unwrap_or('0');
    (0..9).map(digit).collect()
}

/// A text, or the texts of a list of blocks.
pub(super) fn texts(content: &Value) -> Vec<String> {
    match content {
        Value::String(text) => vec![text.clone()],
        Value::Array(blocks) => blocks.iter().filter_map(|block| block["text"].as_str()).map(str::to_string).collect(),
        _ => vec![],
    }
    .into_iter()
    .filter(|text| !text.is_empty())
    .collect()
}
