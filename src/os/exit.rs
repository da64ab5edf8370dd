//! How the process ends: as the real Claude has ended.

use std::os::unix::process::ExitStatusExt;
use std::process::{ExitCode, ExitStatus};

use crate::os::signals::end_by;

/// How this process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// With this code.
    Code(u8),
    /// By this signal.
    Signal(i32),
}

impl Exit {
    /// The code, as a shell has it.
    pub fn code(self) -> i32 {
        match self {
            Exit::Code(code) => code.into(),
            Exit::Signal(signal) => 128 + signal,
        }
    }
}

impl From<Exit> for ExitCode {
    /// Ends the process, if that is by a signal.
    fn from(exit: Exit) -> ExitCode {
        match exit {
            Exit::Code(code) => ExitCode::from(code),
            Exit::Signal(signal) => end_by(signal),
        }
    }
}

/// The end of this process that mirrors the real Claude's.
pub(crate) fn mirrored(status: ExitStatus) -> Exit {
    match status.signal() {
        Some(signal) => Exit::Signal(signal),
        None => Exit::Code(status.code().unwrap_or_default() as u8),
    }
}
