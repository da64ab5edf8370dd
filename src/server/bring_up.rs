//! Bringing the server up: looking at what is there, starting what is missing, and waiting.

use std::fs::File;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::server::probe::ServerState;
use crate::server::supervisor::Running;
use crate::server::{POLL, Server};

/// How long a server may listen without answering before it is taken for hung.
const HUNG_AFTER: Duration = Duration::from_secs(15);

/// How long a server whose model has died may take to write down why: mlx-lm answers 503 before its traceback is out.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Why a server that is waited for is not up.
enum Fault {
    /// It has ended, hangs, or is dead inside: another start may help.
    OfNoUse(Error),
    /// Another start would not help.
    Other(Error),
}

impl Server {
    /// With the lock held: looks at what is there, starts what is missing, and waits. A server that was there and ends
    /// or hangs meanwhile is started anew, once.
    pub(super) fn bring_up(&self, lock: &File, is_wanted: &dyn Fn() -> bool, on_wait: &mut dyn FnMut()) -> Result<()> {
        let runs = self.supervisor.running() == Running::Yes;
        let mut must_start = match self.state() {
            ServerState::Up => return Ok(()),
            ServerState::Foreign(what) | ServerState::Dead(what) if !runs => return Err(self.port_taken(&what)),
            ServerState::Foreign(_) | ServerState::Dead(_) => true,
            ServerState::Down => !runs,
            ServerState::Loading | ServerState::Hung => false,
        };
        loop {
            if must_start {
                self.start(lock, is_wanted)?;
            }
            let fault = match self.wait_until_up(runs || must_start, is_wanted, on_wait) {
                Ok(()) => return Ok(()),
                Err(fault) => fault,
            };
            match fault {
                Fault::OfNoUse(_) if !must_start => must_start = true,
                Fault::OfNoUse(error) => {
                    let _ = self.supervisor.stop();
                    return Err(error);
                }
                Fault::Other(error) => return Err(error),
            }
        }
    }

    /// Starts the server, after ending one that is of no use.
    fn start(&self, lock: &File, is_wanted: &dyn Fn() -> bool) -> Result<()> {
        if !is_wanted() {
            return Err(Error::SwitchedBack);
        }
        self.supervisor.installed()?;
        if self.supervisor.running() == Running::Yes {
            self.supervisor.stop()?;
        }
        self.set_aside_old_log();
        self.supervisor.start(lock).map_err(|error| match error {
            Error::Supervisor { reason: said } => self.did_not_come_up(&said, "see `llm-failover logs`"),
            other => other,
        })
    }

    fn wait_until_up(
        &self,
        is_known: bool,
        is_wanted: &dyn Fn() -> bool,
        on_wait: &mut dyn FnMut(),
    ) -> std::result::Result<(), Fault> {
        let begun = Instant::now();
        let of_no_use = |reason: &str, hint: &str| Err(Fault::OfNoUse(self.did_not_come_up(reason, hint)));
        let (mut dead_looks, mut foreign_looks) = (0, 0);
        let mut hung_since: Option<Instant> = None;
        loop {
            if !is_wanted() {
                return Err(Fault::Other(Error::SwitchedBack));
            }
            let state = self.state();
            if state != ServerState::Hung {
                hung_since = None;
            }
            match &state {
                ServerState::Up => return Ok(()),
                // One that dies under our eyes resets its connections; the next looks find it gone.
                ServerState::Foreign(_) if is_known && foreign_looks < 3 => foreign_looks += 1,
                ServerState::Foreign(what) if is_known => return Err(Fault::OfNoUse(self.port_taken(what))),
                ServerState::Foreign(what) => return Err(Fault::Other(self.port_taken(what))),
                ServerState::Dead(why) => {
                    dead_looks += 1;
                    if dead_looks > 2 {
                        sleep(LAST_WORDS);
                        let reason = format!("it runs, but its model does not ({why})");
                        return of_no_use(&reason, "check the model's name or path: see `llm-failover logs`");
                    }
                }
                ServerState::Hung if hung_since.get_or_insert_with(Instant::now).elapsed() < HUNG_AFTER => {}
                ServerState::Hung if is_known => return of_no_use("it listens, but does not answer", "see `llm-failover logs`"),
                ServerState::Hung => return Err(Fault::Other(self.port_taken("it listens, but does not answer"))),
                ServerState::Down | ServerState::Loading => match self.supervisor.running() {
                    Running::No(how) if is_known || state == ServerState::Down => {
                        let how = how.unwrap_or_else(|| "it ended while starting".into());
                        return of_no_use(&how, "check the server's command and its model: see `llm-failover logs`");
                    }
                    _ => {}
                },
            }
            if begun.elapsed() > self.start_timeout && state == ServerState::Hung && !is_known {
                return Err(Fault::Other(self.port_taken("it listens, but does not answer")));
            }
            if begun.elapsed() > self.start_timeout {
                let reason = format!("no answer after {} seconds", self.start_timeout.as_secs());
                let error = self.did_not_come_up(&reason, "raise LLM_START_TIMEOUT if the model needs longer to load");
                let _ = self.supervisor.stop();
                return Err(Fault::Other(error));
            }
            on_wait();
            sleep(POLL);
        }
    }
}
