//! The answer as the Messages API tells it: in events, or in one piece.

use serde_json::{Value, json};

use crate::claude_code::protocol::messages::api_id;
use crate::completions::chunk::Usage;
use crate::gateway::api_error::ApiError;

/// A piece of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// Of its text.
    Text(String),
    /// Of the thinking before it.
    Thinking(String),
    /// A whole call of a tool.
    Call {
        /// The tool's name.
        name: String,
        /// Its arguments: the text of a JSON object.
        arguments: String,
    },
}

/// How an answer ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct End {
    /// `end_turn`, `max_tokens`, `stop_sequence`, `tool_use` or `refusal`.
    pub reason: &'static str,
    /// The stop sequence that ended it.
    pub sequence: Option<String>,
    /// The tokens that it took.
    pub usage: Usage,
}

/// Who takes an answer.
pub(crate) trait Sink {
    /// Takes a piece of it.
    fn piece(&mut self, piece: Piece);
    /// Takes its end.
    fn end(&mut self, end: End);
}

/// Writes server-sent events. Blocks come one after the other, as the API promises.
pub(crate) struct Events {
    model: Value,
    input_tokens: u64,
    out: Vec<u8>,
    has_begun: bool,
    open: Option<Block>,
    next: u32,
}

#[derive(Clone, Copy, PartialEq)]
enum Block {
    Text,
    Thinking,
}

impl Events {
    /// The events of an answer of `model` to a prompt of about `input_tokens`.
    pub(crate) fn new(model: Value, input_tokens: u64) -> Events {
        Events { model, input_tokens, out: Vec::new(), has_begun: false, open: None, next: 0 }
    }

    /// The bytes that are to be sent.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    /// A sign of life. The first one is the beginning, since clients know no other.
    pub(crate) fn ping(&mut self) {
        self.begin();
        self.event("ping", &json!({"type": "ping"}));
    }

    /// The end of an answer that broke.
    pub(crate) fn error(&mut self, trouble: &ApiError) {
        self.begin();
        self.event("error", &trouble.body());
    }

    fn begin(&mut self) {
        if !std::mem::replace(&mut self.has_begun, true) {
            let usage = Usage { input: self.input_tokens, ..Usage::default() };
            let message = message(&self.model, json!([]), Value::Null, Value::Null, usage);
            self.event("message_start", &json!({"type": "message_start", "message": message}));
        }
    }

    fn event(&mut self, name: &str, data: &Value) {
        self.out.extend_from_slice(format!("event: {name}\ndata: {data}\n\n").as_bytes());
    }

    fn delta(&mut self, index: u32, delta: Value) {
        self.event("content_block_delta", &json!({"type": "content_block_delta", "index": index, "delta": delta}));
    }

    fn start_block(&mut self, block: Value) {
        self.event("content_block_start", &json!({"type": "content_block_start", "index": self.next, "content_block": block}));
    }

    fn stop_block(&mut self) {
        self.event("content_block_stop", &json!({"type": "content_block_stop", "index": self.next}));
        self.next += 1;
    }

    fn close(&mut self) {
        if let Some(block) = self.open.take() {
            if block == Block::Thinking {
                // No real one: whoever asks Claude to go on with this must leave the thinking out.
                self.delta(self.next, json!({"type": "signature_delta", "signature": ""}));
            }
            self.stop_block();
        }
    }

    fn open(&mut self, block: Block) {
        if self.open != Some(block) {
            self.close();
            self.start_block(match block {
                Block::Text => json!({"type": "text", "text": ""}),
                Block::Thinking => json!({"type": "thinking", "thinking": "", "signature": ""}),
            });
            self.open = Some(block);
        }
    }
}

impl Sink for Events {
    fn piece(&mut self, piece: Piece) {
        self.begin();
        match piece {
            Piece::Text(text) => {
                self.open(Block::Text);
                self.delta(self.next, json!({"type": "text_delta", "text": text}));
            }
            Piece::Thinking(text) => {
                self.open(Block::Thinking);
                self.delta(self.next, json!({"type": "thinking_delta", "thinking": text}));
            }
            Piece::Call { name, arguments } => {
                self.close();
                self.start_block(json!({"type": "tool_use", "id": api_id("toolu"), "name": name, "input": {}}));
                self.delta(self.next, json!({"type": "input_json_delta", "partial_json": arguments}));
                self.stop_block();
            }
        }
    }

    fn end(&mut self, end: End) {
        self.begin();
        self.close();
        let delta = json!({"stop_reason": end.reason, "stop_sequence": end.sequence});
        self.event("message_delta", &json!({"type": "message_delta", "delta": delta, "usage": usage(end.usage)}));
        self.event("message_stop", &json!({"type": "message_stop"}));
    }
}

/// Collects an answer.
#[derive(Default)]
pub(crate) struct Whole {
    content: Vec<Value>,
    end: Option<End>,
}

impl Whole {
    /// The message, if the answer has ended.
    pub(crate) fn message(self, model: Value) -> Option<Value> {
        let end = self.end?;
        Some(message(&model, self.content.into(), end.reason.into(), end.sequence.into(), end.usage))
    }

    /// Adds to the last block if that is of this kind.
    fn add(&mut self, kind: &str, text: &str) {
        if self.content.last().is_none_or(|last| last["type"] != kind) {
            let mut block = json!({"type": kind, kind: ""});
            if kind == "thinking" {
                block["signature"] = "".into();
            }
            self.content.push(block);
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
                self.content.push(json!({"type": "tool_use", "id": api_id("toolu"), "name": name, "input": input}));
            }
        }
    }

    fn end(&mut self, end: End) {
        self.end = Some(end);
    }
}

fn message(model: &Value, content: Value, stop_reason: Value, stop_sequence: Value, tokens: Usage) -> Value {
    json!({
        "id": api_id("msg"), "type": "message", "role": "assistant", "model": model, "content": content,
        "stop_reason": stop_reason, "stop_sequence": stop_sequence, "usage": usage(tokens),
    })
}

fn usage(usage: Usage) -> Value {
    json!({
        "input_tokens": usage.input, "cache_creation_input_tokens": 0, "cache_read_input_tokens": usage.cached,
        "output_tokens": usage.output,
    })
}
