//! A process that ends the real Claude if this process is killed.
//!
//! Linux could have the kernel do that, macOS could not; this is the same on both, and costs a small process beside a
//! large one. The guardian reads from a pipe which process to guard, and `done` when that has ended. If the pipe closes without
//! `done`, this process is gone.

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
use crate::os::process::{close_inherited_files, is_stopped, own_path, start_mark};

/// The long option under which the binary runs itself as a guardian.
pub(crate) const GUARD_OPTION: &str = "--guard";

/// How long the real Claude may take to end before it is killed: it ends its own children first.
const GRACE: Duration = Duration::from_secs(5);

pub(crate) struct Guardian {
    process: Child,
    pipe: ChildStdin,
}

impl Guardian {
    /// In a process group of its own: what ends ours must not end it.
    ///
    /// # Errors
    /// If it cannot be started.
    pub(crate) fn new() -> io::Result<Guardian> {
        let us = own_path().map_err(|error| io::Error::other(error.to_string()))?;
        let mut process = Command::new(us)
            .arg0(OWN_NAME)
            .arg(GUARD_OPTION)
            .env_clear()
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let pipe = process.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(Guardian { process, pipe })
    }

    /// Returns no error: without a guardian Claude can still answer.
    pub(crate) fn watch_over(&mut self, pid: u32) {
        let _ = self.pipe.write_all(format!("{pid}\n").as_bytes());
    }

    /// The guarded process has ended, and its number may be another's soon.
    pub(crate) fn dismiss(mut self) {
        let _ = self.pipe.write_all(b"done\n");
        drop(self.pipe);
        let _ = self.process.wait();
    }
}

/// What the guardian's process does from beginning to end.
pub(crate) fn main(args: &[OsString]) -> Result<()> {
    if !args.is_empty() {
        return Err(Error::Usage { message: format!("`{GUARD_OPTION}` is for claude-failover itself") });
    }
    close_inherited_files();
    let mut guarded = None;
    for line in io::stdin().lines().map_while(|line| line.ok()) {
        guarded = line.parse().ok().and_then(|pid: i32| Some((pid, start_mark(pid)?)));
    }
    if let Some((pid, mark)) = guarded {
        // One that was stopped because it was given up must not wake up and go on.
        if is_stopped(pid) && start_mark(pid).as_ref() == Some(&mark) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        terminate(Pid::from_raw(pid), || start_mark(pid).as_ref() == Some(&mark));
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
        let begun = Instant::now();
        while is_alive() && begun.elapsed() < GRACE {
            sleep(Duration::from_millis(10));
        }
    }
}
