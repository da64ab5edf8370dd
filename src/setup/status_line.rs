//! Claude Code's status line, which shows who answers: in the user's settings file of Claude Code, where there is none yet.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::context::Context;
use crate::error::Result;
use crate::setup::files::{leave_users, read_users, text, write_users};
use crate::setup::manifest::Manifest;
use crate::setup::places::Places;

const KEY: &str = "statusLine";

/// The settings file of Claude Code for this user.
pub(super) fn settings_file(context: &Context, places: &Places) -> PathBuf {
    let folder = context.env("CLAUDE_CONFIG_DIR").map(PathBuf::from).filter(|dir| dir.is_absolute());
    folder.unwrap_or_else(|| places.home.join(".claude")).join("settings.json")
}

/// The command that Claude Code runs by a shell.
pub(super) fn command(places: &Places) -> String {
    let link = text(&places.bin.join("llm-failover"));
    let is_plain = link.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
    let link = if is_plain { link } else { format!("'{}'", link.replace('\'', r"'\''")) };
    format!("{link} statusline")
}

/// What there is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// None is set: ours can be.
    None,
    Ours,
    /// Another one, or a file that is no JSON object: it stays.
    Others,
}

pub(super) fn look(file: &Path, command: &str) -> Found {
    let Ok(bytes) = read_users(file) else { return Found::Others };
    if bytes.trim_ascii().is_empty() {
        return Found::None;
    }
    match serde_json::from_slice::<Map<String, Value>>(&bytes) {
        Err(_) => Found::Others,
        Ok(settings) => match settings.get(KEY) {
            None => Found::None,
            Some(line) if line["command"] == command => Found::Ours,
            Some(_) => Found::Others,
        },
    }
}

/// What is put behind the first brace.
fn inserted(command: &str, is_alone: bool) -> String {
    let value = json!({"type": "command", "command": command});
    format!("\n  \"{KEY}\": {value}{}", if is_alone { "\n" } else { "," })
}

/// What is put where no object is. In a file that was there its last line differs from that of an empty object with our line.
fn whole(command: &str, is_new: bool) -> String {
    format!("{{{}{}}}\n", inserted(command, true), if is_new { "" } else { "  " })
}

pub(super) fn add(manifest: &mut Manifest, file: &Path, command: &str) -> Result<()> {
    if look(file, command) != Found::None {
        return Ok(());
    }
    let bytes = read_users(file)?;
    let text_there = String::from_utf8_lossy(&bytes).into_owned();
    manifest.record("statusline", &text(file), command)?;
    let new = match text_there.split_once('{') {
        None => {
            let whole = whole(command, !file.exists());
            text_there + &whole
        }
        Some((before, after)) => format!("{before}{{{}{after}", inserted(command, after.trim_start().starts_with('}'))),
    };
    write_users(manifest, file, new.as_bytes(), 0o600)
}

/// Takes our line away, if it is still ours.
pub(super) fn remove(manifest: &Manifest, file: &Path, command: &str) -> Result<()> {
    if look(file, command) != Found::Ours {
        return Ok(());
    }
    let bytes = read_users(file)?;
    let there = String::from_utf8_lossy(&bytes).into_owned();
    let as_we_left = [true, false].map(|is_alone| format!("{{{}", inserted(command, is_alone)));
    let left = match as_we_left.iter().find(|ours| there.contains(*ours)) {
        _ if there == whole(command, true) && manifest.has("created", &text(file)) => String::new(),
        _ if there.trim_start() == whole(command, false) => there[..there.len() - there.trim_start().len()].to_string(),
        Some(ours) => there.replacen(ours, "{", 1),
        // Claude Code has written the file anew since.
        None => {
            let mut settings: Map<String, Value> = serde_json::from_slice(&bytes).unwrap_or_default();
            settings.shift_remove(KEY);
            serde_json::to_string_pretty(&settings).unwrap_or_default() + "\n"
        }
    };
    leave_users(manifest, file, left.as_bytes())
}
