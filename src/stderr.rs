//! The lines that this program writes on stderr, and whether those that nobody has asked for are written.

use std::io::{Write, stderr, stdout};
use std::os::fd::AsFd;
use std::sync::OnceLock;

use nix::sys::stat::{FileStat, SFlag, fstat};

static SILENCE: OnceLock<Silence> = OnceLock::new();

/// Why lines that nobody has asked for are not written. Until a process says so, all are.
#[derive(Clone, Debug, Default)]
pub(crate) struct Silence {
    /// The user wants none that the real Claude Code would not print.
    pub is_quiet: bool,
    /// A program reads stderr together with stdout, and expects JSON there.
    pub spoils_stdout: bool,
    /// What is wrong with the user's wish, for the first line that is written in spite of it.
    pub warning: Option<String>,
}

/// For this process. The first one counts.
pub(crate) fn set_silence(silence: Silence) {
    let _ = SILENCE.set(silence);
}

/// Whether warnings, notices and progress stay unwritten.
pub(crate) fn is_silent() -> bool {
    static WARNED: OnceLock<()> = OnceLock::new();
    let Some(silence) = SILENCE.get() else { return false };
    let is_silent = silence.is_quiet || silence.spoils_stdout;
    if let Some(warning) = silence.warning.as_ref().filter(|_| !is_silent && WARNED.set(()).is_ok()) {
        say(warning);
    }
    is_silent
}

/// Whether stdout and stderr are the same file or pipe, as after `> file 2>&1`. A terminal is for people, and a device keeps
/// nothing.
pub(crate) fn is_stdout() -> bool {
    let is_kept = |stat: &FileStat| {
        let kind = SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT;
        [SFlag::S_IFREG, SFlag::S_IFIFO, SFlag::S_IFSOCK].contains(&kind)
    };
    match (fstat(stdout().as_fd()), fstat(stderr().as_fd())) {
        (Ok(out), Ok(err)) => is_kept(&out) && (out.st_dev, out.st_ino) == (err.st_dev, err.st_ino),
        _ => false,
    }
}

pub(crate) fn warn(applet: &str, message: &str) {
    notice(&format!("{applet}: warning: {message}"));
}

/// A line that nobody has asked for, and that the real Claude Code would not print.
pub(crate) fn notice(line: &str) {
    if !is_silent() {
        say(line);
    }
}

/// A line that is of use, but of none to a program that reads JSON there: a warning in the real Claude Code's words, or what had
/// come of an answer that failed.
pub(crate) fn say_unless_parsed(line: &str) {
    if !SILENCE.get().is_some_and(|silence| silence.spoils_stdout) {
        say(line);
    }
}

/// One write, so that lines of parallel calls do not mix. A closed stderr is not an error.
pub(crate) fn say(line: &str) {
    let _ = stderr().write_all(format!("{line}\n").as_bytes());
}
