//! The real Claude's stdin. Its own thread writes, so that a reader that is slow holds up no other thread.

use std::io::Write;
use std::process::ChildStdin;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// How much may wait for the real Claude to read it, in bytes, before no more is read.
const MOST_QUEUED: usize = 1 << 20;

#[derive(Default)]
pub(super) struct ChildPipe {
    sender: Option<Sender<Vec<u8>>>,
    backlog: Backlog,
    /// Up to which byte of stdin it has been given what came, or needs not be.
    pub done: u64,
}

impl ChildPipe {
    pub(super) fn open(&mut self, mut to_child: ChildStdin) {
        let (sender, chunks) = channel::<Vec<u8>>();
        let backlog = Backlog::default();
        (self.sender, self.backlog) = (Some(sender), backlog.clone());
        thread::spawn(move || {
            for chunk in chunks {
                // Claude Code may stop reading its stdin; that is no error here.
                if to_child.write_all(&chunk).is_err() {
                    break;
                }
                backlog.remove(chunk.len());
            }
            backlog.remove(usize::MAX);
        });
    }

    pub(super) fn send(&mut self, bytes: &[u8]) {
        if let Some(sender) = self.sender.as_ref().filter(|_| !bytes.is_empty()) {
            self.backlog.add(bytes.len());
            if sender.send(bytes.to_vec()).is_err() {
                self.backlog.remove(usize::MAX);
                self.sender = None;
            }
        }
    }

    pub(super) fn close(&mut self) {
        self.sender = None;
    }

    pub(super) fn backlog(&self) -> Backlog {
        self.backlog.clone()
    }
}

/// How many bytes are sent and not written yet.
#[derive(Clone, Default)]
pub(super) struct Backlog(Arc<(Mutex<usize>, Condvar)>);

impl Backlog {
    pub(super) fn wait_until_short(&self) {
        let mut bytes = self.bytes();
        while *bytes > MOST_QUEUED {
            bytes = self.0.1.wait(bytes).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn add(&self, count: usize) {
        *self.bytes() += count;
    }

    fn remove(&self, count: usize) {
        let mut bytes = self.bytes();
        *bytes = bytes.saturating_sub(count);
        self.0.1.notify_all();
    }

    fn bytes(&self) -> MutexGuard<'_, usize> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn a_long_backlog_is_waited_for_until_it_is_read_or_its_reader_is_gone() {
        for script in ["sleep 0.3; cat >/dev/null", "sleep 0.3"] {
            let mut child = Command::new("/bin/sh").args(["-c", script]).stdin(Stdio::piped()).spawn().unwrap();
            let mut pipe = ChildPipe::default();
            pipe.open(child.stdin.take().unwrap());
            pipe.send(&vec![0; MOST_QUEUED / 2]);
            let begun = Instant::now();
            pipe.backlog().wait_until_short();
            assert!(begun.elapsed() < Duration::from_millis(200), "{script}");
            (0..3).for_each(|_| pipe.send(&vec![0; MOST_QUEUED]));
            pipe.backlog().wait_until_short();
            assert!(begun.elapsed() >= Duration::from_millis(200), "{script}");
            pipe.close();
            child.wait().unwrap();
        }
    }
}
