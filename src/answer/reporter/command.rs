//! What is reported of a slash command.

use std::time::Duration;

use serde_json::{Value, json};

use crate::answer::reporter::result::ResultFields;
use crate::answer::reporter::{Cost, Reporter};
use crate::claude_code::protocol::messages;
use crate::claude_code::protocol::output::Format;

impl Reporter {
    /// Sets the message that repeats the command to the caller.
    pub(in crate::answer) fn replay(&mut self, replay: Option<Value>) {
        if let Some(turn) = &mut self.turn {
            turn.start.replay = replay;
        }
    }

    /// Reports that the conversation begins anew, as the session `new_id`.
    pub(in crate::answer) fn reset(&mut self, new_id: &str, user_uuid: &str) {
        let (uuid, session_id) = (messages::uuid(), &self.session.session_id);
        if matches!(self.output.format(), Format::StreamJson { .. }) {
            self.output.message(&json!({
                "type": "conversation_reset", "new_conversation_id": uuid, "uuid": uuid, "trigger": "clear",
                "user_message_uuid": user_uuid, "timestamp": messages::timestamp(), "session_id": session_id,
            }));
            self.output.message(&json!({
                "type": "system", "subtype": "background_tasks_changed", "tasks": [],
                "uuid": messages::uuid(), "session_id": session_id,
            }));
        }
        self.session.session_id = new_id.into();
        self.total = Cost::default();
    }

    /// Reports what a command has to say, which is no answer of a model.
    pub(in crate::answer) fn command_output(&mut self, command: &str, arguments: &str, text: &str, outcome: Option<&str>) {
        self.open_init();
        self.send_init();
        if !self.output.shows_messages() {
            return;
        }
        let mut message = messages::synthetic_message(text);
        messages::extend(&mut message, json!({"stop_reason": "end_turn", "stop_sequence": null}));
        let mut line = messages::assistant(&self.session, message);
        let stream = if outcome == Some(FAILED) { "local-command-stderr" } else { "local-command-stdout" };
        messages::extend(&mut line, json!({"local_command_source": format!("<{stream}>{text}</{stream}>")}));
        if outcome != Some(UNAVAILABLE) {
            messages::extend(&mut line, json!({"local_command_run": {"command": command, "args": arguments}}));
        }
        if let Some(outcome) = outcome {
            messages::extend(&mut line, json!({"local_command_outcome": {"kind": outcome}}));
        }
        self.output.message(&line);
    }

    /// Ends the turn of a command; `name` as it was typed, if it was carried out here.
    pub(in crate::answer) fn end_command(&mut self, name: Option<&str>, text: &str) {
        self.open_init();
        self.send_init();
        self.send_replay();
        let mut more = json!({"result": text, "stop_reason": null});
        if let Some(name) = name {
            messages::extend(&mut more, json!({"local_command": name}));
        }
        self.end(ResultFields { subtype: "success", is_error: false, turns: 0, more, text: &format!("{text}\n") });
    }

    pub(in crate::answer) fn compacting(&mut self) {
        self.send_status(json!({"status": "compacting"}));
        self.output.flush();
    }

    /// Reports a conversation that is now the summary `summary`.
    pub(in crate::answer) fn compacted(&mut self, boundary_uuid: &str, last: Option<&str>, metadata: &Value, summary: Value) {
        self.send_status(json!({"status": null, "compact_result": "success"}));
        self.open_init();
        self.send_init();
        if self.output.shows_messages() {
            self.output.message(&json!({
                "type": "system", "subtype": "compact_boundary", "session_id": self.session.session_id, "uuid": boundary_uuid,
                "compact_metadata": metadata, "logical_parent_uuid": last,
            }));
            self.output.message(&summary);
            let mut done = messages::user(&self.session, "<local-command-stdout>Compacted </local-command-stdout>".into());
            messages::extend(&mut done, json!({"isReplay": true}));
            self.output.message(&done);
        }
    }

    /// `was_begun`: the caller knows that it is at work.
    pub(in crate::answer) fn not_compacted(&mut self, arguments: &str, error: &str, was_begun: bool) {
        if was_begun {
            self.send_status(json!({"status": null, "compact_result": "failed", "compact_error": error}));
        }
        self.open_init();
        self.command_output("compact", arguments, &format!("Error: {error}"), Some(FAILED));
        self.end_command(Some("compact"), "");
    }

    /// The costs of the session, in the real CLI's words.
    pub(in crate::answer) fn costs(&self, wall: Duration) -> String {
        let Cost { usage, api } = self.total;
        let counts = format!("{} input, {} output, {} cache read, 0 cache write", usage.input, usage.output, usage.cached);
        let by_model = match api.is_zero() {
            true => format!("Usage:                 {counts}"),
            false => format!("Usage by model:\n{:>21}  {counts} ($0.0000)", format!("{}:", self.session.model)),
        };
        format!(
            "Estimated cost:        $0.0000\nTotal duration (API):  {}\nTotal duration (wall): {}\n\
             Total code changes:    0 lines added, 0 lines removed\n{by_model}",
            in_words(api),
            in_words(wall)
        )
    }

    fn send_status(&mut self, fields: Value) {
        if self.output.shows_messages() {
            let status = messages::status(&self.session, fields);
            self.output.message(&status);
        }
    }

    /// From here on the turn's `init` may be sent.
    fn open_init(&mut self) {
        if let Some(turn) = &mut self.turn {
            turn.has_init &= !std::mem::take(&mut turn.start.holds_init);
        }
    }
}

/// How Claude Code calls the outcome of a command that could not be carried out.
const FAILED: &str = "failed";

/// The same of one that is not there.
pub(in crate::answer) const UNAVAILABLE: &str = "unavailable_headless";

fn in_words(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds}s"),
        (0, minutes, seconds) => format!("{minutes}m {seconds}s"),
        (hours, minutes, seconds) => format!("{hours}h {minutes}m {seconds}s"),
    }
}
