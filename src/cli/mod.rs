//! One binary under several names, as busybox: what each name runs.

pub(crate) mod claude;
pub(crate) mod install;
mod llm_failover;
mod statusline;

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::ExitCode;

use crate::claude_code::{locate, wrapper};
use crate::context::Context;
use crate::error::{Error, report};
use crate::names::{APPLETS, OWN_NAME};
use crate::os::death_signal;
use crate::shown::{Shown, shown};
use crate::stderr;
use crate::style::Painted;
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
        // What 2.1.330 starts of itself has a title as its `argv[0]`, such as `claude bg-pty-host`.
        _ => match wrapper::unwrapped(context) {
            Some(unwrapped) => run_claude("claude", &unwrapped),
            None => report(OWN_NAME, &Error::UnknownApplet { name: Shown::line(name.to_string_lossy()) }),
        },
    }
}

fn run_named(name: &str, context: &Context) -> ExitCode {
    match name {
        "llm-failover" => {
            context.warn_of_settings_file();
            llm_failover::run(context)
        }
        _ => {
            let unwrapped = wrapper::unwrapped(context);
            run_claude(name, unwrapped.as_ref().unwrap_or(context))
        }
    }
}

fn run_claude(applet: &str, context: &Context) -> ExitCode {
    context.begin_stderr(applet, true);
    claude::run(applet, context)
}

fn long_form(context: &Context) -> ExitCode {
    let Some(first) = context.args.first() else {
        print(&HELP.into());
        return ExitCode::SUCCESS;
    };
    if let Some(text) = first.to_str().and_then(informational) {
        print(&text);
        return ExitCode::SUCCESS;
    }
    let rest = &context.args[1..];
    if first == death_signal::OPTION {
        return become_child(rest);
    }
    if !first.to_str().is_some_and(|name| APPLETS.contains(&name)) {
        context.begin_stderr(OWN_NAME, false);
    }
    let outcome = match first.to_str() {
        Some("--install") => match rest {
            [dir, names @ ..] if !dir.is_empty() => {
                install::wanted_applets(names).and_then(|names| install::make_links(Path::new(dir), &names))
            }
            _ => Err(Error::Usage { message: "`--install` takes a folder: claude-failover --install DIR [NAME…]".into() }),
        },
        Some(crate::server::child::RUN_OPTION) => crate::server::child::become_server(context, rest),
        Some(crate::os::guardian::GUARD_OPTION) => crate::os::guardian::main(rest),
        Some(crate::gateway::OPTION) => crate::gateway::main_for_parent(context, rest),
        Some(relay::OPTION) => relay::main(context, rest),
        Some(crate::local_model::prime::OPTION) => crate::local_model::prime::main(context, rest),
        Some(crate::local_model::unload::WATCH_OPTION) => crate::local_model::unload::watcher_main(context, rest),
        Some(option) if option.starts_with('-') => Err(Error::Usage { message: shown!("unknown option `{option}`") }),
        Some(name) if APPLETS.contains(&name) => return run_named(name, &context.for_applet(name, rest)),
        // There are no links yet where it is needed.
        Some("setup") => return run_named("llm-failover", &context.for_applet("llm-failover", &context.args)),
        _ => Err(Error::UnknownApplet { name: Shown::line(first.to_string_lossy()) }),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => report(OWN_NAME, &error),
    }
}

/// Says nothing unless that fails: this process is the real Claude as far as the caller knows.
fn become_child(args: &[OsString]) -> ExitCode {
    let child = match death_signal::Child::from_args(args) {
        Ok(child) => child,
        Err(error) => return report(OWN_NAME, &error),
    };
    let error = locate::not_run(child.program.into(), &child.become_program());
    report(&child.applet.to_string_lossy(), &error)
}

/// The output of an option that only asks about this program.
fn informational(option: &str) -> Option<Shown> {
    Some(match option {
        "-h" | "--help" | "help" => HELP.into(),
        "-V" | "-v" | "--version" => Shown::lines(concat!("claude-failover ", env!("CARGO_PKG_VERSION"), "\n")),
        "--list" => Shown::lines(APPLETS.join("\n") + "\n"),
        _ => return None,
    })
}

/// Prints one line.
fn print_line(line: &Shown) {
    print(&Shown::lines(format_args!("{line}\n")));
}

/// Prints one line that may have colours.
fn print_painted(line: &Painted) {
    use std::io::Write;
    let _ = std::io::stdout().write_all(format!("{line}\n").as_bytes());
}

/// A closed stdout is not an error.
fn print(text: &Shown) {
    use std::io::Write;
    stderr::clear_line();
    let _ = std::io::stdout().write_all(text.as_bytes());
}

const HELP: &str = "\
claude-failover: runs the real Claude Code, or answers the same call from a local model

usage:
  claude-failover APPLET [ARGS…]   run an applet by its name
  claude-failover setup [OPTION…]  set everything up: the same as `llm-failover setup`
  claude-failover --install DIR [NAME…]
                                   make links in DIR, for all applets or for those named
  claude-failover --list           print the applets' names
  claude-failover --version        print the version
  claude-failover --help           print this

applets (the binary does the same under these names):
  claude         Claude Code, or a local answer, as the switch says
  agent-llm      the same under a name of its own
  llm-failover   the switch and the local server: see `llm-failover --help`
";
