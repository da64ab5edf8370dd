//! Flips: the flag, and starting and stopping the server with it.

use std::fs::{File, TryLockError};
use std::sync::Arc;

use crate::cli::llm_failover::{Command, NAME};
use crate::error::{self, Error, Result, warn};
use crate::local_model::chain::{Chain, Link};
use crate::local_model::look::{self, Trouble};
use crate::local_model::{ask, prime, unload};
use crate::os::atomic_file::open_private;
use crate::os::cleanup::CleanupOnSignal;
use crate::server::probe::ServerState;
use crate::server::progress::StartProgress;
use crate::server::{Server, Stopped};
use crate::shown::shown;
use crate::state::breaker::Breaker;
use crate::state::flag::{Backend, Flag};
use crate::state::notify;

const NO_ANSWER: &str = "calls that Claude refuses will fail";
const NO_AGENTS: &str = "agents will fail";
const NEXT: &str = "the next local model is asked";

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
        let (model, url) = (link.name(), link.server.endpoint().place());
        let hint = error.hint(NAME).map(|hint| format!(" ({hint})")).unwrap_or_default();
        let error = error.without_log();
        warn(NAME, &shown!("{error}{hint}; `{model}` at {url} answers in its place"));
        self.flip(Backend::Local)
    }

    /// The flag first, so that no call waits for a server that is being stopped. The way back to Claude does not depend on a lock
    /// file that a full disk has no room for.
    pub(super) fn to_claude(&self) -> Result<()> {
        let _only_one = self.flip_lock().ok();
        self.flip(Backend::Claude)?;
        self.stop(false)
    }

    /// Starts no server: the first call that needs it does. What stands in the way of the local model is a warning, or the error if the
    /// user wants it `checked`.
    pub(super) fn to_auto(&self, is_checked: bool) -> Result<()> {
        self.warn_of_another_claude();
        let trouble = match Chain::with_small_model(self.context) {
            Ok(chain) => {
                self.warn_of_links(&chain);
                self.trouble(chain)
            }
            Err(error) => Some((error, NO_ANSWER)),
        };
        match trouble {
            Some((error, NO_ANSWER | NO_AGENTS)) if is_checked => return Err(error),
            Some((error, what)) => warn_of(error, what),
            None => {}
        }
        let _only_one = self.flip_lock()?;
        self.flip(Backend::Auto)?;
        unload::adopt(self.context);
        Ok(())
    }

    /// What stands in the way of the local models that `auto` relies on, and what becomes of calls by that.
    fn trouble(&self, chain: Chain) -> Option<(Error, &'static str)> {
        let needs_agents = self.context.settings.agent(NAME) != "never";
        let (main, mut troubles) = (chain.main_links().len(), look::at_all(&Arc::new(chain), needs_agents));
        let small = troubles.split_off(main).into_iter().flatten().next();
        let has = |agents: bool| {
            let is_good = |trouble: &Option<Trouble>| match trouble {
                None => true,
                Some(Trouble::SmallContext(_)) => !agents,
                Some(Trouble::NoAnswer(_)) => false,
            };
            troubles.iter().any(is_good)
        };
        let (has_answer, has_room) = (has(false), has(true));
        match (troubles.into_iter().next()?, small) {
            (Some(Trouble::NoAnswer(error)), _) => Some((error, if has_answer { NEXT } else { NO_ANSWER })),
            (Some(Trouble::SmallContext(error)), _) if !has_room => Some((error, NO_AGENTS)),
            (_, Some(Trouble::NoAnswer(error) | Trouble::SmallContext(error))) => {
                Some((error, "the main model does its work, too"))
            }
            (_, None) => None,
        }
    }

    /// Resets the breaker: a user who sets the flag knows better.
    fn flip(&self, backend: Backend) -> Result<()> {
        let flag = Flag::new(self.context)?;
        let (before, _) = flag.read();
        flag.write(backend)?;
        if let Ok(breaker) = Breaker::new(self.context) {
            breaker.reset();
        }
        self.say(&shown!("agent backend now: {}", backend.word()));
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

    /// `is_asked`: whether the user has asked for just this, and is told, too, that nothing was to be done.
    pub(super) fn stop(&self, is_asked: bool) -> Result<()> {
        let server = Server::new(self.context)?;
        let mut progress = StartProgress::new(NAME, &server, self.is_quiet);
        let stopped = server.stop(&mut |elapsed| progress.show(elapsed))?;
        progress.clear();
        match stopped {
            Stopped::WasDown if !is_asked => {}
            Stopped::WasDown if server.is_ours() => self.say(&"local server: down (lazy)".into()),
            Stopped::WasDown => self.say(&"local server: not running (not ours to stop)".into()),
            Stopped::Freed(Some(bytes)) => self.say(&shown!("local server stopped: {} MiB of memory given back", bytes >> 20)),
            Stopped::Freed(None) => self.say(&"local server stopped".into()),
            Stopped::NotOurs if !is_asked && !server.is_ours() => {}
            Stopped::NotOurs => {
                self.say(&shown!("local server on port {} is not ours to stop: left running", server.endpoint().port()));
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
                error::say(&shown!("{NAME}: waiting for another flip to end …"));
            }
            file.lock().map_err(Error::file("lock", path))?;
        }
        Ok(file)
    }
}

fn warn_of(error: Error, what: &str) {
    let hint = error.hint(NAME).map(|hint| format!("; {hint}")).unwrap_or_default();
    let said = if let Error::DidNotComeUp { reason, .. } = error { reason } else { shown!("{error}") };
    warn(NAME, &shown!("{said}: {what}{hint}"));
}
