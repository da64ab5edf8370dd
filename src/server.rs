//! The local server's life: whether it answers, starting it once however many ask for it, and giving its memory back.

pub mod child;
pub mod launchd;
mod listener;
mod probe;
mod process;
mod progress;
pub mod systemd;

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::answer::endpoint::Endpoint;
use crate::context::Context;
use crate::error::{Error, Result};
pub use probe::State;
pub use progress::Progress;

/// How often a server that is coming up is looked at.
const POLL: Duration = Duration::from_millis(100);

/// How long a port may stay taken after its server has ended.
const PORT_LIMIT: Duration = Duration::from_secs(3);

/// How long a server may listen without answering before it is taken for hung.
const HUNG_AFTER: Duration = Duration::from_secs(15);

/// Whoever runs the server.
pub trait Supervisor {
    /// Its name in messages: `launchd`, `systemd`, `child`, `none`.
    fn name(&self) -> &'static str;
    /// Whether there is something to start, and if not, what is missing.
    fn installed(&self) -> Result<()>;
    /// Sets the server going. Harmless if it runs already. `lock` is held by the caller; who needs longer than this
    /// call to make the server known may keep it in a copy.
    fn start(&self, lock: &File) -> Result<()>;
    /// Whether it runs, as the supervisor sees it. A server that runs may still be loading, or dead inside.
    fn running(&self) -> Running;
    /// Ends it and waits until it is gone. Harmless if it does not run.
    fn stop(&self) -> Result<()>;
}

/// What a supervisor says of its server.
#[derive(Debug, PartialEq, Eq)]
pub enum Running {
    /// It runs.
    Yes,
    /// It does not, and how it ended if that is known.
    No(Option<String>),
}

/// The local server of this user.
pub struct Server {
    endpoint: Endpoint,
    supervisor: Box<dyn Supervisor>,
    state_dir: PathBuf,
    patience: Duration,
}

/// What stopping did.
pub enum Stopped {
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
    pub fn new(context: &Context) -> Result<Server> {
        let endpoint = Endpoint::new(context)?;
        let supervisor = choose_supervisor(context, &endpoint)?;
        let patience = context.number("LLM_START_TIMEOUT", 300, "a number of seconds")?;
        Ok(Server { endpoint, supervisor, state_dir: context.state_dir()?, patience: Duration::from_secs(patience) })
    }

    /// Where it is spoken to.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Whether starting and stopping it is our business.
    pub fn is_ours(&self) -> bool {
        self.supervisor.name() != SomebodyElse.name()
    }

    /// Who runs it.
    pub fn supervisor(&self) -> &str {
        self.supervisor.name()
    }

    /// What a look at its port tells.
    pub fn state(&self) -> State {
        probe::state(&self.endpoint)
    }

    /// The server's log.
    pub fn log_file(&self) -> PathBuf {
        log_file(&self.state_dir)
    }

    /// Starts the server if it is not up, again if it lives and is of no use, and waits until it listens and has not
    /// failed. Any number of processes may ask
    /// at once: one starts it, the others wait for that. `on_wait` is called while waiting, with the time so far.
    /// `is_wanted` is asked at the last moment: a server must not be started for a switch that has gone back meanwhile.
    ///
    /// # Errors
    /// [`Error::NotInstalled`] if there is nothing to start, [`Error::DidNotComeUp`] with the reason if it failed,
    /// [`Error::SwitchedBack`] if it is not wanted any more.
    pub fn ensure_up(&self, is_wanted: &dyn Fn() -> bool, on_wait: &mut dyn FnMut(Duration)) -> Result<()> {
        if self.state() == State::Up {
            return Ok(());
        }
        let begun = Instant::now();
        let lock = self.lock(begun, on_wait)?;
        let mut is_ours = self.supervisor.running() == Running::Yes;
        let must_start = match self.state() {
            State::Up => return Ok(()),
            State::Loading | State::Hung => false,
            State::Down => !is_ours,
            State::Dead(_) | State::Foreign(_) if is_ours => {
                self.supervisor.stop()?;
                true
            }
            State::Foreign(what) => return Err(self.port_taken(&what)),
            State::Dead(why) => return Err(self.port_taken(&why)),
        };
        if must_start {
            if !is_wanted() {
                return Err(Error::SwitchedBack);
            }
            self.supervisor.installed()?;
            self.set_aside_old_log();
            self.supervisor.start(&lock).map_err(|error| match error {
                Error::Supervisor(said) => self.did_not_come_up(&said, "see `llm-failover logs`"),
                other => other,
            })?;
            is_ours = true;
        }
        let outcome = self.wait_until_up(is_ours, begun, on_wait);
        if outcome.is_err() && is_ours {
            let _ = self.supervisor.stop();
        }
        outcome
    }

    /// Ends the server and tells how much memory that gave back.
    ///
    /// # Errors
    /// If it is ours and cannot be ended.
    pub fn stop(&self) -> Result<Stopped> {
        let _only_one = self.lock(Instant::now(), &mut |_| {})?;
        if self.supervisor.running() != Running::Yes {
            self.supervisor.stop()?;
            return Ok(if self.state() == State::Down { Stopped::WasDown } else { Stopped::NotOurs });
        }
        let memory = listener::pid(self.endpoint.port()).and_then(process::group_memory);
        self.supervisor.stop()?;
        // The last threads of a process that has ended may hold its port a little longer.
        let begun = Instant::now();
        while self.state() != State::Down && begun.elapsed() < PORT_LIMIT {
            sleep(POLL);
        }
        Ok(Stopped::Freed(memory))
    }

    fn wait_until_up(&self, is_ours: bool, begun: Instant, on_wait: &mut dyn FnMut(Duration)) -> Result<()> {
        let mut dead_looks = 0;
        let mut hung_since: Option<Instant> = None;
        loop {
            let state = self.state();
            if state != State::Hung {
                hung_since = None;
            }
            match &state {
                State::Up => return Ok(()),
                // One that dies under our eyes closes its connections; a second look finds it gone.
                State::Foreign(what) => {
                    if !is_ours || self.state() != State::Down {
                        return Err(self.port_taken(what));
                    }
                }
                State::Dead(why) => {
                    dead_looks += 1;
                    if dead_looks > 2 {
                        let hint = "check the model's name or path: see `llm-failover logs`";
                        return Err(self.did_not_come_up(&format!("it runs, but its model does not ({why})"), hint));
                    }
                }
                State::Hung => {
                    let since = *hung_since.get_or_insert_with(Instant::now);
                    if since.elapsed() > HUNG_AFTER && !is_ours {
                        return Err(self.port_taken("it listens, but does not answer"));
                    }
                    if since.elapsed() > HUNG_AFTER {
                        return Err(self.did_not_come_up("it listens, but does not answer", "see `llm-failover logs`"));
                    }
                }
                State::Down | State::Loading => {
                    let how_it_ended = match self.supervisor.running() {
                        Running::No(how) if is_ours || state == State::Down => Some(how),
                        _ => None,
                    };
                    if let Some(how) = how_it_ended {
                        let how = how.unwrap_or_else(|| "it ended while starting".into());
                        return Err(
                            self.did_not_come_up(&how, "check the server's command and its model: see `llm-failover logs`")
                        );
                    }
                }
            }
            if begun.elapsed() > self.patience {
                let reason = format!("no answer after {} seconds", self.patience.as_secs());
                return Err(self.did_not_come_up(&reason, "raise LLM_START_TIMEOUT if the model needs longer to load"));
            }
            on_wait(begun.elapsed());
            sleep(POLL);
        }
    }

    /// The lock that lets one process at a time start or stop the server. It is gone with the process that holds it.
    fn lock(&self, begun: Instant, on_wait: &mut dyn FnMut(Duration)) -> Result<File> {
        let path = self.state_dir.join("server.lock");
        let file = private_file(&path)?;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(fs::TryLockError::WouldBlock) if begun.elapsed() < self.patience => {
                    on_wait(begun.elapsed());
                    sleep(POLL);
                }
                Err(fs::TryLockError::WouldBlock) => {
                    return Err(self.did_not_come_up("another process is still starting or stopping it", "try again"));
                }
                Err(fs::TryLockError::Error(error)) => return Err(Error::file("lock", path)(error)),
            }
        }
    }

    /// So that the end of the log tells of this start, and the log does not grow for ever.
    fn set_aside_old_log(&self) {
        let log = self.log_file();
        let _ = fs::rename(&log, log.with_extension("log.1"));
    }

    fn port_taken(&self, what: &str) -> Error {
        let port = self.endpoint.port();
        let holder = listener::pid(port).and_then(|pid| Some(format!(" by `{}` (pid {pid})", process::name(pid)?)));
        Error::DidNotComeUp {
            reason: format!("port {port} is taken{}: {what}", holder.unwrap_or_default()),
            log: vec![],
            hint: "end that program, or choose another port with LLM_PORT".into(),
        }
    }

    /// An [`Error::DidNotComeUp`] with the end of the log.
    pub fn did_not_come_up(&self, reason: &str, hint: &str) -> Error {
        let log = last_lines(&self.log_file(), 5);
        Error::DidNotComeUp { reason: reason.into(), log, hint: hint.into() }
    }
}

/// launchd and systemd where their service is installed, else the command of `LLM_SERVER_CMD`. What is not on this
/// machine, or at another port than the service's, is somebody else's.
fn choose_supervisor(context: &Context, endpoint: &Endpoint) -> Result<Box<dyn Supervisor>> {
    let launchd = || Box::new(launchd::Launchd::new(context));
    let systemd = || Box::new(systemd::Systemd::new(context));
    let child = || child::Child::new(context);
    let is_at_service_port = endpoint.is_loopback() && {
        let port: u16 = context.number("LLM_PORT", crate::answer::endpoint::DEFAULT_PORT, "a port number")?;
        endpoint.port() == port
    };
    let wanted = context.text("LLM_SUPERVISOR")?.map(|name| name.trim().to_ascii_lowercase());
    Ok(match wanted.as_deref() {
        Some("launchd") => launchd(),
        Some("systemd") => systemd(),
        Some("child") => Box::new(child()?),
        Some("none") => Box::new(SomebodyElse),
        Some("auto") | None => {
            if is_at_service_port && launchd().installed().is_ok() {
                launchd()
            } else if is_at_service_port && systemd().installed().is_ok() {
                systemd()
            } else if context.setting("LLM_SERVER_CMD").is_some() && endpoint.is_loopback() {
                Box::new(child()?)
            } else if is_at_service_port {
                Box::new(Missing)
            } else {
                Box::new(SomebodyElse)
            }
        }
        Some(other) => {
            let expected = "`auto`, `launchd`, `systemd`, `child` or `none`";
            return Err(Error::Setting { key: "LLM_SUPERVISOR", value: other.into(), expected });
        }
    })
}

/// A server that is not ours to start or stop: Ollama, LM Studio, a machine down the hall.
struct SomebodyElse;

impl Supervisor for SomebodyElse {
    fn name(&self) -> &'static str {
        "none"
    }

    fn installed(&self) -> Result<()> {
        Err(Error::DidNotComeUp {
            reason: "nothing answers at LOCAL_LLM_URL, and that server is not ours to start".into(),
            log: vec![],
            hint: "start it yourself, or check LOCAL_LLM_URL and LLM_SUPERVISOR".into(),
        })
    }

    fn start(&self, _: &File) -> Result<()> {
        self.installed()
    }

    fn running(&self) -> Running {
        Running::No(None)
    }

    fn stop(&self) -> Result<()> {
        Ok(())
    }
}

/// No service, no command: nothing is installed.
struct Missing;

impl Supervisor for Missing {
    fn name(&self) -> &'static str {
        "not installed"
    }

    fn installed(&self) -> Result<()> {
        Err(Error::NotInstalled("no local server is installed".into()))
    }

    fn start(&self, _: &File) -> Result<()> {
        self.installed()
    }

    fn running(&self) -> Running {
        Running::No(None)
    }

    fn stop(&self) -> Result<()> {
        Ok(())
    }
}

fn log_file(state_dir: &Path) -> PathBuf {
    state_dir.join("server.log")
}

/// The last lines of a file that may be large or missing.
pub fn last_lines(path: &Path, count: usize) -> Vec<String> {
    use std::io::{Read, Seek, SeekFrom};
    let Ok(mut file) = File::open(path) else { return vec![] };
    let length = file.metadata().map_or(0, |metadata| metadata.len());
    let window = (count as u64 * 400).max(4096);
    let _ = file.seek(SeekFrom::Start(length.saturating_sub(window)));
    let mut bytes = Vec::new();
    let _ = file.take(window).read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let printable = |line: &&str| line.chars().filter(|c| !c.is_control()).take(400).collect();
    lines[lines.len().saturating_sub(count)..].iter().map(printable).collect()
}

/// Opens a file of ours for appending, made with its folder if it is missing, both closed to others.
///
/// # Errors
/// If that cannot be done.
pub fn private_file(path: &Path) -> Result<File> {
    if let Some(dir) = path.parent() {
        if let Some(above) = dir.parent() {
            fs::create_dir_all(above).map_err(Error::file("create", above))?;
        }
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(Error::file("create", dir))?;
    }
    OpenOptions::new().append(true).create(true).mode(0o600).open(path).map_err(Error::file("open", path))
}
