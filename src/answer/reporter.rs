//! Reports turns to the caller in Claude Code's messages and their order. This file has the beginning of a turn and the pieces of
//! its answer.

mod command;
mod message;
mod result;
mod structure;

pub(super) use command::UNAVAILABLE;

use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::claude_code::protocol::messages;
use crate::claude_code::protocol::messages::SessionInfo;
use crate::claude_code::protocol::output::{Format, Output};
use crate::completions::chunk::Usage;

pub(super) struct Reporter {
    pub output: Output,
    pub session: SessionInfo,
    applet: String,
    turn: Option<OpenTurn>,
    /// How many results were printed.
    results: u32,
    /// The cost of all turns so far.
    total: Cost,
    last_failed: bool,
    /// What the caller's own store of sessions is given before the next result.
    mirrored: Vec<Value>,
}

/// What a turn begins with.
#[derive(Default)]
pub(super) struct TurnStart {
    pub id: u64,
    /// The message that is repeated to the caller before the answer.
    pub replay: Option<Value>,
    /// The sender's id of the message that is answered.
    pub user_uuid: Option<String>,
    /// The sender says that a person wrote it.
    pub is_persons: bool,
    /// The pieces of the answer are not printed: it is a structure, which is printed when it is whole, or a summary.
    pub is_whole: bool,
    /// The turn's `init` comes later than its beginning.
    pub holds_init: bool,
}

struct OpenTurn {
    start: TurnStart,
    begun: Instant,
    asked_at: Option<Instant>,
    first_text_at: Option<Instant>,
    message_id: String,
    /// The id of the line that holds the answer.
    answer_uuid: String,
    text: String,
    has_init: bool,
    /// The stream events of a message have begun and not ended.
    has_open_message: bool,
    /// The ids of the messages whose stream events have begun.
    begun_ids: Vec<String>,
    /// The cost of all answers, those that did not match included.
    cost: Cost,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cost {
    pub usage: Usage,
    /// The time that the server took.
    pub api: Duration,
}

pub(super) struct Success {
    pub text: String,
    /// The structure in the answer, if one was asked for.
    pub structure: Option<Value>,
    /// The answer ends at its limit of tokens.
    pub is_cut_by_limit: bool,
    /// The tokens of this answer alone.
    pub usage: Usage,
}

impl Reporter {
    pub(super) fn new(applet: &str, output: Output, session: SessionInfo) -> Reporter {
        let (applet, total) = (applet.into(), Cost::default());
        Reporter { output, session, applet, turn: None, results: 0, total, last_failed: false, mirrored: vec![] }
    }

    /// The tokens of all turns that have ended.
    pub(super) fn usage(&self) -> Usage {
        self.total.usage
    }

    /// Whether the last result was an error, which decides the exit code.
    pub(super) fn last_failed(&self) -> bool {
        self.last_failed
    }

    /// Whether the output has the model's name.
    pub(super) fn names_the_model(&self) -> bool {
        self.output.format() != Format::Text
    }

    /// Begins a turn that answers the message `user_uuid`. `replay` is repeated to the caller before the answer.
    pub(super) fn begin(&mut self, start: TurnStart) {
        self.turn = Some(OpenTurn {
            begun: Instant::now(),
            asked_at: None,
            first_text_at: None,
            message_id: messages::api_id("msg"),
            answer_uuid: messages::uuid(),
            text: String::new(),
            has_init: start.holds_init,
            has_open_message: false,
            begun_ids: Vec::new(),
            cost: Cost::default(),
            start,
        });
    }

    pub(super) fn is_running(&self, id: u64) -> bool {
        self.turn.as_ref().is_some_and(|turn| turn.start.id == id)
    }

    /// Sends the turn's `init`, unless it was sent. Until then the model may be unknown.
    pub(super) fn send_init(&mut self) {
        let Some(turn) = self.turn.as_mut().filter(|turn| !turn.has_init) else { return };
        turn.has_init = true;
        if self.output.shows_messages() {
            let mut init = messages::init(&self.session);
            if let Some(uuid) = &turn.start.user_uuid {
                messages::extend(&mut init, json!({"user_message_uuids": [uuid]}));
            }
            self.output.message(&init);
            self.output.flush();
        }
    }

    /// Reports that the server is asked now.
    pub(super) fn send_requesting(&mut self) {
        let Some(turn) = &mut self.turn else { return };
        turn.asked_at.get_or_insert_with(Instant::now);
        if self.output.shows_partials() && !turn.start.holds_init {
            let mut message = messages::status(&self.session, json!({"status": "requesting"}));
            if let Some(uuid) = &turn.start.user_uuid {
                messages::extend(&mut message, json!({"user_message_uuids": [uuid]}));
            }
            self.output.message(&message);
            self.output.flush();
        }
    }

    pub(super) fn add_cost(&mut self, id: u64, cost: Cost) {
        if let Some(turn) = self.turn.as_mut().filter(|turn| turn.start.id == id) {
            turn.cost.usage += cost.usage;
            turn.cost.api += cost.api;
        }
    }

    /// The id of the line that the open turn's answer is printed in.
    pub(super) fn answer_uuid(&self) -> Option<String> {
        self.turn.as_ref().map(|turn| turn.answer_uuid.clone())
    }

    /// The id of the message that holds the open turn's answer.
    pub(super) fn message_id(&self) -> Option<&str> {
        self.turn.as_ref().map(|turn| turn.message_id.as_str())
    }

    /// Gives entries of a transcript to the caller, who keeps sessions in a store of its own.
    pub(super) fn mirror(&mut self, transcript: &Path, entries: Vec<Value>) {
        self.mirrored.push(json!({"type": "transcript_mirror", "filePath": transcript, "entries": entries}));
    }

    /// Reports nothing more of the turn: the process is about to end.
    pub(super) fn abandon(&mut self) {
        self.turn = None;
    }

    /// Reports a piece of a turn's answer. `Break` if that turn is over.
    pub(super) fn on_text(&mut self, id: u64, piece: &str) -> ControlFlow<()> {
        let Some(turn) = self.turn.as_mut().filter(|turn| turn.start.id == id) else { return ControlFlow::Break(()) };
        turn.first_text_at.get_or_insert_with(Instant::now);
        if turn.start.is_whole {
            return ControlFlow::Continue(());
        }
        turn.text.push_str(piece);
        let is_open = turn.has_open_message;
        if self.output.shows_partials() {
            self.output.release();
            if !is_open {
                self.send_replay();
                self.open_message(json!({"type": "text", "text": ""}));
            }
            if let Some(turn) = &self.turn {
                self.output.message(&messages::TextDelta::new(&self.session.session_id, &turn.message_id, piece));
            }
        } else {
            self.output.text(piece);
        }
        ControlFlow::Continue(())
    }

    /// Whether the caller gets pieces of an answer as they come.
    pub(super) fn shows_pieces(&self) -> bool {
        self.output.shows_pieces()
    }

    /// Another answer takes the place of what has come of the turn's.
    pub(super) fn forget_text(&mut self, id: u64) {
        if let Some(turn) = self.turn.as_mut().filter(|turn| turn.start.id == id) {
            turn.text.clear();
            turn.first_text_at = None;
        }
    }

    /// No piece of a turn's answer is at hand, so what is buffered goes out. `Break` if that turn is over.
    pub(super) fn on_pause(&mut self, id: u64) -> ControlFlow<()> {
        if !self.is_running(id) {
            return ControlFlow::Break(());
        }
        self.output.flush();
        ControlFlow::Continue(())
    }

    /// Repeats the caller's message, which comes right before the answer, unless it was repeated.
    fn send_replay(&mut self) {
        if let Some(replay) = self.turn.as_mut().and_then(|turn| turn.start.replay.take()) {
            self.output.message(&replay);
        }
    }
}
