//! A person at a terminal, with the flag at `auto`: the real Claude Code runs as a child of this process. Its hooks tell of each refusal
//! and each prompt; when the person wants that, it is ended, and the same session goes on in the same terminal on the local model, and
//! later with Claude again.

mod listener;
mod prompts;
pub(crate) mod relay;
mod session;
mod stage;
mod start;

use std::cell::Cell;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::rc::Rc;

use jiff::Timestamp;

use crate::agent::launch::{self, AtTerminal};
use crate::claude_code::command_line::CommandLine;
use crate::claude_code::settings::settings_file;
use crate::claude_code::{hooks, locate, version};
use crate::context::Context;
use crate::error::{Error, Result, notice, report, say};
use crate::local_model::chain::Chain;
use crate::local_model::unload;
use crate::os::atomic_file;
use crate::os::death_signal;
use crate::os::exit::Exit;
use crate::os::process::own_path;
use crate::real_claude::RealClaude;
use crate::routing::facts::Call;
use crate::routing::route::Side;
use crate::server::progress::StartProgress;
use crate::shown::{Shown, shown};
use crate::state::breaker::Breaker;
use crate::state::ledger::{AnsweredBy, Entry, RouteName};
use crate::terminal::listener::Listener;
use crate::terminal::session::Session;
use crate::terminal::stage::Stage;
use crate::terminal::start::Start;

/// Options with which the session is not where this process is, or no hook runs.
const LEFT_ALONE: [&str; 4] = ["--bare", "--safe-mode", "--tmux", "--worktree"];

struct Terminal<'a> {
    applet: &'a str,
    context: &'a Context,
    command_line: Rc<CommandLine>,
    claude: RealClaude,
    /// The command of the hooks, for a shell.
    hook: String,
    settings_file: PathBuf,
    session: Session,
}

/// Runs the session to its end. Returns none if it cannot change sides: this Claude Code, or this command line, has no hooks.
///
/// # Errors
/// If Claude Code cannot be run.
pub(crate) fn run(call: &mut Call, side: Side) -> Result<Option<ExitCode>> {
    let (applet, context, command_line) = (call.applet, call.context, call.command_line()?);
    let Ok(claude) = locate::find_for_call(context) else { return Ok(None) };
    let has_hooks = version::of(context, claude.file()).is_some_and(version::Version::has_refusal_hook);
    let is_left_alone = LEFT_ALONE.iter().any(|option| command_line.has(option)) || context.args.iter().any(is_pipe);
    if is_left_alone || !has_hooks || hooks::settings(&command_line, "").is_err() {
        return Ok(None);
    }
    let session = Session::new(context.for_applet(applet, &[]), Breaker::new(context)?, call.interactive_policy(), call.model());
    let hearing = session.clone();
    let Ok(listener) = Listener::start(context, move |heard| hearing.hear(heard)) else { return Ok(None) };
    let terminal = Terminal {
        applet,
        context,
        command_line: command_line.clone(),
        claude: locate::announce(applet, context)?,
        hook: hook(listener.path())?,
        settings_file: settings_file(context, std::process::id())?,
        session: session.clone(),
    };
    let (settings_file, socket) = (terminal.settings_file.clone(), listener.path().clone());
    let clean_up = move || {
        let _ = std::fs::remove_file(settings_file);
        listener::remove(&socket);
    };
    let mut stage = Stage::new(session, clean_up)?;
    let start = Start { side, session_id: None, prompt: command_line.prompt().map(str::to_string), mode: None, cause: None };
    let outcome = terminal.all_stages(&mut stage, start);
    let _ = std::fs::remove_file(&terminal.settings_file);
    drop(listener);
    stage.end();
    outcome.map(|exit| Some(exit.end_process()))
}

/// Whether an option names a pipe of the shell (`<(…)`), which no second Claude Code can read.
fn is_pipe(word: &OsString) -> bool {
    let folders = ["/dev/fd/", "/proc/self/fd/"];
    word.to_string_lossy().rsplit('=').next().is_some_and(|value| folders.iter().any(|folder| value.starts_with(folder)))
}

/// A hook that fails, since this program is gone, must not trouble anybody.
fn hook(socket: &Path) -> Result<String> {
    let quoted = |path: &Path| format!("'{}'", path.to_string_lossy().replace('\'', r"'\''"));
    Ok(format!("{} {} {} 2>/dev/null || :", quoted(&own_path()?), relay::OPTION, quoted(socket)))
}

impl Terminal<'_> {
    fn all_stages(&self, stage: &mut Stage, mut start: Start) -> Result<Exit> {
        loop {
            self.session.state().begin(&start);
            let exit = match start.side {
                Side::Claude => self.with_claude(stage, &start)?,
                Side::Local => match self.with_local_model(stage, &start) {
                    Ok(exit) => exit,
                    Err(error) => {
                        if start.cause.is_none() {
                            report(self.applet, &error);
                        }
                        start = self.session.state().stay(start, why_not(&error));
                        continue;
                    }
                },
            };
            if exit.code() != 0 && start.session_id.is_some() && self.session.state().is_carrying() {
                let prompt = start.prompt.unwrap_or_default();
                let line = format!("{}: the session did not go on, and this prompt was not sent:\n{prompt}", self.applet);
                say(&Shown::lines(line));
            }
            match self.session.state().take_next() {
                Some(next) => start = next,
                None => return Ok(exit),
            }
        }
    }

    fn with_claude(&self, stage: &mut Stage, start: &Start) -> Result<Exit> {
        let settings = hooks::settings(&self.command_line, &self.hook)?;
        atomic_file::replace_private(&self.settings_file, settings.as_bytes())?;
        stage.run(self.command(start, self.settings_file.as_os_str()), &self.claude.program)
    }

    fn with_local_model(&self, stage: &mut Stage, start: &Start) -> Result<Exit> {
        let begun = Timestamp::now();
        // One that begins here may wait for the server with its first prompt.
        if start.cause.is_some() {
            self.bring_up(stage)?;
        }
        // A session that began with Claude goes back to it.
        let leaves_out =
            start.session_id.is_some() || ["--resume", "--continue"].iter().any(|option| self.command_line.has(option));
        let at_terminal = AtTerminal { hook: Some(&self.hook), leaves_out };
        let mut ready = launch::prepare(self.applet, self.context, &self.command_line, false, &self.claude, at_terminal)?;
        notice(&shown!("{}: {}", self.applet, ready.banner));
        let [_, settings] = &ready.settings;
        let mut command = self.command(start, settings);
        for (name, value) in &ready.environment {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let exit = stage.run(command, &self.claude.program);
        let spent = launch::spent(&ready, Entry::new(self.applet, begun, RouteName::Terminal, AnsweredBy::Local));
        let _ = ready.gateway.kill();
        let _ = ready.gateway.wait();
        let exit = exit?;
        Entry {
            model: spent.model.or(Some(ready.model)),
            verdict: start.cause.map(|cause| cause.word().into()),
            exit: (!self.session.state().changes_sides()).then(|| exit.code()),
            ..spent
        }
        .append(self.context);
        Ok(exit)
    }

    fn command(&self, start: &Start, settings: &OsStr) -> Command {
        let (args, prompt) = (&self.context.args, start.prompt.as_deref());
        let mut command = death_signal::command(self.applet.as_ref(), &self.claude);
        command.args(match &start.session_id {
            Some(id) => self.command_line.resumed(args, settings, id, start.mode.as_deref(), prompt),
            None => self.command_line.begun_with(args, settings, prompt),
        });
        command
    }

    /// Waits for the local server, with a line that says so. Ctrl-C ends that.
    fn bring_up(&self, stage: &Stage) -> Result<()> {
        let chain = Chain::with_small_model(self.context)?;
        let server = &chain.first().server;
        if !server.is_ours() {
            return Ok(());
        }
        unload::before_start(self.context);
        let is_interrupted = Cell::new(false);
        let mut progress = StartProgress::new(self.applet, server, false);
        let is_wanted = || {
            is_interrupted.set(is_interrupted.get() || stage.is_interrupted());
            !is_interrupted.get()
        };
        match server.ensure_up(&is_wanted, &mut |elapsed| progress.show(elapsed)) {
            Err(error) if is_interrupted.get() || chain.main_links().len() == 1 => Err(error),
            // Another link answers.
            _ => Ok(()),
        }
    }
}

fn why_not(error: &Error) -> Shown {
    match error {
        Error::SwitchedBack => "The local model was not waited for.".into(),
        error => shown!("The local model cannot answer: {}.", error.to_string().lines().next().unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pipes_of_the_shell() {
        for (word, expected) in
            [("/dev/fd/63", true), ("--settings=/proc/self/fd/11", true), ("what is /dev/fd/63", false), ("x.json", false)]
        {
            assert_eq!(is_pipe(&word.into()), expected, "{word}");
        }
    }
}
