//! The local server's log, and how long it took to load its model.

use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::os::atomic_file::replace_private;
use crate::read_file::{open_own, read_own};
use crate::shown::Shown;

pub(crate) fn log_file(state_dir: &Path) -> PathBuf {
    state_dir.join("server.log")
}

fn load_file(state_dir: &Path) -> PathBuf {
    state_dir.join("server.load")
}

/// A wait of less is no load.
const LEAST_LOAD: Duration = Duration::from_secs(1);

/// For the next start, which shows how long that may take.
pub(crate) fn remember_load(state_dir: &Path, time: Duration) {
    if time >= LEAST_LOAD {
        let _ = replace_private(&load_file(state_dir), format!("{}\n", time.as_secs()).as_bytes());
    }
}

pub(crate) fn last_load(state_dir: &Path) -> Option<Duration> {
    let text = String::from_utf8(read_own(&load_file(state_dir), 64).ok()?).ok()?;
    text.trim().parse().ok().map(Duration::from_secs)
}

/// In characters.
const LINE_LIMIT: usize = 400;

/// The last lines of a file that may be large or missing, without control characters.
pub(crate) fn last_lines(path: &Path, count: usize) -> Vec<Shown> {
    let Ok(mut file) = open_own(path) else { return vec![] };
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
    lines[lines.len().saturating_sub(count)..].iter().map(|line| Shown::line(line).at_most(LINE_LIMIT)).collect()
}
