//! The files of the state folder, closed to others.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// The local server's log.
pub fn log_file(state_dir: &Path) -> PathBuf {
    state_dir.join("server.log")
}

/// Opens a file of ours for appending, made with its folders if they are missing, all closed to others.
///
/// # Errors
/// If that cannot be done.
pub fn private_file(path: &Path) -> Result<File> {
    if let Some(dir) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(Error::file("create", dir))?;
    }
    OpenOptions::new().append(true).create(true).mode(0o600).open(path).map_err(Error::file("open", path))
}

/// The longest line that is shown, in characters.
const LINE_LIMIT: usize = 400;

/// The last lines of a file that may be large or missing.
pub fn last_lines(path: &Path, count: usize) -> Vec<String> {
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
