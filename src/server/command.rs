//! The programs of a service manager, each with a time limit: `launchctl` and `systemctl` wait for a daemon, which may not answer.

use std::io::{self, Read};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use crate::context::Context;
use crate::error::{Error, Result};
use crate::shown::{Shown, shown};
use crate::text::plain;

/// How long it may take to tell a state.
const QUESTION_LIMIT: Duration = Duration::from_secs(10);

/// No program takes longer than `LLM_START_TIMEOUT` while the server starts, but this long it may always take.
pub(crate) const LEAST_LIMIT: Duration = Duration::from_secs(2);

/// How often it is looked whether a program has ended.
const POLL: Duration = Duration::from_millis(5);

/// How long output may come after the program's end: a process that it has left behind may hold the pipe for ever.
const REST: Duration = Duration::from_millis(200);

/// `launchctl` or `systemctl`.
pub(crate) struct Program {
    name: &'static str,
    path: Option<PathBuf>,
    environment: Vec<(&'static str, PathBuf)>,
    /// What to do if its daemon does not answer.
    advice: &'static str,
    question_limit: Duration,
    /// Why it is not asked any more: its daemon did not answer, and it would be waited for again and again.
    unanswered: OnceLock<Shown>,
}

impl Program {
    /// `start_timeout` is the most that the caller would wait for the server.
    pub(crate) fn new(context: &Context, name: &'static str, advice: &'static str, start_timeout: Duration) -> Program {
        Program {
            name,
            path: context.program_on_path(name),
            environment: vec![],
            advice,
            question_limit: QUESTION_LIMIT.min(start_timeout.max(LEAST_LIMIT)),
            unanswered: OnceLock::new(),
        }
    }

    pub(crate) fn set(&mut self, key: &'static str, value: PathBuf) {
        self.environment.push((key, value));
    }

    pub(crate) fn is_installed(&self) -> bool {
        self.path.is_some()
    }

    pub(crate) fn missing(&self) -> Error {
        Error::NotInstalled { reason: shown!("`{}` is not on PATH", self.name) }
    }

    /// What is answered within a moment: a state. The caller checks the exit status.
    pub(crate) fn ask(&self, args: &[&str]) -> Result<Output> {
        self.order(args, self.question_limit)?.ok_or_else(|| {
            let error = self.too_long(args, self.question_limit);
            Error::Supervisor { reason: self.unanswered.get_or_init(|| Shown::line(error)).clone() }
        })
    }

    /// Runs it to its end, without a terminal. If it has not ended within `limit`, it is killed, and nothing comes back. The caller checks
    /// the exit status.
    pub(crate) fn order(&self, args: &[&str], limit: Duration) -> Result<Option<Output>> {
        if let Some(reason) = self.unanswered.get() {
            return Err(Error::Supervisor { reason: reason.clone() });
        }
        let path = self.path.as_deref().ok_or_else(|| self.missing())?;
        let failed = |error| Error::Supervisor { reason: shown!("cannot run `{}`: {}", path.display(), plain(&error)) };
        let environment = self.environment.iter().map(|(key, value)| (key, value));
        run_within(Command::new(path).args(args).envs(environment), limit).map_err(failed)
    }

    pub(crate) fn too_long(&self, args: &[&str], limit: Duration) -> Error {
        let (name, words, seconds) = (self.name, args.join(" "), limit.as_secs());
        Error::Supervisor { reason: shown!("`{name} {words}` has not ended within {seconds} seconds; {}", self.advice) }
    }
}

/// With what the program wrote to stderr, on one line.
pub(crate) fn failed(what: &str, output: &Output) -> Error {
    let stderr = String::from_utf8_lossy(&output.stderr);
    let stderr = stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    let status = output.status;
    Error::Supervisor {
        reason: if stderr.is_empty() {
            shown!("`{what}` failed ({status})")
        } else {
            shown!("`{what}` failed ({status}): {stderr}")
        },
    }
}

/// Without a terminal, and with what it has written. None if it had not ended within `limit`, and was killed.
pub(crate) fn run_within(command: &mut Command, limit: Duration) -> io::Result<Option<Output>> {
    let begun = Instant::now();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let mut pieces = Pieces::of(&mut child);
    loop {
        pieces.take(POLL);
        if let Some(status) = child.try_wait()? {
            return Ok(Some(pieces.rest(status)));
        }
        if begun.elapsed() >= limit {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
    }
}

/// What comes through both pipes: each has a thread that reads it, so that a full one stops nobody.
struct Pieces {
    source: Receiver<(Pipe, Vec<u8>)>,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

#[derive(Clone, Copy)]
enum Pipe {
    Stdout,
    Stderr,
}

impl Pieces {
    fn of(child: &mut Child) -> Pieces {
        let (sender, source) = channel();
        if let Some(pipe) = child.stdout.take() {
            read_aside(pipe, Pipe::Stdout, sender.clone());
        }
        if let Some(pipe) = child.stderr.take() {
            read_aside(pipe, Pipe::Stderr, sender);
        }
        Pieces { source, stdout: vec![], stderr: vec![] }
    }

    /// Takes the next piece, if one comes in time. Returns false if none did.
    fn take(&mut self, limit: Duration) -> bool {
        match self.source.recv_timeout(limit) {
            Ok((Pipe::Stdout, piece)) => self.stdout.extend(piece),
            Ok((Pipe::Stderr, piece)) => self.stderr.extend(piece),
            Err(RecvTimeoutError::Timeout) => return false,
            Err(RecvTimeoutError::Disconnected) => {
                sleep(limit.min(POLL));
                return false;
            }
        }
        true
    }

    fn rest(mut self, status: ExitStatus) -> Output {
        while self.take(REST) {}
        Output { status, stdout: self.stdout, stderr: self.stderr }
    }
}

fn read_aside(mut source: impl Read + Send + 'static, pipe: Pipe, sink: Sender<(Pipe, Vec<u8>)>) {
    spawn(move || {
        let mut buffer = [0; 16 << 10];
        while let Ok(count @ 1..) = source.read(&mut buffer) {
            if sink.send((pipe, buffer[..count].to_vec())).is_err() {
                break;
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, limit: Duration) -> Option<Output> {
        run_within(Command::new("/bin/sh").args(["-c", script]), limit).expect("a shell")
    }

    #[test]
    fn more_than_a_pipe_holds_is_read_from_both() {
        let script = "i=0; while [ $i -lt 4000 ]; do echo 0123456789012345678901234567890123456789; \
                      echo 0123456789012345678901234567890123456789 >&2; i=$((i + 1)); done; exit 7";
        let output = shell(script, Duration::from_secs(60)).expect("in time");
        assert_eq!((output.stdout.len(), output.stderr.len(), output.status.code()), (164_000, 164_000, Some(7)));
    }

    #[test]
    fn a_program_that_does_not_end_is_killed_and_reaped() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("pid");
        let script = format!("echo $$ > {}; exec sleep 600", file.display());
        while !file.exists() {
            assert!(shell(&script, Duration::from_millis(300)).is_none());
        }
        let pid = std::fs::read_to_string(file).expect("a number").trim().parse().expect("a number");
        assert_eq!(nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), None), Err(nix::errno::Errno::ESRCH));
    }

    #[test]
    fn a_process_that_is_left_behind_holds_nobody_up() {
        let output = shell("sleep 600 & echo $!", Duration::from_secs(60)).expect("in time");
        let pid = String::from_utf8_lossy(&output.stdout).trim().parse().expect("its number");
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).expect("it runs");
    }
}
