//! Conversations that were answered locally, one file each, in a folder for each working directory.
//!
//! A file holds only what was said here, or in the conversation that it was forked from. What the real Claude Code said in a session of the same id is read from its own
//! transcript each time, so neither side's turns are lost however often the switch goes back and forth.

mod store;
mod transcript;

use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::claude_code::protocol::input::Role;
use crate::completions::chat::Message;
use crate::context::Context;
use crate::error::warn;
use crate::state::sessions::store::{Found, Store};

/// Something that was said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// By whom.
    pub role: Role,
    /// The text.
    pub text: String,
    /// When, in milliseconds since 1970.
    pub at: i64,
}

/// A line of a conversation's file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    #[serde(default)]
    entries: Vec<Entry>,
}

/// A conversation.
pub(crate) struct Session {
    /// Its id, a UUID.
    pub id: String,
    entries: Vec<Entry>,
    /// What of it is not on disk yet.
    unkept: Vec<Entry>,
    /// A name that is not on disk yet.
    unkept_title: Option<String>,
    /// Its file, if it is kept.
    kept: Option<(Store, PathBuf)>,
    /// Our name in warnings.
    applet: String,
}

/// Which conversation a call is part of.
pub(crate) enum Choice<'a> {
    /// A new one, with this id if one was given.
    New(Option<&'a str>),
    /// The one with this id or title.
    Known(&'a str),
    /// The last one of this working directory, or a new one.
    Last,
}

/// Why a conversation cannot be taken up.
#[derive(Debug)]
pub(crate) enum Unknown {
    /// No session has this id.
    Id,
    /// It is no id, and no session has this title.
    Title,
    /// These sessions have this title, each with the time of its last change, the newest first.
    Ambiguous(Vec<(String, Timestamp)>),
}

impl Session {
    /// The conversation of a call of the applet `applet`.
    ///
    /// # Errors
    /// If it is not known.
    pub(crate) fn open(applet: &str, context: &Context, choice: Choice) -> std::result::Result<Session, Unknown> {
        let store = Store::new(context).ok();
        let known = |id: String, Found { entries, file }| {
            let kept = store.clone().map(|store| (store, file));
            Session { id, entries, unkept: vec![], unkept_title: None, kept, applet: applet.into() }
        };
        let new = |id: Option<&str>| {
            let id = id.map_or_else(|| Uuid::new_v4().to_string(), str::to_string);
            let file = store.as_ref().map(|store| store.file(&id)).unwrap_or_default();
            known(id, Found { entries: vec![], file })
        };
        match (choice, &store) {
            (Choice::New(id), _) => Ok(new(id)),
            (Choice::Last, None) => Ok(new(None)),
            (Choice::Last, Some(store)) => {
                let last = store.newest_first().into_iter().find_map(|id| Some((id.clone(), store.read(&id)?)));
                Ok(last.map_or_else(|| new(None), |(id, found)| known(id, found)))
            }
            (Choice::Known(name), None) => Err(if is_uuid(name) { Unknown::Id } else { Unknown::Title }),
            (Choice::Known(name), Some(store)) => {
                let id = match is_uuid(name) {
                    true => name.to_string(),
                    false => store.titled(name)?,
                };
                let found = store.read(&id).ok_or(Unknown::Id)?;
                Ok(known(id, found))
            }
        }
    }

    /// Whether a session of this id is known in this working directory.
    pub(crate) fn exists(context: &Context, id: &str) -> bool {
        Store::new(context).is_ok_and(|store| store.has(id))
    }

    /// Whether the conversation of this id or title, or else the last one of this working directory, is one that only Claude
    /// Code has.
    pub(crate) fn is_claudes(context: &Context, name: Option<&str>) -> bool {
        let Ok(store) = Store::new(context) else { return false };
        let id = match name.map(str::trim) {
            Some(id) if is_uuid(id) => Some(id.to_string()),
            Some(title) => store.titled(title).ok(),
            None => store.newest_first().into_iter().next(),
        };
        id.is_some_and(|id| store.is_claudes(&id))
    }

    /// Makes of it a new conversation that begins with what was said so far, kept with the next that is said.
    pub(crate) fn fork(&mut self, id: Option<&str>) {
        self.id = id.map_or_else(|| Uuid::new_v4().to_string(), str::to_string);
        self.unkept = self.entries.clone();
        if let Some((store, file)) = &mut self.kept {
            *file = store.file(&self.id);
        }
    }

    /// Keeps nothing of it on disk from now on.
    pub(crate) fn forget(&mut self) {
        self.kept = None;
    }

    /// Gives it a name by which it can be taken up again, kept with the next that is said.
    pub(crate) fn set_title(&mut self, title: &str) {
        self.unkept_title = Some(title.into());
    }

    /// Gives it a name, kept at once.
    pub(crate) fn rename(&mut self, title: &str) {
        self.set_title(title);
        self.save();
    }

    /// Adds what was said, if that is something.
    pub(crate) fn add(&mut self, role: Role, text: &str) {
        if text.is_empty() {
            return;
        }
        let entry = Entry { role, text: text.into(), at: Timestamp::now().as_millisecond() };
        self.entries.push(entry.clone());
        self.unkept.push(entry);
        self.save();
    }

    /// Leaves out what was said last and not answered: it is about to be said again.
    pub(crate) fn drop_unanswered(&mut self) {
        while self.entries.last().is_some_and(|last| last.role == Role::User) {
            self.entries.pop();
        }
    }

    /// Adds what was said last, as far as it is not there yet. Tools put more between the messages here than there.
    pub(crate) fn catch_up(&mut self, said: &[(Role, String)]) {
        let is_same = |entry: &Entry, (role, text): &(Role, String)| entry.role == *role && entry.text.trim() == text.trim();
        let ends_with = |count: &usize| {
            let end = &self.entries[self.entries.len() - count..];
            end.iter().zip(said).all(|(entry, said)| is_same(entry, said))
        };
        let overlap = (1..=said.len().min(self.entries.len())).rev().find(ends_with);
        let last = || said.iter().rposition(|said| self.entries.last().is_some_and(|entry| is_same(entry, said)));
        let known = overlap.or_else(|| last().map(|at| at + 1)).unwrap_or_default();
        let at = Timestamp::now().as_millisecond();
        let missing = said[known..].iter().filter(|(_, text)| !text.is_empty());
        self.entries.extend(missing.map(|(role, text)| Entry { role: *role, text: text.clone(), at }));
    }

    /// What was said, with nothing said twice in a row by the same side: strict templates want turns. A question that was
    /// asked again, since the first time nobody answered, stands there once.
    pub(crate) fn messages(&self) -> Vec<Message> {
        let mut messages: Vec<Message> = Vec::new();
        for entry in &self.entries {
            let role = match entry.role {
                Role::User => "user",
                Role::Assistant => "assistant",
            };
            match messages.last_mut().filter(|last| last.role == role) {
                Some(last) if last.content == entry.text => {}
                Some(last) => last.content.extend(["\n\n", &entry.text]),
                None => messages.push(Message { role, content: entry.text.clone() }),
            }
        }
        messages
    }

    /// A conversation that cannot be kept is no reason to give no answer.
    fn save(&mut self) {
        let (title, entries) = (self.unkept_title.take(), std::mem::take(&mut self.unkept));
        let Some((store, file)) = &self.kept else { return };
        if let Err(error) = store.append(file, &Record { title, entries }) {
            warn(&self.applet, &format!("this conversation is not kept: {error}"));
            self.kept = None;
        }
    }
}

/// Whether `text` is a UUID as the real CLI takes it: in groups, and in whatever case.
pub(crate) fn is_uuid(text: &str) -> bool {
    text.len() == 36 && Uuid::try_parse(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_yet_is_added_once() {
        let of = |texts: &str| -> Vec<(Role, String)> {
            let role = |text: &str| if text.starts_with('q') { Role::User } else { Role::Assistant };
            texts.split_whitespace().map(|text| (role(text), text.to_string())).collect()
        };
        let table = [
            ("", "q1 a1", "q1 a1"),
            ("q0 a0", "q1 a1", "q0 a0 q1 a1"),
            ("q0 a0 q1", "q1 a1", "q0 a0 q1 a1"),
            ("q0 a0 q1 a1", "q1 a1", "q0 a0 q1 a1"),
            ("q0 ok", "q0 ok q1 ok", "q0 ok q1 ok"),
            ("q1 tool a1", "q1 q2 a1", "q1 tool a1"),
            ("q1 tool a1", "q1 q2 a1 q3 a3", "q1 tool a1 q3 a3"),
            ("q0 a0", "", "q0 a0"),
        ];
        for (known, said, expected) in table {
            let entries = of(known).into_iter().map(|(role, text)| Entry { role, text, at: 0 }).collect();
            let (unkept, unkept_title, kept) = (vec![], None, None);
            let mut session = Session { id: String::new(), entries, unkept, unkept_title, kept, applet: String::new() };
            session.catch_up(&of(said));
            let texts: Vec<&str> = session.entries.iter().map(|entry| entry.text.as_str()).collect();
            assert_eq!(texts.join(" "), expected, "{known} + {said}");
        }
    }
}
