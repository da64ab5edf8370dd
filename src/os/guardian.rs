//! Processes that end the real Claude if this process is killed.
//!
//! A guardian reads from a pipe which process to guard, and `done` when that has ended. If the pipe closes without `done`, this
//! process is gone. A second one stands by in case the first is killed together with us. The system, too, can tell Claude that we are
//! gone (see `death_signal`); but one that is stopped, or hangs, is reached by KILL alone, which only a guardian sends.

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::error::{Error, Result};
use crate::names::OWN_NAME;
use crate::os::death_signal;
use crate::os::process::{close_inherited_files, is_stopped, own_path, start_mark};
use crate::os::signals::with_signals_blocked;
use crate::shown::shown;

/// The long option under which the binary runs itself as a guardian. The number of another one may follow, beside which it
/// stands by.
pub(crate) const GUARD_OPTION: &str = "--guard";

/// How long the real Claude may take to end before it is killed: it ends its own children first.
const GRACE: Duration = Duration::from_secs(3);

const POLL: Duration = Duration::from_millis(10);

/// The guardians of one process after the other.
pub(crate) struct Guardians(Vec<Guardian>);

struct Guardian {
    process: Child,
    pipe: ChildStdin,
}

impl Guardians {
    /// Without any, Claude can still answer.
    pub(crate) fn new() -> Guardians {
        let first = Guardian::new(None);
        let second = first.as_ref().and_then(|first| Guardian::new(Some(first.process.id())));
        Guardians(first.into_iter().chain(second).collect())
    }

    pub(crate) fn watch_over(&mut self, pid: u32) {
        self.0.iter_mut().for_each(|guardian| guardian.tell(pid));
    }

    /// The guarded process has ended, and its number may be another's soon.
    pub(crate) fn dismiss(&mut self) {
        // All of them first: none is to take the place of another.
        for guardian in &mut self.0 {
            guardian.tell("done");
        }
        for Guardian { mut process, pipe } in self.0.drain(..) {
            drop(pipe);
            let _ = process.wait();
        }
    }
}

impl Guardian {
    /// In a process group of its own, and with all signals blocked: what ends this process must not end it.
    fn new(beside: Option<u32>) -> Option<Guardian> {
        let mut command = Command::new(own_path().ok()?);
        command
            .arg0(OWN_NAME)
            .arg(GUARD_OPTION)
            .args(beside.map(|pid| pid.to_string()))
            .env_clear()
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut process = with_signals_blocked(|| command.spawn()).ok()?;
        let pipe = process.stdin.take()?;
        Some(Guardian { process, pipe })
    }

    fn tell(&mut self, what: impl std::fmt::Display) {
        let _ = self.pipe.write_all(format!("{what}\n").as_bytes());
    }
}

/// A process that is still the one that had its number.
struct Known {
    pid: i32,
    mark: String,
}

impl Known {
    fn new(pid: i32) -> Option<Known> {
        Some(Known { pid, mark: start_mark(pid)? })
    }

    fn is_alive(&self) -> bool {
        start_mark(self.pid).as_ref() == Some(&self.mark)
    }
}

/// What the guardian's process does from beginning to end.
pub(crate) fn main(args: &[OsString]) -> Result<()> {
    let misused = || Error::Usage { message: shown!("`{GUARD_OPTION}` is for claude-failover itself") };
    let first = match args {
        [] => None,
        [first] => Some(first.to_str().and_then(|pid| pid.parse().ok()).ok_or_else(misused)?),
        _ => return Err(misused()),
    };
    close_inherited_files();
    let first = first.and_then(Known::new);
    let mut guarded = None;
    for line in io::stdin().lines().map_while(|line| line.ok()) {
        guarded = line.parse().ok().and_then(Known::new);
    }
    let Some(guarded) = guarded else { return Ok(()) };
    while first.as_ref().is_some_and(Known::is_alive) && guarded.is_alive() {
        sleep(POLL);
    }
    let pid = Pid::from_raw(guarded.pid);
    // One that was stopped because it was given up must not wake up and go on.
    if is_stopped(guarded.pid) && guarded.is_alive() {
        let _ = kill(pid, Signal::SIGKILL);
    }
    if guarded.is_alive() && !death_signal::is_sent() {
        let _ = kill(pid, Signal::SIGTERM);
    }
    if !is_gone_within(GRACE, || guarded.is_alive()) {
        let _ = kill(pid, Signal::SIGKILL);
    }
    Ok(())
}

/// Asks a process to end, and kills it if it does not.
pub(crate) fn terminate(pid: Pid, is_alive: impl Fn() -> bool) {
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        if !is_alive() {
            return;
        }
        let _ = kill(pid, signal);
        is_gone_within(GRACE, &is_alive);
    }
}

fn is_gone_within(limit: Duration, is_alive: impl Fn() -> bool) -> bool {
    let begun = Instant::now();
    while is_alive() && begun.elapsed() < limit {
        sleep(POLL);
    }
    !is_alive()
}
