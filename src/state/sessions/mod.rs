//! Conversations that the local model answered, one file each, in a folder for each working directory.
//!
//! A file holds only what was said here, or in the conversation that it was forked from. What the real Claude Code said in a session
//! of the same id is read from its own transcript each time, so neither side's turns are lost however often calls go back and forth.

mod claudes;
#[cfg(any(test, fuzzing))]
pub(super) mod fuzzing;
mod store;

use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::claude_code::call_check::is_uuid;
use crate::claude_code::protocol::input::Role;
use crate::claude_code::transcript::SessionMessage;
use crate::completions::chat::Message;
use crate::context::Context;
use crate::error::warn;
use crate::shown::shown;
use crate::state::sessions::store::{SessionStore, StoredSession};

/// A line of a session's file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    #[serde(default, rename = "entries")]
    messages: Vec<SessionMessage>,
}

#[derive(Clone)]
pub(crate) struct Session {
    /// A UUID.
    pub id: String,
    messages: Vec<SessionMessage>,
    /// Those of `messages` that are not on disk yet.
    unsaved: Vec<SessionMessage>,
    /// What the next message follows, if messages were dropped.
    branch: Option<String>,
    /// A title that is not on disk yet.
    unsaved_title: Option<String>,
    /// Where the session is saved, if it is.
    file: Option<(SessionStore, PathBuf)>,
    /// Our name in warnings.
    applet: String,
}

/// The session that a call asks for.
#[derive(Clone, Copy)]
pub(crate) enum SessionChoice<'a> {
    /// A new one, with this id if the caller gave one.
    New(Option<&'a str>),
    /// The one with this id or title.
    Named(&'a str),
    /// The same, up to the message with the id `last`. If `turn` is given, nothing but the turn that begins with this message may be
    /// dropped for that.
    UpTo { name: &'a str, last: &'a str, turn: Option<&'a str> },
    /// The newest of this working directory, or else a new one.
    Newest,
}

#[derive(Debug)]
pub(crate) enum SessionNotFound {
    /// No session has this id.
    Id,
    /// The name is not an id, and no session has this title.
    Title,
    /// These sessions have this title, each with the time of its last change, the newest first.
    Ambiguous(Vec<(String, Timestamp)>),
    /// The session has no message with this id.
    Message,
    /// This would be dropped, too: the message of this number.
    Discarded(usize, SessionMessage),
}

impl Session {
    /// Opens a session for a call of the applet `applet`.
    ///
    /// # Errors
    /// If no session has this name, or several have.
    pub(crate) fn open(applet: &str, context: &Context, choice: SessionChoice) -> std::result::Result<Session, SessionNotFound> {
        let store = SessionStore::new(context).ok();
        let session = |id: String, StoredSession { messages, file }| {
            let file = store.clone().map(|store| (store, file));
            Session { id, messages, unsaved: vec![], branch: None, unsaved_title: None, file, applet: applet.into() }
        };
        let new = |id: Option<&str>| {
            let id = id.map_or_else(|| Uuid::new_v4().to_string(), str::to_string);
            let file = store.as_ref().map(|store| store.file(&id)).unwrap_or_default();
            session(id, StoredSession { messages: vec![], file })
        };
        match (choice, &store) {
            (SessionChoice::New(id), _) => Ok(new(id)),
            (SessionChoice::Newest, None) => Ok(new(None)),
            (SessionChoice::Newest, Some(store)) => {
                let newest = store.newest_first().into_iter().find_map(|id| Some((id.clone(), store.read(&id, None)?)));
                Ok(newest.map_or_else(|| new(None), |(id, stored)| session(id, stored)))
            }
            (SessionChoice::Named(name) | SessionChoice::UpTo { name, .. }, None) => {
                Err(if is_uuid(name) { SessionNotFound::Id } else { SessionNotFound::Title })
            }
            (SessionChoice::Named(name) | SessionChoice::UpTo { name, .. }, Some(store)) => {
                let id = match is_uuid(name) {
                    true => name.to_string(),
                    false => store.find_by_title(name)?,
                };
                let stored = store.read(&id, None).ok_or(SessionNotFound::Id)?;
                let SessionChoice::UpTo { last, turn, .. } = choice else { return Ok(session(id, stored)) };
                let kept = store.read(&id, Some(last)).ok_or(SessionNotFound::Message)?;
                let dropped = stored.messages.get(kept.messages.len()..).unwrap_or_default();
                if let Some((at, message)) = turn.and_then(|turn| not_of_turn(dropped, turn)) {
                    return Err(SessionNotFound::Discarded(at + 1, message.clone()));
                }
                let branch = (!dropped.is_empty()).then(|| kept.messages.last()?.uuid.clone()).flatten();
                Ok(Session { branch, ..session(id, kept) })
            }
        }
    }

    /// Whether this working directory has a session with this id.
    pub(crate) fn exists(context: &Context, id: &str) -> bool {
        SessionStore::new(context).is_ok_and(|store| store.has(id))
    }

    /// Turns this into a new session that begins with the same messages. They are saved with the next one.
    pub(crate) fn fork(&mut self, id: Option<&str>) {
        self.id = id.map_or_else(|| Uuid::new_v4().to_string(), str::to_string);
        self.branch = None;
        self.messages.iter_mut().for_each(|message| message.follows = None);
        self.unsaved = self.messages.clone();
        if let Some((store, file)) = &mut self.file {
            *file = store.file(&self.id);
        }
    }

    /// Saves nothing from now on.
    pub(crate) fn stop_saving(&mut self) {
        self.file = None;
    }

    /// Sets the title by which `--resume` finds the session. It is saved with the next message.
    pub(crate) fn set_title(&mut self, title: &str) {
        self.unsaved_title = Some(title.into());
    }

    /// Sets the title and saves it at once.
    pub(crate) fn rename(&mut self, title: &str) {
        self.set_title(title);
        self.save();
    }

    /// Adds a message, unless it is empty.
    pub(crate) fn add(&mut self, message: SessionMessage) {
        if message.text.is_empty() {
            return;
        }
        let message = SessionMessage { follows: self.branch.take().or(message.follows), ..message };
        self.messages.push(message.clone());
        self.unsaved.push(message);
        self.save();
    }

    /// Makes this a new session, of which nothing was said yet. The one before it stays as it is.
    pub(crate) fn clear(&mut self) {
        self.messages.clear();
        self.fork(None);
    }

    /// Puts `summary` in the place of all that was said.
    pub(crate) fn compact(&mut self, summary: SessionMessage) {
        self.messages.clear();
        self.branch = Some(String::new());
        self.add(summary);
    }

    /// The id of the last message that has one.
    pub(crate) fn last_uuid(&self) -> Option<&str> {
        self.messages.iter().rev().find_map(|message| message.uuid.as_deref())
    }

    /// What is saved with the next message: of a fork, all that was said.
    pub(crate) fn unsaved(&self) -> &[SessionMessage] {
        &self.unsaved
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Drops the last questions if they have no answer: the caller is about to ask them again.
    pub(crate) fn drop_unanswered(&mut self) {
        while self.messages.last().is_some_and(|last| last.role == Role::User) {
            self.messages.pop();
        }
    }

    /// Adds the end of `transcript`, as far as it is missing here. Tools put more messages between those here than the transcript has.
    pub(crate) fn catch_up(&mut self, transcript: &[(Role, String)]) {
        let is_same =
            |message: &SessionMessage, (role, text): &(Role, String)| message.role == *role && message.text.trim() == text.trim();
        let ends_with = |count: &usize| {
            let end = &self.messages[self.messages.len() - count..];
            end.iter().zip(transcript).all(|(message, line)| is_same(message, line))
        };
        let overlap = (1..=transcript.len().min(self.messages.len())).rev().find(ends_with);
        let last = || transcript.iter().rposition(|line| self.messages.last().is_some_and(|message| is_same(message, line)));
        let known = overlap.or_else(|| last().map(|at| at + 1)).unwrap_or_default();
        let at = Timestamp::now().as_millisecond();
        let missing = transcript[known..].iter().filter(|(_, text)| !text.is_empty());
        let message = |role, text: &String| SessionMessage { role, text: text.clone(), at, uuid: None, follows: None };
        self.messages.extend(missing.map(|(role, text)| message(*role, text)));
    }

    /// The conversation for the model. Strict chat templates want the roles to alternate, so successive messages of one role are
    /// joined. A question that was asked again, since it had no answer at first, stands there once.
    pub(crate) fn messages(&self) -> Vec<Message> {
        let mut messages: Vec<Message> = Vec::new();
        for message in &self.messages {
            let role = message.role.word();
            match messages.last_mut().filter(|last| last.role == role) {
                Some(last) if last.content == message.text => {}
                Some(last) => last.content.extend(["\n\n", &message.text]),
                None => messages.push(Message { role, content: message.text.clone() }),
            }
        }
        messages
    }

    /// A session that cannot be saved is no reason to give no answer.
    fn save(&mut self) {
        let (title, messages) = (self.unsaved_title.take(), std::mem::take(&mut self.unsaved));
        let Some((store, file)) = &self.file else { return };
        if let Err(error) = store.append(file, &Record { title, messages }) {
            warn(&self.applet, &shown!("this conversation is not kept: {error}"));
            self.file = None;
        }
    }
}

/// The first of the messages that belongs to another turn than the one that begins with the message `turn`.
fn not_of_turn<'a>(messages: &'a [SessionMessage], turn: &str) -> Option<(usize, &'a SessionMessage)> {
    let is_of_turn = |at: usize, message: &SessionMessage| match at {
        0 => message.uuid.as_deref() == Some(turn),
        _ => message.role == Role::Assistant,
    };
    messages.iter().enumerate().find(|(at, message)| !is_of_turn(*at, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_added_once() {
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
        for (known, transcript, expected) in table {
            let messages = of(known)
                .into_iter()
                .map(|(role, text)| SessionMessage { role, text, at: 0, uuid: None, follows: None })
                .collect();
            let (id, applet) = (String::new(), String::new());
            let mut session = Session { id, messages, unsaved: vec![], branch: None, unsaved_title: None, file: None, applet };
            session.catch_up(&of(transcript));
            let texts: Vec<&str> = session.messages.iter().map(|message| message.text.as_str()).collect();
            assert_eq!(texts.join(" "), expected, "{known} + {transcript}");
        }
    }
}
