//! What is told of an answer that must be a structure: the messages that Claude Code has for its tool `StructuredOutput`.

use serde_json::{Value, json};

use crate::answer::reporter::{Ending, Reporter};
use crate::claude_code::json_schema::Mismatch;
use crate::claude_code::protocol::messages;
use crate::completions::chunk::Usage;

impl Reporter {
    /// An answer that is not of the form that was asked for, and what the model is told of it.
    pub(crate) fn tell_wrong_structure(&mut self, text: &str, wrong: &Mismatch, usage: Usage) {
        self.replay();
        match &wrong.value {
            Some(value) => self.tell_structure(value, usage, Err(&wrong.reason)),
            None if self.output.shows_messages() => {
                let block = |text: &str| json!({"type": "text", "text": text});
                if self.output.shows_partials() {
                    self.open_message(block(""));
                    let delta = json!({"type": "text_delta", "text": text});
                    self.event(json!({"type": "content_block_delta", "index": 0, "delta": delta}));
                }
                self.tell_message(block(text), "end_turn", usage);
                let content = json!([block(MUST_BE_STRUCTURED)]);
                let mut message = messages::user(&self.identity, content);
                messages::extend(&mut message, json!({"isSynthetic": true}));
                self.output.message(&message);
            }
            None => {}
        }
        self.output.flush();
        if let Some(turn) = &mut self.turn {
            turn.message_id = messages::api_id("msg");
        }
    }

    /// A structure, in the form in which Claude gives it: as the input of a tool.
    pub(super) fn tell_structure(&mut self, value: &Value, usage: Usage, verdict: Result<(), &str>) {
        if !self.output.shows_messages() {
            return;
        }
        let id = messages::api_id("toolu");
        let tool_use = |input: Value| json!({"type": "tool_use", "id": id, "name": "StructuredOutput", "input": input});
        if self.output.shows_partials() {
            self.open_message(tool_use(json!({})));
            let delta = json!({"type": "input_json_delta", "partial_json": value.to_string()});
            self.event(json!({"type": "content_block_delta", "index": 0, "delta": delta}));
        }
        self.tell_assistant(tool_use(value.clone()), usage);
        let is_open = self.close_block();
        if is_open {
            self.event(messages::message_delta("tool_use".into(), usage));
        }
        let said = verdict.err().unwrap_or("Structured output provided successfully");
        let mut result = json!({"tool_use_id": id, "type": "tool_result", "content": said});
        if verdict.is_err() {
            messages::extend(&mut result, json!({"is_error": true}));
        }
        let mut message = messages::user(&self.identity, json!([result]));
        let meta = json!([{"id": id, "permission_decision": {"decision": "accept", "source": "config"}}]);
        let said = if verdict.is_ok() { said.to_string() } else { format!("Error: {said}") };
        messages::extend(&mut message, json!({"tool_use_result": said, "tool_result_meta": meta}));
        self.output.message(&message);
        if is_open {
            self.event(json!({"type": "message_stop"}));
        }
    }

    /// The answer is no such structure as was asked for, in none of its attempts.
    pub(crate) fn fail_structure(&mut self, attempts: u32, reason: &str) {
        self.introduce();
        self.replay();
        let error = format!(
            "Failed to provide valid structured output after {attempts} attempts — last StructuredOutput error: {reason}"
        );
        let fields = json!({
            "errors": [error], "stop_reason": "tool_use", "terminal_reason": "structured_output_retry_exhausted",
        });
        let subtype = "error_max_structured_output_retries";
        let text = format!("Error: {error}");
        self.end(Ending { subtype, is_error: true, turns: attempts + 1, fields, text: &text });
    }
}

/// What the real CLI tells its model that gives plain text where a structure is wanted.
const MUST_BE_STRUCTURED: &str =
    "[structured-output-enforce] You MUST call the StructuredOutput tool to complete this request. Call this tool now.";
