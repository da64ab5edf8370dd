//! A child that the system itself asks to end when this process has ended, however it ended: `PR_SET_PDEATHSIG` of prctl(2).
//!
//! Linux has that, macOS does not. Only the child can ask for it, and what the caller runs does not: this binary is started in its
//! place, asks, and becomes it. Arguments, environment, streams and signals are those that it would have had at once.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::{CommandExt, parent_id};
use std::path::Path;
use std::process::Command;

use nix::sys::signal::Signal;

use crate::error::{Error, Result};
use crate::names::OWN_NAME;
use crate::os::signals::end_by;
use crate::real_claude::RealClaude;
use crate::shown::shown;

/// The long option under which the binary becomes the program of such a child.
pub(crate) const OPTION: &str = "--become";

/// This very file, although another one may stand at its path by now.
const OURSELVES: &str = "/proc/self/exe";

/// Whether children of [`command`] get the signal here.
pub(crate) fn is_sent() -> bool {
    cfg!(target_os = "linux") && Path::new(OURSELVES).exists()
}

/// `claude`, as a child that gets SIGTERM when the thread that has started it ends: the main thread has to start it. `applet`
/// reports that it cannot be run.
pub(crate) fn command(applet: &OsStr, claude: &RealClaude) -> Command {
    if !is_sent() {
        return claude.command();
    }
    let mut command = Command::new(OURSELVES);
    command.arg0(OWN_NAME).arg(OPTION).arg(std::process::id().to_string()).arg(applet).args(claude.words());
    command
}

/// Whom the arguments of such a child name: the applet, and the program with its arguments.
pub(crate) struct Child<'a> {
    parent: &'a OsString,
    pub applet: &'a OsString,
    pub program: &'a OsString,
    args: &'a [OsString],
}

impl Child<'_> {
    /// # Errors
    /// If it was called wrongly.
    pub(crate) fn from_args(args: &[OsString]) -> Result<Child<'_>> {
        match args {
            [parent, applet, program, args @ ..] => Ok(Child { parent, applet, program, args }),
            _ => Err(Error::Usage { message: shown!("`{OPTION}` is for claude-failover itself") }),
        }
    }

    /// Becomes the program. Returns only if that failed, and ends if the parent has ended meanwhile.
    pub(crate) fn become_program(&self) -> io::Error {
        ask();
        if *self.parent != *parent_id().to_string() {
            end_by(Signal::SIGTERM as i32);
        }
        Command::new(self.program).args(self.args).exec()
    }
}

#[cfg(target_os = "linux")]
fn ask() {
    // An error leaves the guardian, as on other systems.
    let _ = nix::sys::prctl::set_pdeathsig(Signal::SIGTERM);
}

#[cfg(not(target_os = "linux"))]
fn ask() {}
