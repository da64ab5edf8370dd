//! The messages for an answer that must be a structure: those of Claude Code's tool `StructuredOutput`.

use serde_json::{Value, json};

use crate::answer::reporter::Reporter;
use crate::answer::reporter::result::ResultFields;
use crate::claude_code::json_schema::Mismatch;
use crate::claude_code::protocol::messages;
use crate::completions::chunk::Usage;

impl Reporter {
    /// Reports an answer that does not match the schema, and what the model is told about it.
    pub(in crate::answer) fn send_mismatch(&mut self, text: &str, mismatch: &Mismatch, usage: Usage) {
        self.send_replay();
        match &mismatch.value {
            Some(value) => self.send_structure(value, usage, Err(&mismatch.reason)),
            None if self.output.shows_messages() => {
                let block = |text: &str| json!({"type": "text", "text": text});
                if self.output.shows_partials() {
                    self.open_message(block(""));
                    let delta = json!({"type": "text_delta", "text": text});
                    self.send_event(json!({"type": "content_block_delta", "index": 0, "delta": delta}));
                }
                self.send_message(block(text), "end_turn", usage);
                let content = json!([block(MUST_BE_STRUCTURED)]);
                let mut message = messages::user(&self.session, content);
                messages::extend(&mut message, json!({"isSynthetic": true}));
                self.output.message(&message);
            }
            None => {}
        }
        self.output.flush();
        if let Some(turn) = &mut self.turn {
            turn.message_id = messages::api_id("msg");
            turn.answer_uuid = messages::uuid();
        }
    }

    /// Sends a structure in the form in which Claude gives it: as the input of a tool.
    pub(super) fn send_structure(&mut self, value: &Value, usage: Usage, verdict: Result<(), &str>) {
        if !self.output.shows_messages() {
            return;
        }
        let id = messages::api_id("toolu");
        let tool_use = |input: Value| json!({"type": "tool_use", "id": id, "name": "StructuredOutput", "input": input});
        if self.output.shows_partials() {
            self.open_message(tool_use(json!({})));
            let delta = json!({"type": "input_json_delta", "partial_json": value.to_string()});
            self.send_event(json!({"type": "content_block_delta", "index": 0, "delta": delta}));
        }
        self.send_assistant(tool_use(value.clone()), usage);
        let is_open = self.close_block();
        if is_open {
            self.send_event(messages::message_delta("tool_use".into(), usage));
        }
        let content = verdict.err().unwrap_or("Structured output provided successfully");
        let mut result = json!({"tool_use_id": id, "type": "tool_result", "content": content});
        if verdict.is_err() {
            messages::extend(&mut result, json!({"is_error": true}));
        }
        let mut message = messages::user(&self.session, json!([result]));
        let meta = json!([{"id": id, "permission_decision": {"decision": "accept", "source": "config"}}]);
        let outcome = if verdict.is_ok() { content.to_string() } else { format!("Error: {content}") };
        messages::extend(&mut message, json!({"tool_use_result": outcome, "tool_result_meta": meta}));
        self.output.message(&message);
        if is_open {
            self.send_event(json!({"type": "message_stop"}));
        }
    }

    /// Ends a turn in which no attempt matched the schema.
    pub(in crate::answer) fn fail_structure(&mut self, attempts: u32, reason: &str) {
        self.send_init();
        self.send_replay();
        let error = format!(
            "Failed to provide valid structured output after {attempts} attempts — last StructuredOutput error: {reason}"
        );
        let more = json!({
            "errors": [error], "stop_reason": "tool_use", "terminal_reason": "structured_output_retry_exhausted",
        });
        let subtype = "error_max_structured_output_retries";
        let text = format!("Error: {error}");
        self.end(ResultFields { subtype, is_error: true, turns: attempts + 1, more, text: &text });
    }
}

/// The real CLI's message to a model that gives plain text where a structure is wanted.
const MUST_BE_STRUCTURED: &str =
    "[structured-output-enforce] You MUST call the StructuredOutput tool to complete this request. Call this tool now.";
