//! What a process still has to do when a signal asks it to end.

use std::cell::Cell;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::SigSet;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::pipe;

use crate::os::signals::{end_by, not_ignored};

/// The signals by which a key, a terminal that is closed, a shell, a supervisor or a shutdown ends a process.
const ENDING: [i32; 4] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM];

const ARMED: u8 = 0;
const CAUGHT: u8 = 1;
const ENDED: u8 = 2;

/// How many clean-ups wait for a signal, or are at it.
static WAITING: AtomicUsize = AtomicUsize::new(0);

/// While it lives, a signal that ends the process cleans up first. Of several all do. Programs that this process starts have the
/// signals at their defaults.
pub(crate) struct CleanupOnSignal(Arc<AtomicU8>);

impl CleanupOnSignal {
    /// At the first signal, a thread calls `clean_up`, and then the signal takes its effect.
    pub(crate) fn new(clean_up: impl FnOnce() + Send + 'static) -> CleanupOnSignal {
        let cleanup = CleanupOnSignal(Arc::new(ARMED.into()));
        WAITING.fetch_add(1, SeqCst);
        let state = cleanup.0.clone();
        // Without a thread for that, the signals take their effect at once, as ever.
        if let Ok(mut signals) = Signals::new(not_ignored(&ENDING)) {
            thread::spawn(move || {
                let Some(signal) = signals.forever().next() else { return };
                // Another Ctrl-C must not end the programs that clean up.
                let _ = SigSet::from_iter(ENDING.into_iter().filter_map(|signal| signal.try_into().ok())).thread_block();
                if state.compare_exchange(ARMED, CAUGHT, SeqCst, SeqCst).is_ok() {
                    clean_up();
                    WAITING.fetch_sub(1, SeqCst);
                }
                // The last one ends the process. The threads of those that have ended are still there.
                if WAITING.load(SeqCst) > 0 {
                    return;
                }
                end_by(signal)
            });
        }
        cleanup
    }

    pub(crate) fn is_caught(&self) -> bool {
        self.0.load(SeqCst) == CAUGHT
    }

    /// Does not return after a signal: the process ends by it.
    pub(crate) fn end(self) {
        if !self.disarm() {
            loop {
                thread::park();
            }
        }
    }

    /// Returns false if a signal has come before.
    fn disarm(&self) -> bool {
        let is_done = self.0.compare_exchange(ARMED, ENDED, SeqCst, SeqCst).is_ok();
        WAITING.fetch_sub(usize::from(is_done), SeqCst);
        is_done
    }
}

impl Drop for CleanupOnSignal {
    fn drop(&mut self) {
        self.disarm();
    }
}

/// Requests to end, by signal, to a process that ends when it has done what it is there for. Programs that it starts have the
/// signals at their defaults.
pub(crate) struct EndRequests {
    received: UnixStream,
    has_come: Cell<bool>,
}

impl EndRequests {
    /// From now on, none of the signals ends this process, nor any that was blocked while it started.
    pub(crate) fn catch() -> io::Result<EndRequests> {
        let (received, sender) = UnixStream::pair()?;
        for signal in not_ignored(&ENDING) {
            pipe::register(signal, sender.try_clone()?)?;
        }
        let _ = SigSet::all().thread_unblock();
        Ok(EndRequests { received, has_come: false.into() })
    }

    /// Waits for the first one, at most as long as `timeout`, and returns whether it has come.
    pub(crate) fn wait(&self, timeout: Duration) -> bool {
        if !self.has_come.get() {
            let timeout = PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX);
            let come = poll(&mut [PollFd::new(self.received.as_fd(), PollFlags::POLLIN)], timeout);
            self.has_come.set(come.is_ok_and(|come| come > 0));
        }
        self.has_come.get()
    }

    pub(crate) fn has_come(&self) -> bool {
        self.wait(Duration::ZERO)
    }
}
