//! A plain detached child: the command of `LLM_SERVER_CMD` in a session of its own, with a pid file.
//!
//! The child itself writes the pid file before it becomes the server. So no server ever runs without one, whichever process
//! is killed.

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, Signal, kill, killpg};
use nix::unistd::{Pid as NixPid, setsid};

use crate::claude_code::settings::hide_claudes_environment;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::names::{OWN_NAME, SERVER_ID};
use crate::os::atomic_file::{open_private, replace_private};
use crate::os::process::{Pid, close_inherited_files, group_members, has_variable, own_path, start_mark};
use crate::read_file::read_own;
use crate::server::files::log_file;
use crate::server::supervisor::{Running, Supervisor};
use crate::settings::{Setting, Settings};
use crate::shown::shown;
use crate::text::plain;

/// The long option under which the binary runs itself to become the server.
pub(crate) const RUN_OPTION: &str = "--run-server";

/// The pause between the signals that end a server. llama.cpp waits for its clients after the first TERM and ends at the second.
const GRACE: Duration = Duration::from_secs(2);

/// The longest pid file, in bytes.
const MOST_BYTES: u64 = 4096;

pub(crate) struct ChildServer {
    command: Option<OsString>,
    port: u16,
    state_dir: PathBuf,
    /// The child of this process, if it started the server: its end shows here at once.
    started: Mutex<Option<std::process::Child>>,
}

impl ChildServer {
    pub(crate) fn new(context: &Context, port: u16) -> Result<ChildServer> {
        Ok(ChildServer {
            command: context.settings.server_command(),
            port,
            state_dir: context.server_dir()?,
            started: None.into(),
        })
    }

    fn pid_file(&self) -> PathBuf {
        self.state_dir.join("server.pid")
    }

    /// From the pid file, if its process still runs and is no later one with the same number.
    fn living_pid_and_port(&self) -> Option<(Pid, u16)> {
        let text = String::from_utf8(read_own(&self.pid_file(), MOST_BYTES).ok()?).ok()?;
        let mut words = text.split_whitespace();
        let pid = words.next()?.parse().ok().filter(|pid| *pid > 1)?;
        let (mark, port) = (words.next()?, words.next()?.parse().ok()?);
        // The shell may have ended before the programs that it started; and a mark of ps(1), from a version of ours before this
        // one, is no mark of today.
        let has_our_id = |member| has_variable(member, SERVER_ID, text.trim());
        let is_ours = start_mark(pid).as_deref() == Some(mark) || group_members(pid)?.into_iter().any(has_our_id);
        is_ours.then_some((pid, port))
    }
}

impl Supervisor for ChildServer {
    fn name(&self) -> &'static str {
        "child"
    }

    fn check_installed(&self) -> Result<()> {
        match self.command {
            Some(_) => Ok(()),
            None => Err(Error::NotInstalled { reason: "no local server is installed: LLM_SERVER_CMD is not set".into() }),
        }
    }

    fn start(&self, lock: &File) -> Result<()> {
        self.check_installed()?;
        if self.running() == Running::Yes {
            return Ok(());
        }
        // A server on another port, from before a change of the settings.
        self.stop()?;
        let log_path = log_file(&self.state_dir);
        let log = open_private(&log_path)?;
        let log_for_stderr = log.try_clone().map_err(Error::file("open", &log_path))?;
        // The child holds the lock as its stdin until its pid file is written: if this process is killed before that, no other
        // process starts a second server.
        let held_lock = lock.try_clone().map_err(Error::file("open", "server.lock"))?;
        let binary = own_path()?;
        let _ = fs::remove_file(self.pid_file());
        let child = Command::new(binary)
            .arg0(OWN_NAME)
            .arg(RUN_OPTION)
            .arg(self.pid_file())
            .env(Setting::Port.name(), self.port.to_string())
            .stdin(held_lock)
            .stdout(log)
            .stderr(log_for_stderr)
            .spawn();
        *self.started() = Some(
            child.map_err(|error| Error::Supervisor { reason: shown!("cannot start the local server: {}", plain(&error)) })?,
        );
        Ok(())
    }

    fn running(&self) -> Running {
        if let Some(child) = self.started().as_mut() {
            return match child.try_wait() {
                Ok(Some(status)) => Running::No(Some(format!("it ended while starting ({status})"))),
                _ => Running::Yes,
            };
        }
        match self.living_pid_and_port() {
            Some((_, port)) if port == self.port => Running::Yes,
            _ => Running::No(None),
        }
    }

    fn stop(&self) -> Result<()> {
        if let Some((pid, _)) = self.living_pid_and_port() {
            let group = NixPid::from_raw(pid);
            let is_gone = [Some(Signal::SIGTERM), Some(Signal::SIGTERM), Some(Signal::SIGKILL)].into_iter().any(|signal| {
                let _ = killpg(group, signal);
                is_gone_within(GRACE, || self.is_gone(pid, group))
            });
            if !is_gone {
                return Err(Error::Supervisor { reason: shown!("the local server (pid {pid}) does not end") });
            }
        }
        // A server that was started a moment ago may have no pid file yet.
        if let Some(mut child) = self.started().take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = fs::remove_file(self.pid_file());
        Ok(())
    }
}

impl ChildServer {
    fn started(&self) -> MutexGuard<'_, Option<std::process::Child>> {
        self.started.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_gone(&self, pid: Pid, group: NixPid) -> bool {
        if let Some(child) = self.started().as_mut() {
            let _ = child.try_wait();
        }
        start_mark(pid).is_none() && !has_living_member(group)
    }
}

/// Zombies do not count.
fn has_living_member(group: NixPid) -> bool {
    if kill(NixPid::from_raw(-group.as_raw()), None).is_err() {
        return false;
    }
    group_members(group.as_raw()).is_none_or(|members| members.into_iter().any(|pid| start_mark(pid).is_some()))
}

fn is_gone_within(limit: Duration, is_gone: impl Fn() -> bool) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < limit {
        if is_gone() {
            return true;
        }
        sleep(Duration::from_millis(20));
    }
    is_gone()
}

/// Becomes the server: makes a session, writes the pid file, then runs the command of `LLM_SERVER_CMD` by `/bin/sh`, without
/// Claude's credentials in its environment. The model hub is offline, so that a wrong model name downloads nothing. Returns
/// only if that failed.
pub(crate) fn become_server(context: &Context, args: &[OsString]) -> Result<()> {
    let [pid_file] = args else { return Err(Error::Usage { message: shown!("`{RUN_OPTION}` is for claude-failover itself") }) };
    let command =
        context.settings.server_command().ok_or_else(|| Error::NotInstalled { reason: "LLM_SERVER_CMD is not set".into() })?;
    setsid()
        .map_err(|errno| Error::Supervisor { reason: shown!("cannot make a session for the local server: {}", errno.desc()) })?;
    close_inherited_files();
    let _ = SigSet::all().thread_unblock();
    let id = write_pid_file(Path::new(pid_file), context.settings.port()?)?;
    let mut shell = Command::new("/bin/sh");
    shell.arg("-c").arg(&command).stdin(Stdio::null()).current_dir(context.home()?);
    hide_claudes_environment(context, &mut shell);
    for key in Settings::keys_of_later_links() {
        shell.env_remove(key);
    }
    shell.env(SERVER_ID, id);
    shell.envs(context.settings.for_server_command());
    if context.env("HF_HUB_OFFLINE").is_none() {
        shell.env("HF_HUB_OFFLINE", "1");
    }
    Err(Error::Supervisor { reason: shown!("cannot run `/bin/sh`: {}", plain(&shell.exec())) })
}

fn write_pid_file(path: &Path, port: u16) -> Result<String> {
    let pid = std::process::id().cast_signed();
    let mark = start_mark(pid).ok_or_else(|| Error::Supervisor { reason: "cannot read when this process started".into() })?;
    let id = format!("{pid} {mark} {port}");
    replace_private(path, format!("{id}\n").as_bytes())?;
    Ok(id)
}
