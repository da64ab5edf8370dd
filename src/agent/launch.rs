//! Preparing a real Claude Code for the local model, with a gateway of its own, and becoming it.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use jiff::Timestamp;
use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;

use crate::claude_code::command_line::CommandLine;
use crate::claude_code::ready::Ready;
use crate::claude_code::settings::{LocalGateway, is_claudes, settings_file};
use crate::claude_code::{locate, prompt, stored_key, version};
use crate::context::Context;
use crate::error::{Error, Result, notice};
use crate::gateway;
use crate::gateway::agent_prompt::AgentPrompt;
use crate::gateway::spent::Spent;
use crate::local_model::chain::Chain;
use crate::local_model::model::Model;
use crate::local_model::prime;
use crate::names::{GATEWAY_APPENDED, GATEWAY_ENTRY, GATEWAY_FOLDER, GATEWAY_LEAVES_OUT, GATEWAY_TOKEN, OWN_NAME, STATE_DIR};
use crate::os::atomic_file;
use crate::os::death_signal;
use crate::os::exit::Exit;
use crate::os::process::own_path;
use crate::os::signals::with_signals_blocked;
use crate::read_file::read_regular;
use crate::real_claude::RealClaude;
use crate::shown::{Shown, shown};
use crate::state::ledger::{AnsweredBy, Entry, RouteName};
use crate::state::sessions::Session;
use crate::stderr;
use crate::watch;

/// Becomes the real Claude Code on the local model: same process, terminal, streams and signals. Returns only if that failed. `why`: for
/// the ledger, whose line the gateway writes when that Claude Code has ended, since this process does not see its own end.
pub(crate) fn become_agent(applet: &str, context: &Context, command_line: &CommandLine, why: &str) -> Result<Exit> {
    let begun = Timestamp::now();
    let claude = locate::announce_exec(applet, context)?;
    let entry = |model| entry(applet, begun, why, model);
    let (ready, args) = begin(applet, context, command_line, false, &claude, Some(&entry))?;
    for (name, value) in ready.environment {
        match value {
            Some(value) => context.set_variable(name, value),
            None => context.remove_variable(name),
        }
    }
    let error = claude.command().args(args).exec();
    Err(locate::not_run(claude.program, &error))
}

/// Runs the real Claude Code on the local model as a child in print mode, with the caller's own streams. `why`: for the ledger.
pub(crate) fn run_agent(applet: &str, context: &Context, command_line: &CommandLine, why: &str) -> Result<Exit> {
    let begun = Timestamp::now();
    let claude = locate::announce(applet, context)?;
    let (ready, args) = begin(applet, context, command_line, true, &claude, None)?;
    let mut command = death_signal::command(applet.as_ref(), &claude);
    command.args(args);
    for (name, value) in &ready.environment {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let exit = watch::run_as_it_is(command, &claude.program, stderr::is_silent())?;
    let entry = Entry { exit: Some(exit.code()), ..entry(applet, begun, why, ready.model.clone()) };
    spent(&ready, entry).append(context);
    Ok(exit)
}

fn entry(applet: &str, begun: Timestamp, why: &str, model: String) -> Entry {
    let entry = Entry::new(applet, begun, RouteName::Agent, AnsweredBy::Local);
    Entry { model: Some(model), verdict: Some(why.into()), ..entry }
}

/// The entry with what its agent has read and written, while the gateway still lives.
pub(crate) fn spent(ready: &Ready, entry: Entry) -> Entry {
    match Spent::of_gateway(ready.port, &ready.token) {
        Some(spent) => spent.complete(entry),
        None => entry,
    }
}

/// With the arguments of Claude Code.
fn begin(
    applet: &str,
    context: &Context,
    command_line: &CommandLine,
    is_print: bool,
    claude: &RealClaude,
    entry: Option<&dyn Fn(String) -> Entry>,
) -> Result<(Ready, Vec<OsString>)> {
    let ready = prepare_with(applet, context, command_line, is_print, claude, AtTerminal::default(), entry)?;
    notice(&shown!("{applet}: {}", ready.banner));
    let args = match command_line.has("--settings") {
        true => command_line.replaced_by(&["--settings"], &ready.settings, &context.args),
        false => ready.settings.iter().chain(&context.args).cloned().collect(),
    };
    Ok((ready, args))
}

/// What a session has at a terminal that changes between Claude and the local model.
#[derive(Clone, Copy, Default)]
pub(crate) struct AtTerminal<'a> {
    /// The command of the hooks, for a shell.
    pub hook: Option<&'a str>,
    /// The gateway leaves out the oldest turns of what does not fit, in the place of Claude Code, which compacts nothing: a summary by the
    /// local model would stay in the session, and Claude must be able to go on with the whole of it.
    pub leaves_out: bool,
}

/// Starts a gateway for this process, and makes the settings and the environment that lead to it.
pub(crate) fn prepare(
    applet: &str,
    context: &Context,
    command_line: &CommandLine,
    is_print: bool,
    claude: &RealClaude,
    at_terminal: AtTerminal,
) -> Result<Ready> {
    prepare_with(applet, context, command_line, is_print, claude, at_terminal, None)
}

/// `entry`: what the gateway writes into the ledger in the end, of the model's name.
fn prepare_with(
    applet: &str,
    context: &Context,
    command_line: &CommandLine,
    is_print: bool,
    claude: &RealClaude,
    at_terminal: AtTerminal,
    entry: Option<&dyn Fn(String) -> Entry>,
) -> Result<Ready> {
    let chain = Chain::with_small_model(context)?;
    let (model, window) = expected_model(&chain)?;
    Session::give_resumed(applet, context, command_line, &model);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(Error::system("listen on", "127.0.0.1"))?;
    let port = listener.local_addr().map_err(Error::system("read the address of", "the gateway"))?.port();
    let local = LocalGateway {
        port,
        token: gateway::token(),
        small_model: chain.small_model().unwrap_or_else(|| model.clone()),
        model,
        window,
        max_tokens: chain.first().settings.max_tokens,
        is_lean: AgentPrompt::from_settings(context).unwrap_or_default().is_lean_in(window),
        version: version::at_hand(context, claude.file()),
    };
    let file = settings_file(context, std::process::id())?;
    remove_stale_settings(&file);
    // At a terminal 2.1.110 shows a warning for a helper of ours.
    let merged =
        crate::claude_code::settings::merged(command_line, &local, is_print || has_stored_key(context), at_terminal.hook)?;
    atomic_file::replace_private(&file, merged.as_bytes())?;
    stderr::debug(applet, &|| decision(&local, &claude.program, context));
    let gateway = start_gateway(context, command_line, &local, listener, is_print, at_terminal.leaves_out, entry)
        .inspect_err(|_| drop(fs::remove_file(&file)))?;
    let settings = ["--settings".into(), file.into()];
    let mut environment = crate::claude_code::settings::environment(context, &local);
    if at_terminal.leaves_out {
        environment.push(("DISABLE_AUTO_COMPACT".into(), Some("1".into())));
    }
    Ok(Ready { settings, environment, banner: local.banner(), model: local.model, gateway, port, token: local.token })
}

/// What was decided of the agent, without its token.
fn decision(local: &LocalGateway, program: &Path, context: &Context) -> Shown {
    let window = local.window.map_or("unknown".into(), |window| window.to_string());
    let instructions = if local.is_lean { "lean" } else { "full" };
    let agent_prompt = context.settings.agent_prompt().unwrap_or("auto");
    shown!(
        "agent on `{}`: context {window}; instructions {instructions} (LOCAL_LLM_AGENT_PROMPT {agent_prompt}); small model `{}`; gateway on \
         port {}; Claude Code `{}`",
        local.model,
        local.small_model,
        local.port,
        program.display()
    )
}

/// The model that should answer, and the longest context of all, as the gateway finds the link that can hold a conversation.
/// Waits for no server to start.
///
/// # Errors
/// If the first link can never answer, and there is no other.
fn expected_model(chain: &Chain) -> Result<(String, Option<u32>)> {
    let is_alone = chain.main_links().len() == 1;
    // Ollama tells only after it has loaded the model, which the gateway waits for.
    let certain = |model: &Model| model.window.filter(|_| !model.is_assumed);
    let first = chain.first();
    // By its context it is decided what Claude Code is told and sent, for the whole session.
    let found = first.server.check_installed().and_then(|()| first.models.find_patiently());
    let model = match found {
        Err(error) if is_alone => return Err(error),
        found => found.ok(),
    };
    // A server that has said nothing yet costs a moment, and one that is not there nothing.
    let later = chain.main_links().iter().skip(1).filter_map(|link| certain(&link.models.find().ok()?));
    let window = model.as_ref().and_then(certain).into_iter().chain(later).max();
    Ok((model.map_or_else(|| first.name(), |model| model.name), window))
}

/// How much of the file that Claude Code keeps its state in is looked at, in bytes.
const MOST_OF_CLAUDES: u64 = 64 << 20;

/// A sign-in at Anthropic's console leaves a key for all sessions.
fn has_stored_key(context: &Context) -> bool {
    let folder = context.env("CLAUDE_CONFIG_DIR").map(PathBuf::from).or_else(|| context.home().ok().cloned());
    let state = folder.and_then(|folder| read_regular(&folder.join(".claude.json"), MOST_OF_CLAUDES).ok());
    stored_key::may_be_there(state.as_deref(), cfg!(target_os = "macos"))
}

fn start_gateway(
    context: &Context,
    command_line: &CommandLine,
    local: &LocalGateway,
    listener: TcpListener,
    is_print: bool,
    leaves_out: bool,
    entry: Option<&dyn Fn(String) -> Entry>,
) -> Result<Child> {
    let mut command = Command::new(own_path()?);
    command.arg0(OWN_NAME).arg(gateway::OPTION).arg(std::process::id().to_string());
    for name in context.variable_names() {
        if is_claudes(&name) && name != OsStr::new(STATE_DIR) {
            command.env_remove(name);
        }
    }
    // The system limits the length of a variable, and a request that must be short has no room for more.
    let appended = prompt::appended(command_line).ok().flatten().unwrap_or_default();
    let appended: String = appended.chars().filter(|c| *c != '\0').take(MOST_APPENDED).collect();
    command
        .env(GATEWAY_TOKEN, &local.token)
        .env(GATEWAY_APPENDED, appended)
        .env(GATEWAY_LEAVES_OUT, if leaves_out { "1" } else { "" })
        .current_dir("/")
        // A Ctrl-C at the terminal is for Claude Code.
        .process_group(0)
        .stdin(OwnedFd::from(listener))
        .stdout(Stdio::null())
        // A line of the gateway would spoil the screen that Claude Code draws.
        .stderr(if is_print && !stderr::is_silent() { Stdio::inherit() } else { Stdio::null() });
    let entry = entry.and_then(|entry| serde_json::to_string(&entry(local.model.clone())).ok());
    command.env(GATEWAY_ENTRY, entry.unwrap_or_default());
    if let Ok(folder) = context.working_dir() {
        command.env(GATEWAY_FOLDER, &folder);
        prime::at_start(context, &folder);
    }
    with_signals_blocked(|| command.spawn()).map_err(|error| Error::GatewayNotStarted { source: error })
}

/// How much of the appended system prompt stays in a request that must be short, in characters.
const MOST_APPENDED: usize = 8000;

/// A gateway that was killed could not remove the settings of its process.
pub(crate) fn remove_stale_settings(file: &Path) {
    let files = file.parent().and_then(|folder| fs::read_dir(folder).ok()).into_iter().flatten().flatten();
    for path in files.map(|entry| entry.path()) {
        let pid = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
        if pid.is_some_and(|pid: i32| pid > 0 && kill(Pid::from_raw(pid), None) == Err(Errno::ESRCH)) {
            let _ = fs::remove_file(path);
        }
    }
}
