//! Cleaning up when a signal interrupts a command half-way.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;

use nix::sys::signal::{SigSet, Signal, raise};

/// While it lives, SIGINT and SIGTERM clean up before they end the process.
pub(crate) struct CleanupOnSignal {
    signals: SigSet,
    is_armed: Arc<AtomicBool>,
    is_caught: Arc<AtomicBool>,
}

impl CleanupOnSignal {
    /// At the first signal, a thread calls `clean_up`, and then the signal takes its effect. The signals are blocked in this
    /// thread, in its threads and in its children: programs that outlive this process must unblock them.
    pub(crate) fn new(clean_up: impl FnOnce() + Send + 'static) -> CleanupOnSignal {
        let signals = SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM]);
        let _ = signals.thread_block();
        let cleanup = CleanupOnSignal { signals, is_armed: Arc::new(true.into()), is_caught: Arc::default() };
        let (is_armed, is_caught) = (cleanup.is_armed.clone(), cleanup.is_caught.clone());
        thread::spawn(move || {
            let Ok(signal) = signals.wait() else { return };
            if is_armed.load(SeqCst) {
                is_caught.store(true, SeqCst);
                clean_up();
            }
            let _ = signals.thread_unblock();
            let _ = raise(signal);
            // Not reached unless the signal is ignored.
            std::process::exit(128 + signal as i32);
        });
        cleanup
    }

    pub(crate) fn is_caught(&self) -> bool {
        self.is_caught.load(SeqCst)
    }

    /// Does not return after a signal: the process ends by it.
    pub(crate) fn end(self) {
        self.is_armed.store(false, SeqCst);
        while self.is_caught() {
            thread::park();
        }
        let _ = self.signals.thread_unblock();
    }
}
