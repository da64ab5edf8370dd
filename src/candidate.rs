//! The places where the search looked for Claude Code, and why it skipped them: an error lists both.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::text::plain;

/// A place where Claude Code could be.
#[derive(Debug)]
pub(crate) struct Candidate {
    /// The file, as found: never its canonical path, since version managers' links go by their name.
    pub path: PathBuf,
    pub skipped: Option<Skip>,
}

#[derive(Debug)]
pub(crate) enum Skip {
    /// This binary, through a symlink, a hard link or another spelling.
    Ourselves,
    /// A copy or another version of this binary.
    Copy,
    /// `CLAUDE_BIN` must be absolute.
    Relative,
    /// No such file, or a link to nothing.
    Missing,
    NotAFile,
    /// No bytes: what an interrupted update leaves.
    Empty,
    NotExecutable,
    /// A loop of links, or a folder without permission.
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
