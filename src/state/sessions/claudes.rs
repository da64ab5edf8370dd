//! Sessions that Claude Code has, too, or is to have.

use std::path::PathBuf;

use crate::claude_code::call_check::is_uuid;
use crate::claude_code::command_line::CommandLine;
use crate::claude_code::transcript;
use crate::claude_code::transcript_entry::{self, EntryWriter};
use crate::context::Context;
use crate::error::{Result, warn};
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
            warn(applet, &format!("Claude Code does not know what the local model has said in this conversation: {error}"));
        }
    }

    /// Claude Code's transcript of it, which need not be there. None for a session that is not saved.
    pub(crate) fn transcript(&self) -> Option<PathBuf> {
        let (store, file) = self.file.as_ref()?;
        store.transcript_of(file)
    }

    /// Adds to Claude Code's transcript what was said here since, so that it can go on with the session, which is its own from then on.
    /// Returns false for a session that is not saved.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) fn give_to_claude(&self, writer: &EntryWriter) -> Result<bool> {
        let (Some(transcript), Some((store, file))) = (self.transcript(), &self.file) else { return Ok(false) };
        let last = transcript::last(&transcript);
        let since = last.as_ref().map_or(i64::MIN, |(_, at)| *at);
        let mut parent = last.map(|(uuid, _)| uuid);
        let mut lines = Vec::new();
        if let Some(title) = store.title(file) {
            lines.extend_from_slice(format!("{}\n", transcript_entry::title(&self.id, &title)).as_bytes());
        }
        let mut has_all = true;
        let known = store.ids(&transcript);
        for message in self.messages.iter().filter(|message| message.uuid.as_ref().is_none_or(|uuid| !known.contains(uuid))) {
            // What is older than the end of the transcript would stand in the wrong place.
            let Some(uuid) = message.uuid.as_ref().filter(|_| message.at > since) else {
                has_all = false;
                continue;
            };
            if let Some(before) = &message.follows {
                parent = Some(before.clone()).filter(|before| !before.is_empty());
            }
            let entry = writer.message(&self.id, parent.as_deref(), message, message.text.as_str().into());
            lines.extend_from_slice(format!("{entry}\n").as_bytes());
            parent = Some(uuid.clone());
        }
        if !lines.is_empty() {
            store::append_lines(&transcript, &lines)?;
        }
        if has_all {
            store.remove(file);
        }
        Ok(true)
    }
}
