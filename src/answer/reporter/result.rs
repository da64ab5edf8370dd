//! The ends of a turn: what is reported of each, and the result.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::answer::conversation::INTERRUPTED;
use crate::answer::reporter::{Cost, Reporter, Success};
use crate::claude_code::protocol::api_error::ApiError;
use crate::claude_code::protocol::messages;
use crate::claude_code::protocol::output::Format;
use crate::completions::chunk::Usage;
use crate::error::{Error, say_unless_parsed};
use crate::shown::Shown;

/// What differs from result to result.
pub(super) struct ResultFields<'a> {
    pub subtype: &'a str,
    pub is_error: bool,
    pub turns: u32,
    pub more: Value,
    /// What text format prints.
    pub text: &'a str,
}

impl Reporter {
    pub(in crate::answer) fn succeed(&mut self, success: Success) {
        let Success { text, structure, is_cut_by_limit, usage } = success;
        let stop_reason = match (&structure, is_cut_by_limit) {
            (Some(_), _) => "tool_use",
            (None, true) => "max_tokens",
            (None, false) => "end_turn",
        };
        self.send_init();
        self.send_replay();
        let mut more = json!({"api_error_status": null});
        let text = match structure {
            None => {
                self.send_message(json!({"type": "text", "text": text}), stop_reason, usage);
                messages::extend(&mut more, json!({"result": text}));
                text
            }
            Some(value) => {
                self.send_structure(&value, usage, Ok(()));
                let text = value.to_string();
                messages::extend(&mut more, json!({"result": text, "structured_output": value}));
                text
            }
        };
        messages::extend(&mut more, json!({"stop_reason": stop_reason, "terminal_reason": "completed"}));
        self.end(ResultFields { subtype: "success", is_error: false, turns: 1, more, text: &with_newline(&text) });
    }

    pub(in crate::answer) fn fail(&mut self, error: Error) {
        self.send_init();
        self.send_replay();
        let error = ApiError::new(&self.applet, error);
        let status = match error.api_error {
            Some(api_error) => json!({"api_error": api_error}),
            None => json!({"api_error_status": error.status}),
        };
        if self.output.shows_messages() {
            if self.close_block() {
                self.stop_after(0);
            }
            let mut message = messages::assistant(&self.session, messages::synthetic_message(&error.text));
            messages::extend(&mut message, json!({"error": error.kind, "is_api_error_message": true}));
            messages::extend(&mut message, status.clone());
            self.add_user_uuid(&mut message);
            self.output.message(&message);
        }
        if let Some(partial) = error.partial.filter(|_| !self.output.has_shown()) {
            let partial = partial.trim_end();
            say_unless_parsed(&Shown::lines(format_args!("{}: this much of the answer had come:\n{partial}", self.applet)));
        }
        let mut more = json!({"api_error_status": error.status});
        messages::extend(&mut more, status);
        let reasons = json!({"result": error.text, "stop_reason": "stop_sequence", "terminal_reason": error.terminal_reason});
        messages::extend(&mut more, reasons);
        let text = with_newline(&error.text);
        self.end(ResultFields { subtype: "success", is_error: true, turns: 1, more, text: &text });
    }

    /// The text of the open turn that has come so far.
    pub(in crate::answer) fn partial_text(&self) -> String {
        self.turn.as_ref().map(|turn| turn.text.clone()).unwrap_or_default()
    }

    /// Ends the turn on the caller's wish, of which a line with the id `uuid` tells.
    pub(in crate::answer) fn interrupt(&mut self, uuid: Option<String>) {
        self.send_init();
        self.send_replay();
        let text = self.partial_text();
        if self.output.shows_messages() {
            if !text.is_empty() {
                let mut message = self.assistant(json!({"type": "text", "text": text}), Usage::default());
                messages::extend(&mut message, json!({"aborted": true}));
                self.add_user_uuid(&mut message);
                self.output.message(&message);
            }
            let content = json!([{"type": "text", "text": INTERRUPTED}]);
            let mut line = messages::user(&self.session, content);
            messages::extend(&mut line, json!({"uuid": uuid}));
            self.output.message(&line);
            if self.close_block() {
                self.send_event(messages::message_delta(Value::Null, Usage::default()));
                self.stop_after(1);
            }
        }
        let more = json!({
            "errors": ["[ede_diagnostic] result_type=user last_content_type=n/a stop_reason=null"],
            "stop_reason": null, "terminal_reason": "aborted_streaming",
        });
        let subtype = "error_during_execution";
        self.end(ResultFields { subtype, is_error: true, turns: 2, more, text: "Execution error" });
    }

    /// Ends a turn in which the model had nothing to answer. `text` says why, unless it is empty.
    pub(in crate::answer) fn succeed_without_model(&mut self, text: &str) {
        self.send_init();
        if !text.is_empty() && self.output.shows_messages() {
            self.output.message(&messages::informational(&self.session, text));
        } else {
            self.send_replay();
        }
        let more = json!({"result": text, "stop_reason": null});
        self.end(ResultFields { subtype: "success", is_error: false, turns: 0, more, text: &with_newline(text) });
    }

    /// Reports that the conversation cannot begin.
    pub(in crate::answer) fn fail_at_start(&mut self, error: &str) {
        if matches!(self.output.format(), Format::StreamJson { .. }) {
            let message = json!({
                "type": "result", "subtype": "error_during_execution", "is_error": true,
                "duration_ms": 0, "duration_api_ms": 0, "num_turns": 0,
                "errors": [error], "stop_reason": null,
                "session_id": self.session.session_id, "total_cost_usd": 0,
                "usage": messages::turn_usage(Usage::default()), "modelUsage": {},
                "permission_denials": [], "uuid": messages::uuid(), "result_index": 0, "failover": self.session.mark,
            });
            self.output.result(&message, error, false);
        }
    }

    /// Sends the result, which ends the turn.
    pub(super) fn end(&mut self, fields: ResultFields) {
        let Some(turn) = &self.turn else { return };
        self.output.release();
        let ResultFields { subtype, is_error, turns, more, text } = fields;
        let cost = turn.cost;
        // A command's own question to the model counts for the session only.
        let shown = if turns == 0 { Cost::default() } else { cost };
        self.total.usage += cost.usage;
        self.total.api += cost.api;
        let mut message = json!({
            "type": "result", "subtype": subtype, "is_error": is_error,
            "duration_ms": millis(turn.begun.elapsed()), "duration_api_ms": millis(shown.api), "num_turns": turns,
        });
        messages::extend(&mut message, more);
        if let (Some(first), false) = (turn.first_text_at, is_error || turns == 0) {
            let since = |at: Instant| millis(at - turn.begun);
            let first = since(first);
            messages::extend(
                &mut message,
                json!({
                    "ttft_ms": first, "ttft_stream_ms": first, "first_content_frame_ms": first,
                    "time_to_request_ms": turn.asked_at.map(since),
                }),
            );
        }
        messages::extend(
            &mut message,
            json!({
                "session_id": self.session.session_id, "total_cost_usd": 0,
                "usage": messages::turn_usage(shown.usage), "modelUsage": self.model_usage(self.total),
                "permission_denials": [],
                "fast_mode_state": "off", "fast_mode_disabled_reason": "sdk_opt_in_required",
                "subagent_stats": messages::no_subagents(), "safety_stops": 0,
                "uuid": messages::uuid(),
            }),
        );
        if self.output.shows_partials() && turns > 0 {
            messages::extend(&mut message, json!({"begun_message_ids": turn.begun_ids}));
        }
        self.add_user_uuid(&mut message);
        if turn.start.is_persons {
            messages::extend(&mut message, json!({"origin": {"kind": "human"}}));
        }
        messages::extend(&mut message, json!({"queued_turn_count": 0, "result_index": self.results}));
        if matches!(self.output.format(), Format::StreamJson { .. }) {
            let since_last = self.model_usage(cost);
            messages::extend(&mut message, json!({"model_usage_since_last_result": since_last}));
        }
        messages::extend(&mut message, json!({"failover": self.session.mark}));
        self.turn = None;
        let mirrored = std::mem::take(&mut self.mirrored);
        if matches!(self.output.format(), Format::StreamJson { .. }) {
            mirrored.iter().for_each(|frame| self.output.message(frame));
        }
        self.results += 1;
        self.last_failed = is_error;
        let is_shown = !is_error && self.output.has_shown();
        self.output.result(&message, text, is_shown);
    }

    /// Usage by model; empty if none has answered.
    fn model_usage(&self, cost: Cost) -> Value {
        if cost.api.is_zero() { json!({}) } else { messages::model_usage(&self.session, cost.usage) }
    }
}

/// The text with a newline at its end.
fn with_newline(text: &str) -> String {
    let newline = if text.ends_with('\n') { "" } else { "\n" };
    format!("{text}{newline}")
}

pub(super) fn millis(duration: Duration) -> u64 {
    duration.as_millis().try_into().unwrap_or(u64::MAX)
}
