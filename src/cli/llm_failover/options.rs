//! The command line of `llm-failover`.

use argh::{ArgsInfo, CommandInfoWithArgs, FromArgs};
use jiff::Timestamp;

use crate::cli::llm_failover::NAME;
use crate::cli::llm_failover::completions::Shell;
use crate::cli::llm_failover::config_options::Config;
use crate::cli::print;
use crate::cli::statusline::Format;
use crate::context::Context;
use crate::dashboard;
use crate::drill::Scenario;
use crate::error::{Error, Result};
use crate::setup;
use crate::shown::{Shown, shown};
use crate::state::ledger::moments;
use crate::text::{nearest, uncapitalised};

/// Switches every `claude` call on this machine between Claude Code and a local model.
#[derive(FromArgs, ArgsInfo)]
#[argh(help_triggers("-h", "--help"))]
pub(super) struct Options {
    /// say nothing of flips, starts and stops that went well
    #[argh(switch, short = 'q')]
    pub(super) quiet: bool,
    /// print the version
    #[argh(switch, short = 'V')]
    pub(super) version: bool,
    #[argh(subcommand)]
    pub(super) action: Option<Action>,
}

#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand)]
pub(super) enum Action {
    Status(StatusOptions),
    Statusline(Statusline),
    Local(Local),
    Claude(Claude),
    Auto(Auto),
    Start(Start),
    Stop(Stop),
    Logs(Logs),
    Log(Log),
    Drill(Drill),
    Gateway(Gateway),
    Dashboard(Dashboard),
    Config(Config),
    Doctor(Doctor),
    Setup(setup::options::Options),
    Completions(Completions),
}

/// Show how things stand (as does no command at all).
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "status", help_triggers("-h", "--help"))]
pub(super) struct StatusOptions {
    /// as JSON, for programs
    #[argh(switch)]
    pub(super) json: bool,
}

/// Show in a few words who answers, for prompts and status lines.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "statusline", help_triggers("-h", "--help"))]
pub(super) struct Statusline {
    /// plain, ansi, json, swiftbar or tmux (plain)
    #[argh(option, default = "Format::Plain")]
    pub(super) format: Format,
}

/// Start the local server, then switch to it (also: gemma, qwen).
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "local", help_triggers("-h", "--help"))]
pub(super) struct Local {}

/// Switch back to Claude, then stop the local server.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "claude", help_triggers("-h", "--help"))]
pub(super) struct Claude {}

/// Let Claude answer, and the local model while Claude is limited or down.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "auto", help_triggers("-h", "--help"))]
pub(super) struct Auto {
    /// fail, and leave the switch alone, if the local model could not answer or agents could not work with it
    #[argh(switch)]
    pub(super) check: bool,
}

/// Start the local server and leave the switch alone.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "start", help_triggers("-h", "--help"))]
pub(super) struct Start {}

/// Stop the local server and leave the switch alone.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "stop", help_triggers("-h", "--help"))]
pub(super) struct Stop {}

/// Show the end of the local server's log.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "logs", help_triggers("-h", "--help"))]
pub(super) struct Logs {
    /// how many lines (40)
    #[argh(option, short = 'n', default = "40")]
    pub(super) lines: usize,
}

/// Show the last calls: who answered, and why.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "log", help_triggers("-h", "--help"))]
pub(super) struct Log {
    /// how many calls (40)
    #[argh(option, short = 'n', default = "40")]
    pub(super) lines: usize,
    /// the ledger's own lines, for programs
    #[argh(switch)]
    pub(super) json: bool,
    /// sum up the calls since then: 24h, 7d, today, yesterday, a weekday, 2026-11-22, 22:00, or 2026-11-22T02:10:00Z
    #[argh(option, from_str_fn(moments::parse))]
    pub(super) since: Option<Timestamp>,
    /// leave out the calls that began then or later: a time as above
    #[argh(option, from_str_fn(moments::parse))]
    pub(super) until: Option<Timestamp>,
    /// say in a few sentences what the calls were like; without --since, those of the last 24 hours
    #[argh(switch)]
    pub(super) summary: bool,
}

/// Play a call whose Claude is limited or down, without spending quota or touching the switch.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "drill", help_triggers("-h", "--help"))]
pub(super) struct Drill {
    /// limit, weekly, overload, down, hang, throttle or signin; without one they are listed
    #[argh(positional)]
    // argh names the field in its errors.
    pub(super) trouble: Option<Scenario>,
}

/// Speak the Anthropic Messages API on loopback, answered by the local model, until interrupted.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "gateway", help_triggers("-h", "--help"))]
pub(super) struct Gateway {
    /// the port to listen on; 0 for any that is free (0)
    #[argh(option, default = "0")]
    pub(super) port: u16,
}

/// Serve a page on loopback that shows who answers, and has the switch's buttons, until interrupted.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "dashboard", help_triggers("-h", "--help"))]
pub(super) struct Dashboard {
    /// the port to listen on; 0 for any that is free (9421)
    #[argh(option, default = "dashboard::PORT")]
    pub(super) port: u16,
    /// open it in the browser, too
    #[argh(switch)]
    pub(super) open: bool,
    /// have launchd or the user's systemd run it from now on
    #[argh(switch)]
    pub(super) install: bool,
    /// end that
    #[argh(switch)]
    pub(super) uninstall: bool,
}

/// Look for what is wrong, and say what mends it; fails if a problem is left.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "doctor", help_triggers("-h", "--help"))]
pub(super) struct Doctor {
    /// do not try the local model
    #[argh(switch)]
    pub(super) quick: bool,
    /// as JSON, for programs
    #[argh(switch)]
    pub(super) json: bool,
    /// send a message by LLM_NOTIFY_CMD, and say what comes of it
    #[argh(switch)]
    pub(super) notify: bool,
    /// how many seconds one trial of the local model may take (60)
    #[argh(option, default = "60")]
    pub(super) limit: u64,
}

/// Print what has a shell complete the commands and options, to be loaded by it.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "completions", help_triggers("-h", "--help"))]
pub(super) struct Completions {
    /// bash, zsh or fish
    #[argh(positional)]
    pub(super) shell: Shell,
}

/// Returns none after printing the help.
pub(super) fn parse(context: &Context) -> Result<Option<Options>> {
    let mut words = Vec::new();
    for arg in &context.args {
        words.push(arg.to_str().ok_or_else(|| Error::Usage { message: shown!("`{}` is not UTF-8", arg.to_string_lossy()) })?);
    }
    let words = as_argh_knows_them(words);
    match Options::from_args(&[NAME], &words) {
        Ok(options) => Ok(Some(options)),
        Err(exit) if exit.status.is_ok() => {
            print(&Shown::lines(exit.output));
            Ok(None)
        }
        Err(exit) => {
            let lines = exit.output.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("Run "));
            let message = uncapitalised(&lines.collect::<Vec<_>>().join(" "));
            let meant = meant(&words, &message).map(|meant| format!("; did you mean `{meant}`?"));
            Err(Error::Usage { message: Shown::line(message + &meant.unwrap_or_default()) })
        }
    }
}

/// What was probably meant by the argument that is not known.
fn meant(words: &[&str], message: &str) -> Option<String> {
    let unknown = message.strip_prefix("unrecognized argument: ")?;
    let mut command = Options::get_args_info();
    for word in words.iter().take_while(|word| **word != unknown) {
        if let Some(inner) = command.commands.iter().position(|inner| inner.name == *word) {
            command = command.commands.swap_remove(inner).command;
        }
    }
    nearest(unknown, names(&command))
}

fn names(command: &CommandInfoWithArgs) -> impl Iterator<Item = String> {
    let names = command.commands.iter().map(|inner| inner.name).chain(command.flags.iter().map(|flag| flag.long));
    names.map(str::to_string).collect::<Vec<_>>().into_iter()
}

/// With the other names of commands and places of options.
fn as_argh_knows_them(mut words: Vec<&str>) -> Vec<&str> {
    let command = words.iter().position(|word| !word.starts_with('-'));
    if let Some(command) = command {
        match words[command] {
            "gemma" | "qwen" => words[command] = "local",
            "config" if words.get(command + 1) == Some(&"set") => {
                // A value may look like an option.
                if words.get(command + 2).is_some_and(|key| !key.starts_with('-')) {
                    words.insert(command + 3, "--");
                }
                return words;
            }
            _ => {}
        }
    }
    let mut known = Vec::new();
    for word in words {
        match word {
            "help" => known.push("--help"),
            // Accepted after the command, too.
            "-q" | "--quiet" => known.insert(0, word),
            _ => known.push(word),
        }
    }
    if known.contains(&"--json") && command.is_none() {
        known.insert(known.len() - 1, "status");
    }
    known
}
