//! Claude Code's own transcripts of sessions, as far as they are text.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::claude_code::protocol::input::Role;
use crate::read_file::open_regular;
use crate::text::replace_lone_surrogates;

/// More text than any local context holds, in bytes.
const MAX_TEXT: usize = 1 << 20;

/// How many bytes are read at first, from the end.
const BLOCK: u64 = 64 << 10;

/// A message of a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SessionMessage {
    pub role: Role,
    pub text: String,
    /// In milliseconds since 1970.
    pub at: i64,
    /// By which `--resume-session-at` names it, and the two programs' records of one message are told for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uuid: Option<String>,
    /// The id of the message that it follows, if what had come after that was dropped; empty if all was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follows: Option<String>,
}

impl SessionMessage {
    /// One of now, with an id of its own if `uuid` has none.
    pub(crate) fn new(role: Role, text: &str, uuid: Option<String>) -> SessionMessage {
        let uuid = Some(uuid.unwrap_or_else(|| Uuid::new_v4().to_string()));
        SessionMessage { role, text: text.into(), at: Timestamp::now().as_millisecond(), uuid, follows: None }
    }
}

/// A line of a transcript: one message, which names the message before it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TranscriptLine<'a> {
    #[serde(rename = "type")]
    kind: Option<String>,
    uuid: Option<String>,
    parent_uuid: Option<String>,
    timestamp: Option<Timestamp>,
    is_sidechain: Option<bool>,
    is_meta: Option<bool>,
    is_api_error_message: Option<bool>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    compact_metadata: Option<Value>,
}

/// The newest messages of a transcript, oldest first, up to the line with the id `last` if that is given. `None` if there are none.
pub(crate) fn read(path: &Path, last: Option<&str>) -> Option<Vec<SessionMessage>> {
    let mut lines = lines_from_end(open(path)?);
    let mut messages = Vec::new();
    let mut size = 0;
    let mut wanted = last.map(str::to_string);
    let mut preserved = HashSet::new();
    for line in lines.by_ref() {
        let Some(line) = parse(&line) else { continue };
        // After a rewind there are branches: from the last message on, only its ancestors count.
        if wanted.as_ref().is_some_and(|wanted| line.uuid.as_ref() != Some(wanted)) {
            continue;
        }
        let parent = line.parent_uuid.clone();
        preserved = preserved_ids(&line.compact_metadata);
        if let Some(message) = message(line) {
            size += message.text.len();
            messages.push(message);
        }
        if parent.is_none() || size > MAX_TEXT {
            break;
        }
        wanted = parent;
    }
    // Where the conversation was compacted, its summary is the oldest message; those that it leaves as they were follow it.
    while let Some(line) = lines.next().filter(|_| !preserved.is_empty()) {
        let Some(line) = parse(&line).filter(|line| line.uuid.as_ref().is_some_and(|id| preserved.remove(id))) else { continue };
        let before_summary = messages.len().saturating_sub(1);
        messages.splice(before_summary..before_summary, message(line));
    }
    // A conversation begins with a question, and so must one that was cut at the limit.
    while messages.last().is_some_and(|oldest| size > MAX_TEXT && oldest.role == Role::Assistant) {
        messages.pop();
    }
    messages.reverse();
    make_times_ascend(&mut messages);
    (!messages.is_empty()).then_some(messages)
}

/// Which of these ids messages of the transcript have, whether they belong to its conversation or not.
pub(crate) fn found(path: &Path, ids: &HashSet<&String>) -> HashSet<String> {
    let mut found = HashSet::new();
    let lines = open(path).filter(|_| !ids.is_empty()).into_iter().flat_map(lines_from_end);
    for line in lines {
        if found.len() == ids.len() {
            break;
        }
        for at in memchr::memmem::find_iter(&line, b"\"uuid\":\"") {
            let id = line.get(at + 8..at + 44).and_then(|id| std::str::from_utf8(id).ok()).map(str::to_string);
            found.extend(id.filter(|id| ids.contains(id)));
        }
    }
    found
}

/// A pipe in its place is never waited for.
pub(super) fn open(path: &Path) -> Option<File> {
    open_regular(path).ok()
}

/// The id of the last line of a transcript that has one.
pub(crate) fn last_uuid(path: &Path) -> Option<String> {
    lines_from_end(open(path)?).find_map(|line| parse(&line)?.uuid)
}

/// The title that the user gave, if any. Claude Code repeats it now and then; the last one counts.
pub(crate) fn title(path: &Path) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Titled {
        custom_title: String,
    }
    lines_from_end(open(path)?).find_map(|line| {
        memchr::memmem::find(&line, b"\"custom-title\"")?;
        serde_json::from_slice::<Titled>(&line).ok().map(|line| line.custom_title)
    })
}

fn parse(line: &[u8]) -> Option<TranscriptLine<'_>> {
    serde_json::from_slice(line).ok().filter(|line: &TranscriptLine| line.uuid.is_some() && line.is_sidechain != Some(true))
}

fn preserved_ids(compact_metadata: &Option<Value>) -> HashSet<String> {
    let preserved = compact_metadata.as_ref().and_then(|metadata| metadata["preservedMessages"]["uuids"].as_array());
    preserved.into_iter().flatten().filter_map(|id| Some(id.as_str()?.to_string())).collect()
}

/// Makes the times ascend in the file's order, which a later sort by time must keep.
pub(crate) fn make_times_ascend(messages: &mut [SessionMessage]) {
    let mut latest = i64::MIN;
    for message in messages {
        latest = latest.max(message.at);
        message.at = latest;
    }
}

fn message(line: TranscriptLine) -> Option<SessionMessage> {
    if line.is_meta == Some(true) || line.is_api_error_message == Some(true) {
        return None;
    }
    let role = match line.kind.as_deref()? {
        "user" => Role::User,
        "assistant" => Role::Assistant,
        _ => return None,
    };
    let json = line.message?.get();
    let message: Value = serde_json::from_str(json).or_else(|_| serde_json::from_str(&replace_lone_surrogates(json))).ok()?;
    let text = match &message["content"] {
        Value::String(text) => text.clone(),
        Value::Array(blocks) => {
            let texts: Vec<&str> = blocks.iter().filter_map(|block| block["text"].as_str()).collect();
            texts.join("\n\n")
        }
        _ => return None,
    };
    let at = line.timestamp?.as_millisecond();
    (!text.trim().is_empty()).then_some(SessionMessage { role, text, at, uuid: line.uuid, follows: None })
}

/// The lines of a file from the last to the first, without reading more of it than is asked for.
pub(super) fn lines_from_end(mut file: File) -> impl Iterator<Item = Vec<u8>> {
    let mut before = file.metadata().map_or(0, |metadata| metadata.len());
    let mut pending: Vec<u8> = Vec::new();
    std::iter::from_fn(move || {
        loop {
            if let Some(at) = memchr::memrchr(b'\n', &pending) {
                let line = pending.split_off(at + 1);
                pending.pop();
                if line.is_empty() {
                    continue;
                }
                return Some(line);
            }
            if before == 0 {
                return (!pending.is_empty()).then(|| std::mem::take(&mut pending));
            }
            // The block grows with a long line, whose bytes would otherwise be moved again and again.
            let length = before.min(BLOCK.max(pending.len() as u64));
            before -= length;
            let mut block = read_at(&mut file, before, length).ok()?;
            block.append(&mut pending);
            pending = block;
        }
    })
}

fn read_at(file: &mut File, at: u64, length: u64) -> io::Result<Vec<u8>> {
    let mut block = vec![0; length as usize];
    file.seek(SeekFrom::Start(at))?;
    file.read_exact(&mut block)?;
    Ok(block)
}
