//! The real Claude's process: its guardian, its stdout as lines, its signals, and its end.

use std::cell::RefCell;
use std::io::{ErrorKind, Read};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::claude_code::locate;
use crate::error::{Error, Result};
use crate::os::guardian::{Guardians, terminate};
use crate::os::signals::{Signals, Target};
use crate::stdin::Pump;
use crate::watch::pieces::{Piece, Unread};
use crate::watch::stderr_filter::StderrFilter;

/// How much is read at once.
const CHUNK: usize = 64 << 10;

/// How often more is read after its end: more than a pipe holds.
const LAST_READS: usize = 16;

/// How long it may take to end by itself after it has refused.
const LAST_WORK: Duration = Duration::from_secs(2);

/// The signals of this process, and a stream on which a byte arrives for each child that ends.
pub(super) type CaughtSignals = (Signals, UnixStream);

pub(super) fn catch_signals(target: Target) -> Result<CaughtSignals> {
    Signals::catch(target).map_err(Error::system("take", "signals"))
}

pub(super) struct WatchedChild {
    process: Child,
    guardians: Guardians,
    signals: Signals,
    child_ended: UnixStream,
    /// A child of this process has ended, and it was not looked which.
    may_have_ended: bool,
    is_stopped: bool,
    /// None after its end.
    stdout: Option<ChildStdout>,
    /// If its stderr is not this process's own.
    stderr: Option<StderrFilter>,
    unread: Unread,
    last_output: Instant,
}

impl WatchedChild {
    pub(super) fn spawn(mut command: Command, program: &Path, caught: Option<CaughtSignals>) -> Result<WatchedChild> {
        let (signals, child_ended) = caught.map_or_else(|| catch_signals(Target::Next(vec![])), Ok)?;
        // What was caught becomes the default again in the child, and what is ignored was not caught.
        signals.give_to(Target::Next(vec![]));
        let mut guardians = Guardians::new();
        let mut process = command.spawn().map_err(|error| locate::not_run(program.into(), &error))?;
        signals.give_to(Target::Child(Pid::from_raw(process.id().cast_signed())));
        guardians.watch_over(process.id());
        let (stdout, stderr) = (process.stdout.take(), process.stderr.take().map(StderrFilter::start));
        Ok(WatchedChild {
            process,
            guardians,
            signals,
            child_ended,
            // It may have, before its signal was caught.
            may_have_ended: true,
            is_stopped: false,
            stdout,
            stderr,
            unread: Unread::default(),
            last_output: Instant::now(),
        })
    }

    pub(super) fn take_stdin(&mut self) -> Option<ChildStdin> {
        self.process.stdin.take()
    }

    pub(super) fn signals(&self) -> &Signals {
        &self.signals
    }

    /// When it last wrote something, or this process was last stopped.
    pub(super) fn last_output(&self) -> Instant {
        self.last_output
    }

    /// What it has printed, a piece at a time.
    pub(super) fn next_piece(&mut self) -> Option<Piece> {
        self.unread.next(self.stdout.is_none())
    }

    pub(super) fn has_ended_output(&self) -> bool {
        self.stdout.is_none()
    }

    /// Waits for output and reads it, or for the end, for as long as `timeout`. Returns whether one of them came.
    pub(super) fn read_more(&mut self, timeout: Option<Duration>) -> bool {
        let begun = Instant::now();
        let has_output = self.wait_for_output(timeout);
        // We were stopped ourselves, by a Ctrl-Z.
        if timeout.is_some_and(|timeout| begun.elapsed().saturating_sub(timeout) > Duration::from_secs(2)) {
            self.last_output = Instant::now();
        }
        if std::mem::take(&mut self.may_have_ended) && matches!(self.process.try_wait(), Ok(Some(_))) {
            // What it wrote is in the pipe. What it started may hold that for longer, and write on.
            let mut reads = 0;
            while reads < LAST_READS && self.wait_for_output(Some(Duration::ZERO)) {
                self.read();
                reads += 1;
            }
            self.stdout = None;
            return true;
        }
        if has_output {
            self.read();
        }
        has_output
    }

    fn wait_for_output(&mut self, timeout: Option<Duration>) -> bool {
        let timeout = match timeout {
            _ if self.may_have_ended => PollTimeout::ZERO,
            None => PollTimeout::NONE,
            Some(timeout) => PollTimeout::try_from(timeout.as_millis().saturating_add(1)).unwrap_or(PollTimeout::MAX),
        };
        let mut waited = vec![PollFd::new(self.child_ended.as_fd(), PollFlags::POLLIN)];
        waited.extend(self.stdout.as_ref().map(|stdout| PollFd::new(stdout.as_fd(), PollFlags::POLLIN)));
        if poll(&mut waited, timeout).is_err() {
            return false;
        }
        let is_ready = |fd: Option<&PollFd>| fd.and_then(PollFd::any).unwrap_or(false);
        let (has_ended, has_output) = (is_ready(waited.first()), is_ready(waited.get(1)));
        drop(waited);
        if has_ended {
            let _ = self.child_ended.read(&mut [0; 64]);
            self.may_have_ended = true;
        }
        has_output
    }

    fn read(&mut self) {
        let Some(stdout) = self.stdout.as_mut() else { return };
        let unread = &mut self.unread.bytes;
        let from = unread.len();
        unread.resize(from + CHUNK, 0);
        let length = match stdout.read(&mut unread[from..]) {
            Err(error) if error.kind() == ErrorKind::Interrupted => 0,
            Ok(length) if length > 0 => length,
            _ => {
                self.stdout = None;
                0
            }
        };
        unread.truncate(from + length);
        self.last_output = Instant::now();
    }

    /// Stops it where it is, so that it can go on from there.
    pub(super) fn stop(&mut self) {
        self.is_stopped = kill(self.pid(), Signal::SIGSTOP).is_ok();
        self.signals.keep_stopped(Some(self.pid()));
    }

    /// Gives it the signals again, and lets it go on if it was stopped.
    pub(super) fn go_on(&mut self) {
        self.signals.give_to(Target::Child(self.pid()));
        self.signals.keep_stopped(None);
        if std::mem::take(&mut self.is_stopped) {
            let _ = kill(self.pid(), Signal::SIGCONT);
        }
    }

    /// What begins its end as soon as the local model answers, in another thread. `stdin`: what it is still given.
    pub(super) fn end_later(&self, stdin: Option<Pump>) -> impl FnOnce() + Send + 'static {
        let (pid, is_stopped, signals) = (self.pid(), self.is_stopped, self.signals.clone());
        move || {
            signals.keep_stopped(None);
            // Asked to end, it would wake up first, try again what it was at, and run what tools that asks for.
            if is_stopped {
                let _ = kill(pid, Signal::SIGKILL);
            } else if let Some(stdin) = stdin {
                stdin.close_child_pipe();
            }
        }
    }

    /// Waits until it has ended by itself. Returns none if its status was lost.
    pub(super) fn wait(&mut self) -> Option<ExitStatus> {
        let status = self.process.wait();
        self.guardians.dismiss();
        if let Some(stderr) = self.stderr.take() {
            stderr.finish();
        }
        // An error means that somebody has taken its status away from us.
        status.ok()
    }

    /// Ends it, and waits until it is gone. `waits`: for its own end first, since it writes its transcript last.
    pub(super) fn end(mut self, waits: bool) -> (CaughtSignals, Option<ExitStatus>) {
        let begun = Instant::now();
        while waits && !self.is_stopped && self.is_running() && begun.elapsed() < LAST_WORK {
            sleep(Duration::from_millis(5));
        }
        self.signals.keep_stopped(None);
        self.signals.give_to(Target::Us);
        self.signals.repeat_end_request();
        let pid = self.pid();
        if self.is_stopped {
            let _ = kill(pid, Signal::SIGKILL);
        }
        let child = RefCell::new(&mut self);
        terminate(pid, || child.borrow_mut().is_running());
        let status = self.wait();
        ((self.signals, self.child_ended), status)
    }

    fn is_running(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(None))
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.process.id().cast_signed())
    }
}
