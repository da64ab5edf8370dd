//! `llm-failover`: the switch and the local server.

use std::fs::{File, TryLockError};
use std::process::ExitCode;

use argh::FromArgs;
use jiff::{Span, Timestamp, Zoned};

use crate::claude_code::locate;
use crate::cli::status::Status;
use crate::cli::{print, status};
use crate::context::Context;
use crate::drill;
use crate::drill::{Ending, Scenario};
use crate::error;
use crate::error::{Error, Result, report, warn};
use crate::gateway;
use crate::local_model::{ask, unload};
use crate::os::atomic_file::private_file;
use crate::os::cleanup::CleanupOnSignal;
use crate::server::files::last_lines;
use crate::server::probe::State;
use crate::server::progress::Progress;
use crate::server::{Server, Stopped};
use crate::state::breaker::Breaker;
use crate::state::flag::{Backend, Flag};
use crate::state::{ledger, notify};

const NAME: &str = "llm-failover";

/// Switches every `claude` call on this machine between Claude Code and a local model.
#[derive(FromArgs)]
#[argh(help_triggers("-h", "--help"))]
struct Options {
    /// say nothing of flips, starts and stops that went well
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
    Auto(Auto),
    Start(Start),
    Stop(Stop),
    Logs(Logs),
    Log(Log),
    Drill(Drill),
    Gateway(Gateway),
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

/// Let Claude answer, and the local model while Claude is limited or down.
#[derive(FromArgs)]
#[argh(subcommand, name = "auto", help_triggers("-h", "--help"))]
struct Auto {}

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

/// Show the last calls: who answered, and why.
#[derive(FromArgs)]
#[argh(subcommand, name = "log", help_triggers("-h", "--help"))]
struct Log {
    /// how many calls (40)
    #[argh(option, short = 'n', default = "40")]
    lines: usize,
    /// the ledger's own lines, for programs
    #[argh(switch)]
    json: bool,
    /// sum up the calls since then: 30m, 24h, 7d, or a time such as 2026-11-22T02:10:00Z
    #[argh(option, from_str_fn(begin))]
    since: Option<Timestamp>,
}

/// Play a call whose Claude is limited or down, without spending quota or touching the switch.
#[derive(FromArgs)]
#[argh(subcommand, name = "drill", help_triggers("-h", "--help"))]
struct Drill {
    /// limit, weekly, overload, down, hang, throttle or signin
    #[argh(positional)]
    // argh names the field in its errors.
    trouble: Scenario,
}

/// Speak the Anthropic Messages API on loopback, answered by the local model, until interrupted.
#[derive(FromArgs)]
#[argh(subcommand, name = "gateway", help_triggers("-h", "--help"))]
struct Gateway {
    /// the port to listen on; 0 for any that is free (0)
    #[argh(option, default = "0")]
    port: u16,
}

/// A length of time before now, or a time.
fn begin(text: &str) -> std::result::Result<Timestamp, String> {
    let ago = |span: Span| Zoned::now().checked_sub(span.abs()).map(|time| time.timestamp());
    let time = text.parse::<Timestamp>().or_else(|_| text.parse().and_then(ago));
    time.map_err(|_| {
        format!("`{text}` is neither a length of time, such as `24h` or `7d`, nor a time, such as `2026-11-22T02:10:00Z`")
    })
}

/// Runs the applet.
pub(crate) fn run(context: &Context) -> ExitCode {
    match options(context).and_then(|options| options.map_or(Ok(ExitCode::SUCCESS), |options| act(context, &options))) {
        Ok(code) => code,
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

fn act(context: &Context, options: &Options) -> Result<ExitCode> {
    let action = Acting { context, is_quiet: options.quiet };
    match &options.action {
        _ if options.version => print(&format!("{NAME} {}\n", env!("CARGO_PKG_VERSION"))),
        None => action.status(false)?,
        Some(Action::Status(options)) => action.status(options.json)?,
        Some(Action::Local(_)) => action.to_local()?,
        Some(Action::Claude(_)) => action.to_claude()?,
        Some(Action::Auto(_)) => action.to_auto()?,
        Some(Action::Start(_)) => {
            let port = action.start(|| Ok(()))?;
            action.say(&format!("local server: UP (port {port})"));
        }
        Some(Action::Stop(_)) => action.stop("local server: down (lazy)")?,
        Some(Action::Logs(options)) => {
            let log = Server::new(context)?.log_file();
            let lines = last_lines(&log, options.lines);
            if !log.exists() {
                error::say(&format!("{NAME}: no log yet at `{}`", log.display()));
            }
            print(&lines.iter().map(|line| format!("{line}\n")).collect::<String>());
        }
        Some(Action::Drill(options)) => return drill(context, options.trouble),
        Some(Action::Gateway(options)) => action.gateway(options.port)?,
        Some(Action::Log(options)) => print(&log(context, options)?),
    }
    Ok(ExitCode::SUCCESS)
}

/// Success is a local answer.
fn drill(context: &Context, scenario: Scenario) -> Result<ExitCode> {
    match drill::run(context, scenario, &|line| print(&format!("{line}\n")))? {
        Ending::AnsweredLocally => Ok(ExitCode::SUCCESS),
        Ending::LeftToClaude(why) => {
            error::say(&format!("{NAME}: not answered locally, as it should be: {why}"));
            Ok(ExitCode::FAILURE)
        }
    }
}

fn log(context: &Context, options: &Log) -> Result<String> {
    let lines = ledger::read(context)?;
    if lines.is_empty() {
        error::say(&format!("{NAME}: no calls in the ledger yet"));
    }
    let is_wanted = |line: &&ledger::Line| options.since.is_none_or(|since| line.entry.time >= since);
    Ok(match options.since {
        Some(since) if !options.json => {
            let entries: Vec<_> = lines.iter().map(|line| &line.entry).collect();
            ledger::summary::sum(&entries, since, Timestamp::now())
        }
        since => {
            let count = if since.is_some() { usize::MAX } else { options.lines };
            let wanted: Vec<_> = lines.iter().filter(is_wanted).collect();
            let last = &wanted[wanted.len().saturating_sub(count)..];
            match options.json {
                true => last.iter().map(|line| format!("{}\n", line.raw)).collect(),
                false => ledger::table::table(&last.iter().map(|line| &line.entry).collect::<Vec<_>>()),
            }
        }
    })
}

/// A command at work.
struct Acting<'a> {
    context: &'a Context,
    is_quiet: bool,
}

impl Acting<'_> {
    fn say(&self, line: &str) {
        if !self.is_quiet {
            print(&format!("{line}\n"));
        }
    }

    fn status(&self, json: bool) -> Result<()> {
        let switch = Flag::new(self.context)?;
        let (backend, warning) = switch.read();
        if let Some(warning) = warning {
            warn(NAME, &warning);
        }
        let status = Status::look(self.context, &switch, backend).inspect_err(|_| {
            if !json {
                print(&status::backend_line(backend));
            }
        })?;
        print(&if json { status.json() } else { status.text() });
        self.warn_of_another_claude();
        for name in self.context.settings.unknown_in_file() {
            warn(NAME, &format!("`{name}` in the settings file is no setting"));
        }
        Ok(())
    }

    /// Two lines for a shell say where it is and how to be let in.
    fn gateway(&self, port: u16) -> Result<()> {
        let token = self.context.settings.gateway_token()?.unwrap_or_else(gateway::token);
        let shown = token.clone();
        gateway::serve(self.context, port, token, |port| {
            print(&format!("export ANTHROPIC_BASE_URL=http://127.0.0.1:{port}\nexport ANTHROPIC_AUTH_TOKEN={shown}\n"));
        })
    }

    /// A `claude` that a shell finds before ours makes the switch mean nothing, without a word.
    fn warn_of_another_claude(&self) {
        if let Some(path) = locate::before_us_on_path(self.context) {
            warn(
                NAME,
                &format!(
                    "`claude` on your PATH is `{}`, which does not read the switch; put our folder before it",
                    path.display()
                ),
            );
        }
    }

    /// The server first, the switch only when it answers.
    fn to_local(&self) -> Result<()> {
        self.warn_of_another_claude();
        let _only_one = self.flip_lock()?;
        self.start(|| self.flip(Backend::Local)).map(|_| ())
    }

    /// The switch first, so that no call waits for a server that is going; then the memory. The way back to Claude does
    /// not depend on a lock file that a full disk has no room for.
    fn to_claude(&self) -> Result<()> {
        let _only_one = self.flip_lock().ok();
        self.flip(Backend::Claude)?;
        self.stop("")
    }

    /// No server is started: that is for the day that it is needed.
    fn to_auto(&self) -> Result<()> {
        self.warn_of_another_claude();
        let _only_one = self.flip_lock()?;
        if let Err(error) = Server::new(self.context).and_then(|server| server.installed()) {
            let hint = error.hint(NAME).map(|hint| format!("; {hint}")).unwrap_or_default();
            warn(NAME, &format!("{error}: calls that Claude refuses will fail{hint}"));
        }
        self.flip(Backend::Auto)?;
        unload::adopt(self.context);
        Ok(())
    }

    /// What was learned of Claude is forgotten: whoever sets the switch knows better.
    fn flip(&self, backend: Backend) -> Result<()> {
        let switch = Flag::new(self.context)?;
        let (before, _) = switch.read();
        switch.write(backend)?;
        if let Ok(breaker) = Breaker::new(self.context) {
            breaker.reset();
        }
        self.say(&format!("agent backend now: {}", backend.word()));
        if before != backend {
            notify::flipped(self.context, backend);
        }
        Ok(())
    }

    /// Makes sure that the server answers, does what comes `then`, and gives the server's port. Should any of that
    /// fail or be interrupted, a server that was not up before is stopped again.
    fn start(&self, then: impl FnOnce() -> Result<()>) -> Result<u16> {
        let server = Server::new(self.context)?;
        let was_up = server.state() == State::Up;
        let mut progress = Progress::new(NAME, &server, self.is_quiet);
        let context = self.context.for_applet(NAME, &[]);
        let guard = CleanupOnSignal::new(move || {
            if let (false, Ok(server)) = (was_up, Server::new(&context)) {
                let _ = server.stop(&mut |_| {});
            }
        });
        let started = server.ensure_up(&|| !guard.is_caught(), &mut |elapsed| progress.show(elapsed));
        let proven = started.and_then(|()| ask::prove(self.context, &server, &mut progress));
        guard.end();
        let outcome = proven.and_then(|()| then());
        if outcome.is_err() && !was_up {
            let _ = server.stop(&mut |_| {});
        }
        outcome.map(|()| server.endpoint().port())
    }

    fn stop(&self, if_down: &str) -> Result<()> {
        let server = Server::new(self.context)?;
        let mut progress = Progress::new(NAME, &server, self.is_quiet);
        let stopped = server.stop(&mut |elapsed| progress.show(elapsed))?;
        progress.clear();
        match stopped {
            Stopped::WasDown if if_down.is_empty() => {}
            Stopped::WasDown => self.say(if_down),
            Stopped::Freed(Some(bytes)) => self.say(&format!("local server stopped: {} MiB of memory given back", bytes >> 20)),
            Stopped::Freed(None) => self.say("local server stopped"),
            Stopped::NotOurs if if_down.is_empty() && !server.is_ours() => {}
            Stopped::NotOurs => {
                self.say(&format!("local server on port {} is not ours to stop: left running", server.endpoint().port()));
            }
        }
        Ok(())
    }

    /// Flips one at a time.
    fn flip_lock(&self) -> Result<File> {
        let path = self.context.state_dir()?.join("switch.lock");
        let file = private_file(&path)?;
        if matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
            if !self.is_quiet {
                error::say(&format!("{NAME}: waiting for another flip to end …"));
            }
            file.lock().map_err(Error::file("lock", path))?;
        }
        Ok(file)
    }
}
