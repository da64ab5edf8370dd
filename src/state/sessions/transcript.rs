//! Claude Code's own transcript of a session, as far as it is text.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::state::sessions::{Entry, Role};
use crate::text::replace_lone_surrogates;

/// More text than any local context holds, in bytes.
const ENOUGH: usize = 1 << 20;

/// How much is read at first, from the end.
const BLOCK: u64 = 64 << 10;

/// A line of a transcript, which is one message and names the one before it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    #[serde(rename = "type")]
    kind: Option<String>,
    uuid: Option<String>,
    parent_uuid: Option<String>,
    timestamp: Option<jiff::Timestamp>,
    is_sidechain: Option<bool>,
    is_meta: Option<bool>,
    is_api_error_message: Option<bool>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    compact_metadata: Option<Value>,
}

/// The newest turns of a transcript, oldest first. `None` if there are none.
pub(super) fn read(path: &Path) -> Option<Vec<Entry>> {
    let mut lines = lines_from_end(File::open(path).ok()?);
    let mut entries = Vec::new();
    let mut size = 0;
    let mut wanted: Option<String> = None;
    let mut preserved = HashSet::new();
    for line in lines.by_ref() {
        let Some(line) = parse(&line) else { continue };
        // After a rewind there are branches: from the last message on, only its ancestors count.
        if wanted.as_ref().is_some_and(|wanted| line.uuid.as_ref() != Some(wanted)) {
            continue;
        }
        let parent = line.parent_uuid.clone();
        preserved = ids(&line.compact_metadata);
        if let Some(entry) = entry(line) {
            size += entry.text.len();
            entries.push(entry);
        }
        if parent.is_none() || size > ENOUGH {
            break;
        }
        wanted = parent;
    }
    // Where the conversation was compacted, its summary is the oldest message; those that it leaves as they were follow it.
    while let Some(line) = lines.next().filter(|_| !preserved.is_empty()) {
        let Some(line) = parse(&line).filter(|line| line.uuid.as_ref().is_some_and(|id| preserved.remove(id))) else { continue };
        let before_summary = entries.len().saturating_sub(1);
        entries.splice(before_summary..before_summary, entry(line));
    }
    // Where it was enough, it begins with a question, as a conversation does.
    while entries.last().is_some_and(|oldest| size > ENOUGH && oldest.role == Role::Assistant) {
        entries.pop();
    }
    entries.reverse();
    in_order(&mut entries);
    (!entries.is_empty()).then_some(entries)
}

/// The title that the user gave, if any. Claude Code repeats it now and then; the last one counts.
pub(super) fn title(path: &Path) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Titled {
        custom_title: String,
    }
    lines_from_end(File::open(path).ok()?).find_map(|line| {
        memchr::memmem::find(&line, b"\"custom-title\"")?;
        serde_json::from_slice::<Titled>(&line).ok().map(|line| line.custom_title)
    })
}

fn parse(line: &[u8]) -> Option<Line<'_>> {
    serde_json::from_slice(line).ok().filter(|line: &Line| line.uuid.is_some() && line.is_sidechain != Some(true))
}

fn ids(compact_metadata: &Option<Value>) -> HashSet<String> {
    let preserved = compact_metadata.as_ref().and_then(|metadata| metadata["preservedMessages"]["uuids"].as_array());
    preserved.into_iter().flatten().filter_map(|id| Some(id.as_str()?.to_string())).collect()
}

/// Makes the times follow the order, which is the file's: what is sorted by time later must keep it.
pub(super) fn in_order(entries: &mut [Entry]) {
    let mut latest = i64::MIN;
    for entry in entries {
        latest = latest.max(entry.at);
        entry.at = latest;
    }
}

fn entry(line: Line) -> Option<Entry> {
    if line.is_meta == Some(true) || line.is_api_error_message == Some(true) {
        return None;
    }
    let role = match line.kind?.as_str() {
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
    (!text.trim().is_empty()).then_some(Entry { role, text, at })
}

/// The lines of a file from the last to the first, without reading more of it than is asked for.
fn lines_from_end(mut file: File) -> impl Iterator<Item = Vec<u8>> {
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
            // More of a long line each time, or its bytes would be moved again and again.
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
