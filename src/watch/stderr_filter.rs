//! The stderr of a Claude Code on the local model, without what that would not say of its own model.

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::process::ChildStderr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::claude_code::unknown_model::is_of_unknown_model;

/// How long the end of a process may go unnoticed, in milliseconds.
const LOOK: u16 = 20;

pub(super) struct StderrFilter {
    thread: JoinHandle<()>,
    process_ended: Arc<AtomicBool>,
}

impl StderrFilter {
    /// Passes the lines on to this process's stderr.
    pub(super) fn start(from: ChildStderr) -> StderrFilter {
        let process_ended = Arc::new(AtomicBool::new(false));
        let is_over = process_ended.clone();
        StderrFilter { thread: thread::spawn(move || pass_on(from, &is_over, &mut std::io::stderr())), process_ended }
    }

    /// The process has ended. What it started may hold the pipe for longer, and is not waited for.
    pub(super) fn finish(self) {
        self.process_ended.store(true, Ordering::SeqCst);
        let _ = self.thread.join();
    }
}

fn pass_on(mut from: ChildStderr, process_ended: &AtomicBool, to: &mut impl Write) {
    let mut line = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        // Before the pipe is looked at: all that the process wrote is in it then.
        let is_over = process_ended.load(Ordering::SeqCst);
        let mut waited_for = [PollFd::new(from.as_fd(), PollFlags::POLLIN)];
        let length = match poll(&mut waited_for, PollTimeout::from(if is_over { 0 } else { LOOK })) {
            Err(Errno::EINTR) => continue,
            Ok(0) if !is_over => continue,
            Ok(count) if count > 0 => from.read(&mut chunk).unwrap_or(0),
            _ => 0,
        };
        for byte in &chunk[..length] {
            line.push(*byte);
            if *byte == b'\n' {
                write(&mut line, to);
            }
        }
        if length == 0 {
            return write(&mut line, to);
        }
    }
}

fn write(line: &mut Vec<u8>, to: &mut impl Write) {
    if !is_of_unknown_model(line) {
        let _ = to.write_all(line);
    }
    line.clear();
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    /// The process itself has ended, and what it started holds the pipe.
    #[test]
    fn lines_but_those_of_the_model() {
        let script = "printf 'one\\n[claude-code:unrecognized_model] {\"model\":\"x\"}\\ntwo [claude-code:unrecognized_model] \\nthree' >&2; \
                      sleep 60 &";
        let mut child = Command::new("/bin/sh").args(["-c", script]).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = child.stderr.take().unwrap();
        child.wait().unwrap();
        let mut said = Vec::new();
        pass_on(stderr, &AtomicBool::new(true), &mut said);
        assert_eq!(String::from_utf8(said).unwrap(), "one\ntwo [claude-code:unrecognized_model] \nthree");
    }
}
