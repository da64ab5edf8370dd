//! The command line and the environment of a try with the real Claude.

use std::ffi::OsString;
use std::process::{Command, Stdio};

use crate::claude_code::command_line::{CommandLine, WHICH_SESSION};
use crate::claude_code::version::Version;
use crate::context::Context;
use crate::os::death_signal;
use crate::state::sessions::Session;
use crate::stderr;
use crate::watch::next_try::NextTry;
use crate::watch::{LocalSetup, Mode, WatchOptions};

const MAX_RETRIES: &str = "CLAUDE_CODE_MAX_RETRIES";

pub(super) fn command(
    applet: &str,
    context: &Context,
    command_line: &CommandLine,
    version: Option<Version>,
    next: &NextTry,
    options: &WatchOptions,
) -> Command {
    let made = command_line.last("--session-id").filter(|_| next.is_repeated);
    let session = match (next.session_id.as_deref().or(made), &next.new_session_id) {
        (_, Some(id)) => Some(("--session-id", id.as_str())),
        // The first try has made the session.
        (Some(id), None) if Session::exists(context, id) => Some(("--resume", id)),
        _ => None,
    };
    let mut command = death_signal::command(applet.as_ref(), &next.claude);
    command
        .args(arguments(context, command_line, version, session, options.local.as_ref()))
        .stdin(next.stdin.for_child())
        .stdout(Stdio::piped());
    if options.local.is_some() && stderr::is_silent() {
        command.stderr(Stdio::piped());
    }
    let announces = version.is_some_and(Version::announces_retries);
    let give_up = &options.give_up;
    if (options.limits_retries || !announces && options.mode == Mode::Watched)
        && !give_up.has_watchdog
        && context.env(MAX_RETRIES).is_none()
    {
        command.env(MAX_RETRIES, give_up.retries.to_string());
    }
    for (name, value) in options.local.iter().flat_map(|local| &local.ready.environment) {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}

/// The caller's command line with the format changed to the typed stream. What is added stands first, where no variadic
/// option can take it.
fn arguments(
    context: &Context,
    command_line: &CommandLine,
    version: Option<Version>,
    session: Option<(&str, &str)>,
    local: Option<&LocalSetup>,
) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = Vec::new();
    // The first word that is no option is the prompt, whatever comes later.
    arguments.extend(local.and_then(|local| local.prompt.as_ref()).map(OsString::from));
    arguments.extend(["--output-format", "stream-json", "--verbose"].map(OsString::from));
    if version.is_some_and(Version::has_partials) && !command_line.has("--include-partial-messages") {
        arguments.push("--include-partial-messages".into());
    }
    let mut left_out = vec!["--output-format"];
    if let Some(local) = local {
        arguments.extend(local.ready.settings.clone());
        left_out.push("--settings");
    }
    if let Some((option, id)) = session {
        arguments.extend([option.into(), id.into()]);
        left_out.extend(WHICH_SESSION);
    }
    arguments.extend(command_line.replaced(&left_out, "--verbose", &context.args));
    arguments
}
