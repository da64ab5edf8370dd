//! Agents keep their hands: the real Claude Code, with its tools, on the local model, by way of a gateway of its own.

use std::ffi::OsStr;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use jiff::Timestamp;
use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use serde_json::Value;

use crate::answer;
use crate::claude_code::command_line::CommandLine;
use crate::claude_code::protocol::mark::Mark;
use crate::claude_code::settings::{Local, Ready, is_claudes, settings_file};
use crate::claude_code::{locate, prompt};
use crate::context::Context;
use crate::error::{Error, Result, plain, report, say, warn};
use crate::gateway;
use crate::local_model::model::{HubCache, Model, NAMELESS, by_server, by_settings};
use crate::local_model::settings::Settings;
use crate::names::{OWN_NAME, STATE_DIR};
use crate::os::atomic_file;
use crate::os::exit::Exit;
use crate::os::process::own_path;
use crate::server::Server;
use crate::server::probe::State;
use crate::state::ledger::Entry;
use crate::stdin::Stdin;
use crate::watch::process::{OnLocal, Process};
use crate::watch::render::{Limits, Renderer};
use crate::watch::{GiveUpAfter, Mode, Start, Step, Watch};

/// When the local model gets tools: `LOCAL_LLM_AGENT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AgentPolicy {
    /// For calls that ask for them, and for people at a terminal.
    Auto,
    /// For each call.
    Always,
    /// For none.
    Never,
}

impl AgentPolicy {
    /// As the user has set it.
    pub(crate) fn of(applet: &str, context: &Context) -> AgentPolicy {
        let word = context.setting("LOCAL_LLM_AGENT").unwrap_or_default().to_string_lossy().trim().to_ascii_lowercase();
        match word.as_str() {
            "" | "auto" => AgentPolicy::Auto,
            "always" => AgentPolicy::Always,
            "never" => AgentPolicy::Never,
            _ => {
                warn(applet, &format!("LOCAL_LLM_AGENT is `{word}`: expected auto, always or never; using auto"));
                AgentPolicy::Auto
            }
        }
    }

    /// Whether a print-mode call goes this way. `waits`: for the first line of a session.
    pub(crate) fn takes(self, context: &Context, command_line: &CommandLine, stdin: &Stdin, waits: bool) -> bool {
        let registers = || stdin.initialize(waits && command_line.formats_fit()).is_some_and(|request| registers_tools(&request));
        match self {
            AgentPolicy::Auto => asks_for_tools(context, command_line) || registers(),
            AgentPolicy::Always => true,
            AgentPolicy::Never => false,
        }
    }
}

/// Whether a call asks for tools, for permissions, or for something else that only Claude Code itself has.
fn asks_for_tools(context: &Context, command_line: &CommandLine) -> bool {
    const OPTIONS: [&str; 8] = [
        "--dangerously-skip-permissions",
        "--permission-prompt-tool",
        "--mcp-config",
        "--agent",
        "--agents",
        "--add-dir",
        "--plugin-dir",
        "--worktree",
    ];
    let names = |option| command_line.all(option).any(|tool| !tool.trim().is_empty());
    let has_tools = names("--tools") || names("--allowed-tools");
    let has_mode = command_line.last("--permission-mode").is_some_and(|mode| !matches!(mode, "default" | "manual"));
    let is_command = command_line.prompt().is_some_and(is_slash_command);
    let resumed = command_line.last("--resume").filter(|_| !command_line.has("--continue"));
    let is_claudes = (command_line.has("--continue") || resumed.is_some()) && answer::session_is_claudes(context, resumed);
    has_tools || has_mode || is_command || is_claudes || OPTIONS.iter().any(|option| command_line.has(option))
}

/// Whether the request that a session begins with registers what only Claude Code itself has.
fn registers_tools(initialize: &Value) -> bool {
    ["hooks", "sdkMcpServers", "agents"].iter().any(|key| match &initialize[*key] {
        Value::Object(fields) => !fields.is_empty(),
        Value::Array(list) => !list.is_empty(),
        _ => false,
    })
}

/// `/review`, but no path.
fn is_slash_command(prompt: &str) -> bool {
    let Some(word) = prompt.trim_start().strip_prefix('/').and_then(|rest| rest.split_whitespace().next()) else { return false };
    word.starts_with(|c: char| c.is_ascii_alphabetic()) && !word.contains(['/', '.'])
}

/// Becomes the real Claude Code on the local model: same process, terminal, streams and signals. Returns only if that
/// failed.
pub(crate) fn become_agent(applet: &str, context: &Context, command_line: &CommandLine, is_print: bool) -> Error {
    let begun = Timestamp::now();
    let program = match locate::announce_exec(applet, context) {
        Ok(program) => program,
        Err(error) => return error,
    };
    let ready = match prepare(context, command_line, is_print) {
        Ok(ready) => ready,
        Err(error) => return error,
    };
    if !is_quiet(context) {
        say(&format!("{applet}: {}", ready.banner));
    }
    // For this process: a command's own environment would be sorted, and what is doubled or odd in it dropped.
    for (name, value) in ready.environment {
        match value {
            Some(value) => std::env::set_var(name, value),
            None => std::env::remove_var(name),
        }
    }
    let args = match command_line.has("--settings") {
        true => command_line.replaced_by(&["--settings"], &ready.settings, &context.args),
        false => ready.settings.into_iter().chain(context.args.iter().cloned()).collect(),
    };
    // How it ends nobody here will know.
    let entry = Entry { model: Some(ready.model), ..Entry::new(applet, begun, "agent", "local") };
    entry.append(context);
    let error = Command::new(&program).args(args).exec();
    locate::not_run(program, &error)
}

/// Runs the real Claude Code on the local model as a child, for a session whose first line is read already.
///
/// # Errors
/// If it could not be run, with the session's stdin.
pub(crate) fn run(
    applet: &str,
    context: &Context,
    command_line: &CommandLine,
    stdin: Stdin,
) -> std::result::Result<Exit, (Error, Stdin)> {
    let begun = Timestamp::now();
    let found = locate::announce(applet, context).and_then(|program| Ok((program, prepare(context, command_line, true)?)));
    let (program, ready) = match found {
        Ok(found) => found,
        Err(error) => return Err((error, stdin)),
    };
    if !is_quiet(context) {
        say(&format!("{applet}: {}", ready.banner));
    }
    let mut out = Renderer::new(answer::format(command_line), context.stdout_is_terminal(), Limits::default());
    out.mark(Some(Mark::by_flag()));
    let start = Start {
        mode: Mode::PassedOn,
        patience: GiveUpAfter::endless(),
        limits_retries: false,
        local: Some(OnLocal { ready, prompt: None }),
    };
    let mut watch = match Watch::start(applet, context, command_line, Process::with(program, stdin), out, start) {
        Ok(watch) => watch,
        Err(error) => {
            report(applet, &error);
            return Ok(Exit::Code(error.code()));
        }
    };
    loop {
        if let Step::Ended(exit) = watch.run() {
            let entry =
                Entry { verdict: Some("switch".into()), exit: Some(exit.code()), ..Entry::new(applet, begun, "agent", "local") };
            watch.record(entry).append(context);
            return Ok(exit);
        }
    }
}

/// Starts a gateway for this process.
///
/// # Errors
/// If there is no local server, or no place for the settings.
pub(crate) fn prepare(context: &Context, command_line: &CommandLine, is_print: bool) -> Result<Ready> {
    let (server, settings) = (Server::new(context)?, Settings::new(context)?);
    server.installed()?;
    let model = find_model(context, &server, &settings);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(Error::file("listen on", "127.0.0.1"))?;
    let port = listener.local_addr().map_err(Error::file("read the address of", "the gateway"))?.port();
    let local = Local { port, token: gateway::token(), model: model.name, window: model.window, max_tokens: settings.max_tokens };
    let file = settings_file(context, std::process::id())?;
    remove_stale(&file);
    // At a terminal 2.1.110 shows a warning for a helper of ours.
    let merged = crate::claude_code::settings::merged(command_line, &local, is_print || has_stored_key(context))?;
    atomic_file::replace(&file, merged.as_bytes())?;
    start_gateway(command_line, &local, listener, is_print).inspect_err(|_| drop(fs::remove_file(&file)))?;
    let settings = ["--settings".into(), file.into()];
    let environment = crate::claude_code::settings::environment(&local);
    Ok(Ready { settings, environment, banner: local.banner(), model: local.model })
}

/// Whether somebody has signed in at Anthropic's console, which leaves a key for all sessions.
fn has_stored_key(context: &Context) -> bool {
    let folder = context.env("CLAUDE_CONFIG_DIR").map(PathBuf::from).or_else(|| context.home().ok().cloned());
    let state = folder.and_then(|folder| fs::read(folder.join(".claude.json")).ok()).unwrap_or_default();
    memchr::memmem::find(&state, b"\"primaryApiKey\"").is_some()
}

/// Whether the user wants no lines about what happens here.
pub(crate) fn is_quiet(context: &Context) -> bool {
    context.setting("LLM_FAILOVER_QUIET").is_some_and(|value| value != "0")
}

/// The model, as far as that is known without waiting for a server.
fn find_model(context: &Context, server: &Server, settings: &Settings) -> Model {
    let hub_cache = HubCache::new(context);
    let known = by_settings(settings, server.endpoint(), &hub_cache, true);
    let told = || (server.state() == State::Up).then(|| by_server(settings, server.endpoint(), &hub_cache)).flatten();
    let unknown = || {
        let name = settings.model.as_deref().map_or_else(|| NAMELESS.into(), crate::local_model::model::shown);
        Model { name, window: settings.window, is_checked: false }
    };
    known.or_else(told).unwrap_or_else(unknown)
}

fn start_gateway(command_line: &CommandLine, local: &Local, listener: TcpListener, is_print: bool) -> Result<()> {
    let mut command = Command::new(own_path()?);
    command.arg0(OWN_NAME).arg(gateway::OPTION).arg(std::process::id().to_string());
    for (name, _) in std::env::vars_os() {
        if is_claudes(&name) && name != OsStr::new(STATE_DIR) {
            command.env_remove(name);
        }
    }
    // A variable has its limits, and a request that must be short has no room for more.
    let appended = prompt::appended(command_line).ok().flatten().unwrap_or_default();
    let appended: String = appended.chars().filter(|c| *c != '\0').take(MOST_APPENDED).collect();
    command
        .env(gateway::TOKEN, &local.token)
        .env(gateway::APPENDED, appended)
        .current_dir("/")
        // A Ctrl-C at the terminal is Claude Code's.
        .process_group(0)
        .stdin(OwnedFd::from(listener))
        .stdout(Stdio::null())
        // On a screen that Claude Code draws, nobody else may write.
        .stderr(if is_print { Stdio::inherit() } else { Stdio::null() });
    let started = command.spawn();
    started.map(|_| ()).map_err(|error| Error::Supervisor(format!("cannot start the gateway: {}", plain(&error))))
}

/// How much of what the user adds to the system prompt stays in a request that must be short, in characters.
const MOST_APPENDED: usize = 8000;

/// What is left of those whose gateway was killed.
fn remove_stale(file: &Path) {
    let files = file.parent().and_then(|folder| fs::read_dir(folder).ok()).into_iter().flatten().flatten();
    for path in files.map(|entry| entry.path()) {
        let pid = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
        if pid.is_some_and(|pid: i32| pid > 0 && kill(Pid::from_raw(pid), None) == Err(Errno::ESRCH)) {
            let _ = fs::remove_file(path);
        }
    }
}
