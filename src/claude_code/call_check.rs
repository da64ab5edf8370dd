//! The calls that the real CLI (2.1.330) refuses before it asks its model, in its words and its order.

use std::fmt::Display;
use std::path::Path;

use uuid::Uuid;

use crate::claude_code::command_line::CommandLine;
use crate::context::Context;
use crate::error::{Error, Result};

/// The checks before the real CLI reads the system prompt's files. `session_exists` says whether a session id is taken.
///
/// # Errors
/// The real CLI's texts.
pub(crate) fn before_files(context: &Context, command_line: &CommandLine, session_exists: impl Fn(&str) -> bool) -> Result<()> {
    if let Some(turns) = context.env("CLAUDE_CODE_MAX_TURNS").filter(|_| !command_line.has("--max-turns")) {
        let turns = turns.to_string_lossy();
        if !turns.trim().parse().is_ok_and(|turns: u32| turns > 0) {
            return refuse(format!("CLAUDE_CODE_MAX_TURNS must be a positive integer; got \"{turns}\""));
        }
    }
    command_line.check_command()?;
    if let Some(agents) = command_line.last("--agents").filter(|agents| !agents.trim_start().starts_with('{')) {
        let path = absolute(agents);
        if !Path::new(&path).exists() {
            let why = "(a value that is not a JSON object is read as a file path)";
            return refuse(format!("Error: --agents file not found: {path} {why}"));
        }
    }
    if command_line.has("--tmux") && !command_line.has("--worktree") {
        return refuse("Error: --tmux requires --worktree");
    }
    session_id(command_line, session_exists)?;
    if command_line.has("--file") && context.env("CLAUDE_CODE_SESSION_ACCESS_TOKEN").is_none() {
        return refuse("Error: Session token required for file downloads. CLAUDE_CODE_SESSION_ACCESS_TOKEN must be set.");
    }
    Ok(())
}

fn session_id(command_line: &CommandLine, session_exists: impl Fn(&str) -> bool) -> Result<()> {
    let Some(id) = command_line.last("--session-id") else { return Ok(()) };
    let resumes = command_line.has("--continue") || command_line.has("--resume");
    if resumes && !command_line.has("--fork-session") {
        refuse("Error: --session-id with --continue or --resume also needs --fork-session.")
    } else if !is_uuid(id) {
        refuse("Error: Invalid session ID. Must be a valid UUID.")
    } else if session_exists(id) {
        refuse(format!("Error: Session ID {id} is already in use."))
    } else {
        Ok(())
    }
}

/// The checks after the system prompt's files and before stdin.
///
/// # Errors
/// The real CLI's texts.
pub(crate) fn before_input(command_line: &CommandLine) -> Result<()> {
    let is_path = |config: &&str| !config.trim().is_empty() && !config.trim_start().starts_with('{');
    let configs = command_line.all("--mcp-config").filter(is_path).map(absolute);
    let missing: Vec<String> =
        configs.filter(|path| !Path::new(path).exists()).map(|path| format!("\nMCP config file not found: {path}")).collect();
    if !missing.is_empty() {
        return refuse(format!("Error: Invalid MCP configuration:{}", missing.concat()));
    }
    let streams_out = command_line.last("--output-format") == Some("stream-json");
    let streams_in = command_line.listens();
    if streams_in && !streams_out {
        return refuse("Error: --input-format=stream-json requires output-format=stream-json.");
    }
    if command_line.has("--replay-user-messages") && !streams_in {
        let needed = "both --input-format=stream-json and --output-format=stream-json";
        return refuse(format!("Error: --replay-user-messages requires {needed}."));
    }
    let is_no = |value: &str| ["false", "0", "no", "off"].contains(&value.trim().to_lowercase().as_str());
    if command_line.has("--prompt-suggestions") && !command_line.last("--prompt-suggestions").is_some_and(is_no) && !streams_out {
        let why = "(prompt_suggestion messages only appear in stream-json output)";
        return refuse(format!("Error: --prompt-suggestions requires --print and --output-format=stream-json {why}."));
    }
    for option in ["--include-partial-messages", "--forward-subagent-text"] {
        if command_line.has(option) && !streams_out {
            return refuse(format!("Error: {option} requires --print and --output-format=stream-json."));
        }
    }
    Ok(())
}

/// The check of permissions, which comes after stdin. A plain answer has no tools that they could apply to, but a script that
/// Claude Code refuses should not go on here.
///
/// # Errors
/// The real CLI's text.
pub(crate) fn permissions(context: &Context, command_line: &CommandLine) -> Result<()> {
    let is_sandbox = context.env("IS_SANDBOX").is_some_and(|value| value == "1");
    match may_bypass_permissions(command_line) && nix::unistd::geteuid().is_root() && !is_sandbox {
        true => refuse("--dangerously-skip-permissions cannot be used with root/sudo privileges for security reasons"),
        false => Ok(()),
    }
}

/// Whether the caller may switch to `bypassPermissions`.
pub(crate) fn may_bypass_permissions(command_line: &CommandLine) -> bool {
    let options = ["--dangerously-skip-permissions", "--allow-dangerously-skip-permissions"];
    options.iter().any(|option| command_line.has(option)) || command_line.last("--permission-mode") == Some("bypassPermissions")
}

/// The last check, after the session and the prompt.
///
/// # Errors
/// The real CLI's text.
pub(crate) fn verbose_stream(command_line: &CommandLine) -> Result<()> {
    match command_line.last("--output-format") == Some("stream-json") && !command_line.has("--verbose") {
        true => refuse("Error: When using --print, --output-format=stream-json requires --verbose"),
        false => Ok(()),
    }
}

/// Whether `text` is a UUID as the real CLI takes it: in groups, and in whatever case.
pub(crate) fn is_uuid(text: &str) -> bool {
    text.len() == 36 && Uuid::try_parse(text).is_ok()
}

fn absolute(path: &str) -> String {
    std::path::absolute(path).map_or_else(|_| path.into(), |path| path.to_string_lossy().into_owned())
}

fn refuse(text: impl Display) -> Result<()> {
    Err(Error::as_claude(text))
}
