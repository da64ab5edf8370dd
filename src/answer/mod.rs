//! Answering a call from the local server, as Claude Code would have printed the answer.
pub(crate) mod api_error;
pub(crate) mod conversation;
pub(crate) mod mentions;
pub(crate) mod reporter;
pub(crate) mod request;
pub(crate) mod turn;

use std::io::{self, IsTerminal};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock};

use crate::answer::conversation::Outcome;
use crate::answer::conversation::{Conversation, Options};
use crate::answer::reporter::Reporter;
use crate::answer::request::{AnswerRequest, Source};
use crate::answer::turn::Shared;
use crate::claude_code::call_check;
use crate::claude_code::call_check::is_uuid;
use crate::claude_code::command_line::CommandLine;
use crate::claude_code::json_schema::Schema;
use crate::claude_code::prompt;
use crate::claude_code::protocol::mark::Mark;
use crate::claude_code::protocol::messages::SessionInfo;
use crate::claude_code::protocol::output::{Format, Output};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::local_model::model::{HubCache, NAMELESS};
use crate::local_model::settings::Settings;
use crate::server::Server;
use crate::state::flag::Flag;
use crate::state::sessions::{Session, SessionChoice, SessionNotFound};
use crate::stdin::Feed;

/// Answers a print-mode call on stdout, which tells of a failure, too.
///
/// # Errors
/// The real CLI's own for a call that it would refuse, ours for settings that cannot be used.
pub(crate) fn run(applet: &str, context: &Context, command_line: &CommandLine, request: AnswerRequest) -> Result<Outcome> {
    let reads_stdin = matches!(request.input, Source::Stdin);
    let (conversation, start) = prepare(applet, context, command_line, request).inspect_err(|_| {
        // An SDK that finds us gone when it says its first words tells of that, and not of what we said.
        if reads_stdin && listens(command_line) && !io::stdin().is_terminal() {
            prompt::await_input();
        }
    })?;
    match start {
        Start::Prompt(prompt) => conversation.answer(prompt),
        Start::Lines(feed) => conversation.listen(feed),
    }
}

/// What a conversation begins with.
enum Start {
    /// One prompt, which is all.
    Prompt(String),
    /// Lines, from stdin if from nobody else.
    Lines(Option<Feed>),
}

/// Whether a session of this id is known in this working directory.
pub(crate) fn session_exists(context: &Context, id: &str) -> bool {
    Session::exists(context, id)
}

/// Whether the session of this id or title, or else the last one of this working directory, is one that Claude Code has and
/// we have not.
pub(crate) fn session_is_claudes(context: &Context, name: Option<&str>) -> bool {
    Session::is_claudes(context, name)
}

/// Whether the input of a call is a stream of messages.
pub(crate) fn listens(command_line: &CommandLine) -> bool {
    command_line.last("--input-format") == Some("stream-json")
}

fn prepare<'a>(
    applet: &str,
    context: &'a Context,
    command_line: &CommandLine,
    request: AnswerRequest,
) -> Result<(Conversation<'a>, Start)> {
    let AnswerRequest { mark, input, may_decline, on_answer, taken, replied, interrupts } = request;
    if taken.is_none() {
        call_check::before_files(context, command_line, |id| Session::exists(context, id))?;
    }
    let system = prompt::system(command_line)?;
    call_check::before_input(command_line)?;
    let settings = Settings::new(context)?;
    let start = match input {
        Source::Feed(feed) => Start::Lines(Some(feed)),
        Source::Stdin if listens(command_line) => Start::Lines(None),
        Source::Stdin => Start::Prompt(prompt::read(command_line, None)?),
        Source::Read(bytes) => Start::Prompt(prompt::read(command_line, Some(bytes))?),
    };
    let schema = command_line.last("--json-schema").filter(|text| !text.is_empty()).map(Schema::parse).transpose()?;
    call_check::permissions(context, command_line)?;
    let mut output = Output::new(format(command_line), context.stdout_is_terminal());
    if may_decline {
        output.withhold(on_answer);
    }
    let mut reporter = Reporter::new(applet, output, identity(&settings, command_line, mark));
    let begun = taken.as_ref().and_then(|taken| taken.session_id.as_deref()).filter(|_| !command_line.has("--fork-session"));
    let begun = begun.and_then(|id| Session::open(applet, context, SessionChoice::Named(id)).ok());
    let mut session = begun.map_or_else(|| session(applet, context, command_line), Ok).inspect_err(|error| {
        let resumed = command_line.last("--resume").filter(|id| is_uuid(id) && !command_line.has("--fork-session"));
        let id = resumed.or(command_line.last("--session-id"));
        reporter.identity.session_id = id.map_or_else(crate::claude_code::protocol::messages::uuid, str::to_string);
        reporter.fail_at_start(&error.to_string());
    })?;
    if let Some(id) = taken.as_ref().and_then(|taken| taken.session_id.as_deref()).filter(|id| *id != session.id) {
        session.fork(Some(id));
    }
    if let Some(taken) = &taken {
        session.drop_unanswered();
        session.catch_up(&taken.said);
    }
    reporter.identity.session_id.clone_from(&session.id);
    match &start {
        Start::Prompt(prompt) => prompt::check(command_line, prompt)?,
        Start::Lines(None) if io::stdin().is_terminal() => return Err(prompt::missing()),
        Start::Lines(_) => {}
    }
    call_check::verbose_stream(command_line)?;
    let options = Options {
        system,
        schema: schema.map(|schema| (Arc::new(schema), attempts(context))),
        expands_mentions: !command_line.has("--bare"),
        replays: command_line.has("--replay-user-messages"),
        may_bypass_permissions: call_check::may_bypass_permissions(command_line),
        tells_idle: taken.is_some_and(|taken| taken.is_running),
        replied,
    };
    let shared = Shared {
        applet: applet.into(),
        reporter: Mutex::new(reporter),
        server: Server::new(context)?,
        hub_cache: HubCache::new(context),
        settings,
        switch: Flag::new(context).ok(),
        model: OnceLock::new(),
        has_warned: AtomicBool::new(false),
    };
    Ok((Conversation::new(context, shared, session, options, interrupts), start))
}

/// The format that the options ask for.
pub(crate) fn format(command_line: &CommandLine) -> Format {
    match command_line.last("--output-format") {
        Some("stream-json") => Format::StreamJson { partials: command_line.has("--include-partial-messages") },
        Some("json") if command_line.has("--verbose") => Format::JsonArray,
        Some("json") => Format::Json,
        _ => Format::Text,
    }
}

fn identity(settings: &Settings, command_line: &CommandLine, mark: Mark) -> SessionInfo {
    let mode = match command_line.last("--permission-mode") {
        Some("manual") | None => "default",
        Some(mode) => mode,
    };
    let mode = if command_line.has("--dangerously-skip-permissions") { "bypassPermissions" } else { mode };
    let cwd = std::env::current_dir().map(|cwd| cwd.to_string_lossy().into_owned());
    SessionInfo {
        session_id: String::new(),
        model: settings.model.as_deref().map_or_else(|| NAMELESS.into(), crate::local_model::model::shown),
        window: settings.window.unwrap_or_default(),
        max_tokens: settings.max_tokens,
        cwd: cwd.unwrap_or_default(),
        permission_mode: mode.into(),
        mark,
    }
}

/// The session that the options ask for.
fn session(applet: &str, context: &Context, command_line: &CommandLine) -> Result<Session> {
    let fault = |text: String| Err(Error::AsClaude(text));
    let continues = command_line.has("--continue");
    let name = command_line.last("--resume").map(str::trim).filter(|name| !name.is_empty() && !continues);
    for (option, needed) in
        [("--resume-session-at", "--resume"), ("--resume-drops-turn", "--resume-session-at"), ("--rewind-files", "--resume")]
    {
        if command_line.has(option) && !command_line.has(needed) {
            return fault(format!("Error: {option} requires {needed}"));
        }
    }
    let id = command_line.last("--session-id");
    let choice = match name {
        Some(name) => SessionChoice::Named(name),
        None if continues => SessionChoice::Newest,
        None if command_line.has("--resume") => return fault(RESUME_NEEDS.into()),
        None => SessionChoice::New(id),
    };
    let mut session = match Session::open(applet, context, choice) {
        Ok(session) => session,
        Err(why) => {
            let name = name.unwrap_or_default();
            return fault(match why {
                SessionNotFound::Id => format!("No conversation found with session ID: {name}"),
                SessionNotFound::Title => {
                    format!("{RESUME_NEEDS}. Provided value \"{name}\" is not a UUID and does not match any session title.")
                }
                SessionNotFound::Ambiguous(found) => {
                    let lines = found.iter().map(|(id, changed)| format!("\n  {id}  (modified {changed:.3})"));
                    let count = found.len();
                    let lines: String = lines.collect();
                    format!(
                        "Error: --resume \"{name}\" matches {count} sessions. Pass one of these session IDs to disambiguate:{lines}"
                    )
                }
            });
        }
    };
    if command_line.has("--no-session-persistence") {
        session.stop_saving();
    }
    if command_line.has("--fork-session") && (name.is_some() || continues) {
        session.fork(id);
    }
    if let Some(title) = command_line.last("--name").filter(|title| !title.trim().is_empty()) {
        session.set_title(title.trim());
    }
    Ok(session)
}

const RESUME_NEEDS: &str = "Error: --resume requires a valid session ID or session title when used with --print. Usage: claude -p --resume <session-id|title>";

/// How often an answer of the wanted form is tried for, as the real CLI has it.
fn attempts(context: &Context) -> u32 {
    let stated = context.env("MAX_STRUCTURED_OUTPUT_RETRIES").and_then(|count| count.to_str()?.trim().parse().ok());
    stated.filter(|count| *count > 0).unwrap_or(5)
}
