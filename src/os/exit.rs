//! The end of this process, which mirrors the end of the real Claude.

use std::os::unix::process::ExitStatusExt;
use std::process::{ExitCode, ExitStatus};

use crate::os::signals::end_by;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Code(u8),
    Signal(i32),
}

impl Exit {
    pub(crate) fn of_child(status: ExitStatus) -> Exit {
        match status.signal() {
            Some(signal) => Exit::Signal(signal),
            None => Exit::Code(status.code().unwrap_or_default() as u8),
        }
    }

    /// As a shell shows it.
    pub(crate) fn code(self) -> i32 {
        match self {
            Exit::Code(code) => code.into(),
            Exit::Signal(signal) => 128 + signal,
        }
    }

    /// Ends this process at once if the end is a signal, and otherwise returns the code for `main`.
    pub(crate) fn end_process(self) -> ExitCode {
        match self {
            Exit::Code(code) => ExitCode::from(code),
            Exit::Signal(signal) => end_by(signal),
        }
    }
}
