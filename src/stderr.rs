//! The lines that this program writes on stderr, and whether those that nobody has asked for are written.

use std::io::{Write, stderr, stdout};
use std::os::fd::AsFd;
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use nix::sys::stat::{FileStat, SFlag, fstat};

use crate::shown::Shown;

static SILENCE: OnceLock<Silence> = OnceLock::new();

/// Why lines that nobody has asked for are not written. Until a process says so, all are.
#[derive(Clone, Debug, Default)]
pub(crate) struct Silence {
    /// The user wants none that the real Claude Code would not print.
    pub is_quiet: bool,
    /// A program reads stderr together with stdout, and expects JSON there.
    pub spoils_stdout: bool,
    /// What is wrong with the user's wish, for the first line that is written in spite of it.
    pub warning: Option<Shown>,
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

pub(crate) fn warn(applet: &str, message: &Shown) {
    notice(&Shown::lines(format_args!("{applet}: warning: {message}")));
}

/// A line that nobody has asked for, and that the real Claude Code would not print.
pub(crate) fn notice(line: &Shown) {
    if !is_silent() {
        say(line);
    }
}

/// A line that is of use, but of none to a program that reads JSON there: a warning in the real Claude Code's words, or what had
/// come of an answer that failed.
pub(crate) fn say_unless_parsed(line: &Shown) {
    if !SILENCE.get().is_some_and(|silence| silence.spoils_stdout) {
        say(line);
    }
}

/// One write, so that lines of parallel calls do not mix. A closed stderr is not an error.
pub(crate) fn say(line: &Shown) {
    clear_line();
    let _ = stderr().write_all(format!("{line}\n").as_bytes());
}

/// A question at a terminal, whose answer is typed behind it.
pub(crate) fn ask(question: &Shown) {
    let _ = write!(stderr(), "{question} ");
}

static IS_DEBUGGED: AtomicBool = AtomicBool::new(false);

/// From now on decisions are told.
pub(crate) fn begin_debug() {
    IS_DEBUGGED.store(true, Relaxed);
}

pub(crate) fn is_debugged() -> bool {
    IS_DEBUGGED.load(Relaxed)
}

/// A decision, which the user wants to be told of however quiet it is else.
pub(crate) fn debug(applet: &str, decision: &dyn Fn() -> Shown) {
    if is_debugged() {
        say(&Shown::line(format_args!("{applet}: debug: {}", decision())));
    }
}

/// Whether a line stands on the terminal that is not ended yet.
static IS_OPEN: AtomicBool = AtomicBool::new(false);

/// Writes over the line on the terminal that is not ended yet.
pub(crate) fn rewrite(line: &Shown) {
    IS_OPEN.store(true, Relaxed);
    let _ = write!(stderr(), "\r{line}\x1b[K");
}

/// Takes such a line off the terminal, so that the next line begins at its left, on stdout too.
pub(crate) fn clear_line() {
    if IS_OPEN.swap(false, Relaxed) {
        let _ = write!(stderr(), "\r\x1b[K");
    }
}
