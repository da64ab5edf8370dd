//! Claude Code's own transcript of a session, as far as it is text.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::{Entry, Role};

/// More text than any local context holds, in bytes.
const ENOUGH: usize = 1 << 20;

/// How much is read at a time, from the end.
const BLOCK: u64 = 64 << 10;

/// A line of a transcript, which is one message and names the one before it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    #[serde(rename = "type")]
    kind: Option<String>,
    uuid: Option<String>,
    parent_uuid: Option<String>,
    timestamp: Option<jiff::Timestamp>,
    #[serde(default)]
    is_sidechain: bool,
    #[serde(default)]
    is_meta: bool,
    #[serde(default)]
    is_api_error_message: bool,
    message: Option<Value>,
}

/// The newest turns of a transcript, oldest first. `None` if there are none.
pub fn read(path: &Path) -> Option<Vec<Entry>> {
    let mut entries = Vec::new();
    let mut size = 0;
    let mut wanted: Option<String> = None;
    for line in lines_from_end(File::open(path).ok()?) {
        let Ok(line) = serde_json::from_slice::<Line>(&line) else { continue };
        // After a rewind there are branches: from the last message on, only its ancestors count.
        if line.uuid.is_none() || line.is_sidechain || wanted.as_ref().is_some_and(|wanted| line.uuid.as_ref() != Some(wanted)) {
            continue;
        }
        let parent = line.parent_uuid.clone();
        if let Some(entry) = entry(line) {
            size += entry.text.len();
            entries.push(entry);
        }
        if parent.is_none() || size > ENOUGH {
            break;
        }
        wanted = parent;
    }
    entries.reverse();
    (!entries.is_empty()).then_some(entries)
}

fn entry(line: Line) -> Option<Entry> {
    if line.is_meta || line.is_api_error_message {
        return None;
    }
    let role = match line.kind?.as_str() {
        "user" => Role::User,
        "assistant" => Role::Assistant,
        _ => return None,
    };
    let text = match &line.message?["content"] {
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
            let length = before.min(BLOCK);
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
