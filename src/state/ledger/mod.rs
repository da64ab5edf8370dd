//! The ledger: one JSON line for each routed call, and never a prompt, an answer or a key.

pub(crate) mod figures;
pub(crate) mod moments;
pub(crate) mod outages;
pub(crate) mod summary;
pub(crate) mod table;
pub(crate) mod tail;
pub(crate) mod words;

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize, Serializer};

use crate::context::Context;
use crate::error::Result;
use crate::os::atomic_file::open_private;
use crate::os::file_id::FileId;
use crate::read_file::read_own;
use crate::state::daily;
pub(crate) use crate::state::ledger::figures::Counts;

/// In bytes. A larger file is set aside.
const SIZE_LIMIT: u64 = 1 << 20;

/// The longest file that is read, in bytes. Callers at once can make one a little longer than the limit.
const MOST_BYTES: u64 = 16 << 20;

/// How often a line is written again because its file was removed meanwhile.
const ATTEMPTS: usize = 5;

/// A routed call.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// The beginning of the call.
    #[serde(serialize_with = "milliseconds")]
    pub time: Timestamp,
    pub applet: String,
    pub route: RouteName,
    /// The cause of Claude's answer, or why Claude was not asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<String>,
    #[serde(rename = "backend")]
    pub answered_by: AnsweredBy,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The address of the local server, unless it is the first of the chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u64>,
    #[serde(serialize_with = "thousandths")]
    pub seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit: Option<i32>,
    /// The stated end of the limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// The local server has read only a part of the prompt.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
    /// Markup in an answer of the local model that no dialect knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown_markup: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RouteName {
    Watch,
    Answer,
    Agent,
    /// The agent went on with a session that Claude had begun.
    Resume,
    /// A session at a terminal: a refusal by Claude, or its time on the local model.
    Terminal,
    /// A note of a gateway about the call that it serves. It counts as no call.
    Gateway,
    /// A route of a later version of this program.
    #[serde(other)]
    Unknown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum AnsweredBy {
    Claude,
    Local,
    /// What only a later version of this program knows.
    #[serde(other)]
    Unknown,
}

impl AnsweredBy {
    pub(crate) fn word(self) -> &'static str {
        match self {
            AnsweredBy::Claude => "claude",
            AnsweredBy::Local => "local",
            AnsweredBy::Unknown => "unknown",
        }
    }
}

fn milliseconds<S: Serializer>(time: &Timestamp, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{time:.3}"))
}

fn thousandths<S: Serializer>(seconds: &f64, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.serialize_f64((seconds * 1000.0).round() / 1000.0)
}

impl Entry {
    /// A ledger that cannot be written is not the call's failure. Whoever writes it sends the daily line, too, if that is due.
    pub(crate) fn append(&self, context: &Context) {
        if let (Ok(path), Ok(mut line)) = (file(context), serde_json::to_vec(self)) {
            line.push(b'\n');
            let _ = append(&path, &line, SIZE_LIMIT);
        }
        daily::send_if_due(context, &self.applet);
    }

    /// A call that ends now.
    pub(crate) fn new(applet: &str, time: Timestamp, route: RouteName, answered_by: AnsweredBy) -> Entry {
        Entry {
            time,
            applet: applet.into(),
            route,
            verdict: None,
            answered_by,
            model: None,
            server: None,
            input_tokens: None,
            output_tokens: None,
            seconds: Timestamp::now().duration_since(time).as_secs_f64().max(0.0),
            exit: None,
            until: None,
            truncated: false,
            unknown_markup: None,
        }
    }

    /// The end of the call.
    pub(crate) fn end(&self) -> Timestamp {
        self.time.saturating_add(SignedDuration::try_from_secs_f64(self.seconds).unwrap_or_default()).unwrap_or(self.time)
    }

    pub(crate) fn is_local(&self) -> bool {
        self.answered_by == AnsweredBy::Local
    }
}

pub(crate) struct LedgerLine {
    /// As it stands in the file, without the line's end.
    pub raw: String,
    pub entry: Entry,
}

/// In the order of writing. Torn and foreign lines are skipped.
pub(crate) fn read(context: &Context) -> Result<Vec<LedgerLine>> {
    let path = file(context)?;
    let mut lines = Vec::new();
    for path in [set_aside_path(&path), path] {
        let bytes = read_own(&path, MOST_BYTES).unwrap_or_default();
        lines.extend(String::from_utf8_lossy(&bytes).lines().filter_map(parse));
    }
    Ok(lines)
}

/// The calls that began after `since`. Without a ledger: none.
pub(crate) fn count_since(context: &Context, since: Timestamp) -> Counts {
    let lines = read(context).unwrap_or_default();
    count(lines.iter().map(|line| &line.entry).filter(|entry| entry.time >= since))
}

fn count<'a>(entries: impl Iterator<Item = &'a Entry>) -> Counts {
    let mut counts = Counts::default();
    entries.filter(|entry| entry.route != RouteName::Gateway).for_each(|entry| counts.add(entry));
    counts
}

fn file(context: &Context) -> Result<PathBuf> {
    Ok(context.state_dir()?.join("ledger.jsonl"))
}

fn set_aside_path(path: &Path) -> PathBuf {
    path.with_extension("jsonl.1")
}

/// After a line that a full disk has cut, the next one follows without a line's end. Only the cut one is lost.
pub(super) fn parse(line: &str) -> Option<LedgerLine> {
    let raw = &line[line.rfind(r#"{"time":"#)?..];
    Some(LedgerLine { raw: raw.into(), entry: serde_json::from_str(raw).ok()? })
}

/// Appends a whole line, even if other processes append to the file or rename it meanwhile.
fn append(path: &Path, line: &[u8], size_limit: u64) -> Result<()> {
    for _ in 0..ATTEMPTS {
        let mut file = open_private(path)?;
        let is_full = file.metadata().is_ok_and(|metadata| metadata.len() >= size_limit);
        if is_full && set_aside(&file, path) {
            continue;
        }
        let is_written = file.write_all(line).is_ok();
        // Since it was opened, the file may have been set aside, and then replaced by the next one that was.
        if !is_written || file.metadata().is_ok_and(|metadata| metadata.nlink() > 0) {
            break;
        }
    }
    Ok(())
}

/// Sets the full `file` aside, unless another process has. Only the holder of the lock renames, and only a file that is still in
/// place. Returns false if the line belongs into this file: it cannot be renamed, or another process is renaming it now.
fn set_aside(file: &File, path: &Path) -> bool {
    if file.try_lock().is_err() {
        return false;
    }
    let is_in_place = FileId::of(path) == file.metadata().ok().as_ref().map(FileId::from);
    !is_in_place || fs::rename(path, set_aside_path(path)).is_ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::thread;

    use super::*;

    fn ledger_in(folder: &tempfile::TempDir) -> PathBuf {
        folder.path().join("below/ledger.jsonl")
    }

    fn lines(path: &Path) -> Vec<String> {
        fs::read_to_string(path).unwrap_or_default().lines().map(str::to_string).collect()
    }

    #[test]
    fn parallel_writers_lose_nothing_while_files_are_set_aside() {
        const WRITERS: usize = 50;
        let folder = tempfile::tempdir().expect("a folder");
        let path = ledger_in(&folder);
        // Two files hold it all: the first is set aside once, in the middle.
        let limit = WRITERS as u64 * 6 * 10 / 2;
        thread::scope(|scope| {
            for writer in 0..WRITERS {
                let path = &path;
                scope.spawn(move || {
                    for line in 0..6 {
                        append(path, format!("{writer:04} {line:04}\n").as_bytes(), limit).unwrap();
                    }
                });
            }
        });
        let (first, second) = (lines(&set_aside_path(&path)), lines(&path));
        let whole: BTreeSet<String> = first.iter().chain(&second).cloned().collect();
        let expected = (0..WRITERS).flat_map(|writer| (0..6).map(move |line| format!("{writer:04} {line:04}")));
        assert_eq!(whole, expected.collect());
        assert_eq!(first.len() + second.len(), WRITERS * 6, "none twice");
        assert!(!second.is_empty() && first.len() >= WRITERS * 3, "{} {}", first.len(), second.len());
    }

    #[test]
    fn a_full_file_is_set_aside_once() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        let path = ledger_in(&folder);
        for line in ["one\n", "two\n", "three\n"] {
            append(&path, line.as_bytes(), 8).unwrap();
        }
        assert_eq!((lines(&set_aside_path(&path)), lines(&path)), (vec!["one".into(), "two".into()], vec!["three".into()]));
        let late = open_private(&path).unwrap();
        append(&path, b"more\n", 6).unwrap();
        assert!(set_aside(&late, &path), "another was quicker");
        assert_eq!((lines(&set_aside_path(&path)), lines(&path)), (vec!["three".into()], vec!["more".into()]));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    }

    #[test]
    fn a_line_after_a_torn_one_is_read() {
        let whole = r#"{"time":"2026-11-22T01:10:00Z","applet":"claude","route":"watch","backend":"local","seconds":1.5}"#;
        let torn = &whole[..40];
        for line in [whole.to_string(), format!("{torn}{whole}")] {
            assert_eq!(parse(&line).expect("an entry").raw, whole);
        }
        for line in [torn, "", "null", "{}", r#"{"time":"yesterday"}"#, &whole.replace("1.5", "true")] {
            assert!(parse(line).is_none(), "{line}");
        }
    }
}
