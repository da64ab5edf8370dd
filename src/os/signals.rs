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
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill};
use nix::unistd::Pid;
use signal_hook::consts::{SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGKILL, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::WithOrigin;
use signal_hook::low_level::emulate_default_handler;

use crate::os::signal_origin::Observer;

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
    /// What has asked the real Claude to end.
    end_request: Option<i32>,
    before_end: Option<Box<dyn FnOnce() + Send>>,
}

impl Signals {
    /// Also returns a stream on which a byte arrives for each child that ends.
    pub(crate) fn catch(target: Target) -> io::Result<(Signals, UnixStream)> {
        let (ended, mut waker) = UnixStream::pair()?;
        ended.set_nonblocking(true)?;
        waker.set_nonblocking(true)?;
        // SIGCHLD is caught even if it was ignored: it alone announces the end of the child.
        let to_catch = not_ignored(&[SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2]).chain([SIGCHLD]);
        let mut origins = SignalsInfo::<WithOrigin>::new(to_catch)?;
        let state = SignalState { target, stopped: None, end_request: None, before_end: None };
        let signals = Signals(Arc::new(Mutex::new(state)));
        let (handler, observer) = (signals.clone(), Observer::new());
        thread::spawn(move || {
            for origin in origins.forever() {
                if origin.signal == SIGCHLD {
                    let _ = waker.write(&[0]);
                } else {
                    handler.handle(origin.signal, observer.is_by_program(&origin));
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
        self.state().end_request.is_some()
    }

    /// Gives a signal that has asked the real Claude to end to who has come in its place: it came too late for Claude.
    pub(crate) fn repeat_end_request(&self) {
        let request = self.state().end_request.take();
        request.iter().for_each(|signal| self.handle(*signal, true));
    }

    /// Is called before a signal ends this process.
    pub(crate) fn before_end(&self, clean_up: impl FnOnce() + Send + 'static) {
        self.state().before_end = Some(Box::new(clean_up));
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
        if matches!((signal, &state.target), (SIGHUP | SIGINT | SIGQUIT | SIGTERM, Target::Next(_) | Target::Child(_))) {
            state.end_request = Some(signal);
        }
        match &mut state.target {
            Target::Next(kept) => kept.push((signal, is_by_program)),
            Target::Child(pid) => {
                if let (true, Ok(signal)) = (is_for_us, Signal::try_from(signal)) {
                    let _ = kill(*pid, signal);
                }
            }
            Target::Conversation(interrupts) if signal == SIGINT && interrupts.send(()).is_ok() => {}
            Target::Us | Target::Conversation(_) => {
                if let Some(clean_up) = state.before_end.take() {
                    clean_up();
                }
                end_by(signal)
            }
        }
    }
}

/// For starting a process that ends later than what it watches or cleans up: a signal that ends this one, and it as well, must not
/// end it in its first moment. It has all signals blocked.
pub(crate) fn with_signals_blocked<T>(start: impl FnOnce() -> T) -> T {
    let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK);
    let started = start();
    let _ = before.and_then(|before| before.thread_set_mask());
    started
}

/// Those of `signals` that this process was not started to ignore.
pub(super) fn not_ignored(signals: &[i32]) -> impl Iterator<Item = i32> + use<'_> {
    let ignored = ignored_at_start();
    signals.iter().copied().filter(move |signal| ignored >> (signal - 1) & 1 == 0)
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
