//! Tells the caller of a turn, in Claude Code's messages and their order.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::chat::Usage;
use super::output::{Format, Output};
use super::problem::Problem;
use super::wire::{self, Identity};
use crate::error::Error;

/// Tells of turns, one at a time.
pub struct Reporter {
    /// Where it tells.
    pub output: Output,
    /// What it says of the conversation.
    pub identity: Identity,
    applet: String,
    turn: Option<Turn>,
    results: u32,
    last_failed: bool,
}

/// A turn that is not over.
struct Turn {
    id: u64,
    begun: Instant,
    asked_at: Option<Instant>,
    first_text_at: Option<Instant>,
    message_id: String,
    text: String,
    /// The message that is repeated to the caller before the answer.
    replay: Option<Value>,
    /// The sender's id of the message that is answered.
    user_uuid: Option<String>,
    is_introduced: bool,
    /// The answer is a structure, and told when it is whole.
    is_structured: bool,
}

/// What a turn has taken.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spent {
    /// The tokens.
    pub usage: Usage,
    /// The time that the server had.
    pub api: Duration,
}

/// How a turn ended well.
pub struct Success {
    /// The answer.
    pub text: String,
    /// The structure that it holds, if one was asked for.
    pub structure: Option<Value>,
    /// Whether it was cut at the most tokens of an answer.
    pub is_cut_by_limit: bool,
    /// What it has taken.
    pub spent: Spent,
}

impl Reporter {
    /// A reporter for the applet `applet`.
    pub fn new(applet: &str, output: Output, identity: Identity) -> Reporter {
        Reporter { output, identity, applet: applet.into(), turn: None, results: 0, last_failed: false }
    }

    /// Whether the last result was an error, which is the exit code.
    pub fn last_failed(&self) -> bool {
        self.last_failed
    }

    /// Whether the model's name is told.
    pub fn names_the_model(&self) -> bool {
        self.output.format() != Format::Text
    }

    /// Begins a turn that answers the message `user_uuid`; `replay` is repeated to the caller.
    pub fn begin(&mut self, id: u64, replay: Option<Value>, user_uuid: Option<String>, is_structured: bool) {
        self.turn = Some(Turn {
            id,
            begun: Instant::now(),
            asked_at: None,
            first_text_at: None,
            message_id: wire::api_id("msg"),
            text: String::new(),
            replay,
            user_uuid,
            is_introduced: false,
            is_structured,
        });
    }

    /// Whether this turn still runs.
    pub fn is_running(&self, id: u64) -> bool {
        self.turn.as_ref().is_some_and(|turn| turn.id == id)
    }

    /// Tells the first message of the turn, once its model is known.
    pub fn introduce(&mut self) {
        let Some(turn) = self.turn.as_mut().filter(|turn| !turn.is_introduced) else { return };
        turn.is_introduced = true;
        if self.output.shows_messages() {
            self.output.message(&wire::init(&self.identity));
            self.output.flush();
        }
    }

    /// The server is being asked now.
    pub fn asked(&mut self) {
        let Some(turn) = &mut self.turn else { return };
        turn.asked_at.get_or_insert_with(Instant::now);
        if self.output.shows_partials() {
            let mut message = wire::status(&self.identity, json!({"status": "requesting"}));
            if let Some(uuid) = &turn.user_uuid {
                wire::extend(&mut message, json!({"user_message_uuids": [uuid]}));
            }
            self.output.message(&message);
            self.output.flush();
        }
    }

    /// Something of the answer is there: what was asked is repeated first.
    fn replay(&mut self) {
        if let Some(replay) = self.turn.as_mut().and_then(|turn| turn.replay.take()) {
            self.output.message(&replay);
        }
    }

    /// Takes a piece of a turn's answer. `Break` if that turn is over.
    pub fn on_text(&mut self, id: u64, piece: &str) -> ControlFlow<()> {
        let Some(turn) = self.turn.as_mut().filter(|turn| turn.id == id) else { return ControlFlow::Break(()) };
        if turn.is_structured {
            turn.first_text_at.get_or_insert_with(Instant::now);
            return ControlFlow::Continue(());
        }
        let is_first = turn.first_text_at.is_none();
        if is_first {
            turn.first_text_at = Some(Instant::now());
        }
        turn.text.push_str(piece);
        if self.output.shows_partials() {
            if is_first {
                self.replay();
                self.open_message(json!({"type": "text", "text": ""}));
            }
            if let Some(turn) = &self.turn {
                self.output.message(&wire::TextDelta::new(&self.identity.session_id, &turn.message_id, piece));
            }
        } else {
            self.output.text(piece);
        }
        ControlFlow::Continue(())
    }

    /// All of a turn's answer that has arrived has been taken.
    pub fn on_pause(&mut self, id: u64) -> ControlFlow<()> {
        if !self.is_running(id) {
            return ControlFlow::Break(());
        }
        self.output.flush();
        ControlFlow::Continue(())
    }

    /// The turn has an answer.
    pub fn succeed(&mut self, success: Success) {
        self.introduce();
        self.replay();
        let Some(turn) = self.turn.take() else { return };
        let Success { text, structure, is_cut_by_limit, spent } = success;
        let stop_reason = match (&structure, is_cut_by_limit) {
            (Some(_), _) => "tool_use",
            (None, true) => "max_tokens",
            (None, false) => "end_turn",
        };
        let text = match &structure {
            Some(value) => value.to_string(),
            None => text,
        };
        self.tell_message(&turn, &text, structure.as_ref(), stop_reason, spent.usage);
        let mut fields = json!({"result": text, "stop_reason": stop_reason, "terminal_reason": "completed"});
        if let Some(value) = structure {
            wire::extend(&mut fields, json!({"structured_output": value}));
        }
        self.tell_result(&turn, "success", false, 1, spent, fields, &text);
    }

    /// The turn has none, and this is why.
    pub fn fail(&mut self, error: &Error) {
        self.introduce();
        self.replay();
        let Some(turn) = self.turn.take() else { return };
        let problem = Problem::new(&self.applet, error);
        if self.output.shows_messages() {
            let usage = json!({
                "input_tokens": 0, "output_tokens": 0, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0,
            });
            let mut message = wire::message(&wire::uuid(), "<synthetic>", json!([{"type": "text", "text": problem.text}]), usage);
            message["stop_reason"] = "stop_sequence".into();
            message["stop_sequence"] = "".into();
            let mut message = self.assistant(&turn, message);
            let status = json!({"error": problem.kind, "is_api_error_message": true, "api_error_status": problem.status});
            wire::extend(&mut message, status);
            self.output.message(&message);
        }
        let fields = json!({
            "result": problem.text, "api_error_status": problem.status,
            "stop_reason": "stop_sequence", "terminal_reason": problem.terminal_reason,
        });
        self.tell_result(&turn, "success", true, 1, Spent::default(), fields, &problem.text);
    }

    /// The answer is no such structure as was asked for, in none of its attempts.
    pub fn fail_structure(&mut self, attempts: u32, reason: &str, spent: Spent) {
        self.introduce();
        self.replay();
        let Some(turn) = self.turn.take() else { return };
        let error = format!(
            "Failed to provide valid structured output after {attempts} attempts — last StructuredOutput error: {reason}"
        );
        let fields = json!({
            "stop_reason": "tool_use", "terminal_reason": "structured_output_retry_exhausted", "errors": [error],
        });
        self.tell_result(&turn, "error_max_structured_output_retries", true, attempts, spent, fields, &error);
    }

    /// The caller wants no more of it. Gives the text that had come.
    pub fn interrupt(&mut self) -> Option<String> {
        self.introduce();
        self.replay();
        let turn = self.turn.take()?;
        if self.output.shows_messages() {
            if !turn.text.is_empty() {
                let content = json!([{"type": "text", "text": turn.text}]);
                let usage = wire::message_usage(Usage::default());
                let message = wire::message(&turn.message_id, &self.identity.model, content, usage);
                let mut message = self.assistant(&turn, message);
                wire::extend(&mut message, json!({"aborted": true}));
                self.output.message(&message);
            }
            let content = json!([{"type": "text", "text": "[Request interrupted by user]"}]);
            self.output.message(&wire::user(&self.identity, content));
            if self.output.shows_partials() && !turn.text.is_empty() {
                self.close_message(&turn, Value::Null, Usage::default());
            }
        }
        let fields = json!({
            "stop_reason": null, "terminal_reason": "aborted_streaming",
            "errors": ["[ede_diagnostic] result_type=user last_content_type=n/a stop_reason=null"],
        });
        self.tell_result(&turn, "error_during_execution", true, 2, Spent::default(), fields, "Execution error");
        Some(turn.text)
    }

    /// The turn needed no model; `text` says why, if there is something to say.
    pub fn succeed_unasked(&mut self, text: &str) {
        self.introduce();
        if !text.is_empty() && self.output.shows_messages() {
            let mut message = json!({"type": "system", "subtype": "informational", "content": text, "level": "warning"});
            wire::extend(&mut message, json!({"uuid": wire::uuid(), "session_id": self.identity.session_id}));
            self.output.message(&message);
        } else {
            self.replay();
        }
        let Some(turn) = self.turn.take() else { return };
        self.tell_result(&turn, "success", false, 0, Spent::default(), json!({"result": text, "stop_reason": null}), text);
    }

    /// The conversation cannot begin, and this is why.
    pub fn fail_at_start(&mut self, error: &str) {
        if matches!(self.output.format(), Format::StreamJson { .. }) {
            self.begin(0, None, None, false);
            let Some(turn) = self.turn.take() else { return };
            let fields = json!({"stop_reason": null, "errors": [error]});
            self.tell_result(&turn, "error_during_execution", true, 0, Spent::default(), fields, error);
        }
    }

    /// The whole message, and the events that end it.
    fn tell_message(&mut self, turn: &Turn, text: &str, structure: Option<&Value>, stop_reason: &str, usage: Usage) {
        if !self.output.shows_messages() {
            return;
        }
        let partials = self.output.shows_partials();
        let tool_use_id = wire::api_id("toolu");
        let content = match structure {
            None => json!({"type": "text", "text": text}),
            Some(input) => json!({"type": "tool_use", "id": tool_use_id, "name": "StructuredOutput", "input": input}),
        };
        if let (true, Some(input)) = (partials, structure) {
            self.open_message_of(turn, json!({"type": "tool_use", "id": tool_use_id, "name": "StructuredOutput", "input": {}}));
            let delta = json!({"type": "input_json_delta", "partial_json": input.to_string()});
            self.event(turn, json!({"type": "content_block_delta", "index": 0, "delta": delta}));
        }
        let message = wire::message(&turn.message_id, &self.identity.model, json!([content]), wire::message_usage(usage));
        let message = self.assistant(turn, message);
        self.output.message(&message);
        if partials {
            self.close_message(turn, stop_reason.into(), usage);
        }
        if structure.is_some() {
            let said = "Structured output provided successfully";
            let content = json!([{"tool_use_id": tool_use_id, "type": "tool_result", "content": said}]);
            let mut message = wire::user(&self.identity, content);
            wire::extend(&mut message, json!({"tool_use_result": said}));
            self.output.message(&message);
        }
    }

    fn assistant(&self, turn: &Turn, message: Value) -> Value {
        let mut message = wire::assistant(&self.identity, message);
        if let Some(uuid) = &turn.user_uuid {
            wire::extend(&mut message, json!({"user_message_uuid": uuid, "user_message_uuids": [uuid]}));
        }
        message
    }

    fn event(&mut self, turn: &Turn, event: Value) {
        self.output.message(&wire::stream_event(&self.identity, &turn.message_id, event));
    }

    fn close_message(&mut self, turn: &Turn, stop_reason: Value, usage: Usage) {
        self.event(turn, json!({"type": "content_block_stop", "index": 0}));
        let delta = json!({"stop_reason": stop_reason, "stop_sequence": null});
        self.event(turn, json!({"type": "message_delta", "delta": delta, "usage": {"output_tokens": usage.output}}));
        self.event(turn, json!({"type": "message_stop"}));
    }

    fn open_message(&mut self, block: Value) {
        if let Some(turn) = self.turn.take() {
            self.open_message_of(&turn, block);
            self.turn = Some(turn);
        }
    }

    fn open_message_of(&mut self, turn: &Turn, block: Value) {
        let message = wire::message(&turn.message_id, &self.identity.model, json!([]), wire::message_usage(Usage::default()));
        let start = json!({"type": "message_start", "message": message});
        let mut start = wire::stream_event(&self.identity, &turn.message_id, start);
        wire::extend(&mut start, json!({"ttft_ms": turn.first_text_at.map(|at| millis(at - turn.begun))}));
        self.output.message(&start);
        self.event(turn, json!({"type": "content_block_start", "index": 0, "content_block": block}));
    }

    #[allow(clippy::too_many_arguments)]
    fn tell_result(&mut self, turn: &Turn, subtype: &str, is_error: bool, turns: u32, spent: Spent, fields: Value, text: &str) {
        self.last_failed = is_error;
        let since = |at: Option<Instant>| at.map(|at| millis(at - turn.begun));
        let usage = wire::model_usage(&self.identity, spent.usage, spent.usage != Usage::default());
        let mut message = json!({
            "type": "result", "subtype": subtype, "is_error": is_error,
            "duration_ms": millis(turn.begun.elapsed()), "duration_api_ms": millis(spent.api),
            "num_turns": turns,
        });
        if !is_error {
            wire::extend(&mut message, json!({"api_error_status": null}));
        }
        if let Some(first) = since(turn.first_text_at) {
            let request = since(turn.asked_at);
            let times = json!({"ttft_ms": first, "ttft_stream_ms": first, "time_to_request_ms": request});
            wire::extend(&mut message, times);
        }
        wire::extend(&mut message, fields);
        wire::extend(
            &mut message,
            json!({
                "session_id": self.identity.session_id, "total_cost_usd": 0,
                "usage": wire::turn_usage(spent.usage), "modelUsage": usage,
                "permission_denials": [],
                "fast_mode_state": "off", "fast_mode_disabled_reason": "sdk_opt_in_required",
                "subagent_stats": wire::no_subagents(), "safety_stops": 0,
                "uuid": wire::uuid(),
                "queued_turn_count": 0, "result_index": self.results,
                "failover": {"backend": "local", "reason": "switch"},
            }),
        );
        if let Some(uuid) = &turn.user_uuid {
            wire::extend(&mut message, json!({"user_message_uuid": uuid, "user_message_uuids": [uuid]}));
        }
        self.results += 1;
        self.output.result(&message, text);
    }
}

fn millis(duration: Duration) -> u64 {
    duration.as_millis().try_into().unwrap_or(u64::MAX)
}
