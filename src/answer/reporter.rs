//! Tells the caller of a turn, in Claude Code's messages and their order.

pub(crate) mod structure;

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::answer::api_error::ApiError;
use crate::claude_code::protocol::messages;
use crate::claude_code::protocol::messages::SessionInfo;
use crate::claude_code::protocol::output::{Format, Output};
use crate::completions::chunk::Usage;
use crate::error::{Error, say};

/// Tells of turns, one at a time.
pub(crate) struct Reporter {
    /// Where it tells.
    pub output: Output,
    /// What it says of the conversation.
    pub identity: SessionInfo,
    applet: String,
    turn: Option<Turn>,
    results: u32,
    /// What all turns so far have taken.
    total: Spent,
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
    /// The events of a message have begun and not ended.
    has_open_message: bool,
    /// The ids of the messages whose events have begun.
    begun_ids: Vec<String>,
    /// What all its answers have taken.
    spent: Spent,
}

/// What a turn has taken.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Spent {
    /// The tokens.
    pub usage: Usage,
    /// The time that the server had.
    pub api: Duration,
}

/// How a turn ended well.
pub(crate) struct Success {
    /// The answer.
    pub text: String,
    /// The structure that it holds, if one was asked for.
    pub structure: Option<Value>,
    /// Whether it was cut at the most tokens of an answer.
    pub is_cut_by_limit: bool,
    /// The tokens of this answer alone.
    pub usage: Usage,
}

/// What a result says beside what all results say.
struct Ending<'a> {
    subtype: &'a str,
    is_error: bool,
    turns: u32,
    fields: Value,
    /// What stands for it in text format.
    text: &'a str,
}

impl Reporter {
    /// A reporter for the applet `applet`.
    pub(crate) fn new(applet: &str, output: Output, identity: SessionInfo) -> Reporter {
        let (applet, total) = (applet.into(), Spent::default());
        Reporter { output, identity, applet, turn: None, results: 0, total, last_failed: false }
    }

    /// The tokens of all turns that have ended.
    pub(crate) fn usage(&self) -> Usage {
        self.total.usage
    }

    /// Whether the last result was an error, which is the exit code.
    pub(crate) fn last_failed(&self) -> bool {
        self.last_failed
    }

    /// Whether the model's name is told.
    pub(crate) fn names_the_model(&self) -> bool {
        self.output.format() != Format::Text
    }

    /// Begins a turn that answers the message `user_uuid`; `replay` is repeated to the caller.
    pub(crate) fn begin(&mut self, id: u64, replay: Option<Value>, user_uuid: Option<String>, is_structured: bool) {
        self.turn = Some(Turn {
            id,
            begun: Instant::now(),
            asked_at: None,
            first_text_at: None,
            message_id: messages::api_id("msg"),
            text: String::new(),
            replay,
            user_uuid,
            is_introduced: false,
            is_structured,
            has_open_message: false,
            begun_ids: Vec::new(),
            spent: Spent::default(),
        });
    }

    /// Whether this turn still runs.
    pub(crate) fn is_running(&self, id: u64) -> bool {
        self.turn.as_ref().is_some_and(|turn| turn.id == id)
    }

    /// Tells the first message of the turn, once its model is known.
    pub(crate) fn introduce(&mut self) {
        let Some(turn) = self.turn.as_mut().filter(|turn| !turn.is_introduced) else { return };
        turn.is_introduced = true;
        if self.output.shows_messages() {
            let mut init = messages::init(&self.identity);
            if let Some(uuid) = &turn.user_uuid {
                messages::extend(&mut init, json!({"user_message_uuids": [uuid]}));
            }
            self.output.message(&init);
            self.output.flush();
        }
    }

    /// The server is being asked now.
    pub(crate) fn asked(&mut self) {
        let Some(turn) = &mut self.turn else { return };
        turn.asked_at.get_or_insert_with(Instant::now);
        if self.output.shows_partials() {
            let mut message = messages::status(&self.identity, json!({"status": "requesting"}));
            if let Some(uuid) = &turn.user_uuid {
                messages::extend(&mut message, json!({"user_message_uuids": [uuid]}));
            }
            self.output.message(&message);
            self.output.flush();
        }
    }

    /// A turn's server has given an answer, of whatever use it may be.
    pub(crate) fn spend(&mut self, id: u64, more: Spent) {
        if let Some(turn) = self.turn.as_mut().filter(|turn| turn.id == id) {
            turn.spent.usage += more.usage;
            turn.spent.api += more.api;
        }
    }

    /// Tells nothing more of the turn that runs: the process is about to end.
    pub(crate) fn abandon(&mut self) {
        self.turn = None;
    }

    /// Takes a piece of a turn's answer. `Break` if that turn is over.
    pub(crate) fn on_text(&mut self, id: u64, piece: &str) -> ControlFlow<()> {
        let Some(turn) = self.turn.as_mut().filter(|turn| turn.id == id) else { return ControlFlow::Break(()) };
        turn.first_text_at.get_or_insert_with(Instant::now);
        if turn.is_structured {
            return ControlFlow::Continue(());
        }
        turn.text.push_str(piece);
        let is_open = turn.has_open_message;
        if self.output.shows_partials() {
            self.output.release();
            if !is_open {
                self.replay();
                self.open_message(json!({"type": "text", "text": ""}));
            }
            if let Some(turn) = &self.turn {
                self.output.message(&messages::TextDelta::new(&self.identity.session_id, &turn.message_id, piece));
            }
        } else {
            self.output.text(piece);
        }
        ControlFlow::Continue(())
    }

    /// All of a turn's answer that has arrived has been taken.
    pub(crate) fn on_pause(&mut self, id: u64) -> ControlFlow<()> {
        if !self.is_running(id) {
            return ControlFlow::Break(());
        }
        self.output.flush();
        ControlFlow::Continue(())
    }

    /// The turn has an answer.
    pub(crate) fn succeed(&mut self, success: Success) {
        let Success { text, structure, is_cut_by_limit, usage } = success;
        let stop_reason = match (&structure, is_cut_by_limit) {
            (Some(_), _) => "tool_use",
            (None, true) => "max_tokens",
            (None, false) => "end_turn",
        };
        self.introduce();
        self.replay();
        let mut fields = json!({"api_error_status": null});
        let text = match structure {
            None => {
                self.tell_message(json!({"type": "text", "text": text}), stop_reason, usage);
                messages::extend(&mut fields, json!({"result": text}));
                text
            }
            Some(value) => {
                self.tell_structure(&value, usage, Ok(()));
                let text = value.to_string();
                messages::extend(&mut fields, json!({"result": text, "structured_output": value}));
                text
            }
        };
        messages::extend(&mut fields, json!({"stop_reason": stop_reason, "terminal_reason": "completed"}));
        self.end(Ending { subtype: "success", is_error: false, turns: 1, fields, text: &in_lines(&text) });
    }

    /// The turn has none, and this is why.
    pub(crate) fn fail(&mut self, error: Error) {
        self.introduce();
        self.replay();
        let problem = ApiError::new(&self.applet, error);
        let status = match problem.api_error {
            Some(api_error) => json!({"api_error": api_error}),
            None => json!({"api_error_status": problem.status}),
        };
        if self.output.shows_messages() {
            if self.close_block() {
                self.stop_after(0);
            }
            let mut message = messages::assistant(&self.identity, messages::synthetic_message(&problem.text));
            messages::extend(&mut message, json!({"error": problem.kind, "is_api_error_message": true}));
            messages::extend(&mut message, status.clone());
            self.name_user(&mut message);
            self.output.message(&message);
        }
        if let Some(partial) = problem.partial.filter(|_| !self.output.has_shown()) {
            let partial = crate::claude_code::protocol::output::strip_controls(partial.trim_end());
            say(&format!("{}: this much of the answer had come:\n{partial}", self.applet));
        }
        let mut fields = json!({"api_error_status": problem.status});
        messages::extend(&mut fields, status);
        let more = json!({
            "result": problem.text, "stop_reason": "stop_sequence", "terminal_reason": problem.terminal_reason,
        });
        messages::extend(&mut fields, more);
        let text = in_lines(&problem.text);
        self.end(Ending { subtype: "success", is_error: true, turns: 1, fields, text: &text });
    }

    /// The caller wants no more of it. Gives the text that had come.
    pub(crate) fn interrupt(&mut self) -> Option<String> {
        self.introduce();
        self.replay();
        let text = self.turn.as_ref()?.text.clone();
        if self.output.shows_messages() {
            if !text.is_empty() {
                let mut message = self.assistant(json!({"type": "text", "text": text}), Usage::default());
                messages::extend(&mut message, json!({"aborted": true}));
                self.name_user(&mut message);
                self.output.message(&message);
            }
            let content = json!([{"type": "text", "text": "[Request interrupted by user]"}]);
            self.output.message(&messages::user(&self.identity, content));
            if self.close_block() {
                self.event(messages::message_delta(Value::Null, Usage::default()));
                self.stop_after(1);
            }
        }
        let fields = json!({
            "errors": ["[ede_diagnostic] result_type=user last_content_type=n/a stop_reason=null"],
            "stop_reason": null, "terminal_reason": "aborted_streaming",
        });
        let subtype = "error_during_execution";
        self.end(Ending { subtype, is_error: true, turns: 2, fields, text: "Execution error" });
        Some(text)
    }

    /// The turn needed no model; `text` says why, if there is something to say.
    pub(crate) fn succeed_unasked(&mut self, text: &str) {
        self.introduce();
        if !text.is_empty() && self.output.shows_messages() {
            let mut message = json!({"type": "system", "subtype": "informational", "content": text, "level": "warning"});
            messages::extend(&mut message, json!({"uuid": messages::uuid(), "session_id": self.identity.session_id}));
            self.output.message(&message);
        } else {
            self.replay();
        }
        let fields = json!({"result": text, "stop_reason": null});
        self.end(Ending { subtype: "success", is_error: false, turns: 0, fields, text: &in_lines(text) });
    }

    /// The conversation cannot begin, and this is why.
    pub(crate) fn fail_at_start(&mut self, error: &str) {
        if matches!(self.output.format(), Format::StreamJson { .. }) {
            let message = json!({
                "type": "result", "subtype": "error_during_execution", "is_error": true,
                "duration_ms": 0, "duration_api_ms": 0, "num_turns": 0,
                "errors": [error], "stop_reason": null,
                "session_id": self.identity.session_id, "total_cost_usd": 0,
                "usage": messages::turn_usage(Usage::default()), "modelUsage": {},
                "permission_denials": [], "uuid": messages::uuid(), "result_index": 0, "failover": self.identity.mark,
            });
            self.output.result(&message, error, false);
        }
    }

    /// Something of the answer is there: what was asked is repeated first.
    fn replay(&mut self) {
        if let Some(replay) = self.turn.as_mut().and_then(|turn| turn.replay.take()) {
            self.output.message(&replay);
        }
    }

    /// The whole message, and the events that end it.
    fn tell_message(&mut self, content: Value, stop_reason: &str, usage: Usage) {
        if self.output.shows_messages() {
            self.tell_assistant(content, usage);
            self.close_message(stop_reason, usage);
        }
    }

    fn tell_assistant(&mut self, content: Value, usage: Usage) {
        let mut message = self.assistant(content, usage);
        self.name_user(&mut message);
        self.output.message(&message);
    }

    fn assistant(&self, content: Value, usage: Usage) -> Value {
        let id = self.turn.as_ref().map_or("", |turn| &turn.message_id);
        let mut message = messages::message(id, &self.identity.model, json!([content]), usage);
        messages::extend(&mut message, json!({"context_management": null}));
        messages::assistant(&self.identity, message)
    }

    fn event(&mut self, event: Value) {
        let id = self.turn.as_ref().map_or("", |turn| &turn.message_id);
        self.output.message(&messages::stream_event(&self.identity, id, event));
    }

    fn open_message(&mut self, block: Value) {
        let Some(turn) = self.turn.as_mut() else { return };
        turn.has_open_message = true;
        turn.begun_ids.push(turn.message_id.clone());
        let message = messages::message(&turn.message_id, &self.identity.model, json!([]), Usage::default());
        let start = json!({"type": "message_start", "message": message});
        let mut start = messages::stream_event(&self.identity, &turn.message_id, start);
        messages::extend(&mut start, json!({"ttft_ms": turn.first_text_at.map(|at| millis(at - turn.begun))}));
        self.name_user(&mut start);
        self.output.message(&start);
        self.event(json!({"type": "content_block_start", "index": 0, "content_block": block}));
    }

    /// The events that end a message, if its events have begun.
    fn close_message(&mut self, stop_reason: &str, usage: Usage) {
        if self.close_block() {
            self.event(messages::message_delta(stop_reason.into(), usage));
            self.event(json!({"type": "message_stop"}));
        }
    }

    /// The first of them. The caller owes the others if there is one.
    fn close_block(&mut self) -> bool {
        let was_open = self.turn.as_mut().is_some_and(|turn| std::mem::take(&mut turn.has_open_message));
        if was_open {
            self.event(json!({"type": "content_block_stop", "index": 0}));
        }
        was_open
    }

    /// The last of them, where only so many of the blocks count.
    fn stop_after(&mut self, blocks: u32) {
        let id = self.turn.as_ref().map_or("", |turn| &turn.message_id);
        let mut stop = messages::stream_event(&self.identity, id, json!({"type": "message_stop"}));
        let abandoned = json!({"api_message_id": id, "from_block_index": blocks});
        messages::extend(&mut stop, json!({"abandoned_blocks": abandoned}));
        self.output.message(&stop);
    }

    /// Says which message is answered, if its sender named it.
    fn name_user(&self, message: &mut Value) {
        if let Some(uuid) = self.turn.as_ref().and_then(|turn| turn.user_uuid.as_ref()) {
            messages::extend(message, json!({"user_message_uuid": uuid, "user_message_uuids": [uuid]}));
        }
    }

    /// By model; empty if none has answered.
    fn model_usage(&self, spent: Spent) -> Value {
        if spent.api.is_zero() { json!({}) } else { messages::model_usage(&self.identity, spent.usage) }
    }

    /// Tells the result, which ends the turn.
    fn end(&mut self, ending: Ending) {
        let Some(turn) = &self.turn else { return };
        self.output.release();
        let Ending { subtype, is_error, turns, fields, text } = ending;
        let spent = turn.spent;
        self.total.usage += spent.usage;
        self.total.api += spent.api;
        let mut message = json!({
            "type": "result", "subtype": subtype, "is_error": is_error,
            "duration_ms": millis(turn.begun.elapsed()), "duration_api_ms": millis(spent.api), "num_turns": turns,
        });
        messages::extend(&mut message, fields);
        if let (Some(first), false) = (turn.first_text_at, is_error) {
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
                "session_id": self.identity.session_id, "total_cost_usd": 0,
                "usage": messages::turn_usage(spent.usage), "modelUsage": self.model_usage(self.total),
                "permission_denials": [],
                "fast_mode_state": "off", "fast_mode_disabled_reason": "sdk_opt_in_required",
                "subagent_stats": messages::no_subagents(), "safety_stops": 0,
                "uuid": messages::uuid(),
            }),
        );
        if self.output.shows_partials() {
            messages::extend(&mut message, json!({"begun_message_ids": turn.begun_ids}));
        }
        self.name_user(&mut message);
        messages::extend(&mut message, json!({"queued_turn_count": 0, "result_index": self.results}));
        if matches!(self.output.format(), Format::StreamJson { .. }) {
            let since_last = self.model_usage(spent);
            messages::extend(&mut message, json!({"model_usage_since_last_result": since_last}));
        }
        messages::extend(&mut message, json!({"failover": self.identity.mark}));
        self.turn = None;
        self.results += 1;
        self.last_failed = is_error;
        let is_shown = !is_error && self.output.has_shown();
        self.output.result(&message, text, is_shown);
    }
}

/// A text that ends its last line.
fn in_lines(text: &str) -> String {
    let newline = if text.ends_with('\n') { "" } else { "\n" };
    format!("{text}{newline}")
}

fn millis(duration: Duration) -> u64 {
    duration.as_millis().try_into().unwrap_or(u64::MAX)
}
