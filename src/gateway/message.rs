//! The answer as a message of the Messages API: its pieces, its end, and both in one.

use serde::Serialize;
use serde_json::{Value, json};

use crate::claude_code::protocol::messages::api_id;
use crate::completions::chunk::Usage;

/// A part of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Text(String),
    Thinking(String),
    Call {
        name: String,
        /// The text of a JSON object.
        arguments: String,
    },
    /// A whole block of any other kind.
    Block(Value),
}

/// How an answer ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct End {
    /// `end_turn`, `max_tokens`, `stop_sequence`, `tool_use` or `refusal`.
    pub reason: &'static str,
    /// The stop sequence that ended it.
    pub sequence: Option<String>,
    pub usage: Usage,
}

/// Takes the parts of an answer.
pub(crate) trait Sink {
    fn piece(&mut self, piece: Piece);
    fn end(&mut self, end: End);
}

pub(super) fn empty_block(kind: &str) -> Value {
    match kind {
        // No real signature: a client that sends this conversation to Claude must leave the thinking out.
        "thinking" => json!({"type": kind, kind: "", "signature": ""}),
        _ => json!({"type": kind, kind: ""}),
    }
}

pub(super) fn tool_use(name: &str, input: Value) -> Value {
    json!({"type": "tool_use", "id": api_id("toolu"), "name": name, "input": input})
}

/// A message in the API's words.
#[derive(Serialize)]
pub(super) struct Message<'a> {
    id: String,
    r#type: &'a str,
    role: &'a str,
    model: &'a str,
    content: &'a [Value],
    stop_reason: Option<&'a str>,
    stop_sequence: Option<&'a str>,
    usage: ApiUsage,
}

impl<'a> Message<'a> {
    /// One that has not ended unless `end` says so.
    pub(super) fn new(model: &'a str, content: &'a [Value], end: Option<&'a End>, usage: Usage) -> Message<'a> {
        Message {
            id: api_id("msg"),
            r#type: "message",
            role: "assistant",
            model,
            content,
            stop_reason: end.map(|end| end.reason),
            stop_sequence: end.and_then(|end| end.sequence.as_deref()),
            usage: ApiUsage::from(usage),
        }
    }
}

/// What was used, in the API's words.
#[derive(Serialize)]
pub(super) struct ApiUsage {
    input_tokens: u64,
    cache_creation_input_tokens: u64,
    cache_read_input_tokens: u64,
    output_tokens: u64,
}

impl From<Usage> for ApiUsage {
    fn from(usage: Usage) -> ApiUsage {
        ApiUsage {
            input_tokens: usage.input,
            cache_creation_input_tokens: 0,
            cache_read_input_tokens: usage.cached,
            output_tokens: usage.output,
        }
    }
}

/// Collects an answer into one message.
pub(crate) struct Whole {
    model: String,
    content: Vec<Value>,
    end: Option<End>,
}

impl Whole {
    /// An answer of `model`.
    pub(crate) fn new(model: String) -> Whole {
        Whole { model, content: vec![], end: None }
    }

    /// The message, if the answer has ended.
    pub(crate) fn message(self) -> Option<Value> {
        let end = self.end?;
        serde_json::to_value(Message::new(&self.model, &self.content, Some(&end), end.usage)).ok()
    }

    pub(crate) fn set_model(&mut self, model: String) {
        self.model = model;
    }

    pub(crate) fn has_pieces(&self) -> bool {
        !self.content.is_empty()
    }

    /// Extends the last block if it is of this kind.
    fn add(&mut self, kind: &str, text: &str) {
        if self.content.last().is_none_or(|last| last["type"] != kind) {
            self.content.push(empty_block(kind));
        }
        if let Some(Value::String(so_far)) = self.content.last_mut().and_then(|last| last.get_mut(kind)) {
            so_far.push_str(text);
        }
    }
}

impl Sink for Whole {
    fn piece(&mut self, piece: Piece) {
        match piece {
            Piece::Text(text) => self.add("text", &text),
            Piece::Thinking(text) => self.add("thinking", &text),
            Piece::Call { name, arguments } => {
                let input: Value = serde_json::from_str(&arguments).unwrap_or_else(|_| json!({}));
                self.content.push(tool_use(&name, input));
            }
            Piece::Block(block) => self.content.push(block),
        }
    }

    fn end(&mut self, end: End) {
        self.end = Some(end);
    }
}
