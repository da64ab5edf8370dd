//! Flips: the flag, and the life of the server that goes with it.

use std::fs::{File, TryLockError};

use crate::cli::llm_failover::{Command, NAME};
use crate::error::{self, Error, Result, warn};
use crate::local_model::{ask, unload};
use crate::os::atomic_file::private_file;
use crate::os::cleanup::CleanupOnSignal;
use crate::server::probe::ServerState;
use crate::server::progress::Progress;
use crate::server::{Server, Stopped};
use crate::state::breaker::Breaker;
use crate::state::flag::{Backend, Flag};
use crate::state::notify;

impl Command<'_> {
    /// The server first, the switch only when it answers.
    pub(super) fn to_local(&self) -> Result<()> {
        self.warn_of_another_claude();
        let _only_one = self.flip_lock()?;
        self.start(|| self.flip(Backend::Local)).map(|_| ())
    }

    /// The switch first, so that no call waits for a server that is going; then the memory. The way back to Claude does
    /// not depend on a lock file that a full disk has no room for.
    pub(super) fn to_claude(&self) -> Result<()> {
        let _only_one = self.flip_lock().ok();
        self.flip(Backend::Claude)?;
        self.stop("")
    }

    /// No server is started: that is for the day that it is needed.
    pub(super) fn to_auto(&self) -> Result<()> {
        self.warn_of_another_claude();
        let _only_one = self.flip_lock()?;
        if let Err(error) = Server::new(self.context).and_then(|server| server.check_installed()) {
            let hint = error.hint(NAME).map(|hint| format!("; {hint}")).unwrap_or_default();
            warn(NAME, &format!("{error}: calls that Claude refuses will fail{hint}"));
        }
        self.flip(Backend::Auto)?;
        unload::adopt(self.context);
        Ok(())
    }

    /// What was learned of Claude is forgotten: whoever sets the switch knows better.
    fn flip(&self, backend: Backend) -> Result<()> {
        let flag = Flag::new(self.context)?;
        let (before, _) = flag.read();
        flag.write(backend)?;
        if let Ok(breaker) = Breaker::new(self.context) {
            breaker.reset();
        }
        self.say(&format!("agent backend now: {}", backend.word()));
        if before != backend {
            notify::send_flip(self.context, backend);
        }
        Ok(())
    }

    /// Makes sure that the server answers, does what comes `then`, and gives the server's port. Should any of that
    /// fail or be interrupted, a server that was not up before is stopped again.
    pub(super) fn start(&self, then: impl FnOnce() -> Result<()>) -> Result<u16> {
        let server = Server::new(self.context)?;
        let was_up = server.state() == ServerState::Up;
        let mut progress = Progress::new(NAME, &server, self.is_quiet);
        let context = self.context.for_applet(NAME, &[]);
        let guard = CleanupOnSignal::new(move || {
            if let (false, Ok(server)) = (was_up, Server::new(&context)) {
                let _ = server.stop(&mut |_| {});
            }
        });
        let started = server.ensure_up(&|| !guard.is_caught(), &mut |elapsed| progress.show(elapsed));
        let proven = started.and_then(|()| ask::prove(self.context, &server, &mut progress));
        guard.end();
        let outcome = proven.and_then(|()| then());
        if outcome.is_err() && !was_up {
            let _ = server.stop(&mut |_| {});
        }
        outcome.map(|()| server.endpoint().port())
    }

    pub(super) fn stop(&self, if_down: &str) -> Result<()> {
        let server = Server::new(self.context)?;
        let mut progress = Progress::new(NAME, &server, self.is_quiet);
        let stopped = server.stop(&mut |elapsed| progress.show(elapsed))?;
        progress.clear();
        match stopped {
            Stopped::WasDown if if_down.is_empty() => {}
            Stopped::WasDown => self.say(if_down),
            Stopped::Freed(Some(bytes)) => self.say(&format!("local server stopped: {} MiB of memory given back", bytes >> 20)),
            Stopped::Freed(None) => self.say("local server stopped"),
            Stopped::NotOurs if if_down.is_empty() && !server.is_ours() => {}
            Stopped::NotOurs => {
                self.say(&format!("local server on port {} is not ours to stop: left running", server.endpoint().port()));
            }
        }
        Ok(())
    }

    /// Flips one at a time.
    fn flip_lock(&self) -> Result<File> {
        let path = self.context.state_dir()?.join("switch.lock");
        let file = private_file(&path)?;
        if matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
            if !self.is_quiet {
                error::say(&format!("{NAME}: waiting for another flip to end …"));
            }
            file.lock().map_err(Error::file("lock", path))?;
        }
        Ok(file)
    }
}
