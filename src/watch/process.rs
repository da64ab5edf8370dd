//! What one try with the real Claude leaves for the next one, and the command line of each.

use std::collections::HashSet;
use std::ffi::OsString;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use super::signals::{Signals, Target};
use super::stdin::Stdin;
use super::version::Version;
use crate::answer;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::invocation::Invocation;

/// What a call needs of this process, for one try after another.
pub struct Process {
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
    pub fn new(program: PathBuf, listens: bool) -> Process {
        let (stdin, answered) = (Stdin::of_process(listens), HashSet::new());
        Process { program, stdin, signals: None, answered, has_begun: false, session_id: None }
    }

    /// Takes the process's signals.
    ///
    /// # Errors
    /// If the system has no means left for it.
    pub fn signals(&mut self, target: Target) -> Result<Signals> {
        let (signals, _) = match &self.signals {
            Some(taken) => {
                taken.0.give_to(target);
                taken
            }
            None => self.signals.insert(Signals::take(target).map_err(Error::file("take", "signals"))?),
        };
        Ok(signals.clone())
    }
}

/// The caller's command line with the format changed to the typed stream. What is added stands first, where no variadic
/// option can take it.
pub fn arguments(context: &Context, invocation: &Invocation, version: Option<Version>, session: Option<&str>) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = ["--output-format", "stream-json", "--verbose"].map(OsString::from).into();
    if version.is_some_and(Version::has_partials) && !invocation.has("--include-partial-messages") {
        arguments.push("--include-partial-messages".into());
    }
    let mut left_out = vec!["--output-format"];
    // The first try has made the session.
    if let Some(id) = session.filter(|id| answer::session_exists(context, id)) {
        arguments.extend(["--resume".into(), id.into()]);
        left_out.extend(["--session-id", "--resume", "--continue", "--fork-session"]);
    }
    arguments.extend(invocation.replaced(&left_out, "--verbose", &context.args));
    arguments
}
