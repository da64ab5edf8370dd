//! The process of a hook: it passes what Claude Code says to the process that waits at the terminal, and prints its answer.
//!
//! Where nobody waits, it does nothing, and the prompt goes its way.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use crate::context::Context;
use crate::error::{Error, Result};
use crate::shown::shown;

/// The long option under which the binary runs itself as a hook.
pub(crate) const OPTION: &str = "--hook";

/// How long the other process may take.
const PATIENCE: Duration = Duration::from_secs(8);

/// What a hook's process does from beginning to end. `args`: where the other process listens.
///
/// # Errors
/// If it was called wrongly.
pub(crate) fn main(context: &Context, args: &[OsString]) -> Result<()> {
    let [socket] = args else {
        return Err(Error::Usage { message: shown!("`{OPTION}` is for claude-failover itself") });
    };
    let _ = pass_on(context, Path::new(socket));
    Ok(())
}

fn pass_on(context: &Context, socket: &Path) -> io::Result<()> {
    let mut said = Vec::new();
    io::stdin().read_to_end(&mut said)?;
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    // Claude Code's process (since 2.1.197): where a wrapper has started it, nobody else knows.
    let pid = context.env("CLAUDE_PID").and_then(|pid| pid.into_string().ok()).unwrap_or_default();
    writeln!(stream, "{pid}")?;
    stream.write_all(&said)?;
    stream.shutdown(Shutdown::Write)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    io::stdout().write_all(&answer)
}
