//! One binary under several names, as busybox: what each name runs.

pub(crate) mod claude;
pub(crate) mod install;
pub(crate) mod links;
mod llm_failover;
pub(crate) mod status;
mod statusline;

use std::ffi::OsStr;
use std::path::Path;
use std::process::ExitCode;

use crate::context::Context;
use crate::error::{Error, report};
use crate::names::{APPLETS, OWN_NAME};
use crate::terminal::relay;

pub fn main() -> ExitCode {
    run(&Context::from_process())
}

/// The file name of `argv[0]` names the applet. An absent or empty `argv[0]` means the binary itself.
fn run(context: &Context) -> ExitCode {
    let name = Path::new(&context.name).file_name().unwrap_or(OsStr::new(OWN_NAME));
    match name.to_str() {
        // A shell cannot run a copy of the binary under its own name.
        _ if context.args.first().is_some_and(|option| option == relay::OPTION) => long_form(context),
        Some(OWN_NAME) => long_form(context),
        Some(name) if APPLETS.contains(&name) => run_named(name, context),
        _ => report(OWN_NAME, &Error::UnknownApplet { name: name.to_string_lossy().into() }),
    }
}

fn run_named(name: &str, context: &Context) -> ExitCode {
    match name {
        "llm-failover" => {
            context.warn_of_settings_file();
            llm_failover::run(context)
        }
        _ => {
            context.begin_stderr(name, true);
            claude::run(name, context)
        }
    }
}

fn long_form(context: &Context) -> ExitCode {
    let Some(first) = context.args.first() else {
        print(HELP);
        return ExitCode::SUCCESS;
    };
    if let Some(text) = first.to_str().and_then(informational) {
        print(&text);
        return ExitCode::SUCCESS;
    }
    let rest = &context.args[1..];
    if !first.to_str().is_some_and(|name| APPLETS.contains(&name)) {
        context.begin_stderr(OWN_NAME, false);
    }
    let outcome = match first.to_str() {
        Some("--install") => match rest {
            [dir] => install::make_links(Path::new(dir)),
            _ => Err(Error::Usage { message: "`--install` takes one folder: claude-failover --install DIR".into() }),
        },
        Some(crate::server::child::RUN_OPTION) => crate::server::child::become_server(context, rest),
        Some(crate::os::guardian::GUARD_OPTION) => crate::os::guardian::main(rest),
        Some(crate::gateway::OPTION) => crate::gateway::main_for_parent(context, rest),
        Some(relay::OPTION) => relay::main(context, rest),
        Some(crate::local_model::prime::OPTION) => crate::local_model::prime::main(context, rest),
        Some(crate::local_model::unload::WATCH_OPTION) => crate::local_model::unload::watcher_main(context, rest),
        Some(option) if option.starts_with('-') => Err(Error::Usage { message: format!("unknown option `{option}`") }),
        Some(name) if APPLETS.contains(&name) => return run_named(name, &context.for_applet(name, rest)),
        _ => Err(Error::UnknownApplet { name: first.to_string_lossy().into() }),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => report(OWN_NAME, &error),
    }
}

/// The output of an option that only asks about this program.
fn informational(option: &str) -> Option<String> {
    Some(match option {
        "-h" | "--help" | "help" => HELP.into(),
        "-V" | "-v" | "--version" => format!("{OWN_NAME} {}\n", env!("CARGO_PKG_VERSION")),
        "--list" => APPLETS.join("\n") + "\n",
        _ => return None,
    })
}

/// A closed stdout is not an error.
fn print(text: &str) {
    use std::io::Write;
    let _ = std::io::stdout().write_all(text.as_bytes());
}

const HELP: &str = "\
claude-failover: runs the real Claude Code, or answers the same call from a local model

usage:
  claude-failover APPLET [ARGS…]   run an applet by its name
  claude-failover --install DIR    make a link for each applet in DIR
  claude-failover --list           print the applets' names
  claude-failover --version        print the version
  claude-failover --help           print this

applets (the binary does the same under these names):
  claude         Claude Code, or a local answer, as the switch says
  agent-llm      the same under a name of its own
  llm-failover   the switch and the local server: see `llm-failover --help`
";
