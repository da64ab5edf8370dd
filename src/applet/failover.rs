//! `llm-failover`: the switch and the local server.

use std::fs::File;
use std::process::ExitCode;

use argh::FromArgs;

use super::print;
use crate::answer;
use crate::context::Context;
use crate::error::{self, Error, Result, report, warn};
use crate::notify;
use crate::server::{Progress, Server, State, Stopped, last_lines, private_file};
use crate::status::Status;
use crate::switch::{Backend, Switch};

const NAME: &str = "llm-failover";

/// Switches every `claude` call on this machine between Claude Code and a local model.
#[derive(FromArgs)]
#[argh(help_triggers("-h", "--help"))]
struct Options {
    /// print nothing but errors
    #[argh(switch, short = 'q')]
    quiet: bool,
    /// print the version
    #[argh(switch, short = 'V')]
    version: bool,
    #[argh(subcommand)]
    action: Option<Action>,
}

#[derive(FromArgs)]
#[argh(subcommand)]
enum Action {
    Status(StatusOptions),
    Local(Local),
    Claude(Claude),
    Start(Start),
    Stop(Stop),
    Logs(Logs),
}

/// Show how things stand (as does no command at all).
#[derive(FromArgs)]
#[argh(subcommand, name = "status", help_triggers("-h", "--help"))]
struct StatusOptions {
    /// as JSON, for programs
    #[argh(switch)]
    json: bool,
}

/// Start the local server, then switch to it (also: gemma, qwen).
#[derive(FromArgs)]
#[argh(subcommand, name = "local", help_triggers("-h", "--help"))]
struct Local {}

/// Switch back to Claude, then stop the local server.
#[derive(FromArgs)]
#[argh(subcommand, name = "claude", help_triggers("-h", "--help"))]
struct Claude {}

/// Start the local server and leave the switch alone.
#[derive(FromArgs)]
#[argh(subcommand, name = "start", help_triggers("-h", "--help"))]
struct Start {}

/// Stop the local server and leave the switch alone.
#[derive(FromArgs)]
#[argh(subcommand, name = "stop", help_triggers("-h", "--help"))]
struct Stop {}

/// Show the end of the local server's log.
#[derive(FromArgs)]
#[argh(subcommand, name = "logs", help_triggers("-h", "--help"))]
struct Logs {
    /// how many lines (40)
    #[argh(option, short = 'n', default = "40")]
    lines: usize,
}

/// Runs the applet.
pub fn run(context: &Context) -> ExitCode {
    match options(context).and_then(|options| options.map_or(Ok(()), |options| act(context, &options))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => report(NAME, &error),
    }
}

/// The options, or none if they only asked for help, which is printed.
fn options(context: &Context) -> Result<Option<Options>> {
    let mut words = Vec::new();
    for arg in &context.args {
        let word = arg.to_str().ok_or_else(|| Error::Usage(format!("`{}` is not UTF-8", arg.to_string_lossy())))?;
        match word {
            "gemma" | "qwen" => words.push("local"),
            "help" => words.push("--help"),
            // Known to work after the command too.
            "-q" | "--quiet" => words.insert(0, word),
            _ => words.push(word),
        }
    }
    if words.contains(&"--json") && words.iter().all(|word| word.starts_with('-')) {
        words.insert(words.len() - 1, "status");
    }
    match Options::from_args(&[NAME], &words) {
        Ok(options) => Ok(Some(options)),
        Err(exit) if exit.status.is_ok() => {
            print(&exit.output);
            Ok(None)
        }
        Err(exit) => {
            let said = exit.output.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("Run "));
            Err(Error::Usage(error::uncapitalised(&said.collect::<Vec<_>>().join(" "))))
        }
    }
}

fn act(context: &Context, options: &Options) -> Result<()> {
    if options.version {
        print(&format!("{NAME} {}\n", env!("CARGO_PKG_VERSION")));
        return Ok(());
    }
    let say = |line: &str| {
        if !options.quiet {
            print(&format!("{line}\n"));
        }
    };
    match &options.action {
        None => status(context, false),
        Some(Action::Status(status_options)) => status(context, status_options.json),
        Some(Action::Local(_)) => to_local(context, &say),
        Some(Action::Claude(_)) => to_claude(context, &say),
        Some(Action::Start(_)) => {
            let server = start(context)?;
            say(&format!("local server: UP (port {})", server.endpoint().port()));
            Ok(())
        }
        Some(Action::Stop(_)) => stop(context, &say, "local server: down (lazy)"),
        Some(Action::Logs(logs)) => {
            let lines = last_lines(&Server::new(context)?.log_file(), logs.lines);
            print(&lines.iter().map(|line| format!("{line}\n")).collect::<String>());
            Ok(())
        }
    }
}

fn status(context: &Context, json: bool) -> Result<()> {
    let switch = Switch::new(context)?;
    let (backend, warning) = switch.read();
    if let Some(warning) = warning {
        warn(NAME, &warning);
    }
    let status = Status::look(context, &switch, backend)?;
    print(&if json { status.json() } else { status.text() });
    Ok(())
}

/// The server first, the switch only when it answers.
fn to_local(context: &Context, say: &dyn Fn(&str)) -> Result<()> {
    let _only_one = flip_lock(context)?;
    let was_up = Server::new(context)?.state() == State::Up;
    let server = start(context)?;
    flip(context, Backend::Local, say).inspect_err(|_| {
        if !was_up {
            let _ = server.stop();
        }
    })
}

/// The switch first, so that no call waits for a server that is going; then the memory. The way back to Claude does
/// not depend on a lock file that a full disk has no room for.
fn to_claude(context: &Context, say: &dyn Fn(&str)) -> Result<()> {
    let _only_one = flip_lock(context).ok();
    flip(context, Backend::Claude, say)?;
    stop(context, say, "")
}

fn flip(context: &Context, backend: Backend, say: &dyn Fn(&str)) -> Result<()> {
    let switch = Switch::new(context)?;
    let (before, _) = switch.read();
    switch.write(backend)?;
    say(&format!("agent backend now: {}", backend.word()));
    if before != backend {
        notify::flipped(context, backend);
    }
    Ok(())
}

fn start(context: &Context) -> Result<Server> {
    let server = Server::new(context)?;
    {
        let mut progress = Progress::new(NAME, &server);
        server.ensure_up(&|| true, &mut |elapsed| progress.show(elapsed))?;
    }
    answer::prove(NAME, context, &server).inspect_err(|_| {
        let _ = server.stop();
    })?;
    Ok(server)
}

fn stop(context: &Context, say: &dyn Fn(&str), if_down: &str) -> Result<()> {
    let server = Server::new(context)?;
    match server.stop()? {
        Stopped::WasDown if if_down.is_empty() => {}
        Stopped::WasDown => say(if_down),
        Stopped::Freed(Some(bytes)) => say(&format!("local server stopped: {} MiB of memory given back", bytes >> 20)),
        Stopped::Freed(None) => say("local server stopped"),
        Stopped::NotOurs => say(&format!("local server on port {} is not ours to stop: left running", server.endpoint().port())),
    }
    Ok(())
}

/// Flips one at a time.
fn flip_lock(context: &Context) -> Result<File> {
    let path = context.state_dir()?.join("switch.lock");
    let file = private_file(&path)?;
    file.lock().map_err(Error::file("lock", path))?;
    Ok(file)
}
