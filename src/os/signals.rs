//! The signals of a call whose work another process does.
//!
//! What a person types at the terminal reaches the whole process group, so the real Claude has it already. What another
//! program sends reaches this process alone and is passed on.

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

/// Who gets the signals.
pub(crate) enum Target {
    /// Nobody yet: they are kept, each with whether a program sent it.
    Next(Vec<(i32, bool)>),
    /// The real Claude, which runs.
    Child(Pid),
    /// This process: they do what they do by themselves.
    Us,
    /// This process, which takes an interrupt to be the end of the turn.
    Conversation(Sender<()>),
}

/// Catches the process's signals until the process ends.
#[derive(Clone)]
pub(crate) struct Signals(Arc<Mutex<SignalState>>);

struct SignalState {
    target: Target,
    /// A process that is stopped and is to stay so.
    stopped: Option<Pid>,
    is_end_requested: bool,
}

impl Signals {
    /// Catches signals from now on. Returns also a stream on which a byte arrives for each child that ends.
    ///
    /// # Errors
    /// If the system has no means left for it.
    pub(crate) fn catch(target: Target) -> io::Result<(Signals, UnixStream)> {
        let (ended, mut waker) = UnixStream::pair()?;
        ended.set_nonblocking(true)?;
        waker.set_nonblocking(true)?;
        let ignored = ignored();
        // Without the end of its child nobody would know of it.
        let is_caught = |signal: i32| signal == SIGCHLD || ignored >> (signal - 1) & 1 == 0;
        let wanted = [SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2];
        let mut origins = SignalsInfo::<WithOrigin>::new(wanted.iter().filter(|signal| is_caught(**signal)))?;
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

    /// Gives the target the signals from now on, and those that were kept.
    pub(crate) fn give_to(&self, target: Target) {
        let before = std::mem::replace(&mut self.state().target, target);
        if let Target::Next(kept) = before {
            kept.into_iter().for_each(|(signal, is_by_program)| self.handle(signal, is_by_program));
        }
    }

    /// Keeps a stopped process stopped, whoever wakes the process group up; none does so no longer.
    pub(crate) fn keep_stopped(&self, pid: Option<Pid>) {
        self.state().stopped = pid;
    }

    /// Whether a signal has asked the real Claude to end: then nobody waits for another answer.
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
        // A terminal that hangs up tells its session's leader alone.
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

/// The signals that whoever started us has ignored (nohup(1)), a bit for each: they stay ignored. As `/proc` tells; where
/// there is none: none.
fn ignored() -> u64 {
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
