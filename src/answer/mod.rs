//! Answering a call from the local server, as Claude Code would have printed the answer.
pub(crate) mod api_error;
pub(crate) mod check;
pub(crate) mod conversation;
pub(crate) mod mentions;
pub(crate) mod reporter;
pub(crate) mod request;
pub(crate) mod turn;

use std::io::{self, IsTerminal};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock};

use serde_json::Value;

use crate::answer::conversation::Outcome;
use crate::answer::conversation::{Conversation, Options};
use crate::answer::reporter::Reporter;
use crate::answer::request::{Occasion, Source};
use crate::answer::turn::Shared;
use crate::claude_code::command_line::Invocation;
use crate::claude_code::json_schema::Schema;
use crate::claude_code::prompt;
use crate::claude_code::protocol::messages::Identity;
use crate::claude_code::protocol::output::{Format, Output};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::local_model::model::{HubCache, NAMELESS};
use crate::local_model::settings::Settings;
use crate::server::Server;
use crate::state::flag::Switch;
use crate::state::sessions::{Choice, Session, Unknown, is_uuid};
use crate::stdin::Feed;

/// Answers a print-mode call on stdout, which tells of a failure, too.
///
/// # Errors
/// The real CLI's own for a call that it would refuse, ours for settings that cannot be used.
pub(crate) fn run(applet: &str, context: &Context, invocation: &Invocation, occasion: Occasion) -> Result<Outcome> {
    let reads_stdin = matches!(occasion.input, Source::Stdin);
    let (conversation, start) = prepare(applet, context, invocation, occasion).inspect_err(|_| {
        // An SDK that finds us gone when it says its first words tells of that, and not of what we said.
        if reads_stdin && listens(invocation) && !io::stdin().is_terminal() {
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
pub(crate) fn listens(invocation: &Invocation) -> bool {
    invocation.last("--input-format") == Some("stream-json")
}

fn prepare<'a>(
    applet: &str,
    context: &'a Context,
    invocation: &Invocation,
    occasion: Occasion,
) -> Result<(Conversation<'a>, Start)> {
    let Occasion { mark, input, may_decline, on_answer, taken, replied, interrupts } = occasion;
    if taken.is_none() {
        check::before_files(context, invocation)?;
    }
    let system = prompt::system(invocation)?;
    check::before_input(invocation)?;
    let settings = Settings::new(context)?;
    let start = match input {
        Source::Feed(feed) => Start::Lines(Some(feed)),
        Source::Stdin if listens(invocation) => Start::Lines(None),
        Source::Stdin => Start::Prompt(prompt::read(invocation, None)?),
        Source::Read(bytes) => Start::Prompt(prompt::read(invocation, Some(bytes))?),
    };
    let schema = invocation.last("--json-schema").filter(|text| !text.is_empty()).map(Schema::parse).transpose()?;
    check::permissions(context, invocation)?;
    let mut output = Output::new(format(invocation), context.stdout_is_terminal());
    if may_decline {
        output.hold(on_answer);
    }
    let mut reporter = Reporter::new(applet, output, identity(&settings, invocation, mark));
    let begun = taken.as_ref().and_then(|taken| taken.session_id.as_deref()).filter(|_| !invocation.has("--fork-session"));
    let begun = begun.and_then(|id| Session::open(applet, context, Choice::Known(id)).ok());
    let mut session = begun.map_or_else(|| session(applet, context, invocation), Ok).inspect_err(|error| {
        let resumed = invocation.last("--resume").filter(|id| is_uuid(id) && !invocation.has("--fork-session"));
        let id = resumed.or(invocation.last("--session-id"));
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
        Start::Prompt(prompt) => prompt::check(invocation, prompt)?,
        Start::Lines(None) if io::stdin().is_terminal() => return Err(prompt::missing()),
        Start::Lines(_) => {}
    }
    if invocation.last("--output-format") == Some("stream-json") && !invocation.has("--verbose") {
        let text = "Error: When using --print, --output-format=stream-json requires --verbose";
        return Err(Error::AsClaude(text.into()));
    }
    let options = Options {
        system,
        schema: schema.map(|schema| (Arc::new(schema), attempts(context))),
        expands_mentions: !invocation.has("--bare"),
        replays: invocation.has("--replay-user-messages"),
        may_bypass_permissions: check::may_bypass_permissions(invocation),
        tells_idle: taken.is_some_and(|taken| taken.is_running),
        replied,
    };
    let shared = Shared {
        applet: applet.into(),
        reporter: Mutex::new(reporter),
        server: Server::new(context)?,
        hub_cache: HubCache::new(context),
        settings,
        switch: Switch::new(context).ok(),
        model: OnceLock::new(),
        has_warned: AtomicBool::new(false),
    };
    Ok((Conversation::new(context, shared, session, options, interrupts), start))
}

/// The format that the options ask for.
pub(crate) fn format(invocation: &Invocation) -> Format {
    match invocation.last("--output-format") {
        Some("stream-json") => Format::StreamJson { partials: invocation.has("--include-partial-messages") },
        Some("json") if invocation.has("--verbose") => Format::JsonArray,
        Some("json") => Format::Json,
        _ => Format::Text,
    }
}

fn identity(settings: &Settings, invocation: &Invocation, mark: Value) -> Identity {
    let mode = match invocation.last("--permission-mode") {
        Some("manual") | None => "default",
        Some(mode) => mode,
    };
    let mode = if invocation.has("--dangerously-skip-permissions") { "bypassPermissions" } else { mode };
    let cwd = std::env::current_dir().map(|cwd| cwd.to_string_lossy().into_owned());
    Identity {
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
fn session(applet: &str, context: &Context, invocation: &Invocation) -> Result<Session> {
    let fault = |text: String| Err(Error::AsClaude(text));
    let continues = invocation.has("--continue");
    let name = invocation.last("--resume").map(str::trim).filter(|name| !name.is_empty() && !continues);
    for (option, needed) in
        [("--resume-session-at", "--resume"), ("--resume-drops-turn", "--resume-session-at"), ("--rewind-files", "--resume")]
    {
        if invocation.has(option) && !invocation.has(needed) {
            return fault(format!("Error: {option} requires {needed}"));
        }
    }
    let id = invocation.last("--session-id");
    let choice = match name {
        Some(name) => Choice::Known(name),
        None if continues => Choice::Last,
        None if invocation.has("--resume") => return fault(RESUME_NEEDS.into()),
        None => Choice::New(id),
    };
    let mut session = match Session::open(applet, context, choice) {
        Ok(session) => session,
        Err(why) => {
            let name = name.unwrap_or_default();
            return fault(match why {
                Unknown::Id => format!("No conversation found with session ID: {name}"),
                Unknown::Title => {
                    format!("{RESUME_NEEDS}. Provided value \"{name}\" is not a UUID and does not match any session title.")
                }
                Unknown::Ambiguous(found) => {
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
    if invocation.has("--no-session-persistence") {
        session.forget();
    }
    if invocation.has("--fork-session") && (name.is_some() || continues) {
        session.fork(id);
    }
    if let Some(title) = invocation.last("--name").filter(|title| !title.trim().is_empty()) {
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
