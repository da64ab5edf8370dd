//! Where Claude Code was looked for, and why a place did not have it: the error that it was not found says so.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::text::plain;

/// A place where Claude Code could be.
#[derive(Debug)]
pub(crate) struct Candidate {
    /// The file, as found: never its canonical path, since version managers' links go by their name.
    pub path: PathBuf,
    /// Why it is not the one.
    pub skipped: Option<Skip>,
}

/// Why a candidate is not the real Claude Code.
#[derive(Debug)]
pub(crate) enum Skip {
    /// This very binary: a symlink, a hard link, another spelling.
    Ourselves,
    /// A copy or another version of this binary.
    Copy,
    /// `CLAUDE_BIN` must be absolute.
    Relative,
    /// No such file, or a link to nothing.
    Missing,
    /// A folder or another thing that is no regular file.
    NotAFile,
    /// No bytes: what an interrupted update leaves.
    Empty,
    /// No permission to execute it.
    NotExecutable,
    /// It cannot be looked at: a loop of links, a closed folder.
    Unreadable(io::Error),
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Skip::Ourselves => write!(f, "this is claude-failover itself"),
            Skip::Copy => write!(f, "this is another copy of claude-failover"),
            Skip::Relative => write!(f, "CLAUDE_BIN must be an absolute path"),
            Skip::Missing => write!(f, "no such file"),
            Skip::NotAFile => write!(f, "not a regular file"),
            Skip::Empty => write!(f, "an empty file"),
            Skip::NotExecutable => write!(f, "not executable"),
            Skip::Unreadable(error) => write!(f, "{}", plain(error)),
        }
    }
}
