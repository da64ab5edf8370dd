//! The assistant's messages, and the stream events that a caller gets who wants the pieces.

use serde_json::{Value, json};

use crate::answer::reporter::Reporter;
use crate::answer::reporter::result::millis;
use crate::claude_code::protocol::messages;
use crate::completions::chunk::Usage;

impl Reporter {
    /// Sends the whole message, and the events that end it.
    pub(super) fn send_message(&mut self, content: Value, stop_reason: &str, usage: Usage) {
        if self.output.shows_messages() {
            self.send_assistant(content, usage);
            if self.close_block() {
                self.send_event(messages::message_delta(stop_reason.into(), usage));
                self.send_event(json!({"type": "message_stop"}));
            }
        }
    }

    pub(super) fn send_assistant(&mut self, content: Value, usage: Usage) {
        let mut message = self.assistant(content, usage);
        self.add_user_uuid(&mut message);
        self.output.message(&message);
    }

    pub(super) fn assistant(&self, content: Value, usage: Usage) -> Value {
        let mut message = messages::message(self.message_id().unwrap_or_default(), &self.session.model, json!([content]), usage);
        messages::extend(&mut message, json!({"context_management": null}));
        let mut line = messages::assistant(&self.session, message);
        messages::extend(&mut line, json!({"uuid": self.answer_uuid()}));
        line
    }

    pub(super) fn send_event(&mut self, event: Value) {
        let event = messages::stream_event(&self.session, self.message_id().unwrap_or_default(), event);
        self.output.message(&event);
    }

    pub(super) fn open_message(&mut self, block: Value) {
        let Some(turn) = self.turn.as_mut() else { return };
        turn.has_open_message = true;
        turn.begun_ids.push(turn.message_id.clone());
        let message = messages::message(&turn.message_id, &self.session.model, json!([]), Usage::default());
        let start = json!({"type": "message_start", "message": message});
        let mut start = messages::stream_event(&self.session, &turn.message_id, start);
        messages::extend(&mut start, json!({"ttft_ms": turn.first_text_at.map(|at| millis(at - turn.begun))}));
        self.add_user_uuid(&mut start);
        self.output.message(&start);
        self.send_event(json!({"type": "content_block_start", "index": 0, "content_block": block}));
    }

    /// Sends the first of the events that end a message. Returns whether the others are due: false if none has begun.
    pub(super) fn close_block(&mut self) -> bool {
        let was_open = self.turn.as_mut().is_some_and(|turn| std::mem::take(&mut turn.has_open_message));
        if was_open {
            self.send_event(json!({"type": "content_block_stop", "index": 0}));
        }
        was_open
    }

    /// Sends the last of those events for a message of which only so many blocks count.
    pub(super) fn stop_after(&mut self, blocks: u32) {
        let id = self.message_id().unwrap_or_default();
        let mut stop = messages::stream_event(&self.session, id, json!({"type": "message_stop"}));
        let abandoned = json!({"api_message_id": id, "from_block_index": blocks});
        messages::extend(&mut stop, json!({"abandoned_blocks": abandoned}));
        self.output.message(&stop);
    }

    /// Adds the id of the message that is answered, if its sender gave it one.
    pub(super) fn add_user_uuid(&self, message: &mut Value) {
        if let Some(uuid) = self.turn.as_ref().and_then(|turn| turn.start.user_uuid.as_ref()) {
            messages::extend(message, json!({"user_message_uuid": uuid, "user_message_uuids": [uuid]}));
        }
    }
}
