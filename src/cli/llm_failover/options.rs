//! The command line of `llm-failover`.

use argh::FromArgs;
use jiff::{Span, Timestamp, Zoned};

use crate::cli::llm_failover::NAME;
use crate::cli::print;
use crate::context::Context;
use crate::drill::Scenario;
use crate::error::{Error, Result};
use crate::text::uncapitalised;

/// Switches every `claude` call on this machine between Claude Code and a local model.
#[derive(FromArgs)]
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

#[derive(FromArgs)]
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
}

/// Show how things stand (as does no command at all).
#[derive(FromArgs)]
#[argh(subcommand, name = "status", help_triggers("-h", "--help"))]
pub(super) struct StatusOptions {
    /// as JSON, for programs
    #[argh(switch)]
    pub(super) json: bool,
}

/// Show in a few words who answers, for prompts and status lines.
#[derive(FromArgs)]
#[argh(subcommand, name = "statusline", help_triggers("-h", "--help"))]
pub(super) struct Statusline {}

/// Start the local server, then switch to it (also: gemma, qwen).
#[derive(FromArgs)]
#[argh(subcommand, name = "local", help_triggers("-h", "--help"))]
pub(super) struct Local {}

/// Switch back to Claude, then stop the local server.
#[derive(FromArgs)]
#[argh(subcommand, name = "claude", help_triggers("-h", "--help"))]
pub(super) struct Claude {}

/// Let Claude answer, and the local model while Claude is limited or down.
#[derive(FromArgs)]
#[argh(subcommand, name = "auto", help_triggers("-h", "--help"))]
pub(super) struct Auto {}

/// Start the local server and leave the switch alone.
#[derive(FromArgs)]
#[argh(subcommand, name = "start", help_triggers("-h", "--help"))]
pub(super) struct Start {}

/// Stop the local server and leave the switch alone.
#[derive(FromArgs)]
#[argh(subcommand, name = "stop", help_triggers("-h", "--help"))]
pub(super) struct Stop {}

/// Show the end of the local server's log.
#[derive(FromArgs)]
#[argh(subcommand, name = "logs", help_triggers("-h", "--help"))]
pub(super) struct Logs {
    /// how many lines (40)
    #[argh(option, short = 'n', default = "40")]
    pub(super) lines: usize,
}

/// Show the last calls: who answered, and why.
#[derive(FromArgs)]
#[argh(subcommand, name = "log", help_triggers("-h", "--help"))]
pub(super) struct Log {
    /// how many calls (40)
    #[argh(option, short = 'n', default = "40")]
    pub(super) lines: usize,
    /// the ledger's own lines, for programs
    #[argh(switch)]
    pub(super) json: bool,
    /// sum up the calls since then: 30m, 24h, 7d, or a time such as 2026-11-22T02:10:00Z
    #[argh(option, from_str_fn(parse_since))]
    pub(super) since: Option<Timestamp>,
}

/// Play a call whose Claude is limited or down, without spending quota or touching the switch.
#[derive(FromArgs)]
#[argh(subcommand, name = "drill", help_triggers("-h", "--help"))]
pub(super) struct Drill {
    /// limit, weekly, overload, down, hang, throttle or signin
    #[argh(positional)]
    // argh names the field in its errors.
    pub(super) trouble: Scenario,
}

/// Speak the Anthropic Messages API on loopback, answered by the local model, until interrupted.
#[derive(FromArgs)]
#[argh(subcommand, name = "gateway", help_triggers("-h", "--help"))]
pub(super) struct Gateway {
    /// the port to listen on; 0 for any that is free (0)
    #[argh(option, default = "0")]
    pub(super) port: u16,
}

/// Parses a length of time before now, or a time.
fn parse_since(text: &str) -> std::result::Result<Timestamp, String> {
    let ago = |span: Span| Zoned::now().checked_sub(span.abs()).map(|time| time.timestamp());
    let time = text.parse::<Timestamp>().or_else(|_| text.parse().and_then(ago));
    time.map_err(|_| {
        format!("`{text}` is neither a length of time, such as `24h` or `7d`, nor a time, such as `2026-11-22T02:10:00Z`")
    })
}

/// Returns none after printing the help.
pub(super) fn parse(context: &Context) -> Result<Option<Options>> {
    let mut words = Vec::new();
    for arg in &context.args {
        let word = arg.to_str().ok_or_else(|| Error::Usage { message: format!("`{}` is not UTF-8", arg.to_string_lossy()) })?;
        match word {
            "gemma" | "qwen" => words.push("local"),
            "help" => words.push("--help"),
            // Accepted after the command, too.
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
            let lines = exit.output.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("Run "));
            Err(Error::Usage { message: uncapitalised(&lines.collect::<Vec<_>>().join(" ")) })
        }
    }
}
