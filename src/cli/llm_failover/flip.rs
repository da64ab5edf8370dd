//! Flips: the flag, and starting and stopping the server with it.

use std::fs::{File, TryLockError};

use crate::cli::llm_failover::{Command, NAME};
use crate::error::{self, Error, Result, warn};
use crate::local_model::chain::{Chain, Link};
use crate::local_model::{ask, prime, unload};
use crate::os::atomic_file::open_private;
use crate::os::cleanup::CleanupOnSignal;
use crate::server::probe::ServerState;
use crate::server::progress::StartProgress;
use crate::server::{Server, Stopped};
use crate::state::breaker::Breaker;
use crate::state::flag::{Backend, Flag};
use crate::state::notify;

impl Command<'_> {
    /// The server first; the flag only when the server answers.
    pub(super) fn to_local(&self) -> Result<()> {
        self.warn_of_another_claude();
        let _only_one = self.flip_lock()?;
        let chain = Chain::new(self.context)?;
        self.warn_of_links(&chain);
        match self.start(|| self.flip(Backend::Local)) {
            Err(error @ (Error::NotInstalled { .. } | Error::DidNotComeUp { .. })) => self.flip_to_later_link(&chain, error),
            outcome => outcome.map(|_| self.context.working_dir().map_or((), |folder| prime::when_up(self.context, &folder))),
        }
    }

    /// Where the first local model does not come up, calls are answered as long as another one does.
    fn flip_to_later_link(&self, chain: &Chain, error: Error) -> Result<()> {
        let answers = |link: &&Link| {
            let mut progress = StartProgress::new(NAME, &link.server, self.is_quiet);
            ask::prove(self.context, &link.server, &mut progress).is_ok()
        };
        let Some(link) = chain.main_links().iter().skip(1).find(answers) else { return Err(error) };
        let (model, url) = (link.name(), link.server.endpoint().shown());
        let hint = error.hint(NAME).map(|hint| format!(" ({hint})")).unwrap_or_default();
        let error = error.without_log();
        warn(NAME, &format!("{error}{hint}; `{model}` at {url} answers in its place"));
        self.flip(Backend::Local)
    }

    /// The flag first, so that no call waits for a server that is being stopped. The way back to Claude does not depend on a lock
    /// file that a full disk has no room for.
    pub(super) fn to_claude(&self) -> Result<()> {
        let _only_one = self.flip_lock().ok();
        self.flip(Backend::Claude)?;
        self.stop("")
    }

    /// Starts no server: the first call that needs it does.
    pub(super) fn to_auto(&self) -> Result<()> {
        self.warn_of_another_claude();
        let _only_one = self.flip_lock()?;
        let warn_of = |error: Error, what: &str| {
            let hint = error.hint(NAME).map(|hint| format!("; {hint}")).unwrap_or_default();
            warn(NAME, &format!("{error}: {what}{hint}"));
        };
        const NO_ANSWER: &str = "calls that Claude refuses will fail";
        match Chain::new(self.context) {
            Ok(chain) => {
                self.warn_of_links(&chain);
                let what = if chain.main_links().len() > 1 { "the next local model is asked" } else { NO_ANSWER };
                let _ = chain.first().server.check_installed().map_err(|error| warn_of(error, what));
            }
            Err(error) => warn_of(error, NO_ANSWER),
        }
        self.flip(Backend::Auto)?;
        unload::adopt(self.context);
        Ok(())
    }

    /// Resets the breaker: a user who sets the flag knows better.
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

    /// Makes sure that the server answers, calls `then`, and returns the server's port. If any of that fails or is interrupted,
    /// a server that was not up before is stopped again.
    pub(super) fn start(&self, then: impl FnOnce() -> Result<()>) -> Result<u16> {
        let server = Server::new(self.context)?;
        let was_up = server.state() == ServerState::Up;
        let mut progress = StartProgress::new(NAME, &server, self.is_quiet);
        let context = self.context.for_applet(NAME, &[]);
        let cleanup = CleanupOnSignal::new(move || {
            if let (false, Ok(server)) = (was_up, Server::new(&context)) {
                let _ = server.stop(&mut |_| {});
            }
        });
        let started = server.ensure_up(&|| !cleanup.is_caught(), &mut |elapsed| progress.show(elapsed));
        let proven = started.and_then(|()| ask::prove(self.context, &server, &mut progress));
        cleanup.end();
        let outcome = proven.and_then(|()| then());
        if outcome.is_err() && !was_up {
            let _ = server.stop(&mut |_| {});
        }
        outcome.map(|()| server.endpoint().port())
    }

    /// Prints `line_if_down` if the server does not run, and nothing if that is empty.
    pub(super) fn stop(&self, line_if_down: &str) -> Result<()> {
        let server = Server::new(self.context)?;
        let mut progress = StartProgress::new(NAME, &server, self.is_quiet);
        let stopped = server.stop(&mut |elapsed| progress.show(elapsed))?;
        progress.clear();
        match stopped {
            Stopped::WasDown if line_if_down.is_empty() => {}
            Stopped::WasDown => self.say(line_if_down),
            Stopped::Freed(Some(bytes)) => self.say(&format!("local server stopped: {} MiB of memory given back", bytes >> 20)),
            Stopped::Freed(None) => self.say("local server stopped"),
            Stopped::NotOurs if line_if_down.is_empty() && !server.is_ours() => {}
            Stopped::NotOurs => {
                self.say(&format!("local server on port {} is not ours to stop: left running", server.endpoint().port()));
            }
        }
        Ok(())
    }

    /// Waits for other flips to end.
    fn flip_lock(&self) -> Result<File> {
        let path = self.context.state_dir()?.join("switch.lock");
        let file = open_private(&path)?;
        if matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
            if !self.is_quiet {
                error::say(&format!("{NAME}: waiting for another flip to end …"));
            }
            file.lock().map_err(Error::file("lock", path))?;
        }
        Ok(file)
    }
}
