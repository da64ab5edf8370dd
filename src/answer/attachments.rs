//! The files that a prompt mentions, put before it in a form that small models take well.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::claude_code::mentions::mentions;
use crate::context::Context;
use crate::read_file::open_regular;
use crate::shown::{Shown, shown};

/// The largest file that is attached, in bytes, as in the real CLI.
const MAX_FILE_SIZE: u64 = 256 << 10;

/// The prompt with the files and folders that it mentions before it. `warn` gets a line for each that cannot be attached. A mention
/// of what does not exist is plain text, as for the real CLI.
pub(crate) fn attach(context: &Context, prompt: String, warn: &mut dyn FnMut(Shown)) -> String {
    let mut attached = String::new();
    for mention in mentions(&prompt) {
        let path = absolute(context, &mention.path);
        let Ok(metadata) = fs::metadata(&path) else { continue };
        let (shown, name) = (path.display(), Shown::line(path.display()));
        let body = if metadata.is_dir() {
            file_names(&path)
        } else if !metadata.is_file() {
            continue;
        } else if metadata.len() > MAX_FILE_SIZE {
            warn(shown!("`{name}` is larger than {} KiB and is not given to the local model", MAX_FILE_SIZE >> 10));
            continue;
        } else {
            match read_text(&path, mention.lines) {
                Some(text) => text,
                None => {
                    warn(shown!("`{name}` is not text and is not given to the local model"));
                    continue;
                }
            }
        };
        let kind = if metadata.is_dir() { "folder" } else { "file" };
        let newline = if body.is_empty() || body.ends_with('\n') { "" } else { "\n" };
        attached += &format!("<{kind} path=\"{shown}\">\n{body}{newline}</{kind}>\n\n");
    }
    if attached.is_empty() { prompt } else { attached + &prompt }
}

fn absolute(context: &Context, path: &str) -> PathBuf {
    let path = context.expand_home(path.into());
    std::path::absolute(&path).unwrap_or(path)
}

fn file_names(dir: &Path) -> String {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names.join("\n")
}

/// The file's text or these lines of it. `None` for a file that is not text.
fn read_text(path: &Path, lines: Option<(usize, usize)>) -> Option<String> {
    let mut bytes = Vec::new();
    open_regular(path).ok()?.take(MAX_FILE_SIZE).read_to_end(&mut bytes).ok()?;
    if bytes.contains(&0) {
        return None;
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Some(match lines {
        None => text,
        Some((first, last)) => {
            let first = first.max(1);
            text.split_inclusive('\n').skip(first - 1).take(last.saturating_add(1).saturating_sub(first)).collect()
        }
    })
}
