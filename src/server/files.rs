//! The local server's log.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

pub(crate) fn log_file(state_dir: &Path) -> PathBuf {
    state_dir.join("server.log")
}

/// In characters.
const LINE_LIMIT: usize = 400;

/// The last lines of a file that may be large or missing, without control characters.
pub(crate) fn last_lines(path: &Path, count: usize) -> Vec<String> {
    let Ok(mut file) = File::open(path) else { return vec![] };
    let length = file.metadata().map_or(0, |metadata| metadata.len());
    let window = (count as u64).saturating_mul(LINE_LIMIT as u64).max(4096);
    let begin = length.saturating_sub(window);
    let _ = file.seek(SeekFrom::Start(begin));
    let mut bytes = Vec::new();
    let _ = file.take(window).read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    // The window may begin in the middle of a line.
    let whole = text.lines().skip(usize::from(begin > 0)).filter(|line| !line.trim().is_empty());
    let lines: Vec<&str> = whole.collect();
    let printable = |line: &&str| line.chars().filter(|c| !c.is_control()).take(LINE_LIMIT).collect();
    lines[lines.len().saturating_sub(count)..].iter().map(printable).collect()
}
