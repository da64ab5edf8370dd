//! The turns of a conversation: which messages one answers, how it begins, and what its end leaves behind.

use std::time::Instant;

use serde_json::{Value, json};

use crate::answer::attachments::attach;
use crate::answer::conversation::commands::{Command, OwnCommand};
use crate::answer::conversation::{Conversation, ConversationState, LeftToClaudeCode};
use crate::answer::reporter::TurnStart;
use crate::answer::turn::{Question, TurnOutcome};
use crate::claude_code::prompt::is_blank;
use crate::claude_code::protocol::input::{NO_CONTENT, Role, UserMessage};
use crate::claude_code::protocol::messages;
use crate::claude_code::protocol::output::Format;
use crate::claude_code::transcript::SessionMessage;
use crate::error::{Error, warn};
use crate::shown::{Shown, shown};

/// What the real CLI adds to a conversation that was interrupted.
pub(in crate::answer) const INTERRUPTED: &str = "[Request interrupted by user]";

const BLANK: &str = "Blank prompt — the message was only whitespace, so nothing was sent to the model.";

pub(super) struct RunningTurn {
    pub id: u64,
    /// The messages that it answers.
    pub messages: Vec<UserMessage>,
    pub purpose: Purpose,
}

/// What the model is asked for.
#[derive(Clone)]
pub(super) enum Purpose {
    Answer,
    /// A summary of the conversation, by the command `/compact` with these arguments.
    Compact {
        arguments: String,
        begun: Instant,
    },
}

impl Conversation<'_> {
    /// Starts a turn for the messages that wait. Returns false if there are none.
    pub(super) fn start_next_turn(&mut self) -> bool {
        let Some(first) = self.queue.pop_front() else { return false };
        let mut joined = first.clone();
        let mut messages = vec![first];
        let command = match self.command(&joined) {
            Some(Command::ClaudeCodes) if self.session.is_empty() || self.session.can_tell_claude() => {
                self.queue.push_front(joined);
                self.state = ConversationState::LeftToClaudeCode;
                return true;
            }
            Some(Command::ClaudeCodes) | None => None,
            Some(Command::Own(command)) => Some(command),
        };
        // As the real CLI does with messages that arrive while it answers.
        while command.is_none() && joined.wants_answer && self.is_next_joined() {
            let Some(next) = self.queue.pop_front() else { break };
            joined = joined.join(next.clone());
            messages.push(next);
        }
        for message in &messages {
            self.send_lifecycle(message, "started");
        }
        self.turns += 1;
        let id = self.turns;
        let message_id = joined.uuid.clone().unwrap_or_else(messages::uuid);
        self.begin(id, &messages[..messages.len() - 1], &joined, &message_id, command);
        self.state = ConversationState::Running(RunningTurn { id, messages, purpose: Purpose::Answer });
        if let Some(command) = command {
            self.run_command(id, command, &joined, &message_id);
            return true;
        }
        let text = joined.as_text();
        if !self.needs_model(&joined, &text, &message_id) {
            return true;
        }
        let text = if text.is_empty() { NO_CONTENT.into() } else { text };
        let text = match self.options.expands_mentions {
            true => attach(self.context, text, &mut |warning| warn(&self.shared.applet, &warning)),
            false => text,
        };
        self.keep_with(SessionMessage::new(Role::User, &text, Some(message_id)), joined.content, joined.is_persons);
        self.ask(Question { turn: id, messages: self.messages(), schema: self.options.schema.clone() });
        true
    }

    /// Whether the next message that waits is answered in one turn with the one before it.
    fn is_next_joined(&self) -> bool {
        self.queue.front().is_some_and(|next| next.wants_answer && self.command(next).is_none())
    }

    /// `joined` is what the turn answers: the messages `before` and the last one in one.
    fn begin(&mut self, id: u64, before: &[UserMessage], joined: &UserMessage, message_id: &str, command: Option<OwnCommand>) {
        if self.options.replays {
            for message in before.iter().filter(|message| message.uuid.is_some() && message.uuid != joined.uuid) {
                self.send(&self.replay(message));
            }
        }
        let replay = (self.options.replays && joined.is_replayed && command.is_none()).then(|| {
            let mut replay = self.replay_now(joined);
            messages::extend(&mut replay, json!({"uuid": message_id}));
            replay
        });
        self.shared.reporter().begin(TurnStart {
            id,
            replay,
            user_uuid: joined.uuid.clone(),
            is_persons: joined.is_persons,
            is_whole: self.options.schema.is_some() || command.is_some(),
            holds_init: command.is_some(),
        });
    }

    pub(super) fn replay(&self, message: &UserMessage) -> Value {
        messages::replay(&self.session.id, &message.content, message.uuid.clone())
    }

    /// The same for the message that the turn is about.
    pub(super) fn replay_now(&self, message: &UserMessage) -> Value {
        let mut replay = self.replay(message);
        messages::extend(&mut replay, json!({"timestamp": messages::timestamp()}));
        if message.is_persons {
            messages::extend(&mut replay, json!({"origin": {"kind": "human"}}));
        }
        replay
    }

    /// Ends the turn at once if the model has nothing to answer.
    fn needs_model(&mut self, message: &UserMessage, text: &str, message_id: &str) -> bool {
        if !message.wants_answer {
            let content = message.content.clone();
            self.keep(SessionMessage::new(Role::User, text, Some(message_id.into())), content);
            self.shared.reporter().succeed_without_model("");
        } else if message.content.is_string() && is_blank(text) {
            self.shared.reporter().succeed_without_model(BLANK);
        } else {
            return true;
        }
        self.close_turn("completed");
        false
    }

    pub(super) fn left_to_claude_code(&self) -> Option<LeftToClaudeCode> {
        matches!(self.state, ConversationState::LeftToClaudeCode).then(|| LeftToClaudeCode {
            // Where nothing was said yet, the caller's own options lead to the session, or to the point in it.
            session_id: (!self.session.is_empty() && (self.has_said || self.options.is_begun)).then(|| self.session.id.clone()),
            has_answered: self.turns > 0,
            new_session_id: (self.session.is_empty() && (self.has_said || !self.options.names_session))
                .then(|| self.session.id.clone()),
            prompt: self.queue.front().filter(|_| self.options.pump.is_none()).map(UserMessage::as_text),
        })
    }

    pub(super) fn end_turn(&mut self, id: u64, outcome: TurnOutcome) {
        if !matches!(&self.state, ConversationState::Running(turn) if turn.id == id) {
            return;
        }
        let may_decline = self.shared.reporter().output.is_withheld();
        let purpose = match &self.state {
            ConversationState::Running(turn) => turn.purpose.clone(),
            _ => Purpose::Answer,
        };
        match outcome {
            TurnOutcome::Failed(error) if may_decline => {
                self.state = ConversationState::Declined(error);
                return;
            }
            outcome if let Purpose::Compact { arguments, begun } = &purpose => self.end_compaction(arguments, *begun, outcome),
            TurnOutcome::Answered(success) => {
                let text = success.structure.as_ref().map_or_else(|| success.text.clone(), Value::to_string);
                self.keep_answer(&text);
                let is_cut = success.is_cut_by_limit;
                self.shared.reporter().succeed(success);
                if is_cut && self.shared.reporter().output.format() == Format::Text {
                    let limit = self.shared.chain.first().settings.max_tokens;
                    let what = shown!("the answer ends at its limit of {limit} tokens; raise LOCAL_LLM_MAX_TOKENS for more");
                    warn(&self.shared.applet, &what);
                }
            }
            TurnOutcome::NoStructure { reason, .. } if may_decline => {
                self.state = ConversationState::Declined(Error::NotOfSchema { reason: Shown::line(reason) });
                return;
            }
            TurnOutcome::NoStructure { attempts, reason } => self.shared.reporter().fail_structure(attempts, &reason),
            TurnOutcome::Failed(error) => self.shared.reporter().fail(error),
        }
        self.close_turn("completed");
    }

    fn keep_answer(&mut self, text: &str) {
        let id = self.shared.reporter().answer_uuid();
        self.keep(SessionMessage::new(Role::Assistant, text, id), text.into());
    }

    pub(super) fn interrupt(&mut self) {
        if !matches!(self.state, ConversationState::Running(_)) {
            return;
        }
        let (id, partial) = {
            let reporter = self.shared.reporter();
            (reporter.answer_uuid(), reporter.partial_text())
        };
        if !partial.trim().is_empty() {
            self.keep(SessionMessage::new(Role::Assistant, &partial, id), partial.as_str().into());
        }
        let said = json!([{"type": "text", "text": INTERRUPTED}]);
        let message = SessionMessage::new(Role::User, INTERRUPTED, None);
        let id = message.uuid.clone();
        self.keep(message, said);
        self.shared.reporter().interrupt(id);
        self.close_turn("cancelled");
    }

    pub(super) fn close_turn(&mut self, lifecycle: &str) {
        if let ConversationState::Running(turn) = std::mem::replace(&mut self.state, ConversationState::Idle) {
            self.answered_lines += turn.messages.len();
            if let Some(pump) = &self.options.pump {
                pump.drop_answered(self.answered_lines);
            }
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
