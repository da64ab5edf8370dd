//! The gateways that users have started, so that a call knows one of them by its port.
//!
//! A file for each, named after its port, which holds the gateway's process and when that began. A gateway ends by a signal and leaves its
//! file, which then says nothing any more.

use std::fs;
use std::path::{Path, PathBuf};

use crate::context::Context;
use crate::error::Result;
use crate::os::atomic_file::replace_private;
use crate::os::process::start_mark;
use crate::read_file::read_own;

/// The longest file, in bytes.
const MOST_BYTES: u64 = 4096;

/// Notes that this process serves `port`, and forgets the gateways that have ended.
///
/// # Errors
/// If the file cannot be written.
pub(crate) fn note(context: &Context, port: u16) -> Result<()> {
    let folder = folder(context)?;
    let files = fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path());
    for path in files.filter(|path| !is_alive(path)) {
        let _ = fs::remove_file(path);
    }
    let pid = std::process::id();
    let mark = start_mark(pid.cast_signed()).unwrap_or_default();
    replace_private(&folder.join(port.to_string()), format!("{pid} {mark}\n").as_bytes())
}

/// Whether a gateway of ours serves `port` on this machine.
pub(crate) fn serves(context: &Context, port: u16) -> bool {
    folder(context).is_ok_and(|folder| is_alive(&folder.join(port.to_string())))
}

fn folder(context: &Context) -> Result<PathBuf> {
    Ok(context.state_dir()?.join("gateways"))
}

fn is_alive(file: &Path) -> bool {
    let text = read_own(file, MOST_BYTES).ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
    let mut words = text.split_whitespace();
    let process = words.next().and_then(|pid| pid.parse().ok()).and_then(start_mark);
    process.is_some_and(|mark| words.next() == Some(&mark))
}
