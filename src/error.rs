//! Everything that can go wrong, worded in one place and printed in one place.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::candidate::Candidate;
use crate::text::plain;

/// A failure as the user sees it: one line, a hint where there is something to do, and an exit code.
#[derive(Debug)]
pub(crate) enum Error {
    /// The real CLI's own wording for a misuse of its command line, printed without our name before it.
    AsClaude(String),
    /// `llm-failover` or `claude-failover` was called wrongly.
    Usage(String),
    /// The binary was called under a name that is no applet.
    UnknownApplet(String),
    /// No real Claude Code on this machine.
    ClaudeNotFound(Vec<Candidate>),
    /// A real Claude Code was found, but the system would not run it.
    ClaudeNotRun {
        /// The file, as found.
        path: PathBuf,
        /// Why `execve` failed.
        reason: String,
    },
    /// The search led back to us again and again.
    Loop {
        /// The candidate that the next turn would run.
        path: PathBuf,
        /// How often we have passed here.
        depth: u32,
    },
    /// No home folder: state and settings have no place.
    NoHome,
    /// A file or folder of ours could not be read, written or made.
    File {
        /// What was tried, as a verb: `read`, `write`, `create`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The system refused something that is no file: a socket, a signal, a thread.
    System {
        /// What was tried, as a verb: `listen on`, `take`.
        action: &'static str,
        /// With what.
        object: String,
        /// Why.
        source: io::Error,
    },
    /// `--install` met a file that is not ours.
    ForeignFile(PathBuf),
    /// A setting has a value that cannot be used.
    Setting {
        /// Its name.
        key: &'static str,
        /// Its value.
        value: String,
        /// What it should be.
        expected: &'static str,
    },
    /// The local server refused.
    Refused {
        /// The HTTP status.
        status: u16,
        /// What it said, with the status before it.
        line: String,
    },
    /// The prompt alone is longer than the local model's context.
    PromptTooLong {
        /// How long it is, in tokens, if that is known.
        prompt: Option<u64>,
        /// How long it may be.
        window: Option<u64>,
    },
    /// The caller interrupted the answer.
    Interrupted,
    /// What the local server said makes no sense, or it cannot answer.
    Answer(String),
    /// The local server's answer stopped before its end.
    CutAnswer {
        /// Why.
        reason: String,
        /// What had come of it and is not on the terminal yet.
        partial: String,
    },
    /// The local server's answer was empty.
    EmptyAnswer {
        /// Whether all its tokens went into thinking.
        is_cut_by_limit: bool,
    },
    /// Nothing answers at the local server's address, or the connection broke before an answer began.
    Unreachable {
        /// The address, without credentials.
        url: String,
        /// Why.
        reason: String,
    },
    /// The local server has no service, command or engine to start it with.
    NotInstalled(String),
    /// The local server was started, or should have been running, and does not answer.
    DidNotComeUp {
        /// What was seen.
        reason: String,
        /// The end of its log.
        log: Vec<String>,
        /// What to do.
        hint: String,
    },
    /// The switch went back to Claude while a call waited for the local server.
    SwitchedBack,
    /// A supervisor's program failed.
    Supervisor(String),
    /// A drill did not end as it should.
    DrillFailed(String),
}

/// What most of our functions return.
pub(crate) type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// A [`Error::File`] for `action` on `path`, for use with `map_err`.
    pub(crate) fn file(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Error {
        let path = path.into();
        move |source| Error::File { action, path, source }
    }

    /// An [`Error::System`] for `action` on `object`, for use with `map_err`.
    pub(crate) fn system(action: &'static str, object: impl Into<String>) -> impl FnOnce(io::Error) -> Error {
        let object = object.into();
        move |source| Error::System { action, object, source }
    }

    /// The exit code that goes with this failure.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Error::NotInstalled(_) => 2,
            Error::DidNotComeUp { .. } => 3,
            Error::ClaudeNotRun { .. } | Error::Loop { .. } => 126,
            Error::ClaudeNotFound(_) | Error::UnknownApplet(_) => 127,
            _ => 1,
        }
    }

    /// The same failure without the end of the server's log, for callers who did not ask about the server.
    pub(crate) fn without_log(self) -> Error {
        match self {
            Error::DidNotComeUp { reason, hint, .. } => Error::DidNotComeUp { reason, log: vec![], hint },
            other => other,
        }
    }

    /// What to do about it.
    pub(crate) fn hint(&self, applet: &str) -> Option<String> {
        Some(match self {
            Error::Usage(_) => format!("run `{applet} --help`"),
            Error::UnknownApplet(_) => {
                "call it as `claude-failover APPLET`, or make the links with `claude-failover --install DIR`".into()
            }
            Error::ClaudeNotFound(_) => {
                "install it with `npm install -g @anthropic-ai/claude-code`, or set CLAUDE_BIN to its absolute path".into()
            }
            Error::Loop { .. } => "set CLAUDE_BIN to the absolute path of the real Claude Code".into(),
            Error::NoHome => "set HOME to an absolute path".into(),
            Error::ForeignFile(_) => "choose another folder, or move that file away yourself".into(),
            Error::EmptyAnswer { is_cut_by_limit: true } => "raise LOCAL_LLM_MAX_TOKENS, or turn the model's thinking off".into(),
            Error::SwitchedBack => "run it again".into(),
            Error::Unreachable { .. } => "see `llm-failover status`; check LOCAL_LLM_URL".into(),
            Error::NotInstalled(_) => {
                "run `scripts/install.sh`, or set LLM_SERVER_CMD to the command that starts your server".into()
            }
            Error::DidNotComeUp { hint, .. } => hint.clone(),
            _ => return None,
        })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::AsClaude(text) => write!(f, "{text}"),
            Error::Usage(text) | Error::Answer(text) | Error::NotInstalled(text) | Error::Supervisor(text) => write!(f, "{text}"),
            Error::UnknownApplet(name) => {
                write!(f, "unknown applet `{name}`; the applets are {}", crate::names::NAMES.join(", "))
            }
            Error::ClaudeNotFound(candidates) => {
                write!(f, "the real Claude Code was not found")?;
                for Candidate { path, skipped } in candidates {
                    if let Some(reason) = skipped {
                        write!(f, "\n  skipped `{}`: {reason}", path.display())?;
                    }
                }
                Ok(())
            }
            Error::ClaudeNotRun { path, reason } => write!(f, "cannot run `{}`: {reason}", path.display()),
            Error::Loop { path, depth } => {
                write!(f, "`{}` leads back here: stopped after {depth} turns", path.display())
            }
            Error::NoHome => write!(f, "no home folder"),
            Error::DrillFailed(reason) => write!(f, "the drill failed: {reason}"),
            Error::File { action, path, source } => write!(f, "cannot {action} `{}`: {}", path.display(), plain(source)),
            Error::System { action, object, source } => write!(f, "cannot {action} `{object}`: {}", plain(source)),
            Error::ForeignFile(path) => write!(f, "`{}` is not ours and is left as it is", path.display()),
            Error::Setting { key, value, expected } => write!(f, "{key} is `{value}`: expected {expected}"),
            Error::Refused { line, .. } => write!(f, "the local server refused: {line}"),
            Error::PromptTooLong { prompt, window } => {
                write!(f, "the conversation ")?;
                if let Some(prompt) = prompt {
                    write!(f, "of {prompt} tokens ")?;
                }
                write!(f, "does not fit the local model's context")?;
                window.map_or(Ok(()), |window| write!(f, " of {window}"))
            }
            Error::Interrupted => write!(f, "the answer was interrupted"),
            Error::SwitchedBack => write!(f, "the switch went back to claude before this call was answered"),
            Error::Unreachable { url, reason } => write!(f, "no answer from the local server at {url}: {reason}"),
            Error::CutAnswer { reason, partial } => {
                write!(f, "the local answer was cut short: {reason}")?;
                if partial.trim().is_empty() { Ok(()) } else { write!(f, "; this much had come:\n{}", partial.trim_end()) }
            }
            Error::EmptyAnswer { is_cut_by_limit: true } => {
                write!(f, "the local model used all its tokens before it began to answer")
            }
            Error::EmptyAnswer { is_cut_by_limit: false } => write!(f, "the local model gave an empty answer"),
            Error::DidNotComeUp { reason, log, .. } => {
                write!(f, "the local server did not come up: {reason}")?;
                for line in log {
                    write!(f, "\n  log: {line}")?;
                }
                Ok(())
            }
        }
    }
}

/// Prints `error` the one way there is and gives its exit code.
pub(crate) fn report(applet: &str, error: &Error) -> ExitCode {
    match error {
        Error::AsClaude(text) => say(text),
        _ => say(&format!("{applet}: {error}")),
    }
    if let Some(hint) = error.hint(applet) {
        say(&format!("hint: {hint}"));
    }
    ExitCode::from(error.code())
}

/// One line on stderr that is no failure.
pub(crate) fn warn(applet: &str, message: &str) {
    say(&format!("{applet}: warning: {message}"));
}

/// A line on stderr in one write, so that lines of parallel calls do not mix. A closed stderr is not an error.
pub(crate) fn say(line: &str) {
    use io::Write;
    let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
}
