//! What the system runs for one call as the real Claude Code.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The program, and what is the first of its arguments if it does not hold Claude Code itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RealClaude {
    /// As it was found: never its canonical path, since version managers' links go by their name.
    pub program: PathBuf,
    /// What a JavaScript runtime reads.
    pub script: Option<PathBuf>,
}

impl RealClaude {
    /// The file that is Claude Code.
    pub(crate) fn file(&self) -> &Path {
        self.script.as_deref().unwrap_or(&self.program)
    }

    /// The words that stand before Claude Code's own arguments.
    pub(crate) fn words(&self) -> impl Iterator<Item = &OsStr> {
        [Some(&self.program), self.script.as_ref()].into_iter().flatten().map(|path| path.as_os_str())
    }

    /// A command to which Claude Code's own arguments are added.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(self.script.iter());
        command
    }
}

impl From<PathBuf> for RealClaude {
    fn from(program: PathBuf) -> RealClaude {
        RealClaude { program, script: None }
    }
}
