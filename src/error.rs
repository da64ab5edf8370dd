//! Every failure that the user sees: worded in one place and printed in one place. One file, so that they are worded alike.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::candidate::Candidate;
pub(crate) use crate::stderr::{notice, say, say_unless_parsed, warn};
use crate::text::plain;

/// A failure as the user sees it: one line, a hint where there is something to do, and an exit code.
#[derive(Debug)]
pub(crate) enum Error {
    /// The real CLI's own wording for a misuse of its command line, printed without our name before it.
    AsClaude {
        text: String,
    },
    /// A misuse of `llm-failover` or `claude-failover`.
    Usage {
        message: String,
    },
    /// The file name of `argv[0]`, or the first argument of `claude-failover`, is no applet.
    UnknownApplet {
        name: String,
    },
    ClaudeNotFound {
        candidates: Vec<Candidate>,
    },
    /// The search found a real Claude Code, and `execve` failed.
    ClaudeNotRun {
        path: PathBuf,
        reason: String,
    },
    /// The real Claude ended well, and without an answer.
    NoResult {
        path: PathBuf,
    },
    /// Wrappers led the search back to this program too often.
    Loop {
        /// The candidate that would run next.
        path: PathBuf,
        depth: u32,
    },
    /// No home folder: state and settings have no place.
    NoHome,
    /// A failure to read, write or make a file or folder.
    File {
        /// A verb: `read`, `write`, `create`.
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    /// A failure of the system with something that is no file: a socket, a signal, a thread.
    System {
        /// A verb: `listen on`, `take`.
        action: &'static str,
        object: String,
        source: io::Error,
    },
    /// `--install` found a file of another program under a name of ours.
    ForeignFile {
        path: PathBuf,
    },
    /// A setting has a value that cannot be used.
    Setting {
        key: String,
        value: String,
        expected: &'static str,
    },
    /// The caller's `--settings` cannot be merged with ours.
    SettingsOption {
        reason: String,
    },
    /// The local server refused a request.
    Refused {
        status: u16,
        /// The server's message, with the status before it.
        line: String,
        /// Whether the same request may be answered later. It was asked `LOCAL_LLM_RETRIES` times more.
        may_pass: bool,
    },
    /// The local server does not take a key that the user adds to requests.
    ExtraRefused {
        key: String,
        line: String,
    },
    /// The local server needs the model's name, and the user gave none or a wrong one.
    ModelNotNamed {
        /// The variable that names it.
        key: String,
        refusal: String,
        /// The names to choose from.
        expected: String,
    },
    /// The local server has several models, and the user has named none of these.
    SeveralModels {
        /// The variable that chooses one.
        key: String,
        names: String,
    },
    /// The local server answers, and its model has died or never loaded.
    DeadModel {
        /// The server's message.
        line: String,
    },
    /// The prompt alone is longer than the local model's context. Both numbers count tokens and may be unknown.
    PromptTooLong {
        prompt: Option<u64>,
        window: Option<u64>,
    },
    /// The caller interrupted the answer.
    Interrupted,
    /// The local model's answers do not fit the caller's JSON schema.
    NotOfSchema {
        reason: String,
    },
    /// The local server's answer stopped before its end.
    CutAnswer {
        reason: String,
        /// The part of the answer that came and is not on the terminal yet.
        partial: String,
    },
    /// The local server's answer was empty.
    EmptyAnswer {
        /// Whether all its tokens went into thinking.
        is_cut_by_limit: bool,
    },
    /// Nothing answers at the local server's address, or the connection broke before an answer began.
    Unreachable {
        /// The variable of the address.
        key: String,
        /// The address, without credentials.
        url: String,
        reason: String,
    },
    /// No link of the chain of local models has answered.
    NoneAnswers {
        main: Box<Error>,
        /// What the others have said, a line each.
        others: Vec<String>,
    },
    /// The gateway's client for the local server cannot be made.
    NoHttpClient {
        reason: String,
    },
    GatewayNotStarted {
        source: io::Error,
    },
    /// The real Claude Code on the local model ended without an answer.
    AgentFailed {
        reason: String,
    },
    /// The local server has no service, command or engine to start it with.
    NotInstalled {
        reason: String,
    },
    /// The local server was started, or should have been running, and does not answer.
    DidNotComeUp {
        reason: String,
        /// The end of the server's log.
        log: Vec<String>,
        hint: String,
    },
    /// The flag went back to Claude while a call waited for the local server.
    SwitchedBack,
    /// A supervisor failed to start or stop the local server.
    Supervisor {
        reason: String,
    },
    /// A drill did not end as it should.
    DrillFailed {
        reason: String,
    },
}

pub(crate) type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub(crate) fn file(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Error {
        let path = path.into();
        move |source| Error::File { action, path, source }
    }

    pub(crate) fn system(action: &'static str, object: impl Into<String>) -> impl FnOnce(io::Error) -> Error {
        let object = object.into();
        move |source| Error::System { action, object, source }
    }

    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Error::NotInstalled { .. } => 2,
            Error::DidNotComeUp { .. } => 3,
            Error::NoneAnswers { main, .. } => main.exit_code(),
            Error::ClaudeNotRun { .. } | Error::Loop { .. } => 126,
            Error::ClaudeNotFound { .. } | Error::UnknownApplet { .. } => 127,
            _ => 1,
        }
    }

    /// Takes off the end of the server's log: only a command about the server shows it.
    pub(crate) fn without_log(self) -> Error {
        match self {
            Error::DidNotComeUp { reason, hint, .. } => Error::DidNotComeUp { reason, log: vec![], hint },
            Error::NoneAnswers { main, others } => Error::NoneAnswers { main: Box::new(main.without_log()), others },
            other => other,
        }
    }

    /// What the failure is mainly about.
    pub(crate) fn main(&self) -> &Error {
        if let Error::NoneAnswers { main, .. } = self { main } else { self }
    }

    pub(crate) fn hint(&self, applet: &str) -> Option<String> {
        Some(match self {
            Error::Usage { .. } => format!("run `{applet} --help`"),
            Error::UnknownApplet { .. } => {
                "call it as `claude-failover APPLET`, or make the links with `claude-failover --install DIR`".into()
            }
            Error::ClaudeNotFound { .. } => {
                "install it with `npm install -g @anthropic-ai/claude-code`, or set CLAUDE_BIN to its absolute path".into()
            }
            Error::NoResult { .. } => {
                "`llm-failover claude` runs it without this program between; see what it prints then".into()
            }
            Error::Loop { .. } => "set CLAUDE_BIN to the absolute path of the real Claude Code".into(),
            Error::NoHome => "set HOME to an absolute path".into(),
            Error::ForeignFile { .. } => "choose another folder, or move that file away yourself".into(),
            Error::EmptyAnswer { is_cut_by_limit: true } => "raise LOCAL_LLM_MAX_TOKENS, or turn the model's thinking off".into(),
            Error::SwitchedBack => "run it again".into(),
            Error::Refused { may_pass: true, .. } => "run it again later, or raise LOCAL_LLM_RETRIES to wait longer".into(),
            Error::ExtraRefused { key, .. } => format!("take `{key}` out of LOCAL_LLM_EXTRA_BODY"),
            Error::Unreachable { key, .. } => format!("see `llm-failover status`; check {key}"),
            Error::NotInstalled { .. } => {
                "run `scripts/install.sh`, or set LLM_SERVER_CMD to the command that starts your server".into()
            }
            Error::DidNotComeUp { hint, .. } => hint.clone(),
            Error::NoneAnswers { main, .. } => return main.hint(applet),
            _ => return None,
        })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::AsClaude { text } => write!(f, "{text}"),
            Error::Usage { message } => write!(f, "{message}"),
            Error::NotInstalled { reason } | Error::Supervisor { reason } | Error::AgentFailed { reason } => {
                write!(f, "{reason}")
            }
            Error::SettingsOption { reason } => write!(f, "`--settings` cannot be used: {reason}"),
            Error::NoHttpClient { reason } => write!(f, "no HTTP client: {reason}"),
            Error::GatewayNotStarted { source } => write!(f, "cannot start the gateway: {}", plain(source)),
            Error::DeadModel { line } => write!(f, "the local server runs, but its model does not ({line}): restart it"),
            Error::ModelNotNamed { key, refusal, expected } => {
                write!(f, "the local server refused: {refusal}; set {key} to {expected}")
            }
            Error::SeveralModels { key, names } => {
                write!(f, "the local server has several models, and none is chosen: set {key} to one of {names}")
            }
            Error::NotOfSchema { reason } => write!(f, "the local model's answers are not of the form: {reason}"),
            Error::UnknownApplet { name } => {
                write!(f, "unknown applet `{name}`; the applets are {}", crate::names::APPLETS.join(", "))
            }
            Error::ClaudeNotFound { candidates } => {
                write!(f, "the real Claude Code was not found")?;
                for Candidate { path, skipped } in candidates {
                    if let Some(reason) = skipped {
                        write!(f, "\n  skipped `{}`: {reason}", path.display())?;
                    }
                }
                Ok(())
            }
            Error::ClaudeNotRun { path, reason } => write!(f, "cannot run `{}`: {reason}", path.display()),
            Error::NoResult { path } => write!(f, "`{}` ended without an answer, with exit code 0", path.display()),
            Error::Loop { path, depth } => {
                write!(f, "`{}` leads back here: stopped after {depth} turns", path.display())
            }
            Error::NoHome => write!(f, "no home folder"),
            Error::DrillFailed { reason } => write!(f, "the drill failed: {reason}"),
            Error::File { action, path, source } => write!(f, "cannot {action} `{}`: {}", path.display(), plain(source)),
            Error::System { action, object, source } => write!(f, "cannot {action} `{object}`: {}", plain(source)),
            Error::ForeignFile { path } => write!(f, "`{}` is not ours and is left as it is", path.display()),
            Error::Setting { key, value, expected } => write!(f, "{key} is `{value}`: expected {expected}"),
            Error::Refused { line, .. } => write!(f, "the local server refused: {line}"),
            Error::ExtraRefused { key, line } => {
                write!(f, "the local server does not take `{key}` of LOCAL_LLM_EXTRA_BODY: {line}")
            }
            Error::PromptTooLong { prompt, window } => {
                write!(f, "the conversation ")?;
                if let Some(prompt) = prompt {
                    write!(f, "of {prompt} tokens ")?;
                }
                write!(f, "does not fit the local model's context")?;
                window.map_or(Ok(()), |window| write!(f, " of {window}"))
            }
            Error::NoneAnswers { main, others } => write!(f, "{main}; {}", others.join("; ")),
            Error::Interrupted => write!(f, "the answer was interrupted"),
            Error::SwitchedBack => write!(f, "the switch went back to claude before this call was answered"),
            Error::Unreachable { url, reason, .. } => write!(f, "no answer from the local server at {url}: {reason}"),
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

/// Prints `error` and returns its exit code.
pub(crate) fn report(applet: &str, error: &Error) -> ExitCode {
    match error {
        Error::AsClaude { text } => say(text),
        _ => say(&format!("{applet}: {error}")),
    }
    if let Some(hint) = error.hint(applet) {
        say(&format!("hint: {hint}"));
    }
    ExitCode::from(error.exit_code())
}
