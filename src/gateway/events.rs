//! The answer as server-sent events.

use serde::Serialize;
use serde_json::{Value, json};

use crate::completions::chunk::Usage;
use crate::gateway::api_error::ApiError;
use crate::gateway::message::{ApiUsage, End, Message, Piece, Sink, empty_block, tool_use};

/// Writes server-sent events. Blocks come one after the other, as the API promises.
pub(crate) struct Events {
    model: String,
    input_tokens: u64,
    out: Vec<u8>,
    has_begun: bool,
    open: Option<OpenBlock>,
    next: u32,
}

#[derive(Serialize)]
struct Start<'a> {
    r#type: &'a str,
    message: Message<'a>,
}

#[derive(Clone, Copy, PartialEq)]
enum OpenBlock {
    Text,
    Thinking,
}

impl Events {
    /// The events of an answer of `model` to a prompt of about `input_tokens`.
    pub(crate) fn new(model: String, input_tokens: u64) -> Events {
        Events { model, input_tokens, out: Vec::new(), has_begun: false, open: None, next: 0 }
    }

    /// Has no effect once the message has begun.
    pub(crate) fn set_model(&mut self, model: String) {
        self.model = model;
    }

    /// The same of the prompt's length.
    pub(crate) fn set_prompt(&mut self, tokens: u64) {
        self.input_tokens = tokens;
    }

    pub(crate) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    /// Starts the message first if need be, since clients take no ping before that.
    pub(crate) fn ping(&mut self) {
        self.begin();
        self.event("ping", &json!({"type": "ping"}));
    }

    pub(crate) fn error(&mut self, error: &ApiError) {
        self.begin();
        self.event("error", &error.body());
    }

    fn begin(&mut self) {
        if !std::mem::replace(&mut self.has_begun, true) {
            let usage = Usage { input: self.input_tokens, ..Usage::default() };
            let model = std::mem::take(&mut self.model);
            self.event("message_start", &Start { r#type: "message_start", message: Message::new(&model, &[], None, usage) });
        }
    }

    fn event(&mut self, name: &str, data: &impl Serialize) {
        self.out.extend_from_slice(b"event: ");
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\ndata: ");
        // Into memory it cannot fail.
        let _ = serde_json::to_writer(&mut self.out, data);
        self.out.extend_from_slice(b"\n\n");
    }

    /// Written as text, since it comes for each token.
    fn delta(&mut self, kind: &str, key: &str, text: &str) {
        let start = format!(
            "event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":{},\"delta\":{{\"type\":\"{kind}\",\"{key}\":",
            self.next
        );
        self.out.extend_from_slice(start.as_bytes());
        let _ = serde_json::to_writer(&mut self.out, text);
        self.out.extend_from_slice(b"}}\n\n");
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
            if block == OpenBlock::Thinking {
                self.delta("signature_delta", "signature", "");
            }
            self.stop_block();
        }
    }

    fn open(&mut self, block: OpenBlock) {
        if self.open != Some(block) {
            self.close();
            self.start_block(empty_block(match block {
                OpenBlock::Text => "text",
                OpenBlock::Thinking => "thinking",
            }));
            self.open = Some(block);
        }
    }
}

impl Sink for Events {
    fn piece(&mut self, piece: Piece) {
        self.begin();
        match piece {
            Piece::Text(text) => {
                self.open(OpenBlock::Text);
                self.delta("text_delta", "text", &text);
            }
            Piece::Thinking(text) => {
                self.open(OpenBlock::Thinking);
                self.delta("thinking_delta", "thinking", &text);
            }
            Piece::Call { name, arguments } => {
                self.close();
                self.start_block(tool_use(&name, json!({})));
                self.delta("input_json_delta", "partial_json", &arguments);
                self.stop_block();
            }
            Piece::Block(mut block) => {
                self.close();
                // What a call is given comes in deltas.
                let input = block.get_mut("input").map(|input| std::mem::replace(input, json!({})));
                self.start_block(block);
                if let Some(input) = input {
                    self.delta("input_json_delta", "partial_json", &input.to_string());
                }
                self.stop_block();
            }
        }
    }

    fn end(&mut self, end: End) {
        self.begin();
        self.close();
        let delta = json!({"stop_reason": end.reason, "stop_sequence": end.sequence});
        self.event("message_delta", &json!({"type": "message_delta", "delta": delta, "usage": ApiUsage::from(end.usage)}));
        self.event("message_stop", &json!({"type": "message_stop"}));
    }
}
