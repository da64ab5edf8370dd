//! The local server's life: whether it answers, starting it once however many ask for it, and giving its memory back.

mod bring_up;
pub(crate) mod child;
pub(crate) mod files;
pub(crate) mod launchctl;
pub(crate) mod listener;
pub(crate) mod probe;
pub(crate) mod progress;
pub(crate) mod supervisor;
pub(crate) mod systemctl;

use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use crate::completions::endpoint::Endpoint;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::os::atomic_file::private_file;
use crate::os::process;
use crate::server::probe::ServerState;
use crate::server::supervisor::{Running, SOMEBODY_ELSE, Supervisor};

/// How often a server that is coming up is looked at.
const POLL: Duration = Duration::from_millis(100);

/// How long a port may stay taken after its server has ended.
const PORT_LIMIT: Duration = Duration::from_secs(3);

/// How many lines of the log go with a failed start. mlx-lm writes one for each of our looks, too.
const LOG_LINES: usize = 12;

/// The local server of this user.
pub(crate) struct Server {
    endpoint: Endpoint,
    supervisor: Box<dyn Supervisor>,
    state_dir: PathBuf,
    start_timeout: Duration,
}

/// What stopping did.
pub(crate) enum Stopped {
    /// It did not run.
    WasDown,
    /// It is gone, and this many bytes of memory with it, if they could be counted.
    Freed(Option<u64>),
    /// Something answers there that we did not start and do not stop.
    NotOurs,
}

impl Server {
    /// The server that the settings describe.
    ///
    /// # Errors
    /// If a setting cannot be used, or there is no home folder.
    pub(crate) fn new(context: &Context) -> Result<Server> {
        let endpoint = Endpoint::new(context)?;
        let supervisor = supervisor::choose(context, &endpoint)?;
        let start_timeout = context.settings.start_timeout()?;
        Ok(Server { endpoint, supervisor, state_dir: context.server_dir()?, start_timeout })
    }

    /// Where it is spoken to.
    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Whether starting and stopping it is our business.
    pub(crate) fn is_ours(&self) -> bool {
        self.supervisor.name() != SOMEBODY_ELSE
    }

    /// Who runs it.
    pub(crate) fn supervisor(&self) -> &str {
        self.supervisor.name()
    }

    /// Whether there is something to start, or somebody else's server to ask.
    ///
    /// # Errors
    /// If nothing is installed.
    pub(crate) fn installed(&self) -> Result<()> {
        if self.is_ours() { self.supervisor.installed() } else { Ok(()) }
    }

    /// How long it may take to come up.
    pub(crate) fn start_timeout(&self) -> Duration {
        self.start_timeout
    }

    /// What a look at its port tells.
    pub(crate) fn state(&self) -> ServerState {
        probe::probe(&self.endpoint)
    }

    /// The server's log.
    pub(crate) fn log_file(&self) -> PathBuf {
        files::log_file(&self.state_dir)
    }

    /// Starts the server if it is not up, again if it lives and is of no use, and waits until it listens and has not
    /// failed. Any number of processes may ask at once: one starts it, the others wait for what comes of that.
    /// `on_wait` is called while waiting, with the time so far. `is_wanted` is asked all the while: no server must be
    /// started, or waited for, for a switch that has gone back meanwhile.
    ///
    /// # Errors
    /// [`Error::NotInstalled`] if there is nothing to start, [`Error::DidNotComeUp`] with the reason if it failed,
    /// [`Error::SwitchedBack`] if it is not wanted any more.
    pub(crate) fn ensure_up(&self, is_wanted: &dyn Fn() -> bool, on_wait: &mut dyn FnMut(Duration)) -> Result<()> {
        if self.state() == ServerState::Up {
            return Ok(());
        }
        let (asked, begun) = (SystemTime::now(), Instant::now());
        let lock = self.lock(begun, on_wait)?.ok_or_else(|| self.did_not_come_up(BUSY, "try again"))?;
        if let Some(reason) = failure_since(&lock, &self.lock_file(), asked) {
            return Err(self.did_not_come_up(&reason, "see `llm-failover logs`"));
        }
        let outcome = self.bring_up(&lock, is_wanted, &mut || on_wait(begun.elapsed()));
        leave_outcome(&lock, &outcome);
        outcome
    }

    /// Ends the server and tells how much memory that gave back. `on_wait` is called while another process is starting it.
    ///
    /// # Errors
    /// If it is ours and cannot be ended.
    pub(crate) fn stop(&self, on_wait: &mut dyn FnMut(Duration)) -> Result<Stopped> {
        let _only_one =
            self.lock(Instant::now(), on_wait)?.ok_or_else(|| Error::Supervisor { reason: format!("{BUSY}: try again") })?;
        if self.supervisor.running() != Running::Yes {
            self.supervisor.stop()?;
            return Ok(if self.state() == ServerState::Down { Stopped::WasDown } else { Stopped::NotOurs });
        }
        let memory = self.listener().and_then(process::group_memory);
        self.supervisor.stop()?;
        // The last threads of a process that has ended may hold its port a little longer.
        let begun = Instant::now();
        while self.state() != ServerState::Down && begun.elapsed() < PORT_LIMIT {
            sleep(POLL);
        }
        match self.supervisor.running() {
            Running::Yes => {
                Err(Error::Supervisor { reason: format!("the local server still runs under {}", self.supervisor.name()) })
            }
            Running::No(_) => Ok(Stopped::Freed(memory)),
        }
    }

    fn lock_file(&self) -> PathBuf {
        self.state_dir.join("server.lock")
    }

    /// The lock that lets one process at a time start or stop the server. It is gone with the process that holds it.
    /// None if another holds it for longer than a start may take.
    fn lock(&self, begun: Instant, on_wait: &mut dyn FnMut(Duration)) -> Result<Option<File>> {
        let file = private_file(&self.lock_file())?;
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

    /// So that the end of the log tells of this start, and the log does not grow for ever. The new one is made here:
    /// a service manager would make it open to others.
    fn set_aside_old_log(&self) {
        let log = self.log_file();
        let _ = fs::rename(&log, log.with_extension("log.1"));
        let _ = private_file(&log);
    }

    /// The process that listens on the server's port, if that is on this machine.
    fn listener(&self) -> Option<process::Pid> {
        listener::pid(self.endpoint.port()).filter(|_| self.endpoint.is_loopback())
    }

    fn port_taken(&self, what: &str) -> Error {
        if !self.is_ours() {
            return Error::DidNotComeUp {
                reason: format!("no usable answer from {}: {what}", self.endpoint.shown()),
                log: vec![],
                hint: "check LOCAL_LLM_URL".into(),
            };
        }
        let port = self.endpoint.port();
        let holder = self.listener().and_then(|pid| Some(format!(" by `{}` (pid {pid})", process::name(pid)?)));
        Error::DidNotComeUp {
            reason: format!("port {port} is taken{}: {what}", holder.unwrap_or_default()),
            log: vec![],
            hint: "end that program, or choose another port with LLM_PORT".into(),
        }
    }

    /// An [`Error::DidNotComeUp`] with the end of the log.
    pub(crate) fn did_not_come_up(&self, reason: &str, hint: &str) -> Error {
        let log = files::last_lines(&self.log_file(), LOG_LINES);
        Error::DidNotComeUp { reason: reason.into(), log, hint: hint.into() }
    }
}

const BUSY: &str = "another process is starting or stopping the local server";

/// What the process that held the lock before has left in it, if that was after `asked`: who waited for a start that
/// failed need not try the same again.
fn failure_since(lock: &File, path: &std::path::Path, asked: SystemTime) -> Option<String> {
    let written = lock.metadata().and_then(|metadata| metadata.modified()).ok()?;
    let reason = fs::read_to_string(path).ok()?;
    (written >= asked && !reason.is_empty()).then_some(reason)
}

fn leave_outcome(mut lock: &File, outcome: &Result<()>) {
    let _ = lock.set_len(0);
    if let Err(Error::DidNotComeUp { reason, .. }) = outcome {
        let _ = lock.write_all(reason.as_bytes());
    }
}
