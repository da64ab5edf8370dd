//! Answering a call from the local server, as Claude Code would have printed the answer.

mod blocking;
pub mod chat;
mod check;
mod conversation;
pub mod endpoint;
mod exchange;
pub mod failure;
mod input;
mod mentions;
mod model;
mod output;
mod problem;
mod prompt;
mod reasoning;
mod reporter;
mod schema;
mod session;
mod settings;
mod sse;
mod surrogates;
mod turn;
mod window;
mod wire;

use std::io::{self, IsTerminal};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock};

use crate::context::Context;
use crate::error::{Error, Result};
use crate::invocation::Invocation;
use crate::server::Server;
use crate::switch::Switch;
use conversation::{Conversation, Options};
pub use exchange::prove;
use model::{HubCache, NAMELESS};
use output::{Format, Output};
use reporter::Reporter;
use schema::Schema;
use session::{Choice, Session, Unknown, is_uuid};
use settings::Settings;
use turn::Shared;
pub use wire::COMPATIBLE_WITH;
use wire::Identity;

/// Answers a print-mode call on stdout. Gives whether the answer is a failure, which stdout tells.
///
/// # Errors
/// The real CLI's own for a call that it would refuse, ours for settings that cannot be used.
pub fn run(applet: &str, context: &Context, invocation: &Invocation) -> Result<bool> {
    let (conversation, prompt) = prepare(applet, context, invocation).inspect_err(|_| {
        // An SDK that finds us gone when it says its first words tells of that, and not of what we said.
        if listens(invocation) && !io::stdin().is_terminal() {
            prompt::await_input();
        }
    })?;
    match prompt {
        Some(prompt) => conversation.answer(prompt),
        None => conversation.listen(),
    }
}

fn listens(invocation: &Invocation) -> bool {
    invocation.last("--input-format") == Some("stream-json")
}

/// The conversation, and the prompt if it does not come on stdin with others.
fn prepare<'a>(applet: &str, context: &'a Context, invocation: &Invocation) -> Result<(Conversation<'a>, Option<String>)> {
    check::before_files(context, invocation)?;
    let system = prompt::system(invocation)?;
    check::before_input(invocation)?;
    let settings = Settings::new(context)?;
    let prompt = if listens(invocation) { None } else { Some(prompt::read(invocation)?) };
    let schema = invocation.last("--json-schema").filter(|text| !text.is_empty()).map(Schema::parse).transpose()?;
    check::permissions(context, invocation)?;
    let mut reporter =
        Reporter::new(applet, Output::new(format(invocation), context.stdout_is_terminal()), identity(&settings, invocation));
    let session = session(applet, context, invocation).inspect_err(|error| {
        let resumed = invocation.last("--resume").filter(|id| is_uuid(id) && !invocation.has("--fork-session"));
        let id = resumed.or(invocation.last("--session-id"));
        reporter.identity.session_id = id.map_or_else(wire::uuid, str::to_string);
        reporter.fail_at_start(&error.to_string());
    })?;
    reporter.identity.session_id.clone_from(&session.id);
    if let Some(prompt) = &prompt {
        prompt::check(invocation, prompt)?;
    } else if io::stdin().is_terminal() {
        return Err(prompt::missing());
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
    Ok((Conversation::new(context, shared, session, options), prompt))
}

fn format(invocation: &Invocation) -> Format {
    match invocation.last("--output-format") {
        Some("stream-json") => Format::StreamJson { partials: invocation.has("--include-partial-messages") },
        Some("json") if invocation.has("--verbose") => Format::JsonArray,
        Some("json") => Format::Json,
        _ => Format::Text,
    }
}

fn identity(settings: &Settings, invocation: &Invocation) -> Identity {
    let mode = match invocation.last("--permission-mode") {
        Some("manual") | None => "default",
        Some(mode) => mode,
    };
    let mode = if invocation.has("--dangerously-skip-permissions") { "bypassPermissions" } else { mode };
    let cwd = std::env::current_dir().map(|cwd| cwd.to_string_lossy().into_owned());
    Identity {
        session_id: String::new(),
        model: settings.model.as_deref().map_or_else(|| NAMELESS.into(), model::shown),
        window: settings.window.unwrap_or_default(),
        max_tokens: settings.max_tokens,
        cwd: cwd.unwrap_or_default(),
        permission_mode: mode.into(),
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
