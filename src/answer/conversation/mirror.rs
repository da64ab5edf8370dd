//! `--session-mirror`: the entries of Claude Code's transcript, for an SDK that keeps sessions in a store of its own.

use serde_json::{Value, json};

use crate::answer::conversation::Conversation;
use crate::claude_code::protocol::input::Role;
use crate::claude_code::protocol::messages;
use crate::claude_code::transcript::SessionMessage;
use crate::claude_code::transcript_entry::{self, EntryWriter};

impl Conversation<'_> {
    /// What writes the entries, if the caller asks for them. A session that is not kept has none.
    pub(super) fn mirror(&self) -> Option<EntryWriter> {
        self.session.transcript().filter(|_| self.options.mirrors)?;
        Some(EntryWriter::new(self.context, &self.shared.reporter().session.model))
    }

    pub(super) fn mirror_entry(&self, entry: Value) {
        if let Some(transcript) = self.session.transcript() {
            self.shared.reporter().mirror(&transcript, vec![entry]);
        }
    }

    /// The messages of the session that this one is a fork of: the store has them under that one's id.
    pub(super) fn mirror_fork(&self) {
        let (Some(writer), Some(transcript)) = (self.mirror(), self.session.transcript()) else { return };
        let mut parent: Option<&str> = None;
        let mut entries = Vec::new();
        for message in self.session.unsaved() {
            entries.push(writer.message(&self.session.id, parent, message, message.text.as_str().into()));
            parent = message.uuid.as_deref();
        }
        if !entries.is_empty() {
            self.shared.reporter().mirror(&transcript, entries);
        }
    }

    /// Adds a message to the session, with this content for the caller's store.
    pub(super) fn keep(&mut self, message: SessionMessage, content: Value) {
        self.keep_with(message, content, false);
    }

    /// The same, and whether the caller says that a person wrote it.
    pub(super) fn keep_with(&mut self, message: SessionMessage, content: Value, is_persons: bool) {
        if let Some(writer) = self.mirror().filter(|_| !message.text.is_empty()) {
            let mut entry = writer.message(&self.session.id, self.session.last_uuid(), &message, content);
            if let (Role::Assistant, Some(id)) = (message.role, self.shared.reporter().message_id()) {
                entry["message"]["id"] = id.into();
            }
            if is_persons {
                messages::extend(&mut entry, json!({"origin": {"kind": "human"}, "turnOrigin": "human"}));
            }
            self.mirror_entry(entry);
        }
        self.session.add(message);
    }

    /// The title that the caller has given.
    pub(super) fn mirror_title(&self, title: &str) {
        if self.options.mirrors {
            self.mirror_entry(transcript_entry::title(&self.session.id, title));
            self.mirror_entry(transcript_entry::agent_name(&self.session.id, title));
        }
    }
}
