//! Sessions that Claude Code has, too, or is to have.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::claude_code::call_check::is_uuid;
use crate::claude_code::command_line::CommandLine;
use crate::claude_code::protocol::input::Role;
use crate::claude_code::transcript;
use crate::claude_code::transcript::SessionMessage;
use crate::claude_code::transcript_entry::{self, EntryWriter};
use crate::context::Context;
use crate::error::{Result, warn};
use crate::shown::shown;
use crate::state::sessions::store::{self, SessionStore};
use crate::state::sessions::{Session, SessionChoice};

impl Session {
    /// Whether the session with this id or title, or else the newest one of this working directory, is one that only Claude
    /// Code has.
    pub(crate) fn is_claudes(context: &Context, name: Option<&str>) -> bool {
        let Ok(store) = SessionStore::new(context) else { return false };
        let id = match name.map(str::trim) {
            Some(id) if is_uuid(id) => Some(id.to_string()),
            Some(title) => store.find_by_title(title).ok(),
            None => store.newest_first().into_iter().next(),
        };
        id.is_some_and(|id| store.is_claudes(&id))
    }

    /// Gives Claude Code the session that the options name, if something was said in it here.
    pub(crate) fn give_resumed(applet: &str, context: &Context, command_line: &CommandLine, model: &str) {
        let continues = command_line.has("--continue");
        let name = command_line.last("--resume").map(str::trim).filter(|name| !name.is_empty() && !continues);
        let choice = match name {
            Some(name) => SessionChoice::Named(name),
            None if continues => SessionChoice::Newest,
            None => return,
        };
        let given =
            Session::open(applet, context, choice).ok().map(|session| session.give_to_claude(&EntryWriter::new(context, model)));
        if let Some(Err(error)) = given {
            warn(applet, &shown!("Claude Code does not know what the local model has said in this conversation: {error}"));
        }
    }

    /// Claude Code's transcript of it, which need not be there. None for a session that is not saved.
    pub(crate) fn transcript(&self) -> Option<PathBuf> {
        let (store, file) = self.file.as_ref()?;
        store.transcript_of(file)
    }

    /// The entries of these messages, of which the first follows `parent`.
    pub(crate) fn entries(&self, writer: &EntryWriter, messages: &[SessionMessage], parent: Option<String>) -> Vec<Value> {
        let mut parent = parent;
        let entry = |message: &SessionMessage| {
            if let Some(before) = &message.follows {
                parent = Some(before.clone()).filter(|before| !before.is_empty());
            }
            let entry = writer.message(&self.id, parent.as_deref(), message, message.text.as_str().into());
            parent.clone_from(&message.uuid);
            entry
        };
        messages.iter().map(entry).collect()
    }

    /// Adds to Claude Code's transcript what was said here since its end, so that Claude Code can go on with the session. No Claude
    /// Code may be at work on the session. Returns false for a session that is not saved.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) fn write_transcript(&self, writer: &EntryWriter) -> Result<bool> {
        let (Some(transcript), Some((store, file))) = (self.transcript(), &self.file) else { return Ok(false) };
        let entries = self.missing_entries(writer, &transcript);
        let is_titled = |title: &String| transcript::title(&transcript).as_ref() == Some(title);
        let title = store.title(file).filter(|title| !self.messages.is_empty() && !is_titled(title));
        if entries.is_empty() && title.is_none() {
            return Ok(true);
        }
        let title = title.map(|title| transcript_entry::title(&self.id, &title));
        let prompt = self.messages.iter().rfind(|message| message.role == Role::User);
        let end = prompt.zip(self.last_uuid()).map(|(prompt, leaf)| transcript_entry::last_prompt(&self.id, &prompt.text, leaf));
        let lines: String = entries.into_iter().chain(title).chain(end).map(|entry| format!("{entry}\n")).collect();
        store::append_lines(&transcript, lines.as_bytes()).map(|()| true)
    }

    /// Whether Claude Code can be told.
    pub(crate) fn can_tell_claude(&self) -> bool {
        self.transcript().is_some_and(|transcript| store::open_to_append(&transcript).is_ok())
    }

    /// Leaves the session to Claude Code, as one of its own.
    ///
    /// # Errors
    /// If its transcript cannot be written.
    pub(crate) fn give_to_claude(&self, writer: &EntryWriter) -> Result<bool> {
        let is_written = self.write_transcript(writer)?;
        if let (Some(transcript), Some((store, file)), false) = (self.transcript(), &self.file, self.messages.is_empty()) {
            let known = store.ids(&transcript);
            if self.messages.iter().all(|message| message.uuid.as_ref().is_some_and(|uuid| known.contains(uuid))) {
                store.remove(file);
            }
        }
        Ok(is_written)
    }

    /// What stands before a message that Claude Code knows would stand in the wrong place behind it.
    fn missing_entries(&self, writer: &EntryWriter, transcript: &Path) -> Vec<Value> {
        let mut theirs = transcript::read(transcript, None).unwrap_or_default();
        let known: HashSet<String> = theirs.iter().filter_map(|message| message.uuid.clone()).collect();
        let is_known = |message: &SessionMessage| message.uuid.as_ref().is_some_and(|uuid| known.contains(uuid));
        let since = self.messages.iter().rposition(is_known).map_or(0, |at| at + 1);
        let missing: Vec<SessionMessage> =
            self.messages[since..].iter().filter(|message| message.uuid.is_some()).cloned().collect();
        let mut parent = transcript::last_uuid(transcript);
        // Questions that Claude has refused stand there already, and once is enough.
        let is_again = |theirs: &SessionMessage| {
            theirs.role == Role::User && missing.first().is_some_and(|first| first.text.contains(theirs.text.trim()))
        };
        let count = theirs.len();
        while theirs.last().is_some_and(is_again) {
            theirs.pop();
        }
        if theirs.len() < count {
            parent = theirs.pop().and_then(|before| before.uuid);
        }
        self.entries(writer, &missing, parent)
    }
}
