//! The turns of a conversation: which messages one answers, how it begins, and what its end leaves behind.

use std::thread;

use serde_json::{Value, json};

use crate::answer::attachments::attach;
use crate::answer::conversation::{Conversation, ConversationState, Event, RunningTurn};
use crate::answer::turn::{self, Question, TurnOutcome};
use crate::claude_code::prompt::is_blank;
use crate::claude_code::protocol::input::{NO_CONTENT, Role, UserMessage};
use crate::claude_code::protocol::messages;
use crate::claude_code::protocol::output::Format;
use crate::error::{Error, warn};

const BLANK: &str = "Blank prompt — the message was only whitespace, so nothing was sent to the model.";

impl Conversation<'_> {
    /// Starts a turn for the messages that wait. Returns false if there are none.
    pub(super) fn start_next_turn(&mut self) -> bool {
        let Some(first) = self.queue.pop_front() else { return false };
        let mut joined = first.clone();
        let mut messages = vec![first];
        // As the real CLI does with messages that arrive while it answers.
        while joined.wants_answer && self.queue.front().is_some_and(|next| next.wants_answer) {
            let Some(next) = self.queue.pop_front() else { break };
            joined = joined.join(next.clone());
            messages.push(next);
        }
        for message in &messages {
            self.send_lifecycle(message, "started");
        }
        self.turns += 1;
        let id = self.turns;
        self.begin(id, &messages[..messages.len() - 1], &joined);
        self.state = ConversationState::Running(RunningTurn { id, messages });
        let text = joined.as_text();
        if !self.needs_model(&joined, &text) {
            return true;
        }
        let text = if text.is_empty() { NO_CONTENT.into() } else { text };
        let text = match self.options.expands_mentions {
            true => attach(self.context, text, &mut |warning| warn(&self.shared.applet, &warning)),
            false => text,
        };
        self.session.add(Role::User, &text);
        let question = Question { turn: id, messages: self.messages(), schema: self.options.schema.clone() };
        if self.shared.reporter().output.format() == Format::Text {
            // There is one question, and a signal ends the process, so no other event can come.
            let outcome = turn::run(&self.shared, question);
            self.end_turn(id, outcome);
            return true;
        }
        let (shared, sender) = (self.shared.clone(), self.sender.clone());
        thread::spawn(move || {
            let outcome = turn::run(&shared, question);
            let _ = sender.send(Event::TurnEnded(id, Box::new(outcome)));
        });
        true
    }

    /// `joined` is what the turn answers: the messages `before` and the last one in one.
    fn begin(&mut self, id: u64, before: &[UserMessage], joined: &UserMessage) {
        if self.options.replays {
            for message in before.iter().filter(|message| message.uuid.is_some() && message.uuid != joined.uuid) {
                self.send(&self.replay(message));
            }
        }
        let replay = (self.options.replays && joined.is_replayed).then(|| {
            let mut replay = self.replay(joined);
            messages::extend(&mut replay, json!({"timestamp": messages::timestamp()}));
            replay
        });
        self.shared.reporter().begin(id, replay, joined.uuid.clone(), self.options.schema.is_some());
    }

    pub(super) fn replay(&self, message: &UserMessage) -> Value {
        messages::replay(&self.session.id, &message.content, message.uuid.clone())
    }

    /// Ends the turn at once if the model has nothing to answer.
    fn needs_model(&mut self, message: &UserMessage, text: &str) -> bool {
        if !message.wants_answer {
            self.session.add(Role::User, text);
            self.shared.reporter().succeed_without_model("");
        } else if message.content.is_string() && is_blank(text) {
            self.shared.reporter().succeed_without_model(BLANK);
        } else {
            return true;
        }
        self.close_turn("completed");
        false
    }

    pub(super) fn end_turn(&mut self, id: u64, outcome: TurnOutcome) {
        if !matches!(&self.state, ConversationState::Running(turn) if turn.id == id) {
            return;
        }
        let may_decline = self.shared.reporter().output.is_withheld();
        match outcome {
            TurnOutcome::Answered(success) => {
                let text = success.structure.as_ref().map_or_else(|| success.text.clone(), Value::to_string);
                self.session.add(Role::Assistant, &text);
                let is_cut = success.is_cut_by_limit;
                self.shared.reporter().succeed(success);
                if is_cut && self.shared.reporter().output.format() == Format::Text {
                    let limit = self.shared.chain.first().settings.max_tokens;
                    let what = format!("the answer ends at its limit of {limit} tokens; raise LOCAL_LLM_MAX_TOKENS for more");
                    warn(&self.shared.applet, &what);
                }
            }
            TurnOutcome::NoStructure { reason, .. } if may_decline => {
                self.state = ConversationState::Declined(Error::NotOfSchema { reason });
                return;
            }
            TurnOutcome::Failed(error) if may_decline => {
                self.state = ConversationState::Declined(error);
                return;
            }
            TurnOutcome::NoStructure { attempts, reason } => self.shared.reporter().fail_structure(attempts, &reason),
            TurnOutcome::Failed(error) => self.shared.reporter().fail(error),
        }
        self.close_turn("completed");
    }

    pub(super) fn interrupt(&mut self) {
        if !matches!(self.state, ConversationState::Running(_)) {
            return;
        }
        let partial = self.shared.reporter().interrupt().unwrap_or_default();
        if !partial.trim().is_empty() {
            self.session.add(Role::Assistant, &partial);
        }
        self.close_turn("cancelled");
    }

    fn close_turn(&mut self, lifecycle: &str) {
        if let ConversationState::Running(turn) = std::mem::replace(&mut self.state, ConversationState::Idle) {
            turn.messages.iter().for_each(|message| self.send_lifecycle(message, lifecycle));
        }
        if self.options.announces_idle {
            self.send(&messages::session_state(&self.session.id, "idle"));
        }
    }

    pub(super) fn send_lifecycle(&self, message: &UserMessage, state: &str) {
        if let Some(uuid) = &message.uuid {
            self.send(&messages::command_lifecycle(&self.session.id, uuid, state));
        }
    }
}
