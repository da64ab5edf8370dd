//! The session of a call: the one that the options ask for, or the one that the real Claude has begun.

use crate::answer::request::Handover;
use crate::claude_code::call_check::is_uuid;
use crate::claude_code::command_line::CommandLine;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::state::sessions::{Session, SessionChoice, SessionNotFound};

/// # Errors
/// The real CLI's texts for a session that it would not find.
pub(super) fn open_session(
    applet: &str,
    context: &Context,
    command_line: &CommandLine,
    handover: Option<&Handover>,
) -> Result<Session> {
    let begun_id = handover.and_then(|handover| handover.session_id.as_deref());
    let begun = begun_id.filter(|_| !command_line.has("--fork-session"));
    let begun = begun.and_then(|id| Session::open(applet, context, SessionChoice::Named(id)).ok());
    let mut session = begun.map_or_else(|| by_options(applet, context, command_line), Ok)?;
    if let Some(id) = begun_id.filter(|id| *id != session.id) {
        session.fork(Some(id));
    }
    if let Some(handover) = handover {
        session.drop_unanswered();
        session.catch_up(&handover.transcript);
    }
    Ok(session)
}

/// The id that stands in the options, for the message that no such session exists.
pub(super) fn stated_id(command_line: &CommandLine) -> Option<&str> {
    let resumed = command_line.last("--resume").filter(|id| is_uuid(id) && !command_line.has("--fork-session"));
    resumed.or(command_line.last("--session-id"))
}

/// # Errors
/// The real CLI's text for an option without the one that it needs.
pub(super) fn check_options(command_line: &CommandLine) -> Result<()> {
    for (option, needed) in
        [("--resume-session-at", "--resume"), ("--resume-drops-turn", "--resume-session-at"), ("--rewind-files", "--resume")]
    {
        if command_line.has(option) && !command_line.has(needed) {
            return Err(Error::as_claude(format_args!("Error: {option} requires {needed}")));
        }
    }
    Ok(())
}

/// The title that the options give the session.
pub(super) fn session_title(command_line: &CommandLine) -> Option<&str> {
    command_line.last("--name").map(str::trim).filter(|title| !title.is_empty())
}

fn by_options(applet: &str, context: &Context, command_line: &CommandLine) -> Result<Session> {
    let refuse = |text: String| Err(Error::as_claude(text));
    let continues = command_line.has("--continue");
    let name = command_line.last("--resume").map(str::trim).filter(|name| !name.is_empty() && !continues);
    let id = command_line.last("--session-id");
    let turn = command_line.last("--resume-drops-turn");
    let choice = match name {
        Some(name) => match command_line.last("--resume-session-at") {
            Some(last) => SessionChoice::UpTo { name, last, turn },
            None => SessionChoice::Named(name),
        },
        None if continues => SessionChoice::Newest,
        None if command_line.has("--resume") => return refuse(RESUME_NEEDS.into()),
        None => SessionChoice::New(id),
    };
    let mut session = match Session::open(applet, context, choice) {
        Ok(session) => session,
        Err(why @ (SessionNotFound::Message | SessionNotFound::Discarded(..))) => {
            return refuse(not_cut(command_line.last("--resume-session-at").unwrap_or_default(), turn.unwrap_or_default(), &why));
        }
        Err(why) => return refuse(not_found(name.unwrap_or_default(), &why)),
    };
    if command_line.has("--no-session-persistence") {
        session.stop_saving();
    }
    if command_line.has("--fork-session") && (name.is_some() || continues) {
        session.fork(id);
    }
    if let Some(title) = session_title(command_line) {
        session.set_title(title);
    }
    Ok(session)
}

const RESUME_NEEDS: &str = "Error: --resume requires a valid session ID or session title when used with --print. Usage: claude -p --resume <session-id|title>";

/// The real CLI's text.
fn not_found(name: &str, why: &SessionNotFound) -> String {
    match why {
        SessionNotFound::Id | SessionNotFound::Message | SessionNotFound::Discarded(..) => {
            format!("No conversation found with session ID: {name}")
        }
        SessionNotFound::Title => {
            format!("{RESUME_NEEDS}. Provided value \"{name}\" is not a UUID and does not match any session title.")
        }
        SessionNotFound::Ambiguous(sessions) => {
            let lines: String = sessions.iter().map(|(id, changed)| format!("\n  {id}  (modified {changed:.3})")).collect();
            let count = sessions.len();
            format!("Error: --resume \"{name}\" matches {count} sessions. Pass one of these session IDs to disambiguate:{lines}")
        }
    }
}

/// The real CLI's text for a session that is not cut after the message `last`.
fn not_cut(last: &str, turn: &str, why: &SessionNotFound) -> String {
    let SessionNotFound::Discarded(at, message) = why else { return format!("No message found with message.uuid of: {last}") };
    let reason = match is_uuid(turn) {
        false => format!("declared turn id is not a UUID: {turn}"),
        true => {
            let (role, uuid) = (message.role.word(), message.uuid.as_deref().unwrap_or_default());
            format!("range does not start with the declared turn prompt; first discarded entry {at} [type={role}, uuid={uuid}]")
        }
    };
    format!(
        "Resume rejected by --resume-drops-turn: resuming at {last} would discard entries not attributable to turn {turn}: {reason}"
    )
}
