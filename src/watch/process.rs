//! What one try with the real Claude leaves for the next one, and the command line of each.

use std::collections::HashSet;
use std::ffi::OsString;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use crate::answer;
use crate::claude_code::command_line::CommandLine;
use crate::claude_code::settings::Ready;
use crate::claude_code::version::Version;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::os::signals::{Signals, Target};
use crate::stdin::Stdin;

/// What a call needs of this process, for one try after another.
pub(crate) struct Process {
    pub(super) program: PathBuf,
    /// Its stdin.
    pub stdin: Stdin,
    pub(super) signals: Option<(Signals, UnixStream)>,
    /// The requests of the caller that were answered by somebody else.
    pub answered: HashSet<String>,
    pub(super) has_begun: bool,
    /// The conversation that the try before this had, if that came to something.
    pub(super) session_id: Option<String>,
}

impl Process {
    /// For the real Claude at `program`. `listens`: its stdin is a stream of messages.
    pub(crate) fn new(program: PathBuf, listens: bool) -> Process {
        Process::with(program, Stdin::of_process(listens))
    }

    /// The same with a stdin of which some may be read already.
    pub(crate) fn with(program: PathBuf, stdin: Stdin) -> Process {
        Process { program, stdin, signals: None, answered: HashSet::new(), has_begun: false, session_id: None }
    }

    /// Whether a conversation of the try before goes on.
    pub(crate) fn has_session(&self) -> bool {
        self.session_id.is_some()
    }

    /// Takes the process's signals.
    ///
    /// # Errors
    /// If the system has no means left for it.
    pub(crate) fn signals(&mut self, target: Target) -> Result<Signals> {
        let (signals, _) = match &self.signals {
            Some(taken) => {
                taken.0.give_to(target);
                taken
            }
            None => self.signals.insert(Signals::catch(target).map_err(Error::file("take", "signals"))?),
        };
        Ok(signals.clone())
    }
}

/// A try with the real Claude Code on the local model.
pub(crate) struct OnLocal {
    /// What stands ready for it.
    pub ready: Ready,
    /// What it is told in the place of the caller's prompt, which it knows from the session.
    pub prompt: Option<String>,
}

/// The caller's command line with the format changed to the typed stream. What is added stands first, where no variadic
/// option can take it.
pub(crate) fn arguments(
    context: &Context,
    command_line: &CommandLine,
    version: Option<Version>,
    session: Option<&str>,
    local: Option<&OnLocal>,
) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = Vec::new();
    // The first word that is no option is the prompt, whatever comes later.
    arguments.extend(local.and_then(|local| local.prompt.as_ref()).map(OsString::from));
    arguments.extend(["--output-format", "stream-json", "--verbose"].map(OsString::from));
    if version.is_some_and(Version::has_partials) && !command_line.has("--include-partial-messages") {
        arguments.push("--include-partial-messages".into());
    }
    let mut left_out = vec!["--output-format"];
    if let Some(local) = local {
        arguments.extend(local.ready.settings.clone());
        left_out.push("--settings");
    }
    // The first try has made the session.
    if let Some(id) = session.filter(|id| answer::session_exists(context, id)) {
        arguments.extend(["--resume".into(), id.into()]);
        left_out.extend(["--session-id", "--resume", "--continue", "--fork-session"]);
    }
    arguments.extend(command_line.replaced(&left_out, "--verbose", &context.args));
    arguments
}
