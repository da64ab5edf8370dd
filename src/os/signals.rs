//! The signals of a call that another process answers.
//!
//! A signal from the terminal's keyboard reaches the whole process group, so the real Claude gets it, too. A signal that another
//! program sends reaches this process alone, and this process passes it on.

use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use signal_hook::consts::{SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGKILL, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::WithOrigin;
use signal_hook::low_level::emulate_default_handler;
use signal_hook::low_level::siginfo::Cause;

pub(crate) enum Target {
    /// The signals are kept for the next target, each with whether a program sent it.
    Next(Vec<(i32, bool)>),
    /// The running real Claude.
    Child(Pid),
    /// This process: each signal takes its default effect.
    Us,
    /// This process: an interrupt ends the turn.
    Conversation(Sender<()>),
}

/// Catches the process's signals until the process ends.
#[derive(Clone)]
pub(crate) struct Signals(Arc<Mutex<SignalState>>);

struct SignalState {
    target: Target,
    /// A process that must stay stopped.
    stopped: Option<Pid>,
    is_end_requested: bool,
}

impl Signals {
    /// Also returns a stream on which a byte arrives for each child that ends.
    pub(crate) fn catch(target: Target) -> io::Result<(Signals, UnixStream)> {
        let (ended, mut waker) = UnixStream::pair()?;
        ended.set_nonblocking(true)?;
        waker.set_nonblocking(true)?;
        let ignored = ignored_at_start();
        // SIGCHLD is caught even if it was ignored: it alone announces the end of the child.
        let is_caught = |signal: i32| signal == SIGCHLD || ignored >> (signal - 1) & 1 == 0;
        let to_catch = [SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2];
        let mut origins = SignalsInfo::<WithOrigin>::new(to_catch.iter().filter(|signal| is_caught(**signal)))?;
        let signals = Signals(Arc::new(Mutex::new(SignalState { target, stopped: None, is_end_requested: false })));
        let handler = signals.clone();
        thread::spawn(move || {
            for origin in origins.forever() {
                if origin.signal == SIGCHLD {
                    let _ = waker.write(&[0]);
                } else {
                    // A program outside of our container has no number here, and the kernel none on macOS.
                    let has_number = origin.process.as_ref().is_some_and(|process| process.pid != 0);
                    handler.handle(origin.signal, has_number || matches!(origin.cause, Cause::Sent(_)));
                }
            }
        });
        Ok((signals, ended))
    }

    /// Gives `target` the kept signals, too.
    pub(crate) fn give_to(&self, target: Target) {
        let before = std::mem::replace(&mut self.state().target, target);
        if let Target::Next(kept) = before {
            kept.into_iter().for_each(|(signal, is_by_program)| self.handle(signal, is_by_program));
        }
    }

    /// Keeps a stopped process stopped when something continues the process group. None ends that.
    pub(crate) fn keep_stopped(&self, pid: Option<Pid>) {
        self.state().stopped = pid;
    }

    /// Whether a signal has asked the real Claude to end: then the caller wants no other answer.
    pub(crate) fn is_end_requested(&self) -> bool {
        self.state().is_end_requested
    }

    fn state(&self) -> MutexGuard<'_, SignalState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn handle(&self, signal: i32, is_by_program: bool) {
        let mut state = self.state();
        if signal == SIGCONT {
            if let Some(pid) = state.stopped {
                let _ = kill(pid, Signal::SIGSTOP);
            }
            return;
        }
        // When a shell ends, the kernel hangs up its jobs in which a process is stopped, as ours has one.
        if signal == SIGHUP && !is_by_program && state.stopped.is_some() {
            return;
        }
        // A terminal that hangs up signals its session's leader alone.
        let is_for_us = is_by_program || signal == SIGHUP;
        state.is_end_requested |= matches!(signal, SIGHUP | SIGINT | SIGQUIT | SIGTERM);
        match &mut state.target {
            Target::Next(kept) => kept.push((signal, is_by_program)),
            Target::Child(pid) => {
                if let (true, Ok(signal)) = (is_for_us, Signal::try_from(signal)) {
                    let _ = kill(*pid, signal);
                }
            }
            Target::Conversation(interrupts) if signal == SIGINT && interrupts.send(()).is_ok() => {}
            Target::Us | Target::Conversation(_) => end_by(signal),
        }
    }
}

/// A bit for each signal that this process was started to ignore (nohup(1)): it stays ignored. None on a system without `/proc`.
fn ignored_at_start() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap_or_default();
    u64::from_str_radix(mask.trim(), 16).unwrap_or_default()
}

/// Ends this process as the signal would have, without a core file beside that of the process whose end this mirrors.
pub(crate) fn end_by(signal: i32) -> ! {
    let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
    if signal == SIGKILL {
        let _ = kill(Pid::this(), Signal::SIGKILL);
    }
    let _ = emulate_default_handler(signal);
    std::process::exit(128 + signal);
}
