//! Bringing the server up: probing its port, starting what is missing, and waiting.

use std::fs::File;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::server::probe::ServerState;
use crate::server::supervisor::Running;
use crate::server::{POLL, Server};

/// How long a server may listen without answering before it counts as hung.
const HUNG_AFTER: Duration = Duration::from_secs(15);

/// How long a server whose model has died may take to log why: mlx-lm answers 503 before its traceback is out.
const TRACEBACK_DELAY: Duration = Duration::from_millis(500);

enum Fault {
    /// The server has ended, hangs, or has lost its model: another start may help.
    Unusable(Error),
    /// Another start would not help.
    Final(Error),
}

impl Server {
    /// The caller holds the lock. A server that runs already and ends or hangs meanwhile is started anew, once.
    pub(super) fn bring_up(&self, lock: &File, is_wanted: &dyn Fn() -> bool, on_wait: &mut dyn FnMut()) -> Result<()> {
        let is_running = self.supervisor.running() == Running::Yes;
        let mut must_start = match self.state() {
            ServerState::Up => return Ok(()),
            ServerState::Foreign(what) | ServerState::Dead(what) if !is_running => return Err(self.no_use(&what)),
            ServerState::Foreign(_) | ServerState::Dead(_) => true,
            ServerState::Down => !is_running,
            ServerState::Loading | ServerState::Hung => false,
        };
        loop {
            if must_start {
                self.restart(lock, is_wanted)?;
            }
            let fault = match self.wait_until_up(is_running || must_start, is_wanted, on_wait) {
                Ok(()) => return Ok(()),
                Err(fault) => fault,
            };
            match fault {
                Fault::Unusable(_) if !must_start => must_start = true,
                Fault::Unusable(error) => {
                    let _ = self.supervisor.stop();
                    return Err(error);
                }
                Fault::Final(error) => return Err(error),
            }
        }
    }

    /// For a server that nobody here starts.
    pub(super) fn wait_while_loading(&self, is_wanted: &dyn Fn() -> bool, on_wait: &mut dyn FnMut(Duration)) -> Result<()> {
        let begun = Instant::now();
        loop {
            let (what, limit) = match self.state() {
                ServerState::Up => return Ok(()),
                ServerState::Down => return self.supervisor.check_installed(),
                ServerState::Dead(what) | ServerState::Foreign(what) => return Err(self.no_use(&what)),
                ServerState::Loading => ("it is still loading its model", self.start_timeout),
                ServerState::Hung => ("it listens, but does not answer", HUNG_AFTER),
            };
            if begun.elapsed() > limit {
                return Err(self.no_use(what));
            }
            if !is_wanted() {
                return Err(Error::SwitchedBack);
            }
            on_wait(begun.elapsed());
            sleep(POLL);
        }
    }

    fn restart(&self, lock: &File, is_wanted: &dyn Fn() -> bool) -> Result<()> {
        if !is_wanted() {
            return Err(Error::SwitchedBack);
        }
        self.supervisor.check_installed()?;
        if self.supervisor.running() == Running::Yes {
            self.supervisor.stop()?;
        }
        self.set_aside_old_log();
        self.supervisor.start(lock).map_err(|error| match error {
            Error::Supervisor { reason } => self.did_not_come_up(&reason, "see `llm-failover logs`"),
            other => other,
        })
    }

    fn wait_until_up(
        &self,
        is_supervised: bool,
        is_wanted: &dyn Fn() -> bool,
        on_wait: &mut dyn FnMut(),
    ) -> std::result::Result<(), Fault> {
        let begun = Instant::now();
        let unusable = |reason: &str, hint: &str| Err(Fault::Unusable(self.did_not_come_up(reason, hint)));
        let (mut dead_probes, mut foreign_probes) = (0, 0);
        let mut hung_since: Option<Instant> = None;
        loop {
            if !is_wanted() {
                return Err(Fault::Final(Error::SwitchedBack));
            }
            let state = self.state();
            if state != ServerState::Hung {
                hung_since = None;
            }
            match &state {
                ServerState::Up => return Ok(()),
                // A server that is just dying resets its connections; the next probes find it gone.
                ServerState::Foreign(_) if is_supervised && foreign_probes < 3 => foreign_probes += 1,
                ServerState::Foreign(what) if is_supervised => return Err(Fault::Unusable(self.no_use(what))),
                ServerState::Foreign(what) => return Err(Fault::Final(self.no_use(what))),
                ServerState::Dead(why) => {
                    dead_probes += 1;
                    if dead_probes > 2 {
                        sleep(TRACEBACK_DELAY);
                        let reason = format!("it runs, but its model does not ({why})");
                        return unusable(&reason, "check the model's name or path: see `llm-failover logs`");
                    }
                }
                ServerState::Hung if hung_since.get_or_insert_with(Instant::now).elapsed() < HUNG_AFTER => {}
                ServerState::Hung if is_supervised => {
                    return unusable("it listens, but does not answer", "see `llm-failover logs`");
                }
                ServerState::Hung => return Err(Fault::Final(self.no_use("it listens, but does not answer"))),
                ServerState::Down | ServerState::Loading => match self.supervisor.running() {
                    Running::No(how) if is_supervised || state == ServerState::Down => {
                        let how = how.unwrap_or_else(|| "it ended while starting".into());
                        return unusable(&how, "check the server's command and its model: see `llm-failover logs`");
                    }
                    _ => {}
                },
            }
            if begun.elapsed() > self.start_timeout && state == ServerState::Hung && !is_supervised {
                return Err(Fault::Final(self.no_use("it listens, but does not answer")));
            }
            if begun.elapsed() > self.start_timeout {
                let reason = format!("no answer after {} seconds", self.start_timeout.as_secs());
                let error = self.did_not_come_up(&reason, "raise LLM_START_TIMEOUT if the model needs longer to load");
                let _ = self.supervisor.stop();
                return Err(Fault::Final(error));
            }
            on_wait();
            sleep(POLL);
        }
    }
}
