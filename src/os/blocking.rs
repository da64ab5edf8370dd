//! Reads and writes that wait, even if another process that shares the terminal or the pipe has made it non-blocking.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// A standard stream without a buffer of its own.
pub(crate) struct Blocking(File);

impl Blocking {
    /// Duplicates the descriptor.
    pub(crate) fn new(stream: impl AsFd) -> io::Result<Blocking> {
        stream.as_fd().try_clone_to_owned().map(|fd| Blocking(fd.into()))
    }

    fn wait(&self, flags: PollFlags) {
        let _ = poll(&mut [PollFd::new(self.0.as_fd(), flags)], PollTimeout::NONE);
    }
}

impl Read for Blocking {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.0.read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.wait(PollFlags::POLLIN),
                outcome => return outcome,
            }
        }
    }
}

impl Write for Blocking {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.0.write(bytes) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.wait(PollFlags::POLLOUT),
                outcome => return outcome,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
