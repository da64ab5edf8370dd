//! The local server's life: whether it answers, starting it once for any number of calls, and stopping it.

mod bring_up;
pub(crate) mod child;
pub(crate) mod command;
pub(crate) mod files;
pub(crate) mod launchctl;
mod launchd_print;
pub(crate) mod listener;
pub(crate) mod probe;
pub(crate) mod progress;
pub(crate) mod supervisor;
pub(crate) mod systemctl;

use std::fmt::Display;
use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use crate::completions::endpoint::Endpoint;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::os::atomic_file::open_private;
use crate::os::process;
use crate::read_file::read_own;
use crate::server::probe::ServerState;
use crate::server::supervisor::{NOT_OURS, Running, Supervisor};
use crate::settings::{FIRST, LinkNumber, Setting};
use crate::shown::{Shown, shown};

/// How often a server that is coming up is probed.
const POLL: Duration = Duration::from_millis(100);

/// How long a port may stay taken after its server has ended.
const PORT_LIMIT: Duration = Duration::from_secs(3);

/// How many lines of the log go with a failed start. mlx-lm writes one for each of our probes, too.
const LOG_LINES: usize = 12;

pub(crate) struct Server {
    endpoint: Endpoint,
    supervisor: Box<dyn Supervisor>,
    state_dir: PathBuf,
    start_timeout: Duration,
}

pub(crate) enum Stopped {
    WasDown,
    /// With the bytes of memory that came back, where they could be counted.
    Freed(Option<u64>),
    /// Something answers at the port that we did not start and do not stop.
    NotOurs,
}

impl Server {
    pub(crate) fn new(context: &Context) -> Result<Server> {
        Server::of_link(context, FIRST)
    }

    /// The server of a link. Only the first is ever ours.
    pub(crate) fn of_link(context: &Context, link: LinkNumber) -> Result<Server> {
        let endpoint = Endpoint::of_link(context, link)?;
        let supervisor = if link == FIRST { supervisor::choose(context, &endpoint)? } else { supervisor::none(&endpoint) };
        let start_timeout = context.settings.start_timeout()?;
        Ok(Server { endpoint, supervisor, state_dir: context.server_dir()?, start_timeout })
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Whether this program starts and stops the server.
    pub(crate) fn is_ours(&self) -> bool {
        self.supervisor.name() != NOT_OURS
    }

    pub(crate) fn supervisor_name(&self) -> &str {
        self.supervisor.name()
    }

    /// A server that is not ours counts as installed.
    pub(crate) fn check_installed(&self) -> Result<()> {
        if self.is_ours() { self.supervisor.check_installed() } else { Ok(()) }
    }

    pub(crate) fn start_timeout(&self) -> Duration {
        self.start_timeout
    }

    pub(crate) fn state(&self) -> ServerState {
        probe::probe(&self.endpoint)
    }

    /// How long the last start took. None if that is not known.
    pub(crate) fn last_load(&self) -> Option<Duration> {
        files::last_load(&self.state_dir).filter(|_| self.is_ours())
    }

    pub(crate) fn log_file(&self) -> PathBuf {
        files::log_file(&self.state_dir)
    }

    /// Starts the server if it is not up, restarts it if it runs and is unusable, and waits until it answers. Any number of
    /// processes may call this at once: one starts the server, and the others wait for the outcome. While it waits, it calls
    /// `on_wait` with the time so far, and gives up once `is_wanted` returns false: the flag may go back to Claude meanwhile.
    ///
    /// # Errors
    /// [`Error::NotInstalled`] if there is nothing to start, [`Error::DidNotComeUp`] with the reason if it failed,
    /// [`Error::SwitchedBack`] once `is_wanted` returns false.
    pub(crate) fn ensure_up(&self, is_wanted: &dyn Fn() -> bool, on_wait: &mut dyn FnMut(Duration)) -> Result<()> {
        if self.state() == ServerState::Up {
            return Ok(());
        }
        // The lock is for the server that can be started.
        if self.endpoint.link() != FIRST {
            return self.wait_while_loading(is_wanted, on_wait);
        }
        let (called_at, begun) = (SystemTime::now(), Instant::now());
        let lock = self.lock(begun, on_wait)?.ok_or_else(|| self.did_not_come_up(BUSY, "try again"))?;
        if let Some(reason) = failure_since(&lock, &self.lock_file(), called_at) {
            return Err(self.did_not_come_up(&reason, "see `llm-failover logs`"));
        }
        let load_begun = Instant::now();
        let outcome = self.bring_up(&lock, is_wanted, &mut || on_wait(begun.elapsed()));
        record_outcome(&lock, &outcome);
        if outcome.is_ok() {
            files::remember_load(&self.state_dir, load_begun.elapsed());
        }
        outcome
    }

    /// Calls `on_wait` while another process starts or stops the server.
    pub(crate) fn stop(&self, on_wait: &mut dyn FnMut(Duration)) -> Result<Stopped> {
        let _only_one =
            self.lock(Instant::now(), on_wait)?.ok_or_else(|| Error::Supervisor { reason: shown!("{BUSY}: try again") })?;
        if self.supervisor.running() != Running::Yes {
            self.supervisor.stop()?;
            return Ok(if self.state() == ServerState::Down { Stopped::WasDown } else { Stopped::NotOurs });
        }
        let memory = self.memory();
        self.supervisor.stop()?;
        // The last threads of an ended process may hold its port a little longer.
        let begun = Instant::now();
        while self.state() != ServerState::Down && begun.elapsed() < PORT_LIMIT {
            sleep(POLL);
        }
        match self.supervisor.running() {
            Running::Yes => {
                Err(Error::Supervisor { reason: shown!("the local server still runs under {}", self.supervisor.name()) })
            }
            Running::No(_) => Ok(Stopped::Freed(memory)),
        }
    }

    /// Held by whoever primes this server, and shared by those who ask it.
    pub(crate) fn priming_lock(&self) -> PathBuf {
        self.state_dir.join("prime.lock")
    }

    fn lock_file(&self) -> PathBuf {
        self.state_dir.join("server.lock")
    }

    /// One process at a time starts or stops the server. The lock ends with the process that holds it. Returns none if another
    /// process holds it for longer than a start may take.
    fn lock(&self, begun: Instant, on_wait: &mut dyn FnMut(Duration)) -> Result<Option<File>> {
        let file = open_private(&self.lock_file())?;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Some(file)),
                Err(TryLockError::WouldBlock) if begun.elapsed() < self.start_timeout => {
                    on_wait(begun.elapsed());
                    sleep(POLL);
                }
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(Error::file("lock", self.lock_file())(error)),
            }
        }
    }

    /// The end of the log shall be about this start, and the log shall not grow for ever. A service manager would make a new
    /// log that others can read; ours is private.
    fn set_aside_old_log(&self) {
        let log = self.log_file();
        let _ = fs::rename(&log, log.with_extension("log.1"));
        let _ = open_private(&log);
    }

    /// What it takes, in bytes, if it is on this machine and this user may see it.
    pub(crate) fn memory(&self) -> Option<u64> {
        self.listening_pid().and_then(process::group_memory)
    }

    fn listening_pid(&self) -> Option<process::Pid> {
        listener::pid(self.endpoint.port()).filter(|_| self.endpoint.is_loopback())
    }

    /// The error that nothing answers at the address of a server that is not ours.
    pub(crate) fn not_there(&self) -> Error {
        self.supervisor.check_installed().err().unwrap_or_else(|| self.no_use("nothing answers"))
    }

    /// The error that what answers at the address is of no use.
    pub(crate) fn no_use(&self, what: &str) -> Error {
        if !self.is_ours() {
            return Error::DidNotComeUp {
                reason: shown!("no usable answer from {}: {what}", self.endpoint.place()),
                log: vec![],
                hint: shown!("check {}", self.endpoint.variable(Setting::Url)),
            };
        }
        let port = self.endpoint.port();
        let holder = self.listening_pid().and_then(|pid| Some(format!(" by `{}` (pid {pid})", process::program_name(pid)?)));
        Error::DidNotComeUp {
            reason: shown!("port {port} is taken{}: {what}", holder.unwrap_or_default()),
            log: vec![],
            hint: "end that program, or choose another port with LLM_PORT".into(),
        }
    }

    pub(crate) fn did_not_come_up(&self, reason: impl Display, hint: impl Display) -> Error {
        let log = files::last_lines(&self.log_file(), LOG_LINES);
        Error::DidNotComeUp { reason: Shown::line(reason), log, hint: Shown::line(hint) }
    }
}

/// The longest failure that is read, in bytes.
const MOST_REASON: u64 = 64 << 10;

const BUSY: &str = "another process is starting or stopping the local server";

/// The failure that the lock's last holder recorded after `called_at`: a process that waited for a failed start does not try
/// the same again.
fn failure_since(lock: &File, path: &std::path::Path, called_at: SystemTime) -> Option<String> {
    let written = lock.metadata().and_then(|metadata| metadata.modified()).ok()?;
    let reason = String::from_utf8(read_own(path, MOST_REASON).ok()?).ok()?;
    // A failure of a later time than now is of a clock that was put back since: nobody waits for that.
    ((called_at..=SystemTime::now()).contains(&written) && !reason.is_empty()).then_some(reason)
}

fn record_outcome(mut lock: &File, outcome: &Result<()>) {
    let _ = lock.set_len(0);
    if let Err(Error::DidNotComeUp { reason, .. }) = outcome {
        let _ = lock.write_all(reason.as_bytes());
    }
}
