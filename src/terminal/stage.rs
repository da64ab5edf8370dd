//! One Claude Code at the terminal, from its start to its end.

use std::io::Read;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::claude_code::locate;
use crate::error::{Error, Result};
use crate::os::exit::Exit;
use crate::os::guardian::Guardians;
use crate::os::process::is_stopped;
use crate::os::signals::{Signals, Target};
use crate::os::terminal::Modes;
use crate::terminal::session::Session;

/// How long the system may take to continue all processes of a group.
const CONTINUED: Duration = Duration::from_millis(20);

/// What all Claude Codes of this terminal have in common.
pub(super) struct Stage {
    session: Session,
    signals: Signals,
    child_changed: UnixStream,
    interrupts: (Sender<()>, Receiver<()>),
    guardians: Guardians,
    modes: Modes,
}

impl Stage {
    /// `clean_up`: before a signal ends this process, while no Claude Code is there.
    pub(super) fn new(session: Session, clean_up: impl FnOnce() + Send + 'static) -> Result<Stage> {
        let taken = Error::system("take", "signals");
        let interrupts = channel();
        // Before the first Claude Code is there, Ctrl-C ends what has not begun.
        let (signals, child_changed) = Signals::catch(Target::Us).map_err(taken)?;
        signals.before_end(clean_up);
        child_changed.set_nonblocking(false).map_err(Error::system("wait for", "Claude Code"))?;
        Ok(Stage { session, signals, child_changed, interrupts, guardians: Guardians::new(), modes: Modes::now() })
    }

    /// Whether Ctrl-C was pressed since the last look, while no Claude Code was there.
    pub(super) fn is_interrupted(&self) -> bool {
        self.interrupts.1.try_iter().count() > 0
    }

    /// Runs it in this process's group, so that keys, stops and hang-ups reach it as if it were alone.
    ///
    /// # Errors
    /// If it cannot be started.
    pub(super) fn run(&mut self, mut command: Command, program: &Path) -> Result<Exit> {
        self.signals.give_to(Target::Next(vec![]));
        let child = command.spawn().map_err(|error| locate::not_run(program.into(), &error))?;
        let pid = Pid::from_raw(child.id().cast_signed());
        self.session.state().child = Some(pid);
        self.signals.give_to(Target::Child(pid));
        self.guardians.watch_over(child.id());
        let exit = self.wait(pid);
        self.signals.give_to(Target::Conversation(self.interrupts.0.clone()));
        if matches!(exit, Exit::Signal(_)) {
            self.modes.restore();
        }
        Ok(exit)
    }

    fn wait(&mut self, pid: Pid) -> Exit {
        loop {
            match self.look(pid) {
                WaitStatus::Exited(_, code) => return Exit::Code(code as u8),
                WaitStatus::Signaled(_, signal, _) => return Exit::Signal(signal as i32),
                WaitStatus::Stopped(..) => stop_too(pid),
                _ => {
                    let _ = self.child_changed.read(&mut [0]);
                }
            }
        }
    }

    /// No hook may signal it once it has been reaped.
    fn look(&self, pid: Pid) -> WaitStatus {
        let mut state = self.session.state();
        let status = waitpid(pid, Some(WaitPidFlag::WNOHANG | WaitPidFlag::WUNTRACED)).unwrap_or(WaitStatus::Exited(pid, 1));
        if matches!(status, WaitStatus::Exited(..) | WaitStatus::Signaled(..)) {
            state.child = None;
        }
        status
    }

    pub(super) fn end(mut self) {
        self.guardians.dismiss();
    }
}

/// At Ctrl-Z 2.1.330 stops its group, and 2.1.78 itself alone: the shell waits for this process.
fn stop_too(pid: Pid) {
    std::thread::sleep(CONTINUED);
    if is_stopped(pid.as_raw()) {
        let _ = kill(Pid::this(), Signal::SIGSTOP);
    }
}
