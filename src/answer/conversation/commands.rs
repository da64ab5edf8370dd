//! The slash commands that a plain answer carries out itself, as 2.1.330 does, and those that only Claude Code can.

use std::time::Instant;

use serde_json::{Value, json};

use crate::answer::conversation::turns::Purpose;
use crate::answer::conversation::{Conversation, ConversationState, Event};
use crate::answer::reporter::UNAVAILABLE;
use crate::answer::turn::{self, Question, TurnOutcome};
use crate::claude_code::protocol::input::{Role, UserMessage};
use crate::claude_code::protocol::messages;
use crate::claude_code::protocol::output::Format;
use crate::claude_code::transcript::SessionMessage;
use crate::completions::chat::Message;
use crate::error::Error;
use crate::local_model::context;
use crate::shown::Shown;

/// What becomes of a message that is a slash command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Own(OwnCommand),
    /// The real Claude Code goes on with the conversation.
    ClaudeCodes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OwnCommand {
    Clear,
    Costs,
    Compact,
    /// One of these, in a call that is to have no commands.
    Unavailable,
}

/// What the local model is asked for a summary.
const SUMMARIZE: &str = "Write a summary of this conversation, to be read in its place: what I asked for, what was found, decided and \
                         answered, names and values that still matter, and what is left to do. Write the summary alone.";

/// The beginning of the real CLI's message that holds a summary.
const SUMMARY: &str = "This session is being continued from a previous conversation that ran out of context. The summary below covers \
                       the earlier portion of the conversation.\n\nSummary:\n";

/// The summary in an answer, which a model may have put as Claude Code asks Claude for it: after an analysis, in tags.
fn summary_in(answer: &str) -> &str {
    let after = answer.rsplit_once("</analysis>").map_or(answer, |(_, after)| after);
    let tagged = after.split_once("<summary>").map_or(after, |(_, tagged)| tagged);
    tagged.split_once("</summary>").map_or(tagged, |(summary, _)| summary).trim()
}

impl Conversation<'_> {
    /// None for a message that the model answers.
    pub(super) fn command(&self, message: &UserMessage) -> Option<Command> {
        let (name, _) = message.command()?;
        let own = match name {
            "clear" | "reset" | "new" => Some(OwnCommand::Clear),
            "cost" | "usage" | "stats" => Some(OwnCommand::Costs),
            "compact" => Some(OwnCommand::Compact),
            _ => None,
        };
        match own {
            Some(_) if !self.options.has_commands => Some(Command::Own(OwnCommand::Unavailable)),
            Some(own) => Some(Command::Own(own)),
            None => (self.options.has_commands && self.options.claude_code_is_there).then_some(Command::ClaudeCodes),
        }
    }

    /// `message` has begun a turn of this id.
    pub(super) fn run_command(&mut self, id: u64, command: OwnCommand, message: &UserMessage, message_id: &str) {
        let (name, arguments) = message.command().unwrap_or_default();
        match command {
            OwnCommand::Clear => {
                self.earlier.push(self.session.clone());
                self.has_said = true;
                self.session.clear();
                let replay = self.replay_of_command("clear", arguments, message);
                let mut reporter = self.shared.reporter();
                reporter.reset(&self.session.id, message_id);
                reporter.replay(replay);
                reporter.end_command(Some(name), "");
            }
            OwnCommand::Costs => {
                let replay = self.replay_of_command("usage", arguments, message);
                let mut reporter = self.shared.reporter();
                reporter.replay(replay);
                let costs = reporter.costs(self.begun.elapsed());
                reporter.command_output("usage", arguments, &costs, None);
                reporter.end_command(Some(name), &costs);
            }
            OwnCommand::Compact if self.session.is_empty() => {
                self.shared.reporter().not_compacted(arguments, "No messages to compact", false);
            }
            OwnCommand::Compact => {
                let replay = self.replay_of_command("compact", arguments, message);
                self.shared.reporter().replay(replay);
                return self.ask_for_summary(id, arguments);
            }
            OwnCommand::Unavailable => {
                let text = format!("/{name} isn't available in this environment.");
                let mut reporter = self.shared.reporter();
                reporter.command_output(name, arguments, &text, Some(UNAVAILABLE));
                reporter.end_command(None, &text);
            }
        }
        self.close_turn("completed");
    }

    /// A command is repeated to the caller only if its message has an id.
    fn replay_of_command(&self, name: &str, arguments: &str, message: &UserMessage) -> Option<Value> {
        message.uuid.as_ref().filter(|_| self.options.replays && message.is_replayed)?;
        let tags = [("name", format!("/{name}")), ("message", name.into()), ("args", arguments.into())];
        let lines = tags.map(|(tag, text)| format!("<command-{tag}>{text}</command-{tag}>"));
        let command = UserMessage { content: lines.join("\n            ").into(), ..message.clone() };
        Some(self.replay_now(&command))
    }

    fn ask_for_summary(&mut self, id: u64, arguments: &str) {
        self.shared.reporter().compacting();
        let more = if arguments.is_empty() { String::new() } else { format!(" {arguments}") };
        let mut messages = self.messages();
        messages.push(Message { role: "user", content: format!("{SUMMARIZE}{more}") });
        if let ConversationState::Running(running) = &mut self.state {
            running.purpose = Purpose::Compact { arguments: arguments.into(), begun: Instant::now() };
        }
        self.ask(Question { turn: id, messages, schema: None });
    }

    /// Asks the model in a thread of its own.
    pub(super) fn ask(&mut self, question: Question) {
        let id = question.turn;
        if self.shared.reporter().output.format() == Format::Text {
            // There is one question, and a signal ends the process, so no other event can come.
            let outcome = turn::run(&self.shared, question);
            return self.end_turn(id, outcome);
        }
        let (shared, sender) = (self.shared.clone(), self.sender.clone());
        std::thread::spawn(move || {
            let outcome = turn::run(&shared, question);
            let _ = sender.send(Event::TurnEnded(id, Box::new(outcome)));
        });
    }

    pub(super) fn end_compaction(&mut self, arguments: &str, begun: Instant, outcome: TurnOutcome) {
        let failure = match outcome {
            TurnOutcome::Answered(success) if !summary_in(&success.text).is_empty() => {
                self.compact(summary_in(&success.text), begun);
                self.shared.reporter().end_command(Some("compact"), "");
                return;
            }
            TurnOutcome::Answered(_) => "the local model wrote no summary".into(),
            TurnOutcome::NoStructure { reason, .. } => Shown::line(reason),
            TurnOutcome::Failed(Error::AsClaude { text }) => text,
            TurnOutcome::Failed(error) => Shown::lines(error),
        };
        self.shared.reporter().not_compacted(arguments, &failure, true);
    }

    fn compact(&mut self, summary: &str, begun: Instant) {
        let before = self.messages().iter().map(|message| context::tokens(&message.content)).sum::<usize>();
        let last = self.session.last_uuid().map(str::to_string);
        let summary = SessionMessage::new(Role::User, &format!("{SUMMARY}{summary}"), None);
        let boundary = messages::uuid();
        let metadata = |camel: bool, after: usize| {
            let duration = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
            match camel {
                true => json!({"trigger": "manual", "preTokens": before, "postTokens": after, "durationMs": duration}),
                false => json!({
                    "trigger": "manual", "pre_tokens": before, "post_tokens": after, "cumulative_dropped_tokens": 0,
                    "duration_ms": duration,
                }),
            }
        };
        let after = context::tokens(&summary.text);
        let mut line = messages::user(&self.shared.reporter().session, summary.text.as_str().into());
        messages::extend(&mut line, json!({"uuid": summary.uuid, "isReplay": false, "isSynthetic": true}));
        if self.options.mirrors {
            let writer = self.entry_writer();
            let mut entry = writer.message(&self.session.id, Some(&boundary), &summary, summary.text.as_str().into());
            messages::extend(&mut entry, json!({"isVisibleInTranscriptOnly": true, "isCompactSummary": true}));
            let boundary = writer.compact_boundary(&self.session.id, &boundary, last.as_deref(), &metadata(true, after));
            self.mirror_entries(vec![boundary, entry]);
        }
        self.earlier.push(self.session.clone());
        self.session.compact(summary);
        self.shared.reporter().compacted(&boundary, last.as_deref(), &metadata(false, after), line);
    }
}
