//! The signals of a call whose work another process does.
//!
//! What a person types at the terminal reaches the whole process group, so the real Claude has it already. What another
//! program sends reaches this process alone and is passed on.

use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGKILL, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::WithOrigin;
use signal_hook::low_level::emulate_default_handler;

/// Who is to have the signals.
pub enum Target {
    /// The real Claude, which runs.
    Child(Pid),
    /// This process: they do what they do by themselves.
    Us,
    /// This process, which takes an interrupt to be the end of the turn.
    Conversation(Sender<()>),
}

/// Takes the process's signals until the process ends.
#[derive(Clone)]
pub struct Signals(Arc<Mutex<Target>>);

impl Signals {
    /// Takes signals from now on. Gives also a stream on which a byte arrives for each child that ends.
    ///
    /// # Errors
    /// If the system has no means left for it.
    pub fn take(target: Target) -> io::Result<(Signals, UnixStream)> {
        let (ended, mut waker) = UnixStream::pair()?;
        ended.set_nonblocking(true)?;
        waker.set_nonblocking(true)?;
        let mut caught = SignalsInfo::<WithOrigin>::new([SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2])?;
        let signals = Signals(Arc::new(target.into()));
        let taken = signals.clone();
        thread::spawn(move || {
            for origin in caught.forever() {
                if origin.signal == SIGCHLD {
                    let _ = waker.write(&[0]);
                } else {
                    let is_from_a_program = origin.process.as_ref().is_some_and(|process| process.pid != 0);
                    taken.handle(origin.signal, is_from_a_program);
                }
            }
        });
        Ok((signals, ended))
    }

    /// Gives the signals to another.
    pub fn give_to(&self, target: Target) {
        *self.target() = target;
    }

    fn target(&self) -> MutexGuard<'_, Target> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn handle(&self, signal: i32, is_from_a_program: bool) {
        let target = self.target();
        match &*target {
            Target::Child(pid) => {
                if let (true, Ok(signal)) = (is_from_a_program, Signal::try_from(signal)) {
                    let _ = kill(*pid, signal);
                }
            }
            Target::Conversation(interrupts) if signal == SIGINT && interrupts.send(()).is_ok() => {}
            Target::Us | Target::Conversation(_) => end_by(signal),
        }
    }
}

/// Ends this process as the signal would have.
pub fn end_by(signal: i32) -> ! {
    if signal == SIGKILL {
        let _ = kill(Pid::this(), Signal::SIGKILL);
    }
    let _ = emulate_default_handler(signal);
    std::process::exit(128 + signal);
}
