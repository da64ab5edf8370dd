//! The call that a drill makes: this binary as `claude`, with a folder of its own in place of the user's state.

use std::fs::{self, DirBuilder};
use std::io::{self, BufRead, BufReader, PipeReader};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::Sender;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::claude_code::settings::is_claudes;
use crate::context::Context;
use crate::drill::scenario::Scenario;
use crate::drill::{DrillEvent, PROMPT};
use crate::error::{Error, Result};
use crate::names::{OWN_NAME, STATE_DIR};
use crate::os::process::own_path;
use crate::settings::Setting;
use crate::text::plain;

/// After this long without a word Claude counts as hung in the drill of that. It takes its time to start, too.
const STALL: &str = "8";

/// How long a call that is interrupted may take to end.
const GRACE: Duration = Duration::from_secs(2);

/// A folder that goes with its owner.
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// A new one, closed to others.
    ///
    /// # Errors
    /// If it cannot be made.
    pub(crate) fn new(context: &Context) -> Result<Folder> {
        let path = context.temp_dir().join(format!("claude-failover-drill-{}", uuid::Uuid::new_v4()));
        let make = |path: &Path| DirBuilder::new().mode(0o700).create(path).map_err(Error::file("create", path));
        make(&path)?;
        let folder = Folder(path);
        make(&folder.0.join("work"))?;
        Ok(folder)
    }

    /// Its path.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The call.
pub(crate) struct DrillCall {
    process: Child,
    lines: BufReader<PipeReader>,
}

/// Starts the call, with Claude's API at `url`.
///
/// # Errors
/// If it cannot be started.
pub(crate) fn start(context: &Context, scenario: Scenario, url: &str, folder: &Folder) -> Result<DrillCall> {
    let (flag, place) = (folder.path().join("switch"), |name: &str| folder.path().join(name));
    fs::write(&flag, "auto\n").map_err(Error::file("write", &flag))?;
    let mut command = Command::new(own_path()?);
    command.arg0(OWN_NAME).args(["claude", "-p", PROMPT, "--output-format", "stream-json", "--verbose"]);
    // Whoever is signed in and by what means, and how Claude Code is told to behave, is not for the drill.
    for name in context.variable_names().filter(|name| is_claudes(name) && name != Setting::ClaudeBin.name()) {
        command.env_remove(name);
    }
    command
        .env("ANTHROPIC_BASE_URL", url)
        .env("CLAUDE_CODE_OAUTH_TOKEN", "drill")
        .env("CLAUDE_CONFIG_DIR", place("claude"))
        .env("CLAUDE_CODE_TMPDIR", folder.path())
        .env("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1")
        .env("DISABLE_AUTOUPDATER", "1")
        .env(Setting::FlagFile.name(), flag)
        .env(STATE_DIR, place("state"))
        // Not empty, for then the settings file would be asked.
        .env(Setting::NotifyCommand.name(), "true")
        .env(Setting::Policy.name(), "local");
    if scenario == Scenario::Hang {
        command.env(Setting::Stall.name(), STALL);
    }
    for name in ["NO_PROXY", "no_proxy"] {
        let mut hosts = context.env(name).unwrap_or_default();
        hosts.push(if hosts.is_empty() { "127.0.0.1" } else { ",127.0.0.1" });
        command.env(name, hosts);
    }
    let wrap = |error: io::Error| Error::DrillFailed { reason: format!("cannot run ourselves: {}", plain(&error)) };
    // One pipe for both, so that what is written is told in its order.
    let (reader, writer) = io::pipe().map_err(wrap)?;
    command.current_dir(place("work")).stdin(Stdio::null()).stdout(writer.try_clone().map_err(wrap)?).stderr(writer);
    Ok(DrillCall { process: command.spawn().map_err(wrap)?, lines: BufReader::new(reader) })
}

impl DrillCall {
    /// Its process.
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(self.process.id().cast_signed())
    }

    /// Tells what it writes, and its end after that.
    pub(crate) fn follow(mut self, events: Sender<DrillEvent>) {
        thread::spawn(move || {
            for line in self.lines.split(b'\n').map_while(std::result::Result::ok) {
                let _ = events.send(DrillEvent::Wrote(String::from_utf8_lossy(&line).into_owned()));
            }
            if let Ok(status) = self.process.wait() {
                let _ = events.send(DrillEvent::Ended(status));
            }
        });
    }
}

/// Ends a call that still runs. Whoever follows it has noticed its end then.
pub(crate) fn end(pid: Pid) {
    let begun = Instant::now();
    let _ = kill(pid, Signal::SIGTERM);
    while kill(pid, None).is_ok() && begun.elapsed() < GRACE {
        sleep(Duration::from_millis(20));
    }
}
