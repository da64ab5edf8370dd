//! `--session-mirror`: the entries of Claude Code's transcript, for an SDK that keeps sessions in a store of its own.

use serde_json::{Value, json};

use crate::answer::conversation::Conversation;
use crate::claude_code::protocol::input::Role;
use crate::claude_code::protocol::messages;
use crate::claude_code::transcript::SessionMessage;
use crate::claude_code::transcript_entry::{self, EntryWriter};

impl Conversation<'_> {
    pub(super) fn entry_writer(&self) -> EntryWriter {
        EntryWriter::new(self.context, &self.shared.reporter().session.model)
    }

    /// Lets Claude Code know what was said in a call that ends by a fault.
    pub(super) fn tell_claude(&self) {
        if self.options.writes_transcript {
            let writer = self.entry_writer();
            let _ =
                self.earlier.iter().chain([&self.session]).try_for_each(|session| session.write_transcript(&writer).map(|_| ()));
        }
    }

    /// A fork begins with the messages of the other session, which the caller's store has under that one's id.
    pub(super) fn mirror_fork(&self) {
        let (true, Some(transcript)) = (self.options.mirrors, self.session.transcript()) else { return };
        let entries = self.session.entries(&self.entry_writer(), self.session.unsaved(), None);
        if !entries.is_empty() {
            self.shared.reporter().mirror(&transcript, entries);
        }
    }

    /// Adds a message with this content to the session.
    pub(super) fn keep(&mut self, message: SessionMessage, content: Value) {
        self.keep_with(message, content, false);
    }

    /// The same, and whether the caller says that a person wrote it.
    pub(super) fn keep_with(&mut self, message: SessionMessage, content: Value, is_persons: bool) {
        if !message.text.is_empty() && self.options.mirrors {
            let mut entry = self.entry_writer().message(&self.session.id, self.session.last_uuid(), &message, content);
            if let (Role::Assistant, Some(id)) = (message.role, self.shared.reporter().message_id()) {
                entry["message"]["id"] = id.into();
            }
            if is_persons {
                messages::extend(&mut entry, json!({"origin": {"kind": "human"}, "turnOrigin": "human"}));
            }
            self.mirror_entries(vec![entry]);
        }
        self.has_said |= !message.text.is_empty();
        self.session.add(message);
    }

    /// The title that the caller has given.
    pub(super) fn mirror_title(&self, title: &str) {
        let id = &self.session.id;
        self.mirror_entries(vec![transcript_entry::title(id, title), transcript_entry::agent_name(id, title)]);
    }

    /// A session that is not kept has no transcript.
    pub(super) fn mirror_entries(&self, entries: Vec<Value>) {
        if let (true, Some(transcript)) = (self.options.mirrors, self.session.transcript()) {
            self.shared.reporter().mirror(&transcript, entries);
        }
    }
}
