//! Every failure that the user sees: worded in one place and printed in one place. One file, so that they are worded alike.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::candidate::Candidate;
use crate::shown::{Shown, shown};
pub(crate) use crate::stderr::{notice, say, say_unless_parsed, warn};
use crate::text::plain;

/// A failure as the user sees it: one line, a hint where there is something to do, and an exit code. What it holds of others' texts is
/// [`Shown`].
#[derive(Debug)]
pub(crate) enum Error {
    /// The real CLI's own wording for a misuse of its command line, printed without our name before it.
    AsClaude {
        text: Shown,
    },
    /// A misuse of `llm-failover` or `claude-failover`.
    Usage {
        message: Shown,
    },
    /// The file name of `argv[0]`, or the first argument of `claude-failover`, is no applet.
    UnknownApplet {
        name: Shown,
    },
    ClaudeNotFound {
        candidates: Vec<Candidate>,
    },
    /// The search found a real Claude Code, and `execve` failed.
    ClaudeNotRun {
        path: PathBuf,
        reason: Shown,
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
        object: Shown,
        source: io::Error,
    },
    /// `--install` found a file of another program under a name of ours.
    ForeignFile {
        path: PathBuf,
    },
    /// A setting has a value that cannot be used.
    Setting {
        key: Shown,
        value: Shown,
        expected: &'static str,
    },
    /// There is no setting of this name.
    UnknownSetting {
        name: Shown,
        /// The one that was probably meant.
        meant: Option<Shown>,
    },
    /// The settings file stays as it is.
    NotEdited {
        why: &'static str,
        /// The user's text.
        kept: PathBuf,
    },
    EditorFailed {
        editor: Shown,
        kept: PathBuf,
    },
    /// The caller's `--settings` cannot be merged with ours.
    SettingsOption {
        reason: Shown,
    },
    /// The local server refused a request.
    Refused {
        status: u16,
        /// The server's message, with the status before it.
        line: Shown,
        /// Whether the same request may be answered later. It was asked `LOCAL_LLM_RETRIES` times more.
        may_pass: bool,
    },
    /// The local server does not take a key that the user adds to requests.
    ExtraRefused {
        key: Shown,
        line: Shown,
    },
    /// The local server needs the model's name, and the user gave none or a wrong one.
    ModelNotNamed {
        /// The variable that names it.
        key: Shown,
        refusal: Shown,
        /// The names to choose from.
        expected: Shown,
    },
    /// The local server has several models, and the user has named none of these.
    SeveralModels {
        /// The variable that chooses one.
        key: Shown,
        names: Shown,
    },
    /// The local server answers, and its model has died or never loaded.
    DeadModel {
        /// The server's message.
        line: Shown,
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
        reason: Shown,
    },
    /// The local server's answer stopped before its end.
    CutAnswer {
        reason: Shown,
        /// The part of the answer that came and is not on the terminal yet, as the model wrote it.
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
        key: Shown,
        /// The address, without credentials.
        url: Shown,
        reason: Shown,
    },
    /// No link of the chain of local models has answered.
    NoneAnswers {
        main: Box<Error>,
        /// What the others have said, a line each.
        others: Vec<Shown>,
    },
    /// The gateway's client for the local server cannot be made.
    NoHttpClient {
        reason: Shown,
    },
    /// The dashboard's port is another program's.
    PortTaken {
        port: u16,
    },
    GatewayNotStarted {
        source: io::Error,
    },
    /// The real Claude Code on the local model ended without an answer.
    AgentFailed {
        reason: Shown,
    },
    /// The local server has no service, command or engine to start it with.
    NotInstalled {
        reason: Shown,
    },
    /// The local server was started, or should have been running, and does not answer.
    DidNotComeUp {
        reason: Shown,
        /// The end of the server's log.
        log: Vec<Shown>,
        hint: Shown,
    },
    /// A local model that is there and cannot be used as it is.
    NotUsable {
        what: Shown,
        mend: Shown,
    },
    /// The flag went back to Claude while a call waited for the local server.
    SwitchedBack,
    /// A supervisor failed to start or stop the local server.
    Supervisor {
        reason: Shown,
    },
    /// A setup cannot go on.
    Setup {
        reason: Shown,
        /// What to do.
        mend: Shown,
    },
    /// A drill did not end as it should.
    DrillFailed {
        reason: Shown,
    },
}

pub(crate) type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// A text of the real CLI, which may repeat what the caller gave.
    pub(crate) fn as_claude(text: impl fmt::Display) -> Error {
        Error::AsClaude { text: Shown::lines(text) }
    }

    pub(crate) fn file(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Error {
        let path = path.into();
        move |source| Error::File { action, path, source }
    }

    pub(crate) fn system(action: &'static str, object: impl Into<Shown>) -> impl FnOnce(io::Error) -> Error {
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

    /// What a setting's value should be; for other errors all of it.
    pub(crate) fn expectation(&self) -> Shown {
        if let Error::Setting { expected, .. } = self { shown!("expected {expected}") } else { shown!("{self}") }
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

    pub(crate) fn hint(&self, applet: &str) -> Option<Shown> {
        Some(match self {
            Error::Usage { .. } => shown!("run `{applet} --help`"),
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
            Error::NotUsable { mend, .. } => mend.clone(),
            Error::UnknownSetting { .. } => "`llm-failover config` lists them all".into(),
            Error::NotEdited { kept, .. } | Error::EditorFailed { kept, .. } => {
                shown!(
                    "your text is kept in `{}`; `llm-failover config edit` goes on with it, unless you delete it",
                    kept.display()
                )
            }
            Error::NoHome => "set HOME to an absolute path".into(),
            Error::PortTaken { .. } => "choose another one with `--port`; 0 is any that is free".into(),
            Error::ForeignFile { .. } => "choose another folder, or move that file away yourself".into(),
            Error::EmptyAnswer { is_cut_by_limit: true } => "raise LOCAL_LLM_MAX_TOKENS, or turn the model's thinking off".into(),
            Error::SwitchedBack => "run it again".into(),
            Error::Refused { may_pass: true, .. } => "run it again later, or raise LOCAL_LLM_RETRIES to wait longer".into(),
            Error::ExtraRefused { key, .. } => shown!("take `{key}` out of LOCAL_LLM_EXTRA_BODY"),
            Error::Unreachable { key, .. } => shown!("see `llm-failover status`; check {key}"),
            Error::NotInstalled { .. } => {
                "run `llm-failover setup`, or set LLM_SERVER_CMD to the command that starts your server".into()
            }
            Error::DidNotComeUp { hint, .. } | Error::Setup { mend: hint, .. } => hint.clone(),
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
            Error::NotInstalled { reason }
            | Error::Supervisor { reason }
            | Error::AgentFailed { reason }
            | Error::Setup { reason, .. } => write!(f, "{reason}"),
            Error::SettingsOption { reason } => write!(f, "`--settings` cannot be used: {reason}"),
            Error::NoHttpClient { reason } => write!(f, "no HTTP client: {reason}"),
            Error::PortTaken { port } => write!(f, "port {port} is taken by another program"),
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
                        write!(f, "\n  skipped `{}`: {reason}", Shown::line(path.display()))?;
                    }
                }
                Ok(())
            }
            Error::ClaudeNotRun { path, reason } => write!(f, "cannot run `{}`: {reason}", Shown::line(path.display())),
            Error::NoResult { path } => write!(f, "`{}` ended without an answer, with exit code 0", Shown::line(path.display())),
            Error::Loop { path, depth } => {
                write!(f, "`{}` leads back here: stopped after {depth} turns", Shown::line(path.display()))
            }
            Error::NoHome => write!(f, "no home folder"),
            Error::DrillFailed { reason } => write!(f, "the drill failed: {reason}"),
            Error::File { action, path, source } => {
                write!(f, "cannot {action} `{}`: {}", Shown::line(path.display()), plain(source))
            }
            Error::System { action, object, source } => write!(f, "cannot {action} `{object}`: {}", plain(source)),
            Error::ForeignFile { path } => write!(f, "`{}` is not ours and is left as it is", Shown::line(path.display())),
            Error::NotUsable { what, .. } => write!(f, "{what}"),
            Error::UnknownSetting { name, meant: None } => write!(f, "`{name}` is no setting"),
            Error::UnknownSetting { name, meant: Some(meant) } => {
                write!(f, "`{name}` is no setting; did you mean `{meant}`?")
            }
            Error::NotEdited { why, .. } => write!(f, "{why}: the settings are as they were"),
            Error::EditorFailed { editor, .. } => write!(f, "`{editor}` has failed: the settings are as they were"),
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
                if partial.trim().is_empty() {
                    Ok(())
                } else {
                    write!(f, "; this much had come:\n{}", Shown::lines(partial.trim_end()))
                }
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
        _ => say(&Shown::lines(format_args!("{applet}: {error}"))),
    }
    if let Some(hint) = error.hint(applet) {
        say(&shown!("hint: {hint}"));
    }
    ExitCode::from(error.exit_code())
}
